import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from finished_runs import ATTENTIONGAN, CYCLEGAN, files_below, record_of
from PIL import Image

from i2i_bench.cli.main import main
from i2i_bench.plugins import contract
from i2i_bench.records import record

# --- help and names


@pytest.mark.parametrize("command", [None, *main.commands])
def test_every_command_has_help_with_an_example(cli, command):
    text = cli(*([command] if command else []), "--help")
    assert "Example:\n" in text
    assert f"i2i-bench {command or ''}".rstrip() in text.split("Example:\n")[1]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "10000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
    ],
)
def test_waiting_threads_give_way_unless_the_user_says_otherwise(cli, given, expected, monkeypatch):
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"], **given})
    cli("protocols")
    assert os.environ.get("GOMP_SPINCOUNT") == expected


def test_windows_is_told_where_commands_run(cli, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert cli("models", code=1).endswith("use WSL")


@pytest.mark.parametrize("command", main.commands.values(), ids=list(main.commands))
def test_every_option_but_the_obvious_says_what_it_is(command):
    options = [p for p in command.params if isinstance(p, click.Option)]
    silent = [o.name for o in options if not (o.help or o.metavar or o.show_default)]
    assert not silent


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (["leaderbord"], 2, ["'leaderbord'", "did you mean 'leaderboard'?"]),
        (["run", "--modle", "x"], 2, ["--modle", "--model"]),
        (["run", "--model", "cyclegan"], 2, ["--task"]),
        (["run", "--model", "cyclegna", "--task", "hue"], 1, ["'cyclegna'", "'cyclegan'?"]),
        (["check", "cyclegna"], 1, ["'cyclegna'", "'cyclegan'?"]),
        (["check", "cyclegan", "--set", "x=1"], 1, ["model 'cyclegan' has no setting 'x'"]),
        (["models", "cyclegna"], 1, ["'cyclegna'", "'cyclegan'?"]),
        ([*CYCLEGAN, "--task", "strips"], 1, ["'strips'", "'stripes'?"]),
        ([*CYCLEGAN, "--task", "hue", "--set", "num_block=1"], 1, ["'num_block'", "'num_blocks'?"]),
        (["run", "--model", "cyclegan", "--task", "hue", "--preset", "smal"], 1, ["small"]),
        ([*CYCLEGAN, "--task", "hue", "--protocol", "i2j"], 1, ["'i2j'", "'i2i'?"]),
        ([*CYCLEGAN, "--task", "hue", "--protocol", "i2j", "--dry-run"], 1, ["'i2i'?"]),
        (["evaluate", "hue/cyclegan/seed0"], 1, ["no run hue/cyclegan/seed0"]),
    ],
)
def test_wrong_name_is_refused_with_what_is_possible(cli, places, arguments, code, parts):
    sentence = cli(*arguments, code=code)
    assert all(part in sentence for part in parts), sentence
    assert not files_below(places)


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["--set", "num_masks=four"], 1, "num_masks=four: Input should be a valid integer"),
        (["--set", "num_masks=0"], 1, "num_masks is 0; at least 1 is needed"),
        (["--set", "num_masks"], 2, "KEY=VALUE is needed"),
        (["--set", "num_masks=4", "--set", "num_masks=5"], 2, "--set num_masks is given twice"),
        (["--set", "batch_size=0"], 1, "batch_size is 0; an integer from 1"),
        (["--set", "crop_size=44"], 1, "crop_size 44 does not fit into load_size 36"),
        (["--set", "crop_size=34"], 1, "34x34 px: both sides must be divisible by 4"),
        (["--set", "flip=maybe"], 1, "flip=maybe"),
        (["--set", "batch_size=1000000"], 1, "an integer from 1 to 4096"),
        (["--set", "num_blocks=1000000"], 1, "num_blocks=1000000: at most 1000 is possible"),
        (["--set", f"pool_size={10**20}"], 1, "at most 2147483647 is possible"),
        (["--seed", 2**64], 1, "it must be below 2**64"),
        (["--checkpoint-seconds", "nan"], 2, "'nan' is not a number"),
        (["--budget", 0], 2, "--budget"),
        (["--seed", "x"], 2, "--seed"),
    ],
)
def test_impossible_setting_is_refused(cli, places, tiny, arguments, code, part):
    assert part in cli(*ATTENTIONGAN, "--task", tiny, *arguments, code=code)
    assert not files_below(places)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_cuda_is_refused_where_there_is_none(cli, places, tiny):
    sentence = cli(*CYCLEGAN, "--task", tiny, "--device", "cuda", code=1)
    assert "--device cpu" in sentence


