"""The embedded tasks of one to many: fixed bytes, four right answers, no hint at one of them."""

import hashlib
from collections import Counter
from functools import cache

import numpy as np
import pytest

from i2i_bench.tasks import catalogue
from i2i_bench.tasks.embedded.drawing import triangle
from i2i_bench.tasks.embedded.palette import palette_scene

NAMES = ("palette", "palette-paired")
TAKEN = {  # from red, green and blue of a grey, by the palette of an image
    "red": (0, 192, 192),
    "green": (192, 0, 192),
    "blue": (192, 192, 0),
    "yellow": (0, 0, 192),
}
COUNTS = {"train": 1000, "test": 100}

each_task = pytest.mark.parametrize("name", NAMES)
mostly_slow = pytest.mark.parametrize(
    "name", [NAMES[0], pytest.param(NAMES[1], marks=pytest.mark.slow)]
)
each_split = pytest.mark.parametrize(
    "split", [pytest.param("train", marks=pytest.mark.slow), "test"]
)


def known(listed):
    """Give what a task knows."""
    assert listed is not None
    return listed


def pixels(images):
    return np.stack([np.asarray(image.read()) for image in images])


def read(masks):
    return [each.read() for each in masks]


@cache
def drawn(name, split, domain):
    return pixels(catalogue.EMBEDDED[name].images(split, domain))


@cache
def instances_of(name, split, domain):
    return read(known(catalogue.EMBEDDED[name].instance_masks(split, domain)))


@cache
def scenes(name, split, domain):
    return [palette_scene(name, split, domain, i) for i in range(COUNTS[split])]


def palette_of(colour):
    """Name the palette of a colour, by which channels are low; grey where none is."""
    red, green, blue = (192 * (channel < 192) for channel in colour)
    names = {taken: name for name, taken in {"grey": (0, 0, 0), **TAKEN}.items()}
    return names[red, green, blue]


def worn(image, masks):
    """Name the palettes that the objects of an image wear."""
    return {palette_of(pixel) for mask in masks for pixel in image[mask].tolist()}


@pytest.mark.parametrize(
    ("name", "split", "domain", "index", "digest"),
    [
        ("palette", "train", "a", 0, "c5feb55bfa08022e"),
        ("palette", "train", "b", 999, "f1a9a536a657a46d"),
        ("palette", "test", "a", 42, "a1373130e2f8800b"),
        ("palette", "test", "b", 99, "dded8bdfa57e7fea"),
        ("palette-paired", "train", "a", 0, "4b6f254184b64de9"),
        ("palette-paired", "train", "b", 999, "d87f91b86c3219e4"),
        ("palette-paired", "test", "a", 42, "1c6ef0f3cc0cdf19"),
        ("palette-paired", "test", "b", 99, "806ea59f7056908b"),
    ],
)
def test_bytes_are_fixed_with_the_version(name, split, domain, index, digest):
    image = catalogue.EMBEDDED[name].images(split, domain)[index].read()
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == digest


@each_task
def test_bytes_of_all_answers_are_fixed_with_the_version(name):
    total = hashlib.sha256()
    for each in known(catalogue.EMBEDDED[name].answers("a", "b")):
        total.update(pixels(each).tobytes())
    expected = {"palette": "a4648bb97ce242f8", "palette-paired": "e77f7752f2b86b55"}
    assert total.hexdigest()[:16] == expected[name]


@each_task
def test_task_ranks_by_what_both_directions_have(name):
    task = catalogue.EMBEDDED[name]
    assert (task.headline, task.paired) == ("modes_found", name == "palette-paired")
    for way in ("ab", "ba"):
        assert task.answers(*way) and task.foreground(*way)


