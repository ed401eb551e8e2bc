"""Images are turned around the middle of their crop, as far as the settings allow, masks alike."""

import math

import pytest
import torch
from few_images import with_few_images

from i2i_bench.data.augment import draw_turns, turned_crop
from i2i_bench.data.training_images import TrainingImages
from i2i_bench.model import Needs, Settings
from i2i_bench.randomness import Randomness
from i2i_bench.tasks import catalogue

SETTINGS = Settings(None, 2, 8, 32, 32, rotation=30.0, rescale=0.1)
PIXELS = torch.arange(3 * 8 * 8, dtype=torch.uint8).view(3, 8, 8)
WHOLE = 0, 0, 8


def test_no_turn_is_a_crop():
    image = torch.arange(3 * 9 * 11, dtype=torch.float32).view(3, 9, 11)
    found = turned_crop(image, (2, 3, 6), (0.0, 1.0), mode="bilinear")
    torch.testing.assert_close(found, image[:, 2:8, 3:9], atol=1e-4, rtol=0)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_quarter_turn_is_anticlockwise(quarters, mode):
    found = turned_crop(PIXELS, WHOLE, (90.0 * quarters, 1.0), mode=mode)
    expected = torch.rot90(PIXELS, quarters, dims=(1, 2)).float()
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_a_factor_makes_objects_grow_by_it():
    image = torch.zeros(1, 64, 64)
    image[:, 22:42, 22:42] = 1
    for factor in (0.8, 0.9, 1.1, 1.5):
        grown = turned_crop(image, (0, 0, 64), (0.0, factor), mode="bilinear").sum()
        assert grown.item() == pytest.approx(400 * factor**2, rel=0.02)


def test_what_lies_beyond_the_image_is_its_reflection():
    ramp = torch.arange(8.0).expand(1, 8, 8)
    found = turned_crop(ramp, WHOLE, (0.0, 0.5), mode="bilinear")
    places = (torch.arange(8.0) - 3.5) * 2 + 3.5  # of what is seen, from -3.5 to 10.5
    wanted = torch.where(places < -0.5, -1 - places, torch.where(places > 7.5, 15 - places, places))
    torch.testing.assert_close(found[0, 0], wanted, atol=1e-3, rtol=0)


def test_angles_and_factors_fill_their_ranges():
    turns = draw_turns(SETTINGS, Randomness(0), "a", 4000)
    angles, factors = zip(*turns, strict=True)
    assert -30 <= min(angles) < -29.5
    assert 29.5 < max(angles) <= 30
    assert 0.9 <= min(factors) < 0.901
    assert 1.099 < max(factors) <= 1.1
    assert abs(math.fsum(angles) / 4000) < 1.5  # 5 standard errors are 1.4
    assert turns[10:20] == draw_turns(SETTINGS, Randomness(0, 10), "a", 10)


def test_masks_turn_with_their_images():
    task = catalogue.find_task("morph", None)  # pyright: ignore[reportArgumentType] - made here
    task = with_few_images(task, 64)
    given = Settings(None, 4, 8, 32, 32, rotation=45.0, rescale=0.2, instances=3)
    turned = TrainingImages(task, given, 0, needs=Needs(masks="required")).batch(0, 64)
    assert turned.masks is not None
    assert set(turned.masks["a"].unique().tolist()) == {0.0, 1.0}
    assert turned.masks["a"].shape == (64, 3, 32, 32)
    for image, masks in zip(turned.images["a"], turned.masks["a"], strict=True):
        for mask in masks:  # an object is of one colour, so that within its mask nothing varies
            inside = image[:, mask == 1]
            if inside.shape[1] > 20:  # its middle at least, as edges are blended
                deviation = (inside - inside.median(dim=1, keepdim=True).values).abs().amax(0)
                assert (deviation < 0.02).float().mean() > 0.4


def test_without_rotation_and_rescale_nothing_is_resampled(pairs):
    task = catalogue.find_task(str(pairs), pairs)
    plain = Settings(None, 4, 8, 32, 32)
    one, other = (TrainingImages(task, each, 0).batch(0, 4) for each in (plain, SETTINGS))
    levels = (one.images["a"] + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    assert not torch.equal(one.images["a"], other.images["a"])
