"""Types of the functions that are told of progress, and one that shows nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Progress = Callable[[int, int], None]  # bytes, images or the like done, and in all (0: unknown)
Report = Callable[[str, int, int, Mapping[str, float]], None]  # stage, done, of, values


def quiet(stage: str, done: int, of: int, values: Mapping[str, float]) -> None:
    """Show nothing."""
