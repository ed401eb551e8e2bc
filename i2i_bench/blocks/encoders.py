"""Encoders of an image into a vector."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from i2i_bench.blocks.layers import ConvLayer, Norm
from i2i_bench.blocks.limits import require_divisible, require_size
from i2i_bench.blocks.normalise import InstanceNorm

SLOPE = 0.2  # of every leaky ReLU
STYLE_MINIMUM = 16  # px: the last of four halvings is reflection-padded, and needs 2x2


class HalvingBlock(nn.Module):
    """Normalise, activate and convolve twice, beside a 1x1 shortcut; the means of 2x2 px."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        norm: Norm,
        padding: Literal["zeros", "reflect"] = "zeros",
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers += [norm(inputs)] if norm else []
            layers.append(nn.LeakyReLU(SLOPE))
            layers.append(nn.Conv2d(inputs, channels, 3, padding=1, padding_mode=padding))
        self.layers = nn.Sequential(*layers, nn.AvgPool2d(2))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, outputs, height // 2, width // 2)."""
        return self.layers(x) + self.shortcut(x)


class VectorEncoder(nn.Module):
    """Residual encoder of an image into a normal distribution of codes (Zhu et al., NIPS 2017).

    Args:
        width: Channels after the first halving; they grow by this with each block, up to 4 times.
        num_blocks: Residual blocks, each of which halves.
        code: Channels of the code.
        inputs: Channels of the image.
        norm: Normalisation within the blocks; None for none.
        padding: Of every convolution; with ``reflect``, sides of any size are halved, rounded down.
    """

    def __init__(
        self,
        width: int,
        num_blocks: int,
        code: int,
        *,
        inputs: int = 3,
        norm: Norm = InstanceNorm,
        padding: Literal["zeros", "reflect"] = "zeros",
    ) -> None:
        super().__init__()
        self.num_halvings, self.padding = num_blocks + 1, padding
        widths = [width * min(4, i + 1) for i in range(num_blocks + 1)]
        self.stem = nn.Conv2d(inputs, width, 4, 2, padding=1, padding_mode=padding)
        self.blocks = nn.Sequential(
            *(HalvingBlock(i, o, norm, padding) for i, o in pairwise(widths))
        )
        self.activation = nn.LeakyReLU(SLOPE)
        self.mean = nn.Linear(widths[-1], code)
        self.log_variance = nn.Linear(widths[-1], code)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map (batch, inputs, height, width) to mean and logarithm of the variance, (batch, code).

        Raises:
            ValueError: If a side cannot be halved as often.
        """
        if self.padding == "zeros":
            require_divisible(images, 2**self.num_halvings)
        require_size(images, 2**self.num_halvings, "this encoder")
        features = self.activation(self.blocks(self.stem(images))).mean(dim=(2, 3))
        return self.mean(features), self.log_variance(features)


class StyleEncoder(nn.Module):
    """Image to style: a 7x7 stem and four halvings without normalisation, then a mean over place.

    Args:
        width: Channels of the stem.
        style_width: Numbers of a style.
        channels: Of the images.
    """

    def __init__(self, width: int, style_width: int, channels: int) -> None:
        super().__init__()
        shapes = [(channels, width, 7, 1), (width, 2 * width, 4, 2), (2 * width, 4 * width, 4, 2)]
        shapes += 2 * [(4 * width, 4 * width, 4, 2)]
        self.layers = nn.Sequential(
            *(ConvLayer(i, o, k, stride=s, activation=nn.ReLU()) for i, o, k, s in shapes)
        )
        self.head = nn.Conv2d(4 * width, style_width, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, style_width).

        Raises:
            ValueError: If a side is below 16 px.
        """
        require_size(images, STYLE_MINIMUM, "the style encoder")
        return self.head(self.layers(images).mean(dim=(2, 3), keepdim=True)).flatten(1)


def standard_normal_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Sum the divergence of N(mean, exp(log_variance)) from N(0, I) over batch and channels."""
    exact = torch.promote_types(mean.dtype, torch.float32)
    mean, log_variance = mean.to(exact), log_variance.to(exact)
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