# --- images of the user's own


def _empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def _truncate(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (36, 40, 3), dtype=np.uint8)
    path = folder / "trainA" / "cut.jpg"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-400])


def _deep(folder: Path) -> None:
    Image.fromarray(np.full((36, 40), 1000, np.uint16)).save(folder / "trainA" / "deep.png")


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (shutil.rmtree, ["there is no folder", "trainA trainB testA testB"]),
        (_empty, ["has none of the folders needed: trainA trainB testA testB"]),
        (lambda folder: shutil.rmtree(folder / "testB"), ["has no testB"]),
        (lambda folder: _empty(folder / "trainB"), ["trainB is empty"]),
        (_truncate, ["cut.jpg cannot be read as an image", "truncated"]),
        (
            lambda folder: Image.new("RGB", (1, 1)).save(folder / "trainA" / "dot.png"),
            ["dot.png of 1x1 pixels is too small"],
        ),
        (_deep, ["deep.png has 16-bit", "task.toml the line range.a = [0, 65535]"]),
    ],
    ids=[
        "missing",
        "empty",
        "no testB",
        "empty trainB",
        "truncated",
        "one pixel",
        "16 bit",
    ],
)
def test_unfit_folder_is_refused_by_name(cli, places, own, spoil, parts):
    spoil(own)
    sentence = cli(*CYCLEGAN, "--task", own, code=1)
    assert all(part in sentence for part in parts), sentence
    assert not list(places.glob("results/**/*.json"))


def test_grey_and_transparent_images_are_taken(cli, places, own):
    Image.new("L", (40, 36), 90).save(own / "trainA" / "a0.png")
    Image.new("RGBA", (40, 36), (9, 200, 9, 90)).save(own / "testB" / "b1.png")
    cli(*CYCLEGAN, "--task", own, "--budget", 1)
    assert len(list(places.glob("results/*/*/seed0.json"))) == 1


def test_unfit_test_image_is_refused_before_the_training(cli, places, own):
    (own / "testB" / "b1.png").write_bytes(b"no image")
    assert "b1.png cannot be read as an image" in cli(*CYCLEGAN, "--task", own, code=1)
    assert not list(places.glob("runs/**/checkpoint-*.pt"))


def test_setting_that_torch_refuses_is_one_sentence(cli, places, tiny):
    sentence = cli(*CYCLEGAN, "--task", tiny, "--set", "beta1=2", code=1)
    assert sentence == "Invalid beta parameter at index 0: 2.0"
    assert not files_below(places)


def test_setting_that_the_model_refuses_is_one_sentence(cli, places, tiny):
    sentence = cli(*CYCLEGAN, "--task", tiny, "--set", "pool_size=-1", code=1)
    assert sentence == "pool_size is -1; at least 0 is needed"
    assert not files_below(places)


# --- run


def test_plan_is_the_product_of_models_and_seeds(finished):
    found = sorted(f"{r.model} {r.seed}" for r in record.read_records(finished / "results"))
    assert found == ["attentiongan 0", "attentiongan 1", "cyclegan 0", "cyclegan 1"]
    lines = (finished / "output.txt").read_text().splitlines()
    assert [line[:5] for line in lines if ": recorded in " in line] == [
        "[1/4]",
        "[2/4]",
        "[3/4]",
        "[4/4]",
    ]


