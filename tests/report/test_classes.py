"""Tasks of classes that exclude each other: models of labels and of drawn domains stand together.

Both are scored in the task's changes, such as ``+cold``, whatever a training step of theirs sees.
"""

import numpy as np
import pytest
from leaderboard_records import models, score_of
from PIL import Image
from sound_records import make_record

from i2i_bench.data.directions import directions_of
from i2i_bench.report.directions import direction_problems, is_possible, num_scored_images
from i2i_bench.report.frame import make_frame
from i2i_bench.report.leaderboard import tabulate
from i2i_bench.report.site import page
from i2i_bench.report.site.samples import Folders
from i2i_bench.runs.evaluate import is_scored
from i2i_bench.scoring.protocols import find_protocol
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.many_domains import many_domain_task

CLASSES = ("cold", "cross", "plain", "striped")
CHANGES = tuple(f"+{name}" for name in CLASSES)
I2I = find_protocol("i2i")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give a folder of four classes."""
    found = tmp_path_factory.mktemp("classes") / "looks"
    for split in ("train", "test"):
        for more, name in enumerate(CLASSES):
            (found / split / name).mkdir(parents=True)
            for i in range(3):
                pixels = np.full((16, 16, 3), 60 * more + i, np.uint8)
                Image.fromarray(pixels).save(found / split / name / f"{i}.png")
    return many_domain_task(found)


@pytest.fixture(params=["of a folder", "embedded"])
def task(request, folder):
    """Give a task whose directions a record does not tell, and one that is known by its name."""
    return folder if request.param == "of a folder" else catalogue.EMBEDDED["shapes-domains"]


def make(model, task, scored=CHANGES, **changes):
    """Make a record whose score of the n-th class is that of n decibels."""
    scores = [score_of({"psnr": 20.0 + CHANGES.index(each)}, direction=each) for each in scored]
    fields = {"task": task.name, "headline": "psnr", **changes}
    return make_record(*scores, model=model, **fields)


def labelled_and_drawn(task):
    """Make records of both kinds, which differ in what their settings are for."""
    return [
        make("stargan", task, settings={"config": {"attributes": list(CLASSES)}}),
        make("combogan", task, settings={"config": {"domains": list(CLASSES)}}),
    ]


def test_task_is_scored_in_the_changes_that_records_hold(task):
    assert sorted(map(str, directions_of(task))) == sorted(CHANGES)


def test_both_are_valid_and_wholly_scored(task):
    for record in labelled_and_drawn(task):
        assert list(direction_problems(record)) == []
        assert is_scored(record, I2I, task)


def test_both_stand_in_every_table_and_in_that_of_the_mean(task):
    boards = tabulate(labelled_and_drawn(task))
    assert [board.group.direction for board in boards] == ["mean over 4 targets", *CHANGES]
    for board in boards:
        assert models(board) == [("combogan", 1), ("stargan", 1)]
    assert boards[0].rows[0].stats["psnr"].mean == 21.5


def test_target_that_one_does_not_reach_keeps_it_out_of_the_mean_of_all(task):
    some = make("icgan", task, CHANGES[:3], directions=list(CHANGES[:3]))
    single = make("diat", task, CHANGES[:1], directions=list(CHANGES[:1]))
    assert [problem for each in (some, single) for problem in direction_problems(each)] == []
    boards = {t.group.direction: t for t in tabulate([*labelled_and_drawn(task), some, single])}
    assert {name: sorted(dict(models(board))) for name, board in boards.items()} == {
        "mean over 3 targets": ["icgan"],
        "mean over 4 targets": ["combogan", "stargan"],
        "+cold": ["combogan", "diat", "icgan", "stargan"],
        "+cross": ["combogan", "icgan", "stargan"],
        "+plain": ["combogan", "icgan", "stargan"],
        "+striped": ["combogan", "stargan"],
    }
    for board in boards.values():
        assert board.notes[1:3] == (
            "diat translates +cold only.",
            "icgan translates +cold, +cross, +plain only.",
        )


def test_frame_and_page_have_a_part_for_every_change(task, tmp_path):
    records = labelled_and_drawn(task)
    frame = make_frame(records)
    assert sorted(zip(frame["model"], frame["direction"], strict=True)) == sorted(
        (model, change) for model in ("combogan", "stargan") for change in CHANGES
    )
    path = page.write_page(records, tmp_path, Folders(tmp_path, tmp_path))
    text = path.read_text(encoding="utf-8")
    for way in ("mean over 4 targets", *CHANGES):
        assert f"{task.name}, {way}</h3>" in text
    assert text.count(">combogan</a></div></th>") == text.count(">stargan</a></div></th>") == 5


@pytest.mark.parametrize("task", ["embedded"], indirect=True)
def test_classes_that_exclude_each_other_are_only_added(task):
    for record in (make("stargan", task, CHANGES[:3]), make("combogan", task, CHANGES[:3])):
        assert list(direction_problems(record)) == ["there are no scores of +striped under i2i@1"]
    away = make_record(score_of(direction="-cold"), task=task.name, directions=["-cold"])
    assert list(direction_problems(away)) == [f"direction -cold is none of task {task.name}"]


@pytest.mark.parametrize("task", ["embedded"], indirect=True)
def test_pairs_of_classes_are_possible_and_have_their_images_counted(task):
    numbers = num_scored_images(task.name)
    for domain in (end for name in CLASSES for end in (name, f"+{name}", f"-{name}")):
        assert numbers[domain] == len(task.images("test", domain)) > 0
    assert is_possible("cold2plain", task.name)
    assert not is_possible("cold2square", task.name)
