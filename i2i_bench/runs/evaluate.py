"""Score a finished run again, or imported networks."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from i2i_bench import official
from i2i_bench.data.directions import directions_for, directions_of
from i2i_bench.data.test_set import TestSet
from i2i_bench.model import Direction, Model
from i2i_bench.official import AbsentNetwork
from i2i_bench.plugins.cost import count_macs
from i2i_bench.plugins.source import is_of, joined_sources, source_digest
from i2i_bench.pretrained import without_weights
from i2i_bench.records import record
from i2i_bench.records.folders import read_record_of
from i2i_bench.records.record import Record, Scores
from i2i_bench.runs.bench import Bench
from i2i_bench.runs.execute import references_of, score_run, with_scores
from i2i_bench.runs.find import note_task, recorded_run
from i2i_bench.runs.job import OFFICIAL, Job, build_model
from i2i_bench.runs.provenance import TRAINING_COSTS, make_record
from i2i_bench.scoring.metric_set import chosen_metrics, known_metrics
from i2i_bench.scoring.more import added_scores, kept_scores
from i2i_bench.scoring.protocols import Protocol
from i2i_bench.system import files
from i2i_bench.tasks.task import Task
from i2i_bench.training import checkpoint
from i2i_bench.training.settings import without_memory
from i2i_bench.training.start import FROZEN

logger = logging.getLogger(__name__)


def is_scored(found: Record, protocol: Protocol, task: Task, metrics: Sequence[str] = ()) -> bool:
    """Tell whether a record holds scores under this version of a protocol.

    In every direction of the model, or of the task where it states none; or in one where networks
    are absent. They must hold the metrics of these names, unless every run is scored with them.
    """
    chosen = chosen_metrics(metrics) if metrics else ()
    asked = {m.key for m in chosen if m.name in metrics and not m.is_default}

    wanted = found.directions or directions_of(task)
    scores = [found.scores.get(f"{protocol}/{direction}") for direction in wanted]
    there = [score is not None and asked <= score.values.keys() for score in scores]
    return any(there) if found.absent else all(there)


def evaluate_run(job: Job, bench: Bench, *, force: bool = False) -> Path:
    """Score a finished run again, or imported networks, without training; give the record.

    Without ``force``, what a score holds stays, and metrics that it lacks are added. Metrics that
    were asked for before are measured again.

    Raises:
        ValueError: If there is no finished run or record, or a score is there and not ``force``.
    """
    bench.scorer.require_possible()
    if job.preset == OFFICIAL:
        return _evaluate_official(job, bench, force=force)
    found = read_record_of(job.run.folder, bench.places)
    _require_new(found, job, bench, force=force)
    bench = _with_recorded_metrics(bench, found)
    folder = bench.places.runs / job.run.folder
    content = checkpoint.latest_checkpoint(folder)
    if content is None:
        raise ValueError(f"no checkpoint in {folder}; without one it cannot be scored again")
    blank = without_memory(job.model_class, job.settings, content["networks"])
    checkpoint.require_fit(blank, content)
    with without_weights():
        model = job.model_class(job.settings.config)
    kept = {key: each for key, each in content["identity"].items() if key == FROZEN}
    position = checkpoint.restore_checkpoint(model, content, job.identity() | kept)
    if position.images_seen < job.settings.budget:
        raise ValueError(f"{job.run} is not finished: {position.images_seen} images seen")
    model.networks.to(bench.device)
    test_set = TestSet(job.task, job.resize_rule)
    references = references_of(model, job, test_set)
    scores = score_run(model, job, bench, test_set, references)
    now = source_digest(job.model_class)
    path = _add_scores(found, scores, bench.places.results, source=now, force=force)
    note_task(job, bench.places)
    return path


def _with_recorded_metrics(bench: Bench, found: Record) -> Bench:
    """Also ask for the metrics that scores of a record hold because they were asked for."""
    held = {key for score in found.scores.values() for key in score.metrics}
    names = [metric.name for metric in known_metrics() if metric.key in held]
    return dataclasses.replace(bench, metrics=tuple(dict.fromkeys([*bench.metrics, *names])))


def _add_scores(found: Record, scores: Scores, results: Path, *, source: str, force: bool) -> Path:
    """Add scores to the record on disk, to which other processes may have added some.

    Where other code of the model than the present one trained the run, the record names both.

    Raises:
        ValueError: If the run was trained again since the record was read.
    """
    path = results / found.run.file
    with files.locked(path.parent):
        now = record.read_record(path)
        scored = {"scores", "alarms", "source_sha256"}
        if now.model_dump(exclude=scored) != found.model_dump(exclude=scored):
            raise ValueError(f"{found.run} was trained again while it was scored; score it again")
        new = _replacing(now, scores) if force else added_scores(now.scores, scores)
        made = with_scores(now, now.scores | new)
        return record.write_record(_with_code(made, source), results)


def _replacing(now: Record, scores: Scores) -> Scores:
    """Return scores to replace recorded ones, with what these hold of metrics that are gone."""
    new, said = kept_scores(now.scores, scores, known_metrics())
    for sentence in said:
        logger.warning("%s: %s", now.run, sentence)
    return new


def _with_code(made: Record, now: str) -> Record:
    """Name the present code of a model too, which translated, if other code trained."""
    if is_of(made.source_sha256, now):
        return made
    logger.warning(
        "%s was trained by other code of %s (%s, now %s); the present one translated, as its "
        "record says from now on",
        *(made.run, made.model, made.source_sha256, now),
    )
    return made.model_copy(update={"source_sha256": joined_sources(made.source_sha256, now)})


def _add_official(made: Record, scores: Scores, results: Path, *, force: bool) -> Path:
    """Write scores of imported networks, beside those that were made with the same settings."""
    path = results / made.run.file
    with files.locked(path.parent):
        with contextlib.suppress(ValueError):  # there is none yet, or it is to be replaced
            now = record.read_record(path)
            if (now.settings, now.task_version) == (made.settings, made.task_version):
                made = now
        new = _replacing(made, scores) if force else added_scores(made.scores, scores)
        return record.write_record(with_scores(made, made.scores | new), results)


def _require_new(found: Record, job: Job, bench: Bench, *, force: bool) -> None:
    metrics = bench.metrics
    present = [str(p) for p in bench.protocols if is_scored(found, p, job.task, metrics)]
    if present and not force:
        raise ValueError(
            f"{found.run} is scored under {', '.join(present)} already; --force replaces that"
        )


def _evaluate_official(job: Job, bench: Bench, *, force: bool) -> Path:
    """Score imported networks in the directions that they make possible."""
    found = _scored_before(job, bench, force=force)
    bench = _with_recorded_metrics(bench, found) if found else bench
    with without_weights():
        model = build_model(job)
    model.networks.to(bench.device)
    official.refuse_absent(model)
    macs = _count_possible(model, job, bench.device)
    test_set = TestSet(job.task, job.resize_rule)
    every = references_of(model, job, test_set)
    references = {direction: against for direction, against in every.items() if direction in macs}
    scores = score_run(model, job, bench, test_set, references)
    if found is None:
        folder = bench.places.runs / job.run.folder
        costs = dict.fromkeys(TRAINING_COSTS) | {"macs": next(iter(macs.values()))}
        costs |= {"source_sha256": source_digest(job.model_class)}
        found = make_record(job, model, costs, device=bench.device, folder=folder)
    return _add_official(found, scores, bench.places.results, force=force)


def _scored_before(job: Job, bench: Bench, *, force: bool) -> Record | None:
    """Return the record to add to; with ``force``, None if its settings differ."""
    try:
        found = recorded_run(job, bench.places)
    except ValueError:
        if force:
            return None
        raise
    if found:
        _require_new(found, job, bench, force=force)
    return found


def _count_possible(model: Model, job: Job, device: torch.device) -> dict[Direction, int]:
    """Count the multiply-adds of each direction whose networks are there.

    Raises:
        ValueError: If there is none, or the model cannot take images of this size.
    """
    macs, reasons = {}, []
    for direction in directions_for(model, job.task):
        try:
            macs[direction] = count_macs(
                model, job.settings, job.task, device=device, direction=direction
            )
        except AbsentNetwork as error:
            reasons.append(f"{job.run}: no scores of {direction}: {error}")
    if not macs:
        raise ValueError(reasons[0])
    for missing in reasons:
        logger.warning(missing)
    return macs
