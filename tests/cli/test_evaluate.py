"""The command that scores a run again, and where it finds it."""

import json
import shutil
from pathlib import Path

import pytest
from finished_runs import CYCLEGAN, record_of, runs_of
from PIL import Image

from i2i_bench.records import record


def test_evaluate_refuses_what_is_scored_unless_forced(cli, finished):
    name = runs_of("cyclegan")
    before = record.read_record(record_of("cyclegan"))
    assert "--force replaces that" in cli("evaluate", name, code=1)
    assert "scored " in cli("evaluate", name, "--force")
    assert record.read_record(record_of("cyclegan")) == before


@pytest.mark.slow
def test_places_of_the_environment_may_begin_with_the_home_folder(cli, tiny, places, monkeypatch):
    monkeypatch.setenv("HOME", str(places / "home"))
    for name in ("results", "runs"):
        monkeypatch.setenv(f"I2I_BENCH_{name.upper()}", f"~/{name}")
    cli(*CYCLEGAN, "--task", tiny, "--budget", 2)
    assert list((places / "home" / "results").glob("*/cyclegan*/seed0.json"))
    assert list((places / "home" / "runs").glob("*/cyclegan*/seed0/run.json"))


def test_direction_that_a_record_lost_is_scored_again(cli, finished, tiny):
    path = record_of("cyclegan")
    before = record.read_record(path)
    scores = {key: score for key, score in before.scores.items() if not key.endswith("/b2a")}
    record.write_record(before.model_copy(update={"scores": scores}), Path("results"))
    assert "scored again" in cli(*CYCLEGAN, "--task", tiny)
    assert record.read_record(path) == before
    assert "recorded already" in cli(*CYCLEGAN, "--task", tiny)


def test_run_whose_folder_was_moved_is_found_by_its_task(cli, finished, tiny):
    name, moved = runs_of("cyclegan"), finished / "moved" / "tiny"
    note = Path("runs", name, "run.json")
    note.write_text(json.dumps({"task": "/nowhere/tiny", "finished": True}))
    sentence = cli("evaluate", name, "--force", code=1)
    assert "images in /nowhere/tiny, which are not there; --task FOLDER says where" in sentence
    shutil.copytree(tiny, moved)
    sentence = cli("evaluate", name, "--task", "stripes", "--force", code=1)
    assert "is a run of folder-tiny-" in sentence
    assert "stripes is stripes" in sentence
    comparison = ("figure", "comparison", name, "--format", "png")
    assert "which are not there" in cli(*comparison, code=1)
    assert "comparison.png" in cli(*comparison, "--task", moved)
    assert json.loads(note.read_text())["task"] == "/nowhere/tiny"
    assert "scored " in cli("evaluate", name, "--task", moved, "--force")
    assert json.loads(note.read_text()) == {"task": str(moved), "finished": True}
    cli("evaluate", name, "--force")


def test_recorded_run_notes_where_its_folder_is_now(cli, finished, tiny):
    note = Path("runs", runs_of("cyclegan"), "run.json")
    note.write_text(json.dumps({"task": "/nowhere/tiny", "finished": True}))
    assert "recorded already" in cli(*CYCLEGAN, "--task", tiny)
    assert json.loads(note.read_text()) == {"task": str(tiny), "finished": True}


def test_evaluate_takes_several_protocols_and_prints_what_each_found(cli, finished):
    protocols = ("--protocol", "clean", "--protocol", "cut")
    text = cli("evaluate", runs_of("cyclegan"), *protocols)
    lines = [line for line in text.splitlines() if line.startswith(("i2i", "clean", "cut"))]
    assert [line.split(", n = 2: ")[0] for line in lines] == [
        *("clean@1, a2b", "clean@1, b2a", "cut@1, a2b", "cut@1, b2a")
    ]
    assert "PSNR cycle " in lines[0]
    assert lines[0].endswith("; weights file inception-2015-12-05.pt is missing")
    assert lines[2] == (  # PSNR is the same by every protocol
        "cut@1, a2b, n = 2: weights file pt_inception-2015-12-05-6726825d.pth is missing"
    )
    found = record.read_record(record_of("cyclegan")).scores
    assert {key.split("/")[0] for key in found} == {"i2i@1", "clean@1", "cut@1"}
    assert "fid" in found["cut@1/a2b"].values
    assert "kid" not in found["cut@1/a2b"].values


def test_missing_weights_are_said_in_one_line(cli, finished, caplog):
    names = ("inception-2015-12-05.pt", "alexnet-owt-7be5be79.pth")
    cli("evaluate", runs_of("cyclegan"), "--force")
    cli("evaluate", runs_of("attentiongan"), "--force")
    (line,) = [text for text in caplog.messages if any(name in text for name in names)]
    assert line == (
        f"no scores by {' and '.join(names)}, not found in {finished / 'weights'}: "
        "i2i-bench weights fetch, then score again with --force"
    )


@pytest.mark.parametrize(
    ("options", "code", "part"),
    [
        (("--kid-subset-size", 20), 2, "is for protocols with subsets, such as uvcgan2"),
        (("--order-replicates", 5), 2, "is for protocols with blocks, such as ugatit"),
        (("--protocol", "uvcgan2", "--order-replicates", 5), 2, "is for protocols with blocks"),
    ],
)
def test_what_no_protocol_uses_is_refused(cli, finished, options, code, part):
    assert part in cli("evaluate", runs_of("cyclegan"), *options, code=code)
    assert part in cli(*CYCLEGAN, "--task", "stripes", *options, code=code)


def test_protocols_take_what_they_use(cli, finished):
    both = ("--protocol", "i2i", "--protocol", "ugatit", "--protocol", "uvcgan2")
    sizes = ("--kid-subset-size", 2, "--order-replicates", 2)
    assert "scored " in cli("evaluate", runs_of("cyclegan"), *both, *sizes, "--force")


@pytest.mark.parametrize("form", ["folder", "record"])
def test_evaluate_finds_a_run_by_its_folder_and_its_record(cli, finished, form):
    name = Path("runs") / runs_of("cyclegan") if form == "folder" else record_of("cyclegan")
    assert "is scored under i2i@1 already" in cli("evaluate", name, code=1)


def test_evaluate_refuses_a_folder_that_has_changed_since(cli, finished):
    folder = Path("runs") / runs_of("cyclegan")
    other = finished / "other"
    place = json.loads((folder / "run.json").read_text())["task"]
    shutil.copytree(place, other)
    Image.new("RGB", (40, 36)).save(other / "testA" / "a9.png")
    (folder / "run.json").write_text(json.dumps({"task": str(other)}))
    sentence = cli("evaluate", folder, "--force", code=1)
    assert "is a run of folder-tiny-" in sentence
    assert "other is folder-other-" in sentence
