"""Carry out one run: train, translate, score and record."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from i2i_bench.data.directions import directions_for
from i2i_bench.data.needs import draws_domains, takes_masks
from i2i_bench.data.png import save_images
from i2i_bench.data.store import Store
from i2i_bench.data.test_set import TestSet
from i2i_bench.data.training_images import TrainingImages
from i2i_bench.model import Direction, Model
from i2i_bench.plugins.cost import count_macs
from i2i_bench.records import record
from i2i_bench.records.folders import noted_load, noted_source, write_run_file
from i2i_bench.records.record import Record, Scores
from i2i_bench.report.figures import losses, samples
from i2i_bench.runs import lock
from i2i_bench.runs.bench import Bench
from i2i_bench.runs.job import Job, build_model
from i2i_bench.runs.lock import RunLock
from i2i_bench.runs.provenance import (
    load_of_training,
    make_record,
    source_of_training,
    training_costs,
)
from i2i_bench.scoring import translations
from i2i_bench.scoring.alarms import alarms_of_scores
from i2i_bench.scoring.translations import Reference
from i2i_bench.system import files
from i2i_bench.system.processes import machine_load
from i2i_bench.system.progress import Report
from i2i_bench.training import checkpoint, loop, tensorboard
from i2i_bench.training.checkpoint_file import Position
from i2i_bench.training.fast.modes import Modes, leave_out
from i2i_bench.training.loop import Schedule
from i2i_bench.training.start import frozen_digests, place_model
from i2i_bench.training.watch import Watch

logger = logging.getLogger(__name__)


def execute_run(job: Job, bench: Bench, *, store: Store | None = None, force: bool = False) -> Path:
    """Train, translate, score and record one run, resuming it where it stopped.

    Args:
        job: The run.
        bench: What it shares with others.
        store: Where its training images stay; by default in memory or on the device.
        force: Start anew, whatever is there.

    Returns:
        The record's file.

    Raises:
        Stopped: After a signal.
        ValueError: If the run cannot be carried out; what was saved stays.
        Locked: If another process works on this run.
    """
    with lock.lock_run(bench.places.runs / job.run.folder) as ours:
        return _execute(job, bench, ours, store=store, force=force)


def _execute(job: Job, bench: Bench, ours: RunLock, *, store: Store | None, force: bool) -> Path:
    files.require_writable(bench.places.results / job.run.file)
    bench.scorer.require_possible()
    folder = bench.places.runs / job.run.folder
    model = build_model(job)
    checkpoint.require_space(folder, model)
    place_model(model, bench.device)
    # Before the training: can the model take images of this size, is every image sound?
    macs = count_macs(model, job.settings, job.task, device=bench.device)
    test_set = TestSet(job.task, job.resize_rule)
    test_set.decode_all()
    references = references_of(model, job, test_set)
    images = load_images(job, bench, store)
    if force and folder.exists():
        shutil.rmtree(folder)
    for mode, reason in modes_of(job, bench)[1].items():
        logger.warning("%s: steps are taken without %s: %s", job.run, mode, reason)
    position = _train(model, job, bench, images, ours=ours, test_set=test_set)
    _draw_losses(folder)
    scores = score_run(model, job, bench, test_set, references)
    if "tensorboard" in bench.logs:
        tensorboard.add_samples(folder, position.step)
    modes, left_out = modes_of(job, bench)
    costs = training_costs(position, bench.device) | {"macs": macs, "modes": modes.names()}
    source = noted_source(folder)
    costs |= {"modes_left_out": left_out, "frozen": frozen_digests(model)}
    costs |= {"source_sha256": source, "load": load_of_training(folder, bench.crew.size)}
    made = make_record(job, model, costs, device=bench.device, folder=folder)
    if bench.crew.size > 1:
        made = made.model_copy(update={"device": f"{made.device}, {bench.crew.size} processes"})
    ours.require()
    path = record.write_record(with_scores(made, scores), bench.places.results)
    load = noted_load(folder)
    write_run_file(folder, job.task_argument, is_finished=True, source=source, load=load)
    return path


def references_of(model: Model, job: Job, test_set: TestSet) -> dict[Direction, Reference]:
    """Gather what translations are compared with, for each direction of a model."""
    count = job.settings.instances
    count = count if takes_masks(job.needs, job.task, count) else 0
    for direction in directions_for(model, job.task) if count else ():
        test_set.instances(direction.source, count)  # a damaged mask is found before the training
    return {
        direction: translations.reference(test_set, direction, count)
        for direction in directions_for(model, job.task)
    }


def load_images(job: Job, bench: Bench, store: Store | None = None) -> TrainingImages:
    """Decode the training images of a run, by default in memory or on the device."""
    return TrainingImages(
        job.task,
        job.settings,
        job.run.seed,
        bench.device,
        lambda done, of: bench.report("decode", done, of, {}),
        store=store,
        needs=job.needs,
    )


def _train(
    model: Model,
    job: Job,
    bench: Bench,
    images: TrainingImages,
    *,
    ours: RunLock,
    test_set: TestSet,
) -> Position:
    folder = bench.places.runs / job.run.folder
    source = source_of_training(job, folder)
    note = partial(write_run_file, folder, job.task_argument, is_finished=False, source=source)
    load = noted_load(folder) or _loads()
    note(load=load)

    def report(stage: str, done: int, of: int, values: Mapping[str, float]) -> None:
        ours.require()  # one report comes before each checkpoint
        bench.report(stage, done, of, values)

    with contextlib.ExitStack() as stack:
        watch: Report = Watch(model, images, report)
        if "tensorboard" in bench.logs:
            watch = stack.enter_context(tensorboard.EventLog(folder, watch))
        position = train_together(model, job, bench, images, watch, test_set)
    note(load=load if len(load) > 1 else [*load, *_loads()])
    return position


def _loads() -> list[float]:
    """Give the load of the machine now, where it is known."""
    load = machine_load()
    return [] if load is None else [load]


def train_together(
    model: Model,
    job: Job,
    bench: Bench,
    images: TrainingImages,
    report: Report,
    test_set: TestSet | None = None,
) -> Position:
    """Train; every process of a training calls this."""
    settings = job.settings
    schedule = Schedule(
        job.run.seed,
        settings.batch_size,
        settings.budget,
        job.precision,
        bench.checkpoint_seconds,
        modes_of(job, bench)[0],
    )
    return loop.train(
        model,
        images,
        schedule,
        folder=bench.places.runs / job.run.folder,
        identity=job.identity(),
        report=report,
        crew=bench.crew,
        test_set=test_set,
    )


def modes_of(job: Job, bench: Bench) -> tuple[Modes, dict[str, str]]:
    """Return the modes of a run, and those that its model makes impossible, with the reasons."""
    return leave_out(bench.modes, draws_domains=draws_domains(job.needs, job.task))


def _draw_losses(folder: Path) -> None:
    """Draw the losses; a log that was lost costs the figure only."""
    try:
        losses.loss_curves(folder / loop.LOG, folder / "losses.png")
    except (OSError, ValueError) as error:
        logger.warning("no figure of the losses: %s", error)


def with_scores(made: Record, scores: Scores) -> Record:
    """Give a record these scores, and the alarms that they raise."""
    return made.model_copy(update={"scores": scores, "alarms": alarms_of_scores(scores)})


def score_run(
    model: Model,
    job: Job,
    bench: Bench,
    test_set: TestSet,
    references: Mapping[Direction, Reference],
) -> Scores:
    """Translate the test set in the directions of the references, save and score the results."""
    device, report, count = bench.device, bench.report, job.settings.instances
    scores: Scores = {}
    metrics = bench.scorer.metrics
    for direction, against in references.items():
        found = translations.translate_test_set(
            model,
            test_set,
            direction,
            device=device,
            progress=lambda stage, done, of: report(stage, done, of, {}),
            num_instances=count,
            num_outputs=metrics.num_outputs(has_answers=against.answers is not None),
        )
        folder = bench.places.runs / job.run.folder
        save_images(folder / f"translations-{direction}", found.names, found.fakes)
        rows = list(translations.sample_rows(model, found, against, device=device))
        samples.sample_grid(rows, folder / f"samples-{direction}.png")
        scores |= bench.scorer.score(job.task, found, against)
    return scores
