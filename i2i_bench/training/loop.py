"""The training loop: budget, precision, log, checkpoints, resume."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from i2i_bench.data.needs import test_rule
from i2i_bench.data.test_set import TestSet
from i2i_bench.data.training_images import TrainingImages
from i2i_bench.model import Clock, Model
from i2i_bench.randomness import Randomness
from i2i_bench.records.record import LARGEST_LOG
from i2i_bench.system.files import make_folders, read_bounded, sync, write_text
from i2i_bench.system.progress import Report
from i2i_bench.system.tensors import not_finite
from i2i_bench.training import checkpoint, parallel
from i2i_bench.training.checkpoint_file import Position
from i2i_bench.training.fast.modes import PLAIN, Modes, prepared, tensor_floats
from i2i_bench.training.fast.step import Step
from i2i_bench.training.memory import peak_memory, reset_peak_memory
from i2i_bench.training.parallel import Crew
from i2i_bench.training.signals import Stopped, stop_signals
from i2i_bench.training.snapshots import Album
from i2i_bench.training.start import with_frozen

LOG = "losses.jsonl"
LOG_LINES = 1000  # of a whole run, so that the log stays bounded
REPORT_SECONDS = 10.0  # after which progress is reported, and losses looked at, between two lines
Precision = Literal["fp32", "tf32", "bf16"]


@dataclass(frozen=True)
class Schedule:
    """How to walk through the data.

    Attributes:
        seed: Of order, augmentation and every draw.
        batch_size: Samples a step, of all processes; the last step has what is left of the budget.
        budget: Images seen in the whole run.
        precision: ``bf16`` runs steps under autocast; ``tf32`` is CUDA's float32 of 10 bits.
        checkpoint_seconds: Time between checkpoints; there is always one at the end.
        modes: How steps are carried out; they move last digits only.
    """

    seed: int
    batch_size: int
    budget: int
    precision: Precision = "fp32"
    checkpoint_seconds: float = 300.0
    modes: Modes = PLAIN

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return math.ceil(self.budget / self.batch_size)


def train(
    model: Model,
    images: TrainingImages,
    schedule: Schedule,
    *,
    folder: Path,
    identity: Mapping[str, Any],
    report: Report,
    crew: Crew = parallel.ALONE,
    test_set: TestSet | None = None,
) -> Position:
    """Train until the budget is spent, resuming from the folder's newest checkpoint.

    Args:
        model: On its device, as its constructor left it.
        images: Training images on the same device.
        schedule: How to walk through them.
        folder: Of the run: log, snapshots and checkpoints.
        identity: What the run is; a checkpoint of something else is refused.
        report: Told of progress, at every line of the log and every ``REPORT_SECONDS``.
        crew: The processes that train together; the first one alone reads and writes the folder.
        test_set: Of which snapshots show a few images; by default decoded for them alone.

    Raises:
        Stopped: After SIGINT or SIGTERM; the state is saved.
        ValueError: If a loss is no longer finite, or a checkpoint cannot be written or used.
    """
    identity = with_frozen(identity, model)
    found = _open(model, images, folder, identity, schedule.seed) if crew.is_first else Position()
    position, sharing = crew.align(model, found, identity)
    loop = _Loop(model, images, schedule, folder / LOG, position, crew)
    album = _album(model, images, folder, schedule.budget, test_set)
    if crew.is_first:
        loop.truncate_log()
    if not loop.images_seen:
        loop.photograph(album, report)
    model.networks.train()
    reset_peak_memory(images.device)
    with (
        sharing,
        stop_signals() as stop,
        tensor_floats(allowed=schedule.precision == "tf32"),
        prepared(model, schedule.modes),
    ):
        number = loop.walk(album, report, stop, save=partial(loop.save, folder, identity, report))
        if number:
            name = signal.Signals(number).name
            raise Stopped(f"stopped by {name} {loop}; saved in {folder}")
    return loop.position()


def _album(
    model: Model, images: TrainingImages, folder: Path, budget: int, test_set: TestSet | None
) -> Album:
    """Begin the snapshots of a run."""
    settings = images.settings
    count, rule = settings.instances, test_rule(model.needs(model.config), settings)
    tests = test_set or TestSet(images.task, rule)
    return Album(model, tests, folder, budget, device=images.device, num_instances=count)


def _open(
    model: Model, images: TrainingImages, folder: Path, identity: Mapping[str, Any], seed: int
) -> Position:
    """Set a model to the newest checkpoint of a folder; without one, have it prepare itself."""
    make_folders(folder)
    checkpoint.remove_drafts(folder)
    content = checkpoint.latest_checkpoint(folder)
    if content:
        return checkpoint.restore_checkpoint(model, content, identity)
    with torch.no_grad():
        model.prepare(images.batches(), Randomness(seed, device=images.device))
    return Position()


class _Loop:
    """One session of a training: its steps, and the losses since the last line of the log."""

    def __init__(
        self,
        model: Model,
        images: TrainingImages,
        schedule: Schedule,
        log: Path,
        start: Position,
        crew: Crew,
    ) -> None:
        self.crew = crew
        self.model, self.images, self.schedule, self.log = model, images, schedule, log
        self.device = images.device
        self.take_step = Step(
            model,
            Randomness(schedule.seed, device=self.device),
            schedule.modes,
            is_bf16=schedule.precision == "bf16",
        )
        self.start, self.steps, self.images_seen = start, start.step, start.images_seen
        self.every = max(1, schedule.total_steps // LOG_LINES)
        self.pending: list[dict[str, Tensor]] = []  # on the device, since they were last read
        self.weights: list[float] = []  # of this process, for each of them
        self.unwritten: list[dict[str, float]] = []  # of each step since the last line of the log
        self.seconds, self.since = start.seconds, time.monotonic()

    def __str__(self) -> str:
        return f"after {self.images_seen} of {self.schedule.budget} images"

    def walk(
        self, album: Album, report: Report, stop: Sequence[int], *, save: Callable[[], None]
    ) -> int:
        """Take all steps, or until a signal; save the state, return the signal's number or 0.

        Raises:
            ValueError: As ``tell`` and ``save`` do.
        """
        crew, schedule = self.crew, self.schedule
        saved, number = time.monotonic(), 0
        while not number and self.images_seen < schedule.budget:
            before = self.images_seen
            self.step()
            ended = self.images_seen == schedule.budget
            now = time.monotonic()
            number, is_late, is_due = crew.agree(
                stop[0] if stop else 0,
                crew.is_first and now - self.since >= REPORT_SECONDS,
                crew.is_first and now - saved > schedule.checkpoint_seconds,
            )
            self.tell(report, is_late=bool(is_late), is_last=ended or bool(number))
            if album.is_due(before, self.images_seen):
                self.photograph(album, report)
            if number or ended or is_due:
                save()
                saved = time.monotonic()
        (last,) = crew.agree(stop[0] if stop else 0)  # nobody leaves before the state is saved
        return number or last

    def step(self) -> None:
        """Take one step; its losses stay on the device."""
        schedule = self.schedule
        size = min(schedule.batch_size, schedule.budget - self.images_seen)
        clock = Clock(self.steps + 1, schedule.total_steps, self.images_seen, schedule.budget)
        share = self.crew.share(size)
        first = self.images_seen + share.start
        losses = self.take_step(clock, self.images.batch(first, share.count), first)
        self.pending.append(losses)
        self.weights += [share.weight] * len(losses)
        self.steps += 1
        self.images_seen += size

    def tell(self, report: Report, *, is_late: bool, is_last: bool) -> None:
        """Read and report the losses if that is due, and append a line to the log if that is due.

        Args:
            report: Told of them.
            is_late: Whether the last report was long ago.
            is_last: Whether no step comes after this one.

        Raises:
            ValueError: If a loss is not finite.
        """
        is_line = is_last or self.steps % self.every == 0  # pure in the number of steps
        if not is_line and not is_late:
            return
        self.read(report)
        if is_line:
            self._write_line()

    def read(self, report: Report) -> None:
        """Read the losses since they were last read, and report their mean.

        Raises:
            ValueError: If one is not finite.
        """
        if not self.pending:
            return
        flat = torch.stack([value.double() for step in self.pending for value in step.values()])
        known = flat.tolist()  # in one go, as each one would wait for the device
        values = iter(self.crew.mean(known, self.weights))
        steps = [{name: next(values) for name in step} for step in self.pending]
        self.pending.clear()
        self.weights.clear()
        self.unwritten += steps
        now = time.monotonic()
        self.seconds, self.since = self.seconds + now - self.since, now
        losses = _mean(steps)
        self._refuse("loss", [n for n, value in losses.items() if not math.isfinite(value)])
        rate = (self.images_seen - self.start.images_seen) / (self.seconds - self.start.seconds)
        report("train", self.images_seen, self.schedule.budget, {"images/s": rate} | losses)
        self.since = time.monotonic()  # what a report takes is not training

    def _write_line(self) -> None:
        line = {
            "step": self.steps,
            "images_seen": self.images_seen,
            "seconds": round(self.seconds, 3),
            "losses": _mean(self.unwritten),
        }
        self.unwritten.clear()
        if not self.crew.is_first:
            return
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def save(self, folder: Path, identity: Mapping[str, Any], report: Report) -> None:
        """Write a checkpoint, provided that all is finite; its time is not counted.

        Raises:
            ValueError: If something is not finite, or the disk takes no more.
        """
        self.read(report)
        if not self.crew.is_first:
            return
        self.require_finite()
        if self.log.exists():  # before the checkpoint that says these steps are taken
            sync(self.log)
        checkpoint.save_checkpoint(folder, self.model, identity, self.position())
        self.since = time.monotonic()

    def photograph(self, album: Album, report: Report) -> None:
        """Take a snapshot; its time is not counted.

        Raises:
            ValueError: If a loss is not finite.
        """
        self.read(report)  # waits for the device, so that the steps' time is not lost either
        if self.crew.is_first:
            album.take(self.images_seen)
        self.since = time.monotonic()

    def require_finite(self) -> None:
        """Raise ValueError if a tensor of the networks is not finite; no such state is saved."""
        self._refuse("tensor", not_finite(self.model.networks.state_dict()))

    def _refuse(self, what: str, names: list[str]) -> None:
        if names:
            good = sorted(self.log.parent.glob("checkpoint-*.pt"))
            kept = f"{good[-1]} is kept" if good else "there is no checkpoint yet"
            raise ValueError(
                f"{what} {', '.join(names[:3])} is not finite after {self.images_seen} images; "
                f"{kept}; a lower learning rate may help"
            )

    def truncate_log(self) -> None:
        """Drop lines written after the checkpoint that training resumes from."""
        if not self.log.is_file():
            return
        kept = []
        for line in read_bounded(self.log, LARGEST_LOG).decode(errors="replace").splitlines():
            with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):  # damaged
                if json.loads(line)["step"] <= self.start.step:
                    kept.append(line + "\n")
        write_text(self.log, "".join(kept))

    def position(self) -> Position:
        """Return how far the training has come."""
        memory = max(self.start.peak_memory, peak_memory(self.device))
        return Position(self.steps, self.images_seen, self.seconds, memory)


def _mean(steps: list[dict[str, float]]) -> dict[str, float]:
    """Average each loss over the steps that computed it."""
    found: dict[str, list[float]] = {}
    for step in steps:
        for name, value in step.items():
            found.setdefault(name, []).append(value)
    return {name: math.fsum(values) / len(values) for name, values in found.items()}
