import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i_bench.data.mixed import MixedImages
from i2i_bench.scoring.metrics.masks import (
    BACKGROUND_SHARE,
    attention_entropy,
    background_share,
    effective_masks,
    foreground_iou,
    saturated_share,
)


def attention(seed, n=4, sharpness=1.0):
    scores = sharpness * np.random.RandomState(seed).standard_normal((n, 6, 7))
    weights = np.exp(scores - scores.max(0))
    return weights / weights.sum(0)


quick = settings(deadline=None, max_examples=25, database=None)


def test_iou_counts_pixels():
    foreground = np.zeros((4, 4), bool)
    foreground[0] = True  # 4 pixels
    background = np.ones((4, 4))
    background[0, :2] = background[1, :2] = 0.2  # 4 predicted, 2 of them right
    assert foreground_iou(background, foreground) == pytest.approx(2 / 6)


def test_iou_of_the_truth_is_one_and_of_its_opposite_zero():
    foreground = np.random.RandomState(0).rand(5, 5) > 0.5
    assert foreground_iou(1.0 - foreground, foreground) == 1
    assert foreground_iou(foreground.astype(float), foreground) == 0


def test_iou_of_two_empty_foregrounds_is_one():
    assert foreground_iou(np.ones((3, 3)), np.zeros((3, 3), bool)) == 1


def test_threshold_is_exclusive():
    foreground = np.ones((3, 3), bool)
    assert foreground_iou(np.full((3, 3), 0.5), foreground) == 0
    assert foreground_iou(np.full((3, 3), 0.5), foreground, threshold=0.4) == 1


@quick
@given(st.integers(0, 2**31), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_predicts_more(seed, first, second):
    background = attention(seed)[-1]
    everything = np.ones(background.shape, bool)
    low, high = sorted((first, second))
    assert foreground_iou(background, everything, low) >= foreground_iou(
        background, everything, high
    )


@pytest.mark.parametrize(
    ("background", "foreground", "words"),
    [
        (np.ones((3, 3)), np.ones((3, 3)), "boolean"),
        (np.ones((3, 4)), np.ones((3, 3), bool), "not of one image"),
        (np.ones((2, 3, 3)), np.ones((2, 3, 3), bool), "boolean of shape"),
        (np.full((3, 3), 1.5), np.ones((3, 3), bool), r"\[0, 1\]"),
        (np.full((3, 3), np.nan), np.ones((3, 3), bool), r"\[0, 1\]"),
    ],
)
def test_unfit_iou_arguments_are_refused(background, foreground, words):
    with pytest.raises(ValueError, match=words):
        foreground_iou(background, foreground)


def test_background_share_counts_images_of_several_shapes_alike():
    shapes = MixedImages([np.ones((4, 8)), np.zeros((4, 4))])
    measure = BACKGROUND_SHARE.of_set
    assert measure is not None and measure(shapes) == 0.5


def test_background_share_is_the_mean():
    assert background_share(np.array([[0.0, 1.0], [0.5, 0.5]], np.float32)) == 0.5
    assert background_share(np.ones((2, 4, 4))) == 1


@pytest.mark.parametrize("wrong", [np.zeros((0, 3)), np.full((2, 2), -0.5), np.full((2, 2), 2.0)])
def test_unfit_attention_is_refused(wrong):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        background_share(wrong)


@pytest.mark.parametrize("n", [2, 10])
def test_equal_masks_have_the_entropy_one_and_saturate_nothing(n):
    masks = np.full((n, 3, 4), 1 / n)
    assert attention_entropy(masks) == pytest.approx(1)
    assert saturated_share(masks) == 0


def test_masks_that_divide_the_image_sharply_have_no_entropy_and_saturate():
    labels = np.random.RandomState(0).randint(0, 4, (5, 5))
    masks = (labels == np.arange(4)[:, None, None]).astype(float)
    assert attention_entropy(masks) == 0
    assert saturated_share(masks) == 1


def test_mixture_of_two_of_four_masks_has_half_the_entropy():
    mixture = np.zeros((4, 3, 3))
    mixture[:2] = 0.5
    assert attention_entropy(mixture) == pytest.approx(0.5)


def test_saturated_pixels_are_counted_above_the_threshold():
    first = np.array([[1.0, 0.995], [0.98, 0.5]])
    masks = np.stack([first, 1 - first])
    assert saturated_share(masks) == 0.5
    assert saturated_share(masks, 0.97) == 0.75
    assert saturated_share(np.ones((1, 2, 2))) == 1


@pytest.mark.parametrize("n", [1, 2, 10])
def test_masks_used_alike_are_all_effective(n):
    assert effective_masks(np.full(n, 1 / n)) == pytest.approx(n)


def test_unused_masks_are_not_effective():
    assert effective_masks(np.array([0.0, 1.0, 0.0])) == 1
    assert effective_masks(np.array([0.5, 0.5, 0.0, 0.0])) == pytest.approx(2)


@quick
@given(st.integers(0, 2**31), st.integers(2, 8), st.floats(0, 20))
def test_mask_health_is_bounded_and_does_not_depend_on_the_order(seed, n, sharpness):
    masks = attention(seed, n, sharpness)
    usage = masks.mean((1, 2))
    assert 1 - 1e-9 <= effective_masks(usage) <= n + 1e-9
    assert 0 <= attention_entropy(masks) <= 1 + 1e-9
    for metric, values in ((effective_masks, usage), (attention_entropy, masks)):
        assert metric(values[::-1]) == pytest.approx(metric(values))


@quick
@given(st.integers(0, 2**31), st.integers(2, 8), st.floats(0, 20))
def test_pixels_share_masks_no_more_evenly_than_the_whole_image(seed, n, sharpness):
    masks = attention(seed, n, sharpness)  # entropy is concave
    whole = np.log(effective_masks(masks.mean((1, 2)))) / np.log(n)
    assert attention_entropy(masks) <= whole + 1e-9


def test_attention_rounded_to_half_precision_is_accepted():
    masks = attention(0)
    assert attention_entropy(masks.astype(np.float16)) == pytest.approx(
        attention_entropy(masks), rel=1e-2
    )


@pytest.mark.parametrize("metric", [attention_entropy, saturated_share])
@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (np.full((4, 3, 3), 0.5), "sum to 1"),
        (np.full((4, 3, 3), 1.03 / 4), "sum to 1"),
        (np.ones((3, 3)), r"\(n, height, width\)"),
    ],
)
def test_attention_that_is_not_a_share_is_refused(metric, masks, words):
    with pytest.raises(ValueError, match=words):
        metric(masks)


@pytest.mark.parametrize(
    ("usage", "words"),
    [(np.full(3, 0.5), "sum to 1"), (np.full((2, 2), 0.5), r"\(n,\)"), (np.ones(0), "empty")],
)
def test_usage_that_is_not_a_share_is_refused(usage, words):
    with pytest.raises(ValueError, match=words):
        effective_masks(usage)


def test_entropy_of_a_single_mask_is_refused():
    with pytest.raises(ValueError, match="not defined"):
        attention_entropy(np.ones((1, 2, 2)))
