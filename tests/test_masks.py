import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i_bench.metrics.masks import background_share, effective_masks, foreground_iou


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


def test_background_share_is_the_mean():
    assert background_share(np.array([[0.0, 1.0], [0.5, 0.5]], np.float32)) == 0.5
    assert background_share(np.ones((2, 4, 4))) == 1


@pytest.mark.parametrize("wrong", [np.zeros((0, 3)), np.full((2, 2), -0.5), np.full((2, 2), 2.0)])
def test_unfit_attention_is_refused(wrong):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        background_share(wrong)


@pytest.mark.parametrize("n", [1, 2, 10])
def test_equal_masks_are_all_effective(n):
    assert effective_masks(np.full((n, 3, 4), 1 / n)) == pytest.approx(n)


def test_masks_that_divide_the_image_sharply_count_one():
    labels = np.random.RandomState(0).randint(0, 4, (5, 5))
    assert effective_masks((labels == np.arange(4)[:, None, None]).astype(float)) == 1


def test_mixture_of_two_of_four_masks_counts_two():
    mixture = np.zeros((4, 3, 3))
    mixture[:2] = 0.5
    assert effective_masks(mixture) == pytest.approx(2)


@quick
@given(st.integers(0, 2**31), st.integers(1, 8), st.floats(0, 20))
def test_effective_masks_lie_between_one_and_all_in_any_order(seed, n, sharpness):
    masks = attention(seed, n, sharpness)
    count = effective_masks(masks)
    assert 1 - 1e-9 <= count <= n + 1e-9
    assert effective_masks(masks[::-1]) == pytest.approx(count)


def test_attention_rounded_to_half_precision_is_accepted():
    masks = attention(0)
    assert effective_masks(masks.astype(np.float16)) == pytest.approx(
        effective_masks(masks), rel=1e-2
    )


@pytest.mark.parametrize(
    ("masks", "words"),
    [(np.full((4, 3, 3), 0.5), "sum to 1"), (np.ones((3, 3)), r"\(n, height, width\)")],
)
def test_attention_that_is_not_a_share_is_refused(masks, words):
    with pytest.raises(ValueError, match=words):
        effective_masks(masks)
