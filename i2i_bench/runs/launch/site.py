"""The interface of a site, where commands of runs are carried out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol

import torch

from i2i_bench.runs.launch.process import RunCommand


class Vanished(Exception):
    """The machine that a run was on is gone."""


class Site(Protocol):
    """The interface of a site, where commands of runs are carried out."""

    slots: int  # commands at once

    def lines(self, command: RunCommand) -> Iterator[str | int]:
        """Start a command; give its lines, then its exit code.

        Raises:
            Vanished: If the place where it is carried out is gone.
        """
        ...

    def stop(self) -> None:
        """Make all commands save their state and end."""
        ...


def visible_devices() -> list[str]:
    """Name the CUDA devices that a process may see."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return [str(index) for index in range(torch.cuda.device_count())]
