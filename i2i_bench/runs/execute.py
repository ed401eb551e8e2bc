"""From a plan to records: train, translate, score and record each run."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from i2i_bench import official
from i2i_bench.data.directions import directions_of
from i2i_bench.data.store import Store
from i2i_bench.data.training_images import TrainingImages
from i2i_bench.model import Direction, Model, named_networks
from i2i_bench.official import AbsentNetwork
from i2i_bench.plugins import registry
from i2i_bench.records import record
from i2i_bench.records.record import Record, Scores
from i2i_bench.report.figures import samples
from i2i_bench.runs import lock, plan
from i2i_bench.runs.lock import Claim
from i2i_bench.runs.plan import Job, Places
from i2i_bench.scoring import translations
from i2i_bench.scoring.health import Watch
from i2i_bench.scoring.protocols import Protocol
from i2i_bench.scoring.scorer import Scorer, alarms
from i2i_bench.scoring.test_set import TestSet
from i2i_bench.system import files
from i2i_bench.system.messages import reason
from i2i_bench.tasks.task import Task
from i2i_bench.training import checkpoint, loop, memory, parallel, tensorboard
from i2i_bench.training.checkpoint import Position
from i2i_bench.training.fast.modes import PLAIN, Modes
from i2i_bench.training.loop import Report, Schedule
from i2i_bench.training.memory import Need
from i2i_bench.training.parallel import Crew
from i2i_bench.training.settings import without_memory

logger = logging.getLogger(__name__)

TRAINING_COSTS = (  # in a record, None where the training was elsewhere
    *("images_seen", "steps", "seconds", "images_per_second"),
    *("peak_memory_bytes", "peak_memory_of"),
)


@dataclass(frozen=True)
class Bench:
    """What every run of a plan shares.

    Attributes:
        places: Where files belong.
        protocols: How to score.
        device: Where to compute.
        report: Told of progress.
        checkpoint_seconds: Time between checkpoints.
        logs: What copies the loss log: ``tensorboard``, or nothing.
        order_replicates: As in ``scorer.Scorer``.
        kid_subset_size: As in ``scorer.Scorer``.
        modes: How training steps are carried out.
        crew: The processes that train together; all else is done by the first one.
    """

    places: Places
    protocols: Sequence[Protocol]
    device: torch.device
    report: Report
    checkpoint_seconds: float = 300.0
    logs: Sequence[str] = ()
    order_replicates: int = 0
    kid_subset_size: int | None = None
    modes: Modes = PLAIN
    crew: Crew = parallel.ALONE

    @property
    def scorer(self) -> Scorer:
        """How to score."""
        return Scorer(
            self.protocols, self.device, self.report, self.order_replicates, self.kid_subset_size
        )


def carry_out(
    jobs: Sequence[Job], bench: Bench, *, force: bool, say: Callable[[str], None]
) -> None:
    """Carry out a plan: skip what is recorded, go on with what was stopped, do the rest.

    A run that fails does not keep the others from being done, unless several processes train.

    Raises:
        training.Stopped: After a signal.
        ValueError: If runs failed, once all others are done.
    """
    failed = []
    for job in jobs:
        bench.crew.require(str(job.run), job.model_class.card, job.settings)
    for number, job in enumerate(jobs, start=1):
        title = f"[{number}/{len(jobs)}] {job.run}"
        try:
            say(f"{title}: {_carry_out_one(number - 1, job, bench, force=force, say=say)}")
        except loop.Stopped:
            raise
        except Exception as error:  # a model may fail in any way
            if len(jobs) == 1 or bench.crew.size > 1:
                raise
            failed.append(f"{job.run}: {reason(error)}")
            say(f"{title}: failed: {reason(error)}")
    bench.crew.call(None)
    require_done(failed, len(jobs))


def require_done(failed: Sequence[str], total: int) -> None:
    """Raise ValueError if runs of a plan failed, with what the first one failed of."""
    if failed:
        raise ValueError(f"{len(failed)} of {total} runs failed, first {failed[0]}")


def assist(jobs: Sequence[Job], bench: Bench) -> None:
    """Train with the first process what that one begins, until its plan is done.

    Raises:
        training.Stopped: After a signal.
        ValueError: As in ``carry_out``.
    """
    for job in jobs:
        bench.crew.require(str(job.run), job.model_class.card, job.settings)
    while (number := bench.crew.call(None)) is not None:
        job = jobs[number]
        model = build(job)
        model.networks.to(bench.device)
        _, store = _expect_memory(job, bench)
        _train_together(model, job, bench, _load_images(job, bench, store), bench.report)


def _carry_out_one(
    number: int, job: Job, bench: Bench, *, force: bool, say: Callable[[str], None]
) -> str:
    """Do what is left to do for one run; say what was done."""
    found = recorded(job, bench.places, force=force)
    if found:
        missing = [p for p in bench.protocols if not is_scored(found, p, job.task)]
        if not missing:
            plan.note_task(job, bench.places)
            return f"recorded already in {bench.places.results / job.run.file}"
        bench = dataclasses.replace(bench, protocols=missing)
        return f"scored again; record {evaluate(job, bench)}"
    need, store = _expect_memory(job, bench)
    say(f"{job.run} needs {need} of memory{' a process' if bench.crew.size > 1 else ''}")
    memory.require(need, bench.device)
    if store.home == "file":
        say(f"{job.run} keeps its training images, {store}")
    bench.crew.call(number)
    return f"recorded in {execute(job, bench, store=store, force=force)}"


def _expect_memory(job: Job, bench: Bench) -> tuple[Need, Store]:
    """Expect the memory of the part of a batch that one process has."""
    part = dataclasses.replace(job, settings=bench.crew.part(job.settings))
    return plan.expect_memory(part, bench.device, bench.places.runs)


def recorded(job: Job, places: Places, *, force: bool) -> Record | None:
    """Return the record that a run need not be done again for."""
    folder = places.runs / job.run.folder
    return None if force or plan.is_unfinished(folder) else plan.recorded(job, places)


def is_done(job: Job, bench: Bench, *, force: bool) -> bool:
    """Tell whether a run is recorded and scored; False too where its record does not fit."""
    try:
        found = recorded(job, bench.places, force=force)
    except ValueError:  # which is that run's to say
        return False
    return found is not None and all(is_scored(found, p, job.task) for p in bench.protocols)


def choose_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ValueError: If CUDA is asked for and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda was asked for, but torch finds none; use --device cpu")
    torch.backends.cudnn.allow_tf32 = False  # fp32 means 32 bits
    return parallel.own_device(name)


def execute(job: Job, bench: Bench, *, store: Store | None = None, force: bool = False) -> Path:
    """Train, translate, score and record one run, going on from where it stopped.

    Args:
        job: The run.
        bench: What it shares with others.
        store: Where its training images stay; by default in memory or on the device.
        force: Start anew, whatever is there.

    Returns:
        The record's file.

    Raises:
        training.Stopped: After a signal.
        ValueError: If anything is not as it must be; what was saved stays.
        claims.Claimed: If another process works on this run.
    """
    with lock.claim(bench.places.runs / job.run.folder) as ours:
        return _execute(job, bench, ours, store=store, force=force)


def _execute(job: Job, bench: Bench, ours: Claim, *, store: Store | None, force: bool) -> Path:
    files.require_writable(bench.places.results / job.run.file)
    bench.scorer.require_possible()
    folder = bench.places.runs / job.run.folder
    model = build(job)
    checkpoint.require_space(folder, model)
    model.networks.to(bench.device)
    # Before the training: can the model take images of this size, is every test image sound?
    macs = translations.count_macs(model, job.settings, job.task, device=bench.device)
    test_set = TestSet(job.task, job.settings.resize_rule)
    test_set.decode_all()
    images = _load_images(job, bench, store)
    if force and folder.exists():
        shutil.rmtree(folder)
    position = _train(model, job, bench, images, ours=ours, test_set=test_set)
    _draw_losses(folder)
    scores = score_run(model, job, bench, test_set, directions_of(job.task))
    if "tensorboard" in bench.logs:
        tensorboard.add_samples(folder, position.step)
    costs = _training_costs(position, bench.device) | {"macs": macs, "modes": bench.modes.names()}
    made = _make_record(job, model, costs, device=bench.device, folder=folder)
    if bench.crew.size > 1:
        made = made.model_copy(update={"device": f"{made.device}, {bench.crew.size} processes"})
    ours.require()
    path = record.write(_with_scores(made, scores), bench.places.results)
    plan.write_run_file(folder, job.task_argument, is_finished=True)
    return path


def build(job: Job) -> Model:
    """Build the model of a run as it is before the first step."""
    torch.manual_seed(job.run.seed)
    model = job.model_class(job.settings.config)
    if job.start:
        model.networks.load_state_dict(job.start.networks, strict=False)
        if job.preset == plan.OFFICIAL:
            model.absent = job.start.absent
        elif job.start.absent:
            new = ", ".join(sorted(job.start.absent))
            logger.warning("%s begins with new %s: not in %s", job.run, new, job.start.origin)
    return model


def _load_images(job: Job, bench: Bench, store: Store | None = None) -> TrainingImages:
    return TrainingImages(
        job.task,
        job.settings,
        job.run.seed,
        bench.device,
        lambda done, of: bench.report("decode", done, of, {}),
        store=store,
        in_pairs=job.model_class.card.takes_pairs,
    )


def _train(
    model: Model,
    job: Job,
    bench: Bench,
    images: TrainingImages,
    *,
    ours: Claim,
    test_set: TestSet,
) -> Position:
    folder = bench.places.runs / job.run.folder
    plan.write_run_file(folder, job.task_argument, is_finished=False)

    def report(stage: str, done: int, of: int, values: Mapping[str, float]) -> None:
        ours.require()  # one report comes before each checkpoint
        bench.report(stage, done, of, values)

    with contextlib.ExitStack() as stack:
        watch: Report = Watch(model, images, report)
        if "tensorboard" in bench.logs:
            watch = stack.enter_context(tensorboard.EventLog(folder, watch))
        return _train_together(model, job, bench, images, watch, test_set)


def _train_together(
    model: Model,
    job: Job,
    bench: Bench,
    images: TrainingImages,
    report: Report,
    test_set: TestSet | None = None,
) -> Position:
    """Do what every process of a training does."""
    settings = job.settings
    schedule = Schedule(
        job.run.seed,
        settings.batch_size,
        settings.budget,
        job.precision,
        bench.checkpoint_seconds,
        bench.modes,
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


def _draw_losses(folder: Path) -> None:
    """Draw the losses; a log that was lost costs the figure only."""
    try:
        samples.loss_curves(folder / loop.LOG, folder / "losses.png")
    except (OSError, ValueError) as error:
        logger.warning("no figure of the losses: %s", error)


def is_scored(found: Record, protocol: Protocol, task: Task) -> bool:
    """Tell whether a record holds scores under this version of a protocol.

    In every direction of the task, or in one where networks are absent.
    """
    there = [f"{protocol}/{direction}" in found.scores for direction in directions_of(task)]
    return any(there) if found.absent else all(there)


def evaluate(job: Job, bench: Bench, *, force: bool = False) -> Path:
    """Score a finished run again, or imported networks, without training; give the record.

    Raises:
        ValueError: If there is no finished run or record, or a score is there and not ``force``.
    """
    bench.scorer.require_possible()
    if job.preset == plan.OFFICIAL:
        return _evaluate_official(job, bench, force=force)
    found = plan.read_record(job.run.folder, bench.places)
    _require_new(found, job, bench, force=force)
    folder = bench.places.runs / job.run.folder
    content = checkpoint.latest(folder)
    if content is None:
        raise ValueError(f"no checkpoint in {folder}; without one it cannot be scored again")
    blank = without_memory(job.model_class, job.settings, content["networks"])
    checkpoint.require_fit(blank, content)
    model = job.model_class(job.settings.config)
    position = checkpoint.restore(model, content, job.identity())
    if position.images_seen < job.settings.budget:
        raise ValueError(f"{job.run} is not finished: {position.images_seen} images seen")
    model.networks.to(bench.device)
    test_set = TestSet(job.task, job.settings.resize_rule)
    scores = score_run(model, job, bench, test_set, directions_of(job.task))
    path = _add_scores(found, scores, bench.places.results)
    plan.note_task(job, bench.places)
    return path


def _add_scores(found: Record, scores: Scores, results: Path) -> Path:
    """Add scores to a record as it is by now: another process may have added some meanwhile.

    Raises:
        ValueError: If the run was trained again since the record was read.
    """
    path = results / found.run.file
    with files.locked(path.parent):
        now = record.read(path)
        scored = {"scores", "alarms"}
        if now.model_dump(exclude=scored) != found.model_dump(exclude=scored):
            raise ValueError(f"{found.run} was trained again while it was scored; score it again")
        return record.write(_with_scores(now, now.scores | scores), results)


def _add_official(made: Record, scores: Scores, results: Path) -> Path:
    """Write scores of imported networks, beside those that were made with the same settings."""
    path = results / made.run.file
    with files.locked(path.parent):
        with contextlib.suppress(ValueError):  # there is none yet, or it is to be replaced
            now = record.read(path)
            if (now.settings, now.task_version) == (made.settings, made.task_version):
                made = now
        return record.write(_with_scores(made, made.scores | scores), results)


def _with_scores(made: Record, scores: Scores) -> Record:
    return made.model_copy(update={"scores": scores, "alarms": alarms(scores)})


def _require_new(found: Record, job: Job, bench: Bench, *, force: bool) -> None:
    present = [str(each) for each in bench.protocols if is_scored(found, each, job.task)]
    if present and not force:
        raise ValueError(
            f"{found.run} is scored under {', '.join(present)} already; --force replaces that"
        )


def _evaluate_official(job: Job, bench: Bench, *, force: bool) -> Path:
    """Score imported networks in the directions that they make possible."""
    found = _scored_before(job, bench, force=force)
    model = build(job)
    model.networks.to(bench.device)
    official.refuse_absent(model)
    macs = _count_possible(model, job, bench.device)
    test_set = TestSet(job.task, job.settings.resize_rule)
    scores = score_run(model, job, bench, test_set, list(macs))
    if found is None:
        folder = bench.places.runs / job.run.folder
        costs = dict.fromkeys(TRAINING_COSTS) | {"macs": next(iter(macs.values()))}
        found = _make_record(job, model, costs, device=bench.device, folder=folder)
    return _add_official(found, scores, bench.places.results)


def _scored_before(job: Job, bench: Bench, *, force: bool) -> Record | None:
    """Give the record to add to, which ``force`` lets go if it was made with other settings."""
    try:
        found = plan.recorded(job, bench.places)
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
    for direction in directions_of(job.task):
        try:
            macs[direction] = translations.count_macs(
                model, job.settings, job.task, device=device, direction=direction
            )
        except AbsentNetwork as error:
            reasons.append(f"{job.run}: no scores of {direction}: {error}")
    if not macs:
        raise ValueError(reasons[0])
    for missing in reasons:
        logger.warning(missing)
    return macs


def score_run(
    model: Model, job: Job, bench: Bench, test_set: TestSet, directions: Sequence[Direction]
) -> Scores:
    """Translate the test set in these directions, save what came out and score it."""
    device, report = bench.device, bench.report
    scores: Scores = {}
    for direction in directions:
        found = translations.translate_test_set(
            model,
            test_set,
            direction,
            device=device,
            progress=lambda stage, done, of: report(stage, done, of, {}),
        )
        against = translations.reference(test_set, direction)
        folder = bench.places.runs / job.run.folder
        translations.save_images(folder / f"translations-{direction}", found.names, found.fakes)
        rows = list(translations.sample_rows(model, found, against, device=device))
        samples.sample_grid(rows, folder / f"samples-{direction}.png")
        scores |= bench.scorer.score(job.task, found, against)
    return scores


def _training_costs(position: Position, device: torch.device) -> dict[str, Any]:
    return {
        "images_seen": position.images_seen,
        "steps": position.step,
        "seconds": round(position.seconds, 3),
        "images_per_second": round(position.images_seen / position.seconds, 3),
        "peak_memory_bytes": position.peak_memory,
        "peak_memory_of": "device" if device.type == "cuda" else "process",
    }


def _make_record(
    job: Job, model: Model, costs: Mapping[str, Any], *, device: torch.device, folder: Path
) -> Record:
    """Gather what a record holds besides scores."""
    entry = registry.find(job.run.model)
    return Record(
        model=job.run.model,
        distribution=entry.distribution,
        distribution_version=entry.version,
        variant=job.run.variant,
        preset=job.preset,
        task=job.task.name,
        task_version=job.task.version,
        headline=job.task.headline,
        seed=job.run.seed,
        settings=job.plain_settings(),
        parameters=count_parameters(model),
        absent=sorted(model.absent),
        **costs,
        device=device_name(device),
        torch_version=torch.__version__,
        harness_version=version("i2i-bench"),
        commit=commit(),
        scores={},
        artefacts=_artefacts(folder),
    )


def _artefacts(folder: Path) -> list[str]:
    """Name the files of a run; of checkpoints the last: which was before it, the clock decides."""
    names = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    older = [name for name in names if checkpoint.is_checkpoint(name)][:-1]
    return [name for name in names if name not in older]


def count_parameters(model: Model) -> dict[str, int]:
    """Count the parameters of each network that is there."""
    return {
        name: sum(parameter.numel() for parameter in network.parameters())
        for name, network in named_networks(model.networks)
        if name not in model.absent
    }


def device_name(device: torch.device) -> str:
    """Name the hardware: the GPU, or the processor and the threads used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = models[0] if models else name
    count = torch.get_num_threads()
    return f"{name}, {count} thread{'s' * (count != 1)}"


@functools.cache
def commit() -> str | None:
    """Return the harness's commit, with ``+`` if files differ from it; None outside a checkout."""
    folder = Path(__file__).parents[1]
    describe = ["describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+"]
    if not (folder.parent / ".git").exists() or shutil.which("git") is None:
        return None
    done = subprocess.run(
        ["git", "-C", str(folder), *describe], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None
