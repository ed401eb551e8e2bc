"""Patch discriminators: plain, at several scales, and with a head that classifies labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench.blocks.layers import BlurDown, ConvLayer, SameConv2d
from i2i_bench.blocks.limits import require_size, require_square
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
        require_square(images, self.image_size, "this discriminator")
        features = self.layers(images)
        return self.critic(features), self.classifier(features).flatten(1)


class PatchDiscriminator(nn.Module):
    """PatchGAN (Isola et al., CVPR 2017): a map of logits, one a patch; 3 layers see 70x70 px.

    Args:
        width: Channels after the first layer; they double up to 8 times this.
        num_layers: Layers of stride 2.
        inputs: Channels of what is judged: of an image, or of all that are joined.
        norm: Normalisation, after all convolutions but the first and the last.
        norm_bias: Whether convolutions before a normalisation have a bias.
        kernel: Side of convolutions; one of another side than 4 has TensorFlow's SAME padding.
        blur: Whether layers have stride 1, and ``BlurDown`` halves behind the activation instead.
    """

    def __init__(
        self,
        width: int,
        num_layers: int = 3,
        *,
        inputs: int = 3,
        norm: Callable[[int], nn.Module] = InstanceNorm,
        norm_bias: bool = True,
        kernel: int = 4,
        blur: bool = False,
    ) -> None:
        super().__init__()
        self.minimum_size = 3 * 2**num_layers  # normalisation needs 2x2 before the last one
        widths = [inputs, *(width * min(2**i, 8) for i in range(num_layers + 1))]
        layers: list[nn.Module] = []
        for i, (channels, outputs) in enumerate(pairwise(widths)):
            stride = 2 if i < num_layers and not blur else 1
            layers.append(_patch_conv(channels, outputs, kernel, stride, bias=norm_bias or i == 0))
            if i > 0:
                layers.append(norm(outputs))
            layers.append(nn.LeakyReLU(0.2))
            if blur and i < num_layers:
                layers.append(BlurDown())
        layers.append(_patch_conv(widths[-1], 1, kernel, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to logits (batch, 1, rows, columns).

        Raises:
            ValueError: If a side is below ``minimum_size``.
        """
        require_size(images, self.minimum_size, "this patch discriminator")
        return self.layers(images)


def _patch_conv(
    inputs: int, outputs: int, kernel: int, stride: int, *, bias: bool = True
) -> nn.Conv2d:
    """Make a convolution; PatchGAN's of side 4 take a row off the map where they do not halve."""
    if kernel == 4:
        return nn.Conv2d(inputs, outputs, kernel, stride, padding=1, bias=bias)
    return SameConv2d(inputs, outputs, kernel, stride, bias=bias)


class ScaledDiscriminators(nn.Module):
    """Discriminators, each of which judges at half the resolution of the one before.

    Args:
        scales: The discriminators, that of the full resolution first.
        minimum_size: Smallest side in pixels that all of them take.
    """

    def __init__(self, scales: Iterable[nn.Module], minimum_size: int) -> None:
        super().__init__()
        self.minimum_size = minimum_size
        self.scales = nn.ModuleList(scales)

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


class MultiScaleDiscriminator(ScaledDiscriminators):
    """Patch discriminators without normalisation, at several resolutions.

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
        widths = [channels, *(width * 2**i for i in range(num_layers))]
        scales = []
        for _ in range(num_scales):
            layers: list[nn.Module] = [
                ConvLayer(inputs, outputs, 4, stride=2, activation=nn.LeakyReLU(slope))
                for inputs, outputs in pairwise(widths)
            ]
            scales.append(nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 1)))
        super().__init__(scales, multi_scale_minimum(num_layers, num_scales))


def multi_scale_minimum(num_layers: int, num_scales: int) -> int:
    """Give the smallest side a multi-scale discriminator takes: 61 px for 4 layers at 3 scales."""
    return (2**num_layers - 1) * 2 ** (num_scales - 1) + 1  # reflection needs 2x2 before the last


class MultiScalePatchDiscriminator(ScaledDiscriminators):
    """PatchGANs at several resolutions, each half as wide as the one before.

    Args:
        width: Channels after the first layer of that of the full resolution.
        num_layers: Layers of stride 2 of each.
        num_scales: Resolutions that are judged.
        channels: Of the images.
    """

    def __init__(self, width: int, num_layers: int, num_scales: int, *, channels: int = 3) -> None:
        scales = [
            PatchDiscriminator(max(1, width >> scale), num_layers, inputs=channels)
            for scale in range(num_scales)
        ]
        super().__init__(scales, scales[0].minimum_size * 2 ** (num_scales - 1))
