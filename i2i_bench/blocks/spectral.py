"""Spectral normalisation of the weights of a layer."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SpectralNorm(nn.Module):
    """A layer's weight over its largest singular value (Miyato et al., ICLR 2018).

    As under PyTorch's older hook, each forward in training mode takes one step of the power
    iteration; in eval mode the vectors stay as they are.
    """

    bias: Tensor | None
    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        is_conv = isinstance(layer, nn.Conv2d)
        self.stride = layer.stride if is_conv else None
        self.padding = layer.padding if is_conv else (0, 0)
        self.bias = layer.bias
        self.weight_orig = layer.weight
        rows, columns = layer.weight.flatten(1).shape
        self.register_buffer("weight_u", F.normalize(torch.randn(rows), dim=0, eps=1e-12))
        self.register_buffer("weight_v", F.normalize(torch.randn(columns), dim=0, eps=1e-12))

    def forward(self, x: Tensor, is_counted: Tensor | None = None) -> Tensor:
        """Apply the layer with its normalised weight.

        Args:
            x: What the layer takes.
            is_counted: A single truth value on the device: where it is false, the vectors stay as
                they are after this forward, as if it had not been. By default it is true.
        """
        with _without_autocast(x):  # a singular value needs its digits
            u, v = self._step(is_counted) if self.training else (self.weight_u, self.weight_v)
            weight = self.weight_orig / torch.dot(u, torch.mv(self.weight_orig.flatten(1), v))
        if self.stride is None:
            return F.linear(x, weight, self.bias)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)

    @torch.no_grad()
    def _step(self, is_counted: Tensor | None) -> tuple[Tensor, Tensor]:
        """Improve the singular vectors; give copies, as the next step may precede the backward."""
        matrix = self.weight_orig.flatten(1)
        v = F.normalize(torch.mv(matrix.t(), self.weight_u), dim=0, eps=1e-12)
        u = F.normalize(torch.mv(matrix, v), dim=0, eps=1e-12)
        if is_counted is not None:
            u = torch.where(is_counted, u, self.weight_u)
            v = torch.where(is_counted, v, self.weight_v)
        self.weight_u.copy_(u)
        self.weight_v.copy_(v)
        return u, v


def _without_autocast(x: Tensor) -> contextlib.AbstractContextManager[Any]:
    """Have operations keep the type of their inputs; the meta device has no autocast."""
    return contextlib.nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)
