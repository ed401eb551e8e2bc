"""What tests of Pix2pix and of its encoder-decoder share: given dropout, statistics, steps."""

import torch
from torch import nn

from i2i_bench.blocks.normalise import BatchNorm
from i2i_bench.model import Clock
from i2i_bench.plugins.gradients import recorded_gradients
from i2i_bench.randomness import Randomness


class Given(Randomness):
    """Dropout as it was drawn: 1 for what was kept, by up layer."""

    def __init__(self, masks):
        super().__init__(0)
        self.masks = masks

    def uniform(self, name, shape):
        mask = self.masks[name]
        assert shape == tuple(mask.shape)
        return torch.where(mask.bool(), 0.75, 0.25)


def with_running_statistics(network, monkeypatch):
    """Have a network test as PyTorch's batch normalisation does."""
    monkeypatch.setattr(BatchNorm, "forward", nn.BatchNorm2d.forward)
    return network.eval()


def with_batch_statistics(network):
    """Leave running statistics alone, and use those of the batch."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.0
    return network.train()


def train(model, batches, masks):
    """Take the steps of a fixture in float64; give losses, norms of first gradients."""
    model.networks.double()
    losses = []
    with recorded_gradients(model) as gradients:
        for step, (batch, kept) in enumerate(zip(batches, masks, strict=True)):
            model.advance(Clock(step + 1, 1000, step, 1000))
            losses.append(model.training_step(batch, Given(kept)))
    return losses, {name: found[0].norm().item() for name, found in gradients.items()}
