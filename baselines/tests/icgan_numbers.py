"""The numbers that IcGAN is compared with: the fixture's networks, steps and names."""

from __future__ import annotations

import i2i_baselines.icgan.model as module
import pytest
import torch
from i2i_baselines.icgan.config import CELEBA_PARTNERS, IcGANConfig
from i2i_baselines.icgan.model import IcGAN

from i2i_bench.labels import EVERY
from i2i_bench.model import Batch
from i2i_bench.plugins.gradients import recorded_gradients
from i2i_bench.randomness import Randomness

CONFIG = IcGANConfig(
    partners=CELEBA_PARTNERS,
    generator_width=4,
    discriminator_width=4,
    encoder_width=2,
    latent_width=10,
    label_hidden=24,
)
NETWORKS = {"G": "generator", "D": "discriminator", "E_z": "latent_encoder", "E_y": "label_encoder"}


class Torch7Adam(torch.optim.Optimizer):
    """Adam as Torch7's optim has it: epsilon is added before the correction of the bias."""

    def __init__(self, parameters, lr, betas):
        super().__init__(parameters, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure=None):  # pyright: ignore[reportIncompatibleMethodOverride] - torch's
        for group in self.param_groups:
            first, second = group["betas"]
            for parameter in group["params"]:
                state = self.state[parameter]
                if not state:
                    zeros = torch.zeros_like(parameter)
                    state |= {"number": 0, "mean": zeros, "square": zeros.clone()}
                state["number"] += 1
                state["mean"].lerp_(parameter.grad, 1 - first)
                state["square"].lerp_(parameter.grad.square(), 1 - second)
                right = (1 - second ** state["number"]) ** 0.5 / (1 - first ** state["number"])
                root = state["square"].sqrt() + 1e-8
                parameter -= group["lr"] * right * state["mean"] / root


def our_name(name):
    """Give our name of one of the fixture's tensors."""
    network, _, rest = name.partition("/")
    layer, _, leaf = rest.partition(".")
    number = int(layer[-1])
    if network in "GD":
        place = f"stages.{number - 1}.{int(layer.startswith('bn'))}"
    elif layer.startswith("fc"):
        place = {1: "layers.13", 2: "layers.16"}[number]
    else:
        is_vector = number == 5
        place = "layers.14" if is_vector else f"layers.{3 * number - 3 + layer.startswith('bn')}"
    return f"{NETWORKS[network]}.{place}.{leaf}"


def build(numbers):
    """Give a model with the fixture's weights; running statistics are those of a new one."""
    model = IcGAN(CONFIG)
    found = {our_name(name): tensor for name, tensor in numbers.init.items()}
    held = model.networks.state_dict()
    lacking = {name for name in held if name not in found}
    assert all(name.endswith("num_batches_tracked") for name in lacking)
    model.networks.load_state_dict(held | found)
    return model


def images_of(numbers, name):
    return (numbers.io[name].double() - 128) / 128


def outputs(model, numbers):
    """Give what the networks make of the probe, by the fixture's names; nothing of them moves."""
    dtype = next(model.networks.parameters()).dtype
    images = images_of(numbers, "probe/x").to(dtype)
    labels, codes = (numbers.io[f"probe/{key}"].to(dtype) for key in ("y", "z"))
    states = {name: t.clone() for name, t in model.networks.state_dict().items()}
    found = {}
    with torch.no_grad():
        for suffix, is_training in (("", True), ("_eval", False)):
            model.networks.train(is_training)
            fake = model.generator(codes, labels)
            found[f"fake{suffix}"] = fake[..., ::4, ::4]
            found[f"D/real{suffix}"] = model.discriminator(images, labels).sigmoid()
            found[f"E_z{suffix}"] = model.encode_latent(images, labels)
            found[f"E_y{suffix}"] = model.encode_labels(images)
            if is_training:
                found["D/fake"] = model.discriminator(fake, labels).sigmoid()
            model.networks.load_state_dict(states)
    return found


def use_adam(model, kind):
    """Give the networks the optimisers of one of the two programs."""
    if kind == "torch7":
        for name, each in model.optimizers.items():
            (group,) = each.param_groups
            model.optimizers[name] = Torch7Adam(group["params"], group["lr"], group["betas"])


class Codes(Randomness):
    """The codes of the fixture in the place of new ones."""

    def __init__(self, codes):
        super().__init__(0, dtype=torch.float64)
        self.codes = codes

    def normal(self, name, shape):
        assert self.codes.shape == shape
        return self.codes


def train(model, numbers, stage, monkeypatch):
    """Take the fixture's three steps of a stage in float64; give losses and gradients."""
    model.networks.double().train()
    model.stage, model.refreshes = stage, False
    part = {"gan": "gan", "latent": "ez", "label": "ey"}[stage]
    losses = []
    with recorded_gradients(model) as gradients:
        for step in range(3):
            given = {
                key: numbers.io.get(f"{part}/{key}_{step}")
                for key in ("y_real", "y_wrong", "y_fake", "y", "z")
            }
            labels = {key: each.double() for key, each in given.items() if each is not None}
            codes = labels.pop("z", torch.zeros(4, 10, dtype=torch.float64))
            own = labels["y_real" if stage == "gan" else "y"]
            for name, key in (("mismatched", "y_wrong"), ("exchanged", "y_fake")):
                draw = lambda *_, k=key, drawn=labels: drawn[k]  # noqa: E731 - bound now
                monkeypatch.setattr(module, f"{name}_labels", draw)
            name = f"{part}/x_{step}"
            images = images_of(numbers, name) if stage != "latent" else torch.zeros(4, 3, 64, 64)
            batch = Batch({EVERY: images.double()}, {EVERY: (own + 1) / 2})
            losses.append(model.training_step(batch, Codes(codes)))
    return losses, gradients


def refreshed(model, numbers):
    """Renew the generator's statistics as the fixture does."""
    model.networks.double().train()
    for step in range(4):
        codes, labels = (numbers.io[f"refresh/{key}_{step}"].double() for key in ("z", "y"))
        model.refresh(codes, labels)


def assert_gradients(gradients, norms):
    assert norms
    for name, norm in norms.items():
        found = gradients[our_name(name)][0].norm().item()
        assert found == pytest.approx(norm, rel=1e-6, abs=1e-6), name


def assert_tensors(model, stated):
    held = model.networks.state_dict()
    assert stated
    for name, facts in stated.items():
        if norm_cancels(name):
            continue
        tensor = held[our_name(name)]
        found = {"l2": tensor.norm(), "mean": tensor.mean(), "absmax": tensor.abs().max()}
        for key, value in facts.items():
            assert found[key].item() == pytest.approx(value, rel=1e-6, abs=1e-7), (name, key)


def norm_cancels(name):
    """Tell whether a tensor is a bias in front of a normalisation, which learns from rounding."""
    network, _, rest = name.partition("/")
    layer = rest.removesuffix(".bias")
    last = {"G": "deconv5", "D": "conv1 conv5", "E_z": "fc2", "E_y": "fc2"}[network].split()
    return rest.endswith(".bias") and not layer.startswith("bn") and layer not in last


def assert_gan_losses(losses, expected):
    for step, (ours, theirs) in enumerate(zip(losses, expected, strict=True)):
        assert ours["discriminator"].item() == pytest.approx(2 * theirs["errD"], rel=1e-6), step
        assert ours["adversarial"].item() == pytest.approx(theirs["errG"], rel=1e-6), step
