"""Has layers of a network work on images that lie in memory by pixel, by kernels of our own."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, pairwise
from typing import TypeGuard

from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench.training.fast import kernels

Forward = Callable[[Tensor], Tensor]


@contextlib.contextmanager
def channels_last_layers(networks: nn.Module) -> Iterator[None]:
    """Replace, for a while, what PyTorch has for images by channel only.

    Replaced are instance normalisations that learn nothing, with a ReLU that follows in a
    ``Sequential``, and reflection paddings. A bias straight before such a normalisation, which
    takes it away again, is not added and gets no gradient: it would be zero but for rounding.
    """
    replaced = dict(_replacements(networks))
    for layer, forward in replaced.items():
        vars(layer)["forward"] = forward
    try:
        yield
    finally:
        for layer in replaced:
            del vars(layer)["forward"]


@dataclass
class _Joined:
    """What belongs to normalisations: biases that they cancel, activations that they do too."""

    biases: set[nn.Module] = field(default_factory=set)
    activations: set[nn.Module] = field(default_factory=set)
    slopes: dict[nn.Module, float] = field(default_factory=dict)


def _joined(layers: list[nn.Module]) -> _Joined:
    """Look in sequences for what comes before and after normalisations, and nowhere else."""
    members = [
        (list(layer) if isinstance(layer, nn.Sequential) else list(layer.children()), layer)
        for layer in layers
    ]
    uses = Counter(chain(*(children for children, _ in members)))
    sequences = [children for children, layer in members if _is_sequence(layer)]
    found = _Joined()
    for before, after in chain(*map(pairwise, sequences)):
        if uses[before] > 1 or uses[after] > 1:
            continue
        slope = _slope(after)
        if _is_plain_norm(after):
            found.biases.add(before)
        elif _is_plain_norm(before) and slope is not None:
            found.activations.add(after)
            found.slopes[before] = slope
    return found


def _replacements(networks: nn.Module) -> Iterator[tuple[nn.Module, Forward]]:
    """Give layers with what they are to do."""
    layers = list(networks.modules())
    joined = _joined(layers)
    for layer in layers:
        if layer in joined.activations:
            yield layer, _unchanged
        elif _is_plain_norm(layer):
            slope = joined.slopes.get(layer, 1.0)
            yield layer, partial(kernels.instance_norm, slope=slope, epsilon=layer.eps)
        elif type(layer) is nn.ReflectionPad2d and len(set(layer.padding)) == 1:
            yield layer, partial(kernels.reflection_pad, padding=layer.padding[0])
        elif type(layer) is nn.Conv2d and _is_joined(layer, joined):
            yield layer, partial(_convolve, layer, with_bias=layer not in joined.biases)
        elif type(layer) is nn.ConvTranspose2d and layer in joined.biases:
            yield layer, partial(_convolve_transposed, layer)


def _is_sequence(layer: nn.Module) -> bool:
    """Tell whether members are applied one after the other; who overrides that may do anything."""
    return isinstance(layer, nn.Sequential) and type(layer).forward is nn.Sequential.forward


def _is_plain_norm(layer: nn.Module) -> TypeGuard[nn.InstanceNorm2d]:
    """Tell whether a layer, or what its class ``stands_for``, is a norm that learns nothing."""
    kind = type(layer)
    if vars(kind).get("stands_for", kind) is not nn.InstanceNorm2d:  # a subclass may do anything
        return False
    assert isinstance(layer, nn.InstanceNorm2d)
    return not (layer.affine or layer.track_running_stats)


def _mirrors(layer: nn.Conv2d) -> bool:
    """Tell whether a convolution pads by reflection, as much on each side."""
    return layer.padding_mode == "reflect" and len(set(layer.padding)) == 1


def _is_joined(layer: nn.Conv2d, joined: _Joined) -> bool:
    return _mirrors(layer) or (layer.padding_mode == "zeros" and layer in joined.biases)


def _slope(layer: nn.Module) -> float | None:
    """Give what an activation multiplies negative values by; None if it does something else."""
    if type(layer) is nn.ReLU:
        return 0.0
    return layer.negative_slope if type(layer) is nn.LeakyReLU else None


def _unchanged(x: Tensor) -> Tensor:
    return x


def _convolve(layer: nn.Conv2d, x: Tensor, *, with_bias: bool) -> Tensor:
    bias, padding = layer.bias if with_bias else None, layer.padding
    if _mirrors(layer):
        assert isinstance(padding[0], int)
        x, padding = kernels.reflection_pad(x, padding[0]), 0
    return F.conv2d(x, layer.weight, bias, layer.stride, padding, layer.dilation, layer.groups)


def _convolve_transposed(layer: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    assert not isinstance(layer.padding, str)
    return F.conv_transpose2d(
        x,
        layer.weight,
        None,
        layer.stride,
        layer.padding,
        layer.output_padding,
        layer.groups,
        layer.dilation,
    )
