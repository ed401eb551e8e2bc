"""Gather what a record holds besides scores: costs, device, versions, commit, files."""

from __future__ import annotations

import functools
import logging
import platform
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from i2i_bench.data.shapes import reshaped
from i2i_bench.model import Model
from i2i_bench.plugins import registry
from i2i_bench.plugins.cost import count_parameters
from i2i_bench.plugins.source import is_of, joined_sources, source_digest
from i2i_bench.records.folders import noted_load, noted_source
from i2i_bench.records.record import MachineLoad, Record
from i2i_bench.runs.job import Job
from i2i_bench.tasks.validation import VALIDATION
from i2i_bench.training import checkpoint
from i2i_bench.training.checkpoint_file import Position

logger = logging.getLogger(__name__)

TRAINING_COSTS = (  # in a record, None where the training was elsewhere
    *("images_seen", "steps", "seconds", "images_per_second"),
    *("peak_memory_bytes", "peak_memory_of"),
)


def training_costs(position: Position, device: torch.device) -> dict[str, Any]:
    """Return what a record says of a training: images, steps, seconds, speed and memory."""
    return {
        "images_seen": position.images_seen,
        "steps": position.step,
        "seconds": round(position.seconds, 3),
        "images_per_second": round(position.images_seen / position.seconds, 3),
        "peak_memory_bytes": position.peak_memory,
        "peak_memory_of": "device" if device.type == "cuda" else "process",
    }


def load_of_training(folder: Path, num_processes: int) -> MachineLoad | None:
    """Return how much else ran as a training began and ended; None where it is not noted.

    Args:
        folder: Of the run, which notes it.
        num_processes: That trained together.
    """
    noted = noted_load(folder)
    if len(noted) < 2:
        return None
    start, end = noted
    return MachineLoad(start=start, end=end, threads=torch.get_num_threads() * num_processes)


def source_of_training(job: Job, folder: Path) -> str:
    """Return which code a run is of, once the present one goes on; warn if there are several.

    Args:
        job: The run.
        folder: Of the run, which notes the code that made its checkpoints.
    """
    now = source_digest(job.model_class)
    is_begun = folder.is_dir() and any(checkpoint.is_checkpoint(p.name) for p in folder.iterdir())
    before = noted_source(folder)
    if not is_begun or not before:  # what began it before this was noted is not known
        return "" if is_begun else now
    if not is_of(before, now):
        logger.warning(
            "%s was begun by other code of %s (%s, now %s) and goes on with the present one, as "
            "its record will say; --force trains it anew",
            *(job.run, job.run.model, before, now),
        )
    return joined_sources(before, now)


def make_record(
    job: Job, model: Model, costs: Mapping[str, Any], *, device: torch.device, folder: Path
) -> Record:
    """Gather what a record holds besides scores."""
    entry = registry.find_entry(job.run.model)
    return Record(
        model=job.run.model,
        distribution=entry.distribution,
        distribution_version=entry.version,
        variant=job.run.variant,
        preset=job.preset,
        task=job.task.name,
        task_version=job.task.version,
        split="validation" if job.task.split == VALIDATION else "",
        headline=job.task.headline,
        seed=job.run.seed,
        settings=job.plain_settings(),
        parameters=count_parameters(model),
        absent=sorted(model.absent),
        directions=[str(direction) for direction in model.directions or ()],
        **costs,
        device=device_name(device),
        torch_version=torch.__version__,
        harness_version=version("i2i-bench"),
        commit=commit(),
        scores={},
        artefacts=_artefacts(folder),
        reshaped=reshaped(job.task, job.settings.resize),
    )


def _artefacts(folder: Path) -> list[str]:
    """Name the files of a run, of its checkpoints the last: which preceded it is chance."""
    names = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    older = [name for name in names if checkpoint.is_checkpoint(name)][:-1]
    return [name for name in names if name not in older]


def device_name(device: torch.device) -> str:
    """Name the hardware: the GPU, or the processor and the threads used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = models[0] if models else name
    count = torch.get_num_threads()
    return f"{name}, {count} thread{'s' * (count != 1)}"


@functools.cache
def commit() -> str | None:
    """Return the harness's commit, with ``+`` if files differ from it; None outside a checkout."""
    folder = Path(__file__).parents[1]
    describe = ["describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+"]
    if not (folder.parent / ".git").exists() or shutil.which("git") is None:
        return None
    done = subprocess.run(
        ["git", "-C", str(folder), *describe], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None
