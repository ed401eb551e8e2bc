"""Commands that show what is recorded, used as their options invite to."""

import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # many whole commands

COMMITTED = Path(__file__).parents[2] / "results"
RUN = "stripes/cyclegan+preset=small/seed0"


@pytest.fixture
def records(places: Path) -> Path:
    """Put the committed records of two tasks where they are looked for, without their runs."""
    for task in ("stripes", "hue"):
        shutil.copytree(COMMITTED / task, places / "results" / task)
    return places / "results"


@pytest.mark.parametrize("command", ["leaderboard", "ablate"])
def test_check_and_write_are_not_mixed(cli, records, command):
    assert "leave one out" in cli(command, "--write", "--check", code=2)
    assert not (records / "README.md").exists()


def test_check_of_all_ablations_takes_none_alone(cli, records):
    assert "leave --model out" in cli("ablate", "--check", "--model", "cyclegan", code=2)
    assert "nothing to write" in cli("ablate", "--write")


def test_leaderboard_takes_several_tasks(cli, records):
    whole = cli("leaderboard")
    assert cli("leaderboard", "--task", "stripes", "--task", "hue") == whole
    one = cli("leaderboard", "--task", "hue")
    assert one in whole and "## stripes" not in one


def test_scatters_of_several_tasks_lie_in_one_folder(cli, records, places):
    for task in ("stripes", "hue"):
        cli("figure", "scatter", "--task", task, "--output", "drawn", "--format", "svg")
    names = sorted(path.name for path in Path("drawn").iterdir())
    assert names == ["hue-scatter-small-i2i.svg", "stripes-scatter-small-i2i.svg"]


@pytest.mark.parametrize(
    "command",
    [("compare", RUN, RUN.replace("cyclegan", "unit")), ("figure", "masks", RUN)],
)
def test_a_record_without_its_run_is_told_from_an_unknown_run(cli, records, command):
    told = cli(*command, code=1)
    assert "is recorded" in told and "run --force trains it again" in told
    unknown = cli("figure", "masks", RUN.replace("seed0", "seed7"), code=1)
    assert "no run stripes/cyclegan+preset=small/seed7" in unknown


def test_an_unpublished_count_names_the_task_to_fetch(cli, places):
    words = ("run", "--model", "cyclegan", "--task", "ar-face:neutral2smile", "--dry-run")
    told = cli(*words, code=1)
    assert "'ar-face:neutral2smile' are not there" in told and "data fetch ar-face says" in told


@pytest.mark.parametrize("table", ["diversity", "iv"])
def test_a_mistyped_folder_of_records_is_no_empty_one(cli, places, table):
    told = cli("table", table, "--results", "nowhere", code=1)
    assert "there is no folder of records nowhere" in told
