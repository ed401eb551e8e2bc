"""What a round of DIAT's training is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_baselines.diat.config import RING, DIATConfig
from i2i_bench.blocks.optimise import CaffeRMSProp


class Rise(nn.Module):
    """By how much the critic's value of translations rose in the last round's transfer."""

    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(()))

    def at(self, device: torch.device) -> Tensor:
        """Give the value, which from now on is on a device."""
        if self.value.device != device:  # just made, or loaded from a checkpoint
            self.value = self.value.to(device)
        return self.value


@contextmanager
def only_where(condition: Tensor, tensors: Sequence[Tensor]) -> Iterator[None]:
    """Undo what the block does to tensors, unless a 0-d condition holds; nobody waits for it."""
    before = [tensor.detach().clone() for tensor in tensors]
    yield
    with torch.no_grad():
        for now, old in zip(tensors, before, strict=True):
            now.copy_(torch.where(condition, now, old))


def moving_tensors(network: nn.Module, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Give all that a forward and a step of the optimiser change, but for numbers of steps."""
    state = (tensor for each in optimizer.state.values() for tensor in each.values())
    kept = (tensor for tensor in state if torch.is_tensor(tensor) and tensor.ndim)
    return [*network.parameters(), *network.buffers(), *kept]


def half_squares(found: Tensor, wanted: Tensor) -> Tensor:
    """Give half the mean squared difference, Caffe's Euclidean loss over all entries."""
    exact = torch.promote_types(found.dtype, torch.float32)  # also under autocast
    return 0.5 * F.mse_loss(found.to(exact), wanted.to(exact))


def four_batches(images: Tensor) -> tuple[Tensor, ...]:
    """Divide images (number, ...) into four batches, repeating some where four do not divide it."""
    number = -(-len(images) // RING) * RING
    if number > len(images):
        images = images[torch.arange(number, device=images.device) % len(images)]
    return images.chunk(RING)


def make_optimizers(
    networks: nn.ModuleDict, config: DIATConfig
) -> dict[str, torch.optim.Optimizer]:
    """Make Adam for the denoiser, and Caffe's RMSProp for what learns of all other networks."""
    found: dict[str, torch.optim.Optimizer] = {}
    for name in ("transfer", "auxiliary", "critic"):
        found[name] = CaffeRMSProp(
            [p for p in networks[name].parameters() if p.requires_grad],
            config.learning_rate,
            config.decay,
            config.weight_decay,
        )
    found["denoiser"] = torch.optim.Adam(networks["denoiser"].parameters(), config.denoiser_rate)
    return found
