"""Several processes scoring at once, and processes killed at it: what is on disk stays sound."""

import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from i2i_bench import model
from i2i_bench.pretrained import INCEPTION_NAME
from i2i_bench.records import record
from i2i_bench.records.folders import Places, noted_task
from i2i_bench.runs.bench import Bench
from i2i_bench.runs.evaluate import evaluate_run
from i2i_bench.runs.find import find_job
from i2i_bench.scoring import external, protocols
from i2i_bench.system import files
from i2i_bench.system.progress import quiet
from i2i_bench.tasks import catalogue
from i2i_bench.training import parallel

NAME = "cyclegan+preset=tiny/seed0"

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # of Python 3.12 on
]


def evaluate(names, report=quiet):
    """Score the run again, as the command does."""
    where = Places(Path("results").resolve(), Path("runs").resolve(), Path("data"))
    chosen = [protocols.find_protocol(name) for name in names]
    bench = Bench(where, chosen, parallel.choose_device("cpu"), report)
    (folder,) = Path("runs").glob(f"*/{NAME}")
    evaluate_run(find_job(str(folder), where), bench, force=True)


def started(work, *arguments):
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


def ended(process):
    """Give how a process ended; negative after a signal."""
    process.join(60)
    alive = process.is_alive()
    process.kill()
    process.join()
    assert not alive, "a process hangs"
    return process.exitcode


@pytest.fixture
def ready(finished, stand_in):
    """Give the record of a run that can be scored with a stand-in for the Inception."""
    (finished / "weights").mkdir()
    shutil.copy(stand_in / INCEPTION_NAME, finished / "weights")
    (path,) = Path("results").glob(f"*/{NAME}.json")
    return path


@pytest.fixture
def expected(ready, monkeypatch):
    """Give the scores under i2i that a process finds by itself, with another cache."""
    before = ready.read_bytes()
    with monkeypatch.context() as patch:
        patch.setenv("I2I_BENCH_CACHE", "alone")
        evaluate(["i2i"])
    scores = record.read_record(ready).scores
    ready.write_bytes(before)
    assert scores["i2i@1/a2b"].values["kid"] is not None
    return scores


def cached():
    return sorted(Path("cache/features").glob("*.npy"))


def assert_sound():
    """Every file of the cache is whole, and the records are all that is read as such."""
    for path in cached():
        assert np.isfinite(np.load(path)).all()
    assert len(record.read_records(Path("results"))) == 4


def test_two_processes_on_one_cache_find_the_numbers_of_one(ready, expected):
    both = [started(evaluate, ["i2i"]) for _ in range(2)]
    assert [ended(process) for process in both] == [0, 0]
    assert record.read_record(ready).scores == expected
    assert_sound()


def test_two_processes_with_other_protocols_lose_neither_scores(ready, expected):
    read, written = multiprocessing.Event(), multiprocessing.Event()

    def wait(*report):
        read.set()  # the record is read already
        assert written.wait(60)

    slow = started(evaluate, ["clean"], wait)
    assert read.wait(60)
    evaluate(["i2i"])
    written.set()
    assert ended(slow) == 0
    found = record.read_record(ready).scores
    assert set(found) == {f"{p}@1/{d}" for p in ("i2i", "clean") for d in ("a2b", "b2a")}
    assert {key: found[key] for key in expected} == expected


def kill_at_stage(stage):
    """Be killed when the first part of a stage is done."""

    def report(named, done, of, values):
        if named == stage and done:
            os.kill(os.getpid(), signal.SIGKILL)

    evaluate(["i2i"], report)


def kill_at_write(place):
    """Be killed when a file of a place is written, but not yet under its name."""
    true_sync = os.fsync

    def sync(handle):
        if place in str(Path(f"/proc/self/fd/{handle}").readlink()):
            os.kill(os.getpid(), signal.SIGKILL)
        true_sync(handle)

    os.fsync = sync  # of this process, which ends by it
    evaluate(["i2i"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "where"),
    [
        (kill_at_stage, "translate a2b"),
        (kill_at_stage, "features"),
        (kill_at_stage, "translate b2a"),
        (kill_at_write, "/cache/features/."),
        (kill_at_write, "/results/"),
    ],
)
def test_killed_evaluation_leaves_nothing_that_is_later_trusted(ready, expected, work, where):
    before = ready.read_bytes()
    assert ended(started(work, where)) == -signal.SIGKILL
    assert ready.read_bytes() == before
    assert_sound()
    evaluate(["i2i"])
    assert record.read_record(ready).scores == expected
    assert_sound()


def test_scores_of_networks_that_were_replaced_meanwhile_are_not_written(ready):
    content = json.loads(ready.read_text())

    def train_again(stage, done, of, values):
        ready.write_text(json.dumps(content | {"seconds": content["seconds"] + 1}))

    with pytest.raises(ValueError, match="was trained again while it was scored; score it again"):
        evaluate(["clean"], train_again)
    assert json.loads(ready.read_text())["scores"] == content["scores"]


def test_half_written_translations_are_never_seen(ready):
    """A process killed while it saves leaves whole images alone, and hidden drafts."""
    (folder,) = Path("runs").glob(f"*/{NAME}/translations-a2b")

    def save():
        true_sync = os.fsync

        def half(handle):
            if Path(f"/proc/self/fd/{handle}").readlink().suffix != ".png":
                true_sync(handle)
                return
            os.ftruncate(handle, os.fstat(handle).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

        os.fsync = half
        evaluate(["i2i"])

    assert ended(started(save)) == -signal.SIGKILL
    assert list(folder.glob(".*"))  # one at least: several threads write
    found = record.read_record(ready)
    task = catalogue.find_task(str(noted_task(folder.parent)), Path())
    read = external.read_submission(
        external.Submission(folder, task, model.Direction("a", "b"), 32)
    )
    assert len(read.indices) == found.scores["i2i@1/a2b"].n_fake


def add_external(name, index):
    """Score one of several sets into one record."""
    with files.locked(Path("results/stripes/external")):
        path = Path(f"results/stripes/external/{name}.json")
        before = record.read_external_record(path)
        formats = before.formats | {f"x{index}": {"png": 1}}
        record.write_record(before.model_copy(update={"formats": formats}), Path("results"))


def test_lock_lets_one_process_at_a_time_change_a_record(places):
    empty = record.External(
        name="x", task="stripes", headline="kid", harness_version="0", formats={}, scores={}
    )
    record.write_record(empty, Path("results"))
    several = [started(add_external, "x", index) for index in range(8)]
    assert [ended(process) for process in several] == [0] * 8
    (found,) = record.read_external_records(Path("results"))
    assert len(found.formats) == 8
