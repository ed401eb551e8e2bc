"""Images that hold both of a pair, told by their shape."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from i2i_bench.tasks.image_file import read_image_size

SLACK = 0.02  # of the width, by which an image of two squares may be off
SHOWN = 8  # names in a refusal


def is_double(file: Path) -> bool:
    """Tell by its header whether an image has the shape of two squares side by side, or nearly.

    Raises:
        ValueError: If it cannot be read.
    """
    width, height = read_image_size(file)
    return abs(width - 2 * height) <= SLACK * width


def require_no_pairs(root: Path, first: Mapping[str, Path], task_file: Path) -> None:
    """Refuse folders that may be labels of one task, or several tasks of pairs side by side.

    Args:
        root: Folder of them all.
        first: Name of each → one of its images.
        task_file: Where a line may settle it.

    Raises:
        ValueError: If all images are twice as wide as high.
    """
    names = sorted(first)
    if first and all(map(is_double, first.values())):
        raise ValueError(
            f"{root} has images twice as wide as high in {', '.join(names[:SHOWN])}: give one of "
            "these folders if they are pairs side by side; for two that are domains, the line "
            f'domains = ["{names[0]}", "{names[-1]}"] in {task_file} says so'
        )
