"""What every model must satisfy: used by ``i2i-bench check`` and by the tests."""

from __future__ import annotations

import copy
import dataclasses
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from i2i_bench.data.directions import directions_of
from i2i_bench.labels import EVERY, Labels
from i2i_bench.model import Batch, Clock, Direction, Masks, Model, Settings, named_networks
from i2i_bench.plugins.gradients import Gradients, largest_difference, recorded_gradients
from i2i_bench.plugins.toy import Toy, toy
from i2i_bench.randomness import Randomness
from i2i_bench.training.settings import change_settings

LOSS_NAME = re.compile(
    r"(adversarial|cam|pixel|total_variation)_\w+2\w+"
    r"|(cycle|identity|reconstruction|kl|kl_cycle|discriminator)_\w+"
    r"|adversarial|cycle|classification(_real)?|discriminator|gradient_penalty"
)
STEPS = 2
SAME_GRADIENT = 1e-4  # relative, in float64; layers that read a wrong layout are off by 1e-2 to 2


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: The property.
        reason: Why it does not hold; None where it does.
    """

    name: str
    reason: str | None


@dataclass(frozen=True)
class Subject:
    """A model under test: class and settings, and the type and memory format of its inputs."""

    model_class: type[Model]
    settings: Settings
    dtype: torch.dtype = torch.float32
    layout: torch.memory_format = torch.contiguous_format

    def build(self) -> Model:
        """Build the model from a fixed seed, in training mode."""
        torch.manual_seed(0)
        model = self.model_class(self.settings.config)
        model.networks.to(self.dtype).train()
        for parameter in model.networks.parameters():
            if parameter.ndim == 4:  # other tensors have no such layout
                parameter.data = parameter.data.contiguous(memory_format=self.layout)
        return model

    @property
    def task(self) -> Toy:
        """The task of the kind that the model is for."""
        return toy(self.model_class)

    @property
    def directions(self) -> list[Direction]:
        """The directions in which it is tested."""
        return directions_of(self.task)

    def batch(self, step: int) -> Batch:
        """Make the batch of a step, the same for the same step."""
        size, count = self.settings.crop_size, self.settings.batch_size
        draws, task = Randomness(1, step * count, dtype=self.dtype), self.task
        images = {d: 2 * draws.uniform(d, (count, 3, size, size)) - 1 for d in task.domains}
        images = {d: each.contiguous(memory_format=self.layout) for d, each in images.items()}
        shape = count, len(task.attributes)
        labels = {d: draws.integers(f"{d} labels", 2, shape).to(self.dtype) for d in task.domains}
        return Batch(images, labels if task.attributes else None)

    def request(self, direction: Direction) -> Batch:
        """Make a batch to translate, of the images of the first step."""
        batch, task = self.batch(0), self.task
        if batch.labels is None:
            return batch
        labelling, whole = Labels(task.attributes, task.exclusive), batch.labels[EVERY]
        old = [tuple(int(value) for value in row) for row in whole.tolist()]
        new = torch.tensor([labelling.changed(row, direction.target) for row in old])
        labels = {direction.source: whole, direction.target: new.float()}
        return Batch({direction.source: batch.images[EVERY]}, labels)

    def step(self, model: Model, number: int) -> dict[str, Tensor]:
        """Take the step of this 0-based number."""
        count = self.settings.batch_size
        total = max(STEPS, self.settings.budget // count)
        model.advance(Clock(number + 1, total, number * count, total * count))
        random = Randomness(2, number * count, dtype=self.dtype)
        return model.training_step(self.batch(number), random)


Check = Callable[[Subject], str | None]


def check_model(
    model_class: type[Model], name: str, changes: Mapping[str, str] | None = None
) -> list[CheckResult]:
    """Run every check on a model's ``tiny`` preset, on the CPU.

    Args:
        model_class: The model.
        name: Its name, for messages.
        changes: Settings to change, as typed.

    Raises:
        ValueError: If these are not possible, which is no fault of the model's.
    """
    try:
        settings = model_class.settings("tiny", toy(model_class))
        subject = Subject(model_class, change_settings(name, settings, {}))
    except Exception as error:  # whatever a model does wrong is its check's result
        return [CheckResult("settings are given", f"{type(error).__name__}: {error}")]
    if changes:
        subject = Subject(model_class, change_settings(name, settings, changes))
    found = [CheckResult(title, run_check(test, subject)) for title, test in CHECKS.items()]
    return [CheckResult("settings are given", None), *found]


def run_check(test: Check, subject: Subject) -> str | None:
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
    text = "\n".join(each.__doc__ or "" for each in type(config).__mro__)
    silent = [f.name for f in dataclasses.fields(config) if f"{f.name}:" not in text]
    return f"Config's docstring says nothing of {', '.join(silent)}" if silent else None


def translations_keep_shape_and_range(subject: Subject) -> str | None:
    """Check both directions: shape, range, and that a second call gives the same."""
    model = subject.build()
    model.networks.eval()
    with torch.no_grad():
        for direction in subject.directions:
            batch = subject.request(direction)
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
    model = subject.build()
    model.networks.eval()
    with torch.no_grad():
        for direction in subject.directions:
            batch = subject.request(direction)
            together = model.translate(batch, direction)
            images = {name: whole[:1] for name, whole in batch.images.items()}
            labels = {name: whole[:1] for name, whole in (batch.labels or {}).items()}
            alone = model.translate(Batch(images, labels or None), direction)
            if not torch.allclose(together[:1], alone, atol=1e-4):
                return f"{direction}: an image's translation depends on the rest of its batch"
    return None


def labels_decide_the_translation(subject: Subject) -> str | None:
    """Check that a model of labels translates an image to each label in another way."""
    if not subject.task.attributes:
        return None
    model = subject.build()
    model.networks.eval()
    with torch.no_grad():
        for direction in subject.directions:
            batch = subject.request(direction)
            assert batch.labels is not None
            other = {d: 1 - labels for d, labels in batch.labels.items()}
            fakes = [
                model.translate(Batch(batch.images, n), direction) for n in (batch.labels, other)
            ]
            if torch.equal(*fakes):
                return f"{direction}: all labels give the same translation"
    return None


def _masked(subject: Subject) -> list[tuple[Direction, Masks, Tensor, Tensor]]:
    """Give masks, source and translation of every direction that has masks."""
    model, found = subject.build(), []
    model.networks.eval()
    with torch.no_grad():
        for direction in subject.directions:
            batch = subject.request(direction)
            masks, source = model.masks(batch, direction), batch.images[direction.source]
            if masks is not None:
                found.append((direction, masks, source, model.translate(batch, direction)))
    return found


def masks_share_each_pixel(subject: Subject) -> str | None:
    """Check the shape of masks, that they sum to 1, and the index of the background."""
    for _, masks, source, _ in _masked(subject):
        shape, (count, _, height, width) = masks.attention.shape, source.shape
        if (shape[0], *shape[2:]) != (count, height, width):
            return f"attention is {tuple(shape)} for images of {height}x{width}"
        if not bool(((masks.attention >= 0) & (masks.attention <= 1 + 1e-6)).all()):
            return "attention lies outside [0, 1], or is not numbers"
        if not torch.allclose(masks.attention.sum(1), torch.ones(count, height, width), atol=1e-4):
            return "attention does not sum to 1"
        if masks.background is not None and masks.background not in range(shape[1]):
            return f"background is mask {masks.background} of {shape[1]}"
    return None


def contents_keep_shape_and_range(subject: Subject) -> str | None:
    """Check the shape of contents, and that they lie in [-1, 1]."""
    for direction, masks, source, _ in _masked(subject):
        if masks.content is None:
            continue
        shape = tuple(masks.content.shape)
        if len(shape) != 5 or (shape[0], *shape[2:]) != tuple(source.shape):
            return f"{direction}: content is {shape} for images {tuple(source.shape)}"
        if not bool((masks.content.abs() <= 1 + 1e-6).all()):
            return f"{direction}: content lies outside [-1, 1], or is not numbers"
    return None


def background_copies_the_input(subject: Subject) -> str | None:
    """Check that contents and input, blended by their masks, give the translation.

    Contents beyond [-1, 1] are clipped in ``Masks``, so such pixels are left out. A model that does
    not return all of its contents is not checked.
    """
    for direction, masks, source, fake in _masked(subject):
        contents, count = masks.content, masks.attention.shape[1]
        if masks.background is None or (0 if contents is None else contents.shape[1]) != count - 1:
            continue
        others = [k for k in range(count) if k != masks.background]
        blend = masks.attention[:, masks.background, None] * source
        is_clipped = torch.zeros_like(source, dtype=torch.bool)
        if contents is not None:
            blend = blend + (masks.attention[:, others, None] * contents).sum(dim=1)
            is_clipped = (contents.abs() >= 1).any(dim=1)
        distance = (fake - blend.clamp(-1, 1)).abs()
        if bool((distance[~is_clipped] > 1e-4).any()):
            return (
                f"{direction}: mask {masks.background} of {count} does not copy the input: the "
                "translation is another than that and the contents, each behind its mask"
            )
    return None


def losses_are_finite_detached_and_named(subject: Subject) -> str | None:
    """Check what a training step returns."""
    losses = subject.step(subject.build(), 0)
    for name, value in losses.items():
        if not LOSS_NAME.fullmatch(name):
            return f"{name!r} is not a name for a loss"
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
    """Check that every trainable parameter is in exactly one optimiser."""
    model = subject.build()
    groups = [g for o in model.optimizers.values() for g in o.param_groups]
    owned = [id(parameter) for group in groups for parameter in group["params"]]
    for name, parameter in model.networks.named_parameters():
        times = owned.count(id(parameter))
        if times > 1 or (parameter.requires_grad and times == 0):
            return f"{name} is in {times} optimisers"
    return None


class _Reads(TorchDispatchMode):
    """Counts the values that the host reads outside of optimisers, each of which it waits for."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.count, self._is_paused = 0, False
        for optimizer in model.optimizers.values():  # on a CPU they read their number of steps
            optimizer.register_step_pre_hook(lambda *_: self._pause(True))
            optimizer.register_step_post_hook(lambda *_: self._pause(False))

    def _pause(self, is_paused: bool) -> None:
        self._is_paused = is_paused

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        reading = func in (
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.nonzero.default,
        )
        self.count += reading and not self._is_paused
        return func(*args, **(kwargs or {}))


