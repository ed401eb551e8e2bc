"""Several runs at once: all are done, or can go on, and each is recorded once."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from i2i_bench.records import record
from i2i_bench.records.folders import Places
from i2i_bench.runs import plan
from i2i_bench.runs.bench import Bench
from i2i_bench.runs.job import Choices
from i2i_bench.runs.launch import at_once
from i2i_bench.runs.launch.local import LocalSite
from i2i_bench.runs.launch.process import RunCommand, execute_command
from i2i_bench.runs.launch.site import Vanished, visible_devices
from i2i_bench.scoring import protocols
from i2i_bench.training import checkpoint, parallel
from i2i_bench.training.signals import Stopped

ROOT = Path(__file__).parents[3]
SAME = ("--preset", "tiny", "--device", "cpu")

pytestmark = pytest.mark.usefixtures("default_signals")


@pytest.fixture(scope="module")
def nodes(load_benchmark):
    return load_benchmark("nodes")


def quiet(*report):
    pass


def jobs_of(task, *seeds, **choices):
    return plan.plan_runs(["cyclegan"], [str(task)], seeds, Choices("tiny", **choices), Path())


@pytest.fixture
def bench(places):
    where = Places(Path("results"), Path("runs"), Path("data"))
    chosen = [protocols.find_protocol(name) for name in ("i2i", "uvcgan2")]
    device = torch.device("cpu")
    return Bench(where, chosen, device, quiet, kid_subset_size=7, metrics=("psnr", "ssim"))


@pytest.mark.slow
def test_process_of_a_run_has_the_plan_of_that_run_alone(cli, bench, tiny):
    changes = {"pool_size": "3", "batch_size": "1"}
    (job,) = jobs_of(tiny, 5, changes=changes, budget=6, precision="bf16")
    command = at_once.command_of_job(job, bench, device="cpu", modes=["none"], force=True)
    cli("run", *command.arguments)
    found = record.read_record(bench.places.results / job.run.file)
    assert found.settings == job.plain_settings()
    assert {key.partition("@")[0] for key in found.scores} == {"i2i", "uvcgan2"}
    given = zip(command.arguments, command.arguments[1:], strict=False)
    assert [name for option, name in given if option == "--metric"] == ["psnr", "ssim"]


@pytest.mark.slow
def test_plan_is_done_by_two_processes_and_a_failure_keeps_nothing_from_being_done(
    cli, places, tiny
):
    blocked = Path("runs") / jobs_of(tiny, 1)[0].run.folder
    blocked.parent.mkdir(parents=True)
    blocked.touch()  # a file where the run's folder is to be
    seeds = ("--seed", 0, "--seed", 1, "--seed", 2)
    plans = ("run", "--model", "cyclegan", "--task", tiny, *seeds, *SAME, "--jobs", 2)
    told = cli(*plans, code=1)
    assert told.startswith("1 of 3 runs failed, first folder-")
    assert "seed1: " in told
    assert sorted(p.name for p in Path("results").rglob("*.json")) == ["seed0.json", "seed2.json"]
    blocked.unlink()
    said = cli(*plans)
    assert said.count("recorded already in") == 2
    assert said.count("seed1: recorded in") == 1
    assert cli(*plans).count("recorded already in") == 3


def start(task, *options):
    """Start a plan of two long runs, at once."""
    command = [sys.executable, "-m", "i2i_bench", "run", "--model", "cyclegan", "--task", str(task)]
    more = ("--seed", "0", "--seed", "1", "--budget", "4000", "--checkpoint-seconds", "0.2")
    return subprocess.Popen(
        [*command, *SAME, *more, *options],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def await_checkpoints(process, count):
    while len({path.parent for path in Path("runs").rglob("checkpoint-*.pt")}) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def processes_of(folder):
    """Give the processes that were started in a folder and live."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == folder and (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:  # it ended, or is not ours
            continue
    return [process for process in found if process != os.getpid()]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.slow
def test_plan_that_is_stopped_or_killed_leaves_no_process_and_good_checkpoints(
    places, tiny, number
):
    process = start(tiny, "--jobs", "2")
    await_checkpoints(process, 2)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    for _ in range(200):  # the system kills them a moment later
        if not processes_of(places):
            break
        time.sleep(0.05)
    assert processes_of(places) == []
    folders = {path.parent for path in Path("runs").rglob("checkpoint-*.pt")}
    assert len(folders) == 2
    for folder in folders:
        assert checkpoint.latest_checkpoint(folder) is not None
    assert not list(Path("results").rglob("*.json"))
    if number == signal.SIGINT:
        assert process.returncode == 1
        assert errors.count("Error: ") == 1
        assert (
            "stopped by SIGINT; what was in progress is saved; the same command resumes it"
            in errors
        )
        assert list(Path("runs").rglob(".seed*.lock")) == []  # no lock is left