@each_task
@each_split
def test_each_palette_is_worn_by_a_quarter_of_the_images_and_one_by_all_objects(name, split):
    found = [
        worn(image, masks)
        for image, masks in zip(
            drawn(name, split, "b"),
            instances_of(name, split, "b"),
            strict=True,
        )
    ]
    assert all(len(names) == 1 for names in found)
    counts = Counter(names.pop() for names in found)
    assert counts == dict.fromkeys(TAKEN, COUNTS[split] // 4)


@each_task
@each_split
def test_objects_of_domain_a_are_grey_and_light(name, split):
    masks = instances_of(name, split, "a")
    levels = set()
    for image, instances in zip(drawn(name, split, "a"), masks, strict=True):
        for mask in instances:
            ((red, green, blue),) = np.unique(image[mask], axis=0)
            assert red == green == blue
            levels.add(int(red))
    assert levels == set(range(192, 249, 8))


@mostly_slow
def test_right_answers_are_the_four_palettes_of_the_greys(name):
    task = catalogue.EMBEDDED[name]
    assert task.truth("a", "b") is None
    sources, answers = task.images("test", "a"), known(task.answers("a", "b"))
    masks = np.stack([each.any(0) for each in instances_of(name, "test", "a")])
    assert len(answers) == len(sources)
    for source, right, mask in zip(sources, answers, masks, strict=True):
        assert [image.name for image in right] == [source.name] * 4
        before = np.asarray(source.read()).astype(int)
        for after, taken in zip(pixels(right), TAKEN.values(), strict=True):
            assert (after == before - mask[..., None] * np.array(taken)).all()


@mostly_slow
def test_the_one_way_back_follows_from_the_pixels(name):
    task = catalogue.EMBEDDED[name]
    images, truth = drawn(name, "test", "b"), known(task.truth("b", "a"))
    masks = np.stack([each.any(0) for each in instances_of(name, "test", "b")])
    grey = np.repeat(images.max(axis=-1, keepdims=True), 3, axis=-1)
    assert (pixels(truth) == np.where(masks[..., None], grey, images)).all()
    answers = known(task.answers("b", "a"))
    assert {len(each) for each in answers} == {1}
    assert (pixels([each for (each,) in answers]) == pixels(truth)).all()


@mostly_slow
def test_colours_of_all_greys_and_palettes_are_different(name):
    task = catalogue.EMBEDDED[name]
    masks = instances_of(name, "test", "a")
    colours = {}
    for right, instances in zip(known(task.answers("a", "b")), masks, strict=True):
        for palette, image in zip(TAKEN, pixels(right), strict=True):
            for mask in instances:
                colour = tuple(image[mask][0].tolist())
                assert colours.setdefault(colour, (palette, max(colour))) == (palette, max(colour))
    assert len(colours) == 4 * 8


@pytest.mark.slow
@each_task
def test_answers_and_source_differ_in_the_foreground_alone_and_in_all_of_it(name):
    task = catalogue.EMBEDDED[name]
    for way in ("ab", "ba"):
        sources, inside = (
            drawn(name, "test", way[0]),
            np.stack(known(task.foreground(*way))),
        )
        for image, right, mask in zip(sources, known(task.answers(*way)), inside, strict=True):
            for answer in pixels(right):
                assert ((answer != image).any(axis=-1) == mask).all()


@each_task
@pytest.mark.parametrize("domain", ["a", "b"])
def test_distractors_keep_a_colour_of_an_object_in_some_domain(name, domain):
    for scene in scenes(name, "test", domain):
        greys = {figure.colour[0] for figure in scene.objects}
        assert {max(figure.colour) for figure in scene.distractors} <= greys
        assert {palette_of(figure.colour) for figure in scene.distractors} <= {*TAKEN, "grey"}


@pytest.mark.slow
@each_task
def test_distractors_do_not_tell_the_domain_nor_the_palette_of_an_image(name):
    """As frequent in every domain and palette: differences are those of chance, by chi-square."""
    seen = Counter()
    for domain in "ab":
        for i, scene in enumerate(scenes(name, "train", domain)):
            shown = "grey" if domain == "a" else list(TAKEN)[i % 4]
            seen.update((shown, palette_of(figure.colour)) for figure in scene.distractors)
    kinds = ["grey", *TAKEN]
    table = np.array([[seen[shown, kind] for kind in kinds] for shown in kinds], float)
    table = table[1:] if name == "palette-paired" else table  # in pairs, a has the same ones as b
    rows, columns = table.sum(axis=1, keepdims=True), table.sum(axis=0, keepdims=True)
    expected = rows * columns / table.sum()
    degrees = (len(table) - 1) * (len(kinds) - 1)
    assert ((table - expected) ** 2 / expected).sum() < degrees + 3 * (2 * degrees) ** 0.5
    assert abs(columns / table.sum() - 0.2).max() < 0.03


@each_task
@each_split
def test_partners_are_one_scene_only_in_pairs(name, split):
    grey, worn_ones = (drawn(name, split, domain) for domain in "ab")
    masks = np.stack([each.any(0) for each in instances_of(name, split, "a")])
    same = [(x[~m] == y[~m]).all() for x, y, m in zip(grey, worn_ones, masks, strict=True)]
    assert set(same) == {name == "palette-paired"}
    if name == "palette-paired":
        taken = np.array(list(TAKEN.values()))[np.arange(len(grey)) % 4][:, None, None]
        assert (worn_ones == grey.astype(int) - masks[..., None] * taken).all()


def test_partner_of_a_test_image_is_one_of_its_right_answers():
    task = catalogue.EMBEDDED["palette-paired"]
    answers = known(task.answers("a", "b"))
    for i, (partner, right) in enumerate(zip(task.images("test", "b"), answers, strict=True)):
        assert (np.asarray(partner.read()) == np.asarray(right[i % 4].read())).all()
    assert (pixels(known(task.truth("b", "a"))) == pixels(task.images("test", "a"))).all()


@each_task
@pytest.mark.parametrize("domain", ["a", "b"])
def test_figures_keep_apart_and_objects_cover_5_to_25_percent(name, domain):
    masks = instances_of(name, "test", domain)
    for scene, instances in zip(scenes(name, "test", domain), masks, strict=True):
        assert 0.05 <= instances.any(0).mean() <= 0.25
        figures = [*instances, *(triangle(figure) for figure in scene.distractors)]
        assert np.sum(figures, axis=0).max() == 1


@each_task
def test_objects_differ_from_the_background_in_every_palette(name):
    for i, scene in enumerate(scenes(name, "test", "a")):
        mean = scene.background.reshape(-1, 3).mean(axis=0)
        for figure in scene.objects:
            for taken in [(0, 0, 0), *TAKEN.values()]:
                assert abs(np.array(figure.colour) - taken - mean).max() > 50, i


@pytest.mark.slow
def test_no_image_is_there_twice():
    seen = Counter()
    for name in NAMES:
        task = catalogue.EMBEDDED[name]
        for split in COUNTS:
            for domain in "ab":
                seen.update(image.read().tobytes() for image in task.images(split, domain)[:200])
    assert len(seen) == seen.total() == 2 * 2 * 300


@pytest.mark.parametrize(
    "key",
    [
        ("palettes", "test", "a", 0),
        ("palette", "val", "a", 0),
        ("palette", "test", "c", 0),
        ("palette-paired", "test", "b", 100),
    ],
)
def test_scenes_that_do_not_exist_are_refused(key):
    with pytest.raises(ValueError, match="no image"):
        palette_scene(*key)
