"""Every installed model keeps the contract, and the contract notices models that do not."""

import dataclasses
import re
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from i2i_bench import pretrained
from i2i_bench.blocks.normalise import InstanceNorm, contiguous_gradient
from i2i_bench.model import (
    TERMS,
    Ablation,
    Direction,
    Masks,
    Model,
    ModelCard,
    Needs,
    Settings,
    Variation,
)
from i2i_bench.plugins import contract, registry, training_checks
from i2i_bench.plugins.toy import CLASSES, Toy, generous_toy, nominal, toy
from i2i_bench.training.settings import change_settings

TOYS = (
    *("toy-paired", "toy-styled", "toy-dropout", "toy-instances", "toy-drawn"),
    *("toy-staged", "toy-prepared", "toy-perceptual", "toy-heads", "toy-turned"),
)
SLOW = "gradients do not depend on the memory format"  # eight steps in float64
QUICK = ("cyclegan", "pix2pix", "stargan")  # a model of two domains, of pairs, of labels


def is_slow(name, check):
    return check == SLOW or name not in QUICK


@pytest.mark.parametrize(
    ("name", "check"),
    [
        pytest.param(name, check, marks=[pytest.mark.slow] * is_slow(name, check))
        for name in registry.available_models()
        for check in contract.CHECKS
    ],
)
def test_installed_models_keep_the_contract(name, check):
    model_class = registry.load_model(name)
    subject = contract.Subject(model_class, model_class.settings("tiny", toy(model_class)))
    assert contract.run_check(contract.CHECKS[check], subject) is None


@pytest.mark.parametrize("preset", ["published", "small", "tiny"])
@pytest.mark.parametrize("name", registry.available_models())
def test_presets_are_possible_at_the_usual_size(name, preset):
    model_class = registry.load_model(name)
    task = dataclasses.replace(nominal(model_class, 2), image_size=256)
    settings = model_class.settings(preset, task)
    assert 0 < settings.crop_size <= settings.load_size
    assert settings.batch_size > 0
    assert settings.budget > 0


def test_one_mask_is_exempt_from_moving():
    found = contract.check_model(
        registry.load_model("attentiongan"), "attentiongan", {"num_masks": "1"}
    )
    assert [result for result in found if result.reason] == []


@dataclass(frozen=True)
class ShiftConfig:
    """Configuration of a model for tests.

    Attributes:
        fault: What is wrong with it.
    """

    fault: str = ""


class Shift(Model):
    """Add a learned colour; or do one thing wrong."""

    card = ModelCard("Shift", "nobody", "none", 2026, "0000.00000", "none")
    Config = ShiftConfig

    def __init__(self, config: ShiftConfig) -> None:
        self.config = config
        self.networks = nn.ModuleDict({d: nn.Conv2d(3, 3, 1) for d in ("a2b", "b2a")})
        parameters = list(self.networks.parameters())
        if config.fault == "forgotten parameter":
            parameters = parameters[1:]
        self.optimizers = {"all": torch.optim.Adam(parameters)}
        self.state = {}
        self.calls = 0
        if config.fault == "no config":
            del self.config
        if config.fault == "trained frozen":
            self.frozen = nn.ModuleDict({"twin": self.networks["a2b"]})
        if config.fault == "moved frozen":
            self.frozen = nn.ModuleDict({"norm": nn.BatchNorm2d(3)})
        if config.fault == "frozen translates":
            self.frozen = nn.ModuleDict({"last": nn.Conv2d(3, 3, 1)})
        if config.fault == "no direction":
            self.directions = ()
        if config.fault == "unstated weights":
            pretrained.load_frozen(pretrained.SQUEEZENET_NAME, nn.Conv2d(3, 3, 1))
        if config.fault == "fixed term":
            self.losses = {"cycle": "another"}
        if config.fault == "direction":
            self.directions = (Direction("a", "c"),)

    @property
    def fault(self):
        return vars(self).get("config", ShiftConfig()).fault

    @classmethod
    def needs(cls, config):
        return {
            "needs": Needs(pairs="perhaps"),  # pyright: ignore[reportArgumentType] - the fault
            "multiple": Needs(multiple=0),
            "weights": Needs(weights=("unknown.pth",)),
            "masks": Needs(masks="optional"),
            "labels or domains": Needs(labels="optional", drawn_domains="optional"),
        }.get(config.fault, Needs())

    @classmethod
    def settings(cls, preset, task):
        return Settings(ShiftConfig(), 2, 8, 32, 32)

    def prepare(self, batches, random):
        if self.fault == "indexed batches":
            assert batches[0].images  # pyright: ignore[reportIndexIssue] - the fault

    def advance(self, clock):
        if self.fault == "stage too late":
            self.networks["b2a"].requires_grad_(clock.step > clock.total_steps)

    def training_step(self, batch, random):
        self.calls += 1
        fault, losses = self.fault, {}
        if fault == "moved frozen":
            self.frozen["norm"].train()(batch.images["a"])
        for direction, source, target in (("a2b", "a", "b"), ("b2a", "b", "a")):
            fake = self.networks[direction](batch.images[source])
            losses[f"pixel_{direction}"] = (fake - batch.images[target]).abs().mean()
            if fault == "memory format" and not batch.images[source].is_contiguous():
                losses[f"pixel_{direction}"] = 2 * losses[f"pixel_{direction}"]
        if fault == "float32":
            losses["pixel_a2b"] = self.networks["a2b"](torch.zeros(1, 3, 8, 8)).mean()
        if fault == "hidden state":
            losses["pixel_a2b"] = losses["pixel_a2b"] * self.calls
        if fault == "torch's generator":
            losses["pixel_a2b"] = losses["pixel_a2b"] + torch.rand(())
        self.optimizers["all"].zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        if fault != "never steps":
            self.optimizers["all"].step()
        detached = {name: value.detach() for name, value in losses.items()}
        if fault == "name":
            detached["my_loss"] = detached["pixel_a2b"]
        return losses if fault == "attached" else detached

    def translate(self, batch, direction, random):
        fake = self.networks[str(direction)](batch.images[direction.source])
        if self.fault == "frozen translates":
            fake = self.frozen["last"](fake)
        if self.fault == "batch":
            fake = fake - fake.mean()
        if self.fault == "sides":  # as networks that halve images twice do
            height, width = fake.shape[2:]
            fake = fake[..., : height - height % 4, : width - width % 4]
        if self.fault == "one size" and fake.shape[2:] != (32, 32):
            raise ValueError("this model is for images of 32 px")
        if self.fault == "chance":
            fake = fake + torch.rand(())
        if self.fault == "batch's chance":
            fake = fake + random.at(0).normal("shift", (len(fake), 1, 1, 1))
        return fake * 9 if self.fault == "range" else fake.clamp(-1, 1)

    def masks(self, batch, direction, random):
        """All is content, behind the first of two masks; nothing is copied."""
        content = self.translate(batch, direction, random)[:, None]
        attention = torch.ones_like(content[:, :, 0])
        fault = self.fault
        return Masks(
            torch.cat([attention, 0 * attention], dim=1),
            {"content": 9 * content, "content size": content[..., :16]}.get(fault, content),
            0 if fault == "background" else 1,
        )


