"""Losses of DRIT, and an optimiser step with gradients that are there already."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from i2i_bench.blocks.encoders import standard_normal_divergence
from i2i_bench.blocks.losses import adversarial_cross_entropy


def attribute_divergence(mean: Tensor, log_variance: Tensor | None) -> Tensor:
    """Give the divergence of attributes (batch, numbers) from the prior, a mean over the batch.

    Without a variance it is their mean square.
    """
    if log_variance is None:
        return mean.square().mean()
    return standard_normal_divergence(mean, log_variance) / len(mean)


def judge_loss(judge: nn.Module, real: Tensor, fakes: tuple[Tensor, ...]) -> Tensor:
    """Sum cross entropies over scales and fakes; real images count once for each of the fakes."""
    terms = []
    for logits in judge(torch.cat([real, *(fake.detach() for fake in fakes)])):
        of_real, of_fakes = logits.tensor_split([len(real)])
        terms.append(len(fakes) * adversarial_cross_entropy(of_real, 1.0))
        terms += [adversarial_cross_entropy(of, 0.0) for of in of_fakes.chunk(len(fakes))]
    return torch.stack(terms).sum()


def take_step(
    optimizer: Optimizer, parameters: list[nn.Parameter], gradients: tuple[Tensor, ...]
) -> None:
    """Take one optimiser step with these gradients, one for each of all its parameters."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
