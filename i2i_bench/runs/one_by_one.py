"""Carry out a plan run after run, in this process and those that train with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from i2i_bench.data.store import Store
from i2i_bench.records.folders import Places, is_unfinished
from i2i_bench.records.record import Record
from i2i_bench.runs.bench import Bench
from i2i_bench.runs.evaluate import evaluate_run, is_scored
from i2i_bench.runs.execute import execute_run, load_images, train_together
from i2i_bench.runs.find import note_task, recorded_already, recorded_run
from i2i_bench.runs.job import Job, build_model, expect_memory
from i2i_bench.runs.said import said_of_shape, said_of_task
from i2i_bench.scoring.protocols import Protocol
from i2i_bench.system.messages import reason
from i2i_bench.training import memory
from i2i_bench.training.memory import MemoryNeed
from i2i_bench.training.signals import Stopped
from i2i_bench.training.start import place_model


def run_one_by_one(
    jobs: Sequence[Job], bench: Bench, *, force: bool, say: Callable[[str], None]
) -> None:
    """Carry out a plan: skip runs that are recorded, resume those that were stopped.

    After a run fails the others are still done, unless several processes train together.

    Raises:
        Stopped: After a signal.
        ValueError: If runs failed, once all others are done.
    """
    failed = []
    for job in jobs:
        bench.crew.require(str(job.run), job.model_class.card, job.settings)
    told: set[str] = set()
    for number, job in enumerate(jobs, start=1):
        if job.run.task not in told:
            told.add(job.run.task)
            for line in said_of_task(job):
                say(f"{job.run.task}: {line}")
        title = f"[{number}/{len(jobs)}] {job.run}"
        try:
            say(f"{title}: {_carry_out_one(number - 1, job, bench, force=force, say=say)}")
        except Stopped:
            raise
        except Exception as error:  # a model may fail in any way
            if len(jobs) == 1 or bench.crew.size > 1:
                raise
            failed.append(f"{job.run}: {reason(error)}")
            say(f"{title}: failed: {reason(error)}")
    bench.crew.call(None)
    require_done(failed, len(jobs))


def require_done(failed: Sequence[str], total: int) -> None:
    """Raise ValueError if runs of a plan failed, with the reason of the first one."""
    if failed:
        raise ValueError(f"{len(failed)} of {total} runs failed, first {failed[0]}")


def assist(jobs: Sequence[Job], bench: Bench) -> None:
    """Take part in every training that the first process begins, until its plan is done.

    Raises:
        Stopped: After a signal.
        ValueError: As in ``run_one_by_one``.
    """
    for job in jobs:
        bench.crew.require(str(job.run), job.model_class.card, job.settings)
    while (number := bench.crew.call(None)) is not None:
        job = jobs[number]
        model = build_model(job)
        place_model(model, bench.device)
        _, store = _expect_memory(job, bench)
        train_together(model, job, bench, load_images(job, bench, store), bench.report)


def _carry_out_one(
    number: int, job: Job, bench: Bench, *, force: bool, say: Callable[[str], None]
) -> str:
    """Finish one run; say what was done."""
    kept = record_to_keep(job, bench.places, force=force)
    if kept:
        missing = [p for p in bench.protocols if not _is_scored(kept, p, job, bench)]
        if not missing:
            note_task(job, bench.places)
            return recorded_already(job, kept, bench.places)
        bench = dataclasses.replace(bench, protocols=missing)
        return f"scored again; record {evaluate_run(job, bench)}"
    need, store = _expect_memory(job, bench)
    say(f"{job.run} needs {need} of memory{' a process' if bench.crew.size > 1 else ''}")
    memory.require_memory(need, bench.device)
    if store.home == "file":
        say(f"{job.run} keeps its training images, {store}")
    for line in said_of_shape(job):
        say(f"{job.run}: {line}")
    bench.crew.call(number)
    return f"recorded in {execute_run(job, bench, store=store, force=force)}"


def _expect_memory(job: Job, bench: Bench) -> tuple[MemoryNeed, Store]:
    """Estimate the memory of one process, which has a part of each batch."""
    part = dataclasses.replace(job, settings=bench.crew.part(job.settings))
    return expect_memory(part, bench.device, bench.places.runs)


def record_to_keep(job: Job, places: Places, *, force: bool) -> Record | None:
    """Return the record of a run that need not be repeated."""
    folder = places.runs / job.run.folder
    return None if force or is_unfinished(folder) else recorded_run(job, places)


def is_done(job: Job, bench: Bench, *, force: bool) -> bool:
    """Tell whether a run is recorded and scored; False too where its record does not fit."""
    try:
        found = record_to_keep(job, bench.places, force=force)
    except ValueError:  # which is that run's to say
        return False
    return found is not None and all(_is_scored(found, p, job, bench) for p in bench.protocols)


def _is_scored(found: Record, protocol: Protocol, job: Job, bench: Bench) -> bool:
    return is_scored(found, protocol, job.task, bench.metrics)
