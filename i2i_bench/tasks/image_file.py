"""Read one image file of any origin, or refuse it with a reason."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from numpy import bool_
    from numpy.typing import NDArray
    from PIL import Image

AT_ONCE = 2**24  # bytes of a file that is read at once
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF")  # PIL starts programs for others
MINIMUM_SIZE = 4
INSIDE = 127  # of grey values 0 to 255, above which a pixel of a mask is inside
PLAIN_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")  # of PIL, for grey and RGB
_DEEP_MODES = ("I", "F")  # with their variants such as I;16


def read_image(path: Path, file: BinaryIO | None = None, *, is_plain: bool = False) -> Image.Image:
    """Read an image file as 8-bit RGB.

    Transparency is dropped and the EXIF orientation is not applied, as in the authors' loaders. Of
    an animation, the first frame is read.

    Args:
        path: Of the file.
        file: Its content, where that is not to be read from the path.
        is_plain: Whether what this would change is refused instead: transparency, other colours
            than grey and RGB, and animations.

    Raises:
        ValueError: If the file is damaged, no image, not of 8 bits, too small or too large.
    """
    with _open_image(path, file) as image:
        image.load()
        if is_plain and (loss := _loss_as_rgb(image)):
            raise _RefusedImageError(f"{path} {loss}; save it as plain RGB")
        return _as_rgb(image)


def read_image_size(path: Path) -> tuple[int, int]:
    """Read width and height in pixels from the header of an image that ``read_image`` may read.

    Raises:
        ValueError: If the header is damaged, or of an image that would be refused.
    """
    with _open_image(path) as image:
        return image.size


def read_mask(path: Path) -> NDArray[bool_]:
    """Read the mask of one object, (height, width): True where its grey value is above 127.

    Raises:
        ValueError: If the image cannot be read, has colours or transparent pixels, or is dark
            everywhere without being black, as one of the values 0 and 1.
    """
    import numpy as np

    with _open_image(path) as image:
        image.load()
        if loss := _loss_as_rgb(image):
            raise _RefusedImageError(f"{path} {loss}; save the mask as black and white")
        is_grey = image.mode in ("1", "L")  # as most masks are: no colours to compare
        pixels = np.asarray(image.convert("L") if is_grey else _as_rgb(image))
    grey = pixels if is_grey else pixels[..., 0]
    if not is_grey and (pixels != grey[..., None]).any():
        raise ValueError(
            f"{path} has colours, as a map of labels has; a mask is of one object, white inside "
            "and black outside"
        )
    if 0 < grey.max() <= INSIDE:
        raise ValueError(
            f"{path} is a mask without an inside: its brightest value is {grey.max()} of 255, and "
            f"inside is above {INSIDE}; save it as black and white"
        )
    return grey > INSIDE


@contextlib.contextmanager
def _open_image(path: Path, file: BinaryIO | None = None) -> Iterator[Image.Image]:
    """Open an image, checked by its header; raise ValueError for whatever goes wrong inside."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file or _content(path), formats=FORMATS) as image:
            _check_image(path, image)
            yield image
    except (_RefusedImageError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{path} is too large to be decoded safely; make it smaller") from error
    except UnidentifiedImageError as error:
        raise ValueError(
            f"{path} cannot be read as an image: its content is none of {', '.join(FORMATS)}"
        ) from error
    except Exception as error:  # on damaged files PIL's decoders raise almost anything
        reason = getattr(error, "strerror", None) or str(error).replace(str(path), "")
        reason = reason.replace("''", "").strip() or type(error).__name__
        raise ValueError(f"{path} cannot be read as an image: {reason}") from error


def _content(path: Path) -> BinaryIO | Path:
    """Return what PIL reads: the bytes, read in few system calls, or a large file's path."""
    status = path.stat()
    size = status.st_size
    if not stat.S_ISREG(status.st_mode):
        raise _RefusedImageError(f"{path} is not a file but a folder, a device or a pipe")
    if size > AT_ONCE:
        return path
    handle = os.open(path, os.O_RDONLY)
    try:
        content = os.read(handle, size)
        while len(content) < size and (more := os.read(handle, size - len(content))):
            content += more
        return io.BytesIO(content)
    finally:
        os.close(handle)


class _RefusedImageError(ValueError):
    """A file is refused, with the whole message."""


def _check_image(path: Path, image: Image.Image) -> None:
    """Refuse by the header what is too large, too small or not of 8 bits."""
    from PIL.Image import MAX_IMAGE_PIXELS

    width, height = image.size
    if MAX_IMAGE_PIXELS and width * height > MAX_IMAGE_PIXELS:
        raise _RefusedImageError(
            f"{path} of {width}x{height} pixels is too large to be decoded safely; make it smaller"
        )
    if min(width, height) < MINIMUM_SIZE:
        raise _RefusedImageError(
            f"{path} of {width}x{height} pixels is too small; each side needs {MINIMUM_SIZE} pixels"
        )
    if image.mode.startswith(_DEEP_MODES) or _is_deep(image):
        raise _RefusedImageError(
            f"{path} has 16-bit, 32-bit or floating pixels (mode {image.mode}); "
            "scale it to 8 bits a channel first"
        )


def _as_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded image to RGB, without its transparency."""
    image.info.pop("transparency", None)  # PIL warns of some kinds that convert drops anyway
    return image.convert("RGB")


def _loss_as_rgb(image: Image.Image) -> str:
    """Say what of an image would be lost or changed by reading it as RGB; "" if nothing."""
    if _is_transparent(image):
        return "has transparent pixels"
    if image.mode not in PLAIN_MODES:
        return f"has other colours than grey or RGB (mode {image.mode})"
    frames = getattr(image, "n_frames", 1)
    is_animated = frames > 1 and image.format != "MPO"  # a photo and its preview
    return f"is an animation of {frames} frames" if is_animated else ""


def _is_transparent(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    lowest, _ = image.convert("RGBA").getchannel("A").getextrema()
    return lowest != 255


def _is_deep(image: Image.Image) -> bool:
    """Tell whether PIL would cut 16 bits a channel to 8, from how it is about to decode."""
    arguments = [tile[3] for tile in getattr(image, "tile", [])]
    names = [a if isinstance(a, tuple) else (a,) for a in arguments]
    return any(isinstance(name, str) and ";16" in name for part in names for name in part)
