"""Tell by a picture of the input which test image a translation is of, where no name says so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_bench.tasks.task import TaskImage

SIDE = 16  # pixels of the thumbnails that are compared
# Levels of 255 by which thumbnails of one picture may differ, on average over pixels. Of 200
# photographs of cats and dogs and 200 pictures of facades, those saved as JPEG of quality 75 at
# 64 px differ from the originals by at most 3.4 (photographs) and 12.0 (label maps), at 256 px and
# quality 50 by 1.3 and 4.3; two different ones of a set by 17.8 or more.
ALIKE = 12.0

Thumbnails = NDArray[np.float32]  # (pictures, values)


def match_inputs(pictures: Sequence[Image.Image], sources: Sequence[TaskImage]) -> list[int | None]:
    """Give, for each picture of an input, the index of the source that it shows.

    Args:
        pictures: Inputs as another program saved them, at any size.
        sources: Images of the task.

    Returns:
        The nearest source; None where none is alike.
    """
    known = _thumbnails([source.read() for source in sources])
    found: list[int | None] = []
    for shown in _thumbnails(pictures):
        distances = np.abs(known - shown).mean(1)
        nearest = int(distances.argmin())
        found.append(nearest if distances[nearest] <= ALIKE else None)
    return found


def _thumbnails(pictures: Sequence[Image.Image]) -> Thumbnails:
    """Shrink pictures to squares of a few pixels; (pictures, values)."""
    small = [
        np.asarray(each.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
        for each in pictures
    ]
    return np.stack(small).reshape(len(small), -1)
