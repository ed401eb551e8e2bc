"""Convolution, doubling and residual layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from i2i_bench.blocks.normalise import InstanceNorm

Norm = Callable[[int], nn.Module] | None


class ConvLayer(nn.Sequential):
    """Padding that keeps the size at stride 1, convolution with bias, normalisation, activation.

    It maps (batch, inputs, height, width) to (batch, outputs, ...), divided by the stride.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: Literal["reflect", "zeros"] = "reflect",
        norm: Norm = None,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, padding_mode=padding
        )
        self.norm = norm(outputs) if norm else nn.Identity()
        self.activation = activation or nn.Identity()


class UpLayer(nn.Sequential):
    """Transposed 3x3 convolution that doubles the side, instance normalisation, ReLU.

    It maps (batch, inputs, height, width) to (batch, outputs, 2 height, 2 width).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
        self.norm = InstanceNorm(outputs)
        self.activation = nn.ReLU()


class ResidualBlock(nn.Module):
    """Two reflection-padded 3x3 convolutions and a skip; no activation after the sum."""

    def __init__(self, width: int, norm: Norm = InstanceNorm) -> None:
        super().__init__()
        self.first = ConvLayer(width, width, 3, norm=norm, activation=nn.ReLU())
        self.second = ConvLayer(width, width, 3, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (batch, width, height, width)."""
        return x + self.second(self.first(x))
