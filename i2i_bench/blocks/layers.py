"""Convolution, doubling and residual layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench.blocks.normalise import InstanceNorm

Norm = Callable[[int], nn.Module] | None


def join_planes(x: Tensor, code: Tensor) -> Tensor:
    """Join a code (batch, numbers) to (batch, channels, height, width), each number as a plane."""
    planes = code[:, :, None, None].expand(-1, -1, *x.shape[2:])
    return torch.cat([x, planes.to(x.dtype)], dim=1)


class BlurDown(nn.Module):
    """Halve the sides without aliasing (Zhang, ICML 2019): a blur by 1 2 1, then every other pixel.

    It maps (batch, channels, height, width) to half the sides, rounded up.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ReflectionPad2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """Mirror the border; 1 2 1 is a mean of two pixels, and again of two such means."""
        return F.avg_pool2d(F.avg_pool2d(self.pad(x), 2, stride=1), 2)


class BlurUp(nn.Module):
    """Double the sides without aliasing: zeros between the pixels, then a blur by 1 3 3 1.

    With the border repeated that is bilinear interpolation. It maps (batch, channels, height,
    width) to twice the sides.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Interpolate."""
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class ConvLayer(nn.Sequential):
    """Padding that keeps the size at stride 1, convolution with bias, normalisation, activation.

    It maps (batch, inputs, height, width) to (batch, outputs, ...), divided by the stride. With
    ``blur`` the convolution has stride 1, and what the activation gives is halved by ``BlurDown``.
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
        blur: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs,
            outputs,
            kernel,
            1 if blur else stride,
            padding=(kernel - 1) // 2,
            padding_mode=padding,
        )
        self.norm = norm(outputs) if norm else nn.Identity()
        self.activation = activation or nn.Identity()
        if blur:
            self.blur = BlurDown()


class UpLayer(nn.Sequential):
    """Transposed 3x3 convolution that doubles the side, instance normalisation, ReLU.

    It maps (batch, inputs, height, width) to (batch, outputs, 2 height, 2 width). With ``blur``,
    ``BlurUp`` doubles the side and the convolution is a plain one.
    """

    def __init__(self, inputs: int, outputs: int, *, blur: bool = False) -> None:
        super().__init__()
        if blur:
            self.blur = BlurUp()
            self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        else:
            self.conv = nn.ConvTranspose2d(
                inputs, outputs, 3, stride=2, padding=1, output_padding=1
            )
        self.norm = InstanceNorm(outputs)
        self.activation = nn.ReLU()


class ResidualBlock(nn.Module):
    """Two padded 3x3 convolutions and a skip; no activation after the sum.

    Args:
        width: Channels.
        norm: Normalisation after both.
        padding: Of both.
        activation: Makes what is between them.
    """

    def __init__(
        self,
        width: int,
        norm: Norm = InstanceNorm,
        *,
        padding: Literal["reflect", "zeros"] = "reflect",
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.first = ConvLayer(width, width, 3, padding=padding, norm=norm, activation=activation())
        self.second = ConvLayer(width, width, 3, padding=padding, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (batch, width, height, width)."""
        return x + self.second(self.first(x))


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: zeros, the odd one at the bottom and right.

    It maps (batch, inputs, height, width) to (batch, outputs, ...), divided by the stride and
    rounded up.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Pad and convolve."""
        rows, columns = (
            _same_padding(side, kernel, stride)
            for side, kernel, stride in zip(
                input.shape[2:], self.kernel_size, self.stride, strict=True
            )
        )
        if len(set(rows)) == len(set(columns)) == 1:  # the convolution can pad by itself
            return F.conv2d(input, self.weight, self.bias, self.stride, (rows[0], columns[0]))
        return F.conv2d(F.pad(input, (*columns, *rows)), self.weight, self.bias, self.stride)


class SameConvTranspose2d(nn.ConvTranspose2d):
    """The way back from ``SameConv2d`` of images whose sides the stride divides.

    It maps (batch, inputs, height, width) to (batch, outputs, ...), times the stride.
    """

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve, and cut off what the padding was."""
        del output_size
        scales = tuple(zip(input.shape[2:], self.kernel_size, self.stride, strict=True))
        before = [
            _same_padding(side * stride, kernel, stride)[0] for side, kernel, stride in scales
        ]
        full = F.conv_transpose2d(input, self.weight, self.bias, self.stride, before)
        height, width = (side * stride for side, _, stride in scales)
        return full[..., :height, :width]


def _same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Give the zeros before and after ``side`` pixels."""
    total = max(0, (-(-side // stride) - 1) * stride + kernel - side)
    return total // 2, total - total // 2
