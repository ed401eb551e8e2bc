"""The embedded task of attributes: fixed bytes, and the rules that make its truth exact."""

import hashlib
import itertools

import numpy as np
import pytest

from i2i_bench.labels import Labels
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.embedded import shapes_attributes
from i2i_bench.tasks.embedded.drawing import draw_masks, draw_scene, triangle
from i2i_bench.tasks.embedded.scenes import swap_red_and_blue

TASK = catalogue.EMBEDDED["shapes-attributes"]
LABELS = list(itertools.product((0, 1), repeat=3))
CHANGES = list(Labels(shapes_attributes.ATTRIBUTES).changes())
SCENES = [shapes_attributes.attributes_scene("test", index) for index in range(200)]

each_change = pytest.mark.parametrize(("source", "target"), CHANGES)


def render(scene, label):
    return draw_scene(scene, shapes_attributes.attributes_look(label))


def object_mask(figure, label):
    return shapes_attributes.attributes_look(label).outline(figure)


def pixels(images):
    return np.stack([np.asarray(image.read()) for image in images])


@pytest.mark.parametrize(
    ("split", "index", "digest"),
    [
        ("train", 0, "201a2729b8cf30c0"),
        ("train", 1999, "4ae7978b68556657"),
        ("test", 7, "08051e723ef6b655"),
        ("test", 42, "ee5609498d3670f8"),
        ("test", 199, "c53d5a39ea08a27c"),
    ],
)
def test_bytes_are_fixed_with_the_version(split, index, digest):
    image = TASK.images(split, "all")[index].read()
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == digest


@pytest.mark.slow
def test_bytes_of_all_test_images_and_truths_are_fixed_with_the_version():
    total = hashlib.sha256(pixels(TASK.images("test", "all")).tobytes())
    for source, target in CHANGES:
        total.update(pixels(TASK.truth(source, target) or []).tobytes())
    assert total.hexdigest()[:16] == "661abfa2ba74ee01"


@pytest.mark.parametrize(("split", "count"), [("train", 2000), ("test", 200)])
def test_every_combination_of_attributes_is_equally_frequent(split, count):
    labels = TASK.labels(split, "all")
    assert labels is not None
    assert len(labels) == len(TASK.images(split, "all")) == count
    assert {label: labels.count(label) for label in LABELS} == dict.fromkeys(LABELS, count // 8)
    for domain in ("+cold", "-cold", "+striped", "-striped", "+cross", "-cross"):
        assert len(TASK.images(split, domain)) == count // 2


@each_change
def test_sources_lack_what_they_are_to_get(source, target):
    labels = TASK.labels("test", source) or []
    position = shapes_attributes.ATTRIBUTES.index(target[1:])
    assert {label[position] for label in labels} == {int(target[0] == "-")}


@each_change
def test_truth_changes_nothing_but_the_foreground_and_every_object(source, target):
    truth, masks = TASK.truth(source, target), TASK.foreground(source, target)
    assert truth and masks
    before, after, mask = pixels(TASK.images("test", source)), pixels(truth), np.stack(masks)
    assert (before[~mask] == after[~mask]).all()
    indices = [int(image.name[:4]) for image in TASK.images("test", source)]
    for i, index in enumerate(indices):
        old = shapes_attributes.label_of(index)
        new = Labels(shapes_attributes.ATTRIBUTES).changed(old, target)
        for figure in SCENES[index].objects:
            own = object_mask(figure, old) | object_mask(figure, new)
            changed = abs(before[i].astype(int) - after[i]).max(axis=2)[own] > 30
            assert changed.mean() > 0.25


@each_change
def test_truth_is_the_scene_under_the_changed_label(source, target):
    truth = TASK.truth(source, target) or []
    index = int(truth[3].name[:4])
    label = Labels(shapes_attributes.ATTRIBUTES).changed(shapes_attributes.label_of(index), target)
    assert (np.asarray(truth[3].read()) == render(SCENES[index], label)).all()


def test_every_label_shows_a_scene_in_another_way():
    for scene in SCENES[:40]:
        assert len({render(scene, label).tobytes() for label in LABELS}) == 8


def test_cold_objects_are_warm_ones_with_red_and_blue_exchanged():
    for scene, (striped, cross) in itertools.product(
        SCENES[:40], itertools.product((0, 1), (0, 1))
    ):
        warm, cold = (render(scene, (value, striped, cross)) for value in (0, 1))
        mask = draw_masks(scene, shapes_attributes.attributes_look((0, 0, cross))).any(axis=0)
        assert (cold[mask] == warm[mask][:, ::-1]).all()
        assert (cold[~mask] == warm[~mask]).all()


def test_objects_cover_5_to_25_percent_under_every_label():
    for scene in SCENES:
        for label in LABELS:
            shares = [object_mask(figure, label).mean() for figure in scene.objects]
            assert 0.05 <= sum(shares) <= 0.25


def test_figures_keep_apart_and_inside_even_as_crosses():
    for scene in SCENES:
        masks = [object_mask(figure, (0, 0, 1)) for figure in scene.objects]
        masks += [triangle(figure) for figure in scene.distractors]
        assert np.sum(masks, axis=0).max() == 1
        grown = [(f.left - 1, f.top - 1, f.size + 2) for f in scene.objects]
        assert all(min(x, y) >= 0 and max(x, y) + size <= 32 for x, y, size in grown)


def test_distractors_wear_the_objects_colours_in_both_palettes_whatever_the_label():
    for label in LABELS:
        chosen = [s for i, s in enumerate(SCENES) if shapes_attributes.label_of(i) == label]
        figures = [figure for scene in chosen for figure in scene.distractors]
        warm = np.mean([figure.colour[0] > figure.colour[2] for figure in figures])
        assert 0.2 < warm < 0.8
    for scene in SCENES:
        worn = {figure.colour for figure in scene.objects}
        worn |= {swap_red_and_blue(colour) for colour in worn}
        assert {figure.colour for figure in scene.distractors} <= worn


def test_background_is_without_noise():
    for scene in SCENES[:40]:
        rows = scene.background[1:].astype(int) - scene.background[:-1]
        assert len(np.unique(rows.reshape(-1, 3), axis=0)) <= 27


def test_objects_differ_from_the_background_under_every_label():
    for scene in SCENES[:60]:
        mean = scene.background.reshape(-1, 3).mean(axis=0)
        for label, figure in itertools.product(LABELS, scene.objects):
            colours = render(scene, label)[object_mask(figure, label)]
            assert abs(colours.astype(float) - mean).max() > 50


@pytest.mark.slow
def test_splits_share_no_image():
    images = [i.read().tobytes() for split in ("train", "test") for i in TASK.images(split, "all")]
    assert len(set(images)) == len(images)


@pytest.mark.parametrize("key", [("val", 0), ("test", 200), ("train", -1)])
def test_scenes_that_do_not_exist_are_refused(key):
    with pytest.raises(ValueError, match="no image"):
        shapes_attributes.attributes_scene(*key)


def test_unknown_domains_are_refused_naming_the_nearest():
    with pytest.raises(ValueError, match="no attribute stripe; did you mean 'striped'"):
        TASK.images("test", "+stripe")
    with pytest.raises(ValueError, match="unknown split 'val'"):
        TASK.labels("val", "all")
