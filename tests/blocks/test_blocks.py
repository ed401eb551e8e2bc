"""Shared blocks against the authors' numbers."""

import dataclasses
import json
import random as python_random
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from i2i_bench.blocks.discriminators import PatchDiscriminator
from i2i_bench.blocks.limits import at_least, check_limits
from i2i_bench.blocks.losses import least_squares
from i2i_bench.blocks.normalise import InstanceNorm, TrackingInstanceNorm, contiguous_gradient
from i2i_bench.blocks.optimise import frozen
from i2i_bench.blocks.pool import ImagePool
from i2i_bench.blocks.schedules import decay_after
from i2i_bench.model import Clock
from i2i_bench.randomness import Randomness

AUX = json.loads((Path(__file__).parents[1] / "golden/aux/pool_and_lr.json").read_text())


class OfficialDraws(Randomness):
    """The authors' draws: once the pool is full, and an index only for an exchanged image."""

    def __init__(self, seed: int, pool_size: int) -> None:
        super().__init__(seed)
        self.python = python_random.Random(seed)
        self.pool_size, self.seen, self.slots = pool_size, 0, []

    def uniform(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        chances, self.slots = [], []
        for _ in range(shape[0]):
            full = self.seen >= self.pool_size
            chances.append(self.python.uniform(0, 1) if full else 0.0)
            swap = full and chances[-1] > 0.5
            self.slots.append(self.python.randint(0, self.pool_size - 1) if swap else 0)
            self.seen += 1
        return torch.tensor(chances)

    def integers(self, name: str, high: int, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.tensor(self.slots)


@pytest.mark.parametrize("case", AUX["image_pool"])
def test_image_pool_is_the_authors(case):
    pool, shown, number = ImagePool(case["pool_size"]), [], 0
    draws = OfficialDraws(case["python_random_seed"], case["pool_size"])
    for size in case["batch_sizes"]:
        images = torch.arange(number, number + size).float().view(size, 1, 1, 1)
        number += size
        shown.append(pool.query(images, draws, "pool").flatten().int().tolist())
    assert shown == case["out"]
    assert pool.images is not None
    assert pool.images.flatten().int().tolist() == case["final_pool"]


def test_image_pool_continues_from_its_state():
    images = torch.randn(30, 3, 2, 2)
    whole, first, second = (ImagePool(4) for _ in range(3))
    random = Randomness(1)
    expected = [whole.query(images[i : i + 2], random.at(i), "p") for i in range(0, 30, 2)]
    for i in range(0, 14, 2):
        first.query(images[i : i + 2], random.at(i), "p")
    second.load_state_dict(first.state_dict())
    got = [second.query(images[i : i + 2], random.at(i), "p") for i in range(14, 30, 2)]
    assert torch.equal(torch.cat(got), torch.cat(expected[7:]))


def test_image_that_is_not_new_leaves_the_pool_alone():
    random = Randomness(1)
    images = torch.arange(1.0, 31).view(30, 1, 1, 1)
    pool, other = ImagePool(3), ImagePool(3)
    for i in range(0, 30, 3):
        rows, is_new = images[i : i + 3], torch.tensor([True, False, True])
        shown = pool.query(rows, random.at(i), "p", is_new)
        assert shown[1] == rows[1]
        expected = [other.query(rows[k : k + 1], random.at(i + k), "p") for k in (0, 2)]
        assert torch.equal(shown[[0, 2]], torch.cat(expected))
        assert pool.images is not None
        assert other.images is not None
        assert torch.equal(pool.images, other.images)
        assert pool.count == other.count


def test_empty_pool_shows_what_it_is_given():
    images = torch.randn(2, 3, 2, 2)
    assert ImagePool(0).query(images, Randomness(0), "p") is images


SCHEDULES = [key for key in AUX["lr_per_epoch"] if key.startswith("niter")]


@pytest.mark.parametrize("name", SCHEDULES)
def test_learning_rate_is_the_authors_in_every_epoch(name):
    constant, decay = (int(part) for part in name.removeprefix("niter").split("_decay"))
    images = 7
    budget = (constant + decay) * images
    for epoch, expected in enumerate(AUX["lr_per_epoch"][name]):
        for seen in (epoch * images, epoch * images + images - 1):
            clock = Clock(1, 1, seen, budget)
            factor = decay_after(clock.epoch(constant + decay), constant, decay)
            assert 2e-4 * factor == pytest.approx(expected, rel=1e-8)


def test_patch_discriminator_states_its_smallest_image():
    discriminator = PatchDiscriminator(2, 3)
    assert discriminator(torch.zeros(1, 3, 24, 24)).shape == (1, 1, 1, 1)
    with pytest.raises(ValueError, match="at least 24 px, not 20x24"):
        discriminator(torch.zeros(1, 3, 24, 20))


def test_frozen_spares_weight_gradients_and_gives_them_back():
    network = torch.nn.Linear(2, 2)
    x = torch.ones(1, 2, requires_grad=True)
    with frozen(network):
        network(x).sum().backward()
    assert network.weight.grad is None
    assert x.grad is not None
    assert all(p.requires_grad for p in network.parameters())


def test_least_squares_are_exact_in_half_precision_too():
    logits = torch.tensor([1.0, 2.0], dtype=torch.bfloat16)
    loss = least_squares(logits, 0.999)  # 1 in bfloat16
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx((0.001**2 + 1.001**2) / 2)


@dataclasses.dataclass(frozen=True)
class Limited:
    width: int = at_least(1, 64)
    weight: float = at_least(0, 10.0)
    rate: float = 2e-4

    def __post_init__(self):
        check_limits(self)


def test_a_field_has_its_default_and_its_least_value():
    assert dataclasses.astuple(Limited()) == (64, 10.0, 2e-4)
    assert dataclasses.astuple(Limited(1, 0.0, -1.0)) == (1, 0.0, -1.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"width": 0}, "width is 0; at least 1 is needed"),
        ({"width": 0, "weight": -1.0}, "width is 0; at least 1 is needed"),
        ({"weight": float("nan")}, "weight is nan; at least 0 is needed"),
    ],
)
def test_the_first_field_below_its_least_value_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        Limited(**given)


