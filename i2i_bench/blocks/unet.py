"""U-Nets: halve an image down to a bottleneck and double it back, with or without skips."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from i2i_bench.blocks.layers import Norm, SameConv2d, SameConvTranspose2d, join_planes
from i2i_bench.blocks.limits import require_divisible
from i2i_bench.randomness import Randomness

DROPOUT = 0.5  # share of values that a layer with dropout sets to 0


@dataclass(frozen=True)
class UNetPlan:
    """Layers of a U-Net.

    Level 1 is the image's own; the last one is the bottleneck. Up layers are counted from the
    bottleneck: the first one leaves it, the last one gives the image.

    Attributes:
        levels: Halvings, and as many doublings.
        width: Channels after the first halving; they double with each, up to 8 times this.
        inputs: Channels of the image.
        outputs: Channels of the result.
        kernel: Side of convolutions.
        end_kernel: Side of the first and the last one; None for that of the others.
        skips: Whether what enters a level is joined to what comes back from it.
        join: Order of the two in a joined tensor.
        norm: Normalisation, after all convolutions but the first, the last and, unless
            ``bottleneck_norm``, that into the bottleneck; None for none.
        bottleneck_norm: Whether there is one after the convolution into the bottleneck.
        bias: ``all``: in every convolution; ``last``: in the last one alone.
        dropout: Numbers of the up layers with dropout, after the normalisation.
        code: Channels of a code, planes of which are joined to what is halved.
        code_at: Where: before the ``first`` halving, or before ``all``.
    """

    levels: int
    width: int
    inputs: int = 3
    outputs: int = 3
    kernel: int = 4
    end_kernel: int | None = None
    skips: bool = True
    join: Literal["skip_up", "up_skip"] = "skip_up"
    norm: Norm = None
    bottleneck_norm: bool = False
    bias: Literal["all", "last"] = "all"
    dropout: tuple[int, ...] = ()
    code: int = 0
    code_at: Literal["first", "all"] = "all"

    def __post_init__(self) -> None:
        """Refuse plans that no network follows.

        Raises:
            ValueError: If there is no level, or dropout at an up layer that has none.
        """
        if self.levels < 1:
            raise ValueError(f"levels is {self.levels}; a U-Net has at least 1")
        wrong = [number for number in self.dropout if not 1 <= number < self.levels]
        if wrong:
            raise ValueError(
                f"dropout at up layer {wrong[0]}; with {self.levels} levels it may follow those "
                f"from 1 to {self.levels - 1}"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level below the image."""
        return tuple(self.width * min(2**i, 8) for i in range(self.levels))

    def kernel_at(self, level: int) -> int:
        """Give the side of the convolutions between a level, from 1, and the one below it."""
        return self.end_kernel or self.kernel if level == 1 else self.kernel


class UNet(nn.Module):
    """A generator that halves an image to a bottleneck and doubles it back (Isola et al., 2017).

    What a skip carries is taken before the activation, and activated after it is joined. Sizes
    follow TensorFlow's SAME padding: for the usual kernel of 4 that is one row on every side.
    """

    def __init__(self, plan: UNetPlan) -> None:
        super().__init__()
        self.plan = plan
        widths = (plan.inputs, *plan.widths)
        levels = range(1, plan.levels + 1)
        self.down = nn.ModuleList(
            self._down_layer(level, inputs, outputs)
            for level, (inputs, outputs) in zip(levels, pairwise(widths), strict=True)
        )
        ups = (plan.outputs, *plan.widths)
        self.up = nn.ModuleList(
            self._up_layer(level, ups[level], ups[level - 1]) for level in reversed(levels)
        )

    def _down_layer(self, level: int, inputs: int, outputs: int) -> nn.Sequential:
        plan = self.plan
        if plan.code_at == "all" or level == 1:
            inputs += plan.code
        layers: list[nn.Module] = [] if level == 1 else [nn.LeakyReLU(0.2)]
        kernel = plan.kernel_at(level)
        layers.append(SameConv2d(inputs, outputs, kernel, 2, bias=plan.bias == "all"))
        is_bare = level == 1 or (level == plan.levels and not plan.bottleneck_norm)
        if plan.norm and not is_bare:
            layers.append(plan.norm(outputs))
        return nn.Sequential(*layers)

    def _up_layer(self, level: int, inputs: int, outputs: int) -> nn.Sequential:
        plan = self.plan
        is_joined = plan.skips and level < plan.levels
        has_bias = plan.bias == "all" or level == 1
        kernel = plan.kernel_at(level)
        conv = SameConvTranspose2d(
            2 * inputs if is_joined else inputs, outputs, kernel, 2, bias=has_bias
        )
        layers: list[nn.Module] = [nn.ReLU(), conv]
        if level == 1:
            layers.append(nn.Tanh())
        elif plan.norm:
            layers.append(plan.norm(outputs))
        return nn.Sequential(*layers)

    def draw_kept(self, images: Tensor, random: Randomness, name: str) -> tuple[Tensor, ...]:
        """Draw which values each layer with dropout keeps, by up layer from the bottleneck.

        Args:
            images: That are to be translated, (batch, inputs, height, width).
            random: Source of chance.
            name: Of the draw; another one for every pass of a step.
        """
        kept = []
        for number in sorted(self.plan.dropout):
            level = self.plan.levels - number  # whose resolution the layer gives
            height, width = (side >> level for side in images.shape[2:])
            shape = (len(images), self.plan.widths[level - 1], height, width)
            kept.append(random.uniform(f"{name}_{number}", shape) >= DROPOUT)
        return tuple(kept)

    def forward(
        self, images: Tensor, code: Tensor | None = None, kept: tuple[Tensor, ...] = ()
    ) -> Tensor:
        """Translate images.

        Args:
            images: (batch, inputs, height, width) in [-1, 1].
            code: (batch, code), for a plan with a code.
            kept: From ``draw_kept``; dropout is off without.

        Returns:
            (batch, outputs, height, width) in [-1, 1].

        Raises:
            ValueError: If a side is not divisible by 2 to the number of levels.
        """
        require_divisible(images, 2**self.plan.levels)
        skips: list[Tensor] = []
        x = images
        for level, layer in enumerate(self.down, 1):
            if code is not None and (level == 1 or self.plan.code_at == "all"):
                x = join_planes(x, code)
            x = layer(x)
            skips.append(x)
        skips.pop()
        masks = dict(zip(sorted(self.plan.dropout), kept, strict=True)) if kept else {}
        for number, layer in enumerate(self.up, 1):
            x = layer(x)
            if number in masks:
                x = x * (masks[number].to(x.dtype) / (1 - DROPOUT))
            if self.plan.skips and skips:
                pair = (skips.pop(), x)
                x = torch.cat(pair if self.plan.join == "skip_up" else pair[::-1], dim=1)
        return x


def fitting_levels(size: int, largest: int) -> int:
    """Give the halvings that take a side of ``size`` px to whole numbers, ``largest`` at most."""
    return min(largest, (size & -size).bit_length() - 1)
