"""The embedded tasks: fixed bytes, and the rules that make their truth the only sensible one."""

import hashlib

import numpy as np
import pytest

from i2i_bench.tasks import catalogue
from i2i_bench.tasks.embedded import shapes
from i2i_bench.tasks.embedded.drawing import draw_masks, draw_scene
from i2i_bench.tasks.embedded.scenes import RESOLUTION

NAMES = ("stripes", "hue", "morph")
KEYS = [(domain, index) for domain in "ab" for index in range(100)]
OTHER = {"a": "b", "b": "a"}

each_task = pytest.mark.parametrize("task", NAMES)


def scenes(task):
    return [(shapes.shapes_scene(task, "test", domain, index), domain) for domain, index in KEYS]


def render(task, scene, domain):
    return draw_scene(scene, shapes.LOOKS[task][domain])


def object_mask(task, figure, domain):
    return shapes.LOOKS[task][domain].outline(figure)


def foreground(task, scene):
    return np.any([draw_masks(scene, look).any(0) for look in shapes.LOOKS[task].values()], axis=0)


def pixels(images):
    return np.stack([np.asarray(image.read()) for image in images])


def boxes(task, scene):
    grow = 1 if task == "morph" else 0
    figures = [(f, grow) for f in scene.objects] + [(f, 0) for f in scene.distractors]
    return [(f.left - g, f.top - g, f.left + f.size + g, f.top + f.size + g) for f, g in figures]


def apart(one, other):
    return any(one[i] - other[i + 2] >= 1 or other[i] - one[i + 2] >= 1 for i in (0, 1))


@pytest.mark.parametrize(
    ("task", "split", "domain", "index", "digest"),
    [
        ("stripes", "train", "a", 0, "b06a6f7719d5672c"),
        ("stripes", "train", "b", 999, "c8813609bbccd7fc"),
        ("stripes", "test", "a", 42, "7e95a8960d08c26d"),
        ("stripes", "test", "b", 99, "f88820ce49b95a47"),
        ("hue", "train", "a", 0, "77f424719a152cf3"),
        ("hue", "train", "b", 999, "5421f805648838c2"),
        ("hue", "test", "a", 42, "faca9a1b7fa4ac43"),
        ("hue", "test", "b", 99, "72d164e02baf25ab"),
        ("morph", "train", "a", 0, "07561895b0579ebe"),
        ("morph", "train", "b", 999, "6b57cb882a36d6a2"),
        ("morph", "test", "a", 42, "e024b07c9a6ff0f7"),
        ("morph", "test", "b", 99, "2f7eb672d8faec27"),
    ],
)
def test_bytes_are_fixed_with_the_version(task, split, domain, index, digest):
    image = catalogue.EMBEDDED[task].images(split, domain)[index].read()
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == digest


@each_task
def test_sizes_and_names(task):
    facts = catalogue.EMBEDDED[task]
    for split, count in (("train", 1000), ("test", 100)):
        for domain in "ab":
            names = [image.name for image in facts.images(split, domain)]
            assert names == [f"{index:04d}.png" for index in range(count)]
    image = facts.images("train", "a")[0].read()
    assert image.mode == "RGB" and image.size == (facts.image_size, facts.image_size)


@each_task
def test_one_to_three_objects_and_one_or_two_distractors(task):
    found = [(len(s.objects), len(s.distractors)) for s, _ in scenes(task)]
    assert set(found) == {(n, m) for n in (1, 2, 3) for m in (1, 2)}


@each_task
def test_objects_cover_five_to_twenty_five_percent_in_both_domains(task):
    for scene, _ in scenes(task):
        shares = [
            sum(object_mask(task, figure, domain).mean() for figure in scene.objects)
            for domain in "ab"
        ]
        shares.append(foreground(task, scene).mean())
        assert min(shares) >= 0.05 and max(shares) <= 0.25


@each_task
def test_figures_lie_inside_and_keep_a_pixel_apart_also_translated(task):
    for scene, _ in scenes(task):
        found = boxes(task, scene)
        assert min(map(min, found)) >= 0 and max(map(max, found)) <= RESOLUTION
        assert all(apart(one, other) for i, one in enumerate(found) for other in found[:i])


@each_task
def test_masks_stay_inside_their_boxes(task):
    for scene, _ in scenes(task):
        inside = np.zeros((RESOLUTION, RESOLUTION), dtype=bool)
        for left, top, right, bottom in boxes(task, scene):
            inside[top:bottom, left:right] = True
        changed = (render(task, scene, "a") != scene.background).any(axis=2)
        assert not (changed & ~inside).any()


@each_task
def test_distractors_have_the_colour_of_an_object(task):
    for scene, _ in scenes(task):
        colours = {figure.colour for figure in scene.objects}
        if task == "hue":
            colours |= {colour[::-1] for colour in colours}
        assert {figure.colour for figure in scene.distractors} <= colours


