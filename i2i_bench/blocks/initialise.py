"""Initial weights of networks."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import nn

from i2i_bench.blocks.layers import SameConv2d, SameConvTranspose2d
from i2i_bench.blocks.normalise import MomentNorm


def init_normal(network: nn.Module, std: float = 0.02) -> None:
    """Draw convolutions' weights from N(0, std^2), batch norms' from N(1, std^2); biases are 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, std)
            nn.init.zeros_(module.bias)


def init_normal_weights(network: nn.Module, std: float = 0.02) -> None:
    """Draw convolutions' weights from N(0, std^2), scales of normalisations from N(1, std^2).

    Shifts are 0; convolutions' biases stay as PyTorch draws them by itself.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, nn.InstanceNorm2d | nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, std)
            nn.init.zeros_(module.bias)


def init_kaiming(network: nn.Module) -> None:
    """Draw weights of convolutions and linear layers from N(0, 2 / fan-in), set biases to 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            assert module.bias is not None
            nn.init.zeros_(module.bias)


def init_xavier(network: nn.Module, gain: float) -> None:
    """Draw the weights of convolutions and linear layers as Glorot and Bengio; biases are 0.

    They are from N(0, gain^2 * 2 / (fan-in + fan-out)).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_normal_(module.weight, gain)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def init_caffe(network: nn.Module) -> None:
    """Draw weights as Caffe's filler ``xavier``: from U(-b, b), b the root of 3 / fan-in.

    Biases of convolutions and linear layers are 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(module.weight, a=1)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def init_tensorflow(network: nn.Module, std: float = 0.02) -> None:
    """Draw weights as TensorFlow's DCGAN: those of convolutions truncated at two deviations.

    Other convolutions' and linear layers' are from N(0, std^2), scales of normalisations from
    N(1, std^2); biases and shifts are 0.
    """
    for module in network.modules():
        if isinstance(module, SameConv2d):
            nn.init.trunc_normal_(module.weight, 0.0, std, -2 * std, 2 * std)
        elif isinstance(module, SameConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, MomentNorm):
            nn.init.normal_(module.weight, 1.0, std)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def init_tensorpack(network: nn.Module) -> None:
    """Draw weights as tensorpack does: U(-b, b), b the root of 0.999 over the fan-in.

    For transposed convolutions the fan-in counts output channels. Dilated convolutions are
    TensorFlow's own, from U(-c, c), c the root of 6 over fan-in and fan-out together. Biases are
    left as they are.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and max(module.dilation) > 1:
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            is_up = isinstance(module, nn.ConvTranspose2d)
            channels = module.out_channels if is_up else module.in_channels
            bound = (0.999 / (channels * math.prod(module.kernel_size))) ** 0.5
            nn.init.uniform_(module.weight, -bound, bound)


def start_alike(networks: Iterable[nn.ModuleDict]) -> None:
    """Give the networks of domain b the weights of those of domain a, where their shapes agree.

    Layers that see images of different channels have none in common.
    """
    for each in networks:
        ours = each["b"].state_dict()
        theirs = each["a"].state_dict().items()
        fitting = {name: tensor for name, tensor in theirs if tensor.shape == ours[name].shape}
        each["b"].load_state_dict(ours | fitting)


def init_torch_2017(network: nn.Module) -> None:
    """Draw weights as PyTorch did by itself in 2017, also those of transposed convolutions.

    Convolutions' weights and biases are from U(-b, b), b the inverse root of the inputs times the
    kernel's area; scales of batch normalisations from U(0, 1), their shifts 0. That is Torch7's
    start as well, and linear layers have it still.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            bound = (module.in_channels * math.prod(module.kernel_size)) ** -0.5
            nn.init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -bound, bound)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight)
            nn.init.zeros_(module.bias)
