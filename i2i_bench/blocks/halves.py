"""The ResNet generator in two halves, of any padding, normalisation and activation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from i2i_bench.blocks.layers import ConvLayer, ResidualBlock
from i2i_bench.blocks.limits import require_divisible, require_size
from i2i_bench.blocks.normalise import InstanceNorm


@dataclass(frozen=True)
class HalvesPlan:
    """What both halves have in common.

    Attributes:
        width: Channels of the first and the last layer but one; the code has 4 times as many.
        padding: Of residual blocks and of the 7x7 convolutions; halvings have zeros.
        norm: Makes a normalisation of so many channels.
        activation: Makes an activation.
        up_kernel: Side of the transposed convolutions, 3 or 4.
    """

    width: int
    padding: Literal["reflect", "zeros"] = "reflect"
    norm: Callable[[int], nn.Module] = InstanceNorm
    activation: Callable[[], nn.Module] = nn.ReLU
    up_kernel: int = 3


def _residual_blocks(plan: HalvesPlan, number: int) -> nn.Sequential:
    inner = 4 * plan.width
    make = plan.activation
    blocks = (
        ResidualBlock(inner, plan.norm, padding=plan.padding, activation=make)
        for _ in range(number)
    )
    return nn.Sequential(*blocks)


class HalfEncoder(nn.Module):
    """Image to code: a 7x7 stem, two halvings, residual blocks.

    Args:
        plan: Of both halves.
        num_blocks: Residual blocks.
        inputs: Channels of the images.
    """

    def __init__(self, plan: HalvesPlan, num_blocks: int, inputs: int = 3) -> None:
        super().__init__()
        norm, make, width = plan.norm, plan.activation, plan.width
        self.stem = ConvLayer(inputs, width, 7, padding=plan.padding, norm=norm, activation=make())
        halvings = (
            ConvLayer(i, 2 * i, 3, stride=2, padding="zeros", norm=norm, activation=make())
            for i in (width, 2 * width)
        )
        self.down = nn.Sequential(*halvings)
        self.blocks = _residual_blocks(plan, num_blocks)

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, 4 width, height / 4, width / 4).

        Raises:
            ValueError: If a side is not divisible by 4, or below 8 px.
        """
        require_size(images, 8, "this encoder")
        require_divisible(images, 4)
        return self.blocks(self.down(self.stem(images)))


class HalfDecoder(nn.Sequential):
    """Code to image in [-1, 1]: residual blocks, two doublings, a 7x7 head.

    It maps (batch, 4 width, height, width) to (batch, outputs, 4 height, 4 width).

    Args:
        plan: Of both halves.
        num_blocks: Residual blocks.
        outputs: Channels of the images.
    """

    def __init__(self, plan: HalvesPlan, num_blocks: int, outputs: int = 3) -> None:
        super().__init__()
        width, odd = plan.width, plan.up_kernel % 2
        self.blocks = _residual_blocks(plan, num_blocks)
        self.up = nn.Sequential()
        for number, i in enumerate((4 * width, 2 * width)):
            conv = nn.ConvTranspose2d(
                i, i // 2, plan.up_kernel, stride=2, padding=1, output_padding=odd
            )
            layer = nn.Sequential(conv, plan.norm(i // 2), plan.activation())
            self.up.add_module(str(number), layer)
        self.head = ConvLayer(width, outputs, 7, padding=plan.padding, activation=nn.Tanh())
