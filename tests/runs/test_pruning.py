"""Pruning removes what nobody needs, and never a record, a run in work or one not finished."""

import os
from pathlib import Path

import pytest

from i2i_bench.records.folders import write_run_file
from i2i_bench.runs import lock, pruning

RUNS, RESULTS = Path("runs"), Path("results")
CHECKPOINTS = ("checkpoint-000000000002.pt", "checkpoint-000000000004.pt")
RECORD = Path(__file__).parents[2] / "results/stripes/cyclegan+preset=small/seed0.json"


def make(run, *, is_recorded=True, is_finished=True):
    """Write a run with two checkpoints, translations and drafts of killed processes."""
    folder = RUNS / run
    images = folder / "translations-a2b"
    images.mkdir(parents=True)
    for path in (*(folder / name for name in CHECKPOINTS), images / "1.png", folder / "losses.png"):
        path.write_bytes(b"x" * 100)
    for draft in (folder / ".checkpoint-1.pt", images / ".1-x.png"):
        draft.write_bytes(b"x" * 100)
        os.utime(draft, (0, 0))
    (images / ".2-x.png").write_bytes(b"x")  # which somebody may be writing
    write_run_file(folder, "stripes", is_finished=is_finished)
    if is_recorded:
        path = RESULTS / f"{run}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(RECORD.read_bytes())
    return folder


def left(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


KEPT = ["losses.png", "run.json", "translations-a2b/.2-x.png", "translations-a2b/1.png"]


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        ("spare", [CHECKPOINTS[1], *KEPT]),
        ("translations", [CHECKPOINTS[1], "losses.png", "run.json"]),
        ("all", []),
    ],
)
def test_recorded_run_keeps_what_its_level_says(places, level, kept):
    folder = make("stripes/cyclegan/seed0")
    (done,) = pruning.prune_runs(RUNS, RESULTS, level=level, dry_run=False)
    assert left(folder) == kept
    assert folder.exists() is bool(kept)
    assert (done.run, done.files) == ("stripes/cyclegan/seed0", 8 - len(kept))
    assert (RESULTS / "stripes/cyclegan/seed0.json").read_bytes() == RECORD.read_bytes()
    assert not list(RUNS.rglob("*.lock"))


@pytest.mark.parametrize("state", [{"is_recorded": False}, {"is_finished": False}])
def test_run_that_is_not_recorded_or_not_finished_loses_its_drafts_alone(places, state):
    folder = make("stripes/cyclegan/seed0", **state)
    (done,) = pruning.prune_runs(RUNS, RESULTS, level="all", dry_run=False)
    assert done.files == 2
    assert left(folder) == [*CHECKPOINTS, *KEPT]


def test_damaged_record_protects_its_run(places):
    folder = make("stripes/cyclegan/seed0")
    (RESULTS / "stripes/cyclegan/seed0.json").write_text("{")
    list(pruning.prune_runs(RUNS, RESULTS, level="all", dry_run=False))
    assert CHECKPOINTS[0] in left(folder)


def test_run_in_work_is_passed_over(places):
    folder = make("stripes/cyclegan/seed0")
    before = left(folder)
    with lock.lock_run(folder):
        (done,) = pruning.prune_runs(RUNS, RESULTS, level="all", dry_run=False)
    assert "is in progress: process" in done.reason
    assert left(folder) == before


def test_copy_of_a_run_is_not_the_runs(places):
    copy = make("stripes/cyclegan/seed0").with_name("seed0.bak")
    copy.mkdir()
    (copy / CHECKPOINTS[0]).write_bytes(b"x")
    (done,) = pruning.prune_runs(RUNS, RESULTS, level="all", dry_run=False)
    assert done.run == "stripes/cyclegan/seed0"
    assert left(copy) == [CHECKPOINTS[0]]


def test_links_are_removed_and_what_they_lead_to_stays(places):
    folder = make("stripes/cyclegan/seed0")
    (places / "precious").mkdir()
    (places / "precious/file").write_text("x")
    (folder / "link").symlink_to(places / "precious")
    (RUNS / "stripes/cyclegan/seed1").symlink_to(places / "precious")
    list(pruning.prune_runs(RUNS, RESULTS, level="all", dry_run=False))
    assert (places / "precious/file").exists()
    assert (RUNS / "stripes/cyclegan/seed1").is_symlink()


def test_command_says_what_it_would_do_and_does_it(cli, places):
    folder = make("stripes/cyclegan/seed0")
    before = left(folder)
    said = cli("runs", "prune", "--dry-run")
    assert "stripes/cyclegan/seed0: would remove 3 files, 0.0 MB" in said
    assert left(folder) == before
    assert "removed 3 files" in cli("runs", "prune")
    assert left(folder) == [CHECKPOINTS[1], *KEPT]
    assert cli("runs", "prune") == f"removed 0.0 MB in {places / 'runs'}\n"


def test_nothing_to_prune_is_fine(cli, places):
    assert cli("runs", "prune", "--all") == f"removed 0.0 MB in {places / 'runs'}\n"
