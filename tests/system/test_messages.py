"""Disks, folders, files, clocks and memory that fail: the last good state stays, one sentence."""

import contextlib
import dataclasses
import errno
import getpass
import json
import logging
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from i2i_bench.cli.main import main
from i2i_bench.records import record
from i2i_bench.records.folders import Places
from i2i_bench.runs import lock, plan
from i2i_bench.runs.bench import Bench
from i2i_bench.runs.execute import execute_run
from i2i_bench.runs.job import Choices
from i2i_bench.runs.one_by_one import run_one_by_one
from i2i_bench.scoring import protocols
from i2i_bench.system import messages
from i2i_bench.system.progress import quiet
from i2i_bench.training import checkpoint
from i2i_bench.training.checkpoint_file import read_checkpoint

pytestmark = pytest.mark.slow  # whole runs and commands

TINY = ("run", "--model", "cyclegan", "--preset", "tiny", "--budget", 4)


def the_run():
    (folder,) = Path("runs").glob("*/*/seed0")
    return folder


def jobs(task):
    return plan.plan_runs(["cyclegan"], [str(task)], [0], Choices("tiny", {}, 4), Path())


def bench(report=quiet):
    here = Path.cwd()
    where = Places(here / "results", here / "runs", here)
    return Bench(where, [protocols.find_protocol("i2i")], torch.device("cpu"), report, 0.0)


def carry_out(task, report=quiet):
    """Carry out one run, saving after every step; give its record without what was measured."""
    run_one_by_one(jobs(task), bench(report), force=False, say=lambda line: None)
    (found,) = record.read_records(Path("results"))
    return found.model_dump(exclude={"load", "seconds", "images_per_second", "peak_memory_bytes"})


@pytest.mark.parametrize("place", ["--results", "--runs"])
def test_folder_that_cannot_be_written_is_told_of_before_training(cli, places, tiny, place):
    said = cli(*TINY, "--task", tiny, place, "/sys/none", code=1)
    assert said.startswith(("no record can be written into /sys: ", "/sys/none: "))
    assert "choose another folder" in said
    assert not list(places.rglob("checkpoint-*"))


def test_full_disk_for_the_log_keeps_the_checkpoint_and_the_same_command_goes_on(cli, places, own):
    expected = carry_out(own)
    log = the_run() / "losses.jsonl"
    newest = sorted(the_run().glob("checkpoint-*"))[-1]
    newest.unlink()
    shutil.rmtree("results")
    lines = log.read_text()
    log.unlink()
    log.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as failed:
        carry_out(own)
    assert "free some space, and the same command continues" in messages.reason(failed.value)
    assert list(the_run().glob("checkpoint-*"))
    log.unlink()
    log.write_text(lines)
    assert carry_out(own) == expected


def results_become_a_file(task):
    Path("results").write_text("")


def results_are_mended(task):
    Path("results").unlink()


def data_vanish(task):
    task.rename("away")


def image_is_replaced(task):
    for name in ("trainB/b1.png", "testB/b1.png"):
        Image.new("RGB", (40, 36), "white").save(task / name)


@pytest.mark.parametrize(
    ("fault", "remedy", "message"),
    [
        (results_become_a_file, results_are_mended, "results"),
    ],
)
def test_fault_during_training_costs_nothing_once_it_is_mended(places, own, fault, remedy, message):
    expected = carry_out(own)
    shutil.rmtree("runs")
    shutil.rmtree("results")
    done = []

    def report(stage, images_seen, of, values):
        if stage == "train" and not done:
            done.append(images_seen)
            fault(own)

    with pytest.raises((ValueError, OSError), match=message) as failed:
        carry_out(own, report)
    assert len(messages.reason(failed.value).splitlines()) == 1
    remedy(own)
    content = checkpoint.latest_checkpoint(the_run())
    assert content is not None
    assert content["position"]["images_seen"] == 4
    assert carry_out(own) == expected


@pytest.mark.parametrize("fault", [data_vanish, image_is_replaced])
def test_images_that_change_during_training_are_those_of_the_start(places, own, fault):
    expected = carry_out(own)
    shutil.rmtree("runs")
    shutil.rmtree("results")
    done = []

    def report(stage, images_seen, of, values):
        if stage == "train" and not done:
            done.append(images_seen)
            fault(own)

    assert carry_out(own, report) == expected
    assert done


