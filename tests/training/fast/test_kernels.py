"""Kernels equal PyTorch's layers, whatever the shape; Triton's interpreter runs them here."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from i2i_bench.blocks.normalise import InstanceNorm
from i2i_bench.model import Batch, Clock
from i2i_bench.plugins import contract, registry
from i2i_bench.plugins.toy import toy
from i2i_bench.randomness import Randomness
from i2i_bench.training import checkpoint
from i2i_bench.training.checkpoint_file import Position
from i2i_bench.training.fast.modes import Modes, prepared
from i2i_bench.training.fast.step import Step

kernels = pytest.importorskip("i2i_bench.training.fast.kernels", reason="Triton is not installed")
channels_last_layers = pytest.importorskip(
    "i2i_bench.training.fast.layers", reason="Triton is not installed"
).channels_last_layers
pytestmark = pytest.mark.gpu  # where there is one, that is where they must be right

SHAPES = [  # fewer and more channels and pixels than a tile has, one part and many
    (2, 5, 9, 11),
    (1, 64, 16, 16),
    pytest.param((3, 70, 20, 13), marks=pytest.mark.slow),
    (2, 3, 3, 2),
    pytest.param((1, 130, 40, 40), marks=pytest.mark.slow),
]
SLOW = pytest.param(SHAPES[1], marks=pytest.mark.slow)  # where pixels matter, and not channels


@pytest.fixture
def device():
    """Give a GPU, where kernels are compiled, or else a CPU, where an interpreter runs them."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def draw(shape, device, *, mean=0.0, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random).mul(3).add(mean).to(device)


def differentiate(function, x, gradient):
    x = x.detach().clone().requires_grad_()
    y = function(x)
    y.backward(gradient.to(y.dtype))
    assert x.grad is not None
    return y.detach(), x.grad


@pytest.mark.parametrize(
    ("slope", "mean"),
    [(1.0, 200.0), (0.0, 0.0), (0.2, 0.0)],  # at 200, a careless variance would have no digits left
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_instance_norm_is_pytorchs_with_its_activation(shape, slope, mean, device):
    x, gradient = draw(shape, device, mean=mean), draw(shape, device, seed=1)
    found = differentiate(lambda x: kernels.instance_norm(x, slope=slope), x, gradient)
    wanted = differentiate(
        lambda x: F.leaky_relu(F.instance_norm(x), slope), x.double(), gradient.double()
    )
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(
            one.double(), other, rtol=0, atol=2e-5 * float(other.abs().max())
        )
    assert found[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("padding", [1, 3, 7])
@pytest.mark.parametrize(
    "shape", [SHAPES[0], SLOW, SHAPES[2], (2, 3, 8, 8), (1, 1, 9, 40)], ids=str
)
def test_reflection_pad_is_pytorchs(shape, padding, device):
    x = draw(shape, device)
    gradient = draw(F.pad(x, (padding,) * 4, "reflect").shape, device, seed=1)
    found = differentiate(lambda x: kernels.reflection_pad(x, padding), x, gradient)
    wanted = differentiate(lambda x: F.pad(x, (padding,) * 4, "reflect"), x, gradient.double())
    assert torch.equal(found[0], wanted[0])
    torch.testing.assert_close(found[1], wanted[1], rtol=1e-5, atol=1e-4)
    assert found[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_types_of_half_precision_are_kept_and_summed_exactly(dtype, device):
    x = draw((2, 6, 30, 30), device, mean=6).to(dtype)
    gradient = torch.ones_like(x).cumsum(3).remainder(3)
    found = differentiate(kernels.instance_norm, x, gradient)
    wanted = differentiate(F.instance_norm, x.double(), gradient.double())
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == dtype
        step = torch.finfo(dtype).eps * float(other.abs().max())
        torch.testing.assert_close(one.double(), other, rtol=0, atol=step)
    padded = kernels.reflection_pad(x, 2)
    assert torch.equal(padded, F.pad(x, (2,) * 4, "reflect"))


def test_what_has_no_variance_or_no_mirror_is_refused(device):
    with pytest.raises(ValueError, match="needs more than one pixel"):
        kernels.instance_norm(torch.zeros(2, 3, 1, 1, device=device))
    with pytest.raises(ValueError, match="padding of 4 px is too large"):
        kernels.reflection_pad(torch.zeros(2, 3, 4, 9, device=device), 4)
    with pytest.raises(ValueError, match=r"bfloat16, float16, not for torch\.float64"):
        kernels.instance_norm(torch.zeros(2, 3, 4, 9, device=device, dtype=torch.float64))


CYCLEGAN: Any = registry.load_model("cyclegan")
PLAIN, OURS = Modes(fused=True), Modes(channels_last=True, fused=True, kernels=True)


def test_kernels_that_do_not_compile_are_one_sentence(device, monkeypatch):
    def fail(x, padding):
        raise RuntimeError("no Python.h\nsecond line")

    monkeypatch.setattr(kernels, "reflection_pad", fail)
    model = CYCLEGAN(CYCLEGAN.Config(2, 2, 1, 1))
    with (
        pytest.raises(
            ValueError, match=r"cannot be compiled here: no Python\.h; leave kernels out"
        ),
        prepared(model, OURS),
    ):
        pass


class Penalising(CYCLEGAN):
    """A model that differentiates a gradient of a network with instance normalisation."""

    def training_step(self, batch, random):
        images = batch.images["a"].requires_grad_()
        judged = self.discriminators["a"](images)
        (gradient,) = torch.autograd.grad(judged.sum(), images, create_graph=True)
        gradient.square().sum().backward()
        return {"penalty": gradient.detach().square().sum()}


def test_model_that_differentiates_twice_is_told_to_leave_kernels_out(device):
    config = Penalising.Config(2, 2, 1, 2)
    batch = Batch({domain: draw((1, 3, 16, 16), device) for domain in "ab"})
    with pytest.raises(ValueError, match=r"cannot be taken with kernels: .*; leave kernels out"):
        losses_of(Penalising(config), batch, OURS, device, steps=1)
    assert losses_of(Penalising(config), batch, PLAIN, device, steps=1)[0]["penalty"] > 0


def layers():
    """Build what can be replaced, and what must not be: shared, learned, or something else."""
    shared = nn.ReLU()
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        InstanceNorm(4),
        nn.LeakyReLU(0.3),
        nn.Conv2d(4, 4, 3, padding=(1, 2), padding_mode="reflect"),
        nn.InstanceNorm2d(4),
        shared,
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.InstanceNorm2d(4, affine=True),
        shared,
        nn.ConvTranspose2d(4, 4, 3, 2, 1, 1),
        nn.InstanceNorm2d(4, eps=1e-2),
        nn.Tanh(),
        nn.ReflectionPad2d(2),
        nn.Conv2d(4, 4, 3, stride=2, padding=1, padding_mode="circular"),
        nn.InstanceNorm2d(4),
        nn.ReflectionPad2d((1, 2, 0, 1)),
        nn.Conv2d(4, 2, 3, groups=2),
        Backwards(nn.InstanceNorm2d(2), nn.ReLU()),
    )


class Backwards(nn.Sequential):
    """Applies its members in another order."""

    def forward(self, input):
        for layer in reversed(list(self)):
            input = layer(input)
        return input


def test_replaced_layers_do_the_same_and_are_put_back(device):
    torch.manual_seed(0)
    network = layers().to(device)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, 3, 12, 14, device=device)
    plain = network(x)
    gradient = draw(plain.shape, device)
    plain.backward(gradient)
    wanted = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad(set_to_none=True)
    with channels_last_layers(network):
        replaced = [name for name, layer in network.named_children() if "forward" in vars(layer)]
        found = network(x)
        found.backward(gradient)
    assert not any("forward" in vars(layer) for layer in network.modules())
    assert set(replaced) == {"0", "1", "2", "4", "9", "10", "12", "14"}
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-5)
    largest = max(float(gradient.abs().max()) for gradient in wanted.values())
    cancelled = [name for name, p in network.named_parameters() if p.grad is None]
    assert cancelled == ["0.bias", "9.bias"]
    for name, parameter in network.named_parameters():
        if name in cancelled:
            assert wanted[name].abs().max() < 1e-5 * largest
        else:
            torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-3, atol=1e-4 * largest)


