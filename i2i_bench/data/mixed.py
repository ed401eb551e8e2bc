"""Images of several shapes, in the place of one array of all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

MOST_PIXELS = 2**23  # of a batch: eight images of 1,024 px


class MixedImages(Sequence[NDArray[Any]]):
    """Arrays of several shapes, one an image, which stand for one array of all images.

    Like such an array it is indexed, cut by slices or lists of rows, and written to by slices; what
    it gives of images of one shape is an array. It has no ``shape``: each image has its own.

    Args:
        parts: Of each image its pixels (height, width, channels), or whatever else it has.
    """

    def __init__(self, parts: Iterable[NDArray[Any]]) -> None:
        self._parts = list(parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter(self._parts)

    def __getitem__(self, index: Any) -> Any:
        """Return one image, or those of a slice or of some rows, as ``gathered``."""
        if isinstance(index, int | np.integer):
            return self._parts[index]
        rows = range(len(self))[index] if isinstance(index, slice) else index
        return gathered([self._parts[row] for row in rows])

    def __setitem__(self, rows: slice, images: Iterable[NDArray[Any]]) -> None:
        for part, image in zip(self._parts[rows], images, strict=True):
            part[...] = image

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return self._parts[0].dtype

    def astype(self, dtype: DTypeLike) -> MixedImages:
        """Return the images in another type."""
        return MixedImages(part.astype(dtype) for part in self._parts)

    def round(self) -> MixedImages:
        """Return the images with each value rounded."""
        return MixedImages(part.round() for part in self._parts)


Images = NDArray[Any] | MixedImages  # (images, height, width, channels): uint8, or uint16


def gathered(parts: Sequence[NDArray[Any]]) -> Images:
    """Return arrays of single images as one array of all, if they are of one shape."""
    is_one = len({part.shape for part in parts}) == 1
    return np.stack(parts) if is_one else MixedImages(parts)


def joined(batches: Sequence[Images]) -> Images:
    """Return images of several batches as one array of all, if they are of one shape."""
    if len({batch.shape[1:] if isinstance(batch, np.ndarray) else None for batch in batches}) == 1:
        return np.concatenate(batches)
    return MixedImages(image for batch in batches for image in batch)


def blank_like(images: Images, channels: int, dtype: DTypeLike) -> Images:
    """Return room for images of the same heights and widths, (height, width, channels) each."""
    if isinstance(images, np.ndarray):
        return np.empty((*images.shape[:3], channels), dtype)
    return MixedImages(np.empty((*image.shape[:2], channels), dtype) for image in images)


def runs_of_shape(images: Images, most: int) -> Iterator[slice]:
    """Cut images into consecutive ones of one shape, at most so many or ``MOST_PIXELS``."""
    start = 0
    for stop in range(1, len(images) + 1):
        is_last = stop == len(images) or stop - start == fitting(images[start].shape[:2], most)
        if is_last or images[stop].shape != images[start].shape:
            yield slice(start, stop)
            start = stop


def fitting(size: Sequence[int], most: int) -> int:
    """Give how many images of this height and width a batch has, at most ``most``."""
    return max(1, min(most, MOST_PIXELS // (size[0] * size[1])))


def shortest_side(images: Images) -> int:
    """Return the shortest side in pixels of all images (height, width, ...)."""
    if isinstance(images, np.ndarray):
        return min(images.shape[1:3])
    return min(min(image.shape[:2]) for image in images)
