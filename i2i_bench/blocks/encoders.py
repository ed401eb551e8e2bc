"""Encoders of an image into a vector."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from i2i_bench.blocks.layers import Norm
from i2i_bench.blocks.limits import require_divisible
from i2i_bench.blocks.normalise import InstanceNorm

SLOPE = 0.2  # of every leaky ReLU


class HalvingBlock(nn.Module):
    """Normalise, activate and convolve twice, beside a 1x1 shortcut; the means of 2x2 px."""

    def __init__(self, inputs: int, outputs: int, norm: Norm) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers += [norm(inputs)] if norm else []
            layers.append(nn.LeakyReLU(SLOPE))
            layers.append(nn.Conv2d(inputs, channels, 3, padding=1))
        self.layers = nn.Sequential(*layers, nn.AvgPool2d(2))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, outputs, height / 2, width / 2)."""
        return self.layers(x) + self.shortcut(x)


class VectorEncoder(nn.Module):
    """Residual encoder of an image into a normal distribution of codes (Zhu et al., NIPS 2017).

    Args:
        width: Channels after the first halving; they grow by this with each block, up to 4 times.
        num_blocks: Residual blocks, each of which halves.
        code: Channels of the code.
        inputs: Channels of the image.
        norm: Normalisation within the blocks; None for none.
    """

    def __init__(
        self, width: int, num_blocks: int, code: int, *, inputs: int = 3, norm: Norm = InstanceNorm
    ) -> None:
        super().__init__()
        self.num_halvings = num_blocks + 1
        widths = [width * min(4, i + 1) for i in range(num_blocks + 1)]
        self.stem = nn.Conv2d(inputs, width, 4, 2, padding=1)
        self.blocks = nn.Sequential(*(HalvingBlock(i, o, norm) for i, o in pairwise(widths)))
        self.activation = nn.LeakyReLU(SLOPE)
        self.mean = nn.Linear(widths[-1], code)
        self.log_variance = nn.Linear(widths[-1], code)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map (batch, inputs, height, width) to mean and logarithm of the variance, (batch, code).

        Raises:
            ValueError: If a side cannot be halved as often.
        """
        require_divisible(images, 2**self.num_halvings)
        features = self.activation(self.blocks(self.stem(images))).mean(dim=(2, 3))
        return self.mean(features), self.log_variance(features)


def standard_normal_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Sum the divergence of N(mean, exp(log_variance)) from N(0, I) over batch and channels."""
    exact = torch.promote_types(mean.dtype, torch.float32)
    mean, log_variance = mean.to(exact), log_variance.to(exact)
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