def by_channel(x):
    return x.contiguous()


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last)


LAYOUTS = {
    "contiguous": by_channel,
    "channels-last": channels_last,
    "channels-last, viewed": lambda x: channels_last(x).view(x.shape),
    "sliced": lambda x: F.pad(x, (1, 2, 1, 0))[..., 1:, 1:-2],
    "sliced, channels-last": lambda x: channels_last(F.pad(x, (1, 2, 1, 0)))[..., 1:, 1:-2],
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "batch last": lambda x: x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
    "expanded": lambda x: x[:, :1].expand(x.shape),
}
NORMS = {
    "plain": lambda: InstanceNorm(6),
    "affine": lambda: InstanceNorm(6, affine=True),
    "running": lambda: InstanceNorm(6, affine=True, track_running_stats=True),
    "running, plain": lambda: InstanceNorm(6, track_running_stats=True),
    "tracking": lambda: TrackingInstanceNorm(6),
}


def normalise(layer, x):
    """Compute instance normalisation term by term."""
    if isinstance(layer, TrackingInstanceNorm) or layer.training or layer.running_mean is None:
        variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    else:
        variance, mean = (
            each[:, None, None].to(x.dtype) for each in (layer.running_var, layer.running_mean)
        )
    y = (x - mean) / (variance + layer.eps).sqrt()
    if layer.affine:
        weight, bias = (each[:, None, None].to(x.dtype) for each in (layer.weight, layer.bias))
        y = y * weight + bias
    return y


def make_norm(name, dtype, *, training):
    """Build a norm with values of its own everywhere."""
    layer = NORMS[name]().to(dtype).train(training)
    for value in layer.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.5, 2)
    return layer


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)],
    ids=["float64", "float32", "bfloat16"],
)
def test_gradient_of_instance_norm_is_right_in_every_layout(
    dtype, tolerance, norm, batch, training
):
    torch.manual_seed(0)
    layer = make_norm(norm, dtype, training=training)
    x, gradient = (torch.randn(batch, 6, 7, 9, dtype=dtype) for _ in range(2))
    for name, lay_out in LAYOUTS.items():
        laid = lay_out(gradient)
        exact = x.double().requires_grad_()
        wanted = torch.autograd.grad(
            normalise(layer, exact), [exact, *layer.parameters()], laid.double()
        )
        for of_input in LAYOUTS.values():
            if of_input is LAYOUTS["expanded"]:
                continue  # channels without a variance
            given = of_input(x).detach().requires_grad_()
            found = torch.autograd.grad(layer(given), [given, *layer.parameters()], laid)
            for one, other in zip(found, wanted, strict=True):
                error = (one.double() - other.double()).norm() / other.double().norm()
                assert error < tolerance, name


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("options", [{}, {"affine": True, "track_running_stats": True}])
def test_instance_norm_is_pytorchs_to_the_bit_where_that_is_right(options, batch):
    torch.manual_seed(0)
    theirs, ours = nn.InstanceNorm2d(6, **options), InstanceNorm(6, **options)
    ours.load_state_dict(theirs.state_dict())
    assert ours.extra_repr() == theirs.extra_repr()
    x, gradient = torch.randn(2, batch, 6, 7, 9)
    found = []
    for layer in (theirs, ours):
        given = x.clone().requires_grad_()
        y = layer(given)
        y.backward(gradient)
        found.append([y, given.grad, *(p.grad for p in layer.parameters()), *layer.buffers()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_instance_norm_is_differentiated_twice_and_may_be_activated_in_place():
    torch.manual_seed(0)
    layer = InstanceNorm(2, affine=True).double()
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    gradient = channels_last(torch.randn_like(x)).requires_grad_()
    assert torch.autograd.gradgradcheck(layer, (x,), (gradient,))
    in_place = nn.Sequential(layer, nn.ReLU(inplace=True))
    assert torch.autograd.gradcheck(in_place, (x,))


def test_instance_norm_has_a_right_gradient_under_autocast():
    torch.manual_seed(0)
    convolution, layer = nn.Conv2d(3, 6, 3), InstanceNorm(6)
    convolution.to(memory_format=torch.channels_last)
    x, gradient = torch.randn(1, 3, 9, 11), channels_last(torch.randn(1, 6, 7, 9))
    (wanted,) = torch.autograd.grad(
        normalise(layer, convolution(x)), [convolution.weight], gradient
    )
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(convolution(x))
    (found,) = torch.autograd.grad(y, [convolution.weight], gradient.to(y.dtype))
    assert (found - wanted).norm() < 0.02 * wanted.norm()


@pytest.mark.slow
def test_compiled_instance_norm_is_one_graph_with_a_right_gradient():
    torch.manual_seed(0)
    layer = InstanceNorm(6).double()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    x = channels_last(torch.randn(1, 6, 7, 9, dtype=torch.float64)).requires_grad_()
    gradient = channels_last(torch.randn_like(x))
    (wanted,) = torch.autograd.grad(normalise(layer, x), x, gradient)
    (found,) = torch.autograd.grad(compiled(x), x, gradient)
    torch.testing.assert_close(found, wanted)


def test_instance_norm_costs_nothing_on_another_device():
    x = torch.zeros(1, 6, 7, 9, device="meta")
    assert contiguous_gradient(x) is x