def steps_wait_for_nothing(subject: Subject) -> str | None:
    """Check that a step reads no value of a tensor on the host, where it would wait for it."""
    model = subject.build()
    with _Reads(model) as reads:
        for number in range(STEPS):
            subject.step(model, number)
    if reads.count:
        return f"{STEPS} training steps read {reads.count} values on the host, and wait for each"
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
        if first.keys() != second.keys():
            return "the names of losses differ between two runs of one seed"
        for name, value in first.items():
            if not torch.equal(value, second[name]):
                return f"{name} differs between two runs of one seed"
    return None


def resumes_identically_after_save_and_load(subject: Subject) -> str | None:
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


def gradients_do_not_depend_on_the_memory_format(subject: Subject) -> str | None:
    """Check that steps in float64 give channels-last images and weights the same gradients."""
    counts = (2,) if subject.model_class.card.samples_interact else (1, 2)
    for count in counts:
        settings = dataclasses.replace(subject.settings, batch_size=count)
        exact = dataclasses.replace(subject, settings=settings, dtype=torch.float64)
        try:
            wanted = _gradients(exact)
            found = _gradients(dataclasses.replace(exact, layout=torch.channels_last))
            worst = largest_difference(found, wanted)
        except (RuntimeError, ValueError) as error:
            advice = "; make tensors of the type of the images" if "dtype" in str(error) else ""
            return f"at batch {count} in float64: {error}{advice}"
        if not all(bool(t.isfinite().all()) for each in wanted.values() for t in each):
            return f"at batch {count} in float64 a gradient is not finite"
        if not worst.relative < SAME_GRADIENT:
            return (
                f"at batch {count}, channels-last gives {worst.parameter} a gradient that is "
                f"{worst.relative:.1%} off that of contiguous images; {_remedy(exact)}"
            )
    return None


