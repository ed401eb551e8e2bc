"""Event files hold the numbers of the loss log, each once, wherever a training was killed."""

import dataclasses
import io
import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from i2i_bench.plugins import registry
from i2i_bench.records.folders import Places
from i2i_bench.runs import plan
from i2i_bench.runs.bench import Bench
from i2i_bench.runs.execute import execute_run
from i2i_bench.runs.job import Choices
from i2i_bench.scoring import protocols
from i2i_bench.system.progress import quiet
from i2i_bench.tasks import catalogue
from i2i_bench.training import loop, tensorboard
from i2i_bench.training.signals import Stopped

BUDGET, BATCH = 12, 2

pytestmark = pytest.mark.usefixtures("default_signals")


@pytest.fixture
def bench(tmp_path):
    where = Places(tmp_path / "results", tmp_path / "runs", tmp_path)
    scored_by = [protocols.find_protocol("i2i")]
    return Bench(where, scored_by, torch.device("cpu"), quiet, 1e9, ["tensorboard"])


@pytest.fixture
def job(tiny):
    task = catalogue.find_task(str(tiny), Path())
    choices = Choices("tiny", {}, BUDGET)
    return plan.make_job("cyclegan", registry.load_model("cyclegan"), (str(tiny), task), 0, choices)


def events(folder: Path) -> EventAccumulator:
    """Read all that is in the event files of a run; nothing is left out as out of date."""
    found = EventAccumulator(str(folder / tensorboard.FOLDER), purge_orphaned_data=False)
    return found.Reload()


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found = events(folder)
    tags = found.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in tags}


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Give what the loss log holds as event files would; their floats have 32 bits."""
    found: dict[str, list[tuple[int, float]]] = {}
    for text in (folder / loop.LOG).read_text().splitlines():
        line = json.loads(text)
        for name, value in line["losses"].items():
            found.setdefault(f"losses/{name}", []).append((line["step"], float(np.float32(value))))
    return found


def stop_at(images_seen, number):
    def report(stage, done, of, values):
        if stage == "train" and done == images_seen:
            os.kill(os.getpid(), number)

    return report


def killed(job, bench):
    """Carry out a job in a process of its own; give the signal that ended it."""
    process = multiprocessing.get_context("fork").Process(target=execute_run, args=(job, bench))
    process.start()
    process.join(120)
    return -(process.exitcode or 0)


def test_event_files_hold_the_losses_of_the_log_and_the_samples(cli, places, tiny):
    arguments = ("--model", "cyclegan", "--task", tiny, "--preset", "tiny")
    cli("run", *arguments, "--log", "tensorboard")
    (folder,) = places.glob("runs/*/*/seed0")
    assert scalars(folder) == logged(folder)
    assert len(scalars(folder)["losses/cycle_a"]) == 4  # steps: 8 images, 2 at a time
    found = events(folder)
    assert found.Tags()["images"] == ["samples/a2b", "samples/b2a"]
    for direction in ("a2b", "b2a"):
        (event,) = found.Images(f"samples/{direction}")
        drawn = Image.open(folder / f"samples-{direction}.png").convert("RGB")
        shown = Image.open(io.BytesIO(event.encoded_image_string))
        assert event.step == 4
        assert np.array_equal(np.asarray(shown), np.asarray(drawn))


def test_clock_of_the_events_is_the_time_trained(job, bench):
    execute_run(job, bench)
    folder = bench.places.runs / job.run.folder
    seconds = [json.loads(t)["seconds"] for t in (folder / loop.LOG).read_text().splitlines()]
    times = [event.wall_time for event in events(folder).Scalars("losses/cycle_a")]
    assert np.allclose(np.diff(times), np.diff(seconds), rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of Python 3.12 on
def test_no_step_is_missing_or_twice_after_a_kill(job, bench):
    with pytest.raises(Stopped):
        execute_run(job, dataclasses.replace(bench, report=stop_at(4, signal.SIGTERM)))
    folder = bench.places.runs / job.run.folder
    told = [step for step, _ in scalars(folder)["losses/cycle_a"]]
    assert told == [1, 2, 3]  # a signal during a report is heeded after the next step
    killing = dataclasses.replace(bench, report=stop_at(10, signal.SIGKILL))
    assert killed(job, killing) == signal.SIGKILL
    assert len((folder / loop.LOG).read_text().splitlines()) == 4  # 4 will be again
    execute_run(job, bench)
    assert [step for step, _ in scalars(folder)["losses/cycle_a"]] == [1, 2, 3, 4, 5, 6]
    assert scalars(folder) == logged(folder)


def test_steps_of_a_session_without_event_files_are_in_those_of_the_next(job, bench):
    stopped = dataclasses.replace(bench, report=stop_at(6, signal.SIGINT), logs=())
    with pytest.raises(Stopped):
        execute_run(job, stopped)
    folder = bench.places.runs / job.run.folder
    assert not (folder / tensorboard.FOLDER).exists()
    execute_run(job, bench)
    assert scalars(folder) == logged(folder)
    assert len(scalars(folder)["losses/cycle_a"]) == BUDGET // BATCH


def test_damaged_log_hides_nothing_that_goes_wrong(job, bench, monkeypatch):
    def refuse(*arguments, **named):
        raise ValueError("no such checkpoint")

    monkeypatch.setattr(loop, "train", refuse)
    folder = bench.places.runs / job.run.folder
    folder.mkdir(parents=True)
    (folder / loop.LOG).write_text("{damaged\n")
    with pytest.raises(ValueError, match="no such checkpoint"):
        execute_run(job, bench)


@pytest.mark.slow
def test_training_is_the_same_with_and_without_event_files(job, bench, tmp_path):
    execute_run(job, bench)
    other = dataclasses.replace(bench.places, runs=tmp_path / "plain", results=tmp_path / "other")
    execute_run(job, dataclasses.replace(bench, places=other, logs=()))
    both = [logged(place / job.run.folder) for place in (bench.places.runs, other.runs)]
    assert both[0] == both[1]


def test_without_the_package_a_run_is_refused_before_anything_is_written(
    cli, places, tiny, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    arguments = ("--model", "cyclegan", "--task", tiny, "--preset", "tiny")
    sentence = cli("run", *arguments, "--log", "tensorboard", code=1)
    assert "--log tensorboard needs the package tensorboard" in sentence
    assert "pip install 'i2i-bench[tensorboard]'" in sentence
    assert not list(places.iterdir())
