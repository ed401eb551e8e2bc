"""Channels-last kernels: instance normalisation and reflection padding.

PyTorch has contiguous kernels only for these layers, while convolutions on tensor cores work
channels-last: without kernels of our own, most of a step on a GPU converts between the two layouts.
Written in Triton, which comes with PyTorch for CUDA. Sums are in float32, whatever the type of the
images, and in a fixed order, so that two runs give the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

TILE = 2048  # values of a tile: more would take registers from others
CHANNELS = 64  # of a tile, at most
FEW_CHANNELS = 16  # of a tile that has all parts of an image
MOST_PARTS = 128  # that the pixels of an image are divided into, for its sums
PROGRAMS = 2048  # that keep a device busy
TYPES = (torch.float32, torch.bfloat16, torch.float16)


@triton.jit
def _normal(x, places, inside, mean, scale):
    """Load a tile and normalise it."""
    tile = tl.load(x + places, mask=inside, other=0.0).to(tl.float32)
    return (tile - mean[None, :]) * scale[None, :]


@triton.jit
def _before_activation(gradient, places, inside, normal, slope):
    """Load a tile of gradients and take them back through the activation."""
    given = tl.load(gradient + places, mask=inside, other=0.0).to(tl.float32)
    return tl.where(normal > 0, given, given * slope)


@triton.jit
def _moments_of_parts(
    x,
    means,
    squares,
    num_pixels,
    num_channels,
    part,
    tile_pixels: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """Give mean and sum of squared deviations of every channel of a part of an image.

    A place in the tile has moments of its own (Welford's), which are merged at the end.
    """
    channels = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    sample = tl.program_id(2).to(tl.int64)
    start = tl.program_id(0) * part
    end = tl.minimum(start + part, num_pixels)
    mean = tl.zeros([tile_pixels, tile_channels], dtype=tl.float32)
    square = tl.zeros([tile_pixels, tile_channels], dtype=tl.float32)
    count = tl.zeros([tile_pixels], dtype=tl.float32)
    number = 0.0
    x += sample * num_pixels * num_channels
    for first in range(start, end, tile_pixels):
        pixels = first + tl.arange(0, tile_pixels)
        inside = (pixels < end)[:, None] & (channels < num_channels)[None, :]
        places = pixels[:, None] * num_channels + channels[None, :]
        tile = tl.load(x + places, mask=inside, other=0.0).to(tl.float32)
        number += 1.0
        count += tl.where(pixels < end, 1.0, 0.0)
        step = tl.where(inside, tile - mean, 0.0)
        mean += step * (1.0 / number)
        square += step * (tile - mean)
    whole = tl.sum(mean * count[:, None], axis=0) / (end - start)
    away = mean - whole[None, :]
    total = tl.sum(square + away * away * count[:, None], axis=0)
    place = (sample * tl.num_programs(0) + tl.program_id(0)) * num_channels + channels
    tl.store(means + place, whole, mask=channels < num_channels)
    tl.store(squares + place, total, mask=channels < num_channels)


@triton.jit
def _moments(
    means,
    squares,
    mean,
    scale,
    num_pixels,
    num_channels,
    part,
    num_parts,
    epsilon,
    tile_parts: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """Merge the moments of parts: give mean and reciprocal deviation of every channel."""
    channels = tl.program_id(0) * tile_channels + tl.arange(0, tile_channels)
    sample = tl.program_id(1).to(tl.int64)
    parts = tl.arange(0, tile_parts)
    inside = (parts < num_parts)[:, None] & (channels < num_channels)[None, :]
    places = (sample * num_parts + parts[:, None]) * num_channels + channels[None, :]
    count = tl.maximum(tl.minimum(num_pixels - parts * part, part), 0).to(tl.float32)[:, None]
    of_part = tl.load(means + places, mask=inside, other=0.0)
    whole = tl.sum(of_part * count, axis=0) / num_pixels
    away = of_part - whole[None, :]
    square = tl.load(squares + places, mask=inside, other=0.0) + count * away * away
    variance = tl.sum(tl.where(inside, square, 0.0), axis=0) / num_pixels
    place = sample * num_channels + channels
    tl.store(mean + place, whole, mask=channels < num_channels)
    tl.store(scale + place, 1.0 / tl.sqrt(variance + epsilon), mask=channels < num_channels)


@triton.jit
def _normalise(
    x,
    mean,
    scale,
    y,
    num_pixels,
    num_channels,
    slope,
    tile_pixels: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """Normalise, then multiply what is negative by the slope."""
    channels = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * tile_pixels + tl.arange(0, tile_pixels)
    is_channel = channels < num_channels
    inside = (pixels < num_pixels)[:, None] & is_channel[None, :]
    places = pixels[:, None] * num_channels + channels[None, :]
    of_channel = tl.load(mean + sample * num_channels + channels, mask=is_channel, other=0.0)
    by_channel = tl.load(scale + sample * num_channels + channels, mask=is_channel, other=0.0)
    x += sample * num_pixels * num_channels
    y += sample * num_pixels * num_channels
    normal = _normal(x, places, inside, of_channel, by_channel)
    tl.store(y + places, tl.where(normal > 0, normal, normal * slope), mask=inside)


@triton.jit
def _sums_of_parts(
    x,
    gradient,
    mean,
    scale,
    sums,
    num_pixels,
    num_channels,
    part,
    slope,
    tile_pixels: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """Sum the gradients of a part of an image, and their products with what was normalised."""
    channels = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    sample = tl.program_id(2).to(tl.int64)
    start = tl.program_id(0) * part
    end = tl.minimum(start + part, num_pixels)
    is_channel = channels < num_channels
    of_channel = tl.load(mean + sample * num_channels + channels, mask=is_channel, other=0.0)
    by_channel = tl.load(scale + sample * num_channels + channels, mask=is_channel, other=0.0)
    total = tl.zeros([tile_pixels, tile_channels], dtype=tl.float32)
    product = tl.zeros([tile_pixels, tile_channels], dtype=tl.float32)
    x += sample * num_pixels * num_channels
    gradient += sample * num_pixels * num_channels
    for first in range(start, end, tile_pixels):
        pixels = first + tl.arange(0, tile_pixels)
        inside = (pixels < end)[:, None] & is_channel[None, :]
        places = pixels[:, None] * num_channels + channels[None, :]
        normal = _normal(x, places, inside, of_channel, by_channel)
        given = _before_activation(gradient, places, inside, normal, slope)
        total += given
        product += given * normal
    place = (sample * tl.num_programs(0) + tl.program_id(0)) * 2 * num_channels + channels
    tl.store(sums + place, tl.sum(total, axis=0), mask=is_channel)
    tl.store(sums + place + num_channels, tl.sum(product, axis=0), mask=is_channel)


@triton.jit
def _normalise_backward(
    x,
    gradient,
    mean,
    scale,
    sums,
    result,
    num_pixels,
    num_channels,
    slope,
    tile_pixels: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """Give the gradient of what was normalised."""
    channels = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * tile_pixels + tl.arange(0, tile_pixels)
    is_channel = channels < num_channels
    inside = (pixels < num_pixels)[:, None] & is_channel[None, :]
    places = pixels[:, None] * num_channels + channels[None, :]
    x += sample * num_pixels * num_channels
    gradient += sample * num_pixels * num_channels
    result += sample * num_pixels * num_channels
    place = sample * num_channels + channels
    of_channel = tl.load(mean + place, mask=is_channel, other=0.0)
    by_channel = tl.load(scale + place, mask=is_channel, other=0.0)
    place += sample * num_channels
    total = tl.load(sums + place, mask=is_channel, other=0.0) / num_pixels
    product = tl.load(sums + place + num_channels, mask=is_channel, other=0.0) / num_pixels
    normal = _normal(x, places, inside, of_channel, by_channel)
    given = _before_activation(gradient, places, inside, normal, slope)
    back = (given - total[None, :] - normal * product[None, :]) * by_channel[None, :]
    tl.store(result + places, back, mask=inside)


@triton.jit
def _pad(
    x,
    y,
    height,
    width,
    num_channels,
    padding,
    tile_pixels: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """Give every pixel of a padded image the one that it mirrors."""
    channels = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * tile_pixels + tl.arange(0, tile_pixels)
    wide = width + 2 * padding
    num_pixels = (height + 2 * padding) * wide
    row, column = tl.abs(pixels // wide - padding), tl.abs(pixels % wide - padding)
    row = tl.where(row < height, row, 2 * (height - 1) - row)
    column = tl.where(column < width, column, 2 * (width - 1) - column)
    inside = (pixels < num_pixels)[:, None] & (channels < num_channels)[None, :]
    x += sample * height * width * num_channels
    y += sample * num_pixels * num_channels
    source = (row * width + column)[:, None] * num_channels + channels[None, :]
    tile = tl.load(x + source, mask=inside)
    places = pixels[:, None] * num_channels + channels[None, :]
    tl.store(y + places, tile, mask=inside)


@triton.jit
def _pad_backward(
    gradient,
    result,
    height,
    width,
    num_channels,
    padding,
    tile_pixels: tl.constexpr,
    tile_channels: tl.constexpr,
):
    """Give every pixel the sum of the gradients of itself and of its up to eight mirrored ones."""
    channels = tl.program_id(1) * tile_channels + tl.arange(0, tile_channels)
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * tile_pixels + tl.arange(0, tile_pixels)
    wide = width + 2 * padding
    tall = height + 2 * padding
    row, column = pixels // width, pixels % width
    inside = pixels < height * width
    is_channel = (channels < num_channels)[None, :]
    total = tl.zeros([tile_pixels, tile_channels], dtype=tl.float32)
    gradient += sample * tall * wide * num_channels
    result += sample * height * width * num_channels
    for vertical in tl.static_range(3):  # pyright: ignore[reportGeneralTypeIssues] - for Triton
        if vertical == 0:
            from_row, is_row = row + padding, inside
        elif vertical == 1:
            from_row, is_row = padding - row, inside & (row >= 1) & (row <= padding)
        else:
            from_row = 2 * (height - 1) - row + padding
            is_row = inside & (row <= height - 2) & (from_row < tall)
        for horizontal in tl.static_range(3):  # pyright: ignore[reportGeneralTypeIssues] - for Triton
            if horizontal == 0:
                from_column, is_both = column + padding, is_row
            elif horizontal == 1:
                from_column = padding - column
                is_both = is_row & (column >= 1) & (column <= padding)
            else:
                from_column = 2 * (width - 1) - column + padding
                is_both = is_row & (column <= width - 2) & (from_column < wide)
            source = from_row * wide + from_column
            places = source[:, None] * num_channels + channels[None, :]
            mask = is_both[:, None] & is_channel
            total += tl.load(gradient + places, mask=mask, other=0.0).to(tl.float32)
    places = pixels[:, None] * num_channels + channels[None, :]
    tl.store(result + places, total, mask=inside[:, None] & is_channel)


class _Plan(NamedTuple):
    """How the pixels and channels of a batch are dealt out."""

    grid: tuple[int, int, int]  # tiles of pixels, tiles of channels, samples
    pixels: int  # of a tile
    channels: int  # of a tile
    part: int  # pixels of a part
    num_parts: int

    def sizes(self) -> dict[str, Any]:
        """Give what kernels are compiled for."""
        return {"tile_pixels": self.pixels, "tile_channels": self.channels}


def _plan(samples: int, channels: int, pixels: int) -> _Plan:
    wide = min(CHANNELS, _power_of_two(channels))
    tall = TILE // wide
    across, tiles = _divide(channels, wide), _divide(pixels, tall)
    parts = max(1, min(tiles, MOST_PARTS, _divide(PROGRAMS, samples * across)))
    part = _divide(tiles, parts) * tall
    return _Plan((tiles, across, samples), tall, wide, part, _divide(pixels, part))


def _divide(whole: int, part: int) -> int:
    return -(-whole // part)


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


class _InstanceNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float, epsilon: float) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        samples, channels, height, width = x.shape
        pixels = height * width
        plan = _plan(samples, channels, pixels)
        across = plan.grid[1]
        means, squares = x.new_empty(
            (2, samples, plan.num_parts, channels), dtype=torch.float32
        ).unbind()
        mean, scale = x.new_empty((2, samples, channels), dtype=torch.float32).unbind()
        y = torch.empty_like(x)
        of_all: dict[str, Any] = {"tile_parts": _power_of_two(plan.num_parts)}
        of_all["tile_channels"] = FEW_CHANNELS
        sizes = plan.sizes()
        with torch.cuda.device_of(x):
            _moments_of_parts[(plan.num_parts, across, samples)](
                x, means, squares, pixels, channels, plan.part, **sizes
            )
            _moments[(_divide(channels, FEW_CHANNELS), samples)](
                *(means, squares, mean, scale, pixels, channels, plan.part, plan.num_parts),
                epsilon,
                **of_all,
            )
            _normalise[plan.grid](x, mean, scale, y, pixels, channels, slope, **sizes)
        ctx.save_for_backward(x, mean, scale)
        ctx.slope, ctx.plan = slope, plan
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore
        x, mean, scale = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        samples, channels, height, width = x.shape
        pixels, plan = height * width, ctx.plan
        sizes = plan.sizes()
        parts = x.new_empty((samples, plan.num_parts, 2, channels), dtype=torch.float32)
        result = torch.empty_like(x)
        with torch.cuda.device_of(x):
            _sums_of_parts[(plan.num_parts, plan.grid[1], samples)](
                *(x, gradient, mean, scale, parts, pixels, channels, plan.part, ctx.slope), **sizes
            )
            sums = parts.sum(dim=1)
            _normalise_backward[plan.grid](
                *(x, gradient, mean, scale, sums, result, pixels, channels, ctx.slope), **sizes
            )
        return result, None, None


class _ReflectionPad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, padding: int) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        samples, channels, height, width = x.shape
        tall, wide = height + 2 * padding, width + 2 * padding
        y = _empty_like(x, (samples, channels, tall, wide))
        plan = _plan(samples, channels, tall * wide)
        sizes = plan.sizes()
        with torch.cuda.device_of(x):
            _pad[plan.grid](x, y, height, width, channels, padding, **sizes)
        ctx.shape, ctx.padding = x.shape, padding
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        samples, channels, height, width = ctx.shape
        result = _empty_like(gradient, ctx.shape)
        plan = _plan(samples, channels, height * width)
        sizes = plan.sizes()
        with torch.cuda.device_of(gradient):
            _pad_backward[plan.grid](
                gradient, result, height, width, channels, ctx.padding, **sizes
            )
        return result, None


def _empty_like(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    layout = torch.channels_last
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)


def instance_norm(x: Tensor, *, slope: float = 1.0, epsilon: float = 1e-5) -> Tensor:
    """Normalise every channel of every sample, then apply a leaky ReLU.

    Args:
        x: (batch, channels, height, width), of one of ``TYPES``.
        slope: What negative values are multiplied by; 1 leaves them, 0 is a ReLU.
        epsilon: Added to the variance, which is the biased one.

    Returns:
        Channels-last, of the same shape and type; it can be differentiated once.

    Raises:
        ValueError: If a channel has one value only, or the type is another.
    """
    _require_type(x)
    if x.shape[2] * x.shape[3] == 1:
        raise ValueError(f"instance normalisation needs more than one pixel, not {tuple(x.shape)}")
    return _InstanceNorm.apply(x, slope, epsilon)


def reflection_pad(x: Tensor, padding: int) -> Tensor:
    """Mirror images at their borders, whose own pixels are not repeated.

    Args:
        x: (batch, channels, height, width), of one of ``TYPES``.
        padding: On each side, in pixels, less than the height and the width.

    Returns:
        (batch, channels, height + 2 padding, width + 2 padding), channels-last, of the same type;
        it can be differentiated once.

    Raises:
        ValueError: If the padding is too large, or the type another.
    """
    _require_type(x)
    if padding >= min(x.shape[2:]):
        raise ValueError(f"a padding of {padding} px is too large for images of {tuple(x.shape)}")
    return _ReflectionPad.apply(x, padding)


def _require_type(x: Tensor) -> None:
    if x.dtype not in TYPES:
        possible = ", ".join(str(each).removeprefix("torch.") for each in TYPES)
        raise ValueError(f"kernels are for {possible}, not for {x.dtype}; leave them out")