def test_lines_of_a_process_come_as_it_says_them_and_then_its_code(places):
    command = RunCommand(("--model", "nothing", "--task", "stripes"), str(places))
    *lines, code = execute_command(command, {}, lambda: False)
    assert code == 1
    assert str(lines[-1]).startswith("Error: unknown model 'nothing'")


@pytest.mark.parametrize(
    ("visible", "expected"), [("2,3", ["2", "3"]), ("", []), ("GPU-a", ["GPU-a"])]
)
def test_devices_are_those_that_may_be_seen(monkeypatch, visible, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_devices() == expected


def test_devices_are_dealt_in_turn():
    site = LocalSite(3, ["4", "7"])
    found = [site._variables(slot)["CUDA_VISIBLE_DEVICES"] for slot in range(3)]
    assert found == ["4", "7", "4"]


@pytest.fixture
def become(monkeypatch):
    """Give a function that makes this process look like one of two."""
    before = signal.getsignal(signal.SIGTERM)

    def change(rank):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")

    yield change
    signal.signal(signal.SIGTERM, before)


def test_several_runs_at_once_are_not_for_processes_that_share_one(cli, places, tiny, become):
    become("0")
    options = ("--model", "cyclegan", "--task", tiny, *SAME, "--jobs", 2)
    assert "torchrun shares one run" in cli("run", *options, code=2)


@pytest.mark.parametrize(("rank", "lines"), [("0", True), ("1", False)])
def test_what_processes_do_not_share_the_first_one_does_alone(cli, become, rank, lines):
    become(rank)
    assert bool(cli("protocols")) is lines
    assert logging.root.manager.disable == logging.NOTSET


def test_command_of_a_group_says_what_it_fails_with(cli, become, monkeypatch):
    become("0")
    monkeypatch.setattr(parallel, "speaks_for_all", iter([True, False]).__next__)
    assert "nothing" in cli("weights", "verify", "nothing", code=1)


@pytest.mark.parametrize("variable", ["RANK", "WORLD_SIZE"])
def test_variables_of_torchrun_that_are_no_numbers_are_named(cli, become, monkeypatch, variable):
    become("0")
    monkeypatch.setenv(variable, "x")
    assert f"{variable} is 'x'" in cli("protocols", code=2)
    for alone in ("", "1"):
        monkeypatch.setenv("RANK", "gold")
        monkeypatch.setenv("WORLD_SIZE", alone)
        assert "i2i" in cli("protocols")


class Instant:
    """A site that is done at once, with several runs at a time."""

    slots = 4

    def lines(self, command):
        yield f"{command.arguments[0]}: recorded"
        yield 0

    def stop(self):
        pass


def test_runs_are_counted_one_by_one(tiny):
    said = []
    jobs = jobs_of(tiny, *range(8))
    command = lambda job, _: RunCommand((str(job.run),), ".")  # noqa: E731 - a callback
    at_once.run_at_once(jobs, Instant(), command, show=quiet, say=said.append)
    assert [line.split()[0] for line in said] == [f"[{n}/8]" for n in range(1, 9)]


class Shaky:
    """A site whose machine dies of every command; a signal comes before the next is begun."""

    slots = 1

    def __init__(self):
        self.begun, self.stopped = [], threading.Event()

    def lines(self, command):
        self.begun.append(command)
        raise Vanished("it died")

    def stop(self):
        self.stopped.set()

    def pause(self, seconds):
        os.kill(os.getpid(), signal.SIGINT)
        assert self.stopped.wait(60)


def test_run_whose_machine_died_is_not_begun_anew_after_a_signal(tiny, monkeypatch):
    site, said = Shaky(), []
    command = RunCommand((), ".")
    monkeypatch.setattr(at_once.time, "sleep", site.pause)
    with pytest.raises(Stopped, match="stopped by SIGINT"):
        at_once.run_at_once(
            jobs_of(tiny, 0), site, lambda job, is_begun: command, show=quiet, say=said.append
        )
    assert len(site.begun) == 1
    assert len(said) == 1
    assert said[0].endswith("seed0: stopped: its machine is gone (it died)")


@pytest.mark.slow
def test_run_on_a_node_that_dies_goes_on_on_another(nodes, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    found = nodes.survive(tmp_path, print)
    assert found["vanished"] == 1
