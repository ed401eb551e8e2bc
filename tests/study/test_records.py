"""Records of studies: validated, beside the paper's values, and on the page."""

import csv
import io
import json
import random

import pytest
from sound_records import make_record
from study_folders import answer_session, right, small_study, write_log

from i2i_bench.records.record import read_records, write_record
from i2i_bench.records.study import (
    StudyRecord,
    read_study_record,
    read_study_records,
    study_text,
    write_study_record,
)
from i2i_bench.report.papers import tables
from i2i_bench.report.papers.comparison import comparison_table
from i2i_bench.report.site.page import write_page
from i2i_bench.report.site.samples import Folders
from i2i_bench.report.studies import interval_shown
from i2i_bench.report.validation import validate_results_in
from i2i_bench.study.score import score_study, study_record

METHODS = ("cyclegan", "stargan")


def made(folder, procedure, **settings):
    """Make the record of a study that people answered at random."""
    study = small_study(folder, procedure, METHODS, **settings)
    ease = random.Random(0)

    def person(trial):
        return ease.randrange(2) if trial.kind == "scored" else right(trial)

    given = {k: answer_session(study, k, person) for k in range(len(study.sessions))}
    write_log(study, given)
    found = study_record("own", study, score_study(study, num_draws=100, seed=0))
    shown = [each.model_copy(update={"model": each.method}) for each in found.shown]
    return found.model_copy(update={"shown": shown})


@pytest.fixture(scope="module")
def fooled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "own"
    return made(folder, "realfake-pix2pix", people=6, practice=0, trials=12)


@pytest.fixture(scope="module")
def votes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "own"
    return made(folder, "nway-stargan", people=8, trials=12, catch=0)


@pytest.fixture
def results(tmp_path, fooled, votes):
    """Give a folder with both records, which speak of no run."""
    for name, each in (("fooled", fooled), ("votes", votes)):
        shown = [s.model_copy(update={"model": ""}) for s in each.shown]
        write_study_record(each.model_copy(update={"name": name, "shown": shown}), tmp_path)
    return tmp_path


# --- validation


def test_records_as_they_are_written_are_valid(results):
    assert validate_results_in(results) == (2, [])
    assert [each.name for each in read_study_records(results)] == ["fooled", "votes"]
    assert read_records(results) == []  # a study is no run


def change(results, path, value):
    """Change one value of a record, and write it as the suite does."""
    (file,) = results.glob("*/studies/fooled.json")
    content = json.loads(file.read_text())
    place = content
    *parents, last = path
    for key in parents:
        place = place[key]
    place[last] = value
    file.write_text(study_text(StudyRecord.model_validate_json(json.dumps(content))))


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        (("results", "methods", 0, "points"), 1, "not 1 of"),
        (("results", "methods", 0, "points"), 5000, "5000 points of"),
        (("results", "methods", 0, "percent"), 0.1, "percent is 0.1"),
        (("results", "methods", 0, "intervals", "binomial"), [0, 1], "its binomial interval"),
        (("results", "methods", 0, "intervals", "people"), [60, 50], "[60, 50] is none"),
        (("results", "methods", 0, "intervals", "people"), None, "the reason why"),
        (("results", "methods", 0, "people"), 5000, "more people than there are"),
        (("results", "answers"), 3, "methods have"),
        (("results", "measure"), "error", "measure is error"),
        (("results", "pairs", 0, "percent"), 50, "is 50.0, and the methods differ by"),
        (("results", "pairs", 0, "first"), "unit", "a method that has no result"),
        (("settings", "trials"), 3, "changed is not what differs"),
        (("settings", "asks"), "nobody", "settings are not those"),
        (("changed",), {}, "changed is not what differs"),
        (("procedure",), "own", "there is no procedure own"),
        (("direction",), "a2c", "direction a2c is none"),
        (("task_version",), 9, "no version 9"),
        (("shown", 0, "record"), "stripes/unit/seed0.json", "there is no record"),
        (("shown", 0, "record"), "../../outside.json", "there is no record"),
        (("shown", 0, "method"), "unit", "results name cyclegan, which was not shown"),
    ],
)
def test_what_cannot_be_true_is_told(results, path, value, part):
    change(results, path, value)
    count, problems = validate_results_in(results)
    assert count == 2
    assert any(part in problem for problem in problems), problems


def test_record_must_be_of_the_model_that_it_names(results):
    run = make_record(model="unit", headline="psnr_foreground")
    write_record(run, results)
    change(results, ("shown", 0, "record"), "stripes/unit/seed0.json")
    change(results, ("shown", 0, "model"), "cyclegan")
    _, problems = validate_results_in(results)
    assert any("is not of model cyclegan" in problem for problem in problems)


