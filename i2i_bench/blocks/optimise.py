"""Make optimisers, set their learning rates and take their steps."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def adam(
    networks: nn.ModuleDict, learning_rate: float, beta1: float, weight_decay: float = 0.0
) -> dict[str, Optimizer]:
    """Make an Adam for each group of networks that has parameters to learn.

    The decay of the second moment is 0.999, and weight decay is L2 within Adam.
    """
    trainable = {
        name: [p for p in network.parameters() if p.requires_grad]
        for name, network in networks.items()
    }
    return {
        name: torch.optim.Adam(parameters, learning_rate, (beta1, 0.999), weight_decay=weight_decay)
        for name, parameters in trainable.items()
        if parameters
    }


class GroupwiseOptimizer(Optimizer, ABC):
    """An optimiser of which a subclass writes how the parameters of a group move.

    Nothing of it counts on the host, so that steps can be captured. A parameter without a gradient
    keeps its value and what is kept for it.

    Args:
        parameters: What to train.
        lr: Learning rate; a tensor on the device while steps are captured.
        settings: What else a group states, by name.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float | Tensor, **settings: Any) -> None:
        super().__init__(parameters, {"lr": lr, **settings, "capturable": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] - torch's overloads
        """Take one step down the gradients; return what the closure gives."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            learning = [(p, p.grad) for p in group["params"] if p.grad is not None]
            if learning:
                self.move_parameters(learning, group)
        return loss

    @abstractmethod
    def move_parameters(self, learning: list[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        """Move parameters in place, and what ``self.state`` keeps for them.

        Args:
            learning: Those of the group that have gradients, at least one, each with its gradient.
            group: Their settings, ``lr`` among them.
        """


class TensorFlowRMSProp(GroupwiseOptimizer):
    """RMSProp as TensorFlow 1 has it: the mean square starts at 1, epsilon is inside the root.

    With PyTorch's, which starts at 0 and adds epsilon to the root, first steps are three times as
    long. A parameter without a gradient keeps its value and its mean square.

    Args:
        parameters: What to train.
        lr: Learning rate; a tensor on the device while steps are captured.
        decay: Of the mean square.
        epsilon: Added to it.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float | Tensor,
        decay: float = 0.9,
        epsilon: float = 1e-10,
    ) -> None:
        super().__init__(parameters, lr, decay=decay, epsilon=epsilon)

    def move_parameters(self, learning: list[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        """Take one step of each parameter."""
        for parameter, gradient in learning:
            state = self.state[parameter]
            if not state:
                state["mean_square"] = torch.ones_like(parameter)
            square = state["mean_square"]
            square.lerp_(gradient.square(), 1 - group["decay"])
            root = (square + group["epsilon"]).sqrt_()
            parameter.sub_(group["lr"] * gradient / root)


class CaffeRMSProp(GroupwiseOptimizer):
    """RMSProp as Caffe has it: the mean square starts at 0, a delta is added to its root.

    Weight decay is L2, added to the gradient. It is PyTorch's RMSProp without a count of steps, so
    that it can be captured. A parameter without a gradient keeps its value and its mean square.

    Args:
        parameters: What to train.
        lr: Learning rate; a tensor on the device while steps are captured.
        decay: Of the mean square.
        weight_decay: Factor of a parameter in its gradient.
        delta: Added to the root of the mean square.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float | Tensor,
        decay: float = 0.99,
        weight_decay: float = 0.0,
        delta: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr, decay=decay, weight_decay=weight_decay, delta=delta)

    def move_parameters(self, learning: list[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        """Take one step of each parameter."""
        for parameter, gradient in learning:
            state = self.state[parameter]
            if not state:
                state["mean_square"] = torch.zeros_like(parameter)
            decayed = gradient.add(parameter, alpha=group["weight_decay"])
            square = state["mean_square"]
            square.mul_(group["decay"]).addcmul_(decayed, decayed, value=1 - group["decay"])
            parameter.sub_(group["lr"] * decayed / square.sqrt().add_(group["delta"]))


class TensorFlowAdam(GroupwiseOptimizer):
    """Adam as TensorFlow 1 has it: epsilon is added to the root before any correction.

    It does not count its steps: its learning rate is to have the factor ``adam_correction`` of the
    step. Networks that TensorFlow trains in turns by one optimiser share a count that way. A
    parameter without a gradient keeps its value and its moments.

    Args:
        parameters: What to train.
        lr: Learning rate, corrected; a tensor on the device while steps are captured.
        betas: Decays of the moments.
        epsilon: Added to the root of the second moment.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float | Tensor,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, epsilon=epsilon)

    def move_parameters(self, learning: list[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        """Take one step of each parameter."""
        beta1, beta2 = group["betas"]
        for parameter, gradient in learning:
            state = self.state[parameter]
            if not state:
                state["first"] = torch.zeros_like(parameter)
                state["second"] = torch.zeros_like(parameter)
            state["first"].lerp_(gradient, 1 - beta1)
            state["second"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            root = state["second"].sqrt().add_(group["epsilon"])
            parameter.sub_(group["lr"] * state["first"] / root)


def adam_correction(step: int, betas: tuple[float, float]) -> float:
    """Give the factor of the learning rate by which Adam corrects its moments at a 1-based step."""
    beta1, beta2 = betas
    return math.sqrt(1 - beta2**step) / (1 - beta1**step)


def set_learning_rate(optimizers: Mapping[str, Optimizer], value: float) -> None:
    """Set the learning rate of every parameter group."""
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = value


def descend(optimizer: Optimizer, loss: Tensor) -> None:
    """Take one optimiser step down ``loss``."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


@contextmanager
def restarted(optimizer: Optimizer | None) -> Iterator[None]:
    """Take one optimiser step down the sum of the losses that are differentiated in the block."""
    if optimizer:
        optimizer.zero_grad(set_to_none=True)
    yield
    if optimizer:
        optimizer.step()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Freeze a network for a while: it passes gradients on, its weights get none."""
    trainable = [p for p in network.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
