"""Read one image file of any origin, or refuse it with a reason."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from i2i_bench.tasks.pixel_format import RGB, PixelFormat, ValueRange
from i2i_bench.tasks.png_text import SIGNATURE, without_text
from i2i_bench.tasks.reading import AS_STORED, Reading

if TYPE_CHECKING:
    from numpy import bool_
    from numpy.typing import NDArray
    from PIL import Image

AT_ONCE = 2**24  # bytes of a file that is read at once
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF")  # PIL starts programs for others
MINIMUM_SIZE = 4
MOST_PIXELS = "I2I_BENCH_MAX_PIXELS"  # environment variable: of an image that is decoded
INSIDE = 127  # of grey values 0 to 255, above which a pixel of a mask is inside
PLAIN_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")  # of PIL, for grey and RGB
CLIPPED = "clipped"  # in ``info`` of an image: values beyond the range of its domain were
LARGEST_OF_8_BITS = 255
WHITE_IS_ZERO = 0  # of TIFF's photometric interpretation, which PIL heeds for 8 bits alone
_PHOTOMETRIC = 262  # its tag
_DEEP_MODES = ("I", "F")  # with their variants such as I;16


def read_image(
    path: Path,
    file: BinaryIO | None = None,
    *,
    is_plain: bool = False,
    pixels: PixelFormat = RGB,
    reading: Reading = AS_STORED,
) -> Image.Image:
    """Read an image file as what its domain consists of, by default 8-bit RGB.

    By default transparency is dropped and the EXIF orientation is not applied, as in the authors'
    loaders. Of an animation, the first frame is read.

    Args:
        path: Of the file.
        file: Its content, where that is not to be read from the path.
        is_plain: Whether what this would change is refused instead: transparency, other colours
            than grey and RGB, and animations.
        pixels: What the image is to consist of.
        reading: What is done to its pixels first.

    Returns:
        An image of PIL's mode RGB; or L if it is to be grey; or F if values have a range, to which
        they are clipped. Then ``info`` holds ``CLIPPED`` if any were.

    Raises:
        DeepGreyError: If the file has 16-bit grey values, and no range says what they mean.
        ValueError: If it is damaged, no image, of colours or a depth that would be lost, too small
            or too large.
    """
    with open_image_file(path, file) as image:
        _require_depth(path, image, pixels)
        image.load()
        is_deep = image.mode.startswith(_DEEP_MODES)
        if is_plain and not is_deep and (loss := _loss_as_rgb(image)):
            raise _RefusedImageError(f"{path} {loss}; save it as plain RGB")
        image = _applied(path, image, reading)
        if pixels.value_range:
            return _values_in(pixels.value_range, image if is_deep else _as_grey(path, image))
        return _as_rgb(image) if pixels.channels == RGB.channels else _as_grey(path, image)


def read_image_size(
    path: Path, file: BinaryIO | None = None, reading: Reading = AS_STORED
) -> tuple[int, int]:
    """Read width and height in pixels from the header of an image that ``read_image`` may read.

    Args:
        path: Of the file.
        file: Its content, where that is not to be read from the path.
        reading: What is done to its pixels first.

    Raises:
        ValueError: If the header is damaged, or of an image that would be refused.
    """
    with open_image_file(path, file) as image:
        try:
            return reading.size(image)
        except ValueError as error:
            raise _RefusedImageError(f"{path}: {error}") from None


def _applied(path: Path, image: Image.Image, reading: Reading) -> Image.Image:
    """Do to a loaded image what is stated, naming its file if that is not possible."""
    try:
        image = reading.apply(image)
    except ValueError as error:
        raise _RefusedImageError(f"{path}: {error}") from None
    if min(image.size) < MINIMUM_SIZE:
        raise _RefusedImageError(f"{path} is too small: its half has {image.size} pixels")
    return image


def read_image_format(path: Path, file: BinaryIO | None = None) -> str:
    """Read from the header in which of ``FORMATS`` an image is that ``read_image`` may read.

    Args:
        path: Of the file.
        file: Its content, where that is not to be read from the path.

    Raises:
        ValueError: If the header is damaged, or of an image that would be refused.
    """
    with open_image_file(path, file) as image:
        return image.format or ""


def read_mask(path: Path) -> NDArray[bool_]:
    """Read the mask of one object, (height, width): True where its grey value is above 127.

    Raises:
        ValueError: If the image cannot be read, has colours or transparent pixels, or is dark
            everywhere without being black, as one of the values 0 and 1.
    """
    import numpy as np

    with open_image_file(path) as image:
        require_8_bits(path, image)
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
def open_image_file(path: Path, file: BinaryIO | None = None) -> Iterator[Image.Image]:
    """Open an image, checked by its header; raise ValueError for whatever goes wrong inside."""
    from PIL import Image, UnidentifiedImageError

    try:
        _raise_limit()
        with Image.open(_content(path, file), formats=FORMATS) as image:
            _check_image(path, image)
            yield image
    except (_RefusedImageError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{path} {_too_large()}") from error
    except UnidentifiedImageError as error:
        raise ValueError(
            f"{path} cannot be read as an image: its content is none of {', '.join(FORMATS)}"
        ) from error
    except Exception as error:  # on damaged files PIL's decoders raise almost anything
        reason = getattr(error, "strerror", None) or str(error).replace(str(path), "")
        reason = reason.replace("''", "").strip() or type(error).__name__
        raise ValueError(f"{path} cannot be read as an image: {reason}") from error


def _content(path: Path, file: BinaryIO | None) -> BinaryIO | Path:
    """Return what PIL reads: the bytes, read in few system calls, or a large file's path."""
    if file is not None:
        return io.BytesIO(without_text(file.read()))
    status = path.stat()
    size = status.st_size
    if not stat.S_ISREG(status.st_mode):
        raise _RefusedImageError(f"{path} is not a file but a folder, a device or a pipe")
    handle = os.open(path, os.O_RDONLY)
    try:
        content = os.read(handle, min(size, AT_ONCE))
        if size > AT_ONCE and not content.startswith(SIGNATURE):
            return path
        while len(content) < size and (more := os.read(handle, size - len(content))):
            content += more
        return io.BytesIO(without_text(content))
    finally:
        os.close(handle)


