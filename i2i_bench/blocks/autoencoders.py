"""Encoder and decoder of images whose code is a map of features, as UNIT and MUNIT have them."""

from __future__ import annotations

from torch import Tensor, nn

from i2i_bench.blocks.layers import ConvLayer, Norm, ResidualBlock
from i2i_bench.blocks.limits import require_divisible, require_size
from i2i_bench.blocks.normalise import InstanceNorm, SampleNorm


class ContentEncoder(nn.Module):
    """Image to code: a 7x7 stem, halvings, residual blocks.

    Args:
        width: Channels of the stem; they double with each halving.
        num_blocks: Residual blocks.
        channels: Of the images.
        num_halvings: Of the sides.
        norm: Normalisation of every layer; None for none.
    """

    def __init__(
        self,
        width: int,
        num_blocks: int,
        channels: int = 3,
        num_halvings: int = 2,
        norm: Norm = InstanceNorm,
    ) -> None:
        super().__init__()
        self.scale = 2**num_halvings
        shapes = [(channels, width, 7, 1)]
        shapes += [(width * 2**i, width * 2 ** (i + 1), 4, 2) for i in range(num_halvings)]
        self.down = nn.Sequential(
            *(
                ConvLayer(i, o, k, stride=s, norm=norm, activation=nn.ReLU())
                for i, o, k, s in shapes
            )
        )
        self.blocks = nn.Sequential(
            *(ResidualBlock(self.scale * width, norm) for _ in range(num_blocks))
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to a code: 4 width, a quarter of the sides for two.

        Raises:
            ValueError: If a side cannot be halved as often, or the code were below 2 px.
        """
        require_size(images, max(4, 2 * self.scale), "this encoder")
        require_divisible(images, self.scale)
        return self.blocks(self.down(images))


def content_decoder(width: int, num_blocks: int, channels: int = 3) -> nn.Sequential:
    """Build the way from a code back to images in [-1, 1] of four times its side."""
    up = up_layers(width, channels)  # first, so that seeds give the weights that they always gave
    residual = (ResidualBlock(4 * width) for _ in range(num_blocks))
    return nn.Sequential(nn.Sequential(*residual), *up)


def up_layers(width: int, channels: int, num_halvings: int = 2) -> list[nn.Module]:
    """Make the layers from (batch, 4 width, ...), for two halvings, to images in [-1, 1]."""
    up: list[nn.Module] = []
    for inputs in (width * 2**i for i in range(num_halvings, 0, -1)):
        layer = ConvLayer(inputs, inputs // 2, 5, norm=SampleNorm, activation=nn.ReLU())
        up += [nn.Upsample(scale_factor=2), layer]
    return [*up, ConvLayer(width, channels, 7, activation=nn.Tanh())]
