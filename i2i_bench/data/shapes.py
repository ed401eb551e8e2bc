"""Which images of a task are not square, and what becomes of them; told by their headers."""

from __future__ import annotations

import contextlib
import functools
import statistics

from i2i_bench.records.record import Reshaped
from i2i_bench.system.prefetch import prefetch
from i2i_bench.tasks.task import SPLITS, Task, TaskImage

LEAST_RATIO = 1.01  # of the sides, above which an image counts as not square


def reshaped(task: Task, resize: str) -> Reshaped | None:
    """Tell how many images of a task are squashed, or cut, to squares; None if there is none.

    No image is decoded. Those that are drawn, or cut to squares where they are read, are square.

    Args:
        task: Whose images, of all domains and splits.
        resize: As in the settings of a run.
    """
    if resize == "whole":
        return None
    ratios = _ratios(task)
    far = [ratio for ratio in ratios if ratio > LEAST_RATIO]
    if not far:
        return None
    return Reshaped(
        how="squashed" if resize == "square" else "cut",
        num_images=len(far),
        num_all=len(ratios),
        most=round(max(far), 3),
        median=round(statistics.median(far), 3),
    )


@functools.lru_cache(maxsize=32)
def _ratios(task: Task) -> list[float]:
    """Give the ratio of the longer to the shorter side of each image."""
    every = [i for split in SPLITS for domain in task.domains for i in task.images(split, domain)]
    return list(prefetch(_ratio, every, part_size=16))


def _ratio(image: TaskImage) -> float:
    if image.measure is not None:
        with contextlib.suppress(ValueError):  # what is damaged is refused where it is decoded
            size = image.measure()
            return max(size) / min(size)
    return 1.0
