"""The order and the augmentation of training images, as pure functions of a seed."""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from i2i_bench.model import Settings
from i2i_bench.randomness import Randomness

Turn = tuple[float, float]  # angle in degrees, anticlockwise; factor by which content grows
TurnMode = Literal["bilinear", "nearest"]


def is_turned(settings: Settings) -> bool:
    """Tell whether training images are rotated or rescaled."""
    return bool(settings.rotation or settings.rescale)


def draw_turns(settings: Settings, random: Randomness, stream: str, size: int) -> list[Turn]:
    """Draw angle and factor of some samples, uniform in what the settings allow.

    Args:
        settings: With ``rotation`` and ``rescale``.
        random: At the first sample.
        stream: Of the domain, or that of pairs.
        size: Number of samples.
    """
    exact = Randomness(random.seed, random.first_sample, dtype=torch.float64)
    angles = (2 * exact.uniform(f"rotation_{stream}", (size, 1)) - 1) * settings.rotation
    factors = 1 + (2 * exact.uniform(f"rescale_{stream}", (size, 1)) - 1) * settings.rescale
    return list(zip(angles[:, 0].tolist(), factors[:, 0].tolist(), strict=True))


def turned_crop(
    image: Tensor, window: tuple[int, int, int], turn: Turn, *, mode: TurnMode
) -> Tensor:
    """Cut a square out of an image that is rotated and rescaled around the middle of the square.

    What lies beyond the image is its reflection. The image is resampled once.

    Args:
        image: (channels, height, width), of any type.
        window: Top, left and side of the square, in pixels.
        turn: Angle and factor.
        mode: How to resample; ``nearest`` for masks.

    Returns:
        (channels, side, side), float32.
    """
    top, left, side = window
    height, width = image.shape[1:]
    angle, factor = math.radians(turn[0]), turn[1]
    along = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    down, right = torch.meshgrid(along, along, indexing="ij")
    rows = (math.cos(angle) * down + math.sin(angle) * right) / factor + top + (side - 1) / 2
    columns = (math.cos(angle) * right - math.sin(angle) * down) / factor + left + (side - 1) / 2
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=-1)
    whole = image.to(torch.float32)[None]
    placed = grid[None].to(whole.device, torch.float32)
    return F.grid_sample(whole, placed, mode=mode, padding_mode="reflection", align_corners=False)[
        0
    ]


def sample_order(
    seed: int, stream: str, count: int, first_sample: int, size: int
) -> NDArray[np.int64]:
    """Return the indices of the images at the given sample positions.

    Positions are cut into blocks of ``count``; each block is a permutation of all images that
    depends on seed, stream and block alone.
    """
    if size == 0:
        return np.empty(0, np.int64)
    first_block, last_block = first_sample // count, (first_sample + size - 1) // count
    blocks = [
        _permutation(seed, stream, block, count) for block in range(first_block, last_block + 1)
    ]
    start = first_sample - first_block * count
    return np.concatenate(blocks)[start : start + size]


@lru_cache(maxsize=8)
def _permutation(seed: int, stream: str, block: int, count: int) -> NDArray[np.int64]:
    """Sort raw random words, so that no version of numpy gives another order."""
    digest = hashlib.sha256(f"i2i-bench/order/{seed}/{stream}/{block}".encode()).digest()
    words = np.random.PCG64(int.from_bytes(digest[:8], "big")).random_raw(count)
    return np.argsort(words, kind="stable").astype(np.int64)
