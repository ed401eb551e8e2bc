"""Where decoded images stay: the fastest home they fit into, or a file that leaves nothing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from i2i_bench.data import store as data_store
from i2i_bench.data.store import SLAB, SPARE, NoRoomError, Room, Store, choose_home, find_room
from i2i_bench.records import record
from i2i_bench.records.folders import Places
from i2i_bench.runs import plan
from i2i_bench.runs.bench import Bench
from i2i_bench.runs.execute import execute_run
from i2i_bench.runs.job import Choices, expect_memory
from i2i_bench.scoring import protocols

pytestmark = pytest.mark.slow  # whole runs and commands

FOLDER = Path("runs")
GIB = 2**30
HOLDER = """
import sys, time, torch
from pathlib import Path
from i2i_bench.data.store import Store
kept = Store("file", folder=Path(sys.argv[1])).keep(torch.ones(3, 9, 9, dtype=torch.uint8))
print("kept", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("free", "home"),
    [
        (Room(None, 5 * GIB, 9 * GIB, FOLDER), "memory"),
        (Room(None, 5 * GIB - 1, 2 * GIB + SLAB, FOLDER), "file"),
        (Room(None, None), "memory"),
        (Room(5 * GIB + SPARE, 0), "device"),
        (Room(5 * GIB, 2 * GIB), "memory"),
        (Room(5 * GIB, GIB, 9 * GIB, FOLDER), "file"),
    ],
)
def test_images_go_where_they_are_fastest_and_fit(free, home):
    assert choose_home(2 * GIB, 3 * GIB, free) == home


@pytest.mark.parametrize(
    ("free", "words"),
    [
        (Room(None, GIB), r"take 2\.00 GiB, but 1\.00 GiB of memory are available; use a smaller"),
        (
            Room(None, GIB, 2 * GIB, FOLDER),
            r"1\.00 GiB of memory and 2\.00 GiB of disk in runs are available; use a smaller",
        ),
    ],
)
def test_images_that_fit_nowhere_are_refused(free, words):
    with pytest.raises(NoRoomError, match=words):
        choose_home(2 * GIB, 0, free)


def test_room_is_that_of_the_system(tmp_path):
    free = find_room(torch.device("cpu"), tmp_path / "not" / "yet")
    assert free.device is None
    assert free.disk > 0
    assert find_room(torch.device("cpu")).disk == 0


def test_a_store_says_where_it_is():
    assert str(Store("memory", GIB)) == "1.00 GiB in memory"
    said = str(Store("file", 3 * GIB, folder=FOLDER))
    assert said == "3.00 GiB in a file in runs, as they do not fit in memory"


@pytest.mark.parametrize("home", ["memory", "file"])
def test_images_come_back_as_they_were(home, tmp_path):
    store = Store(home, 100, folder=tmp_path)
    images = [torch.full((3, 5, side), side, dtype=torch.uint8) for side in range(1, 40)]
    kept = [store.keep(image) for image in images]
    assert all(torch.equal(*pair) for pair in zip(images, kept, strict=True))
    assert not list(tmp_path.iterdir())  # a file without a name


def test_file_that_cannot_grow_is_told_with_its_folder(tmp_path):
    store = Store("file", folder=tmp_path)
    with pytest.raises(OSError, match=str(tmp_path)):
        store.keep(torch.empty(1, dtype=torch.uint8).expand(2**62))


def test_a_killed_process_leaves_no_file(tmp_path):
    program = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "kept\n"
        assert not list(tmp_path.iterdir())
        process.send_signal(signal.SIGKILL)
    assert not list(tmp_path.iterdir())


def test_a_run_from_a_file_gives_the_same_record(places, own):
    (job,) = plan.plan_runs(["cyclegan"], [str(own)], [0], Choices("tiny", {}, 4), places)
    found = []
    for home in ("memory", "file"):
        where = Places(places / home / "results", places / home / "runs", places)
        store = Store(home, 1, folder=where.runs)
        shared = (where, [protocols.find_protocol("i2i")], torch.device("cpu"), lambda *_: None)
        made = record.read_record(execute_run(job, Bench(*shared), store=store))
        found.append(
            made.model_dump(exclude={"load", "seconds", "images_per_second", "peak_memory_bytes"})
        )
    assert found[0] == found[1]


def test_run_says_that_its_images_have_no_room_in_memory(cli, places, own, monkeypatch):
    (job,) = plan.plan_runs(["cyclegan"], [str(own)], [0], Choices("tiny", {}, 4), places)
    need, _ = expect_memory(job, torch.device("cpu"), places)
    monkeypatch.setattr(data_store, "available_memory", lambda device: need.beside)
    said = cli("run", "--model", "cyclegan", "--preset", "tiny", "--budget", 4, "--task", own)
    assert "keeps its training images, 0.03 MiB in a file in " in said
    assert "recorded in" in said


def test_dry_run_says_where_training_images_go(cli, places, own):
    said = cli("run", "--model", "cyclegan", "--preset", "tiny", "--task", own, "--dry-run")
    assert "\n  training images: 0.03 MiB in memory\n" in said


def test_dry_run_plans_what_has_no_room_here(cli, places, own):
    sizes = ("--set", "load_size=10000000", "--set", "crop_size=32")
    said = cli("run", "--model", "cyclegan", "--preset", "tiny", "--task", own, *sizes, "--dry-run")
    assert "\n  training images: the training images take " in said
    size = said.partition("training images take ")[2].partition(",")[0]
    assert f"{size} for training images)" in said
