"""What of an image file is not seen in its pixels as they are read by default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from i2i_bench.tasks.image_file import is_transparent, open_image_file
from i2i_bench.tasks.reading import orientation_of


@dataclass(frozen=True)
class ImageTraits:
    """What an image has beside the pixels of its first frame.

    Attributes:
        orientation: Of EXIF, which decoding leaves to others; 1 if it is upright.
        num_frames: Frames of an animation, or pages.
        is_transparent: Whether any pixel is.
    """

    orientation: int = 1
    num_frames: int = 1
    is_transparent: bool = False


def read_image_traits(path: Path) -> ImageTraits:
    """Read the traits of an image file; only one with transparency is decoded.

    Raises:
        ValueError: If it cannot be read.
    """
    with open_image_file(path) as image:
        orientation, frames = orientation_of(image), getattr(image, "n_frames", 1)
        is_photo = image.format == "MPO"  # and its preview
        return ImageTraits(orientation, 1 if is_photo else frames, is_transparent(image))
