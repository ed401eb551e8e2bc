"""Patch discriminators: plain, at several scales, and with a head that classifies labels."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench.blocks.layers import ConvLayer
from i2i_bench.blocks.limits import require_size
from i2i_bench.blocks.normalise import InstanceNorm


class LabelledDiscriminator(nn.Module):
    """A critic of patches with a second head that classifies the whole image.

    Args:
        width: Channels of the first layer; they double with each.
        num_layers: Layers of stride 2.
        num_labels: Attributes.
        image_size: Side in pixels of the images.
    """

    def __init__(self, width: int, num_layers: int, *, num_labels: int, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size
        widths = [3, *(width * 2**i for i in range(num_layers))]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, padding=1), nn.LeakyReLU(0.01)]
        self.layers = nn.Sequential(*layers)
        self.critic = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        side = image_size >> num_layers
        self.classifier = nn.Conv2d(widths[-1], num_labels, side, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images to critic's values (batch, 1, rows, columns), logits (batch, attributes).

        Raises:
            ValueError: If the images have another size than the class head fits.
        """
        if images.shape[2:] != (self.image_size, self.image_size):
            given = "x".join(str(side) for side in images.shape[:1:-1])
            raise ValueError(
                f"this discriminator is of images of {self.image_size} px, not {given}; "
                "image_size, crop_size and load_size must agree"
            )
        features = self.layers(images)
        return self.critic(features), self.classifier(features).flatten(1)


class PatchDiscriminator(nn.Module):
    """PatchGAN (Isola et al., CVPR 2017): a map of logits, one a patch; 3 layers see 70x70 px.

    Args:
        width: Channels after the first layer; they double up to 8 times this.
        num_layers: Layers of stride 2.
    """

    def __init__(self, width: int, num_layers: int = 3) -> None:
        super().__init__()
        self.minimum_size = 3 * 2**num_layers  # instance normalisation needs 2x2 before the last
        widths = [3, *(width * min(2**i, 8) for i in range(num_layers + 1))]
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            stride = 2 if i < num_layers else 1
            layers.append(nn.Conv2d(inputs, outputs, 4, stride, padding=1))
            if i > 0:
                layers.append(InstanceNorm(outputs))
            layers.append(nn.LeakyReLU(0.2))
        layers.append(nn.Conv2d(widths[-1], 1, 4, 1, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to logits (batch, 1, rows, columns).

        Raises:
            ValueError: If a side is below ``minimum_size``.
        """
        require_size(images, self.minimum_size, "this patch discriminator")
        return self.layers(images)


class MultiScaleDiscriminator(nn.Module):
    """Patch discriminators without normalisation, each at half the resolution of the one before.

    Args:
        width: Channels of the first layer; they double with each.
        num_layers: Layers of stride 2.
        num_scales: Resolutions that are judged.
        channels: Of the images.
        slope: Of the leaky ReLUs below 0.
    """

    def __init__(
        self,
        width: int,
        num_layers: int,
        num_scales: int,
        *,
        channels: int = 3,
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        self.minimum_size = multi_scale_minimum(num_layers, num_scales)
        widths = [channels, *(width * 2**i for i in range(num_layers))]
        self.scales = nn.ModuleList()
        for _ in range(num_scales):
            layers: list[nn.Module] = [
                ConvLayer(inputs, outputs, 4, stride=2, activation=nn.LeakyReLU(slope))
                for inputs, outputs in pairwise(widths)
            ]
            self.scales.append(nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 1)))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map (batch, channels, height, width) to logits (batch, 1, rows, columns) of each scale.

        Raises:
            ValueError: If a side is below ``minimum_size``.
        """
        require_size(images, self.minimum_size, "this multi-scale discriminator")
        logits: list[Tensor] = []
        for scale in self.scales:
            if logits:
                images = F.avg_pool2d(images, 3, stride=2, padding=1, count_include_pad=False)
            logits.append(scale(images))
        return logits


def multi_scale_minimum(num_layers: int, num_scales: int) -> int:
    """Give the smallest side a multi-scale discriminator takes: 61 px for 4 layers at 3 scales."""
    return (2**num_layers - 1) * 2 ** (num_scales - 1) + 1  # reflection needs 2x2 before the last
