"""Many runs at once: each a process of its own, on this machine or on those of a Ray cluster.

A run is carried out by ``i2i-bench run`` with nothing else in its plan: claims, checkpoints and
signals are those of that command, and what it prints is its progress. A ``Site`` starts such a
command somewhere and gives its lines.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Protocol

import torch

from i2i_bench.runs.execute import Bench, require_done
from i2i_bench.runs.launch.process import Command, execute, work
from i2i_bench.runs.lock import IN_PROGRESS
from i2i_bench.runs.plan import Job
from i2i_bench.training.loop import Stopped, stop_signals

ATTEMPTS = 5  # at a run whose machine dies
PAUSE_SECONDS = 5.0  # before the next: whoever held the run must be seen to be dead
ERROR, ENDED = "Error: ", "[1/1] "
Show = Callable[[str, str], None]  # of a run, what it says


class Vanished(Exception):
    """The machine that a run was on is gone."""


class Site(Protocol):
    """Where commands are carried out."""

    slots: int  # commands at once

    def lines(self, command: Command) -> Iterator[str | int]:
        """Start a command; give its lines, then its exit code.

        Raises:
            Vanished: If the place where it is carried out is gone.
        """
        ...

    def stop(self) -> None:
        """Have all commands save their state and end."""
        ...


class Local:
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

    def lines(self, command: Command) -> Iterator[str | int]:
        """Start a command; give its lines, then its exit code."""
        slot = self._free.get()
        try:
            yield from execute(command, self._variables(slot), self._stopped.is_set)
        finally:
            self._free.put(slot)

    def _variables(self, slot: int) -> dict[str, str]:
        if self._devices:
            return {"CUDA_VISIBLE_DEVICES": self._devices[slot % len(self._devices)]}
        threads = max(1, torch.get_num_threads() // self.slots)
        return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}

    def stop(self) -> None:
        """Have all commands save their state and end."""
        self._stopped.set()


class Cluster:
    """The machines of a Ray cluster, or this one as such; a run's devices are reserved for it.

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
        self._work: Any = ray.remote(**needs)(work)
        self._running: set[Any] = set()
        self._stopped = False

    def lines(self, command: Command) -> Iterator[str | int]:
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
        """Have all commands save their state and end."""
        self._stopped = True
        for running in list(self._running):
            self._ray.cancel(running)


def carry_out(
    jobs: Sequence[Job],
    site: Site,
    command: Callable[[Job, bool], Command],
    *,
    show: Show,
    say: Callable[[str], None],
) -> None:
    """Carry out a plan, several runs at once.

    A run that fails does not keep the others from being done; one whose machine dies goes on
    elsewhere from its last checkpoint.

    Args:
        jobs: The plan.
        site: Where runs are carried out.
        command: Gives what carries out a run, again if it was begun before.
        show: Told of a run's progress.
        say: Told of what is done.

    Raises:
        training.Stopped: After a signal.
        ValueError: If runs failed, once all others are done.
    """
    failed: list[str] = []
    with ThreadPoolExecutor(min(site.slots, len(jobs))) as pool, stop_signals() as stop:
        ends = {pool.submit(_finish, job, site, command, show, stop): job for job in jobs}
        left: set[Future[tuple[str, bool]]] = set(ends)
        is_told, number = False, 0
        while left:
            done, left = wait(left, timeout=0.2)
            for end in done:
                number += 1
                said, is_good = end.result()
                say(f"[{number}/{len(jobs)}] {ends[end].run}: {said}")
                failed += [] if is_good else [f"{ends[end].run}: {said.removeprefix('failed: ')}"]
            if stop and not is_told:
                is_told = True
                site.stop()
                for each in left:
                    each.cancel()
                left = {each for each in left if not each.cancelled()}
        if stop:
            name = signal.Signals(stop[0]).name
            raise Stopped(f"stopped by {name}; what was in progress is saved")
    require_done(failed, len(jobs))


def _finish(
    job: Job, site: Site, command: Callable[[Job, bool], Command], show: Show, stop: Sequence[int]
) -> tuple[str, bool]:
    """Carry out one run, wherever that can be; give what to say of it, and whether it is good."""
    name, said = str(job.run), "not begun"
    for attempt in range(ATTEMPTS):
        if attempt and not stop:
            time.sleep(PAUSE_SECONDS)
        if stop:
            break
        try:
            code, said = _follow(site.lines(command(job, attempt > 0)), lambda x: show(name, x))
            if code == 0:
                return said.partition(f"{name}: ")[2], True
            said = said.removeprefix(ERROR)
            was_held = attempt > 0 and IN_PROGRESS in said  # by one that is not dead yet
            if not (stop or was_held):
                return f"failed: {said}", False
        except Vanished as gone:
            said = f"its machine is gone ({gone})"
            show(name, f"{said}; resuming elsewhere")
    return (f"stopped: {said}", True) if stop else (f"failed: {said}, {ATTEMPTS} times", False)


def _follow(lines: Iterator[str | int], show: Callable[[str], None]) -> tuple[int, str]:
    """Show the lines of a command; give its exit code and the last of them."""
    last = ""
    for line in lines:
        if isinstance(line, int):
            return line, last
        last = line
        if not line.startswith((ENDED, ERROR)):  # which is said once it is over
            show(line)
    return 1, last


def command_of(
    job: Job, bench: Bench, *, device: str, modes: Sequence[str], force: bool
) -> Command:
    """Return what carries out a run of a plan as a process of its own, anywhere."""
    assert job.choices is not None  # as of every job that a plan has
    options: list[tuple[str, Any]] = [
        *(("--model", job.run.model), ("--task", job.task_argument), ("--seed", job.run.seed)),
        *(("--preset", job.choices.preset), ("--precision", job.precision), ("--device", device)),
        *(("--set", f"{key}={value}") for key, value in job.choices.changes.items()),
        ("--checkpoint-seconds", bench.checkpoint_seconds),
        *(("--protocol", protocol.name) for protocol in bench.protocols),
        *(("--log", log) for log in bench.logs),
        *(("--fast", mode) for mode in modes),
        ("--budget", job.choices.budget),
        ("--start", job.start.origin if job.start else None),
        ("--order-replicates", bench.order_replicates or None),
        ("--kid-subset-size", bench.kid_subset_size),
    ]
    places = bench.places
    for name, place in (("results", places.results), ("runs", places.runs), ("data", places.data)):
        options.append((f"--{name}", place.absolute()))
    words = [str(word) for pair in options if pair[1] is not None for word in pair]
    return Command((*words, *(["--force"] if force else [])), str(Path.cwd()))


def devices() -> list[str]:
    """Name the CUDA devices that a process may see."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return [str(index) for index in range(torch.cuda.device_count())]
