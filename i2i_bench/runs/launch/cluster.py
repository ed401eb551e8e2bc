"""The site of the machines of a Ray cluster."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from typing import Any

from i2i_bench.runs.launch.process import RunCommand, execute_remotely
from i2i_bench.runs.launch.site import Vanished


class ClusterSite:
    """The machines of a Ray cluster, or this one alone; devices are reserved for each run.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``: whether a run is to have a GPU.
        slots: Commands at once, however much there is.

    Raises:
        ValueError: If Ray is not installed, or no cluster can be reached.
    """

    def __init__(self, device: str, slots: int) -> None:
        try:
            import ray
        except ImportError as error:
            raise ValueError(
                f"--launcher ray needs the package ray ({error}); pip install 'i2i-bench[ray]' "
                "brings it"
            ) from error
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True)
        except (ConnectionError, RuntimeError, OSError) as error:
            raise ValueError(
                f"no Ray cluster: {next(iter(str(error).splitlines()), '')}"
            ) from error
        has_devices = ray.cluster_resources().get("GPU", 0) >= 1
        threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        needs: dict[str, Any] = {"num_cpus": threads, "max_retries": 0}
        if device == "cuda" or (device == "auto" and has_devices):
            needs["num_gpus"] = 1
        self._ray, self.slots = ray, slots
        self._threads = str(threads)
        self._work: Any = ray.remote(**needs)(execute_remotely)
        self._running: set[Any] = set()
        self._stopped = False

    def lines(self, command: RunCommand) -> Iterator[str | int]:
        """Have some machine start a command; give its lines, then its exit code.

        Raises:
            Vanished: If that machine is gone.
        """
        if self._stopped:
            yield -signal.SIGTERM
            return
        variables = {"OMP_NUM_THREADS": self._threads}
        running = self._work.options(num_returns="streaming").remote(command, variables)
        self._running.add(running)
        try:
            for line in running:
                yield self._ray.get(line)
        except self._ray.exceptions.TaskCancelledError:
            yield -signal.SIGTERM
        except self._ray.exceptions.RayError as error:
            if self._stopped:
                yield -signal.SIGTERM
                return
            raise Vanished(type(error).__name__) from error
        finally:
            self._running.discard(running)

    def stop(self) -> None:
        """Make all commands save their state and end."""
        self._stopped = True
        for running in list(self._running):
            self._ray.cancel(running)
