"""GANimorph's networks: groups of densely joined convolutions, and dilated discriminators.

Outside images are in [-1, 1] as everywhere; inside, the networks see and make [0, 1]. No
convolution has a bias, and all padding is zeros that keep the size, or halve it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from i2i_bench.blocks.layers import SameConv2d
from i2i_bench.blocks.limits import require_divisible, require_size
from i2i_bench.blocks.normalise import InstanceNorm


class NormedConv(nn.Sequential):
    """Convolution without bias, affine instance normalisation, leaky ReLU.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        slope: Of the leaky ReLU below 0.
        halves: Whether it is of 4x4 px and halves the sides, instead of 3x3 px.
        dilation: Distance in pixels of the taps of the latter.
    """

    def __init__(
        self, inputs: int, outputs: int, slope: float, *, halves: bool = False, dilation: int = 1
    ) -> None:
        super().__init__()
        self.conv = (
            nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
            if halves
            else nn.Conv2d(inputs, outputs, 3, 1, dilation, dilation=dilation, bias=False)
        )
        self.norm = InstanceNorm(outputs, affine=True)
        self.activation = nn.LeakyReLU(slope)


class DenseBlock(nn.Module):
    """Two convolutions, and a third that sees what they made beside what they were given.

    Args:
        inputs: Channels that come in.
        width: Channels of each convolution.
        slope: Of the leaky ReLUs below 0.
    """

    def __init__(self, inputs: int, width: int, slope: float) -> None:
        super().__init__()
        self.first = NormedConv(inputs, width, slope)
        self.second = NormedConv(width, width, slope)
        self.joined = NormedConv(width + inputs, width, slope)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, width, height, width)."""
        return self.joined(torch.cat([self.second(self.first(x)), x], dim=1))


def dense_group(inputs: int, width: int, num_blocks: int, slope: float) -> nn.Sequential:
    """Put dense blocks after one another; only the first sees ``inputs`` channels."""
    widths = [inputs, *[width] * (num_blocks - 1)]
    return nn.Sequential(*(DenseBlock(channels, width, slope) for channels in widths))


class NormedUp(nn.Sequential):
    """Transposed 4x4 convolution that doubles the sides, instance normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
        self.norm = InstanceNorm(outputs, affine=True)
        self.activation = nn.ReLU()


class DenseGenerator(nn.Module):
    """Halvings and doublings, each but the outermost with a group of dense blocks, and skips.

    Args:
        width: Channels after the first halving; they double up to 8 times this.
        num_levels: Halvings, and as many doublings.
        num_blocks: Dense blocks of a group.
        inputs: Channels of the images.
        outputs: Of the results.
        slope: Of the leaky ReLUs below 0; doublings have plain ones.
    """

    def __init__(
        self,
        width: int,
        num_levels: int,
        num_blocks: int,
        *,
        inputs: int = 3,
        outputs: int = 3,
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        self.num_levels = num_levels
        widths = [width * min(2**i, 8) for i in range(num_levels)]
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, width, 4, 2, 1, bias=False), nn.LeakyReLU(slope)
        )
        self.down, self.down_groups = nn.ModuleList(), nn.ModuleList()
        for before, after in pairwise(widths):
            self.down.append(NormedConv(before, after, slope, halves=True))
            self.down_groups.append(dense_group(after, after, num_blocks, slope))
        self.up, self.up_groups = nn.ModuleList(), nn.ModuleList()
        for before, after in pairwise(widths[:0:-1]):
            self.up.append(NormedUp(before, after))
            self.up_groups.append(dense_group(2 * after, after, num_blocks, slope))
        self.last = nn.ModuleList([NormedUp(widths[1], width)])
        self.head = nn.ConvTranspose2d(width, outputs, 4, 2, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) in [-1, 1] to (batch, outputs, ...) in [-1, 1].

        Raises:
            ValueError: If a side cannot be halved as often as there are levels, to 2 px or more.
        """
        require_divisible(images, 2**self.num_levels)
        require_size(images, 2 ** (self.num_levels + 1), "this generator")
        x, skips = self.stem((images + 1) / 2), []
        for halve, group in zip(self.down, self.down_groups, strict=True):
            x = group(halve(x))
            skips.append(x)
        for double, group, skip in zip(self.up, self.up_groups, skips[-2::-1], strict=True):
            x = group(torch.cat([double(x), skip], dim=1))
        return 2 * self.head(self.last[0](x)).sigmoid() - 1


class DilatedDiscriminator(nn.Module):
    """PatchGAN whose last layers are dilated, so that each logit sees far across the image.

    Args:
        width: Channels after the first halving; they double up to 4 times this.
        num_layers: Halvings.
        dilations: Of the dilated convolutions, in their order.
        inputs: Channels of the images.
        slope: Of the leaky ReLUs below 0.
    """

    def __init__(
        self,
        width: int,
        num_layers: int,
        dilations: Sequence[int],
        *,
        inputs: int = 3,
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        self.minimum_size = 2 ** (num_layers + 1)
        self.num_features = num_layers + len(dilations) + 1
        widths = [width * min(2**i, 4) for i in range(num_layers)]
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, width, 4, 2, 1, bias=False), nn.LeakyReLU(slope)
        )
        self.near = nn.ModuleList(
            NormedConv(before, after, slope, halves=True) for before, after in pairwise(widths)
        )
        self.near.append(NormedConv(widths[-1], widths[-1], slope))
        self.far = nn.ModuleList(
            NormedConv(widths[-1], widths[-1], slope, dilation=dilation) for dilation in dilations
        )
        self.joined = NormedConv(2 * widths[-1], widths[-1], slope)
        self.head = SameConv2d(widths[-1], 1, 4, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Map (batch, inputs, height, width) in [-1, 1] to logits and features.

        Returns:
            (batch, 1, rows, columns), and what each normalised layer makes.

        Raises:
            ValueError: If a side is too small to be normalised after the halvings.
        """
        require_size(images, self.minimum_size, "this discriminator")
        x, features = self.stem((images + 1) / 2), []
        for layer in self.near:
            x = layer(x)
            features.append(x)
        near = x
        for layer in self.far:
            x = layer(x)
            features.append(x)
        features.append(self.joined(torch.cat([near, x], dim=1)))
        return self.head(features[-1]), features
