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
from i2i_bench.data.mixed import Images, gathered
from i2i_bench.model import ResizeRule
from i2i_bench.records.record import Score
from i2i_bench.system.prefetch import images_per_part, prefetch
from i2i_bench.system.progress import Progress
from i2i_bench.tasks.pixel_format import RGB, PixelFormat
from i2i_bench.tasks.task import TaskImage

Item = TypeVar("Item")
LARGEST = 2**27  # pixels of a resized image, before it is cut


def decode_images(images: Sequence[TaskImage], rule: ResizeRule) -> Images:
    """Decode images and resize them with PIL; an image that has the size already is not resampled.

    Args:
        images: What to decode.
        rule: How they come to their size.

    Returns:
        (images, size, size, channels), uint8, or uint16 where values have a range, in which they
        lie; RGB if there is no image. Whole images are (images, height, width, channels), if they
        are of one shape, or each of its own.

    Raises:
        ValueError: If an image cannot be decoded, naming it.
    """
    part = images_per_part(rule.size, len(images))
    if rule.is_whole and images:
        whole = list(prefetch(lambda each: _pixels(each, rule), images, part_size=part))
        warn_of_clipped(images)
        return gathered(whole)
    pixels = images[0].pixels if images else RGB
    decoded = np.empty((len(images), rule.size, rule.size, pixels.channels), pixels.dtype)

    def store(index: int) -> None:
        decoded[index] = _pixels(images[index], rule)

    for _ in prefetch(store, range(len(images)), part_size=part):
        pass  # it is in place
    warn_of_clipped(images)
    return decoded


def _pixels(image: TaskImage, rule: ResizeRule) -> NDArray[Any]:
    """Decode an image, (height, width, 3), in the layout of files."""
    return np.ascontiguousarray(decode_one(image, rule).permute(1, 2, 0).numpy())


def decode_one(image: TaskImage, rule: ResizeRule) -> Tensor:
    """Decode an image as ``decode_images`` does, (channels, height, width).

    Raises:
        ValueError: If it cannot be decoded, naming it.
    """
    with naming(image):
        return to_tensor(cut_image(resize_image(read_noting(image), rule), rule), image.pixels)


def recorded_rule(settings: Mapping[str, Any], score: Score) -> ResizeRule:
    """Give how test images were resized for a score.

    Args:
        settings: Of the run, as they are in its record; empty for images of another program, which
            are compared with images resized by default.
        score: Of the run.
    """
    known = {key: settings[key] for key in ("resampling", "resize") if key in settings}
    if score.whole is None:
        return ResizeRule(score.image_size, **known)
    size, multiple = score.whole.short_side or score.image_size, score.whole.multiple
    known["resize"] = "whole" if score.whole.short_side else "own"
    return ResizeRule(size, **known, multiple=multiple)


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
    (width, height), target = image.size, resized_size(image.size, rule)
    if target == image.size:
        return image
    if target[0] * target[1] > LARGEST:
        raise ValueError(
            f"its {width}x{height} pixels become {target[0]}x{target[1]}, too large; "
            "crop the image first"
        )
    return image.resize(target, Image.Resampling[rule.resampling.upper()])


def resized_size(size: tuple[int, int], rule: ResizeRule) -> tuple[int, int]:
    """Give width and height of an image of this width and height once it is resized, uncut."""
    width, height = size
    if rule.resize == "own":
        return size
    if rule.resize == "square":
        return rule.size, rule.size
    short = min(size)  # the long side is truncated, as torchvision does
    return rule.size * width // short, rule.size * height // short


def cut_size(size: tuple[int, int], rule: ResizeRule) -> tuple[int, int]:
    """Give width and height of an image of this width and height once it is resized and cut."""
    if not rule.is_whole:
        return rule.size, rule.size
    width, height = (side - side % rule.multiple for side in resized_size(size, rule))
    return width, height


def cut_image(image: Image.Image, rule: ResizeRule) -> Image.Image:
    """Cut a resized image to a square, or trim its sides if it is to stay whole.

    Raises:
        ValueError: If nothing is left of it.
    """
    if not rule.is_whole:
        return crop_centre(image, rule.size)
    sides = [side - side % rule.multiple for side in image.size]
    if not all(sides):
        raise ValueError(
            f"its {image.width}x{image.height} pixels are too few: sides must be multiples of "
            f"{rule.multiple}"
        )
    left, top = ((old - new) // 2 for old, new in zip(image.size, sides, strict=True))
    return image.crop((left, top, left + sides[0], top + sides[1]))


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
