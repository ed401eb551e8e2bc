"""DualGAN's last published discriminator; its other networks are blocks of the suite."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from i2i_bench.blocks.layers import SameConv2d
from i2i_bench.blocks.limits import require_square
from i2i_bench.blocks.normalise import MomentNorm


class LatestDiscriminator(nn.Module):
    """The last published discriminator: 5x5, then 3x3 convolutions of stride 2, and a head.

    Args:
        width: Channels after the first layer; they double up to 8 times this.
        num_layers: Layers of stride 2 before the head.
        inputs: Channels of the images.
        image_size: Side in pixels of the images that a linear head fits; None for a head that
            judges patches.
    """

    def __init__(self, width: int, num_layers: int, inputs: int, image_size: int | None) -> None:
        super().__init__()
        self.image_size = image_size
        widths = [width * min(2**i, 8) for i in range(num_layers)]
        layers: list[nn.Module] = [SameConv2d(inputs, width, 5, 2), nn.LeakyReLU(0.2)]
        for channels, outputs in pairwise(widths):
            layers += [SameConv2d(channels, outputs, 3, 2), MomentNorm(outputs), nn.LeakyReLU(0.2)]
        if image_size is None:
            head: list[nn.Module] = [SameConv2d(widths[-1], 1, 3, 2)]
        else:
            side = -(-image_size // 2**num_layers)
            head = [nn.Flatten(), nn.Linear(widths[-1] * side * side, 1)]
        self.layers = nn.Sequential(*layers, *head)

    def forward(self, images: Tensor) -> Tensor:
        """Map images to logits (batch, 1, rows, columns) of patches, or (batch, 1) of the whole.

        Raises:
            ValueError: If a linear head does not fit images of this size.
        """
        if self.image_size is not None:
            require_square(images, self.image_size, "this discriminator")
        return self.layers(images)
