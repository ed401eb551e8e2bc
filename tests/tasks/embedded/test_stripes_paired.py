"""The embedded task of pairs: fixed bytes, true pairs in both splits, scenes of its own."""

import hashlib

import numpy as np
import pytest

from i2i_bench.tasks import catalogue
from i2i_bench.tasks.embedded.stripes_paired import stripes_paired_scene

TASK = catalogue.EMBEDDED["stripes-paired"]
PALE = np.arange(32)[:, None, None] % 4 < 2  # rows, counted from the edge of the image

each_split = pytest.mark.parametrize(
    ("split", "count"), [pytest.param("train", 1000, marks=pytest.mark.slow), ("test", 100)]
)


def pixels(images):
    return np.stack([np.asarray(image.read()) for image in images])


def covered(split, domain="a"):
    return np.stack([each.read().any(0) for each in TASK.instance_masks(split, domain) or []])


@pytest.mark.parametrize(
    ("split", "domain", "index", "digest"),
    [
        ("train", "a", 0, "d27548421f8cf036"),
        ("train", "b", 0, "ca18704ea58445c1"),
        ("train", "b", 999, "ae37e5f0d334678b"),
        ("test", "a", 42, "34994562beff4767"),
        ("test", "b", 99, "b4d04abd88523597"),
    ],
)
def test_bytes_are_fixed_with_the_version(split, domain, index, digest):
    image = TASK.images(split, domain)[index].read()
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == digest


@each_split
def test_images_of_one_index_are_a_pair(split, count):
    plain, striped = (pixels(TASK.images(split, domain)).astype(int) for domain in "ab")
    inside = covered(split)
    assert TASK.paired and len(plain) == len(striped) == count
    assert (plain[~inside] == striped[~inside]).all()
    expected = 3 * plain // 8 + 160 * PALE
    assert (striped == expected)[inside].all()
    assert (8 * (striped - 160 * PALE) == 3 * plain)[inside].all()  # nothing is lost


@each_split
def test_names_of_partners_are_equal(split, count):
    names = [[image.name for image in TASK.images(split, domain)] for domain in "ab"]
    assert names[0] == names[1] == [f"{index:04d}.png" for index in range(count)]


@pytest.mark.parametrize(("source", "target"), ["ab", "ba"])
def test_truth_of_a_test_image_is_its_partner(source, target):
    truth = TASK.truth(source, target)
    assert truth and [each.name for each in truth] == [i.name for i in TASK.images("test", target)]
    assert (pixels(truth) == pixels(TASK.images("test", target))).all()
    foreground = TASK.foreground(source, target)
    assert (np.stack(foreground or []) == covered("test")).all()
    assert TASK.answers(source, target) is None


@pytest.mark.slow
def test_scenes_are_others_than_those_of_stripes_and_never_twice():
    ours = [image.read().tobytes() for s in ("train", "test") for image in TASK.images(s, "a")]
    theirs = catalogue.EMBEDDED["stripes"]
    others = {
        image.read().tobytes()
        for split, domain in (("test", "a"), ("test", "b"), ("train", "a"))
        for image in theirs.images(split, domain)
    }
    assert len(set(ours)) == len(ours) and not others & set(ours)


@pytest.mark.parametrize("key", [("val", 0), ("test", 100), ("train", -1)])
def test_pairs_that_do_not_exist_are_refused(key):
    with pytest.raises(ValueError, match="no pair"):
        stripes_paired_scene(*key)
