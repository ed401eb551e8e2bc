"""Several outputs of each image: where they are kept, and what stands in their place."""

from __future__ import annotations

import itertools
import math
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from i2i_bench.data.mixed import Images, MixedImages

IN_MEMORY = 2**30  # bytes; more lies in a file that goes with the process
REAL_SEED = 0


class RandomImages:
    """Random images of a set in the place of outputs of one source, different ones each time.

    Any two of them are a random pair, whose mean distance is a bound of diversity.

    Args:
        images: uint8 (images, height, width, 3).
        num_sources: How many draws there are.
        count: Images of a draw.
    """

    def __init__(self, images: Images, num_sources: int, count: int = 1) -> None:
        self.images, self._num_sources, self._count = images, num_sources, count

    def __len__(self) -> int:
        return self._num_sources

    def __iter__(self) -> Iterator[Images]:
        """Give one draw after the other."""
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> Images:
        """Return a draw, (count, height, width, 3)."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        order = np.random.RandomState([REAL_SEED, index]).permutation(len(self.images))
        return self.images[order[: self._count]]

    def first(self, count: int) -> RandomImages:
        """Return the same with as many images a draw.

        Raises:
            ValueError: If there are fewer.
        """
        if count > len(self.images):
            raise ValueError(f"{count} different real images are needed, not {len(self.images)}")
        return RandomImages(self.images, self._num_sources, count)


def first_outputs(outputs: Any, count: int) -> Any:
    """Return the first outputs of each image.

    Args:
        outputs: An array (images, outputs, ...), or ``RandomImages``; a reason stays as it is.
        count: How many.

    Raises:
        ValueError: If there are fewer.
    """
    if isinstance(outputs, str):
        return outputs
    if isinstance(outputs, RandomImages):
        return outputs.first(count)
    if len(outputs) and len(outputs[0]) < count:
        raise ValueError(f"{count} outputs of each image are needed, not {len(outputs[0])}")
    if isinstance(outputs, np.ndarray):
        return outputs[:, :count]
    return MixedImages(each[:count] for each in outputs)


def repeated_outputs(images: Images, count: int) -> Images:
    """Return each image in the place of so many outputs, without copies."""
    if isinstance(images, np.ndarray):
        return np.broadcast_to(images[:, None], (len(images), count, *images.shape[1:]))
    return MixedImages(np.broadcast_to(image, (count, *image.shape)) for image in images)


def room_for_outputs(images: Images, count: int) -> Images:
    """Return room for outputs of each image, (images, count, ...), as ``empty_outputs``.

    Raises:
        ValueError: If there is no space for it.
    """
    if isinstance(images, np.ndarray):
        return empty_outputs((len(images), count, *images.shape[1:]), str(images.dtype))
    ends = list(itertools.accumulate((count * image.size for image in images), initial=0))
    whole = empty_outputs((ends[-1],), str(images.dtype))
    parts = zip(itertools.pairwise(ends), images, strict=True)
    return MixedImages(whole[a:b].reshape(count, *image.shape) for (a, b), image in parts)


def empty_outputs(shape: tuple[int, ...], dtype: str = "uint8") -> NDArray[Any]:
    """Return an array for outputs, which lies on disk where it is large.

    Raises:
        ValueError: If there is no space for it.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= IN_MEMORY:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:  # what is mapped outlives it
        try:
            os.posix_fallocate(file.fileno(), 0, size)  # else a full disk ends the process later
        except OSError as error:
            raise ValueError(
                f"{size / 2**30:.0f} GiB of outputs do not fit into {tempfile.gettempdir()}: "
                f"{error.strerror}; TMPDIR names another folder"
            ) from None
        return np.memmap(file, dtype, "r+", shape=shape)
