"""Initial weights of networks."""

from __future__ import annotations

from torch import nn


def init_normal(network: nn.Module, std: float = 0.02) -> None:
    """Draw the weights of all convolutions from N(0, std^2) and set their biases to 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def init_kaiming(network: nn.Module) -> None:
    """Draw the weights of all convolutions from N(0, 2 / fan-in) and set their biases to 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