@pytest.mark.parametrize(
    ("content", "part"), [("{}", "not a valid record"), ("", "not a valid record")]
)
def test_file_that_is_no_record_is_told(results, content, part):
    path = results / "stripes" / "studies" / "fooled.json"
    path.write_text(content)
    assert part in validate_results_in(results)[1][0]


def test_record_that_was_edited_or_moved_is_told(results):
    path = results / "stripes" / "studies" / "fooled.json"
    path.write_text(path.read_text() + "\n")
    assert "edited by hand" in validate_results_in(results)[1][0]
    path.rename(path.with_name("other.json"))
    assert "move it to its place" in validate_results_in(results)[1][0]
    with pytest.raises(ValueError, match="move it to its place"):
        read_study_records(results)


def test_command_counts_studies_among_records(results, cli):
    assert cli("validate-results", "--results", results) == "2 records are valid\n"


# --- tables


def of_faces(record, **changes):
    task = {"fooled": ("ar-face", "neutral2smile"), "votes": ("celeba", "+Male")}
    name, direction = task[record.results.measure]
    return record.model_copy(update={"task": name, "direction": direction} | changes)


def cells(table, method, column=0):
    (section,) = [s for s in table.sections if "AMT" in s.title][column : column + 1]
    return [line for line in section.rows if line[0] == method], section


def test_study_stands_beside_what_people_said_in_the_paper(fooled):
    record = of_faces(fooled)
    table = comparison_table("ii", [], [record])
    (line,), section = cells(table, "CycleGAN")
    assert section.header[3:] == ("measured", "procedure", "people", "model")
    (result,) = [m for m in record.results.methods if m.method == "cyclegan"]
    low, high = result.intervals[interval_shown(record)] or (0, 0)
    assert line[1:3] == ("10.2", "human study")
    assert line[3:] == (
        f"{result.percent:.1f} [{low:.1f}, {high:.1f}]",
        "realfake-pix2pix",
        str(result.people),
        "cyclegan",
    )
    (note,) = [note for note in section.notes if note.startswith("Study own")]
    assert "not as in the paper: people 6 for 50" in note
    assert "[ ] of 95 % for people and images like these" in note
    (other,), _ = cells(table, "DualGAN")
    assert other[3] == "human study"


def test_tidy_lines_have_value_interval_and_procedure(votes):
    text = tables.paper_csv(comparison_table("iii", [], [of_faces(votes)]))
    lines = [row for row in csv.DictReader(io.StringIO(text)) if row["study"]]
    assert {row["model"] for row in lines} == {"cyclegan", "stargan"}
    assert {row["dataset"] for row in lines} == {"CelebA/Gender"}
    for row in lines:
        assert float(row["low"]) <= float(row["measured"]) <= float(row["high"])
        assert (row["procedure"], row["interval"]) == ("nway-stargan", "people and images")


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("iii", {}),  # votes stand there, not who was fooled
        ("iv", {}),
        ("ii", {"task": "horse2zebra"}),
    ],
)
def test_study_of_another_kind_or_task_stays_out(fooled, table, changes):
    found = comparison_table(table, [], [of_faces(fooled, **changes)])
    assert found == comparison_table(table, [])


def test_command_shows_recorded_studies(places, cli, fooled):
    write_study_record(of_faces(fooled), places / "results")
    text = cli("table", "ii")
    assert "realfake-pix2pix" in text
    assert "Study own, ar-face@" in text


# --- the page


def test_page_has_studies_with_their_intervals(results, tmp_path):
    studies = read_study_records(results)
    folders = Folders(tmp_path / "runs", tmp_path / "data")
    text = write_page([], tmp_path / "site", folders, studies=studies).read_text()
    assert "stripes, studies with people" in text
    for study in studies:
        for each in study.results.methods:
            assert f"{each.points} of {each.answers}" in text
    assert "realfake-pix2pix" in text
    assert "nway-stargan" in text
    other = write_page([], tmp_path / "other", folders, ["hue"], studies=studies).read_text()
    assert "studies with people" not in other


def test_command_puts_studies_on_the_page(results, cli, tmp_path):
    output = tmp_path / "site"
    cli("leaderboard", "--format", "html", "--results", results, "--output", output)
    assert "studies with people" in (output / "index.html").read_text()


def test_read_record_is_what_was_written(results):
    path = results / "stripes" / "studies" / "votes.json"
    assert study_text(read_study_record(path)) == path.read_text()
