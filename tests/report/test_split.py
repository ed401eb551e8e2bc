"""Scores of validation images: never in a table, a ranking or a bold of test images."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from leaderboard_records import make, models, psnr

from i2i_bench.report import validation
from i2i_bench.report.directions import num_scored_images
from i2i_bench.report.frame import make_frame
from i2i_bench.report.leaderboard import tabulate
from i2i_bench.report.papers.comparison import comparison_table
from i2i_bench.report.papers.tables import paper_csv
from i2i_bench.report.render import leaderboard_csv, leaderboard_latex
from i2i_bench.report.site.command import repeat_command

RESULTS = Path(__file__).parents[2] / "results"
NAME = "stripes/attentiongan+preset=small{}/seed0.json"
HELD: dict[str, Any] = {"split": "validation", "variant": "split=validation"}


def test_validation_scores_are_ranked_among_themselves_behind_all_test_tables():
    test = [psnr("poor", 10.0), psnr("good", 20.0), psnr("one", 5.0, task="a-task")]
    held = [psnr("poor", 99.0, **HELD), psnr("good", 98.0, **HELD)]
    tables = tabulate([*held, *test])
    assert [(t.group.task, t.group.split) for t in tables] == [
        ("a-task", "test"),
        ("stripes", "test"),
        ("stripes", "validation"),
    ]
    assert models(tables[1]) == [("good", 1), ("poor", 2)]
    assert models(tables[2]) == [("poor+split=validation", 1), ("good+split=validation", 2)]
    assert tables[2].heading.endswith("n = 100 validation images")
    assert any("never ranked with scores of test images" in note for note in tables[2].notes)
    assert not any("validation" in note for table in tables[:2] for note in table.notes)


def test_every_format_and_the_frame_say_of_which_images_scores_are():
    records = [psnr("good", 20.0), psnr("good", 30.0, **HELD)]
    lines = leaderboard_csv(records).splitlines()
    column = lines[0].split(",").index("split")
    assert {line.split(",")[column] for line in lines[1:]} == {"test", "validation"}
    assert "n = 100 validation images" in leaderboard_latex(records)
    assert list(make_frame(records)["split"]) == ["test", "validation"]


def test_tables_of_papers_hold_test_scores_alone():
    fields: dict[str, Any] = {"model": "attentiongan", "task": "selfie2anime", "headline": "kid"}
    test, held = (
        make(values={"kid": value, "kid_se": 0.001, "fid": 90.0}, **fields, **changes)
        for value, changes in ((0.1234, {}), (0.0567, HELD))
    )
    both = paper_csv(comparison_table("iv", [test, held]))
    assert both == paper_csv(comparison_table("iv", [test])) and "12.34" in both
    assert "12.34" not in paper_csv(comparison_table("iv", [held]))


def test_command_that_repeats_a_run_names_its_split():
    (line,) = repeat_command([psnr("good", 20.0, **HELD)]).lines
    assert "--split validation" in line and "--set" not in line


def put(results, changes, variant):
    """Write a committed record as one with these changes."""
    content = json.loads((RESULTS / NAME.format("")).read_text(encoding="utf-8")) | changes
    content["variant"] += variant
    path = results / NAME.format(variant)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "variant", "message"),
    [
        ({"split": "validation"}, ",split=validation", ""),
        ({"split": "validation"}, "", "does not name the split validation"),
        ({}, ",split=validation", "disagrees with the setting split"),
        ({"split": "train"}, "", "Input should be '' or 'validation'"),
    ],
)
def test_records_say_in_both_places_that_they_are_of_validation_images(
    changes, variant, message, tmp_path
):
    put(tmp_path, changes, variant)
    _, problems = validation.validate_results_in(tmp_path)
    assert [message in problem for problem in problems] == ([True] if message else [])


def test_records_of_both_splits_need_not_share_images_nor_settings(tmp_path):
    put(tmp_path, {"split": "validation"}, ",split=validation")
    path = tmp_path / NAME.format(",split=validation")
    content = path.read_text(encoding="utf-8")
    for score in json.loads(content)["scores"].values():
        for kind, digest in score["pixels_sha256"].items():
            content = content.replace(digest, ("1" if kind == "real" else "2") * 64)
    path.write_text(content, encoding="utf-8")
    shutil.copytree((RESULTS / NAME.format("")).parent, (tmp_path / NAME.format("")).parent)
    assert validation.validate_results_in(tmp_path)[1] == []


def test_number_of_validation_images_is_known_of_embedded_tasks():
    assert num_scored_images("stripes", "validation") == {"a": 100, "b": 100}
    assert num_scored_images("shapes-domains.plain2cold", "validation") == {"a": 100, "b": 100}
    assert set(num_scored_images("horse2zebra", "validation").values()) == {None}
