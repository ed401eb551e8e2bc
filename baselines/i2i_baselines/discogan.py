"""DiscoGAN (Kim et al.: Learning to Discover Cross-Domain Relations, ICML 2017, 1703.05192)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench import official
from i2i_bench.blocks.initialise import init_torch_2017
from i2i_bench.blocks.limits import (
    at_least,
    check_limits,
    require_choices,
    require_task_size,
    task_channels,
)
from i2i_bench.blocks.losses import weighted_sum
from i2i_bench.blocks.optimise import adam, descend, frozen, set_learning_rate
from i2i_bench.blocks.plain import PlainDiscriminator, PlainGenerator, plain_layers, plain_terms
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
METHODS = ("discogan", "recongan", "gan")
EPOCHS = 5000  # the authors' default
SIDE = 64  # px, of every image of the authors
UNIT_RANGE = 0.25  # squares of images in [0, 1] for squares of images in [-1, 1]


@dataclass(frozen=True)
class DiscoGANConfig:
    """Configuration of DiscoGAN.

    Attributes:
        method: ``discogan``; or what the paper compares it with, both from a to b alone:
            ``recongan``, whose way back learns nothing but to reconstruct, and ``gan``, without it.
        generator_width: Channels of the generator's first layer; they double up to 8 times this.
        discriminator_width: The same of the discriminator's.
        num_layers: Halvings of the generator, and as many doublings, and of the discriminator.
        bottleneck: Channels of a vector between them, 100 for the authors' faces and cars; 0 for a
            map.
        lambda_adversarial: Weight of the adversarial loss, before the share below.
        lambda_feature_matching: The same of feature matching.
        starting_rate: Share of the reconstruction loss at first; the other two have the rest.
        default_rate: The same afterwards.
        curriculum_steps: Steps until then.
        learning_rate: Adam's learning rate; its moments decay by 0.5 and 0.999.
        weight_decay: Adam's L2 penalty, on every parameter.
        channels: Of the images of each domain, in the order of the task's.
    """

    method: Literal["discogan", "recongan", "gan"] = "discogan"
    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    num_layers: int = at_least(1, 4)
    bottleneck: int = at_least(0, 0)
    lambda_adversarial: float = at_least(0, 0.1)
    lambda_feature_matching: float = at_least(0, 0.9)
    starting_rate: float = at_least(0, 0.01)
    default_rate: float = at_least(0, 0.5)
    curriculum_steps: int = at_least(0, 10_000)
    learning_rate: float = 2e-4
    weight_decay: float = at_least(0, 1e-5)
    channels: tuple[int, ...] = (3, 3)

    def __post_init__(self) -> None:
        check_limits(self)
        require_choices(self, method=METHODS)
        for name in ("starting_rate", "default_rate"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a share, at most 1")

    def inputs(self, domain: str) -> int:
        """Give the channels of a domain's images."""
        return self.channels[DOMAINS.index(domain)]


ABLATIONS = {
    "methods": Ablation(
        "A GAN, a GAN with reconstruction, DiscoGAN (section 3 of the paper)",
        "method",
        tuple(Variation(method, {"method": method}) for method in reversed(METHODS)),
    ),
    "features": Ablation(
        "With feature matching, as the authors' code, and without it, as the paper",
        "feature matching",
        (
            Variation("with", {}),
            Variation("without", {"lambda_adversarial": "1", "lambda_feature_matching": "0"}),
        ),
    ),
}


