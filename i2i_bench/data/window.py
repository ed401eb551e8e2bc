"""Images of any channels and depth, as people, networks of metrics and formulas see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from i2i_bench.data.mixed import Images, MixedImages
from i2i_bench.tasks.pixel_format import RGB, PixelFormat

LEVELS = 255.0  # of 8 bits


def windowed(images: Images, pixels: PixelFormat) -> Any:
    """Return images as 8-bit RGB: the range of values becomes 0 to 255, and grey is repeated.

    Args:
        images: (..., height, width, channels), of one or of several shapes.
        pixels: What they consist of; 8-bit RGB is returned as it is.
    """
    if pixels == RGB:
        return images
    if isinstance(images, MixedImages):
        return MixedImages(windowed(each, pixels) for each in images)
    if pixels.value_range:
        values = images.astype(np.float32) - np.float32(pixels.low)
        images = np.rint(values * np.float32(LEVELS / pixels.span)).astype(np.uint8)
    return images if pixels.channels == RGB.channels else images.repeat(RGB.channels, axis=-1)


class Levels(Sequence[NDArray[Any]]):
    """Images in levels of 255, without loss, in float64: each is made when it is asked for.

    A value v of a range from low to high is 255 v / (high - low). So formulas for 8-bit images hold
    for others: their peak of 255 is the extent of the range.

    Args:
        images: (images, ..., height, width, channels), of a range of values.
        pixels: What they consist of.
    """

    def __init__(self, images: Images, pixels: PixelFormat) -> None:
        self._images, self._pixels = images, pixels

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> Any:
        """Return one image in levels."""
        return self._images[index].astype(np.float64) * (LEVELS / self._pixels.span)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Give one image after the other."""
        return (self[index] for index in range(len(self)))


def levels(images: Images, pixels: PixelFormat) -> Images | Levels:
    """Return images in levels of 255, without loss; those of 8-bit RGB as they are."""
    return images if pixels == RGB else Levels(images, pixels)
