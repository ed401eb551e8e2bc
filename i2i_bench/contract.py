"""What every model must satisfy: used by ``i2i-bench check`` and by the tests."""

from __future__ import annotations

import copy
import dataclasses
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from i2i_bench import plan
from i2i_bench.model import A2B, B2A, Batch, Clock, Model, Randomness, Settings, named_networks

LOSS_NAME = re.compile(
    r"(adversarial|cam|pixel|total_variation)_\w+2\w+"
    r"|(cycle|identity|reconstruction|kl|kl_cycle|discriminator)_\w+"
    r"|classification|gradient_penalty"
)
STEPS = 2


@dataclass(frozen=True)
class Toy:
    """The facts of a task without data; by default one small enough for tests."""

    name: str = "toy"
    kind: str = "embedded"
    image_size: int = 32
    domains: tuple[str, ...] = ("a", "b")
    num_train: Mapping[str, int] = field(default_factory=lambda: {"a": 8, "b": 8})


NOMINAL = Toy(
    "nominal", kind="folder", image_size=256, num_train={"a": 1000, "b": 1000}
)  # of the field's usual size


@dataclass(frozen=True)
class Result:
    """What one check found.

    Attributes:
        name: The property.
        reason: Why it does not hold; None where it does.
    """

    name: str
    reason: str | None


