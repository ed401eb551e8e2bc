"""The site of processes on this machine."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator, Sequence

import torch

from i2i_bench.runs.launch.process import RunCommand, execute_command


class LocalSite:
    """Processes on this machine, which divide its processors or take its devices in turn.

    Args:
        slots: Commands at once.
        devices: CUDA devices, by the names that ``CUDA_VISIBLE_DEVICES`` has; none on the CPU.
    """

    def __init__(self, slots: int, devices: Sequence[str]) -> None:
        self.slots, self._devices = slots, devices
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(slots):
            self._free.put(slot)
        self._stopped = threading.Event()

    def lines(self, command: RunCommand) -> Iterator[str | int]:
        """Start a command; give its lines, then its exit code."""
        slot = self._free.get()
        try:
            yield from execute_command(command, self._variables(slot), self._stopped.is_set)
        finally:
            self._free.put(slot)

    def _variables(self, slot: int) -> dict[str, str]:
        if self._devices:
            return {"CUDA_VISIBLE_DEVICES": self._devices[slot % len(self._devices)]}
        threads = max(1, torch.get_num_threads() // self.slots)
        return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}

    def stop(self) -> None:
        """Make all commands save their state and end."""
        self._stopped.set()
