"""Runs named by what people type: with and without a seed, by run and by record."""

from pathlib import Path

import pytest
from sound_records import make_record, make_score

from i2i_bench.records import record
from i2i_bench.records.folders import MOST_SEEDS, Places, find_folder
from i2i_bench.records.run import Run

HERE = Places(Path("results"), Path("runs"), Path("data"))


@pytest.fixture
def recorded(places):
    """Write a record of seed 0, and the folders of seeds 0, 2 and 10."""
    written = record.write_record(make_record(make_score()), HERE.results)
    for seed in (0, 2, 10):
        (HERE.runs / written.parent.relative_to("results") / f"seed{seed}").mkdir(parents=True)
    return written


@pytest.mark.parametrize("below", ["", "runs/", "results/"])
def test_run_without_its_seed_suggests_those_that_there_are(recorded, below):
    name = f"{below}{recorded.parent.relative_to('results')}"
    seeds = (0,) if below == "results/" else (0, 2, 10)
    expected = f"{name} names no seed; there are {', '.join(f'{name}/seed{s}' for s in seeds)}"
    with pytest.raises(ValueError, match="names no seed") as raised:
        find_folder(name, HERE)
    assert str(raised.value) == expected
    for seed in seeds:  # what it suggests is possible
        folder = HERE.runs / recorded.parent.relative_to("results") / f"seed{seed}"
        assert find_folder(f"{name}/seed{seed}", HERE) == folder
    assert find_folder(f"{recorded}", HERE) == HERE.runs / recorded.relative_to(
        "results"
    ).with_suffix("")


def test_many_seeds_are_named_in_part(places):
    for seed in range(MOST_SEEDS + 3):
        (HERE.runs / Run("unit", "", "hue", seed).folder).mkdir(parents=True)
    with pytest.raises(ValueError, match=r"hue/unit/seed9 and 3 more$"):
        find_folder("hue/unit/", HERE)


def test_commands_suggest_seeds(cli, recorded):
    name = recorded.parent.as_posix()
    for command in (("evaluate",), ("figure", "masks")):
        sentence = cli(*command, name, code=1)
        assert sentence == f"{name} names no seed; there are {name}/seed0"


def test_folder_of_an_import_needs_no_seed(places):
    Path("imported").mkdir()
    (Path("imported") / "run.json").write_text("{}")
    assert find_folder("imported", HERE) == Path("imported")