def _raise_limit() -> None:
    """Have PIL decode as many pixels as the user allows."""
    from PIL import Image

    if allowed := os.environ.get(MOST_PIXELS, "").strip():
        if not allowed.isdecimal() or not int(allowed):
            raise _RefusedImageError(f"{MOST_PIXELS} is {allowed!r}; needed is a number of pixels")
        Image.MAX_IMAGE_PIXELS = int(allowed)


def _too_large() -> str:
    from PIL.Image import MAX_IMAGE_PIXELS

    return (
        f"is too large to be decoded safely, of more than {MAX_IMAGE_PIXELS} pixels; make it "
        f"smaller or, if you trust it, set the environment variable {MOST_PIXELS} to more"
    )


class _RefusedImageError(ValueError):
    """A file is refused, with the whole message."""


class DeepGreyError(_RefusedImageError):
    """A file has 16-bit grey values, and no range says what they mean."""


def _check_image(path: Path, image: Image.Image) -> None:
    """Refuse by the header what is too large or too small."""
    from PIL.Image import MAX_IMAGE_PIXELS

    width, height = image.size
    if MAX_IMAGE_PIXELS and width * height > MAX_IMAGE_PIXELS:
        raise _RefusedImageError(f"{path} of {width}x{height} pixels {_too_large()}")
    if min(width, height) < MINIMUM_SIZE:
        raise _RefusedImageError(
            f"{path} of {width}x{height} pixels is too small; each side needs {MINIMUM_SIZE} pixels"
        )


def require_8_bits(path: Path, image: Image.Image) -> None:
    """Refuse by the header what PIL would cut to 8 bits.

    Raises:
        DeepGreyError: If it is 16-bit grey.
        ValueError: If it is deep in another way.
    """
    if not (image.mode.startswith(_DEEP_MODES) or _is_deep(image)):
        return
    kind = DeepGreyError if is_16_bit_grey(image) else _RefusedImageError
    raise kind(
        f"{path} has 16-bit, 32-bit or floating pixels (mode {image.mode}); "
        "scale it to 8 bits a channel first"
    )