FAULTS = {
    "needs": "needs are stated",
    "multiple": "needs are stated",
    "sides": "whole images are possible",
    "weights": "needs are stated",
    "no config": "needs are stated",
    "unstated weights": "needs are stated",
    "direction": "needs are stated",
    "trained frozen": "frozen networks are apart",
    "moved frozen": "frozen networks are apart",
    "frozen translates": "frozen networks are apart",
    "no direction": "needs are stated",
    "indexed batches": "resumes identically after save and load",
    "fixed term": "losses are finite, detached and named",
    "stage too late": "every network moves",
    "chance": "translations keep shape and range",
    "batch's chance": "translations are of single images",
    "forgotten parameter": "optimizers own each parameter once",
    "hidden state": "resumes identically after save and load",
    "torch's generator": "chance comes from the seed",
    "never steps": "every network moves",
    "name": "losses are finite, detached and named",
    "attached": "losses are finite, detached and named",
    "batch": "translations are of single images",
    "range": "translations keep shape and range",
    "content": "contents keep shape and range",
    "content size": "contents keep shape and range",
    "background": "the background copies the input",
    "memory format": "gradients do not depend on the memory format",
    "float32": "gradients do not depend on the memory format",
}


def test_a_sound_model_passes():
    assert [r for r in contract.check_model(Shift, "shift") if r.reason] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_noticed(fault):
    found = contract.check_model(Shift, "shift", {"fault": fault})
    assert FAULTS[fault] in [result.name for result in found if result.reason]


def test_a_model_may_take_images_of_one_size_alone():
    found = contract.check_model(Shift, "shift", {"fault": "one size"})
    assert [each for each in found if each.reason] == []


def test_a_batch_of_one_does_not_hide_that_images_depend_on_each_other():
    found = contract.check_model(Shift, "shift", {"fault": "batch", "batch_size": "1"})
    assert [each.name for each in found if each.reason] == ["translations are of single images"]


def test_needs_that_leave_open_how_labels_are_read_are_noticed():
    found = contract.check_model(Shift, "shift", {"fault": "labels or domains"})
    (reason,) = [str(each.reason) for each in found if each.name == "needs are stated"]
    assert "optional beside labels" in reason


def test_a_frozen_network_that_all_models_would_share_is_noticed(monkeypatch):
    class Sharing(Shift):
        def __init__(self, config):
            super().__init__(config)
            self.frozen["shared"] = nn.Conv2d(3, 3, 1)

    monkeypatch.setattr(Model, "frozen", nn.ModuleDict())
    found = contract.check_model(Sharing, "sharing")
    assert [each.name for each in found if each.reason] == ["frozen networks are apart"]


@pytest.mark.parametrize(
    ("claim", "check"),
    [
        ({"is_random": True}, "another seed gives the same translation"),
        ({"takes_examples": True}, "another example gives the same translation"),
    ],
)
def test_a_card_that_claims_too_much_is_noticed(monkeypatch, claim, check):
    monkeypatch.setattr(Shift, "card", dataclasses.replace(Shift.card, **claim))
    (wrong,) = [each for each in contract.check_model(Shift, "shift") if each.reason]
    assert wrong.name == "styles decide the translation"
    assert check in str(wrong.reason)


