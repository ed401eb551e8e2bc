"""Adam that rests while there is nothing to learn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class RestingAdam(Optimizer):
    """Adam that leaves weights, moments and count as they are where all gradients are 0.

    What has no gradient because nothing asked for one is left alone by PyTorch's Adam, but the host
    must know it. Here the device does: a step on nothing but zeros is none.

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
        defaults = {"lr": lr, "betas": betas, "epsilon": epsilon, "capturable": False}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] - torch's overloads
        """Take one step down the gradients, if there are any."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            learning = [p for p in group["params"] if p.grad is not None]
            if learning:
                moves = torch.stack([p.grad.any() for p in learning]).any()
                for parameter in learning:
                    self._move(parameter, group, moves)
        return loss

    def _move(self, parameter: Tensor, group: dict[str, Any], moves: Tensor) -> None:
        """Update a parameter, its moments and its count of steps, or nothing."""
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if not state:
            state["mean"] = torch.zeros_like(parameter)
            state["mean_square"] = torch.zeros_like(parameter)
            state["count"] = torch.zeros_like(moves, dtype=parameter.dtype)
        share = moves.to(parameter.dtype)
        beta1, beta2 = group["betas"]
        state["count"] += share
        state["mean"].lerp_(gradient, (1 - beta1) * share)
        state["mean_square"].lerp_(gradient.square(), (1 - beta2) * share)
        count = state["count"].double().clamp(min=1)  # digits of 1 - 0.999
        first, second = ((1 - beta**count).to(parameter.dtype) for beta in (beta1, beta2))
        root = (state["mean_square"] / second).sqrt_().add_(group["epsilon"])
        parameter.sub_(group["lr"] * share / first * state["mean"] / root)