def test_hue_distractors_wear_both_palettes_in_both_domains():
    for domain in "ab":
        found = [s.distractors for s, d in scenes("hue") if d == domain]
        warm = [figure.colour[0] > figure.colour[2] for figures in found for figure in figures]
        assert 0.4 < np.mean(warm) < 0.6


@each_task
@pytest.mark.parametrize("source", ["a", "b"])
def test_truth_changes_nothing_but_the_foreground(task, source):
    facts = catalogue.EMBEDDED[task]
    truth, masks = facts.truth(source, OTHER[source]), facts.foreground(source, OTHER[source])
    assert truth and masks
    before, after, mask = pixels(facts.images("test", source)), pixels(truth), np.stack(masks)
    assert (before[~mask] == after[~mask]).all()


@each_task
def test_truth_changes_every_object_visibly(task):
    for scene, _ in scenes(task):
        before, after = (render(task, scene, domain).astype(int) for domain in "ab")
        for figure in scene.objects:
            mask = object_mask(task, figure, "a") | object_mask(task, figure, "b")
            changed = abs(before - after).max(axis=2)[mask] > 30
            assert changed.mean() > 0.25


@each_task
def test_truth_of_one_scene_is_its_rendering_in_the_other_domain(task):
    facts = catalogue.EMBEDDED[task]
    scene = shapes.shapes_scene(task, "test", "b", 7)
    truth = facts.truth("b", "a") or []
    assert truth[7].name == facts.images("test", "b")[7].name
    assert (np.asarray(truth[7].read()) == render(task, scene, "a")).all()


def test_source_of_hue_follows_from_the_pixels_of_its_translation():
    for scene, _ in scenes("hue"):
        image = render("hue", scene, "b")
        mask = foreground("hue", scene)
        restored = image.copy()
        restored[mask] = image[mask][:, ::-1]
        assert (restored == render("hue", scene, "a")).all()


def test_stripes_are_anchored_to_the_image_grid_and_change_every_object_pixel():
    pale_rows = np.arange(RESOLUTION) % 4 < 2
    for scene, _ in scenes("stripes"):
        plain = render("stripes", scene, "a").astype(int)
        striped = render("stripes", scene, "b").astype(int)
        inside = foreground("stripes", scene)
        assert ((plain != striped).any(axis=2) == inside).all()
        expected = 3 * plain // 8 + 160 * pale_rows[:, None, None]
        assert (striped == expected)[inside].all()
        assert (8 * (striped - 160 * pale_rows[:, None, None]) == 3 * plain)[inside].all()


def test_morph_keeps_centre_and_size():
    for scene, _ in scenes("morph"):
        for figure in scene.objects:
            for domain, grow in (("a", 0), ("b", 1)):
                rows, columns = np.nonzero(object_mask("morph", figure, domain))
                found = (columns.min(), rows.min(), columns.max(), rows.max())
                low, high = -grow, figure.size - 1 + grow
                left, top = figure.left, figure.top
                assert found == (left + low, top + low, left + high, top + high)


def test_morph_background_is_without_noise():
    """Few colours once the slope is gone: what an object uncovers follows from what is seen."""
    for scene, _ in scenes("morph")[:40]:
        background = scene.background.astype(int)
        rows = background[1:] - background[:-1]  # of a slope and a pattern of two shades
        assert len(np.unique(rows.reshape(-1, 3), axis=0)) <= 27


@each_task
def test_objects_differ_from_the_background(task):
    for scene, domain in scenes(task):
        mean = scene.background.reshape(-1, 3).mean(axis=0)
        for figure in scene.objects:
            mask = object_mask(task, figure, domain)
            colours = render(task, scene, domain)[mask].astype(float)
            assert abs(colours - mean).max() > 50


@each_task
def test_domains_and_splits_share_no_image(task):
    facts = catalogue.EMBEDDED[task]
    images = [
        image.read().tobytes()
        for split in ("train", "test")
        for domain in "ab"
        for image in facts.images(split, domain)[:100]
    ]
    assert len(set(images)) == len(images)


def test_global_randomness_is_neither_used_nor_touched():
    np.random.seed(1)
    first = catalogue.EMBEDDED["hue"].images("train", "a")[3].read().tobytes()
    state = repr(np.random.get_state())
    np.random.seed(2)
    assert catalogue.EMBEDDED["hue"].images("train", "a")[3].read().tobytes() == first
    np.random.seed(1)
    assert repr(np.random.get_state()) == state


@pytest.mark.parametrize(
    "key", [("stripe", "test", "a", 0), ("hue", "val", "a", 0), ("hue", "test", "a", 100)]
)
def test_scenes_that_do_not_exist_are_refused(key):
    with pytest.raises(ValueError, match="no image"):
        shapes.shapes_scene(*key)


def test_unknown_splits_and_domains_are_refused():
    facts = catalogue.EMBEDDED["hue"]
    with pytest.raises(ValueError, match="split 'val'"):
        facts.images("val", "a")
    with pytest.raises(ValueError, match="a, b"):
        facts.images("test", "c")
    with pytest.raises(ValueError, match="different domains"):
        facts.truth("a", "a")
