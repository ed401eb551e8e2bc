"""Carry out a plan several runs at once, each in a process of its own.

A run is carried out by ``i2i-bench run`` with nothing else in its plan: locks, checkpoints and
signals are those of that command, and what it prints is its progress.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from i2i_bench.runs.bench import Bench
from i2i_bench.runs.job import Job
from i2i_bench.runs.launch.process import RunCommand
from i2i_bench.runs.launch.site import Site, Vanished
from i2i_bench.runs.lock import IN_PROGRESS
from i2i_bench.runs.one_by_one import require_done
from i2i_bench.training.signals import Stopped, stop_signals

ATTEMPTS = 5  # at a run whose machine dies
PAUSE_SECONDS = 5.0  # before the next: whoever held the run must be seen to be dead
ERROR, ENDED = "Error: ", "[1/1] "
Show = Callable[[str, str], None]  # of a run, what it says


def run_at_once(
    jobs: Sequence[Job],
    site: Site,
    command: Callable[[Job, bool], RunCommand],
    *,
    show: Show,
    say: Callable[[str], None],
) -> None:
    """Carry out a plan, several runs at once.

    After a run fails the others are still done; one whose machine dies resumes elsewhere from its
    last checkpoint.

    Args:
        jobs: The plan.
        site: Where runs are carried out.
        command: Gives what carries out a run, again if it was begun before.
        show: Told of a run's progress.
        say: Told of what is done.

    Raises:
        Stopped: After a signal.
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
    job: Job,
    site: Site,
    command: Callable[[Job, bool], RunCommand],
    show: Show,
    stop: Sequence[int],
) -> tuple[str, bool]:
    """Carry out one run on any site; return what to say of it, and whether it succeeded."""
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


def command_of_job(
    job: Job, bench: Bench, *, device: str, modes: Sequence[str], force: bool
) -> RunCommand:
    """Return the command that carries out a run in a process of its own."""
    assert job.choices is not None  # as of every job that a plan has
    options: list[tuple[str, Any]] = [
        *(("--model", job.run.model), ("--task", job.task_argument), ("--seed", job.run.seed)),
        *(("--preset", job.choices.preset), ("--precision", job.precision), ("--device", device)),
        *(("--set", f"{key}={value}") for key, value in job.choices.changes.items()),
        ("--checkpoint-seconds", bench.checkpoint_seconds),
        *(("--protocol", protocol.name) for protocol in bench.protocols),
        *(("--metric", metric) for metric in bench.metrics),
        *(("--log", log) for log in bench.logs),
        *(("--fast", mode) for mode in modes),
        ("--budget", job.choices.budget),
        ("--split", job.choices.split),
        ("--start", job.start.origin if job.start else None),
        ("--order-replicates", bench.order_replicates or None),
        ("--kid-subset-size", bench.kid_subset_size),
    ]
    places = bench.places
    for name, place in (("results", places.results), ("runs", places.runs), ("data", places.data)):
        options.append((f"--{name}", place.absolute()))
    words = [str(word) for pair in options if pair[1] is not None for word in pair]
    return RunCommand((*words, *(["--force"] if force else [])), str(Path.cwd()))