def test_a_refused_name_of_a_loss_lists_the_possible_ones():
    found = contract.check_model(Shift, "shift", {"fault": "name"})
    (reason,) = [str(each.reason) for each in found if each.reason]
    assert reason.startswith(
        "'my_loss' is not a name for a loss: needed is a term, alone or with _"
    )
    assert all(each in reason for each in (*TERMS, "a2b", "b2a", "explains in losses"))


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.slow
def test_toys_of_every_need_keep_the_contract(name, toys):
    model_class = toys[name]
    assert [r for r in contract.check_model(model_class, name) if r.reason] == []


def test_a_model_is_also_tried_with_all_that_it_can_use(toys):
    found = [each.name for each in contract.check_model(toys["toy-drawn"], "toy-drawn")]
    assert [n for n in found if n.endswith(contract.GENEROUS)] == [
        f"{title}{contract.GENEROUS}" for title in contract.CHECKS
    ]
    assert generous_toy(toys["toy-drawn"]) == CLASSES
    assert generous_toy(toys["toy-paired"]) is None
    assert generous_toy(Shift) is None


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("toy-paired", {"paired": True}),
        ("toy-instances", {"has_masks": True}),
        ("toy-drawn", {"domains": ("a", "b")}),
    ],
)
def test_a_model_is_tried_on_a_task_that_gives_what_it_needs(name, facts, toys):
    task = toy(toys[name])
    assert {key: getattr(task, key) for key in facts} == facts


class Normalised(Shift):
    """Add a learned colour, then normalise by a layer of a class to be set."""

    norm: type[nn.InstanceNorm2d]

    def __init__(self, config):
        super().__init__(config)
        for name in self.networks:
            layers = nn.Conv2d(3, 4, 3, padding=1), self.norm(4), nn.Conv2d(4, 3, 3, padding=1)
            self.networks[name] = nn.Sequential(*layers)
        self.optimizers = {"all": torch.optim.Adam(self.networks.parameters())}


def reads_channels_last_gradients_wrongly():
    """Tell whether this PyTorch does what ``normalise.contiguous_gradient`` is for."""
    x, gradient = torch.randn(2, 1, 3, 4, 5, dtype=torch.float64)
    x.requires_grad_()
    layouts = torch.contiguous_format, torch.channels_last
    one, other = (
        torch.autograd.grad(F.instance_norm(x), x, gradient.contiguous(memory_format=layout))[0]
        for layout in layouts
    )
    return not torch.allclose(one, other)


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d, InstanceNorm])
def test_gradients_that_depend_on_the_memory_format_are_noticed(monkeypatch, norm):
    monkeypatch.setattr(Normalised, "norm", norm, raising=False)
    subject = contract.Subject(Normalised, Normalised.settings("tiny", Toy()))
    reason = training_checks.gradients_do_not_depend_on_the_memory_format(subject)
    if norm is nn.InstanceNorm2d and reads_channels_last_gradients_wrongly():
        assert reason is not None
        assert "at batch 1, channels-last gives" in reason
        assert "a2b.1 is PyTorch's InstanceNorm2d" in reason
        assert reason.endswith(f"use InstanceNorm of {InstanceNorm.__module__}")
    else:
        assert reason is None


def test_a_wrong_gradient_is_named_with_its_size():
    settings = Shift.settings("tiny", Toy())
    config = dataclasses.replace(settings.config, fault="memory format")
    subject = contract.Subject(Shift, dataclasses.replace(settings, config=config))
    reason = training_checks.gradients_do_not_depend_on_the_memory_format(subject)
    assert reason is not None
    assert re.search(r"gives (a2b|b2a)\.(weight|bias) a gradient that is 100\.0% off", reason)
    assert reason.endswith(f"contiguous_gradient of {contiguous_gradient.__module__}")


@pytest.mark.parametrize(
    ("points", "part"),
    [
        ((Variation("one", {"fault": "range"}),), "two points of different labels"),
        ((Variation("one", {}), Variation("one", {"fault": "range"})), "two points of different"),
        ((Variation("one", {}), Variation("two", {"faults": "1"})), "did you mean 'fault'"),
        ((Variation("one", {}), Variation("two", {}, "shift")), "'two' names shift, this model it"),
    ],
)
def test_impossible_ablation_is_noticed(monkeypatch, points, part):
    monkeypatch.setattr(Shift, "ablations", {"faults": Ablation("Faults", "fault", points)})
    (reason,) = [r.reason for r in contract.check_model(Shift, "shift") if r.reason]
    assert part in reason


def test_settings_are_changed_by_typed_values():
    settings = registry.load_model("attentiongan").settings("small", Toy())
    typed = {"num_masks": "2", "batch_size": "3", "background": "generated", "beta1": "0.25"}
    changed = change_settings("attentiongan", settings, typed)
    assert dataclasses.replace(
        settings.config, num_masks=2, background="generated", beta1=0.25
    ) == (changed.config)
    assert changed.batch_size == 3