def is_16_bit_grey(image: Image.Image) -> bool:
    """Tell by the header whether an image has unsigned 16-bit grey values."""
    if image.mode.startswith("I;16"):
        return True
    names = _decoders(image)
    return image.mode == "I" and any(n.startswith("I;16") and "S" not in n for n in names)


def _require_depth(path: Path, image: Image.Image, pixels: PixelFormat) -> None:
    """Refuse by the header what its domain does not consist of."""
    if pixels.value_range is None:
        require_8_bits(path, image)
    elif is_16_bit_grey(image):
        _require_one_scale(path, image)
    elif image.mode.startswith(_DEEP_MODES) or _is_deep(image):
        raise _RefusedImageError(
            f"{path} has signed, 32-bit, floating or coloured deep pixels (mode {image.mode}); "
            "16-bit grey of values from 0 up is needed: add a constant, and save it so"
        )
    elif pixels.value_range[1] > LARGEST_OF_8_BITS:
        raise _RefusedImageError(
            f"{path} has 8 bits a pixel, and the values of its domain go up to "
            f"{pixels.value_range[1]}; save it in 16 bits, in the scale of the others"
        )


def _values_in(value_range: ValueRange, grey: Image.Image) -> Image.Image:
    """Give grey values in float, clipped to a range, which is noted."""
    import numpy as np
    from PIL import Image as PILImage

    values, (low, high) = np.asarray(grey), value_range
    found = PILImage.fromarray(values.clip(low, high).astype(np.float32))
    if values.min() < low or values.max() > high:
        found.info[CLIPPED] = True
    return found


def _require_one_scale(path: Path, image: Image.Image) -> None:
    """Refuse a TIFF of several pages, of which one would be read, and one whose 0 is white."""
    pages = getattr(image, "n_frames", 1)
    if pages > 1:
        raise _RefusedImageError(f"{path} is a stack of {pages} pages; save each as a file")
    if image.format == "TIFF" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == WHITE_IS_ZERO:
        raise _RefusedImageError(f"{path} says that 0 is white; save it with 0 as black")


def _as_grey(path: Path, image: Image.Image) -> Image.Image:
    """Convert a loaded image to grey, without its transparency; refuse colours."""
    if image.mode in ("1", "L"):
        image.info.pop("transparency", None)
        return image.convert("L")
    colours = _as_rgb(image).split()
    if any(each.tobytes() != colours[0].tobytes() for each in colours[1:]):
        raise _RefusedImageError(
            f"{path} has colours, and the images of its domain are of 1 channel; save it as grey, "
            "or state 3 channels"
        )
    return colours[0]


def _as_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded image to RGB, without its transparency."""
    image.info.pop("transparency", None)  # PIL warns of some kinds that convert drops anyway
    return image.convert("RGB")


def _loss_as_rgb(image: Image.Image) -> str:
    """Say what of an image would be lost or changed by reading it as RGB; "" if nothing."""
    if is_transparent(image):
        return "has transparent pixels"
    if image.mode not in PLAIN_MODES:
        return f"has other colours than grey or RGB (mode {image.mode})"
    frames = getattr(image, "n_frames", 1)
    is_animated = frames > 1 and image.format != "MPO"  # a photo and its preview
    return f"is an animation of {frames} frames" if is_animated else ""


def is_transparent(image: Image.Image) -> bool:
    """Tell whether any pixel of an image is transparent; only one with alpha is decoded."""
    if not image.has_transparency_data:
        return False
    lowest, _ = image.convert("RGBA").getchannel("A").getextrema()
    return lowest != 255


def _is_deep(image: Image.Image) -> bool:
    """Tell whether PIL would cut 16 bits a channel to 8, from how it is about to decode."""
    return any(";16" in name for name in _decoders(image))


def _decoders(image: Image.Image) -> list[str]:
    """Name the layouts from which PIL is about to decode an image that is not loaded."""
    arguments = [tile[3] for tile in getattr(image, "tile", [])]
    parts = [a if isinstance(a, tuple) else (a,) for a in arguments]
    return [name for part in parts for name in part if isinstance(name, str)]
