"""Directions of records: those that a model states are scored, and no others; the task has them."""

import pytest
from sound_records import make_record, make_score

from i2i_bench.report.directions import direction_problems, is_possible, num_scored_images
from i2i_bench.tasks.catalogue import EMBEDDED

REASON = "pix2pix translates a2b only"


def problems(*directions, scored=("a2b",), **changes):
    """Give what is wrong with a record that states and holds so."""
    scores = [make_score(direction=direction) for direction in scored]
    return list(direction_problems(make_record(*scores, directions=list(directions), **changes)))


@pytest.mark.parametrize(
    ("stated", "scored", "expected"),
    [
        (["a2b"], ["a2b"], []),
        (["b2a"], ["b2a"], []),
        ([], ["a2b", "b2a"], []),
        (["a2b", "b2a"], ["b2a", "a2b"], []),
        ([], ["a2b"], ["there are no scores of b2a under i2i@1"]),
        (["a2b", "b2a"], ["b2a"], ["there are no scores of a2b under i2i@1"]),
        (
            ["a2b"],
            ["a2b", "b2a"],
            ["there are scores of b2a under i2i@1, and directions are a2b"],
        ),
        (
            ["b2a"],
            ["a2b"],
            [
                "there are no scores of b2a under i2i@1",
                "there are scores of a2b under i2i@1, and directions are b2a",
            ],
        ),
        (["a2b"], [], ["there are no scores"]),
        (["a2b", "a2b"], ["a2b"], ["directions a2b, a2b are not different ones"]),
    ],
)
@pytest.mark.parametrize("task", ["stripes", "horse2zebra"])
def test_scores_are_those_of_the_stated_directions(task, stated, scored, expected):
    assert problems(*stated, scored=scored, task=task) == expected


@pytest.mark.parametrize(
    ("task", "direction"),
    [
        ("stripes", "a2c"),
        ("stripes", "+cold"),
        ("horse2zebra", "horse2zebra"),
        ("shapes-attributes", "a2b"),
        ("shapes-attributes", "+blond"),
        ("folder-mine-12345678", "sideways"),
        ("celeba.Smiling", "+Smiling"),
        ("celeba.Bald,Male", "+Smiling"),
        ("rafd.happy,neutral,sad", "happy2angry"),
        ("shapes-domains.plain2cold", "plain2cold"),
    ],
)
def test_direction_that_a_task_does_not_have_is_found(task, direction):
    found = problems(direction, scored=[direction], task=task)
    assert found == [f"direction {direction} is none of task {task}"]


@pytest.mark.parametrize(
    ("task", "direction"),
    [
        ("shapes-attributes", "+cold"),
        ("folder-mine-12345678", "winter2summer"),
        ("celeba", "+Blond_Hair"),
        ("celeba.Smiling", "b2a"),
        ("celeba.Bald,Male", "-Bald"),
        ("rafd.happy,neutral,sad", "happy2sad"),
    ],
)
def test_direction_that_a_task_may_have_is_stated_alone(task, direction):
    assert problems(direction, scored=[direction], task=task) == []


def test_each_protocol_has_every_stated_direction():
    scores = [make_score(), make_score(protocol="clean", direction="b2a")]
    found = list(direction_problems(make_record(*scores, directions=["a2b"])))
    assert found == [
        "there are no scores of a2b under clean@1",
        "there are scores of b2a under clean@1, and directions are a2b",
    ]


def test_scores_may_be_absent_with_their_networks():
    assert problems("a2b", "b2a", scored=["a2b"], absent=["generators.b2a"]) == []
    assert problems("a2b", scored=["b2a"], absent=["generators.a2b"]) != []


@pytest.mark.parametrize("key", ["lpips_cycle", "psnr_cycle"])
def test_one_way_has_no_value_of_the_way_back(key):
    def of(value, *directions):
        reasons = {} if value else {key: REASON}
        score = make_score(values={key: value}, reasons=reasons)
        return list(direction_problems(make_record(score, directions=list(directions))))

    assert of(None, "a2b") == []
    said = f"i2i@1/a2b: {key} is of translations back, but directions lack b2a"
    assert of(0.5, "a2b") == [said]
    assert of(0.5, "a2b", "b2a") == ["there are no scores of b2a under i2i@1"]


def test_way_back_of_a_label_is_its_other_change():
    def of(*directions, task):
        score = make_score(direction="+cold", values={"psnr_cycle": 20.0})
        record = make_record(score, task=task, directions=list(directions))
        return [problem for problem in direction_problems(record) if "back" in problem]

    assert of("+cold", task="shapes-attributes") == [
        "i2i@1/+cold: psnr_cycle is of translations back, but directions lack -cold"
    ]
    assert of("+cold", "-cold", task="shapes-attributes") == []
    assert of("+cold", task="folder-mine-12345678") == []  # its labels may exclude each other


def test_selections_have_every_direction_of_theirs():
    assert problems(scored=["a2b"], task="celeba.Smiling") == [
        "there are no scores of b2a under i2i@1"
    ]
    found = problems(scored=["+Bald", "-Bald", "+Male"], task="celeba.Bald,Male")
    assert found == ["there are no scores of -Male under i2i@1"]


def test_test_images_of_selections_are_counted_where_the_set_is_embedded():
    assert num_scored_images("shapes-domains.plain2cold") == {"a": 100, "b": 100}
    assert num_scored_images("shapes-attributes.cold,cross")["-cross"] == 100
    assert num_scored_images("celeba.Smiling") == {"a": None, "b": None}


def test_changes_of_labels_are_possible_in_their_task_alone():
    assert is_possible("+cold", "shapes-attributes")
    assert is_possible("-cold", "shapes-attributes")
    assert not is_possible("+cold", "stripes")
    assert num_scored_images("shapes-attributes")["+cold"] == len(
        EMBEDDED["shapes-attributes"].images("test", "+cold")
    )
