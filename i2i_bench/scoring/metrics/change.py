"""How far translations are from their sources, and from each other: what alarms are told by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from i2i_bench.metric import Deferred, Metric, each

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[Any]
else:
    np = Deferred("numpy")

ROUNDED = 1  # level of 255 by which a copy may differ that went through [-1, 1] and back
MOST_CHANGED = 0.05  # of the pixels: the least that the objects of an embedded task cover
_LEVELS = 255.0


def is_unchanged(image: Image, source: Image) -> float:
    """Return 1 where an image is its source to within rounding, 0 where any pixel differs more.

    Args:
        image: (height, width, channels), uint8 or levels of 255.
        source: The same shape.
    """
    return float(_differences(image, source).max() <= ROUNDED)


def strongest_change(image: Image, source: Image) -> float:
    """Return by how much the pixels that change most do, in levels of 255.

    The mean absolute difference, over channels, of the 5 % of the pixels where it is largest: what
    changes a small object entirely changes those, and what tints a whole image hardly does.

    Args:
        image: (height, width, channels), uint8 or levels of 255.
        source: The same shape.
    """
    by_pixel = _differences(image, source).mean(axis=2, dtype=np.float64).ravel()
    count = math.ceil(MOST_CHANGED * by_pixel.size)
    return float(np.partition(by_pixel, -count)[-count:].mean())


def image_variety(images: Sequence[Image] | NDArray[Any]) -> float:
    """Return how much images differ from each other, in levels of 255; 0 where all are the same.

    The root of the variance of each value over the images, averaged over pixels and channels.
    Of images of several shapes, so many rows and columns are compared as the smallest sides of all
    have pixels, at even distances in each image.

    Args:
        images: (images, height, width, channels), uint8 or levels of 255.

    Raises:
        ValueError: If there is none.
    """
    if len(images) == 0:
        raise ValueError("images are needed, to see how they differ")
    if any(image.shape != images[0].shape for image in images):
        height, width = (min(image.shape[side] for image in images) for side in (0, 1))
        images = [_at_even_distances(image, height, width) for image in images]
    kind = np.int64 if images[0].dtype == np.uint8 else np.float64
    first = images[0].astype(kind)  # what is taken off, so that equal images give 0 in float, too
    total = np.zeros(first.shape, kind)
    squares = np.zeros_like(total)
    for image in images:  # one by one: all at once take eight times their memory
        values = image.astype(kind) - first
        total += values
        squares += values**2
    variance = np.maximum(len(images) * squares - total**2, 0)  # below 0 by rounding, in float
    return math.sqrt(float(variance.mean())) / len(images)


def _at_even_distances(image: Image, height: int, width: int) -> Image:
    """Pick as many rows and columns of an image, each in the middle of its share of the image."""
    pairs = zip((height, width), image.shape[:2], strict=True)
    picked = [(2 * np.arange(new) + 1) * old // (2 * new) for new, old in pairs]
    return image[np.ix_(*picked)]


def _differences(image: Image, source: Image) -> NDArray[Any]:
    if image.shape[:-1] == source.shape[:-1] and image.shape != source.shape:
        counts = f"{image.shape[-1]} and {source.shape[-1]}"
        raise ValueError(f"images of {counts} channels cannot be compared pixel by pixel")
    if image.shape != source.shape:
        raise ValueError(f"image and source differ in shape: {image.shape} and {source.shape}")
    kind = np.int32 if image.dtype == source.dtype == np.uint8 else np.float64
    return np.abs(image.astype(kind) - source.astype(kind))


UNCHANGED = Metric(
    "unchanged_share",
    "unchanged",
    meaning="share of translations that are their source to within rounding",
    needs=("fake", "source"),
    by_image=each(is_unchanged),
    bounds=(0.0, 1.0),
    of_identity=(1.0, 0.0),
    is_shown=False,
    sees="levels",
)
CHANGE = Metric(
    "change",
    "change",
    meaning="from the source, of the 5 % of the pixels that change most",
    needs=("fake", "source"),
    by_image=each(strongest_change),
    bounds=(0.0, _LEVELS),
    of_identity=(0.0, 0.0),
    is_shown=False,
    sees="levels",
)
CHANGE_TRUTH = Metric(
    "change_truth",
    "change of the truth",
    needs=("truth", "source"),
    by_image=each(strongest_change),
    bounds=(0.0, _LEVELS),
    is_shown=False,
    sees="levels",
)
VARIETY = Metric(
    "variety",
    "variety",
    meaning="how much translations differ from each other",
    needs=("fake",),
    of_set=image_variety,
    bounds=(0.0, _LEVELS),
    is_shown=False,
    sees="levels",
)