@dataclass(frozen=True)
class Subject:
    """A model under test: its class and its settings."""

    model_class: type[Model]
    settings: Settings

    def build(self) -> Model:
        """Build the model from a fixed seed, in training mode."""
        torch.manual_seed(0)
        model = self.model_class(self.settings.config)
        model.networks.train()
        return model

    def batch(self, step: int) -> Batch:
        """Make the batch of a step, the same for the same step."""
        size, count = self.settings.crop_size, self.settings.batch_size
        draws = Randomness(1, step * count)
        images = {d: 2 * draws.uniform(d, (count, 3, size, size)) - 1 for d in ("a", "b")}
        return Batch(images)

    def step(self, model: Model, number: int) -> dict[str, Tensor]:
        """Take the step of this 0-based number."""
        count = self.settings.batch_size
        total = max(STEPS, self.settings.budget // count)
        model.advance(Clock(number + 1, total, number * count, total * count))
        return model.training_step(self.batch(number), Randomness(2, number * count))


Check = Callable[[Subject], str | None]


def check(
    model_class: type[Model], name: str, changes: Mapping[str, str] | None = None
) -> list[Result]:
    """Run every check on a model's ``tiny`` preset, on the CPU.

    Args:
        model_class: The model.
        name: Its name, for messages.
        changes: Settings to change, as typed.
    """
    try:
        settings = model_class.settings("tiny", Toy())
        subject = Subject(model_class, plan.change_settings(name, settings, changes or {}))
    except Exception as error:  # whatever a model does wrong is its check's result
        return [Result("settings are given", f"{type(error).__name__}: {error}")]
    found = [Result(title, run(test, subject)) for title, test in CHECKS.items()]
    return [Result("settings are given", None), *found]


def run(test: Check, subject: Subject) -> str | None:
    """Run one check; a model that raises fails it."""
    try:
        with torch.random.fork_rng(devices=[]):
            return test(subject)
    except Exception as error:  # whatever a model does wrong is its check's result
        return f"{type(error).__name__}: {error}"


def config_is_frozen_and_documented(subject: Subject) -> str | None:
    """Check that the configuration cannot change and that every field is explained."""
    config = subject.settings.config
    if not isinstance(config, subject.model_class.Config):
        return f"settings give a {type(config).__name__}, not the model's Config"
    if not type(config).__dataclass_params__.frozen:
        return "Config is not frozen"
    text = type(config).__doc__ or ""
    silent = [f.name for f in dataclasses.fields(config) if f"{f.name}:" not in text]
    return f"Config's docstring says nothing of {', '.join(silent)}" if silent else None


def translations_keep_shape_and_range(subject: Subject) -> str | None:
    """Check both directions: shape, range, and that a second call gives the same."""
    model, batch = subject.build(), subject.batch(0)
    model.networks.eval()
    with torch.no_grad():
        for direction in (A2B, B2A):
            source = batch.images[direction.source]
            fake = model.translate(batch, direction)
            if fake.shape != source.shape:
                return f"{direction}: {tuple(fake.shape)} made of {tuple(source.shape)}"
            if not bool((fake.abs() <= 1 + 1e-6).all()):
                return f"{direction}: values outside [-1, 1], or not numbers"
            if not torch.equal(fake, model.translate(batch, direction)):
                return f"{direction}: the same image is translated in two ways"
    return None


def translations_are_of_single_images(subject: Subject) -> str | None:
    """Check that an image is translated alike whatever else is in its batch."""
    model, batch = subject.build(), subject.batch(0)
    model.networks.eval()
    with torch.no_grad():
        for direction in (A2B, B2A):
            together = model.translate(batch, direction)
            first = {name: images[:1] for name, images in batch.images.items()}
            alone = model.translate(Batch(first), direction)
            if not torch.allclose(together[:1], alone, atol=1e-4):
                return f"{direction}: an image's translation depends on the rest of its batch"
    return None


def masks_share_each_pixel(subject: Subject) -> str | None:
    """Check the masks' shape, that they sum to 1, and the index of the background."""
    model, batch = subject.build(), subject.batch(0)
    model.networks.eval()
    count, _, height, width = batch.images["a"].shape
    with torch.no_grad():
        found = [model.masks(batch, direction) for direction in (A2B, B2A)]
    for masks in found:
        if masks is None:
            continue
        shape = masks.attention.shape
        if (shape[0], *shape[2:]) != (count, height, width):
            return f"attention is {tuple(shape)} for images of {height}x{width}"
        if not bool(((masks.attention >= 0) & (masks.attention <= 1 + 1e-6)).all()):
            return "attention lies outside [0, 1], or is not numbers"
        if not torch.allclose(masks.attention.sum(1), torch.ones(count, height, width), atol=1e-4):
            return "attention does not sum to 1"
        if masks.background is not None and masks.background not in range(shape[1]):
            return f"background is mask {masks.background} of {shape[1]}"
    return None


def losses_are_finite_detached_and_named(subject: Subject) -> str | None:
    """Check what a training step returns."""
    losses = subject.step(subject.build(), 0)
    for name, value in losses.items():
        if not LOSS_NAME.fullmatch(name):
            return f"{name!r} is no name of a loss"
        if value.ndim or value.requires_grad or not value.isfinite():
            return f"{name} is not a finite, detached scalar: {value}"
    return None if losses else "a training step returns no losses"


def every_network_moves(subject: Subject) -> str | None:
    """Check that steps change each network that has something to learn."""
    model = subject.build()
    before = copy.deepcopy(model.networks.state_dict())
    for number in range(STEPS):
        subject.step(model, number)
    for name, network in named_networks(model.networks):
        learned = [n for n, p in network.named_parameters() if p.requires_grad]
        after = network.state_dict()
        if learned and all(torch.equal(after[n], before[f"{name}.{n}"]) for n in learned):
            return f"{name} does not change in {STEPS} steps"
    return None


def optimizers_own_each_parameter_once(subject: Subject) -> str | None:
    """Check that no trainable parameter is forgotten, and none is stepped twice."""
    model = subject.build()
    groups = [g for o in model.optimizers.values() for g in o.param_groups]
    owned = [id(parameter) for group in groups for parameter in group["params"]]
    for name, parameter in model.networks.named_parameters():
        times = owned.count(id(parameter))
        if times > 1 or (parameter.requires_grad and times == 0):
            return f"{name} is in {times} optimisers"
    return None


def chance_comes_from_the_seed(subject: Subject) -> str | None:
    """Check that equal seeds give equal losses, and torch's own generator is left alone."""
    runs = []
    for noise in (3, 4):
        model = subject.build()
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        runs.append([subject.step(model, number) for number in range(STEPS)])
        if not torch.equal(before, torch.get_rng_state()):
            return "a training step draws from torch's generator, not from random"
    for first, second in zip(*runs, strict=True):
        for name, value in first.items():
            if not torch.equal(value, second[name]):
                return f"{name} differs between two runs of one seed"
    return None


def saved_and_loaded_goes_on_the_same(subject: Subject) -> str | None:
    """Check that networks, optimizers and state are all that the next step depends on."""
    whole = subject.build()
    subject.step(whole, 0)
    file = io.BytesIO()
    parts = {"optimizers": whole.optimizers, "state": whole.state}
    content = {key: {n: p.state_dict() for n, p in part.items()} for key, part in parts.items()}
    torch.save(content | {"networks": whole.networks.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    torch.manual_seed(5)
    again = subject.model_class(subject.settings.config)
    again.networks.load_state_dict(saved["networks"])
    again.networks.train()
    for key, part in {"optimizers": again.optimizers, "state": again.state}.items():
        for name, piece in part.items():
            piece.load_state_dict(saved[key][name])
    expected, found = subject.step(whole, 1), subject.step(again, 1)
    wrong = [name for name in expected if not torch.equal(expected[name], found[name])]
    ours, theirs = whole.networks.state_dict(), again.networks.state_dict()
    wrong += [name for name in ours if not torch.equal(ours[name], theirs[name])]
    return f"{', '.join(wrong[:3])} differ after save, load and a step" if wrong else None


def ablations_are_possible(subject: Subject) -> str | None:
    """Check that each study has points of different labels, whose changes the model knows."""
    for name, study in subject.model_class.ablations.items():
        labels = [point.label for point in study.points]
        if len(set(labels)) != len(labels) or len(labels) < 2:
            return f"{name}: two points of different labels at least, not {', '.join(labels)}"
        for point in study.points:
            if not point.model:
                plan.change_settings("under test", subject.settings, point.changes)
    return None


CHECKS: dict[str, Check] = {
    "the configuration is frozen and documented": config_is_frozen_and_documented,
    "translations keep shape and range": translations_keep_shape_and_range,
    "translations are of single images": translations_are_of_single_images,
    "masks share each pixel": masks_share_each_pixel,
    "losses are finite, detached and named": losses_are_finite_detached_and_named,
    "every network moves": every_network_moves,
    "optimizers own each parameter once": optimizers_own_each_parameter_once,
    "chance comes from the seed": chance_comes_from_the_seed,
    "saved and loaded goes on the same": saved_and_loaded_goes_on_the_same,
    "ablations are possible": ablations_are_possible,
}
