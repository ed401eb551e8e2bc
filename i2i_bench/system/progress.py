"""What is told of long work: how much of it is done, and of which stage, with values."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Progress = Callable[[int, int], None]  # bytes, images or the like done, and in all (0: unknown)
Report = Callable[[str, int, int, Mapping[str, float]], None]  # stage, done, of, values


def quiet(stage: str, done: int, of: int, values: Mapping[str, float]) -> None:
    """Show nothing."""
