"""Every installed model keeps the contract, and the contract notices models that do not."""

import dataclasses
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from i2i_bench import contract, registry
from i2i_bench.model import Ablation, Masks, Model, ModelCard, Settings, Variation
from i2i_bench.settings import change_settings


@pytest.mark.parametrize("check", contract.CHECKS)
@pytest.mark.parametrize("name", registry.available_models())
def test_installed_models_keep_the_contract(name, check):
    model_class = registry.load(name)
    subject = contract.Subject(model_class, model_class.settings("tiny", contract.toy(model_class)))
    assert contract.run(contract.CHECKS[check], subject) is None


@pytest.mark.parametrize("preset", ["published", "small", "tiny"])
@pytest.mark.parametrize("name", registry.available_models())
def test_presets_are_possible_at_the_usual_size(name, preset):
    model_class = registry.load(name)
    task = dataclasses.replace(contract.nominal(model_class, 2), image_size=256)
    settings = model_class.settings(preset, task)
    assert 0 < settings.crop_size <= settings.load_size
    assert settings.batch_size > 0
    assert settings.budget > 0


def test_one_mask_is_exempt_from_moving():
    found = contract.check(registry.load("attentiongan"), "attentiongan", {"num_masks": "1"})
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

    @classmethod
    def settings(cls, preset, task):
        return Settings(ShiftConfig(), 2, 8, 32, 32)

    def training_step(self, batch, random):
        self.calls += 1
        fault, losses = self.config.fault, {}
        for direction, source, target in (("a2b", "a", "b"), ("b2a", "b", "a")):
            fake = self.networks[direction](batch.images[source])
            losses[f"pixel_{direction}"] = (fake - batch.images[target]).abs().mean()
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

    def translate(self, batch, direction):
        fake = self.networks[str(direction)](batch.images[direction.source])
        if self.config.fault == "batch":
            fake = fake - fake.mean()
        return fake * 9 if self.config.fault == "range" else fake.clamp(-1, 1)

    def masks(self, batch, direction):
        """All is content, behind the first of two masks; nothing is copied."""
        content = self.translate(batch, direction)[:, None]
        attention = torch.ones_like(content[:, :, 0])
        fault = self.config.fault
        return Masks(
            torch.cat([attention, 0 * attention], dim=1),
            {"content": 9 * content, "content size": content[..., :16]}.get(fault, content),
            0 if fault == "background" else 1,
        )


FAULTS = {
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
}


def test_a_sound_model_passes():
    assert [r for r in contract.check(Shift, "shift") if r.reason] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_noticed(fault):
    found = contract.check(Shift, "shift", {"fault": fault})
    assert FAULTS[fault] in [result.name for result in found if result.reason]


@pytest.mark.parametrize(
    ("points", "part"),
    [
        ((Variation("one", {"fault": "range"}),), "two points of different labels"),
        ((Variation("one", {}), Variation("one", {"fault": "range"})), "two points of different"),
        ((Variation("one", {}), Variation("two", {"faults": "1"})), "did you mean 'fault'"),
    ],
)
def test_impossible_ablation_is_noticed(monkeypatch, points, part):
    monkeypatch.setattr(Shift, "ablations", {"study": Ablation("A study", "fault", points)})
    (reason,) = [r.reason for r in contract.check(Shift, "shift") if r.reason]
    assert part in reason


def test_settings_are_changed_by_typed_values():
    settings = registry.load("attentiongan").settings("small", contract.Toy())
    typed = {"num_masks": "2", "batch_size": "3", "background": "generated", "beta1": "0.25"}
    changed = change_settings("attentiongan", settings, typed)
    assert dataclasses.replace(
        settings.config, num_masks=2, background="generated", beta1=0.25
    ) == (changed.config)
    assert changed.batch_size == 3