def _gradients(subject: Subject) -> Gradients:
    model = subject.build()
    with recorded_gradients(model) as found:
        for number in range(STEPS):
            subject.step(model, number)
    return found


def _remedy(subject: Subject) -> str:
    """Say what to use in place of layers that PyTorch differentiates wrongly."""
    for name, layer in subject.build().networks.named_modules():
        if type(layer) is nn.InstanceNorm2d:
            return (
                f"{name} is PyTorch's InstanceNorm2d, whose gradient is wrong there: use "
                "InstanceNorm of i2i_bench.blocks.normalise"
            )
    return "give outputs of normalisations to contiguous_gradient of i2i_bench.blocks.normalise"


def ablations_are_possible(subject: Subject) -> str | None:
    """Check that each study has points of different labels, whose changes the model knows."""
    for name, study in subject.model_class.ablations.items():
        labels = [point.label for point in study.points]
        if len(set(labels)) != len(labels) or len(labels) < 2:
            return f"{name}: two points of different labels at least, not {', '.join(labels)}"
        for point in study.points:
            if not point.model:
                change_settings("under test", subject.settings, point.changes)
    return None


CHECKS: dict[str, Check] = {
    "the configuration is frozen and documented": config_is_frozen_and_documented,
    "translations keep shape and range": translations_keep_shape_and_range,
    "translations are of single images": translations_are_of_single_images,
    "labels decide the translation": labels_decide_the_translation,
    "masks share each pixel": masks_share_each_pixel,
    "contents keep shape and range": contents_keep_shape_and_range,
    "the background copies the input": background_copies_the_input,
    "losses are finite, detached and named": losses_are_finite_detached_and_named,
    "every network moves": every_network_moves,
    "optimizers own each parameter once": optimizers_own_each_parameter_once,
    "steps wait for nothing": steps_wait_for_nothing,
    "chance comes from the seed": chance_comes_from_the_seed,
    "resumes identically after save and load": resumes_identically_after_save_and_load,
    "gradients do not depend on the memory format": gradients_do_not_depend_on_the_memory_format,
    "ablations are possible": ablations_are_possible,
}
