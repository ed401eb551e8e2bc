"""Adam that rests while there is nothing to learn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from i2i_bench.blocks.optimise import GroupwiseOptimizer


class RestingAdam(GroupwiseOptimizer):
    """Adam that leaves weights, moments and count as they are where all gradients are 0.

    What has no gradient because nothing asked for one is left alone by PyTorch's Adam, but the host
    must know it. Here the device does: a step on nothing but zeros is none. Parameters of a group
    learn together, from the same step on.

    Args:
        parameters: What to train.
        lr: Learning rate; a tensor on the device while steps are captured.
        betas: Decays of the moments.
        epsilon: Added to the root of the second.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float | Tensor,
        betas: tuple[float, float] = (0.5, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, epsilon=epsilon)

    def move_parameters(self, learning: list[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        """Update parameters, their moments and the count of steps, or nothing."""
        for parameter, _ in learning:
            if not self.state[parameter]:
                moments = {key: torch.zeros_like(parameter) for key in ("mean", "mean_square")}
                self.state[parameter] = {**moments, "count": parameter.new_zeros(())}
        moves = torch.stack([gradient.any() for _, gradient in learning]).any()
        counts = [self.state[parameter]["count"] for parameter, _ in learning]
        share = moves.to(counts[0].dtype)
        for count in counts:
            count += share
        beta1, beta2 = group["betas"]
        steps = counts[0].double().clamp(min=1)  # 1 - 0.999 needs its digits
        rate = (group["lr"] * share.double() / (1 - beta1**steps)).to(share.dtype)
        correction = (1 - beta2**steps).to(share.dtype)
        first, second = (1 - beta1) * share, (1 - beta2) * share
        for parameter, gradient in learning:
            state = self.state[parameter]
            state["mean"].lerp_(gradient, first)
            state["mean_square"].lerp_(gradient.square(), second)
            root = (state["mean_square"] / correction).sqrt_().add_(group["epsilon"])
            parameter.sub_(rate * state["mean"] / root)
