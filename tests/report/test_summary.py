"""The summary of leaderboards: a row a model over all tasks."""

from pathlib import Path

import pytest
from leaderboard_records import cells, make, psnr
from page_tree import Tree, of_class, text

from i2i_bench.records.record import read_records
from i2i_bench.report.leaderboard import tabulate
from i2i_bench.report.site.page import write_page
from i2i_bench.report.site.samples import Folders
from i2i_bench.report.summary import results_readme, summary_markdown

COMMITTED = Path(__file__).parents[2] / "results"
SMALL = {"preset": "small", "variant": "preset=small"}


def of(model, stripes, hue=None, **changes):
    """Make records of a model on two tasks, where identity has 11 dB on each."""
    found = [psnr(model, stripes, **SMALL | changes)]
    return found + ([psnr(model, hue, task="hue", **SMALL | changes)] if hue else [])


def summary(records):
    """Give the part of the text before the tables."""
    return results_readme(records).partition("\n## stripes")[0].partition("\n## hue")[0]


def test_a_row_has_ranks_by_task_their_mean_and_the_share_of_others_below():
    text = summary([*of("one", 20.0, 15.0), *of("two", 18.0, 16.0), *of("three", 12.0)])
    assert cells(text, "model")[2:4] == ["hue", "stripes"]
    assert cells(text, "one")[2:7] == ["2", "1", "2", "1.5", "50 %"]  # (0/1 + 2/2) / 2
    assert cells(text, "two")[2:7] == ["1", "2", "2", "1.5", "75 %"]  # (1/1 + 1/2) / 2
    assert cells(text, "three")[2:7] == ["", "3", "1", "3.0", "0 %"]


def test_seeds_are_a_range_where_tables_have_more_or_fewer():
    text = summary([*of("one", 20.0, 15.0), *of("one", 19.0, seed=1), *of("two", 18.0, 16.0)])
    assert cells(text, "one")[1] == "1-2"
    assert cells(text, "two")[1] == "1"


def test_models_that_are_given_masks_are_named_beside_those_that_are_not():
    given = of("one", 20.0, 15.0, settings={"instances": 3})
    whole = results_readme([*given, *of("two", 18.0, 16.0, settings={"instances": 0})])
    assert whole.count("- one: given the masks of the objects, in tests too") == 3  # two tables
    assert "given the masks" not in results_readme(given)


def test_what_is_not_above_the_unchanged_source_fails():
    text = summary([*of("one", 20.0, 11.0), *of("two", 18.0, 16.0)])
    assert cells(text, "one")[7] == "hue a2b"
    assert cells(text, "two")[7] == ""


def test_changed_settings_take_no_rank_from_the_models():
    better = psnr("one", 30.0, preset="small", variant="preset=small,budget=9")
    text = summary([*of("one", 20.0, 15.0), *of("two", 18.0, 16.0), better])
    assert cells(text, "one")[3] == "1"
    assert "budget" not in text


def test_presets_have_summaries_of_their_own_and_one_table_needs_none():
    tiny = {"preset": "tiny", "variant": "preset=tiny"}
    records = [*of("one", 20.0, 15.0), *of("two", 18.0, 16.0, **tiny)]
    assert "## Summary, preset small" in summary(records)
    assert "## Summary, preset tiny" in summary(records)
    assert "Summary" not in results_readme([make()])


def test_validation_images_do_not_count():
    held = [record.model_copy(update={"split": "validation"}) for record in of("one", 30.0, 30.0)]
    text = summary([*of("two", 18.0, 16.0), *held])
    assert "| one" not in text.partition("## ")[2]


def test_what_masks_give_is_marked_for_nobody_beside_models_without():
    given = of("one", 20.0, settings={"instances": 3})
    (table,) = tabulate([*given, *of("two", 18.0), *of("three", 16.0)])
    marks = {row.label: row.marks.get("psnr_foreground") for row in table.rows[:3]}
    assert marks == {"one": None, "two": "best", "three": "second"}
    (table,) = tabulate([*given, *of("two", 18.0, settings={"instances": 1})])
    assert table.rows[0].marks["psnr_foreground"] == "best"


@pytest.mark.slow
def test_page_has_the_same_rows_and_of_one_task_none(tmp_path):
    records = read_records(COMMITTED)
    nowhere = Folders(tmp_path / "runs", tmp_path / "data")
    whole = write_page(records, tmp_path / "site", nowhere).read_text(encoding="utf-8")
    (found,) = of_class(Tree(whole).root, "section", "summary")
    table = [row for row in summary_markdown(tabulate(records)).splitlines() if row.startswith("|")]
    expected = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table]
    assert [[text(cell) for cell in row] for row in found.iter("tr")] == expected[:1] + expected[2:]
    one = write_page(records, tmp_path / "site", nowhere, ["stripes"])
    assert not of_class(Tree(one.read_text(encoding="utf-8")).root, "section", "summary")
