"""A run is one process's at a time; its lock ends with its owner, wherever that was."""

import dataclasses
import json
import logging
import multiprocessing
import os
import re
import signal
from pathlib import Path

import pytest

from i2i_bench.runs import lock
from i2i_bench.runs.lock import (
    Locked,
    LockLost,
    Owner,
    _born,
    _is_dead_here,
    _machine,
    lock_path,
    lock_run,
    socket,
    time,
)
from i2i_bench.training import loop

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of Python 3.12 on


@pytest.fixture
def run(tmp_path):
    return tmp_path / "runs/stripes/cyclegan/seed0"


def owner(**changes):
    """Give the lock file of this process, as it is written, but for changes."""
    born = _born(os.getpid())
    true = Owner("here", _machine(), os.getpid(), born, 0.0, "aa")
    return json.dumps(dataclasses.asdict(true) | changes)


def test_second_process_is_told_who_works_and_since_when(run):
    with lock_run(run), pytest.raises(Locked) as told, lock_run(run):
        pass
    assert f"process {os.getpid()} on " in str(told.value)
    assert re.search(r", for \d+ s", str(told.value))


@pytest.mark.parametrize("error", [None, KeyError, KeyboardInterrupt])
def test_lock_ends_with_its_work_and_leaves_nothing(run, error):
    for _ in range(2):
        try:
            with lock_run(run):
                if error:
                    raise error
        except (KeyError, KeyboardInterrupt):
            pass
    assert list(run.parent.iterdir()) == []


def hold(run, ready):
    with lock_run(run):
        ready.set()
        signal.pause()


def test_lock_of_a_killed_process_is_taken_over_at_once(run, caplog):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=hold, args=(run, ready))
    process.start()
    assert ready.wait(30)
    with pytest.raises(Locked, match=f"process {process.pid} "), lock_run(run):
        pass
    process.kill()
    process.join()
    with lock_run(run) as ours:
        ours.require()
    assert f"process {process.pid} " in caplog.text
    assert "it is dead, taking its place" in caplog.text


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"host": "x"}', "[" * 4000, "é" * 4000, owner(since=float("nan"))],
)
def test_damaged_lock_of_nobody_is_taken_over(run, content):
    run.parent.mkdir(parents=True)
    lock_path(run).write_text(content)
    with lock_run(run) as ours:
        ours.require()


def test_host_of_a_lock_cannot_steer_a_terminal(run, caplog):
    run.parent.mkdir(parents=True)
    lock_path(run).write_text(owner(host="\x1b[31m"))
    with lock_run(run):
        pass
    assert "\x1b" not in caplog.text


def test_silent_owner_on_another_machine_is_dead(run, caplog):
    run.parent.mkdir(parents=True)
    lock_path(run).write_text(owner(machine="another", host="far"))
    with lock_run(run, watch=0.2):
        pass
    assert "on far" in caplog.text


def test_owner_on_another_machine_that_shows_life_is_left_alone(run, monkeypatch):
    run.parent.mkdir(parents=True)
    path = lock_path(run)
    path.write_text(owner(machine="another", host="far"))
    sleep = time.sleep

    def beat(seconds):
        sleep(0.01)
        os.utime(path)  # as its owner does

    monkeypatch.setattr(time, "sleep", beat)
    with pytest.raises(Locked, match="on far"), lock_run(run, watch=30):
        pass


@pytest.mark.parametrize(("born", "is_dead"), [(None, False), ("1", True)])
def test_without_locks_a_process_is_told_from_a_later_one_of_its_number(born, is_dead):
    born = born or _born(os.getpid())
    host = socket.gethostname()
    one = Owner(host, _machine(), os.getpid(), born, 0.0, "aa")
    assert _is_dead_here(one, has_locks=False) is is_dead


def test_lock_file_is_touched_regularly(run, monkeypatch):
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.01)
    with lock_run(run):
        path = lock_path(run)
        os.utime(path, (0, 0))
        for _ in range(500):
            if path.stat().st_mtime:
                return
            time.sleep(0.01)
    pytest.fail("no sign of life")


@pytest.mark.parametrize("how", ["taken over by process", "removed"])
def test_who_lost_its_lock_writes_no_more(run, how):
    with lock_run(run) as ours:
        ours.require()
        if how == "removed":
            lock_path(run).unlink()
        else:
            lock_path(run).write_text(owner(token="bb"))
        with pytest.raises(LockLost, match=how):
            ours.require()
    assert lock_path(run).exists() is (how != "removed")  # another's is not removed


@pytest.mark.slow
def test_training_that_lost_its_lock_saves_no_checkpoint(cli, places, tiny, monkeypatch):
    true_train = loop.train

    def train(*arguments, **named):
        (path,) = Path("runs").glob("*/*/.seed0.lock")
        path.write_text(owner(token="bb"))  # as the next owner does
        return true_train(*arguments, **named)

    monkeypatch.setattr(loop, "train", train)
    said = cli("run", "--model", "cyclegan", "--task", tiny, "--preset", "tiny", code=1)
    assert "was taken over by process" in said
    assert not list(Path("runs").rglob("checkpoint-*"))


def test_run_in_work_is_left_to_who_works_on_it(cli, places, tiny, caplog):
    arguments = ("run", "--model", "cyclegan", "--task", tiny, "--preset", "tiny", "--budget", 2)
    cli(*arguments)
    (record,) = Path("results").glob("*/*/seed0.json")
    before = record.read_bytes()
    with lock_run(Path("runs") / record.relative_to("results").with_suffix("")):
        caplog.set_level(logging.ERROR)
        said = cli(*arguments, "--force", code=1)
        assert f"is in progress: process {os.getpid()} on " in said
    assert record.read_bytes() == before
