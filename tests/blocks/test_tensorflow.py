"""Blocks that compute as TensorFlow does, for models whose authors trained there."""

import copy
import math

import pytest
import torch
from torch import nn

from i2i_bench.blocks.losses import gradient_penalty, wasserstein
from i2i_bench.blocks.normalise import InstanceNorm, MomentNorm
from i2i_bench.blocks.optimise import (
    CaffeRMSProp,
    TensorFlowAdam,
    TensorFlowRMSProp,
    adam_correction,
)


def step(optimizer, parameter, gradient):
    parameter.grad = torch.full_like(parameter, gradient)
    optimizer.step()


@pytest.mark.parametrize("is_on_device", [False, True])
def test_mean_square_starts_at_one_and_epsilon_is_inside_the_root(is_on_device):
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    rate = torch.tensor(0.1, dtype=torch.float64) if is_on_device else 0.1
    optimizer = TensorFlowRMSProp([weight], rate, epsilon=0.01)
    expected, square = 0.0, 1.0
    for gradient in (2.0, 0.0, -0.5):
        step(optimizer, weight, gradient)
        square = 0.9 * square + 0.1 * gradient**2
        expected -= 0.1 * gradient / math.sqrt(square + 0.01)
        assert weight.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("is_on_device", [False, True])
def test_caffes_is_pytorchs_without_a_count(is_on_device):
    ours, theirs = (nn.Parameter(torch.ones(1, dtype=torch.float64)) for _ in range(2))
    rate = torch.tensor(0.1, dtype=torch.float64) if is_on_device else 0.1
    optimizer = CaffeRMSProp([ours], rate, 0.98, 0.5, delta=0.01)
    other = torch.optim.RMSprop([theirs], 0.1, alpha=0.98, weight_decay=0.5, eps=0.01)
    for gradient in (2.0, 0.0, -0.5):
        step(optimizer, ours, gradient)
        step(other, theirs, gradient)
        torch.testing.assert_close(ours, theirs)
    assert "step" not in optimizer.state[ours]


@pytest.mark.parametrize("is_on_device", [False, True])
def test_adam_adds_epsilon_to_the_root_of_what_is_not_corrected(is_on_device):
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = TensorFlowAdam([weight], 0.0, (0.5, 0.9), epsilon=0.01)
    expected = first = second = 0.0
    for number, gradient in enumerate((2.0, 0.0, -0.5), 4):  # an own count is not kept
        rate = 0.1 * adam_correction(number, (0.5, 0.9))
        optimizer.param_groups[0]["lr"] = (
            torch.tensor(rate, dtype=torch.float64) if is_on_device else rate
        )
        step(optimizer, weight, gradient)
        first, second = 0.5 * first + 0.5 * gradient, 0.9 * second + 0.1 * gradient**2
        corrected = 0.1 * math.sqrt(1 - 0.9**number) / (1 - 0.5**number)
        expected -= corrected * first / (math.sqrt(second) + 0.01)
        assert weight.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", [CaffeRMSProp, TensorFlowRMSProp, TensorFlowAdam])
def test_a_parameter_without_gradient_is_left_alone(kind):
    first, second = (nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = kind([first, second], 0.1)
    step(optimizer, first, 1.0)
    assert second.tolist() == [1.0, 1.0]
    assert second not in optimizer.state


@pytest.mark.parametrize("kind", [CaffeRMSProp, TensorFlowRMSProp, TensorFlowAdam])
def test_saved_optimiser_continues_to_the_bit(kind):
    weights = [nn.Parameter(torch.ones(3)) for _ in range(2)]
    whole, again = (kind([weight], 0.1) for weight in weights)
    step(whole, weights[0], 3.0)
    weights[1].data.copy_(weights[0])
    again.load_state_dict(copy.deepcopy(whole.state_dict()))
    for optimizer, weight in ((whole, weights[0]), (again, weights[1])):
        step(optimizer, weight, 0.7)
    assert torch.equal(*weights)


def test_closure_is_evaluated_with_gradients():
    weight = nn.Parameter(torch.ones(1))
    optimizer = TensorFlowRMSProp([weight], 0.1)

    def closure():
        loss = (3 * weight).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 3.0
    assert weight.item() == pytest.approx(1 - 0.3 / math.sqrt(0.9 + 0.9))


def differentiated_twice(norm):
    """Give a norm's output, its gradient, and the gradient of a weighted sum of that."""
    torch.manual_seed(0)
    x, weights = torch.randn(2, 2, 3, 4, 4, dtype=torch.float64).unbind()
    x.requires_grad_()
    out = norm.double()(x)
    (first,) = torch.autograd.grad((out**3).sum(), x, create_graph=True)
    return out, first, torch.autograd.grad((first * weights).sum(), x)[0]


def test_moments_are_constant_in_the_variance_alone():
    norms = MomentNorm(3), InstanceNorm(3, affine=True, eps=1e-6)
    (out, first, second), (same, as_well, other) = map(differentiated_twice, norms)
    torch.testing.assert_close(out, same)
    torch.testing.assert_close(first, as_well)
    assert not torch.allclose(second, other, rtol=1e-2)


def test_one_pixel_becomes_the_shift_and_has_no_gradient():
    norm = MomentNorm(2)
    norm.bias.data.copy_(torch.tensor([0.5, -1.0]))
    x = torch.randn(1, 2, 1, 1, requires_grad=True)
    out = norm(x)
    out.sum().backward()
    assert out.flatten().tolist() == [0.5, -1.0]
    assert x.grad is not None
    assert not x.grad.any()


def test_moments_are_exact_in_half_precision_too():
    x = 8 + torch.randn(2, 3, 8, 8).bfloat16()
    found, exact = MomentNorm(3)(x), MomentNorm(3)(x.float())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), exact, atol=1e-6, rtol=2**-8)


def test_a_critic_is_high_where_it_is_to_be():
    values = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    assert [wasserstein(values, target).item() for target in (1.0, 0.0)] == [-3.0, 3.0]


@pytest.mark.parametrize("least", [0.0, 5.0])
def test_penalty_is_of_the_norm_of_the_gradient_at_each_image(least):
    slopes = torch.tensor([[3.0, 4.0], [0.0, 2.0]]).view(2, 2, 1, 1)
    penalty = gradient_penalty(lambda images: images * slopes, torch.zeros(2, 2, 1, 1), least)
    norms = math.sqrt(25 + least), math.sqrt(4 + least)
    assert penalty.item() == pytest.approx(sum((norm - 1) ** 2 for norm in norms) / 2)