def test_clock_that_jumps_changes_nothing(places, own, monkeypatch):
    expected = carry_out(own)
    shutil.rmtree("runs")
    shutil.rmtree("results")
    true, jumps = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: true() + (-1) ** next(jumps) * 1e9)
    assert carry_out(own) == expected
    older, newer = sorted(the_run().glob("checkpoint-*"))
    for path, when in ((older, 4e9), (newer, 0)):
        os.utime(path, (when, when))
    content = checkpoint.latest_checkpoint(the_run())
    assert content is not None
    assert content["position"]["images_seen"] == 4


def allocate_on_the_cpu():
    torch.empty(1 << 60, dtype=torch.uint8)


def allocate_by_numpy():
    np.empty(1 << 60, dtype=np.uint8)


def allocate_on_a_gpu():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize("allocate", [allocate_on_the_cpu, allocate_by_numpy, allocate_on_a_gpu])
def test_memory_that_runs_out_in_a_step_says_what_to_lower_and_keeps_the_checkpoint(
    places, own, allocate
):
    (job,) = jobs(own)

    class Hungry(job.model_class):
        def training_step(self, batch, random):
            if random.first_sample:
                allocate()
            return super().training_step(batch, random)

    with pytest.raises((RuntimeError, MemoryError)) as failed:
        execute_run(dataclasses.replace(job, model_class=Hungry), bench())
    assert "a smaller batch_size, crop_size, load_size or width may fit" in messages.reason(
        failed.value
    )
    assert checkpoint.latest_checkpoint(the_run()) is not None


def test_room_for_checkpoints_is_asked_for_before_training(tmp_path, tiny):
    (job,) = jobs(tiny)
    with torch.device("meta"):
        model = job.model_class(job.settings.config)
        checkpoint.require_space(tmp_path / "not/yet", model)
        size = shutil.disk_usage(tmp_path).free // 8  # of 4 bytes each, thrice
        model.networks["large"] = torch.nn.Linear(1, size)
    with pytest.raises(ValueError, match=r"need at least .* [GM]iB are free in .*with --runs"):
        checkpoint.require_space(tmp_path / "not/yet", model)


@pytest.mark.parametrize(("share", "fits"), [(0.3, True), (0.4, False)])
def test_disk_has_room_for_two_checkpoints_and_the_next(tmp_path, tiny, share, fits):
    (job,) = jobs(tiny)
    size = int(share * shutil.disk_usage(tmp_path).free) // 8  # of 4 bytes each, and a bias
    with torch.device("meta"):
        model = job.model_class(job.settings.config)
        model.networks["large"] = torch.nn.Linear(1, size)
    with contextlib.nullcontext() if fits else pytest.raises(ValueError, match="need at least"):
        checkpoint.require_space(tmp_path, model)


@pytest.mark.parametrize("number", sorted(messages.ADVICE))
def test_system_errors_name_file_fault_and_way_out(number):
    error = OSError(number, errno.errorcode[number], "runs/x.pt")
    said = messages.reason(error)
    assert said == f"runs/x.pt: {errno.errorcode[number]}; {messages.ADVICE[number]}"


def test_names_cannot_steer_a_terminal_or_break_a_sentence(cli, places):
    said = cli(*TINY, "--task", "no\x1b[31m/such\nfolder\u202e", code=1)
    assert said.startswith(r"there is no folder no\x1b[31m/such\nfolder\u202e; ")


def test_sentence_is_no_longer_than_a_screen():
    said = messages.reason(ValueError("\x07" * 3000 + "end"))
    assert said.startswith(r"\x07\x07")
    assert said.endswith("end")
    assert len(said) < messages.LONGEST + 10


def test_long_and_strange_names_of_images_stay_names(cli, places, tiny, tmp_path):
    task = tmp_path / "<script>alert(1)<"
    shutil.copytree(tiny, task)
    names = ("\N{HAMSTER FACE}" * 62 + "abc.png", "\"'><script>alert(1)<&.png")
    for number, name in enumerate(names):
        (task / f"testA/a{number}.png").rename(task / "testA" / name)
    cli(*TINY, "--task", task)
    translated = {path.name for path in (the_run() / "translations-a2b").iterdir()}
    assert translated == set(names)
    for layout in ("md", "csv", "latex"):
        assert "<script" not in cli("leaderboard", "--format", layout)
    (path,) = Path("results").glob("*/*/*.json")
    content = json.loads(path.read_text())
    content["device"] = content["distribution"] = "<script>alert(1)</script>|*"
    path.write_text(json.dumps(content))
    assert "<script" not in cli("leaderboard")


