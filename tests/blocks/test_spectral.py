"""Spectral normalisation: PyTorch's older hook, and forwards that do not count."""

import copy

import pytest
import torch

from i2i_bench.blocks.spectral import SpectralNorm


def spectral_layers(layer, seed=0):
    """Give ours and PyTorch's older hook on the same layer, with the same vectors."""
    torch.manual_seed(seed)
    ours = SpectralNorm(copy.deepcopy(layer)).double()
    theirs = torch.nn.utils.spectral_norm(copy.deepcopy(layer)).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(torch.nn.Conv2d(3, 5, 4, 2), (2, 3, 8, 8)), (torch.nn.Linear(6, 1, bias=False), (2, 6))],
)
def test_spectral_norm_is_the_older_hook(layer, shape):
    ours, theirs = spectral_layers(layer)
    inputs = torch.randn(shape, dtype=torch.float64)
    for training in (True, True, False, True):
        ours.train(training)
        theirs.train(training)
        torch.testing.assert_close(ours(inputs), theirs(inputs), atol=1e-12, rtol=0)
    for module in (ours, theirs):  # two forwards before one backward
        (module(inputs).square().sum() + module(inputs).sum()).backward()
    torch.testing.assert_close(ours.weight_orig.grad, theirs.weight_orig.grad, atol=1e-12, rtol=0)
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, atol=1e-12, rtol=0)


def test_forward_that_does_not_count_leaves_the_vectors_alone():
    torch.manual_seed(0)
    layer = SpectralNorm(torch.nn.Conv2d(3, 5, 4, 2, 1))
    same, images = copy.deepcopy(layer), torch.randn(2, 3, 8, 8)
    before = copy.deepcopy(layer.state_dict())
    layer(images, torch.tensor(False))
    for name, tensor in layer.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    torch.testing.assert_close(layer(images, torch.tensor(True)), same(images), atol=0, rtol=0)
    assert not torch.equal(layer.weight_u, before["weight_u"])
    layer.eval()
    weight = layer.weight_orig.flatten(1)
    divided = layer.weight_orig / (layer.weight_u @ weight @ layer.weight_v)
    padded = torch.nn.functional.conv2d(images, divided, layer.bias, stride=2, padding=1)
    torch.testing.assert_close(layer(images), padded)
