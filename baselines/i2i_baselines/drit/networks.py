"""Networks of DRIT: both generators and the discriminator of contents."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from i2i_bench.blocks.layers import ConvLayer, Norm, ResidualBlock
from i2i_bench.blocks.limits import require_divisible, require_size
from i2i_bench.blocks.normalise import InstanceNorm

SLOPE = 0.01  # of every leaky ReLU here
LAST_KERNEL = 4  # of the content discriminator, unpadded


def content_layers(
    width: int, num_blocks: int, channels: int, num_halvings: int, norm: Norm
) -> nn.Sequential:
    """Build the layers of one domain from images to (batch, 4 width, ...) for two halvings."""
    stem = ConvLayer(channels, width, 7, activation=nn.LeakyReLU(SLOPE))
    down = [
        ConvLayer(inputs, 2 * inputs, 3, stride=2, norm=norm, activation=nn.ReLU())
        for inputs in (width * 2**i for i in range(num_halvings))
    ]
    blocks = (ResidualBlock(width * 2**num_halvings, norm) for _ in range(num_blocks))
    return nn.Sequential(stem, *down, *blocks)


class ContentLayers(nn.Module):
    """Images to contents: layers of their domain, then one residual block that all share.

    Args:
        width: Channels of the stem; they double with each halving.
        num_blocks: Residual blocks of each domain.
        channels: Of the images, by domain.
        num_halvings: Of the sides.
        norm: Normalisation of all layers but the stem; None for none.
    """

    def __init__(
        self,
        width: int,
        num_blocks: int,
        channels: dict[str, int],
        num_halvings: int,
        norm: Norm = InstanceNorm,
    ) -> None:
        super().__init__()
        self.scale = 2**num_halvings
        self.own = nn.ModuleDict(
            {
                domain: content_layers(width, num_blocks, n, num_halvings, norm)
                for domain, n in channels.items()
            }
        )
        self.shared = ResidualBlock(width * self.scale, norm)

    def forward(self, images: Tensor, domain: str) -> Tensor:
        """Map (batch, channels, height, width) to a content: 4 width, height / 4, ... for two.

        Raises:
            ValueError: If a side cannot be halved as often, or the content were below 2 px.
        """
        require_size(images, max(4, 2 * self.scale), "this encoder")
        require_divisible(images, self.scale)
        return self.shared(self.own[domain](images))


def up_layer(inputs: int, outputs: int) -> nn.Sequential:
    """Double a map's side: transposed convolution, layer normalisation affine by channel, ReLU."""
    conv = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(conv, nn.GroupNorm(1, outputs), nn.ReLU())


def with_code(x: Tensor, code: Tensor) -> Tensor:
    """Append a code (batch, numbers) to the channels of every place."""
    return torch.cat([x, code[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)


class ConcatDecoder(nn.Module):
    """Content and attribute to an image: the attribute joins the input of every stage.

    Args:
        width: Of the content encoder's stem.
        num_blocks: Residual blocks.
        attribute_width: Numbers of an attribute.
        channels: Of the image.
        num_halvings: Of the content encoder.
    """

    def __init__(
        self, width: int, num_blocks: int, attribute_width: int, channels: int, num_halvings: int
    ) -> None:
        super().__init__()
        inputs = width * 2**num_halvings + attribute_width
        self.blocks = nn.Sequential(*(ResidualBlock(inputs) for _ in range(num_blocks)))
        self.up = nn.ModuleList()
        for _ in range(num_halvings):
            inputs += attribute_width
            self.up.append(up_layer(inputs, inputs // 2))
            inputs //= 2
        self.head = nn.ConvTranspose2d(inputs + attribute_width, channels, 1)

    def forward(self, content: Tensor, attribute: Tensor) -> Tensor:
        """Map (batch, 4 width, rows, columns), (batch, attribute_width) to images in [-1, 1]."""
        x = self.blocks(with_code(content, attribute))
        for up in self.up:
            x = up(with_code(x, attribute))
        return self.head(with_code(x, attribute)).tanh()


class TransformBlock(nn.Module):
    """Two normalised convolutions, each mixed with a vector by 1x1 convolutions, and a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            ConvLayer(width, width, 3, norm=InstanceNorm) for _ in range(2)
        )
        self.mixers = nn.ModuleList(
            nn.Sequential(
                *(nn.Conv2d(2 * width, 2 * width, 1), nn.ReLU()),
                *(nn.Conv2d(2 * width, width, 1), nn.ReLU()),
            )
            for _ in range(2)
        )

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        """Keep the shape of x (batch, width, ...); the vector is (batch, width)."""
        y = x
        for convolution, mixer in zip(self.convolutions, self.mixers, strict=True):
            y = mixer(with_code(convolution(y), vector))
        return x + y


class TransformDecoder(nn.Module):
    """Content and attribute to an image: the attribute acts on the features of every block.

    Args:
        width: Of the content encoder's stem.
        num_blocks: Blocks in which the attribute acts.
        attribute_width: Numbers of an attribute.
        channels: Of the image.
        num_halvings: Of the content encoder.
    """

    def __init__(
        self, width: int, num_blocks: int, attribute_width: int, channels: int, num_halvings: int
    ) -> None:
        super().__init__()
        hidden = width * 2**num_halvings
        self.mlp = nn.Sequential(
            *(nn.Linear(attribute_width, hidden), nn.ReLU()),
            *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, num_blocks * hidden)),
        )
        self.blocks = nn.ModuleList(TransformBlock(hidden) for _ in range(num_blocks))
        halves = (width * 2**i for i in range(num_halvings, 0, -1))
        self.up = nn.Sequential(*(up_layer(inputs, inputs // 2) for inputs in halves))
        self.head = nn.ConvTranspose2d(width, channels, 1)

    def forward(self, content: Tensor, attribute: Tensor) -> Tensor:
        """Map (batch, 4 width, rows, columns), (batch, attribute_width) to images in [-1, 1]."""
        vectors = self.mlp(attribute).chunk(len(self.blocks), dim=1)
        for block, vector in zip(self.blocks, vectors, strict=True):
            content = block(content, vector)
        return self.head(self.up(content)).tanh()


class ContentDiscriminator(nn.Module):
    """Tells of which domain a content is, by patches; without normalisation, as the authors' code.

    Args:
        width: Channels of a content, and of every layer.
        num_layers: Layers of stride 2.
        kernel: Side of theirs, odd.
    """

    def __init__(self, width: int, num_layers: int, kernel: int) -> None:
        super().__init__()
        self.minimum_size = content_minimum(num_layers, kernel)
        layers: list[nn.Module] = []
        for _ in range(num_layers):
            conv = nn.Conv2d(width, width, kernel, 2, padding=1, padding_mode="reflect")
            layers += [conv, nn.LeakyReLU(SLOPE)]
        layers += [nn.Conv2d(width, width, LAST_KERNEL), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 1))

    def forward(self, content: Tensor) -> Tensor:
        """Map (batch, width, rows, columns) to logits (batch, 1, ...).

        Raises:
            ValueError: If a side is below ``minimum_size``.
        """
        require_size(content, self.minimum_size, "the content discriminator")
        return self.layers(content)


def content_minimum(num_layers: int, kernel: int) -> int:
    """Give the smallest side of a content that its discriminator takes: 53 as published."""
    side = LAST_KERNEL
    for _ in range(num_layers):
        side = 2 * (side - 1) + kernel - 2
    return max(side, 2)
