import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from i2i_bench.scoring.metrics.pixels import PSNR_CAP, luminance_correlation, mean_psnr, psnr, ssim


def image(seed, height=20, width=24):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)


def smooth_pair(height, width):
    """A gradient and a noisy copy, so that the similarity is far from 0 and 1."""
    rows, columns = np.mgrid[:height, :width]
    truth = np.stack([rows * 3 % 256, columns * 2 % 256, (rows + columns) % 256], axis=-1)
    noise = np.random.RandomState(0).randint(-20, 21, truth.shape)
    return np.clip(truth + noise, 0, 255).astype(np.uint8), truth.astype(np.uint8)


seeds = st.integers(0, 2**31)
quick = settings(deadline=None, max_examples=25, database=None)


@quick
@given(seeds, seeds)
def test_psnr_equals_scikit_image(first, second):
    one, other = image(first), image(second)
    if first != second:
        expected = peak_signal_noise_ratio(other, one, data_range=255)
        assert psnr(one, other) == pytest.approx(expected, rel=1e-12)


@quick
@given(seeds, seeds)
def test_pixel_metrics_are_symmetric(first, second):
    one, other = image(first), image(second)
    assert psnr(one, other) == psnr(other, one)
    assert ssim(one, other) == pytest.approx(ssim(other, one), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("difference", [1, 16, 255])
def test_psnr_of_a_constant_difference_has_a_closed_form(difference):
    black = np.zeros((5, 7, 3), np.uint8)
    assert psnr(black, black + np.uint8(difference)) == pytest.approx(
        20 * math.log10(255 / difference), abs=1e-12
    )


def test_psnr_of_equal_images_is_infinite():
    assert psnr(image(0), image(0)) == math.inf


def test_masked_psnr_sees_only_the_pixels_of_the_mask():
    truth = image(0)
    changed = truth.copy()
    changed[:10] = 255 - changed[:10]
    mask = np.zeros(truth.shape[:2], bool)
    mask[:10] = True
    assert psnr(changed, truth, mask) == psnr(changed[:10], truth[:10])
    assert psnr(changed, truth, ~mask) == math.inf


def test_mask_of_every_pixel_changes_nothing():
    everything = np.ones((20, 24), bool)
    assert psnr(image(0), image(1), everything) == pytest.approx(psnr(image(0), image(1)))


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((20, 24), bool), "empty"),
        (np.ones((20, 24)), "boolean"),
        (np.ones((24, 20), bool), "boolean of shape"),
        (np.ones((20, 24, 3), bool), "boolean of shape"),
    ],
)
def test_unfit_masks_are_refused(mask, words):
    with pytest.raises(ValueError, match=words):
        psnr(image(0), image(1), mask)


@pytest.mark.parametrize("metric", [psnr, ssim, luminance_correlation])
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (image(0) / 255, "uint8 from 0 to 255, not float64 from 0 to 1; scale it"),
        (image(0).astype(np.int16) - 128, "uint8 from 0 to 255, not int16 from -128 to 127"),
        (image(0)[..., 0], "shape"),
        (np.zeros((20, 24, 4), np.uint8), "shape"),
        (image(0, 24, 20), "differ in shape"),
        (np.zeros((0, 24, 3), np.uint8), "shape"),
    ],
)
def test_unfit_images_are_refused(metric, wrong, words):
    with pytest.raises(ValueError, match=words):
        metric(wrong, image(1))


def test_mean_psnr_counts_an_equal_image_as_the_cap():
    assert mean_psnr([20.0, math.inf]) == (20 + PSNR_CAP) / 2
    assert mean_psnr(iter([20.0, 30.0])) == 25


def test_mean_psnr_never_prefers_a_worse_image():
    assert mean_psnr([math.inf]) >= mean_psnr([101.5]) >= mean_psnr([99.0])


@pytest.mark.parametrize("values", [[], [20.0, math.nan]])
def test_mean_psnr_of_no_number_is_refused(values):
    with pytest.raises(ValueError, match="at least one value"):
        mean_psnr(values)


@pytest.mark.parametrize("size", [(11, 11), (11, 40), (37, 23), (64, 64)])
@pytest.mark.parametrize("pair", [smooth_pair, lambda h, w: (image(1, h, w), image(2, h, w))])
def test_ssim_equals_scikit_image(size, pair):
    one, other = pair(*size)
    expected = structural_similarity(
        one,
        other,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=-1,
        data_range=255,
    )
    assert ssim(one, other) == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_ssim_of_equal_images_is_one():
    assert ssim(image(0), image(0)) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("size", [(10, 30), (30, 10)])
def test_ssim_names_the_size_of_an_image_below_its_window(size):
    with pytest.raises(ValueError, match=rf"at least 11 x 11 pixels, not {size[0]} x {size[1]}"):
        ssim(image(0, *size), image(1, *size))


@quick
@given(seeds, seeds)
def test_luminance_correlation_equals_numpy(first, second):
    sides = [image(seed) for seed in (first, second)]
    grey = [(side * [0.299, 0.587, 0.114]).sum(-1).ravel() for side in sides]
    assert luminance_correlation(*sides) == pytest.approx(np.corrcoef(*grey)[0, 1], abs=1e-12)


def test_negative_correlates_to_minus_one_whatever_its_contrast():
    one = image(0)
    assert luminance_correlation(one, 255 - one) == pytest.approx(-1)
    assert luminance_correlation(one, one // 3 * 3) > 0.99
    assert luminance_correlation(one, one) == pytest.approx(1)


def test_single_luminance_correlates_with_nothing():
    assert math.isnan(luminance_correlation(image(0), np.full_like(image(0), 7)))
