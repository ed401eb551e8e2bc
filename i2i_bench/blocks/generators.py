"""ResNet generators, their encoder and decoder, and the label-conditioned generator."""

from __future__ import annotations

from torch import Tensor, nn

from i2i_bench.blocks.layers import ConvLayer, Norm, ResidualBlock, UpLayer, join_planes
from i2i_bench.blocks.limits import require_divisible, require_size
from i2i_bench.blocks.normalise import InstanceNorm, TrackingInstanceNorm


class LabelledResidualBlock(nn.Module):
    """Two zero-padded 3x3 convolutions and a skip; no activation after the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            TrackingInstanceNorm(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            TrackingInstanceNorm(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (batch, width, height, width of the image)."""
        return x + self.layers(x)


class LabelledGenerator(nn.Module):
    """A ResNet that sees each label as a constant plane beside the image, zero-padded throughout.

    Args:
        width: Channels of the first layer.
        num_blocks: Residual blocks.
        num_labels: Attributes.
        outputs: Channels of the result.
    """

    def __init__(self, width: int, num_blocks: int, *, num_labels: int, outputs: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3 + num_labels, width, 7, padding=3, bias=False)]
        layers += [TrackingInstanceNorm(width), nn.ReLU()]
        for scale in (1, 2):
            down = nn.Conv2d(width * scale, 2 * width * scale, 4, 2, padding=1, bias=False)
            layers += [down, TrackingInstanceNorm(2 * width * scale), nn.ReLU()]
        layers += [LabelledResidualBlock(4 * width) for _ in range(num_blocks)]
        for scale in (2, 1):
            up = nn.ConvTranspose2d(2 * width * scale, width * scale, 4, 2, padding=1, bias=False)
            layers += [up, TrackingInstanceNorm(width * scale), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, outputs, 7, padding=3, bias=False))

    def outputs(self, images: Tensor, labels: Tensor) -> Tensor:
        """Map images (batch, 3, height, width) and labels to (batch, outputs, height, width).

        Raises:
            ValueError: If a side is not divisible by 4, or below 8 px.
        """
        require_size(images, 8, "this generator")
        require_divisible(images, 4)
        return self.layers(join_planes(images, labels))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Translate (batch, 3, height, width) in [-1, 1] to labels (batch, attributes)."""
        return self.outputs(images, labels).tanh()


class ResNetEncoder(nn.Module):
    """First half of the ResNet generator: a 7x7 stem, two halvings, residual blocks.

    Args:
        width: Channels of the stem; the blocks have 4 times as many.
        num_blocks: Residual blocks.
        norm: Normalisation.
        inputs: Channels of the images.
        blur: Whether halvings are by ``BlurDown``.
        layer: Kind of the stem and the halvings.
    """

    def __init__(
        self,
        width: int,
        num_blocks: int,
        norm: Norm = InstanceNorm,
        *,
        inputs: int = 3,
        blur: bool = False,
        layer: type[ConvLayer] = ConvLayer,
    ) -> None:
        super().__init__()
        self.stem = layer(inputs, width, 7, norm=norm, activation=nn.ReLU())
        self.down = nn.Sequential(
            *(
                layer(
                    width * scale,
                    width * scale * 2,
                    3,
                    stride=2,
                    padding="zeros",
                    norm=norm,
                    activation=nn.ReLU(),
                    blur=blur,
                )
                for scale in (1, 2)
            )
        )
        self.blocks = nn.Sequential(*(ResidualBlock(width * 4, norm) for _ in range(num_blocks)))

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, 4 width, height / 4, width / 4).

        Raises:
            ValueError: If a side is not divisible by 4, or too small for the reflection padding.
        """
        require_encodable(images)
        return self.blocks(self.down(self.stem(images)))


def require_encodable(images: Tensor) -> None:
    """Raise ValueError unless images (..., height, width) fit the ResNet generator's encoder."""
    require_size(images, 8, "this encoder")
    require_divisible(images, 4)


def decoder(width: int, head: nn.Module, *, blur: bool = False) -> nn.Sequential:
    """Build the second half of the ResNet generator: two doublings from 4 width, then a head."""
    return nn.Sequential(
        UpLayer(4 * width, 2 * width, blur=blur), UpLayer(2 * width, width, blur=blur), head
    )


def resnet_generator(
    width: int, num_blocks: int, *, inputs: int = 3, outputs: int = 3
) -> nn.Sequential:
    """Build the ResNet generator: (batch, inputs, height, width) to outputs in [-1, 1]."""
    head = ConvLayer(width, outputs, 7, activation=nn.Tanh())
    return nn.Sequential(ResNetEncoder(width, num_blocks, inputs=inputs), decoder(width, head))
