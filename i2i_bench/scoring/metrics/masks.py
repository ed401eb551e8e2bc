"""How well attention masks find what had to change, and whether they have collapsed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from i2i_bench.metric import Deferred, Metric, each

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = Deferred("numpy")

SATURATED = 0.99  # attention from which a pixel counts as one mask's alone
NO_COPY = "no mask copies the input"
SINGLE = "a single mask shares nothing"
_SUM_TOLERANCE = 1e-2  # attention computed in bfloat16 sums to 1 no more closely


@dataclass(frozen=True)
class MaskHealth:
    """Measurements of the attention masks of some images.

    Attributes:
        entropy: (images,), as ``attention_entropy``; empty for a single mask.
        saturated: (images,), as ``saturated_share``.
        usage: (images, masks), mean attention of each mask.
    """

    entropy: NDArray[np.float64]
    saturated: NDArray[np.float64]
    usage: NDArray[np.float64]


def foreground_iou(
    background_attention: NDArray[Any], foreground: NDArray[np.bool_], threshold: float = 0.5
) -> float:
    """Return the intersection over union of one image's predicted and true foreground.

    Foreground is predicted where ``1 - background_attention`` exceeds the threshold.

    Args:
        background_attention: (height, width) in [0, 1], of the mask that copies the input.
        foreground: Boolean (height, width), the truth.
        threshold: Between 0 and 1.

    Returns:
        The ratio in [0, 1]; 1 where both are empty.

    Raises:
        ValueError: If the shapes differ, are not those of one image, or the attention is unfit.
    """
    _check_attention(background_attention)
    if foreground.dtype != np.bool_ or foreground.ndim != 2:
        raise ValueError(
            "the true foreground must be boolean of shape (height, width), "
            f"not {foreground.dtype} of shape {foreground.shape}"
        )
    if background_attention.shape != foreground.shape:
        raise ValueError(
            f"attention of shape {background_attention.shape} and foreground of shape "
            f"{foreground.shape} are not of one image"
        )
    predicted = 1 - background_attention > threshold
    union = np.count_nonzero(predicted | foreground)
    return np.count_nonzero(predicted & foreground) / union if union else 1.0


def background_share(background_attention: NDArray[Any]) -> float:
    """Return the mean attention of the mask that copies the input: 1 where nothing is translated.

    Args:
        background_attention: Any shape, in [0, 1].

    Raises:
        ValueError: If the attention is empty, not finite or outside [0, 1].
    """
    _check_attention(background_attention)
    return float(background_attention.mean(dtype=np.float64))


def attention_entropy(attention: NDArray[Any]) -> float:
    """Return how far the masks blur into one another: mean entropy over n, as a share of log n.

    0 where every pixel belongs to one mask, 1 where all masks are equal.

    Args:
        attention: (n, height, width) in [0, 1], summing to 1 over n within 0.01 (then scaled to 1).

    Raises:
        ValueError: If there is a single mask, or the attention is not of this shape, range or sum.
    """
    shares = _shares(attention)
    if len(shares) < 2:
        raise ValueError("a single mask shares nothing: its entropy is not defined")
    return float(_entropy(shares).mean() / np.log(len(shares)))


def saturated_share(attention: NDArray[Any], threshold: float = SATURATED) -> float:
    """Return the share of pixels that one mask claims: whose largest attention exceeds a threshold.

    Args:
        attention: As in ``attention_entropy``; a single mask is taken too.
        threshold: Between 0 and 1.

    Raises:
        ValueError: If the attention is not of this shape, range or sum.
    """
    return float((_shares(attention).max(0) > threshold).mean())


def effective_masks(usage: NDArray[Any]) -> float:
    """Return how many masks are in use: exp of the entropy of their mean attention.

    1 where one mask has all of it, n where all have the same, whether they divide the image sharply
    among them or blur into one another.

    Args:
        usage: (n,), the mean attention of each mask over the pixels of all images.

    Raises:
        ValueError: If the usage is not of this shape, range or sum.
    """
    if usage.ndim != 1:
        raise ValueError(f"usage must have shape (n,), not {usage.shape}")
    return float(np.exp(_entropy(_shares(usage[:, None, None])).mean()))


def _shares(attention: NDArray[Any]) -> NDArray[np.float64]:
    """Give attention (n, height, width) that sums to 1 exactly, or say what is wrong with it."""
    _check_attention(attention)
    if attention.ndim != 3:
        raise ValueError(f"attention must have shape (n, height, width), not {attention.shape}")
    shares = attention.astype(np.float64)
    total = shares.sum(0)
    if np.abs(total - 1).max() > _SUM_TOLERANCE:
        raise ValueError(
            "attention must sum to 1 over its masks; "
            f"it sums to {total.min():.3g} ... {total.max():.3g}"
        )
    return shares / total


def _entropy(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the entropy over n of (n, height, width), in nats."""
    logarithm = np.log(np.where(shares > 0, shares, 1))  # 0 log 0 = 0
    return -(shares * logarithm).sum(0)


def _check_attention(attention: NDArray[Any]) -> None:
    """Refuse what is empty or outside [0, 1]."""
    if attention.size == 0 or not (attention.min() >= 0 and attention.max() <= 1 + 1e-6):
        raise ValueError(
            f"attention must lie in [0, 1]; given: shape {attention.shape}, "
            + (f"{attention.min():.3g} ... {attention.max():.3g}" if attention.size else "empty")
        )


def _mean_background(attention: Sequence[NDArray[Any]]) -> float:
    """Give the mean over images, which may be of several shapes."""
    if isinstance(attention, np.ndarray):
        return background_share(attention)
    return float(np.mean([background_share(one) for one in attention]))


def _mean_entropy(attention: MaskHealth) -> float:
    """Give the mean over images, or refuse what a single mask does not have."""
    if attention.usage.shape[1] == 1:
        raise ValueError(SINGLE)
    return float(attention.entropy.mean())


def _mean_saturated(attention: MaskHealth) -> float:
    return float(attention.saturated.mean())


def _masks_in_use(attention: MaskHealth) -> float:
    """Give how many masks are in use over all images, or refuse a single one."""
    if attention.usage.shape[1] == 1:
        raise ValueError(SINGLE)
    return effective_masks(attention.usage.mean(0))


MASK_IOU = Metric(
    "mask_iou",
    "mask IoU",
    digits=3,
    better="higher",
    needs=("background_attention", "foreground"),
    by_image=each(foreground_iou),
    bounds=(0.0, 1.0),
    place=100,
)
BACKGROUND_SHARE = Metric(
    "background_share",
    "bg share",
    digits=3,
    meaning="mean attention that copies the source",
    needs=("background_attention",),
    of_set=_mean_background,
    bounds=(0.0, 1.0),
    place=110,
)
ATTENTION_ENTROPY = Metric(
    "attention_entropy",
    "attention entropy",
    needs=("attention",),
    of_set=_mean_entropy,
    bounds=(0.0, 1.0),
    is_shown=False,
)
ATTENTION_SATURATED = Metric(
    "attention_saturated",
    "attention saturated",
    needs=("attention",),
    of_set=_mean_saturated,
    bounds=(0.0, 1.0),
    is_shown=False,
)
EFFECTIVE_MASKS = Metric(  # a column of ablations alone
    "effective_masks",
    "masks used",
    digits=2,
    meaning="exp of the entropy of the masks' mean attention: 1 where one has all of it",
    needs=("attention",),
    of_set=_masks_in_use,
    bounds=(1.0, math.inf),
    is_shown=False,
)
