"""From image files to tensors: decoding, resizing, and the range of values."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from i2i_bench.data.clipped import read_noting, warn_of_clipped
from i2i_bench.model import ResizeRule
from i2i_bench.system.prefetch import images_per_part, prefetch
from i2i_bench.system.progress import Progress
from i2i_bench.tasks.pixel_format import RGB, PixelFormat
from i2i_bench.tasks.task import TaskImage

Images = NDArray[Any]  # (images, height, width, channels): uint8, or uint16 of a range of values
Item = TypeVar("Item")
LARGEST = 2**27  # pixels of a resized image, before it is cut


def decode_images(images: Sequence[TaskImage], rule: ResizeRule) -> Images:
    """Decode images and resize them with PIL; an image that has the size already is not resampled.

    Args:
        images: What to decode.
        rule: How they come to their size; where the aspect ratio is kept, the centre is cropped.

    Returns:
        (images, size, size, channels), uint8, or uint16 where values have a range, in which they
        lie; RGB if there is no image.

    Raises:
        ValueError: If an image cannot be decoded, naming it.
    """
    pixels = images[0].pixels if images else RGB
    decoded = np.empty((len(images), rule.size, rule.size, pixels.channels), pixels.dtype)

    def store(index: int) -> None:
        decoded[index] = decode_one(images[index], rule).permute(1, 2, 0).numpy()

    for _ in prefetch(store, range(len(images)), part_size=images_per_part(rule.size, len(images))):
        pass  # it is in place
    warn_of_clipped(images)
    return decoded


def decode_one(image: TaskImage, rule: ResizeRule) -> Tensor:
    """Decode an image as ``decode_images`` does, (channels, size, size).

    Raises:
        ValueError: If it cannot be decoded, naming it.
    """
    with naming(image):
        resized = crop_centre(resize_image(read_noting(image), rule), rule.size)
        return to_tensor(resized, image.pixels)


def recorded_rule(settings: Mapping[str, Any], size: int | None = None) -> ResizeRule:
    """Give how test images were resized in a run, from its settings as they are in its record.

    Args:
        settings: Empty for images of another program, which are compared with images resized by
            default.
        size: Side in pixels; by default that of the run.
    """
    known = {key: settings[key] for key in ("resampling", "resize") if key in settings}
    return ResizeRule(size or settings["crop_size"], **known)


@contextlib.contextmanager
def naming(image: TaskImage) -> Iterator[None]:
    """Add the name of an image to the error that it raises."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, ValueError) and image.name in str(error):
            raise
        raise ValueError(f"cannot decode image {image.name}: {error}") from error


def counted(results: Iterable[Item], total: int, progress: Progress | None) -> Iterator[Item]:
    """Yield results, and report progress after each."""
    for done, result in enumerate(results, start=1):
        if progress is not None:
            progress(done, total)
        yield result


def resize_image(image: Image.Image, rule: ResizeRule) -> Image.Image:
    """Resize an image as a rule says, before any crop.

    Raises:
        ValueError: If it becomes larger than ``LARGEST`` pixels.
    """
    (width, height), size = image.size, rule.size
    if rule.resize == "square":
        target = (size, size)
    else:  # the long side is truncated, as torchvision does
        short = min(width, height)
        target = (size * width // short, size * height // short)
    if target == image.size:
        return image
    if target[0] * target[1] > LARGEST:
        raise ValueError(
            f"its {width}x{height} pixels become {target[0]}x{target[1]}, too large; "
            "crop the image first"
        )
    return image.resize(target, Image.Resampling[rule.resampling.upper()])


def crop_centre(image: Image.Image, size: int) -> Image.Image:
    """Crop the central square of this side, rounding as torchvision does."""
    if image.size == (size, size):
        return image
    left, top = (round((side - size) / 2) for side in image.size)
    return image.crop((left, top, left + size, top + size))


def to_tensor(image: Image.Image, pixels: PixelFormat = RGB) -> Tensor:
    """Turn an image into (channels, height, width), uint8, or uint16 where values have a range.

    What resizing made of such values is rounded, and clipped to the range.
    """
    values = np.array(image)
    if pixels.value_range:
        values = values.clip(*pixels.value_range).round().astype(pixels.dtype)
    return torch.from_numpy(values[None] if values.ndim == 2 else values.transpose(2, 0, 1))


def channels_first(images: Images) -> Tensor:
    """Copy images (images, height, width, channels) to a tensor (images, channels, height, width).

    Test images are translated in this layout, contiguous, as the last bits of what some networks
    make depend on it.
    """
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def channels_last(images: Tensor) -> Images:
    """Turn (images, channels, height, width) into arrays (images, height, width, channels)."""
    return np.ascontiguousarray(images.cpu().permute(0, 2, 3, 1).numpy())


def to_float(images: Tensor, pixels: PixelFormat = RGB) -> Tensor:
    """Map pixels to [-1, 1], those of 8 bits as torchvision's ToTensor and Normalize to the bit.

    The result has torch's default type, float32 unless a caller sets another.
    """
    return scale_in_place(images.to(torch.get_default_dtype()), pixels)


def scale_in_place(values: Tensor, pixels: PixelFormat = RGB) -> Tensor:
    """Map pixels in float, of 8 bits or in their range, to [-1, 1], in place."""
    if pixels.low:
        values.sub_(pixels.low)
    # CUDA multiplies by the reciprocal of a Python number, which is another result than division.
    scale = torch.full((), float(pixels.span), device=values.device)
    return values.div_(scale).sub_(0.5).mul_(2)  # as exact as a division by 0.5, and faster


def to_uint8(images: Tensor) -> Tensor:
    """Map [-1, 1] to uint8, clipped and rounded."""
    return ((images + 1) * 127.5).clamp(0, 255).round().to(torch.uint8)


def to_pixels(images: Tensor, pixels: PixelFormat) -> Tensor:
    """Map [-1, 1] to pixels, clipped and rounded: uint8, or uint16 where values have a range."""
    if pixels.value_range is None:
        return to_uint8(images)
    values = (images.float() + 1) * (pixels.span / 2) + pixels.low
    return values.clamp(*pixels.value_range).round().to(torch.uint16)


def to_rgb(images: Tensor) -> Tensor:
    """Map [-1, 1] to what people see, uint8 (images, 3, height, width); grey is repeated."""
    seen = to_uint8(images)
    return seen.expand(-1, 3, -1, -1) if seen.shape[1] == 1 else seen
