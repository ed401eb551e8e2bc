"""Networks of MUNIT: the decoder that a style modulates, a perceptual trunk."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench import pretrained
from i2i_bench.blocks.autoencoders import up_layers
from i2i_bench.blocks.layers import ConvLayer
from i2i_bench.blocks.limits import require_size
from i2i_bench.blocks.normalise import InstanceNorm
from i2i_bench.blocks.vgg import IMAGENET_DEVIATION, IMAGENET_MEAN, VGG16

VGG_MINIMUM = 32  # px: four poolings must leave 2x2 to normalise


class AdaptiveResidualBlock(nn.Module):
    """Two reflection-padded 3x3 convolutions and a skip, normalised as a style says (AdaIN)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvLayer(width, width, 3)
        self.second = ConvLayer(width, width, 3)
        self.norm = InstanceNorm(width)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """Keep the shape of x (batch, width, height, width of the map).

        Args:
            x: Features.
            modulation: (batch, 2 norms, 2, width): of each norm what is added, then the factor.
        """
        first, second = modulation[..., None, None].unbind(1)
        y = F.relu(self._modulate(self.first(x), first))
        return x + self._modulate(self.second(y), second)

    def _modulate(self, x: Tensor, modulation: Tensor) -> Tensor:
        shift, scale = modulation.unbind(1)
        return torch.addcmul(shift, self.norm(x), scale)


class StyledDecoder(nn.Module):
    """Content and style to an image in [-1, 1] of four times the content's side, or 2**halvings.

    Args:
        width: Channels of the last layer but one; they double with each halving of the content.
        num_blocks: Residual blocks, in which the style acts.
        style_width: Numbers of a style.
        mlp_width: Hidden units between a style and what it does.
        channels: Of the images.
        num_halvings: Of the content encoder.
    """

    def __init__(
        self,
        width: int,
        num_blocks: int,
        *,
        style_width: int,
        mlp_width: int,
        channels: int,
        num_halvings: int = 2,
    ) -> None:
        super().__init__()
        inner = width * 2**num_halvings
        self.blocks = nn.ModuleList(AdaptiveResidualBlock(inner) for _ in range(num_blocks))
        self.up = nn.Sequential(*up_layers(width, channels, num_halvings))
        self.mlp = nn.Sequential(
            nn.Linear(style_width, mlp_width),
            nn.ReLU(),
            nn.Linear(mlp_width, mlp_width),
            nn.ReLU(),
            nn.Linear(mlp_width, num_blocks * 2 * 2 * inner),
        )

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Map a content (batch, 4 width, rows, columns) and (batch, style_width) to images."""
        shape = len(content), len(self.blocks), 2, 2, content.shape[1]
        modulations = self.mlp(style).view(shape).unbind(1)
        for block, modulation in zip(self.blocks, modulations, strict=True):
            content = block(content, modulation)
        return self.up(content)


class PerceptualFeatures(nn.Module):
    """Features of torchvision's VGG16 after its 13th ReLU, each normalised over place.

    Raises:
        ValueError: If the file of weights is missing or does not fit.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        network = VGG16()
        pretrained.load_frozen(pretrained.VGG_NAME, network)
        self.layers = network.features[:30]
        self.norm = InstanceNorm(512)
        for name, values in (("mean", IMAGENET_MEAN), ("deviation", IMAGENET_DEVIATION)):
            self.register_buffer(name, torch.tensor(values)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, 3, height, width) in [-1, 1] to (batch, 512, height / 16, width / 16).

        Raises:
            ValueError: If a side is below 32 px.
        """
        require_size(images, VGG_MINIMUM, "the perceptual loss")
        return self.norm(self.layers((images / 2 + 0.5 - self.mean) / self.deviation))