def test_run_of_imported_memory_errors_is_no_damage(tmp_path, monkeypatch):
    torch.save({"format": 1}, tmp_path / "x.pt")

    def load(*arguments, **named):
        raise MemoryError

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(MemoryError):
        read_checkpoint(tmp_path / "x.pt")


def test_two_processes_of_one_plan_leave_each_other_their_runs(places, own, caplog):
    (job,) = jobs(own)
    caplog.set_level(logging.ERROR)
    said = []
    with lock.lock_run(Path("runs") / job.run.folder), pytest.raises(ValueError) as failed:
        both = [job, dataclasses.replace(job, run=dataclasses.replace(job.run, seed=1))]
        run_one_by_one(both, bench(), force=False, say=said.append)
    assert "1 of 2 runs failed, first" in str(failed.value)
    assert "is in progress: process" in str(failed.value)
    assert "recorded in" in said[-1]


def numbers_that_are_none(tensor):
    return torch.full_like(tensor, math.nan)


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (numbers_that_are_none, "has numbers that are not finite, first in generators.a2b."),
        (lambda tensor: tensor.to(torch.int64), "first in generators.a2b."),
        (lambda tensor: tensor > 0, "first in generators.a2b."),
        (lambda tensor: tensor.to(torch.complex64), "first in generators.a2b."),
    ],
)
def test_weights_that_are_no_numbers_translate_nothing(cli, finished, tiny, spoil, part):
    (path,) = Path("runs").glob("*/cyclegan*/seed0/checkpoint-*.pt")
    content = torch.load(path, weights_only=True)
    content["networks"] = {name: spoil(each) for name, each in content["networks"].items()}
    torch.save(content, "spoilt.pt")
    command = ("translate", "--model", "cyclegan", "--weights", "spoilt.pt")
    assert part in cli(*command, tiny / "testA", "out", code=1)
    assert not Path("out").exists()
    start = ("run", "--model", "cyclegan", "--task", tiny, "--preset", "tiny")
    assert part in cli(*start, "--start", "spoilt.pt", code=1)


@pytest.mark.skipif(sys.platform == "win32", reason="needs permissions")
def test_folder_that_may_not_be_listed_is_no_empty_one(cli, finished, monkeypatch):
    listing = Path.iterdir

    def refuse(path):
        if path.name.startswith("cyclegan"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert "Permission denied; fix its permissions" in cli("leaderboard", code=1)
    assert "Permission denied; fix its permissions" in cli("leaderboard", "--write", code=1)
    assert not Path("results/README.md").exists()


def test_results_that_are_not_there_are_told_apart_from_empty_ones(cli, places):
    Path("dangling").symlink_to("unmounted/results")
    assert "link that leads nowhere" in cli("leaderboard", "--results", "dangling", code=1)
    assert "there is no folder of records" in cli("validate-results", "--results", "no", code=1)
    assert "there is no folder" in cli("leaderboard", "--write", "--results", "no", code=1)
    same = ("--model", "cyclegan", "--task", "stripes", "--preset", "tiny")
    assert "link that leads nowhere" in cli("run", *same, "--results", "dangling", code=1)
    assert not Path("runs").exists() or not list(Path("runs").rglob("checkpoint-*"))


def test_run_that_is_not_finished_says_so(cli, finished):
    for path in Path("results").glob("*/cyclegan*/*"):
        path.unlink()
    (folder,) = Path("runs").glob("*/cyclegan*/seed0")
    run = folder.relative_to("runs").as_posix()
    for command in (("evaluate", run), ("figure", "comparison", run)):
        assert f"{run} is not finished: there is no record" in cli(*command, code=1)


def test_networks_of_one_preset_are_not_called_another(cli, finished, tiny):
    (folder,) = Path("runs").glob("*/cyclegan*/seed0")
    command = ("run", "--model", "cyclegan", "--task", tiny, "--start", folder)
    said = cli(*command, "--preset", "small", "--dry-run", code=1)
    assert "has the networks of preset tiny" in said
    assert "add --preset tiny" in said


def test_user_without_a_name_is_given_one(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    result = CliRunner().invoke(main, ["protocols"])
    assert result.exit_code == 0
    assert getpass.getuser() == f"user{os.getuid()}"
    monkeypatch.delenv("LOGNAME")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_help_that_cannot_be_printed_is_a_sentence():
    command = [sys.executable, "-m", "i2i_bench", "--help"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (119, "119 s"), (120, "2 min"), (7140, "119 min"), (7200, "2.0 h")],
)
def test_durations_are_written_in_the_unit_that_people_would_choose(seconds, text):
    assert messages.shown_seconds(seconds) == text
