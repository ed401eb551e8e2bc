"""The networks of U-GAT-IT, as its authors' PyTorch code has them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench.blocks.limits import require_divisible, require_size
from i2i_bench.blocks.normalise import InstanceNorm
from i2i_bench.blocks.spectral import SpectralNorm


class LayerInstanceNorm(nn.Module):
    """Instance and layer normalisation, blended by a learned rho in [0, 1].

    Variances are unbiased, as in the authors' code.

    Args:
        channels: Of the features; each has its rho.
        adaptive: Whether scale and shift are inputs (the paper's AdaLIN), not parameters.
    """

    def __init__(self, channels: int, *, adaptive: bool) -> None:
        super().__init__()
        shape = (1, channels, 1, 1)
        self.rho = nn.Parameter(torch.full(shape, 0.9 if adaptive else 0.0))
        if not adaptive:
            self.gamma = nn.Parameter(torch.ones(shape))
            self.beta = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None) -> Tensor:
        """Keep the shape of x (batch, channels, height, width)."""
        gamma, beta = self.gamma if gamma is None else gamma, self.beta if beta is None else beta
        channels, pixels = x.shape[1], x.shape[2] * x.shape[3]
        variance, mean = torch.var_mean(x, dim=(2, 3), keepdim=True)
        layer_mean = mean.mean(dim=1, keepdim=True)  # a layer's moments follow from its channels'
        squares = (pixels - 1) * variance + pixels * (mean - layer_mean).square()
        layer_variance = squares.sum(dim=1, keepdim=True) / (channels * pixels - 1)
        of_instance = self.rho * (variance + 1e-5).rsqrt()
        of_layer = (1 - self.rho) * (layer_variance + 1e-5).rsqrt()
        shift = beta - gamma * (of_instance * mean + of_layer * layer_mean)
        return torch.addcmul(shift, x, gamma * (of_instance + of_layer))


class ClassActivationMap(nn.Module):
    """Attention to the channels by which two linear classifiers tell the domains apart.

    Args:
        channels: Of the features.
        spectral: Whether the classifiers are spectrally normalised; their weights on the features
            are not, as in the authors' code.
        activation: After the attention.
    """

    def __init__(self, channels: int, *, spectral: bool, activation: nn.Module) -> None:
        super().__init__()
        gap, gmp = (nn.Linear(channels, 1, bias=False) for _ in range(2))
        self.gap_fc = SpectralNorm(gap) if spectral else gap
        self.gmp_fc = SpectralNorm(gmp) if spectral else gmp
        self.conv1x1 = nn.Conv2d(2 * channels, channels, 1)
        self.activation = activation

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give features of the same shape, and both classifiers' logits (batch, 2)."""
        logits = [self.gap_fc(x.mean(dim=(2, 3))), self.gmp_fc(x.amax(dim=(2, 3)))]
        # a classifier's first parameter is its raw weight, (1, channels)
        raw = torch.stack([next(fc.parameters()) for fc in (self.gap_fc, self.gmp_fc)])
        # conv1x1 of both weighted copies of x, side by side, is one convolution of x itself
        weight = (self.conv1x1.weight.unflatten(1, (2, -1)) * raw.view(2, -1, 1, 1)).sum(dim=1)
        return self.activation(F.conv2d(x, weight, self.conv1x1.bias)), torch.cat(logits, dim=1)


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Build a reflection-padded convolution without bias."""
    padding = kernel // 2
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, padding_mode="reflect", bias=False)


class ResidualBlock(nn.Module):
    """Two convolutions, each with a normalisation that may take inputs of its own, and a skip."""

    def __init__(self, width: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1, self.norm1 = convolution(width, width, 3), norm(width)
        self.conv2, self.norm2 = convolution(width, width, 3), norm(width)

    def forward(self, x: Tensor, *style: Tensor) -> Tensor:
        """Keep the shape of x (batch, width, height, width)."""
        inner = F.relu(self.norm1(self.conv1(x), *style))
        return x + self.norm2(self.conv2(inner), *style)


class Generator(nn.Module):
    """Encoder, class activation map, adaptive residual blocks, decoder.

    Args:
        width: Channels of the first layer.
        num_blocks: Residual blocks of the encoder, and as many adaptive ones after it.
        image_size: Side in pixels where scale and shift come from the whole feature map; None where
            they come from channel averages, which takes any size.
    """

    def __init__(self, width: int, num_blocks: int, image_size: int | None) -> None:
        super().__init__()
        self.image_size, channels = image_size, 4 * width
        encoder: list[nn.Module] = []
        for shape in ((3, width, 7, 1), (width, 2 * width, 3, 2), (2 * width, channels, 3, 2)):
            encoder += [convolution(*shape), InstanceNorm(shape[1]), nn.ReLU()]
        encoder += [ResidualBlock(channels, InstanceNorm) for _ in range(num_blocks)]
        self.encoder = nn.Sequential(*encoder)
        self.activation_map = ClassActivationMap(channels, spectral=False, activation=nn.ReLU())
        inputs = channels * (1 if image_size is None else (image_size // 4) ** 2)
        first, second, self.gamma, self.beta = (
            nn.Linear(n, channels, bias=False) for n in (inputs, channels, channels, channels)
        )
        self.perceptron = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
        adaptive = partial(LayerInstanceNorm, adaptive=True)
        self.blocks = nn.ModuleList(ResidualBlock(channels, adaptive) for _ in range(num_blocks))
        decoder: list[nn.Module] = []
        for wide in (channels, 2 * width):
            decoder += [nn.Upsample(scale_factor=2), convolution(wide, wide // 2, 3)]
            decoder += [LayerInstanceNorm(wide // 2, adaptive=False), nn.ReLU()]
        self.decoder = nn.Sequential(*decoder, convolution(width, 3, 7), nn.Tanh())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Translate (batch, 3, height, width) in [-1, 1]; give the domain logits (batch, 2) too.

        Raises:
            ValueError: If a side is not divisible by 4, below 8 px, or not the full model's.
        """
        self._check(images)
        x, logits = self.activation_map(self.encoder(images))
        style = self.perceptron(x.mean(dim=(2, 3)) if self.image_size is None else x.flatten(1))
        gamma, beta = (layer(style)[:, :, None, None] for layer in (self.gamma, self.beta))
        for block in self.blocks:
            x = block(x, gamma, beta)
        return self.decoder(x), logits

    def _check(self, images: Tensor) -> None:
        require_size(images, 8, "U-GAT-IT")
        height, width = images.shape[-2:]
        if self.image_size and (height, width) != (self.image_size, self.image_size):
            raise ValueError(
                f"this U-GAT-IT is for images of {self.image_size} px, not {width}x{height}; "
                "the light model takes any size"
            )
        require_divisible(images, 4)


class Discriminator(nn.Module):
    """Spectrally normalised patch discriminator with a class activation map."""

    def __init__(self, width: int, num_layers: int) -> None:
        super().__init__()
        self.minimum_size = minimum_size(num_layers)
        widths = [3, *(width * 2**i for i in range(num_layers - 1))]
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            stride = 2 if i < num_layers - 2 else 1
            layer = SpectralNorm(nn.Conv2d(inputs, outputs, 4, stride))
            layers += [nn.ReflectionPad2d(1), layer, nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.activation_map = ClassActivationMap(
            widths[-1], spectral=True, activation=nn.LeakyReLU(0.2)
        )
        self.last = SpectralNorm(nn.Conv2d(widths[-1], 1, 4, bias=False))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map (batch, 3, height, width) to patch logits (batch, 1, rows, columns) and (batch, 2).

        Raises:
            ValueError: If a side is below ``minimum_size``.
        """
        require_size(images, self.minimum_size, "this discriminator of U-GAT-IT")
        x, logits = self.activation_map(self.layers(images))
        return self.last(F.pad(x, (1, 1, 1, 1), "reflect")), logits


def minimum_size(num_layers: int) -> int:
    """Give the smallest side a discriminator takes: 96 px for the authors' 7 layers."""
    return 3 * 2 ** (num_layers - 2)
