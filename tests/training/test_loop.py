"""The loop around the steps: its clock, its log, what it counts, and when it saves and stops."""

import json
import signal
from typing import Any

import pytest
import torch
from bare_model import BareModel

from i2i_bench.data.training_images import TrainingImages
from i2i_bench.model import Clock, Settings
from i2i_bench.tasks import two_domains
from i2i_bench.training import checkpoint, loop, snapshots
from i2i_bench.training.checkpoint_file import Position
from i2i_bench.training.loop import Schedule

SIX = Schedule(0, 2, 12)  # steps
IDENTITY = {
    "model": "still",
    "task": "tiny",
    "variant": "",
    "preset": "tiny",
    "seed": 0,
    "settings": {"config": {}, "precision": "fp32", "batch_size": 2},
}


pytestmark = pytest.mark.usefixtures("default_signals")


@pytest.fixture(scope="module")
def images(tiny):
    return TrainingImages(two_domains.two_domain_task(tiny), Settings(None, 2, 12, 32, 32), 0)


class Still(BareModel):
    """A model that learns nothing, and notes what it is told."""

    absent = frozenset()

    def __init__(self, losses=(1.0,) * 6):
        self.networks = torch.nn.ModuleDict({"only": torch.nn.Conv2d(3, 3, 1)})
        self.optimizers, self.state = {}, {}
        self.values, self.clocks, self.modes = iter(losses), [], []

    def advance(self, clock):
        self.clocks.append(clock)

    def training_step(self, batch, random):
        self.modes.append(self.networks["only"].training)
        return {"cycle_a": torch.tensor(next(self.values))}

    def translate(self, batch, direction, random):
        return batch.images[direction.source]

    def masks(self, batch, direction, random):
        return None


@pytest.fixture
def train(images, tmp_path):
    """Give a function that trains in the folder of the test."""

    def run(model=None, schedule=SIX, report=lambda *_: None):
        still: Any = model or Still()
        return loop.train(
            still, images, schedule, folder=tmp_path, identity=IDENTITY, report=report
        )

    return run


def test_clock_counts_steps_from_one_and_images_from_none(train):
    model = Still()
    train(model, Schedule(0, 5, 12))
    assert model.clocks == [Clock(1, 3, 0, 12), Clock(2, 3, 5, 12), Clock(3, 3, 10, 12)]


def test_steps_are_taken_in_training_mode(train):
    model = Still()
    model.networks.eval()
    train(model)
    assert set(model.modes) == {True}


# What time is counted


class Now:
    """A clock that is set by hand."""

    def __init__(self):
        self.seconds = 0.0

    def monotonic(self):
        return self.seconds

    def delay(self, function, seconds):
        """Give a function that takes so long."""

        def slow(*arguments):
            self.seconds += seconds
            return function(*arguments)

        return slow


@pytest.fixture
def now(monkeypatch):
    """Give the clock of a training whose steps take a second, and nothing else any time."""
    clock = Now()
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(Still, "training_step", clock.delay(Still.training_step, 1))
    return clock


OFTEN = Schedule(0, 2, 12, checkpoint_seconds=0.5)  # after each step


@pytest.mark.parametrize(
    ("owner", "name"),
    [(checkpoint, "save_checkpoint"), (snapshots.Album, "take")],
    ids=["save", "snapshot"],
)
def test_what_is_written_takes_no_time_of_training(train, now, monkeypatch, owner, name):
    monkeypatch.setattr(owner, name, now.delay(getattr(owner, name), 50))
    assert train(schedule=OFTEN).seconds == 6


def test_reports_take_no_time_of_training(train, now):
    assert train(report=now.delay(lambda *_: None, 50)).seconds == 6


def test_checkpoints_are_apart_by_their_interval(train, now, monkeypatch):
    save, saved = checkpoint.save_checkpoint, []

    def note(folder, model, identity, position):
        saved.append(position.images_seen)
        return save(folder, model, identity, position)

    monkeypatch.setattr(checkpoint, "save_checkpoint", note)
    train(schedule=Schedule(0, 2, 12, checkpoint_seconds=2.5))
    assert saved == [6, 12]


@pytest.fixture
def half_done(tmp_path):
    """Lay a checkpoint of half of the steps, which took 100 seconds and much memory."""
    still: Any = Still()
    position = Position(3, 6, 100.0, 2**60)
    checkpoint.save_checkpoint(tmp_path, still, IDENTITY, position)
    return position


def test_resumed_training_adds_to_the_seconds_before(train, now, half_done):
    assert train().seconds == half_done.seconds + 3


def test_rate_is_that_of_this_session(train, now, half_done):
    rates = []
    train(report=lambda stage, done, of, values: rates.append(values["images/s"]))
    assert rates == [2, 2, 2]


def test_peak_of_memory_is_the_highest_of_all_sessions(train, half_done):
    assert train().peak_memory == half_done.peak_memory


# The log


def test_line_has_the_mean_of_all_steps_since_the_line_before(train, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LOG_LINES", 2)
    monkeypatch.setattr(loop, "REPORT_SECONDS", 0.0)  # a report in between each step
    train(Still([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    lines = [json.loads(line) for line in (tmp_path / loop.LOG).read_text().splitlines()]
    assert [(line["step"], line["losses"]["cycle_a"]) for line in lines] == [(3, 2.0), (6, 5.0)]


def test_log_is_synced_before_the_checkpoint_that_says_its_steps_are_taken(train, tmp_path, synced):
    train()
    (saved,) = tmp_path.glob("checkpoint-*.pt")
    log = synced.index((tmp_path / loop.LOG).stat().st_ino)
    assert log < synced.index(saved.stat().st_ino)


# Signals


def test_second_signal_does_not_wait_for_the_step(train):
    def interrupt_twice(stage, done, of, values):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(report=interrupt_twice)
