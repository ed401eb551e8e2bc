"""DiscoGAN's networks, plain halvings and doublings without skips, and what a discriminator tells.

Outside images are in [-1, 1] as everywhere; inside, the networks see and make [0, 1].
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench.blocks.limits import require_divisible, require_size
from i2i_bench.blocks.losses import adversarial_cross_entropy
from i2i_bench.model import Direction

SLOPE = 0.2  # of every leaky ReLU
LEAST_SIDE = 4  # px that the halvings leave, the kernel of what follows them
NUM_MATCHED = 3  # last layers of a discriminator whose features are matched


def plain_layers(size: int, most: int) -> int:
    """Give how often images of a side can be halved to 4 px or more: 4 times for 64 px.

    Raises:
        ValueError: If they cannot be halved at all.
    """
    for number in range(most, 0, -1):
        if size % 2**number == 0 and size >> number >= LEAST_SIDE:
            return number
    raise ValueError(
        f"images of {size} px cannot be halved to {LEAST_SIDE} px or more; a multiple of 2, of at "
        f"least {2 * LEAST_SIDE} px, is needed"
    )


def _widths(width: int, num_layers: int) -> list[int]:
    return [width * min(2**i, 8) for i in range(num_layers)]


class PlainGenerator(nn.Module):
    """Convolutions that halve, transposed ones that double, batch normalisation, no bias, no skip.

    Args:
        width: Channels of the first layer; they double up to 8 times this.
        num_layers: Halvings, and as many doublings.
        inputs: Channels of the images.
        outputs: Of the results.
        bottleneck: Channels of the vector between the two halves; 0 for a map of 4x4 px.
    """

    def __init__(
        self,
        width: int,
        num_layers: int,
        *,
        inputs: int = 3,
        outputs: int = 3,
        bottleneck: int = 0,
    ) -> None:
        super().__init__()
        self.num_layers, self.bottleneck = num_layers, bottleneck
        widths = _widths(width, num_layers)
        layers = [nn.Conv2d(inputs, width, 4, 2, 1, bias=False), nn.LeakyReLU(SLOPE)]
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after)]
            layers.append(nn.LeakyReLU(SLOPE))
        if bottleneck:
            layers += [nn.Conv2d(widths[-1], bottleneck, 4, bias=False), nn.BatchNorm2d(bottleneck)]
            layers.append(nn.LeakyReLU(SLOPE))
            layers.append(nn.ConvTranspose2d(bottleneck, widths[-1], 4, bias=False))
            layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU()]
        for before, after in pairwise(widths[::-1]):
            up = nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)
            layers += [up, nn.BatchNorm2d(after), nn.ReLU()]
        layers.append(nn.ConvTranspose2d(width, outputs, 4, 2, 1, bias=False))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) in [-1, 1] to (batch, outputs, ...) in [-1, 1].

        Raises:
            ValueError: If a side cannot be halved as often, or is too small for the bottleneck.
        """
        require_divisible(images, 2**self.num_layers)
        if self.bottleneck:
            require_size(images, LEAST_SIDE * 2**self.num_layers, "this generator")
        return 2 * self.layers((images + 1) / 2).sigmoid() - 1


class PlainDiscriminator(nn.Module):
    """Convolutions that halve, batch normalisation, no bias, and one logit of the 4x4 px left.

    Args:
        width: Channels of the first layer; they double up to 8 times this.
        num_layers: Halvings.
        inputs: Channels of the images.
    """

    def __init__(self, width: int, num_layers: int, *, inputs: int = 3) -> None:
        super().__init__()
        self.num_layers = num_layers
        widths = [inputs, *_widths(width, num_layers)]
        self.stages = nn.ModuleList()
        for number, (before, after) in enumerate(pairwise(widths)):
            layers: list[nn.Module] = [nn.Conv2d(before, after, 4, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(after)] if number else []
            self.stages.append(nn.Sequential(*layers, nn.LeakyReLU(SLOPE)))
        self.head = nn.Conv2d(widths[-1], 1, 4, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Map (batch, inputs, height, width) in [-1, 1] to logits and the last stages' features.

        Returns:
            (batch, 1, rows, columns), of 1x1 where the last stage leaves 4x4 px; features of three
            stages, or of all if there are fewer.

        Raises:
            ValueError: If a side is too small.
        """
        require_size(images, LEAST_SIDE * 2**self.num_layers, "this discriminator")
        features, found = (images + 1) / 2, []
        for stage in self.stages:
            features = stage(features)
            found.append(features)
        return self.head(features), found[-NUM_MATCHED:]


def feature_matching(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Add up, over layers, the mean squared difference of the batches' mean features."""
    terms = [F.mse_loss(f.mean(dim=0), r.mean(dim=0)) for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).sum()


def plain_terms(
    discriminator: nn.Module, real: Tensor, fake: Tensor, direction: Direction
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Judge real images, then fakes: the order in which running statistics see them.

    Returns:
        ``adversarial`` and ``feature_matching`` of a direction, which its generator minimises, and
        half the sum of the two cross entropies, which the discriminator minimises.
    """
    of_real, real_features = discriminator(real)
    of_fake, fake_features = discriminator(fake)
    lacking = {
        f"adversarial_{direction}": adversarial_cross_entropy(of_fake, 1.0),
        f"feature_matching_{direction}": feature_matching(real_features, fake_features),
    }
    right = adversarial_cross_entropy(of_real, 1.0) + adversarial_cross_entropy(of_fake, 0.0)
    return lacking, {f"discriminator_{direction.target}": 0.5 * right}
