"""Instance masks of the embedded tasks: one for each object, exact, also after translation."""

import itertools

import numpy as np
import pytest
from scipy.ndimage import label as label_components

from i2i_bench.data.directions import directions_of
from i2i_bench.labels import EVERY
from i2i_bench.tasks import catalogue

TASKS = catalogue.EMBEDDED
FEW = 12  # images of each domain and direction looked at


def ends_of(task):
    """List the domains of a task, of a labelled one with those that its labels choose."""
    chosen = [sign + name for name in task.attributes for sign in "+-"]
    return [*task.domains, *chosen, *(task.attributes if task.labelling.is_one_hot else ())]


def directions(task):
    pairs = [(d.source, d.target) for d in directions_of(task)]
    return [*pairs, *task.labelling.pairs()]


def read(masks, count=None):
    return [each.read() for each in masks[:count]]


def first_masks(task, split, domain):
    return read(task.instance_masks(split, domain), FEW)


def count_parts(mask, **options):
    _, count = label_components(mask, **options)  # type: ignore[misc]  # a pair without an output
    return count


each_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
each_end = pytest.mark.parametrize(
    ("task", "domain"),
    [(task, end) for task in TASKS.values() for end in ends_of(task)],
    ids=[f"{task.name} {end}" for task in TASKS.values() for end in ends_of(task)],
)
each_direction = pytest.mark.parametrize(
    ("task", "source", "target"),
    [(task, *way) for task in TASKS.values() for way in directions(task)],
    ids=[f"{task.name} {s} {t}" for task in TASKS.values() for s, t in directions(task)],
)


def is_disc(mask):
    """Tell whether a mask is the disc that fills a square, by distances in floating point."""
    rows, columns = np.nonzero(mask)
    top, left, size = rows.min(), columns.min(), np.ptp(rows) + 1
    if size != np.ptp(columns) + 1:
        return False
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    centre = (size - 1) / 2
    return bool((mask == (np.hypot(y - top - centre, x - left - centre) < size / 2)).all())


def is_cross(mask):
    """Tell whether a mask is two bars of one length, at right angles through their middles."""
    rows, columns = np.nonzero(mask)
    box = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    across, upright = box.all(axis=1), box.all(axis=0)  # rows and columns that a bar fills
    is_square = box.shape[0] == box.shape[1]
    return bool(
        is_square
        and 0 < across.sum() < len(box) / 2
        and (across == across[::-1]).all()
        and (across == upright).all()
        and (box == (across[:, None] | upright[None])).all()
    )


@each_end
@pytest.mark.parametrize("split", ["train", "test"])
def test_masks_go_with_images_and_are_one_for_each_object(task, domain, split):
    masks, images = task.instance_masks(split, domain), task.images(split, domain)
    assert task.has_masks
    assert [each.name for each in masks] == [image.name for image in images]
    for each in first_masks(task, split, domain):
        assert each.dtype == bool and each.shape[1:] == (task.image_size, task.image_size)
        assert 1 <= len(each) <= 3
        assert all(count_parts(mask) == 1 for mask in each)
        together = count_parts(each.any(0), structure=np.ones((3, 3)))
        assert together == len(each) and each.sum(0).max() == 1  # objects are a pixel apart


@each_end
def test_masked_pixels_are_of_one_colour_in_a_row_and_those_around_are_not(task, domain):
    images = [np.asarray(image.read()) for image in task.images("test", domain)[:FEW]]
    for image, masks in zip(images, first_masks(task, "test", domain), strict=True):
        for mask in masks:
            rows = range(mask.shape[0])
            for row in rows:
                assert len(np.unique(image[row][mask[row]], axis=0)) <= 1
            assert len(np.unique(image[mask], axis=0)) <= 2  # pale and dark where striped
            around = np.pad(mask, 1)
            shifts = itertools.product((0, 1, 2), repeat=2)
            near = np.any(
                [around[y : y + mask.shape[0], x : x + mask.shape[1]] for y, x in shifts], 0
            )
            outside = image[near & ~mask].reshape(-1, 1, 3)
            assert not (outside == image[mask][:1]).all(axis=2).any()


@each_end
def test_outlines_are_discs_or_crosses_as_the_domain_says(task, domain):
    masks = first_masks(task, "test", domain)
    labels = task.labels("test", domain)
    for i, each in enumerate(masks):
        crosses = task.name == "morph" and domain == "b"
        if labels is not None and "cross" in task.attributes:
            crosses = bool(labels[i][task.attributes.index("cross")])
        assert all(is_cross(mask) if crosses else is_disc(mask) for mask in each)


@each_direction
def test_instances_keep_their_index_and_centre_in_translation(task, source, target):
    before, after = task.instance_masks("test", source), task.true_masks(source, target)
    assert [each.name for each in after] == [each.name for each in before]
    for old, new in zip(before[:FEW], after[:FEW], strict=True):
        first, second = old.read(), new.read()
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            centres = [np.argwhere(mask).mean(axis=0) for mask in (one, other)]
            assert abs(centres[0] - centres[1]).max() < 1e-9


@each_direction
def test_true_masks_have_the_outlines_of_the_target(task, source, target):
    for each in task.true_masks(source, target)[:FEW]:
        crosses = (task.name, target) == ("morph", "b") or target.lstrip("+") == "cross"
        if task.name == "shapes-attributes" and target[1:] != "cross":
            continue  # these change with the label of the source
        assert all(is_cross(mask) if crosses else is_disc(mask) for mask in each.read())


@each_direction
def test_foreground_is_what_instances_cover_before_or_after(task, source, target):
    before, after = task.instance_masks("test", source), task.true_masks(source, target)
    foreground = task.foreground(source, target)
    assert len(foreground) == len(before) == len(after)
    for old, new, mask in list(zip(before, after, foreground, strict=True))[:FEW]:
        assert ((old.read().any(0) | new.read().any(0)) == mask).all()


def test_masks_of_attributes_change_with_the_attribute_cross_alone():
    task = TASKS["shapes-attributes"]
    for source, target in directions(task):
        before = read(task.instance_masks("test", source) or [])
        after = read(task.true_masks(source, target) or [])
        changed = [bool((x != y).any()) for x, y in zip(before, after, strict=True)]
        assert set(changed) == {target[1:] == "cross"}


def test_every_image_of_a_labelled_task_has_its_own_masks_in_each_domain():
    task = TASKS["shapes-attributes"]
    whole = {each.name: each.read() for each in task.instance_masks("test", EVERY) or []}
    for end in ends_of(task):
        for each in task.instance_masks("test", end) or []:
            assert (each.read() == whole[each.name]).all()


@each_task
def test_unknown_splits_and_domains_have_no_masks(task):
    with pytest.raises(ValueError, match="split 'val'"):
        task.instance_masks("val", task.domains[0])
    with pytest.raises(ValueError, match="nothing"):
        task.instance_masks("test", "+nothing" if task.attributes else "nothing")