def losses_of(model, batch, modes, device, *, steps):
    """Take steps; give the losses of each."""
    model.networks.to(device).train()
    with prepared(model, modes):
        step = Step(model, Randomness(2, device=device), modes)
        found = [step(Clock(i + 1, 9, 2 * i, 18), batch) for i in range(steps)]
    assert all(tensor.is_contiguous() for tensor in model.networks.state_dict().values())
    return [{key: value.item() for key, value in each.items()} for each in found]


@pytest.mark.slow
def test_channels_last_step_moves_last_digits_only(device):
    config = CYCLEGAN.Config(
        generator_width=2, discriminator_width=2, num_blocks=1, discriminator_layers=1
    )
    batch = Batch({domain: draw((1, 3, 16, 16), device, seed=i) for i, domain in enumerate("ab")})
    found = []
    for modes in (PLAIN, OURS):
        torch.manual_seed(0)
        found += losses_of(CYCLEGAN(config), batch, modes, device, steps=1)
    assert found[0] == pytest.approx(found[1], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [(PLAIN, OURS), (OURS, PLAIN)], ids=["on", "off"])
def test_checkpoints_go_from_mode_to_mode(first, then, tmp_path, device):
    config = CYCLEGAN.Config(2, 2, 1, 1)
    identity = dict.fromkeys(("model", "task", "variant", "preset"), "some") | {"seed": 0}
    identity |= {"settings": {"config": {}, "precision": "fp32", "batch_size": 1}}
    batch = Batch({domain: draw((1, 3, 16, 16), device, seed=i) for i, domain in enumerate("ab")})
    stopped = CYCLEGAN(config)
    losses_of(stopped, batch, first, device, steps=1)
    checkpoint.save_checkpoint(tmp_path, stopped, identity, Position(1, 1))
    found = []
    for modes in (then, first):
        resumed = CYCLEGAN(config)
        resumed.networks.to(device)
        content = checkpoint.latest_checkpoint(tmp_path)
        assert content is not None
        assert checkpoint.restore_checkpoint(resumed, content, identity).step == 1
        found.append(losses_of(resumed, batch, modes, device, steps=2))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    assert found[0][1] == pytest.approx(found[1][1], rel=2e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", registry.available_models())
def test_channels_last_steps_of_every_model_move_last_digits_only(name, device):
    model_class = registry.load_model(name)
    subject = contract.Subject(model_class, model_class.settings("tiny", toy(model_class)))
    batch = subject.batch(0)
    parts = {
        key: part and {domain: each.to(device) for domain, each in part.items()}
        for key, part in (("images", batch.images), ("labels", batch.labels))
    }
    batch = dataclasses.replace(batch, **parts)
    plain, ours = (
        losses_of(subject.build(), batch, modes, device, steps=2) for modes in (PLAIN, OURS)
    )
    assert plain[0] == pytest.approx(ours[0], rel=1e-3)
    assert plain[1] == pytest.approx(ours[1], rel=5e-2)
