"""Limits of image sizes, tasks and configuration fields, each refused in one sentence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import field, fields
from typing import Any, TypeVar

from torch import Tensor

from i2i_bench.model import TaskFacts

LEAST = "at_least"  # in the metadata of a field

Number = TypeVar("Number", int, float)


def require_size(images: Tensor, minimum: int, who: str) -> None:
    """Raise ValueError if images (..., height, width) have a side of fewer than ``minimum`` px."""
    if min(images.shape[-2:]) < minimum:
        given = "x".join(str(side) for side in images.shape[:-3:-1])
        raise ValueError(f"{who} needs images of at least {minimum} px, not {given}")


def require_square(images: Tensor, side: int, who: str) -> None:
    """Raise ValueError unless images (..., height, width) are squares of ``side`` px."""
    if images.shape[-2:] != (side, side):
        given = "x".join(str(side) for side in images.shape[:-3:-1])
        raise ValueError(
            f"{who} is of images of {side} px, not {given}; image_size, crop_size and load_size "
            "must agree"
        )


def require_divisible(images: Tensor, divisor: int) -> None:
    """Raise ValueError unless both sides of images (..., height, width) are multiples."""
    height, width = images.shape[-2:]
    if height % divisor or width % divisor:
        raise ValueError(
            f"an image of {width}x{height} px: both sides must be divisible by {divisor}"
        )


def require_task_size(task: TaskFacts, minimum: int, who: str) -> None:
    """Raise ValueError if the task's images are smaller than ``minimum`` px."""
    if task.image_size < minimum:
        raise ValueError(
            f"{who} needs images of at least {minimum} px; task {task.name} has {task.image_size}"
        )


def task_channels(task: TaskFacts) -> tuple[int, ...]:
    """Give the channels of the images of each domain, in the order of the task's domains."""
    return tuple(task.channels[domain] for domain in task.domains)


def at_least(least: Number, default: Number) -> Number:
    """Give a field of a configuration its default and the least value that ``check_limits`` takes.

    It is written in the place of the default: ``generator_width: int = at_least(1, 64)``.
    """
    return field(default=default, metadata={LEAST: least})


def check_limits(config: Any) -> None:
    """Raise ValueError naming the first field of a configuration that is below its least value."""
    limits = {each.name: each.metadata[LEAST] for each in fields(config) if LEAST in each.metadata}
    require_at_least(config, **limits)


def require_at_least(config: object, **least: float) -> None:
    """Raise ValueError naming the first field of a configuration that is below its least value."""
    for name, value in least.items():
        if not getattr(config, name) >= value:
            raise ValueError(f"{name} is {getattr(config, name)}; at least {value} is needed")


def require_choices(config: object, **possible: Collection[object]) -> None:
    """Raise ValueError naming the first field of a configuration that has none of its values."""
    for name, values in possible.items():
        if (given := getattr(config, name)) not in values:
            raise ValueError(f"{name} is {given!r}; possible: {', '.join(map(str, values))}")


def require_schedule(constant_epochs: int, decay_epochs: int) -> None:
    """Raise ValueError unless the budget can be divided into these epochs."""
    if min(constant_epochs, decay_epochs) < 0 or constant_epochs + decay_epochs < 1:
        raise ValueError(
            f"constant_epochs is {constant_epochs} and decay_epochs {decay_epochs}; neither may be "
            "below 0, and together they must be at least 1"
        )


def load_size(task: TaskFacts, crop_size: int) -> int:
    """Return the side to resize to before a random crop: 286 for 256, as CycleGAN's authors.

    Images of an embedded task are never resampled: their truth is exact in pixels.
    """
    return crop_size if task.kind == "embedded" else round(crop_size * 286 / 256)
