"""Networks of AttentionGAN, Scheme II and Scheme I."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench.blocks.generators import ResNetEncoder, decoder
from i2i_bench.blocks.layers import ConvLayer
from i2i_bench.blocks.limits import require_size


def compose(content: Tensor | None, attention: Tensor, image: Tensor | None) -> Tensor:
    """Blend content masks, and the image behind them, by attention (equation 7 of 1911.11897).

    Args:
        content: (batch, contents, 3, height, width), or None where there are none.
        attention: (batch, n, height, width) summing to 1 over n; the image's mask is the last.
        image: (batch, 3, height, width) to copy; None where content fills every mask.

    Returns:
        (batch, 3, height, width).
    """
    copied = 0 if image is None else image * attention[:, -1:]
    if content is None:
        return torch.as_tensor(copied)
    return (content * attention[:, : content.shape[1], None]).sum(dim=1) + copied


class AttentionGenerator(nn.Module):
    """Scheme II: a shared encoder, a decoder of content masks and one of attention masks.

    Args:
        width: Channels of the first layer.
        num_blocks: Residual blocks of the encoder.
        num_masks: Attention masks n, the background's included.
        copies_input: Whether the last mask copies the input; otherwise n contents are generated.
        channels: Of the images of source and target, equal where the input is copied.
        interpolates: Whether sides are doubled by bilinear interpolation and a convolution, in
            place of a transposed convolution.
    """

    def __init__(
        self,
        width: int,
        num_blocks: int,
        *,
        num_masks: int,
        copies_input: bool,
        channels: tuple[int, int] = (3, 3),
        interpolates: bool = False,
    ) -> None:
        super().__init__()
        self.copies_input, (inputs, self.outputs) = copies_input, channels
        self.num_contents = num_masks - 1 if copies_input else num_masks
        self.encoder = ResNetEncoder(width, num_blocks, inputs=inputs)
        if self.num_contents:
            head = ConvLayer(width, self.outputs * self.num_contents, 7, activation=nn.Tanh())
            self.content = decoder(width, head, blur=interpolates)
        self.attention = decoder(width, nn.Conv2d(width, num_masks, 1), blur=interpolates)

    def layers(self, images: Tensor) -> tuple[Tensor | None, Tensor]:
        """Give content (batch, contents, outputs, height, width), attention (batch, n, ...).

        Raises:
            ValueError: If a side of the images is not divisible by 4.
        """
        features = self.encoder(images)
        attention = self.attention(features).softmax(dim=1)
        if not self.num_contents:
            return None, attention
        return self.content(features).unflatten(1, (self.num_contents, self.outputs)), attention

    def forward(self, images: Tensor) -> Tensor:
        """Translate (batch, inputs, height, width) in [-1, 1] to (batch, outputs, ...)."""
        content, attention = self.layers(images)
        return compose(content, attention, images if self.copies_input else None)


class ShuffleUpLayer(nn.Module):
    """Scheme I's doubling of the side: 3x3 convolution, 1x1 convolution, pixel shuffle."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        outputs = inputs // 2
        self.first = ConvLayer(inputs, outputs, 3, norm=nn.BatchNorm2d, activation=nn.ReLU())
        self.expand = nn.Conv2d(outputs, 4 * outputs, 1)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, inputs / 2, 2 height, 2 width)."""
        return F.relu(self.norm(F.pixel_shuffle(self.expand(self.first(x)), 2)))


class SingleMaskGenerator(nn.Module):
    """Scheme I: one network with four output channels, a mask and a linear, unbounded content."""

    def __init__(self, width: int, num_blocks: int) -> None:
        super().__init__()
        self.encoder = ResNetEncoder(width, num_blocks, nn.BatchNorm2d)
        self.decoder = nn.Sequential(
            ShuffleUpLayer(4 * width), ShuffleUpLayer(2 * width), ConvLayer(width, 4, 7)
        )

    def layers(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Give content (batch, 3, height, width), mask (batch, 1, height, width) in [0, 1]."""
        outputs = self.decoder(self.encoder(images))
        return outputs[:, 1:], outputs[:, :1].sigmoid()

    def forward(self, images: Tensor) -> Tensor:
        """Translate (batch, 3, height, width) in [-1, 1]; the result is not bounded."""
        content, mask = self.layers(images)
        return content * mask + images * (1 - mask)


class ScalarDiscriminator(nn.Module):
    """Scheme I's discriminator: one logit an image, unpadded convolutions, batch normalisation.

    Args:
        width: Channels of the first layer; they double up to 8 times this.
        num_layers: Layers of stride 2, each with batch normalisation; the authors have 4.
    """

    def __init__(self, width: int, num_layers: int = 4) -> None:
        super().__init__()
        self.minimum_size = minimum_scalar_size(num_layers)
        widths = [3, *(width * min(2**i, 8) for i in range(num_layers))]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [
                nn.Conv2d(inputs, outputs, 4, stride=2),
                nn.BatchNorm2d(outputs),
                nn.LeakyReLU(0.01),
            ]
        layers += [nn.Conv2d(widths[-1], widths[-1], 4), nn.LeakyReLU(0.01)]
        layers += [nn.AdaptiveAvgPool2d(1), nn.Conv2d(widths[-1], 1, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to logits (batch, 1, 1, 1).

        Raises:
            ValueError: If a side is below ``minimum_size``.
        """
        require_size(images, self.minimum_size, "this discriminator of Scheme I")
        return self.layers(images)


def minimum_scalar_size(num_layers: int) -> int:
    """Give the smallest side a ``ScalarDiscriminator`` takes, 94 px for the authors' 4 layers."""
    size = 4
    for _ in range(num_layers):
        size = 2 * size + 2
    return size
