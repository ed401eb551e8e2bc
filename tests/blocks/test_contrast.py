"""Blurs, places of patches, and layers of which what is inside is compared."""

import pytest
import torch
from torch.nn import functional as F

from i2i_bench.blocks.contrast import (
    ContrastGenerator,
    draw_patches,
    layer_widths,
    mirror_places,
    nearly_unit,
    patch_nce,
    take_patches,
)
from i2i_bench.blocks.layers import BlurDown, BlurUp
from i2i_bench.randomness import Randomness

SHAPES = [(2, 3, 8, 6), (1, 2, 7, 9), (1, 1, 2, 2)]


def depthwise(line, channels):
    weight = torch.tensor(line, dtype=torch.float64) / 4
    return torch.outer(weight, weight).expand(channels, 1, -1, -1)


@pytest.mark.parametrize("shape", SHAPES)
def test_blurs_are_the_published_filters(shape):
    x = torch.randn(shape, dtype=torch.float64)
    channels = shape[1]
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    halved = F.conv2d(padded, depthwise([1, 2, 1], channels), stride=2, groups=channels)
    torch.testing.assert_close(BlurDown()(x), halved)
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    weight = depthwise([1, 3, 3, 1], channels)
    doubled = F.conv_transpose2d(padded, weight, stride=2, padding=2, groups=channels)
    torch.testing.assert_close(BlurUp()(x), doubled[..., 1:-1, 1:-1])


def test_places_are_different_and_each_images_own():
    features = torch.zeros(3, 2, 6, 7)
    places = draw_patches(features, 40, Randomness(0), "patches")
    assert places.shape == (3, 40)
    assert all(len(set(row)) == 40 and max(row) < 42 for row in places.tolist())
    assert len({tuple(row) for row in places.tolist()}) == 3
    again = draw_patches(features[1:], 40, Randomness(0, 1), "patches")
    assert torch.equal(again, places[1:])
    everywhere = draw_patches(features, 256, Randomness(0), "patches")
    assert everywhere.sort(dim=1).values.tolist() == [list(range(42))] * 3


def test_places_are_drawn_evenly():
    features = torch.zeros(4000, 1, 2, 5)
    counts = draw_patches(features, 3, Randomness(0), "patches").flatten().bincount(minlength=10)
    assert (counts - 1200).abs().max() < 150  # five standard deviations


def test_patches_are_taken_by_rows_and_mirrored_places_follow():
    features = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5)
    places = torch.tensor([[7, 0, 19], [4, 5, 6]])
    taken = take_patches(features, places)
    assert torch.equal(taken[0, 0], features[0, :, 1, 2])
    assert torch.equal(taken[1, 1], features[1, :, 1, 0])
    mirrored = torch.tensor([True, False])
    given = torch.where(mirrored[:, None, None, None], features.flip(3), features)
    assert torch.equal(take_patches(given, mirror_places(places, given, mirrored)), taken)


def test_zero_vectors_have_finite_gradients():
    vectors = torch.zeros(2, 3, requires_grad=True)
    nearly_unit(vectors).sum().backward()
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()


def test_products_are_exact_under_autocast():
    queries, keys = (nearly_unit(torch.randn(2, 9, 4)) for _ in range(2))
    expected = patch_nce(queries, keys, 0.07)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(patch_nce(queries, keys, 0.07), expected)


@pytest.mark.parametrize("blur", [True, False])
def test_layers_have_the_authors_numbers(blur):
    generator = ContrastGenerator(2, 2, inputs=1, blur_down=blur, blur_up=blur)
    last = 11 + 2 * blur
    widths = [1, 2, 2, 2, 4, 4, 4, *([4] * blur), 8, 8, 8, *([8] * blur), 8, 8]
    assert layer_widths(generator, range(last + 1), 1) == widths
    with pytest.raises(ValueError, match="the encoder has no layers of all the numbers"):
        layer_widths(generator, [last + 1], 1)
    images = torch.rand(1, 1, 16, 24)
    taken = generator.features(images, range(last + 1))
    assert taken[0].shape == (1, 1, 22, 30)
    torch.testing.assert_close(
        taken[3],
        taken[1]
        .sub(taken[1].mean((2, 3), True))
        .relu()
        .div(taken[1].var((2, 3), unbiased=False, keepdim=True).add(1e-5).sqrt()),
    )
    assert torch.equal(taken[2], taken[3])
    assert torch.equal(next(generator.children())(images), taken[-1])


def test_kernels_keep_the_biases_of_layers_that_are_compared():
    layers = pytest.importorskip("i2i_bench.training.fast.layers", reason="no Triton")
    generator = ContrastGenerator(2, 1)
    biases = layers._find_fused(list(generator.modules())).biases
    names = {name for name, module in generator.named_modules() if module in biases}
    blocks = {"0.blocks.0.first.conv", "0.blocks.0.second.conv"}
    assert blocks | {"1.0.conv", "1.1.conv"} <= names
    assert not names & {"0.stem.conv", "0.down.0.conv", "0.down.1.conv"}
