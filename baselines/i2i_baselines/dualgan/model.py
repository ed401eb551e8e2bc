"""DualGAN (Yi et al.: Unsupervised Dual Learning for I2I Translation, ICCV 2017, 1704.02510)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_baselines.dualgan.networks import LatestDiscriminator
from i2i_bench import official
from i2i_bench.blocks.discriminators import PatchDiscriminator
from i2i_bench.blocks.initialise import init_tensorflow
from i2i_bench.blocks.limits import (
    at_least,
    check_limits,
    require_choices,
    require_task_size,
    task_channels,
)
from i2i_bench.blocks.losses import adversarial_cross_entropy, gradient_penalty, wasserstein
from i2i_bench.blocks.normalise import MomentNorm
from i2i_bench.blocks.optimise import (
    TensorFlowRMSProp,
    descend,
    frozen,
    restarted,
    set_learning_rate,
)
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

DOMAINS = ("a", "b")
EPOCHS = 45  # the authors' commands of 2017, for facades and sketch-photo alike
MOST_LEVELS = 16  # which are for images of 65,536 px
DROPPED = 3  # layers with dropout behind the bottleneck, in the networks of 2017
LEAST_SQUARE = 1e-8  # added to the squared norm of a gradient
POSSIBLE = {
    "networks": ("2017", "latest", "latest-patch"),
    "loss": ("classic", "wgan", "wgan-gp"),
    "cycle_distance": ("l1", "l2"),
}


@dataclass(frozen=True)
class DualGANConfig:
    """Configuration of DualGAN.

    Attributes:
        channels: Channels of the images of a and b.
        networks: ``2017``: 5x5 convolutions, dropout in training and at test, discriminators of
            patches, the form that papers count; ``latest``: the last published ones, 3x3 but for
            the ends, no dropout, discriminators of whole images; ``latest-patch``: the same with
            discriminators of patches.
        loss: ``classic``: cross entropy, and two steps of the generators for one of the
            discriminators; ``wgan``: critics whose weights are clipped; ``wgan-gp``: critics with a
            gradient penalty.
        cycle_distance: ``l1`` or ``l2``, the mean absolute or squared difference.
        generator_width: Channels of the generator's first layer; they double up to 8 times this.
        discriminator_width: The same of the discriminator's.
        num_levels: Halvings of the generator, and as many doublings.
        discriminator_layers: Most layers of stride 2 of the discriminator; the networks of 2017
            have 3, the latest 5.
        image_size: Side in pixels of the images that a discriminator of whole images fits.
        lambda_cycle_a: Weight of the cycle loss of images of a.
        lambda_cycle_b: The same of b.
        lambda_penalty: Weight of the gradient penalty.
        clip: Largest absolute value of a clipped critic's weights.
        critic_steps: Steps of the discriminators before the generators have their turn.
        learning_rate: RMSProp's learning rate; its mean squares decay by 0.9.
    """

    channels: tuple[int, ...] = (3, 3)
    networks: Literal["2017", "latest", "latest-patch"] = "2017"
    loss: Literal["classic", "wgan", "wgan-gp"] = "classic"
    cycle_distance: Literal["l1", "l2"] = "l1"
    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    num_levels: int = at_least(1, 8)
    discriminator_layers: int = at_least(1, 5)
    image_size: int = at_least(1, 256)
    lambda_cycle_a: float = at_least(0, 20.0)
    lambda_cycle_b: float = at_least(0, 20.0)
    lambda_penalty: float = at_least(0, 10.0)
    clip: float = at_least(0, 0.01)
    critic_steps: int = at_least(1, 1)
    learning_rate: float = at_least(0, 5e-5)

    def __post_init__(self) -> None:
        check_limits(self)
        if self.num_levels > MOST_LEVELS:
            raise ValueError(f"num_levels is {self.num_levels}; at most {MOST_LEVELS} are possible")
        require_choices(self, **POSSIBLE)

    def inputs(self, domain: str) -> int:
        """Give the channels of a domain's images."""
        return self.channels[DOMAINS.index(domain)]


def make_generator(config: DualGANConfig, direction: Direction) -> UNet:
    """Build the U-Net of a direction; dropout is where layers are 8 times as wide as the first."""
    is_first = config.networks == "2017"
    dropped = max(0, min(DROPPED, config.num_levels - 5)) if is_first else 0
    return UNet(
        UNetPlan(
            levels=config.num_levels,
            width=config.generator_width,
            inputs=config.inputs(direction.source),
            outputs=config.inputs(direction.target),
            kernel=5 if is_first else 3,
            end_kernel=5,
            join="up_skip",
            norm=MomentNorm,
            bottleneck_norm=True,
            dropout=tuple(range(1, dropped + 1)),
        )
    )


