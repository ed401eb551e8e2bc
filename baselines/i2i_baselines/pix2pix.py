"""Pix2pix and its encoder-decoder (Isola et al.: Image-to-Image Translation, CVPR 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench import official
from i2i_bench.blocks.discriminators import PatchDiscriminator
from i2i_bench.blocks.initialise import init_normal
from i2i_bench.blocks.limits import (
    at_least,
    check_limits,
    load_size,
    require_choices,
    require_schedule,
    require_task_size,
    task_channels,
)
from i2i_bench.blocks.losses import adversarial_cross_entropy, weighted_sum
from i2i_bench.blocks.normalise import BatchNorm
from i2i_bench.blocks.optimise import adam, descend, frozen, set_learning_rate
from i2i_bench.blocks.schedules import decay_after
from i2i_bench.blocks.unet import UNet, UNetPlan, fitting_levels
from i2i_bench.model import (
    A2B,
    B2A,
    Ablation,
    Batch,
    Clock,
    Direction,
    Model,
    ModelCard,
    Needs,
    Preset,
    Settings,
    TaskFacts,
    Variation,
)
from i2i_bench.randomness import Randomness

DIRECTIONS = {"a2b": A2B, "b2a": B2A}
BACKWARDS = ("facades", "cityscapes", "map2sat")  # names of what the authors translate from b to a


@dataclass(frozen=True)
class Pix2pixConfig:
    """Configuration of Pix2pix.

    Attributes:
        direction: In which it translates.
        levels: Halvings down to the bottleneck; 2 to this power must divide the sides of images.
        generator_width: Channels after the generator's first halving.
        discriminator_width: Channels of the discriminator's first layer.
        discriminator_layers: Layers of stride 2 of the discriminator; 3 see patches of 70x70 px.
        skips: Whether what enters a level of the generator is joined to what comes back from it.
        program: Whose layers: ``torch7`` has biases before normalisations, and dropout from the
            first up layer of 8 times the width on, not from the second one as ``pytorch``.
        bottleneck_norm: Whether the bottleneck is normalised; at 1x1 px it needs batches of two.
        conditional: Whether the discriminator sees the source beside the image that it judges.
        lambda_pixel: Weight of the L1 distance of a translation from its true image.
        lambda_adversarial: Weight of the adversarial loss; without a discriminator at 0.
        learning_rate: Adam's learning rate before the decay.
        beta1: Adam's decay of the first moment; the second's is 0.999.
        constant_epochs: Epochs at the full learning rate; with decay_epochs they divide the budget.
        decay_epochs: Epochs over which it falls linearly.
        channels: Of the images of each domain, in the order of the task's.
    """

    direction: Literal["a2b", "b2a"] = "a2b"
    levels: int = at_least(2, 8)
    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    discriminator_layers: int = at_least(1, 3)
    skips: bool = True
    program: Literal["pytorch", "torch7"] = "pytorch"
    bottleneck_norm: bool = False
    conditional: bool = True
    lambda_pixel: float = at_least(0, 100.0)
    lambda_adversarial: float = at_least(0, 1.0)
    learning_rate: float = 2e-4
    beta1: float = 0.5
    constant_epochs: int = 100
    decay_epochs: int = 100
    channels: tuple[int, ...] = (3, 3)

    def __post_init__(self) -> None:
        require_schedule(self.constant_epochs, self.decay_epochs)
        check_limits(self)
        require_choices(self, direction=DIRECTIONS, program=("pytorch", "torch7"))
        if self.lambda_pixel == self.lambda_adversarial == 0:
            raise ValueError("lambda_pixel and lambda_adversarial are 0; one of them must not be")


@dataclass(frozen=True)
class EncoderDecoderConfig(Pix2pixConfig):  # noqa: D101 - it is Pix2pix's, of another name
    __doc__ = (Pix2pixConfig.__doc__ or "").replace("of Pix2pix", "of the encoder-decoder", 1)

    skips: bool = False
    program: Literal["pytorch", "torch7"] = "torch7"
    constant_epochs: int = 200
    decay_epochs: int = 0


_L1, _GAN = {"lambda_adversarial": "0"}, {"lambda_pixel": "0"}
_UNCONDITIONAL, _NO_SKIPS = {"conditional": "false"}, {"skips": "false"}
ABLATIONS = {
    "losses": Ablation(
        "L1 and adversarial loss, with a discriminator that sees the source (cGAN) or not (GAN)",
        "loss",
        (
            Variation("L1", _L1),
            Variation("GAN", _GAN | _UNCONDITIONAL),
            Variation("cGAN", _GAN),
            Variation("L1+GAN", _UNCONDITIONAL),
            Variation("L1+cGAN", {}),
        ),
    ),
    "skips": Ablation(
        "The U-Net's skips, under L1 alone and with the adversarial loss",
        "generator",
        (
            Variation("encoder-decoder, L1", _L1 | _NO_SKIPS),
            Variation("encoder-decoder, L1+cGAN", _NO_SKIPS),
            Variation("U-Net, L1", _L1),
            Variation("U-Net, L1+cGAN", {}),
        ),
    ),
}

DEVIATIONS = (
    "For images of other sides than 256 px there are as many levels as halve them to whole pixels, "
    "8 at most; dropout stays at layers of 8 times the width, of which 5 levels have none.",
    "In translation, batch normalisation uses each image's own statistics, as the authors' tests "
    "at batch 1 do.",
    "Dropout stays on in translation, as the authors', and is the same for the same image.",
    "The learning rate decays by epochs, which here are equal parts of the budget.",
    "Pairs are joined in the order of the folders; direction=b2a, the authors' for facades and "
    "cityscapes, is preset for these.",
    "Schedules of edges2shoes and edges2handbags are the paper's: 15 epochs at batch 4, no decay.",
    "The presets small and tiny have fewer channels and a discriminator of fewer layers.",
)


class Pix2pix(Model):
    """A U-Net that learns from pairs: L1, and a discriminator that sees the source as well."""

    card = ModelCard(
        title="Pix2pix",
        authors="Phillip Isola, Jun-Yan Zhu, Tinghui Zhou, Alexei A. Efros",
        venue="CVPR",
        year=2017,
        arxiv="1611.07004",
        licence="authors' code: BSD; this implementation is independent",
        deviations=(
            "As the authors' PyTorch code: biases, dropout and the bottleneck's norm are others in "
            "their Torch7 code, which program=torch7 and bottleneck_norm=true give.",
            *DEVIATIONS,
        ),
        minimum_size=24,
        samples_interact=True,
    )
    Config = Pix2pixConfig
    ablations = ABLATIONS

    def __init__(self, config: Pix2pixConfig) -> None:
        self.config = config
        self.direction = DIRECTIONS[config.direction]
        self.directions = (self.direction,)
        inputs, outputs = config.channels if self.direction == A2B else config.channels[::-1]
        self.generator = UNet(_plan(config, inputs, outputs))
        self.networks = nn.ModuleDict({"generator": self.generator})
        if config.lambda_adversarial > 0:
            self.networks["discriminator"] = PatchDiscriminator(
                config.discriminator_width,
                config.discriminator_layers,
                inputs=inputs + outputs if config.conditional else outputs,
                norm=BatchNorm,
                norm_bias=config.program == "torch7",
            )
        init_normal(self.networks)
        self.optimizers = adam(self.networks, config.learning_rate, config.beta1)
        self.state = {}

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule (200 epochs at batch 1, most tasks), or a smaller one."""
        require_task_size(task, cls.card.minimum_size, cls.card.title)
        facts: dict[str, Any] = {
            "channels": task_channels(task),
            "direction": "b2a" if task.name.startswith(BACKWARDS) else "a2b",
        }
        batch_size, budget, largest = 1, 200 * max(task.num_train.values()), task.image_size
        if preset == "published" and task.name in ("edges2shoes", "edges2handbags"):
            facts |= {"constant_epochs": 15, "decay_epochs": 0}
            batch_size, budget = 4, 15 * max(task.num_train.values())
        elif preset == "small":
            facts |= SMALL
            batch_size, budget, largest = 4, 6_000, 64
        elif preset == "tiny":
            facts |= {"generator_width": 4, "discriminator_width": 4, "discriminator_layers": 2}
            batch_size, budget, largest = 2, 8, 32
        size = min(task.image_size, largest)
        levels = fitting_levels(size, 8)
        if levels < 2:
            raise ValueError(f"{cls.card.title} halves images twice at least; {size} px cannot be")
        config = cls.Config(levels=levels, **facts)
        return Settings(config, batch_size, budget, load_size(task, size), size)

    @classmethod
    def needs(cls, config: Pix2pixConfig) -> Needs:
        """Need pairs, whose sides can be halved at each level."""
        return Needs(pairs="required", multiple=2**config.levels)

    def advance(self, clock: Clock) -> None:
        """Decay the learning rate by epochs."""
        constant, decay = self.config.constant_epochs, self.config.decay_epochs
        factor = decay_after(clock.epoch(constant + decay), constant, decay)
        set_learning_rate(self.optimizers, self.config.learning_rate * factor)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update the discriminator, then the generator by the updated one on the same fake."""
        source, real = (batch.images[d] for d in (self.direction.source, self.direction.target))
        fake = self.generate(source, random)
        losses = {f"pixel_{self.direction}": F.l1_loss(fake, real)}
        judged = {}
        if "discriminator" in self.networks:
            of_fake = adversarial_cross_entropy(self.judge(source, fake.detach()), 0.0)
            of_real = adversarial_cross_entropy(self.judge(source, real), 1.0)
            loss = 0.5 * (of_fake + of_real)
            descend(self.optimizers["discriminator"], loss)
            judged[f"discriminator_{self.direction.target}"] = loss
            with frozen(self.networks["discriminator"]):
                found = adversarial_cross_entropy(self.judge(source, fake), 1.0)
            losses[f"adversarial_{self.direction}"] = found
        config = self.config
        weights = {"pixel": config.lambda_pixel, "adversarial": config.lambda_adversarial}
        descend(self.optimizers["generator"], weighted_sum(losses, weights))
        return {name: value.detach() for name, value in (losses | judged).items()}

    def generate(self, images: Tensor, random: Randomness) -> Tensor:
        """Translate (batch, channels, height, width) with dropout."""
        return self.generator(images, kept=self.generator.draw_kept(images, random, "dropout"))

    def judge(self, source: Tensor, images: Tensor) -> Tensor:
        """Give the discriminator's logits of images, beside their sources if it sees them."""
        seen = torch.cat([source, images], dim=1) if self.config.conditional else images
        return self.networks["discriminator"](seen)

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Apply the generator, with dropout."""
        return self.generate(batch.images[direction.source], random)

    @classmethod
    def from_official(cls, path: Path) -> Pix2pix:
        """Read ``latest_net_G.pth``, and ``latest_net_D.pth`` if it is there.

        Raises:
            ValueError: Naming the first tensors that disagree.
        """
        from i2i_baselines.official.pix2pix import read_pix2pix

        facts, parts = read_pix2pix(path)
        if official.is_named(path, BACKWARDS):
            facts |= {"direction": "b2a", "channels": facts["channels"][::-1]}
        return official.build(cls, Pix2pixConfig(**facts), parts)


SMALL = {
    "generator_width": 24,
    "discriminator_width": 16,
    "discriminator_layers": 2,
    "learning_rate": 4e-4,
}


def _plan(config: Pix2pixConfig, inputs: int, outputs: int) -> UNetPlan:
    """Plan the generator; dropout is where up layers have 8 times the width, three at 8 levels."""
    is_torch7 = config.program == "torch7"
    first, last = (1, config.levels - 5) if is_torch7 else (2, config.levels - 4)
    return UNetPlan(
        config.levels,
        config.generator_width,
        inputs=inputs,
        outputs=outputs,
        skips=config.skips,
        norm=BatchNorm,
        bottleneck_norm=config.bottleneck_norm,
        bias="all" if is_torch7 else "last",
        dropout=tuple(range(first, last + 1)),
    )


class EncoderDecoder(Pix2pix):
    """Pix2pix without skips: all that a translation shows has passed the bottleneck."""

    card = ModelCard(
        title="Encoder-Decoder",
        authors="Phillip Isola, Jun-Yan Zhu, Tinghui Zhou, Alexei A. Efros",
        venue="CVPR",
        year=2017,
        arxiv="1611.07004",
        licence="authors' code: BSD; this implementation is independent",
        deviations=(
            "There are no normalisation behind the bottleneck's convolution and 41,850,564 "
            "parameters, as in the authors' Torch7 code since March 2017; bottleneck_norm=true is "
            "the form before, of which at batch 1 a 1x1 bottleneck leaves nothing.",
            "The generator learns from the discriminator's updated weights and their activations; "
            "the authors' Torch7 code mixes the former with activations from before the update.",
            "Biases are trained; the authors' Torch7 code sets them to 0 before every gradient.",
            "The discriminator's gradient is half the sum of its two terms; in Torch7, the sum.",
            "Adam is PyTorch's; Torch7's adds its epsilon before the correction of the bias.",
            "The preset small has a level less than fits: of 1x1 px it learns too little so soon.",
            *DEVIATIONS,
        ),
        minimum_size=24,
        samples_interact=True,
    )
    Config = EncoderDecoderConfig
    ablations: ClassVar[Mapping[str, Ablation]] = {}

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule; ``small`` has a level less than Pix2pix."""
        settings = super().settings(preset, task)
        if preset != "small":
            return settings
        levels = max(2, settings.config.levels - 1)
        return replace(settings, config=replace(settings.config, levels=levels))

    @classmethod
    def from_official(cls, path: Path) -> EncoderDecoder:
        """Refuse: the authors released none, and Torch7's files hold no state dict.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"{path.name} cannot be read: the encoder-decoder's authors wrote Torch7 files (.t7) "
            "and released none of it; train it instead"
        )
