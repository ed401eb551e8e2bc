"""What figures of finished runs share: which test images they show, and a run's networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from i2i_bench.data.decode import channels_first, to_float
from i2i_bench.data.directions import (
    directions_for,
    find_direction,
    labels_of,
    lacking_direction,
)
from i2i_bench.data.needs import takes_masks
from i2i_bench.data.requests import Request
from i2i_bench.data.test_set import TestSet
from i2i_bench.model import Direction, Model
from i2i_bench.pretrained import without_weights
from i2i_bench.report.figures.mosaic import Block
from i2i_bench.runs.job import Job
from i2i_bench.tasks.task import Task
from i2i_bench.training import checkpoint


@dataclass(frozen=True)
class Choice:
    """Which test images are shown.

    Attributes:
        directions: Names of directions; () for all.
        names: File names of sources, with or without suffix; () for the first ``count``.
        count: Number of images of a direction.
    """

    directions: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    count: int = 2


@dataclass(frozen=True)
class DrawnFigure:
    """What is to be drawn.

    Attributes:
        blocks: Of pictures.
        caption: What a reader must know.
        folder: Where it belongs.
        kind: ``masks``, ``evolution``, ``styles`` or ``comparison``, which names its files there,
            with the split where that is not the test's.
        name: Their name anywhere else.
    """

    blocks: list[Block]
    caption: str
    folder: Path
    kind: str
    name: str


def load_networks(job: Job, folder: Path) -> Model:
    """Give the networks of a run as they translate."""
    content = checkpoint.latest_checkpoint(folder)
    assert content is not None, "find.find_job has read it"
    with without_weights():
        model = job.model_class(job.settings.config)
    checkpoint.restore_networks(model, content)
    model.networks.eval()
    return model


def requests_for(
    job: Job, test_set: TestSet, direction: Direction, rows: list[int]
) -> Iterator[Request]:
    """Ask for the translation of each of some test images, by itself."""
    labels, count = labels_of(job.task, direction), job.settings.instances
    has_masks = takes_masks(job.needs, job.task, count)
    pixels = job.task.pixel_format(direction.source)
    for row in rows:
        images = to_float(channels_first(test_set.images(direction.source, [row])), pixels)
        given = test_set.instances(direction.source, count, [row]) if has_masks else None
        masks = None if given is None else torch.from_numpy(given).to(images)
        chosen = None if labels is None else (labels[0][[row]], labels[1][[row]])
        yield Request(direction, images, chosen, masks)


def shown_directions(model: Model, task: Task, choice: Choice) -> list[Direction]:
    """Give the directions to show.

    Raises:
        ValueError: If the task has none of a name, or the model does not translate in it.
    """
    if not choice.directions:
        return directions_for(model, task)
    found = [find_direction(task, name) for name in choice.directions]
    if reason := next(filter(None, (lacking_direction(model, each) for each in found)), ""):
        raise ValueError(reason)
    return found


def shown_rows(task: Task, direction: Direction, choice: Choice) -> list[int]:
    """Give the rows of the test images to show, among those of the source.

    Raises:
        ValueError: If there is none of a name.
    """
    images = task.images("test", direction.source)
    if not choice.names:
        return list(range(len(images)))[: choice.count]
    known = {
        key: i for i, image in enumerate(images) for key in (image.name, Path(image.name).stem)
    }
    missing = [name for name in choice.names if name not in known]
    if missing:
        raise ValueError(
            f"no {task.split} image {missing[0]} of domain {direction.source} in {task.name}; "
            f"there are {len(images)}, first {images[0].name}"
        )
    return [known[name] for name in choice.names]


def in_words(direction: Direction) -> str:
    """Print a direction as a heading does."""
    return f"{direction.source} to {direction.target}"


def figure_name(job: Job, kind: str) -> str:
    """Name a figure of a run where those of others lie beside it."""
    return f"{job.run.task}-{job.run.label}-seed{job.run.seed}-{kind}"


def run_in_words(job: Job) -> str:
    """Name a run as a caption does."""
    return f"{job.run.label} on {job.run.task}, seed {job.run.seed}"
