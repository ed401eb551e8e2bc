"""The embedded task of four domains: fixed bytes, one domain an image, truth of every pair."""

import hashlib
import itertools

import numpy as np
import pytest

from i2i_bench.labels import EVERY
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.embedded.drawing import triangle
from i2i_bench.tasks.embedded.shapes_domains import domains_scene

TASK = catalogue.EMBEDDED["shapes-domains"]
NAMES = ("plain", "cold", "striped", "cross")
PAIRS = list(itertools.permutations(NAMES, 2))
QUICK = {("plain", "cold"), ("cold", "striped"), ("striped", "cross"), ("cross", "plain")}

each_pair = pytest.mark.parametrize(
    ("source", "target"),
    [pytest.param(*pair, marks=[pytest.mark.slow] * (pair not in QUICK)) for pair in PAIRS],
)


def pixels(images):
    return np.stack([np.asarray(image.read()) for image in images])


def read(masks):
    return [each.read() for each in masks]


def plain_colours(image, masks, domain):
    """Recover from the pixels what colour each object has as a plain disc."""
    found = []
    for mask in masks:
        row = np.nonzero(mask)[0][0]
        colour = image[row][mask[row]][0].astype(int)
        if domain == "striped":
            colour = (colour - (160 if row % 4 < 2 else 0)) * 8 // 3
        found.append(colour[::-1] if domain == "cold" else colour)
    return found


def paint(image, masks, colours, domain):
    """Paint objects over an image, a row at a time."""
    image = image.copy()
    for mask, colour in zip(masks, colours, strict=True):
        for row in range(len(image)):
            shown = colour[::-1] if domain == "cold" else colour
            if domain == "striped":
                shown = shown * 3 // 8 + (160 if row % 4 < 2 else 0)
            image[row][mask[row]] = shown
    return image


@pytest.mark.parametrize(
    ("split", "index", "digest"),
    [
        ("train", 0, "9166cdab28f5868d"),
        ("train", 1, "a009cbd5a57bc475"),
        ("train", 3999, "814a1f3a0f8de512"),
        ("test", 2, "1f37d873b24d40f1"),
        ("test", 43, "e76e9425f22f0296"),
    ],
)
def test_bytes_are_fixed_with_the_version(split, index, digest):
    image = TASK.images(split, EVERY)[index].read()
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == digest


@pytest.mark.parametrize(
    ("split", "count"), [pytest.param("train", 1000, marks=pytest.mark.slow), ("test", 100)]
)
def test_every_image_is_of_one_domain_and_domains_are_equally_large(split, count):
    labels = TASK.labels(split, EVERY) or []
    assert len(labels) == len(TASK.images(split, EVERY)) == 4 * count
    assert {sum(label) for label in labels} == {1}
    assert (TASK.num_train if split == "train" else TASK.num_test) == {EVERY: 4 * count}
    listed = [[image.name for image in TASK.images(split, name)] for name in NAMES]
    assert [len(names) for names in listed] == [count] * 4
    assert len(set(itertools.chain(*listed))) == 4 * count
    for name, names in zip(NAMES, listed, strict=True):
        assert [image.name for image in TASK.images(split, f"+{name}")] == names
        others = {image.name for image in TASK.images(split, f"-{name}")}
        assert len(others) == 3 * count and not others & set(names)


def test_domains_are_a_one_hot_label():
    assert TASK.labelling.is_one_hot and TASK.domains == (EVERY,)
    assert list(TASK.labelling.pairs()) == PAIRS
    assert list(TASK.labelling.changes()) == [(f"-{name}", f"+{name}") for name in NAMES]


@each_pair
def test_truth_follows_from_the_pixels_of_the_source(source, target):
    images, truth = pixels(TASK.images("test", source)), pixels(TASK.truth(source, target) or [])
    before = read(TASK.instance_masks("test", source) or [])
    after = read(TASK.true_masks(source, target) or [])
    for i, name in enumerate(image.name for image in TASK.images("test", source)):
        scene = domains_scene("test", int(name[:4]))
        colours = plain_colours(images[i], before[i], source)
        canvas, old = images[i].copy(), before[i].any(0)
        canvas[old] = scene.background[old]  # objects touch no distractor
        assert (paint(canvas, after[i], colours, target) == truth[i]).all()


@each_pair
def test_truth_changes_the_foreground_alone_and_every_object(source, target):
    images, truth = pixels(TASK.images("test", source)), pixels(TASK.truth(source, target) or [])
    inside = np.stack(TASK.foreground(source, target) or [])
    assert (images[~inside] == truth[~inside]).all()
    before, after = TASK.instance_masks("test", source), TASK.true_masks(source, target)
    for i, (old, new) in enumerate(zip(before or [], after or [], strict=True)):
        for one, other in zip(old.read(), new.read(), strict=True):
            changed = abs(images[i].astype(int) - truth[i]).max(axis=2)[one | other] > 30
            assert changed.mean() > 0.25


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_truth_of_a_change_is_that_of_its_pairs(name):
    whole = {each.name: each.read().tobytes() for each in TASK.truth(f"-{name}", f"+{name}") or []}
    for other in NAMES:
        for each in (other != name and TASK.truth(other, name)) or []:
            assert whole.pop(each.name) == each.read().tobytes()
    assert not whole


@pytest.mark.parametrize("name", NAMES)
def test_leaving_a_domain_has_no_truth_as_three_others_are_possible(name):
    ways = (f"+{name}", f"-{name}")
    for ask in (TASK.truth, TASK.foreground, TASK.true_masks, TASK.answers):
        assert ask(*ways) is None


@pytest.mark.slow
def test_figures_keep_apart_inside_and_cover_5_to_25_percent_in_every_domain():
    for name in NAMES:
        masks = TASK.instance_masks("test", name) or []
        for each, image in zip(masks, TASK.images("test", name), strict=True):
            scene = domains_scene("test", int(image.name[:4]))
            assert 0.05 <= each.read().mean() * len(each.read()) <= 0.25
            figures = [*each.read(), *(triangle(figure) for figure in scene.distractors)]
            assert np.sum(figures, axis=0).max() == 1


def test_distractors_are_warm_and_cold_in_every_domain():
    for name in NAMES:
        indices = [int(image.name[:4]) for image in TASK.images("test", name)]
        figures = [f for i in indices for f in domains_scene("test", i).distractors]
        assert 0.35 < np.mean([f.colour[0] > f.colour[2] for f in figures]) < 0.65


@pytest.mark.slow
def test_splits_share_no_image():
    images = [i.read().tobytes() for split in ("train", "test") for i in TASK.images(split, EVERY)]
    assert len(set(images)) == len(images)


@pytest.mark.parametrize("key", [("val", 0), ("test", 400), ("train", -1)])
def test_scenes_that_do_not_exist_are_refused(key):
    with pytest.raises(ValueError, match="no image"):
        domains_scene(*key)


def test_unknown_domains_are_refused_naming_the_nearest():
    with pytest.raises(ValueError, match="no attribute crosses; did you mean 'cross'"):
        TASK.images("test", "crosses")