def test_record_says_what_was_done(finished):
    found = record.read_record(record_of("attentiongan"))
    assert (found.images_seen, found.steps, found.settings["crop_size"]) == (8, 4, 32)
    assert set(found.scores) == {"i2i@1/a2b", "i2i@1/b2a"}
    assert found.scores["i2i@1/a2b"].n_fake == 2
    assert found.scores["i2i@1/a2b"].values["fid"] is None
    assert "weights file" in found.scores["i2i@1/a2b"].reasons["fid"]
    folder = finished / "runs" / found.run.folder
    assert all((folder / name).exists() for name in found.artefacts)


def test_record_holds_relative_paths_only(finished):
    assert "weights" in record_of("cyclegan").read_text(encoding="utf-8")
    assert str(finished.parent) not in record_of("cyclegan").read_text(encoding="utf-8")


def test_same_command_again_does_nothing(cli, finished, tiny):
    before = {path: path.stat().st_mtime_ns for path in files_below(finished)}
    assert ": recorded already in " in cli(*CYCLEGAN, "--task", tiny)
    assert {path: path.stat().st_mtime_ns for path in files_below(finished)} == before


def test_force_replaces_a_record(cli, finished, tiny):
    path = record_of("cyclegan")
    path.write_text("{}", encoding="utf-8")
    cli(*CYCLEGAN, "--task", tiny, "--force")
    assert record.read_record(path).images_seen == 8


def test_record_made_with_other_settings_is_not_taken_for_this_one(cli, finished, tiny):
    path = record_of("cyclegan")
    content = json.loads(path.read_text(encoding="utf-8"))
    content["settings"]["config"]["pool_size"] = 5
    path.write_text(json.dumps(content), encoding="utf-8")
    sentence = cli(*CYCLEGAN, "--task", tiny, code=1)
    assert "config.pool_size was 5, now 4; --force replaces it" in sentence


def test_dry_run_prints_every_setting_and_writes_nothing(cli, places, tiny):
    text = cli(*ATTENTIONGAN, "--task", tiny, "--set", "num_masks=2", "--dry-run")
    shown = {line.split(":")[0].strip() for line in text.splitlines()}
    general = {"preset", "precision", "batch_size", "budget", "load_size", "crop_size", "flip"}
    assert general | {"resampling", "resize", "memory", "time", "recorded"} <= shown
    assert "  config.num_masks: 2\n" in text
    assert "/attentiongan+preset=tiny,num_masks=2/seed0\n" in text
    assert not files_below(places)


def test_dry_run_refuses_what_the_run_would_refuse(cli, places, tiny):
    sentence = cli(*CYCLEGAN, "--task", tiny, "--set", "crop_size=34", "--dry-run", code=1)
    assert "divisible by 4" in sentence


def test_dry_run_says_what_is_recorded_and_how_fast_that_was(cli, finished, tiny):
    text = cli(*CYCLEGAN, "--task", tiny, "--dry-run", "--seed", 1, "--seed", 2)
    first, second, total = text.split("\n\n")
    assert first.splitlines()[-1].strip() == f"recorded: {finished / record_of('cyclegan', 1)}"
    assert "recorded: no" in second
    assert "s of training, as seed0" in second
    assert total.startswith("2 runs: 1 recorded, 1 left; training of 1 of these takes ")
    record_of("cyclegan").write_text("{")  # which another seed's plan passes over
    text = cli(*CYCLEGAN, "--task", tiny, "--dry-run", "--seed", 2)
    assert "s of training, as seed1" in text


def test_one_failing_run_does_not_keep_the_others_from_being_done(cli, places, tiny):
    several = ("--model", "attentiongan-v1", "--seed", 1)  # generators of stride 4 and of stride 2
    sentence = cli(
        *CYCLEGAN, *several, "--task", tiny, "--set", "learning_rate=-1", "--budget", 1, code=1
    )
    assert sentence.startswith("2 of 2 runs failed, first ")


