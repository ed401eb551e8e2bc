"""How far images are from their sources and from each other, on images made for it."""

import numpy as np
import pytest

from i2i_bench.scoring.metrics.change import (
    MOST_CHANGED,
    image_variety,
    is_unchanged,
    strongest_change,
)


def image(seed=0, side=20):
    return np.random.RandomState(seed).randint(20, 200, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize(("levels", "expected"), [(0, 1), (1, 1), (2, 0)])
def test_a_copy_may_be_off_by_rounding_alone(levels, expected):
    changed = image()
    changed[3, 4, 1] += levels
    assert is_unchanged(changed, image()) == is_unchanged(image(), changed) == expected


def test_small_object_that_changes_counts_whole_and_a_tint_for_what_it_is():
    count = int(MOST_CHANGED * 20 * 20)
    changed = image()
    changed.reshape(-1, 3)[:count] += 50
    assert strongest_change(changed, image()) == 50
    assert strongest_change(image() + np.uint8(3), image()) == 3
    changed.reshape(-1, 3)[: count // 2] -= 50  # half as many pixels
    assert strongest_change(changed, image()) == 25


def test_variety_is_the_deviation_over_images():
    images = np.stack([image(seed) for seed in range(5)])
    expected = np.sqrt(images.astype(float).var(0).mean())
    assert image_variety(images) == pytest.approx(expected)
    assert image_variety(list(images[[2, 2, 2]])) == 0


def test_variety_of_none_is_unknown():
    with pytest.raises(ValueError, match="images are needed"):
        image_variety([])
