"""Encoder and decoder of images whose code is a map of features, as UNIT and MUNIT have them."""

from __future__ import annotations

from torch import Tensor, nn

from i2i_bench.blocks.layers import ConvLayer, ResidualBlock
from i2i_bench.blocks.limits import require_divisible, require_size
from i2i_bench.blocks.normalise import InstanceNorm, SampleNorm


class ContentEncoder(nn.Module):
    """Image to code: a 7x7 stem, two halvings, residual blocks.

    Args:
        width: Channels of the stem; the code has four times as many.
        num_blocks: Residual blocks.
        channels: Of the images.
    """

    def __init__(self, width: int, num_blocks: int, channels: int = 3) -> None:
        super().__init__()
        shapes = ((channels, width, 7, 1), (width, 2 * width, 4, 2), (2 * width, 4 * width, 4, 2))
        self.down = nn.Sequential(
            *(
                ConvLayer(i, o, k, stride=s, norm=InstanceNorm, activation=nn.ReLU())
                for i, o, k, s in shapes
            )
        )
        self.blocks = nn.Sequential(*(ResidualBlock(4 * width) for _ in range(num_blocks)))

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, 4 width, height / 4, width / 4).

        Raises:
            ValueError: If a side is not divisible by 4, or below 8 px.
        """
        require_size(images, 8, "this encoder")
        require_divisible(images, 4)
        return self.blocks(self.down(images))


def content_decoder(width: int, num_blocks: int, channels: int = 3) -> nn.Sequential:
    """Build the way from a code back to images in [-1, 1] of four times its side."""
    up = up_layers(width, channels)  # first, so that seeds give the weights that they always gave
    residual = (ResidualBlock(4 * width) for _ in range(num_blocks))
    return nn.Sequential(nn.Sequential(*residual), *up)


def up_layers(width: int, channels: int) -> list[nn.Module]:
    """Make the layers from (batch, 4 width, ...) to images in [-1, 1] of four times the side."""
    up: list[nn.Module] = []
    for inputs in (4 * width, 2 * width):
        layer = ConvLayer(inputs, inputs // 2, 5, norm=SampleNorm, activation=nn.ReLU())
        up += [nn.Upsample(scale_factor=2), layer]
    return [*up, ConvLayer(width, channels, 7, activation=nn.Tanh())]