def make_discriminator(config: DualGANConfig, domain: str) -> nn.Module:
    """Build the discriminator of a domain."""
    width, inputs = config.discriminator_width, config.inputs(domain)
    if config.networks == "2017":
        num_layers = min(config.discriminator_layers, 3)
        return PatchDiscriminator(width, num_layers, inputs=inputs, norm=MomentNorm, kernel=5)
    image_size = config.image_size if config.networks == "latest" else None
    return LatestDiscriminator(width, config.discriminator_layers, inputs, image_size)


ABLATIONS = {
    "losses": Ablation(
        "Cross entropy, critics that are clipped, critics with a gradient penalty",
        "loss",
        tuple(Variation(kind, {"loss": kind}) for kind in POSSIBLE["loss"]),
    ),
    "cycle": Ablation(
        "With the cycle losses and without them, which leaves two GANs",
        "cycle",
        (
            Variation("with", {}),
            Variation("without", {"lambda_cycle_a": "0", "lambda_cycle_b": "0"}),
        ),
    ),
}


class DualGAN(Model):
    """Two U-Nets, two discriminators, cycle consistency, RMSProp."""

    card = ModelCard(
        title="DualGAN",
        authors="Zili Yi, Hao Zhang, Ping Tan, Minglun Gong",
        venue="ICCV",
        year=2017,
        arxiv="1704.02510",
        licence="authors' code: not stated; this implementation is independent",
        deviations=(
            "As the authors' code of August 2017, the loss is cross entropy with cycle weights of "
            "20; the paper has clipped critics (loss=wgan) and weights of 100 to 1,000.",
            "As that code, the generators take two steps for one of the discriminators, dropout "
            "stays on at test, and no image is mirrored: its option to do so has no effect.",
            "As the authors' code, padding and RMSProp are TensorFlow's, and what it calls batch "
            "norm normalises each image by itself.",
            "The last published settings are networks=latest loss=wgan-gp, cycle weights of 500, "
            "or 1,000 in the authors' scripts, and 100 epochs.",
            "Images of 256 px are halved 8 times, others as often as they can be, with dropout "
            "in layers of full width alone; the authors' code halves 128 px 8 times, too.",
            "Halved to one pixel, the innermost layers are dead at the authors' initial weights, "
            "and stay so: a single normalised pixel is its shift, 0.",
            "Where the authors give no schedule, it is that of facades: 45 epochs, each as long as "
            "the smaller domain.",
            "The presets small and tiny halve images 3 times, and have shallower discriminators.",
            "Saved images are rounded to whole values; the authors' are cut off.",
        ),
        minimum_size=24,
    )
    Config = DualGANConfig
    ablations = ABLATIONS

    def __init__(self, config: DualGANConfig) -> None:
        self.config = config
        self.generators = nn.ModuleDict({str(d): make_generator(config, d) for d in (A2B, B2A)})
        self.discriminators = nn.ModuleDict({d: make_discriminator(config, d) for d in DOMAINS})
        self.networks = nn.ModuleDict(
            {"generators": self.generators, "discriminators": self.discriminators}
        )
        init_tensorflow(self.networks)
        self.optimizers = {
            name: TensorFlowRMSProp(network.parameters(), config.learning_rate)
            for name, network in self.networks.items()
        }
        self.state = {}
        self.trains_generators = True

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' settings of 2017 (45 epochs at batch 1), or smaller ones."""
        require_task_size(task, cls.card.minimum_size, f"{cls.card.title}, {preset},")
        largest, levels = {
            "published": (task.image_size, 8),
            "small": (64, SMALL["num_levels"]),
            "tiny": (32, TINY["num_levels"]),
        }[preset]
        size = min(task.image_size, largest)
        facts: dict[str, Any] = {"channels": task_channels(task), "image_size": size}
        facts["discriminator_layers"] = min(5, size.bit_length() - 2)  # to 2x2 px, or more
        facts |= {"published": {}, "small": SMALL, "tiny": TINY}[preset]
        facts["num_levels"] = fitting_levels(size, levels)
        if facts["num_levels"] < 1:
            raise ValueError(f"{cls.card.title} halves images at least once; {size} px cannot be")
        if preset == "published":
            batch_size = 1
            budget = EPOCHS * min(task.num_train.values())  # an epoch ends with the smaller domain
        else:
            batch_size, budget = {"small": (8, 6_000), "tiny": (2, 8)}[preset]
        config = DualGANConfig(**facts)
        return Settings(config, batch_size, budget, size, size, "bilinear", flip=False)

    def advance(self, clock: Clock) -> None:
        """Set the learning rate, and whether the generators have their turn.

        The authors count batches from 2.
        """
        set_learning_rate(self.optimizers, self.config.learning_rate)
        self.trains_generators = (clock.step + 1) % self.config.critic_steps == 0

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update the discriminators, then the generators, maybe twice, on fresh translations."""
        losses = self.update_discriminators(batch.images, random)
        if self.trains_generators:
            for turn in range(2 if self.config.loss == "classic" else 1):
                losses |= self.update_generators(batch.images, random, f"generators_{turn}")
        return losses

    def update_discriminators(
        self, real: Mapping[str, Tensor], random: Randomness
    ) -> dict[str, Tensor]:
        """Take one step of both discriminators; return their losses, by domain."""
        config, losses = self.config, {}
        for direction in (A2B, B2A):
            domain = direction.target
            with torch.no_grad():
                images = real[direction.source]
                fake = self.generate(images, direction, random, "discriminators")
            judge = self.discriminators[domain]
            judged = judge(torch.cat([real[domain], fake]))
            of_real, of_fake = judged.tensor_split([len(fake)])
            loss = self.adversarial(of_real, 1.0) + self.adversarial(of_fake, 0.0)
            if config.loss == "wgan-gp":
                shares = random.uniform(f"penalty_{domain}", (len(fake), 1, 1, 1))
                mixed = real[domain] + shares * (fake - real[domain])
                penalty = gradient_penalty(judge, mixed, LEAST_SQUARE)
                losses[f"gradient_penalty_{domain}"] = penalty
                loss = loss + config.lambda_penalty * penalty
            losses[f"discriminator_{domain}"] = loss
        total = torch.stack([losses[f"discriminator_{domain}"] for domain in DOMAINS]).sum()
        descend(self.optimizers["discriminators"], total)
        if config.loss == "wgan":
            with torch.no_grad():  # scales of normalisations as well, as the authors
                for parameter in self.discriminators.parameters():
                    parameter.clamp_(-config.clip, config.clip)
        return {name: value.detach() for name, value in losses.items()}

    def update_generators(
        self, real: Mapping[str, Tensor], random: Randomness, name: str
    ) -> dict[str, Tensor]:
        """Take one step of both generators; return their losses before it."""
        config, losses = self.config, {}
        distance = F.l1_loss if config.cycle_distance == "l1" else F.mse_loss
        weights = {"a": config.lambda_cycle_a, "b": config.lambda_cycle_b}
        with frozen(self.discriminators), restarted(self.optimizers["generators"]):
            for direction in (A2B, B2A):  # one graph at a time: gradients add up
                source, target = direction.source, direction.target
                fake = self.generate(real[source], direction, random, name)
                reconstructed = self.generate(fake, direction.reverse, random, f"{name}_back")
                lacking = self.adversarial(self.discriminators[target](fake), 1.0)
                cycle = distance(reconstructed, real[source])
                (lacking + weights[source] * cycle).backward()
                losses |= {f"adversarial_{direction}": lacking, f"cycle_{source}": cycle}
        return {name: value.detach() for name, value in losses.items()}

    def adversarial(self, logits: Tensor, target: float) -> Tensor:
        """Compare logits, or a critic's values, with a target: 1 for real, 0 for fake."""
        is_classic = self.config.loss == "classic"
        return (adversarial_cross_entropy if is_classic else wasserstein)(logits, target)

    def generate(
        self, images: Tensor, direction: Direction, random: Randomness, name: str
    ) -> Tensor:
        """Translate images, with the dropout that is drawn under a name."""
        generator = self.generators[str(direction)]
        assert isinstance(generator, UNet)
        kept = generator.draw_kept(images, random, f"dropout_{name}_{direction}")
        return generator(images, kept=kept)

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Apply the generator of this direction; dropout is as in training."""
        return self.generate(batch.images[direction.source], direction, random, "test")

    @classmethod
    def needs(cls, config: DualGANConfig) -> Needs:
        """Ask for sides that can be halved as often as there are levels."""
        return Needs(multiple=2**config.num_levels)

    @classmethod
    def from_official(cls, path: Path) -> DualGAN:
        """Read the authors' variables by their names, once TensorFlow's file is written as torch's.

        Raises:
            ValueError: For TensorFlow's own file, with what to do; or naming the first tensors that
                disagree.
        """
        from i2i_baselines.official.dualgan import read_dualgan

        facts, parts = read_dualgan(path)
        return official.build(cls, DualGANConfig(**facts), parts)


SMALL: dict[str, Any] = {  # at the published rate, minutes teach nothing
    **{"generator_width": 16, "discriminator_width": 16, "num_levels": 3},
    **{"discriminator_layers": 2, "learning_rate": 1e-3},
}
TINY: dict[str, Any] = {
    **{"generator_width": 4, "discriminator_width": 4, "num_levels": 3},
    **{"discriminator_layers": 2},
}
