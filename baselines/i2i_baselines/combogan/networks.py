"""Discriminators of ComboGAN: with a logit at several layers, of grey and of blurred images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench.blocks.losses import least_squares
from i2i_bench.blocks.normalise import InstanceNorm

BLUR_SIDE = 5
BLUR_SIGMA = 3.0
LUMINANCE = (0.299, 0.587, 0.114)


def blur_kernel() -> Tensor:
    """Give the authors' 5x5 kernel: a dot filtered by a Gaussian within mirrored borders.

    The borders leave it almost flat. It is computed exactly and rounded to float32, as theirs.
    """
    reach, centre = round(4 * BLUR_SIGMA), BLUR_SIDE // 2
    weights = {o: math.exp(-((o / BLUR_SIGMA) ** 2) / 2) for o in range(-reach, reach + 1)}
    total = sum(weights.values())

    def mirrored(place: int) -> int:  # the border's own pixel comes twice
        place %= 2 * BLUR_SIDE
        return min(place, 2 * BLUR_SIDE - 1 - place)

    line = torch.zeros(BLUR_SIDE, dtype=torch.float64)
    for place in range(BLUR_SIDE):
        for offset, weight in weights.items():
            if mirrored(place + offset) == centre:
                line[place] += weight / total
    return torch.outer(line, line).float()


class LayeredDiscriminator(nn.Module):
    """A patch discriminator of padding 2 that may give logits at its layers, too.

    Args:
        width: Channels of the first layer; they double up to 8 times this.
        num_layers: Layers of stride 2.
        inputs: Channels of what is judged.
        is_layered: Whether layers between the first and the last two have a channel more, which is
            a logit, and activations are PReLUs; otherwise the last layer alone judges.
    """

    def __init__(self, width: int, num_layers: int, inputs: int, *, is_layered: bool) -> None:
        super().__init__()
        self.is_layered = is_layered
        stages = [nn.Sequential(nn.Conv2d(inputs, width, 4, 2, 2), self._activation())]
        before = width
        for number in range(1, num_layers + 1):
            is_last = number == num_layers
            after = width * min(2**number, 8)
            outputs = after + (is_layered and not is_last)
            conv = nn.Conv2d(before, outputs, 4, 1 if is_last else 2, 2)
            stage = nn.Sequential(conv, InstanceNorm(outputs), self._activation())
            stages.append(stage)
            before = after
        stages[-1].append(nn.Conv2d(before, 1, 4, 1, 2))
        self.stages = nn.ModuleList(stages)

    def _activation(self) -> nn.Module:
        return nn.PReLU() if self.is_layered else nn.LeakyReLU(0.2)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map (batch, inputs, height, width) to logits (batch, rows, columns), the last one last.

        Those of layers before the last are normalised and activated, as the authors'.
        """
        first, *between, last = self.stages
        features, logits = first(images), []
        for stage in between:
            features = stage(features)
            if self.is_layered:
                logits.append(features[:, -1])
                features = features[:, :-1]
        return [*logits, last(features)[:, 0]]


class BranchedDiscriminator(nn.Module):
    """Judge grey images, and colours of blurred ones.

    Args:
        width: Channels of both branches' first layers; they double up to 8 times this.
        num_layers: Layers of stride 2 of both.
        inputs: Channels of the images; grey is the luminance of RGB, or else the mean of channels.
    """

    blur: Tensor
    luminance: Tensor

    def __init__(self, width: int, num_layers: int, inputs: int) -> None:
        super().__init__()
        self.grey = LayeredDiscriminator(width, num_layers, 1, is_layered=True)
        self.colour = LayeredDiscriminator(width, num_layers, inputs, is_layered=True)
        kernel = blur_kernel().expand(inputs, 1, -1, -1).contiguous()
        self.register_buffer("blur", kernel, persistent=False)
        shares = LUMINANCE if inputs == 3 else (1 / inputs,) * inputs
        luminance = torch.tensor(shares, dtype=torch.float64).view(1, -1, 1, 1)
        self.register_buffer("luminance", luminance.float(), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map (batch, inputs, height, width) to logits (batch, 2 rows, columns), grey above."""
        grey = (images * self.luminance.to(images.dtype)).sum(dim=1, keepdim=True)
        kernel = self.blur.to(images.dtype)
        blurred = F.conv2d(images, kernel, padding=BLUR_SIDE // 2, groups=len(kernel))
        pairs = zip(self.grey(grey), self.colour(blurred), strict=True)
        return [torch.cat(pair, dim=1) for pair in pairs]


def layered_least_squares(logits: Sequence[Tensor], target: float) -> Tensor:
    """Add up LSGAN's losses of layers, later ones with more weight, over the number of layers.

    Of four layers the weights are 1, 2, 3 and 5, divided by their sum.
    """
    count = len(logits)
    weights = [*range(1, count), count + 1]
    terms = [
        weight * least_squares(each, target) for weight, each in zip(weights, logits, strict=True)
    ]
    return torch.stack(terms).sum() / (sum(weights) * count)