class DiscoGAN(Model):
    """Two generators, two discriminators, reconstruction; two steps of the former for one."""

    card = ModelCard(
        title="DiscoGAN",
        authors="Taeksoo Kim, Moonsu Cha, Hyunsoo Kim, Jung Kwon Lee, Jiwon Kim",
        venue="ICML",
        year=2017,
        arxiv="1703.05192",
        licence="authors' code: not stated; this implementation is independent",
        deviations=(
            "As the authors' code, not the paper: features of batches are matched, the losses have "
            "weights that change after 10,000 steps, and the discriminators learn in the first of "
            "every three steps, the generators in the other two.",
            "As that code, both passes of every step move the running statistics of all networks, "
            "also of those that do not learn in it.",
            "In translation, batch normalisation uses these running statistics; the authors use "
            "those of the test batch, by which a translation depends on the images beside it.",
            "Networks see [0, 1] as the authors', but RGB; import turns their BGR around.",
            "Images have 64 px at most, as the authors'; those that cannot be halved 4 times to 4 "
            "px or more have fewer layers.",
            "The authors' 100-channel bottleneck for faces and cars is bottleneck=100.",
            "Edges are not dilated, which the authors do to pictures of them.",
            "The budget is the default of the authors' code, 5,000 epochs as long as the smaller "
            "domain; they publish no other.",
            "The presets small and tiny are narrower, and their weights change sooner.",
        ),
        minimum_size=8,
        samples_interact=True,
    )
    Config = DiscoGANConfig
    ablations = ABLATIONS

    def __init__(self, config: DiscoGANConfig) -> None:
        self.config = config
        both = (A2B, B2A)
        self.ways = both if config.method == "discogan" else (A2B,)  # that are judged
        self.directions = None if self.ways == both else self.ways
        made = (A2B,) if config.method == "gan" else both
        self.generators = nn.ModuleDict({str(way): _generator(config, way) for way in made})
        self.discriminators = nn.ModuleDict(
            {
                way.target: PlainDiscriminator(
                    config.discriminator_width,
                    config.num_layers,
                    inputs=config.inputs(way.target),
                )
                for way in self.ways
            }
        )
        self.networks = nn.ModuleDict(
            {"generators": self.generators, "discriminators": self.discriminators}
        )
        init_torch_2017(self.networks)
        self.optimizers = adam(self.networks, config.learning_rate, 0.5, config.weight_decay)
        self.state = {}
        self.rate, self.trains_generators = config.starting_rate, False

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' settings (5,000 epochs at batch 64, 64 px), or smaller ones."""
        require_task_size(task, cls.card.minimum_size, cls.card.title)
        size = min(task.image_size, 32 if preset == "tiny" else SIDE)
        facts: dict[str, Any] = {"published": {}, "small": SMALL, "tiny": TINY}[preset]
        if preset == "published" and task.name.startswith("handbags2shoes"):
            facts = {"starting_rate": 0.5}
        config = DiscoGANConfig(
            num_layers=plain_layers(size, 4), channels=task_channels(task), **facts
        )
        batch_size, budget = {
            "published": (64, EPOCHS * min(task.num_train.values())),
            "small": (8, 6_000),
            "tiny": (2, 8),
        }[preset]
        return Settings(config, batch_size, budget, size, size, "bilinear", flip=False)

    @classmethod
    def needs(cls, config: DiscoGANConfig) -> Needs:
        """Ask for sides that can be halved as often as there are layers."""
        return Needs(multiple=2**config.num_layers)

    def advance(self, clock: Clock) -> None:
        """Set whose turn it is, and the share of the reconstruction loss."""
        set_learning_rate(self.optimizers, self.config.learning_rate)
        self.trains_generators = (clock.step - 1) % 3 != 0
        is_early = clock.step <= self.config.curriculum_steps
        self.rate = self.config.starting_rate if is_early else self.config.default_rate

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Compute all losses, and update either the discriminators or the generators."""
        del random
        learns = self.trains_generators
        with torch.set_grad_enabled(learns):
            fake, lacking = self.translate_and_back(batch.images)
        judged: dict[str, Tensor] = {}
        with frozen(self.discriminators) if learns else nullcontext():
            for way in self.ways:
                judge, real = self.discriminators[way.target], batch.images[way.target]
                by_generator, by_judge = plain_terms(judge, real, fake[way.target], way)
                lacking |= by_generator
                judged |= by_judge
        if learns:
            descend(self.optimizers["generators"], weighted_sum(lacking, self.weights()))
        else:
            descend(self.optimizers["discriminators"], torch.stack(list(judged.values())).sum())
        return {name: value.detach() for name, value in (lacking | judged).items()}

    def translate_and_back(
        self, real: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Give fakes by domain, and the cycle losses; first all ways there, then all back."""
        fake = {way.target: self.generators[str(way)](real[way.source]) for way in self.ways}
        losses = {}
        for way in self.ways if self.config.method != "gan" else ():
            reconstructed = self.generators[str(way.reverse)](fake[way.target])
            distance = UNIT_RANGE * F.mse_loss(reconstructed, real[way.source])
            losses[f"cycle_{way.source}"] = distance
        return fake, losses

    def weights(self) -> dict[str, float]:
        """Give the weights of the generators' losses in this step."""
        rate = 0.0 if self.config.method == "gan" else self.rate
        return {
            "adversarial": (1 - rate) * self.config.lambda_adversarial,
            "feature_matching": (1 - rate) * self.config.lambda_feature_matching,
            "cycle": rate,
        }

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Apply the generator of this direction."""
        return self.generators[str(direction)](batch.images[direction.source])

    @classmethod
    def from_official(cls, path: Path) -> DiscoGAN:
        """Read state dictionaries of the authors' modules, ``model_{gen,dis}_{A,B}-<k>.pth``.

        Raises:
            ValueError: For the authors' own files, which are programs as well as tensors, with what
                to do; or naming the first tensors that disagree.
        """
        from i2i_baselines.official.discogan import read_discogan

        facts, parts = read_discogan(path)
        return official.build(cls, DiscoGANConfig(**facts), parts)


def _generator(config: DiscoGANConfig, way: Direction) -> PlainGenerator:
    return PlainGenerator(
        config.generator_width,
        config.num_layers,
        inputs=config.inputs(way.source),
        outputs=config.inputs(way.target),
        bottleneck=config.bottleneck,
    )


SMALL: dict[str, Any] = {
    **{"generator_width": 24, "discriminator_width": 16},
    **{"curriculum_steps": 150, "learning_rate": 1e-3},
}
TINY: dict[str, Any] = {"generator_width": 4, "discriminator_width": 4, "curriculum_steps": 2}