@pytest.mark.slow
def test_stopped_run_is_one_sentence_and_goes_on(places, tiny, default_signals):
    command = [sys.executable, "-m", "i2i_bench", *CYCLEGAN, "--task", str(tiny)]
    command += ["--budget", "2000", "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(places.glob("runs/*/*/*/losses.jsonl")) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        text = process.stderr.read()
    assert process.returncode == 1, text
    assert "Traceback" not in text
    assert "Error: stopped by SIGINT after " in text
    assert "the same command resumes it" in text
    assert len(list(places.glob("runs/*/*/*/checkpoint-*.pt"))) == 1


# --- what there is


def test_models_lists_what_is_installed(cli):
    lines = cli("models").splitlines()
    assert lines[0].split() == ["model", "distribution", "version", "summary"]
    assert {"attentiongan", "cyclegan"} <= {line.split()[0] for line in lines[1:]}


def test_models_shows_card_parameters_and_cost_of_a_name(cli):
    text = cli("models", "cyclegan")
    assert "arXiv 1703.10593" in text
    assert "parameters of generators.a2b: 11,378,179" in text
    assert "multiply-adds of a translation at 256x256" in text


def test_tasks_lists_states(cli, places):
    rows = {line.split()[0]: line for line in cli("tasks").splitlines() if line}
    assert rows["stripes"].split()[1] == "ready"
    assert rows["horse2zebra"].split()[1] == "missing"
    assert rows["celeba"].split()[1:3] == ["by", "hand"]


def test_protocols_lists_versions(cli):
    assert cli("protocols").splitlines()[1].startswith("i2i@1 ")


def test_check_passes_and_names_what_it_checked(cli):
    lines = cli("check", "cyclegan").splitlines()
    assert len(lines) == 1 + len(contract.CHECKS)
    assert all(line.startswith("ok  ") for line in lines)


# --- leaderboard


@pytest.mark.parametrize(
    ("layout", "part"), [("md", "| cyclegan"), ("csv", ",cyclegan,"), ("latex", r"\begin{tabular}")]
)
def test_leaderboard_has_three_layouts(cli, finished, layout, part):
    text = cli("leaderboard", "--format", layout)
    assert part in text
    assert text.endswith("\n")


def test_leaderboard_of_a_task_alone_refuses_one_without_records(cli, finished):
    assert "no records of task 'hue'" in cli("leaderboard", "--task", "hue", code=1)


def test_leaderboard_check_holds_after_write_and_until_a_record_changes(cli, finished):
    assert "there is no " in cli("leaderboard", "--check", code=1)
    cli("leaderboard", "--write")
    assert "up to date" in cli("leaderboard", "--check")
    record_of("cyclegan", 1).unlink()
    assert "is stale; i2i-bench leaderboard --write" in cli("leaderboard", "--check", code=1)


def test_leaderboard_works_where_nothing_is(cli, places):
    assert "No record" in cli("leaderboard")
    assert not list(places.iterdir())


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "Invalid JSON"),
        (b'{"model": "cycle', "Invalid JSON"),
        (b"\xff\xfe\x00", "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b"{}", "Field required"),
    ],
)
def test_corrupt_record_is_named(cli, finished, content, part):
    path = record_of("cyclegan")
    path.write_bytes(content)
    sentence = cli("leaderboard", code=1)
    assert str(path) in sentence
    assert part in sentence


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"seconds": float("nan")}, "seconds"),
        ({"model": "../../../etc"}, "model: String should match pattern"),
        ({"model": "unit"}, "move it to its place"),
        ({"device": "\x1b[31m"}, "device: String should match pattern"),
        ({"task": None}, "task: Input should be a valid string"),
        ({"__class__": "os.system"}, "Extra inputs are not permitted"),
        ({"schema_version": 99}, "schema_version"),
    ],
)
def test_hostile_record_is_refused(cli, finished, changes, part):
    path = record_of("cyclegan")
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | changes), encoding="utf-8")
    sentence = cli("leaderboard", code=1)
    assert "cyclegan+preset=tiny/seed0.json" in sentence
    assert part in sentence


@pytest.mark.parametrize("words", [("leaderboard",), ("table", "iv")])
def test_folder_of_records_that_is_typed_must_be_there(cli, places, words):
    cli(*words)  # where records will be, with none yet
    said = cli(*words, "--results", "resluts", code=1)
    assert said == "there is no folder of records resluts"


def test_output_cut_by_its_reader_is_no_error():
    command = [sys.executable, "-m", "i2i_bench", "tasks"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
