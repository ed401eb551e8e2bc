"""A job: a run with its model, task and settings, ready to be carried out."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from i2i_bench.data.needs import test_rule
from i2i_bench.data.store import Store
from i2i_bench.data.training_images import make_store
from i2i_bench.model import Model, Needs, Preset, ResizeRule, Settings
from i2i_bench.records.run import Run
from i2i_bench.tasks.pixel_format import plain_pixels
from i2i_bench.tasks.reading import plain_reading
from i2i_bench.tasks.task import Task
from i2i_bench.tasks.validation import TEST
from i2i_bench.training import memory
from i2i_bench.training.loop import Precision
from i2i_bench.training.memory import MemoryNeed
from i2i_bench.training.settings import plain_settings
from i2i_bench.training.start import Start

logger = logging.getLogger(__name__)


def build_model(job: Job) -> Model:
    """Build the model of a run as it is before the first step."""
    torch.manual_seed(job.run.seed)
    model = job.model_class(job.settings.config)
    if job.start:
        model.networks.load_state_dict(job.start.networks, strict=False)
        if job.preset == OFFICIAL:
            model.absent = job.start.absent
        elif job.start.absent:
            new = ", ".join(sorted(job.start.absent))
            logger.warning("%s begins with new %s: not in %s", job.run, new, job.start.origin)
    return model


SPLIT = "split"  # in the identity of a checkpoint, and in a variant, where it is not the test's
OFFICIAL = "official"  # preset of networks that were imported; of no settings, as none are known


@dataclass(frozen=True)
class Choices:
    """What the user chose for every run of a plan.

    Attributes:
        preset: Starting point of the settings.
        changes: Settings to change, as typed: key to value.
        budget: Images seen; None for the preset's.
        precision: ``fp32``, ``tf32`` (of CUDA devices) or ``bf16``.
        start: Networks to begin with, which bring their configuration; None for new ones.
        split: Which images are scored: ``test``, or ``validation`` images held out of training.
    """

    preset: Preset = "published"
    changes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    budget: int | None = None
    precision: Precision = "fp32"
    start: Start | None = None
    split: str = TEST


@dataclass(frozen=True, eq=False)
class Job:
    """A run with all that is needed to carry it out.

    Attributes:
        run: Its identity.
        model_class: The model.
        task: The task.
        task_argument: What finds it: its name, or the absolute path of a folder.
        settings: Every setting of the model.
        preset: Their starting point, or ``official`` for imported networks.
        precision: Of the training steps.
        start: Networks to begin with; None for new ones, or where only a checkpoint goes on.
        choices: What the user chose; None where the run was found on disk.
    """

    run: Run
    model_class: type[Model]
    task: Task
    task_argument: str
    settings: Settings
    preset: Preset | Literal["official"]
    precision: Precision
    start: Start | None = None
    choices: Choices | None = None

    @property
    def needs(self) -> Needs:
        """What the model needs of the task and the user."""
        return self.model_class.needs(self.settings.config)

    @property
    def resize_rule(self) -> ResizeRule:
        """How test images come to their size."""
        return test_rule(self.needs, self.settings)

    def identity(self) -> dict[str, Any]:
        """Return the plain values that identify a run in its checkpoints."""
        scored = {} if self.task.split == TEST else {SPLIT: self.task.split}
        pixels = plain_pixels(self.task.pixels)
        deep = {"pixels": pixels} if pixels else {}
        reading = plain_reading(self.task.reading)
        read = {"reading": reading} if reading else {}
        return {
            "model": self.run.model,
            "task": self.task.name,
            "task_version": self.task.version,
            "seed": self.run.seed,
            "preset": self.preset,
            "variant": self.run.variant,
            "settings": self.plain_settings(),
            **scored,
            **deep,
            **read,
        }

    def plain_settings(self) -> dict[str, Any]:
        """Return every setting as a plain value, the configuration under ``config``.

        How imported networks were trained is not known: only what bears on a translation is given.
        """
        settings = plain_settings(self.settings) | {"precision": self.precision}
        if self.preset == OFFICIAL:
            keys = ("config", "crop_size", "precision", "resampling", "resize")
            settings = {key: settings[key] for key in keys}
        return json.loads(json.dumps(settings))  # tuples become lists, as in a record


def expect_memory(job: Job, device: torch.device, runs: Path) -> tuple[MemoryNeed, Store]:
    """Estimate the memory of a run, and choose where its training images stay.

    Args:
        job: The run.
        device: Of the training.
        runs: Folder of the runs, where a file of images may be.

    Raises:
        ValueError: If the images fit nowhere, or the model refuses their size.
    """
    need = memory.measure_need(job.model_class, job.settings, job.task)
    store = make_store(job.task, job.settings, device, beside=need.beside, folder=runs)
    return dataclasses.replace(need, images=store.expected), store
