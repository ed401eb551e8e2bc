"""Multi-scale structural similarity (Wang et al., Asilomar 2003) as a loss, as GANimorph has it."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from i2i_bench.blocks.limits import require_size

WINDOW = 8  # px, the side of the Gaussian window
SIGMA = 1.5  # px, its deviation
STABLE = (0.03**2, 0.05**2)  # what keeps means, and variances, from being divided by 0
POWERS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first


def similarity_levels(size: int) -> int:
    """Give the scales at which images of a side of ``size`` px hold a window, 5 at most."""
    return max(1, min(len(POWERS), (size // WINDOW).bit_length()))


def multi_scale_similarity(images: Tensor, others: Tensor, levels: int = len(POWERS)) -> Tensor:
    """Compare images (batch, channels, height, width) in [0, 1] with others; 1 where they agree.

    The means of each scale are over all pixels of the batch, of each channel by itself. With fewer
    scales than five the powers of those that are left are enlarged to the same sum.

    Args:
        images: Some images.
        others: As many.
        levels: Scales, each of half the side of the one before.

    Returns:
        The mean over channels, a scalar.

    Raises:
        ValueError: If a side is too small for the window at the last scale.
    """
    least = WINDOW * 2 ** (levels - 1)
    require_size(images, least, f"similarity at {levels} scales (similarity_levels)")
    exact = torch.promote_types(images.dtype, torch.float32)
    device = images.device.type  # of meta there is no autocast; variances are small differences
    with nullcontext() if device == "meta" else torch.autocast(device, enabled=False):
        pair = torch.stack([images.to(exact), others.to(exact)])
        larger = sum(POWERS) / sum(POWERS[:levels])
        found = pair.new_ones(pair.shape[2])
        for number, power in enumerate(POWERS[:levels]):
            if number:
                pair = F.avg_pool2d(pair.flatten(0, 1), 2).unflatten(0, pair.shape[:2])
            whole, contrast = _compare(pair[0], pair[1])
            found = found * (whole if number == levels - 1 else contrast) ** (larger * power)
        return found.mean()


def _compare(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Give, by channel, the mean similarity of two batches, with local means and without them.

    Variances and covariances count by their absolute value.
    """
    moments = [first, second, first * first, second * second, first * second]
    mean1, mean2, square1, square2, product = _blur(torch.stack(moments))
    means = mean1 * mean2
    squares = mean1 * mean1 + mean2 * mean2
    variances = (square1 - mean1 * mean1).abs() + (square2 - mean2 * mean2).abs()
    contrast = (2 * (product - means).abs() + STABLE[1]) / (variances + STABLE[1])
    whole = contrast * (2 * means + STABLE[0]) / (squares + STABLE[0])
    return whole.mean(dim=(0, 2, 3)), contrast.mean(dim=(0, 2, 3))


def _blur(maps: Tensor) -> Tensor:
    """Weigh each pixel's neighbours in maps (..., height, width); the border is lost.

    Of the eight taps three lie before the pixel and four behind it.
    """
    offsets = torch.arange(WINDOW, device=maps.device, dtype=maps.dtype) - (WINDOW // 2 - 1)
    taps = (-offsets.square() / (2 * SIGMA**2)).exp()
    taps = taps / taps.sum()
    planes = maps.flatten(0, -3)[:, None]
    planes = F.conv2d(F.conv2d(planes, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))
    return planes.view(*maps.shape[:-2], *planes.shape[-2:])
