"""The base class of label-conditioned models, with StarGAN's training step (CVPR 2018)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench import official
from i2i_bench.blocks.discriminators import LabelledDiscriminator
from i2i_bench.blocks.generators import LabelledGenerator
from i2i_bench.blocks.limits import at_least, check_limits, require_at_least, require_task_size
from i2i_bench.blocks.losses import classification_loss, gradient_penalty
from i2i_bench.blocks.optimise import adam, descend, frozen, set_learning_rate
from i2i_bench.blocks.schedules import learning_rate_factor
from i2i_bench.labels import EVERY, is_one_hot
from i2i_bench.model import Batch, Clock, Direction, Model, Needs, Preset, Settings, TaskFacts
from i2i_bench.randomness import Randomness

_HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair")
_EXPRESSIONS = (
    *("angry", "contemptuous", "disgusted", "fearful", "happy", "neutral", "sad", "surprised"),
)
MOST_FILES = 8  # of any name that are looked into
RELEASED = {  # number of labels in the authors' files → attributes and exclusive groups
    5: ((*_HAIR, "Male", "Young"), (_HAIR,)),
    8: (_EXPRESSIONS, (_EXPRESSIONS,)),
}
SMALL: Mapping[str, Any] = {  # a classification that counts more learns within minutes
    **{"generator_width": 16, "discriminator_width": 32, "num_blocks": 3},
    **{"discriminator_layers": 4, "lambda_classification": 4.0, "critic_steps": 2},
    **{"learning_rate": 5e-4, "decay": "linear"},
}
TINY: Mapping[str, Any] = {
    **{"generator_width": 4, "discriminator_width": 4, "num_blocks": 1},
    **{"discriminator_layers": 3, "critic_steps": 2},
}


@dataclass(frozen=True)
class LabelledConfig:
    """Configuration of every model of this family.

    Attributes:
        attributes: What the labels say, in their order.
        exclusive: Groups of attributes of which an image has one at most; if one group holds all of
            them, labels are classified by softmax, else each attribute by itself.
        image_size: Side in pixels of the images that the discriminator's class head fits.
        generator_width: Channels of the generator's first layer.
        discriminator_width: Channels of the discriminator's first layer; they double with each.
        num_blocks: Residual blocks of the generator.
        discriminator_layers: Layers of stride 2 of the discriminator.
        lambda_cycle: Weight of the cycle loss.
        lambda_classification: Weight of the classification loss, of both networks.
        lambda_penalty: Weight of the gradient penalty.
        critic_steps: Steps of the discriminator for one of the generator, which is taken on the
            last batch of them.
        learning_rate: Adam's learning rate before the decay.
        beta1: Adam's decay of the first moment; the second's is 0.999.
        decay: Over the second half of the steps: ``authors`` lowers the rate every 1,000 steps by
            what should be taken off it every step, so that it falls by 0.1 % in all; ``linear``
            lowers it to 0.
    """

    attributes: tuple[str, ...]
    exclusive: tuple[tuple[str, ...], ...] = ()
    image_size: int = 128
    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    num_blocks: int = at_least(0, 6)
    discriminator_layers: int = at_least(1, 6)
    lambda_cycle: float = at_least(0, 10.0)
    lambda_classification: float = at_least(0, 1.0)
    lambda_penalty: float = at_least(0, 10.0)
    critic_steps: int = at_least(1, 5)
    learning_rate: float = 1e-4
    beta1: float = 0.5
    decay: Literal["authors", "linear"] = "authors"

    def __post_init__(self) -> None:
        if not self.attributes:
            raise ValueError("a model of labels needs attributes, as a labelled task has them")
        if self.decay not in ("authors", "linear"):
            raise ValueError(f"decay is {self.decay!r}; possible: authors, linear")
        check_limits(self)
        require_at_least(self, image_size=max(8, 2**self.discriminator_layers))

    @property
    def is_softmax(self) -> bool:
        """Whether an image has exactly one of the attributes."""
        return is_one_hot(self.attributes, self.exclusive)


class LabelConditioned(Model):
    """StarGAN's training; models of this family differ by their generator alone."""

    Config: ClassVar[type[LabelledConfig]]
    config: LabelledConfig

    def __init__(self, config: LabelledConfig) -> None:
        self.config = config
        self.generator = self.make_generator(config)
        self.discriminator = LabelledDiscriminator(
            config.discriminator_width,
            config.discriminator_layers,
            num_labels=len(config.attributes),
            image_size=config.image_size,
        )
        self.networks = nn.ModuleDict(
            {"generator": self.generator, "discriminator": self.discriminator}
        )
        self.optimizers = adam(self.networks, config.learning_rate, config.beta1)
        self.state = {}
        self.trains_generator = False

    @classmethod
    def make_generator(cls, config: LabelledConfig) -> LabelledGenerator:
        """Build the generator."""
        num_labels = len(config.attributes)
        return LabelledGenerator(config.generator_width, config.num_blocks, num_labels=num_labels)

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Return the authors' settings (200,000 steps of 16 images), or smaller ones."""
        least, largest = {"published": (64, 256), "small": (16, 64), "tiny": (16, 32)}[preset]
        require_task_size(task, least, f"{cls.card.title}, {preset},")
        size = min(task.image_size, largest)
        facts: dict[str, Any] = {"attributes": task.attributes, "exclusive": task.exclusive}
        facts |= {"image_size": size}
        if preset == "published":
            config, batch_size, budget = cls.Config(**facts), 16, 3_200_000
        elif preset == "small":
            config, batch_size, budget = cls.Config(**facts, **SMALL), 8, 14_000
        else:
            config, batch_size, budget = cls.Config(**facts, **TINY), 2, 8
        return Settings(config, batch_size, budget, size, size, resampling="bilinear")

    @classmethod
    def needs(cls, config: LabelledConfig) -> Needs:
        """Ask for labels; the generator halves images twice."""
        del config
        return Needs(labels="required", multiple=4)

    def advance(self, clock: Clock) -> None:
        """Set the learning rate, and whether the generator is trained too.

        It is also trained at the last step, so that no step of the discriminator is wasted.
        """
        factor = learning_rate_factor(clock, self.config.decay)
        set_learning_rate(self.optimizers, self.config.learning_rate * factor)
        is_last = clock.step == clock.total_steps
        self.trains_generator = is_last or clock.step % self.config.critic_steps == 0

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update the discriminator, then maybe the generator, on labels exchanged in the batch."""
        assert batch.labels is not None
        real, labels = batch.images[EVERY], batch.labels[EVERY]
        order = random.uniform("exchange", (len(real),)).argsort(stable=True)
        target = labels[order]
        shares = random.uniform("interpolation", (len(real), 1, 1, 1))
        losses = self._critic_losses(real, labels, target, shares)
        descend(self.optimizers["discriminator"], losses["discriminator"])
        if self.trains_generator:
            with frozen(self.discriminator):
                of_generator = self._generator_losses(real, labels, target)
                weights = self._weights() | {"adversarial": 1.0}
                total = torch.stack([weights[n] * value for n, value in of_generator.items()]).sum()
                descend(self.optimizers["generator"], total)
            losses |= of_generator
        return {name: value.detach() for name, value in losses.items()}

    def _weights(self) -> dict[str, float]:
        config = self.config
        return {"cycle": config.lambda_cycle, "classification": config.lambda_classification}

    def _critic_losses(
        self, real: Tensor, labels: Tensor, target: Tensor, shares: Tensor
    ) -> dict[str, Tensor]:
        """Compute the discriminator's terms, and their weighted sum."""
        with torch.no_grad():
            fake = self.generator(real, target)
        of_real, logits = self.discriminator(real)
        of_fake, _ = self.discriminator(fake)
        mixed = shares * real + (1 - shares) * fake
        penalty = gradient_penalty(lambda images: self.discriminator(images)[0], mixed)
        classified = classification_loss(logits, labels, is_softmax=self.config.is_softmax)
        total = of_fake.mean() - of_real.mean() + self.config.lambda_penalty * penalty
        return {
            "discriminator": total + self.config.lambda_classification * classified,
            "classification_real": classified,
            "gradient_penalty": penalty,
        }

    def _generator_losses(self, real: Tensor, labels: Tensor, target: Tensor) -> dict[str, Tensor]:
        fake = self.generator(real, target)
        values, logits = self.discriminator(fake)
        reconstructed = self.generator(fake, labels)
        return {
            "adversarial": -values.mean(),
            "classification": classification_loss(
                logits, target, is_softmax=self.config.is_softmax
            ),
            "cycle": F.l1_loss(reconstructed, real),
        }

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Translate to the labels of the target; what is not bounded is clipped to [-1, 1]."""
        assert batch.labels is not None
        fake = self.generator(batch.images[direction.source], batch.labels[direction.target])
        return fake.clamp(-1, 1)

    @classmethod
    def from_official(cls, path: Path) -> Self:
        """Read ``<step>-G.ckpt`` and, if it is there, ``<step>-D.ckpt`` of the highest step.

        Raises:
            ValueError: Naming the first tensors that disagree.
        """
        files = {name: official.read_state_dict(file) for name, file in _find(path).items()}
        config = cls.Config(**infer(files))
        stems = {"G": generator_stems(config.num_blocks), "D": judge_stems(config)}
        names = {"G": "generator", "D": "discriminator"}
        parts = [(s, official.below(names[n], stems[n])) for n, s in files.items()]
        return official.build(cls, config, parts)


def _find(path: Path) -> dict[str, Path]:
    """Give the file of the generator, and that of the discriminator of the same step.

    Where no name tells a step, files of other names are told apart by their tensors.
    """
    if path.is_file():
        return {"G": path}
    steps = [int(m[1]) for p in path.glob("*-G.ckpt") if (m := re.fullmatch(r"(\d+)-G", p.stem))]
    if not steps:
        return _find_by_tensors(path)
    files = {name: path / f"{max(steps)}-{name}.ckpt" for name in "GD"}
    return {name: file for name, file in files.items() if name == "G" or file.exists()}


def _find_by_tensors(folder: Path) -> dict[str, Path]:
    """Find the one generator and the one discriminator among files of any name."""
    found: dict[str, list[Path]] = {"G": [], "D": []}
    others = [file for file in folder.iterdir() if file.suffix in (".ckpt", ".pth", ".pt")]
    for file in sorted(others) if len(others) <= MOST_FILES else ():
        with contextlib.suppress(ValueError):  # another kind of file
            names = official.read_state_dict(file).tensors
            is_judge = {"conv1.weight", "conv2.weight"} <= names.keys()
            if is_judge or any(re.match(r"main\.\d+\.main\.", name) for name in names):
                found["D" if is_judge else "G"].append(file)
    if len(found["G"]) != 1:
        raise ValueError(f"{folder} holds no generator: needed is a file such as 200000-G.ckpt")
    return {name: files[0] for name, files in found.items() if len(files) == 1}


def infer(files: Mapping[str, official.StateDict]) -> dict[str, Any]:
    """Infer the configuration from the shapes of official networks.

    Labels are those that the authors train with so many of; else they are numbered.

    Raises:
        ValueError: If the tensors are not those of this family.
    """
    width, planes = files["G"].shape("main.0.weight", 4)[:2]
    num_labels = planes - 3
    if num_labels < 1:
        raise ValueError(f"{files['G'].source} takes {planes} channels: 3 and one a label needed")
    numbered = tuple(f"label{number}" for number in range(1, num_labels + 1))
    attributes, exclusive = RELEASED.get(num_labels, (numbered, ()))
    found: dict[str, Any] = {"attributes": attributes, "exclusive": exclusive}
    found["generator_width"] = width
    found["num_blocks"] = files["G"].count(r"main\.(\d+)\.main\.")
    if "D" in files:
        num_layers = files["D"].count(r"main\.(\d+)\.weight")
        found["discriminator_width"] = files["D"].shape("main.0.weight", 4)[0]
        found["discriminator_layers"] = num_layers
        found["image_size"] = files["D"].shape("conv2.weight", 4)[2] << num_layers
    return found


def generator_stems(num_blocks: int) -> official.ModuleNames:
    """Pair the generator's modules with the authors' positions in their ``main`` sequence."""
    last = 9 + num_blocks
    places = [0, 1, 3, 4, 6, 7, last, last + 1, last + 3, last + 4, last + 6]
    stems = [(f"layers.{i}", f"main.{i}") for i in places]
    for block in range(9, last):
        stems += [(f"layers.{block}.layers.{i}", f"main.{block}.main.{i}") for i in (0, 1, 3, 4)]
    return stems


def judge_stems(config: LabelledConfig) -> official.ModuleNames:
    """Pair the discriminator's modules with the authors' names."""
    trunk = [(f"layers.{2 * i}", f"main.{2 * i}") for i in range(config.discriminator_layers)]
    return [*trunk, ("critic", "conv1"), ("classifier", "conv2")]
