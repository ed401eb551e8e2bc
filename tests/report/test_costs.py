"""Costs that were measured beside other work, from the run to the tables."""

import json
from pathlib import Path

import pytest
from leaderboard_records import cells, make

from i2i_bench.records.folders import Places, find_record, noted_load
from i2i_bench.records.record import MachineLoad
from i2i_bench.report.frame import make_frame
from i2i_bench.report.render import leaderboard_csv, leaderboard_latex, leaderboard_markdown
from i2i_bench.report.site.detail import run_detail
from i2i_bench.runs import execute
from i2i_bench.system import processes

ALONE = MachineLoad(start=0.1, end=1.2, threads=1)
SHARED = MachineLoad(start=0.2, end=5.9, threads=2)


@pytest.mark.parametrize(
    ("start", "end", "threads", "is_shared"),
    [
        (0, 1, 1, False),
        (0, 1.49, 1, False),
        (0, 1.5, 1, True),
        (1.5, 1, 1, True),
        (0, 8.2, 8, False),
    ],
)
def test_load_beyond_a_runs_own_threads_is_others(start, end, threads, is_shared):
    assert MachineLoad(start=start, end=end, threads=threads).is_shared == is_shared


def test_seconds_beside_other_work_are_marked_with_a_legend():
    records = [make("alone", load=ALONE), make("old"), *(make(seed=s, load=SHARED) for s in (0, 1))]
    text = leaderboard_markdown(records)
    costs = text[text.index("params M") :]
    assert cells(costs, "cyclegan")[-3:-1] == ["10.0†", "10.0†"]
    assert cells(costs, "alone")[-3:-1] == cells(costs, "old")[-3:-1] == ["10.0", "10.0"]
    whose = ", ".join(f"cyclegan (seed {seed}: load 0.2 to 5.9 with 2 threads)" for seed in (0, 1))
    legend = "† Measured beside other work, so slower than on a machine of its own"
    assert f"- {legend}: {whose}.\n" in text
    assert "10.0$^\\dagger$" in leaderboard_latex(records)
    assert "†" not in leaderboard_csv(records)  # whose values are raw
    assert "†" not in leaderboard_markdown(records[:2])


def test_frame_and_page_tell_what_was_measured_beside_other_work():
    records = [make("alone", load=ALONE), make("old"), make("shared", load=SHARED)]
    found = make_frame(records)["is_shared"]
    assert found.isna().tolist() == [False, True, False]
    assert found.dropna().tolist() == [False, True]
    fact = "measured beside other work"
    for record in records[:2]:
        shown = run_detail("place", [record])
        assert fact not in shown.facts
        assert shown.costs[0][1][:2] == ("10.0", "10.0")
    shown = run_detail("place", records[2:])
    assert shown.facts[fact] == "load 0.2 to 5.9 with 2 threads"
    assert shown.costs[0][1][:2] == ("10.0†", "10.0†")


@pytest.fixture
def loads(monkeypatch):
    """Have the machine's load be what the test says."""
    now = [0.5, 3.0, 7.0, 8.0]
    monkeypatch.setattr(execute, "machine_load", lambda: now.pop(0))
    return now


@pytest.mark.slow
def test_load_is_noted_as_a_training_begins_and_as_it_ends(cli, places, tiny, loads):
    command = ("run", "--model", "cyclegan", "--task", tiny, "--preset", "tiny", "--budget", 2)
    cli(*command)
    (path,) = Path("results").glob("*/*/seed0.json")
    written = json.loads(path.read_text())["load"]
    assert (written["start"], written["end"]) == (0.5, 3.0)
    path.unlink()
    cli(*command)  # the training is done: that of the scoring alone would be another
    folder, found = find_record(f"{path.parent}/seed0".removeprefix("results/"), PLACES)
    assert found.load == MachineLoad(**written)
    assert noted_load(folder) == [0.5, 3.0] and loads == [7.0, 8.0]


PLACES = Places(Path("results"), Path("runs"), Path("data"))


def test_machine_without_a_load_has_none(monkeypatch, tmp_path):
    def fail():
        raise OSError

    monkeypatch.setattr(processes.os, "getloadavg", fail)
    assert processes.machine_load() is None
    for text in ('{"load": "high"}', '{"load": [1, "x"]}', '{"load": [1, 2, 3]}', "{"):
        (tmp_path / "run.json").write_text(text)
        assert noted_load(tmp_path) == []
