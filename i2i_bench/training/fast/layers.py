"""Replace layers of a network by our channels-last kernels."""

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
    """Replace, for a while, the layers that PyTorch computes in the contiguous layout only.

    These are instance normalisations without parameters, with the ReLU that follows in a
    ``Sequential``, and reflection paddings. A bias right before such a normalisation, which
    cancels it, is not added and gets no gradient: it would be zero but for rounding.
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
class _Fused:
    """What is fused into normalisations: biases that they cancel, activations after them."""

    biases: set[nn.Module] = field(default_factory=set)
    activations: set[nn.Module] = field(default_factory=set)
    slopes: dict[nn.Module, float] = field(default_factory=dict)


def _find_fused(layers: list[nn.Module]) -> _Fused:
    """Find what comes right before and after normalisations within ``Sequential`` layers."""
    members = [
        (list(layer) if isinstance(layer, nn.Sequential) else list(layer.children()), layer)
        for layer in layers
    ]
    uses = Counter(chain(*(children for children, _ in members)))
    sequences = [children for children, layer in members if _is_sequence(layer)]
    found = _Fused()
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
    """Yield the layers to replace, each with its new forward."""
    layers = list(networks.modules())
    fused = _find_fused(layers)
    for layer in layers:
        if layer in fused.activations:
            yield layer, _unchanged
        elif _is_plain_norm(layer):
            slope = fused.slopes.get(layer, 1.0)
            yield layer, partial(kernels.instance_norm, slope=slope, epsilon=layer.eps)
        elif type(layer) is nn.ReflectionPad2d and len(set(layer.padding)) == 1:
            yield layer, partial(kernels.reflection_pad, padding=layer.padding[0])
        elif type(layer) is nn.Conv2d and _is_replaced(layer, fused):
            yield layer, partial(_convolve, layer, with_bias=layer not in fused.biases)
        elif type(layer) is nn.ConvTranspose2d and layer in fused.biases:
            yield layer, partial(_convolve_transposed, layer)


def _is_sequence(layer: nn.Module) -> bool:
    """Tell whether a layer applies its children in turn, as a plain ``Sequential`` does."""
    return isinstance(layer, nn.Sequential) and type(layer).forward is nn.Sequential.forward


def _is_plain_norm(layer: nn.Module) -> TypeGuard[nn.InstanceNorm2d]:
    """Tell whether a layer, or what its class ``stands_for``, is a norm without parameters."""
    kind = type(layer)
    if vars(kind).get("stands_for", kind) is not nn.InstanceNorm2d:  # a subclass may do anything
        return False
    assert isinstance(layer, nn.InstanceNorm2d)
    return not (layer.affine or layer.track_running_stats)


def _mirrors(layer: nn.Conv2d) -> bool:
    """Tell whether a convolution pads by reflection, as much on each side."""
    return layer.padding_mode == "reflect" and len(set(layer.padding)) == 1


def _is_replaced(layer: nn.Conv2d, fused: _Fused) -> bool:
    return _mirrors(layer) or (layer.padding_mode == "zeros" and layer in fused.biases)


def _slope(layer: nn.Module) -> float | None:
    """Return the factor of negative values of a ReLU or leaky ReLU; None for other layers."""
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
