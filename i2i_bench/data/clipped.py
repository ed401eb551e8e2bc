"""Images with values beyond the range of their domain: clipped, counted, and said once."""

from __future__ import annotations

import logging
import weakref
from collections import Counter
from collections.abc import Sequence

from PIL import Image

from i2i_bench.tasks.image_file import CLIPPED
from i2i_bench.tasks.task import TaskImage

logger = logging.getLogger(__name__)

_found: weakref.WeakKeyDictionary[TaskImage, bool] = weakref.WeakKeyDictionary()  # → is it said


def read_noting(image: TaskImage) -> Image.Image:
    """Read an image, and note whether values of it were clipped."""
    found = image.read()
    if found.info.get(CLIPPED):
        _found.setdefault(image, False)
    return found


def warn_of_clipped(images: Sequence[TaskImage]) -> None:
    """Say how many of some images that were read had values beyond their range, once of each."""
    new = [image for image in images if _found.get(image) is False]
    for pixels, count in Counter(image.pixels for image in new).items():
        logger.warning(
            "%d of %d images have values beyond their range (%s), which are clipped to it, such as "
            "%s; task.toml states the range",
            count,
            len(images),
            pixels,
            next(image.name for image in new if image.pixels == pixels),
        )
    _found.update(dict.fromkeys(new, True))
