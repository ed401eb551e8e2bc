"""Networks of InstaGAN, to which the order of an image's masks means nothing."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench.blocks.generators import ResNetEncoder, decoder
from i2i_bench.blocks.layers import ConvLayer
from i2i_bench.blocks.limits import require_size
from i2i_bench.blocks.normalise import InstanceNorm
from i2i_bench.blocks.spectral import SpectralNorm


def has_instance(masks: Tensor) -> Tensor:
    """Tell which masks (..., height, width) in [-1, 1] are not empty."""
    return (masks > -1).flatten(-2).any(dim=-1)


class MaskHead(ConvLayer):
    """A 7x7 convolution to one channel, and tanh: a ``ConvLayer``, computed tap by tap.

    Processors are slow at convolutions to a single channel; one of 1x1 to a channel for each tap of
    the kernel, shifted and added up, takes a quarter of the time. Under autocast it is one
    convolution, as each tap would be rounded.

    Args:
        inputs: Channels of the features.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1, 7, activation=nn.Tanh())

    def forward(self, input: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to masks (batch, 1, height, width) in [-1, 1]."""
        if not input.is_meta and torch.is_autocast_enabled(input.device.type):
            return super().forward(input)
        padded = F.pad(input, (3, 3, 3, 3), mode="reflect")
        taps = self.conv.weight.flip(2, 3).flatten(2).permute(2, 1, 0)  # (49, inputs, 1)
        planes = F.conv2d(padded, taps.unsqueeze(-1)).flatten(2)
        height, width = (side + 6 for side in padded.shape[2:])
        whole = F.fold(planes, (height, width), 7)[..., 6:-6, 6:-6]
        assert self.conv.bias is not None
        return self.activation(whole + self.conv.bias)


class SetGenerator(nn.Module):
    """Translate an image and its masks; masks in another order come out in that order.

    The sum of the masks' codes stands beside the image's code, and both beside a mask's.

    Args:
        width: Channels of the encoders' first layers.
        num_blocks: Residual blocks of each encoder.
        inputs: Channels of the images.
        outputs: Channels of the translations.
    """

    def __init__(self, width: int, num_blocks: int, inputs: int = 3, outputs: int = 3) -> None:
        super().__init__()
        self.image_encoder = ResNetEncoder(width, num_blocks, inputs=inputs)
        self.mask_encoder = ResNetEncoder(width, num_blocks, inputs=1)
        head = ConvLayer(2 * width, outputs, 7, activation=nn.Tanh())
        self.image_decoder = decoder(2 * width, head)
        self.mask_decoder = decoder(3 * width, MaskHead(3 * width))

    def forward(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (batch, inputs, height, width) and masks (batch, instances, height, width).

        Both are in [-1, 1]. An empty mask, of -1 everywhere, has no code and stays as it is.

        Raises:
            ValueError: If a side is not divisible by 4, or below 8 px.
        """
        is_there = has_instance(masks)[:, :, None, None]
        code = self.image_encoder(images)
        each = self.mask_encoder(masks.flatten(0, 1).unsqueeze(1)).unflatten(0, masks.shape[:2])
        whole = torch.where(is_there[..., None], each, 0).sum(dim=1)
        beside = torch.cat([code, whole], dim=1)
        around = beside.unsqueeze(1).expand(-1, masks.shape[1], -1, -1, -1)
        moved = self.mask_decoder(torch.cat([each, around], dim=2).flatten(0, 1))
        moved = moved.unflatten(0, masks.shape[:2]).squeeze(2)
        return self.image_decoder(beside), torch.where(is_there, moved, masks)


class SetDiscriminator(nn.Module):
    """Judge patches of an image with its masks, whose features are added up.

    Args:
        width: Channels of the first layers; they double up to 8 times this.
        num_layers: Layers of stride 2; 3 see 70x70 px.
        inputs: Channels of the images.
    """

    def __init__(self, width: int, num_layers: int = 3, inputs: int = 3) -> None:
        super().__init__()
        self.minimum_size = 3 * 2**num_layers  # normalisation needs 2x2 before the last layer
        widths = [width * min(2**i, 8) for i in range(num_layers + 1)]
        self.image_features = _features([inputs, *widths[:-1]])
        self.mask_features = _features([1, *widths[:-1]])
        before, after = 2 * widths[-2], 2 * widths[-1]
        self.classifier = nn.Sequential(
            SpectralNorm(nn.Conv2d(before, after, 4, 1, 1)),
            InstanceNorm(after),
            nn.LeakyReLU(0.2),
            SpectralNorm(nn.Conv2d(after, 1, 4, 1, 1)),
        )

    def forward(self, images: Tensor, masks: Tensor, is_active: Tensor | None = None) -> Tensor:
        """Map images and masks (batch, instances, height, width) to logits (batch, 1, rows, ...).

        Spectral norms take a step, those of the features of masks one for each mask that is not
        empty in all images. Of an image without any instance the first, empty mask is taken, as in
        the authors' code.

        Args:
            images: (batch, inputs, height, width) in [-1, 1].
            masks: In [-1, 1]; -1 everywhere where empty.
            is_active: (batch,), false for images whose logits are of no use, and for which spectral
                norms take no step; by default all are true.

        Raises:
            ValueError: If a side is below ``minimum_size``.
        """
        require_size(images, self.minimum_size, "this set discriminator")
        is_there = has_instance(masks)
        is_first = torch.arange(masks.shape[1], device=masks.device) == 0
        is_there = is_there | (is_first & ~is_there.any(dim=1, keepdim=True))
        is_used = is_there if is_active is None else is_there & is_active[:, None]
        is_counted = None if is_active is None else is_active.any()
        features = _apply(self.image_features, images, is_counted)
        whole = torch.zeros_like(features)
        parts = (each.split(1, dim=1) for each in (masks, is_there, is_used))
        for mask, there, used in zip(*parts, strict=True):
            found = _apply(self.mask_features, mask, used.any())
            whole = whole + torch.where(there[..., None, None], found, 0)
        return _apply(self.classifier, torch.cat([features, whole], dim=1), is_counted)


def _apply(layers: nn.Sequential, x: Tensor, is_counted: Tensor | None) -> Tensor:
    """Apply layers, whose spectral norms take a step only where that is counted."""
    for layer in layers:
        x = layer(x, is_counted) if isinstance(layer, SpectralNorm) else layer(x)
    return x


def _features(widths: list[int]) -> nn.Sequential:
    """Build layers of stride 2, all but the first with a normalisation."""
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        layers.append(SpectralNorm(nn.Conv2d(inputs, outputs, 4, 2, 1)))
        if number > 0:
            layers.append(InstanceNorm(outputs))
        layers.append(nn.LeakyReLU(0.2))
    return nn.Sequential(*layers)
