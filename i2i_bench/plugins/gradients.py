"""Record the gradients that optimisers get in training steps, and compare them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from i2i_bench.model import Model

SMALLEST = 1e-6  # of the largest gradient: norms of gradients below this are compared with this

Gradients = dict[str, list[Tensor]]  # by parameter, one for each step of its optimiser


@contextmanager
def recorded_gradients(model: Model) -> Iterator[Gradients]:
    """Collect, for a while, copies of what a model's optimisers get at each of their steps."""
    names = {id(parameter): name for name, parameter in model.networks.named_parameters()}
    found: Gradients = {}

    def record(optimizer: Optimizer, *_: object) -> None:
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            if parameter.grad is not None and id(parameter) in names:
                found.setdefault(names[id(parameter)], []).append(parameter.grad.detach().clone())

    handles = [each.register_step_pre_hook(record) for each in model.optimizers.values()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class GradientDifference:
    """The largest difference of two recordings.

    Attributes:
        parameter: Name of the parameter.
        relative: Norm of the difference over that of the gradient wanted.
    """

    parameter: str
    relative: float


def largest_difference(found: Gradients, wanted: Gradients) -> GradientDifference:
    """Give the parameter whose gradients differ most.

    Biases that a normalisation cancels have gradients of rounding alone: the norm that a difference
    is divided by is at least ``SMALLEST`` of the largest one.

    Raises:
        ValueError: If a parameter has more gradients in one recording, or there are none.
    """
    _require_same_parameters(found, wanted)
    least = SMALLEST * max(float(each.norm()) for many in wanted.values() for each in many)
    differences = [
        GradientDifference(name, _norm(one - other) / max(_norm(other), least, 1e-300))
        for name in wanted
        for one, other in zip(found[name], wanted[name], strict=True)
    ]
    return max(differences, key=lambda each: each.relative)


def relative_difference(found: Gradients, wanted: Gradients) -> float:
    """Give the norm of all differences of two recordings over that of all gradients wanted.

    A parameter without gradients, such as a bias that kernels skip, counts as zeros.

    Raises:
        ValueError: If nothing is wanted, or parameters were stepped another number of times.
    """
    if not wanted:
        raise ValueError("no optimiser got a gradient")
    away, whole = 0.0, 0.0
    for name in sorted(found.keys() | wanted.keys()):
        known = found.get(name) or wanted[name]
        zeros = [torch.zeros_like(each) for each in known]
        pairs = zip(found.get(name, zeros), wanted.get(name, zeros), strict=True)
        for one, other in pairs:
            away += _norm(one - other) ** 2
            whole += _norm(other) ** 2
    return math.sqrt(away / whole)


def _norm(gradient: Tensor) -> float:
    """Return a norm; NaN counts as infinite, so that comparisons notice it."""
    return float(gradient.double().norm().nan_to_num(nan=torch.inf))


def _require_same_parameters(found: Gradients, wanted: Gradients) -> None:
    if not wanted:
        raise ValueError("no optimiser got a gradient")
    for name in found.keys() | wanted.keys():
        counts = [len(each.get(name, [])) for each in (found, wanted)]
        if counts[0] != counts[1]:
            raise ValueError(f"{name} has {counts[0]} gradients, and {counts[1]} were expected")
