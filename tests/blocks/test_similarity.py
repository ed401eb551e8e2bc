"""Multi-scale structural similarity."""

import math

import pytest
import torch

from i2i_bench.blocks.similarity import POWERS, multi_scale_similarity, similarity_levels


def plain(images, others, levels):
    """Compute it window by window, from the formula alone."""
    offsets = range(-3, 5)
    taps = [[math.exp(-(i * i + j * j) / (2 * 1.5**2)) for j in offsets] for i in offsets]
    window = torch.tensor(taps, dtype=torch.float64)
    window = window / window.sum()
    share, result = sum(POWERS) / sum(POWERS[:levels]), torch.ones(images.shape[1]).double()
    for level in range(levels):
        x, y = (each.unfold(2, 8, 1).unfold(3, 8, 1) for each in (images, others))
        m, n, xx, yy, xy = ((v * window).sum(dim=(-2, -1)) for v in (x, y, x * x, y * y, x * y))
        variances = (xx - m * m).abs() + (yy - n * n).abs()
        covariance = (xy - m * n).abs()
        ratio = (2 * covariance + 0.0025) / (variances + 0.0025)
        if level == levels - 1:
            ratio = ratio * (2 * m * n + 0.0009) / (m * m + n * n + 0.0009)
        result = result * ratio.mean(dim=(0, 2, 3)) ** (share * POWERS[level])
        halves = [each.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)) for each in (images, others)]
        images, others = (each.mean(dim=(3, 5)) for each in halves)
    return result.mean()


@pytest.mark.parametrize(("levels", "height", "width"), [(1, 8, 8), (2, 24, 16), (3, 32, 48)])
def test_similarity_is_the_formula(levels, height, width):
    torch.manual_seed(0)
    images, others = torch.rand(2, 2, 3, height, width, dtype=torch.float64)
    found = multi_scale_similarity(images, others, levels)
    assert found.item() == pytest.approx(plain(images, others, levels).item(), rel=1e-10)


def test_equal_images_are_wholly_similar_and_have_no_gradient():
    images = torch.rand(1, 2, 16, 16, dtype=torch.float64, requires_grad=True)
    found = multi_scale_similarity(images, images.detach(), 2)
    assert found.item() == pytest.approx(1.0, abs=1e-12)
    found.backward()
    assert images.grad is not None
    assert images.grad.abs().max().item() < 1e-12


def test_means_are_compared_at_the_last_scale_alone():
    images = torch.full((1, 1, 16, 16), 0.2, dtype=torch.float64)
    expected = (2 * 0.2 * 0.6 + 0.0009) / (0.2**2 + 0.6**2 + 0.0009)
    found = multi_scale_similarity(images, images + 0.4, 2)
    power = sum(POWERS) / sum(POWERS[:2]) * POWERS[1]
    assert found.item() == pytest.approx(expected**power, rel=1e-12)


def test_precision_is_kept_under_autocast():
    images, others = torch.rand(2, 1, 1, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        found = multi_scale_similarity(images.bfloat16().float(), others, 2)
    assert found.item() == multi_scale_similarity(images.bfloat16().float(), others, 2).item()


@pytest.mark.parametrize(("size", "levels"), [(4, 1), (8, 1), (31, 2), (32, 3), (128, 5), (512, 5)])
def test_as_many_scales_as_hold_a_window(size, levels):
    assert similarity_levels(size) == levels


def test_images_smaller_than_the_window_are_refused():
    with pytest.raises(ValueError, match=r"similarity at 2 scales .* at least 16 px, not 20x15"):
        multi_scale_similarity(torch.rand(1, 1, 15, 20), torch.rand(1, 1, 15, 20), 2)
