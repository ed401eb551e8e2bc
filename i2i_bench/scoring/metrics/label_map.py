"""How well label maps are translated: classes of pixels by the nearest colour of a palette.

No network judges. The palette is the colours of the true label maps. A task whose
maps are not exact, after a lossy file or a resize that mixes colours, has no value, and the reason.
Black, which Cityscapes and others give to what has no label, is left out where it is in the truth,
whatever the translation has there: such pixels would otherwise decide the values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from i2i_bench.metric import Deferred, Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Images = NDArray[np.uint8]
else:
    np = Deferred("numpy")

MOST_CLASSES = 64  # colours in the truth; photographs and lossy maps have more
UNLABELLED = (0, 0, 0)


def palette_of(truth: Images) -> Images:
    """Return the colours of true label maps, (classes, 3), without ``UNLABELLED``.

    Args:
        truth: uint8 (images, height, width, 3).

    Raises:
        ValueError: If they are not label maps: of more colours than classes, or of one only.
    """
    codes = np.unique(np.concatenate([np.unique(_codes(image)) for image in truth]))
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)
    classes = colours[(colours != UNLABELLED).any(axis=-1)]
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise ValueError(
            f"the true images have {len(classes)} colours besides black; label maps have "
            f"2 to {MOST_CLASSES}"
        )
    return classes


def confusion(fakes: Images, truth: Images, palette: Images) -> NDArray[np.int64]:
    """Count pixels by true and translated class, over all images; (classes, classes).

    A translated pixel is of the nearest colour by Euclidean distance, the first of equal ones; a
    true one that is ``UNLABELLED`` does not count.

    Args:
        fakes: uint8 (images, height, width, 3).
        truth: The same shape, of the colours of the palette.
        palette: uint8 (classes, 3).

    Raises:
        ValueError: If the shapes differ.
    """
    counts = np.zeros((len(palette), len(palette)), np.int64)
    for fake, true in zip(fakes, truth, strict=True):
        if fake.shape != true.shape:
            raise ValueError(f"translation {fake.shape} and true map {true.shape} differ in shape")
        counted = (true != UNLABELLED).any(axis=-1)
        rows, columns = (_nearest(image[counted], palette) for image in (true, fake))
        pairs = rows * len(palette) + columns
        counts += np.bincount(pairs, minlength=counts.size).reshape(counts.shape)
    return counts


def pixel_accuracy(fakes: Images, truth: Images) -> float:
    """Return the share of labelled pixels of all images that are of their true class.

    Args:
        fakes: uint8 (images, height, width, 3).
        truth: The same shape, label maps; so below.

    Raises:
        ValueError: If the truth is no label maps, or the shapes differ; so below.
    """
    counts = confusion(fakes, truth, palette_of(truth))
    return float(np.trace(counts) / counts.sum())


def class_accuracy(fakes: Images, truth: Images) -> float:
    """Return the mean over classes of the share of a class's pixels that are of it."""
    counts = confusion(fakes, truth, palette_of(truth))
    return float(np.mean(np.diag(counts) / counts.sum(axis=1)))


def mean_iou(fakes: Images, truth: Images) -> float:
    """Return the mean over classes of intersection over union, of one histogram of all images."""
    counts = confusion(fakes, truth, palette_of(truth))
    union = counts.sum(axis=0) + counts.sum(axis=1) - np.diag(counts)
    return float(np.mean(np.diag(counts) / union))


def _codes(images: Images) -> NDArray[np.int64]:
    """Give each colour as one number."""
    wide = images.astype(np.int64)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _nearest(pixels: Images, palette: Images) -> NDArray[np.int64]:
    """Give the class of each pixel, (pixels,); equal pixels are looked at once."""
    colours, places = np.unique(_codes(pixels), return_inverse=True)
    parts = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=-1)
    squares = ((parts[:, None] - palette.astype(np.int64)) ** 2).sum(axis=-1)
    return squares.argmin(axis=1)[places.ravel()]


def _row(key: str, title: str, function: Callable[..., float], place: int, meaning: str) -> Metric:
    return Metric(
        f"label_map_{key}",
        f"labels {title}",
        unit="%",
        digits=1,
        better="higher",
        scale=100,
        meaning=meaning,
        needs=("fake", "truth"),
        of_set=function,
        bounds=(0.0, 1.0),
        is_default=False,
        family="label-map",
        place=place,
    )


PIXEL_ACCURACY = _row(
    *("pixels", "pixels", pixel_accuracy, 60),
    "share of pixels whose nearest colour of the truth's palette is the true one, black left out",
)
CLASS_ACCURACY = _row("classes", "classes", class_accuracy, 61, "mean of that over classes")
MEAN_IOU = _row("iou", "IoU", mean_iou, 62, "mean intersection over union of classes")
