"""GANimorph (Gokaslan et al.: Improving Shape Deformation in I2I, ECCV 2018, 1808.04325)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_baselines.ganimorph.config import (
    ABLATIONS,
    CARD,
    DOMAINS,
    PRESETS,
    TERMS,
    GANimorphConfig,
)
from i2i_baselines.ganimorph.networks import DenseGenerator, DilatedDiscriminator
from i2i_baselines.ganimorph.running import RunningScales
from i2i_bench import official
from i2i_bench.blocks.initialise import init_tensorpack
from i2i_bench.blocks.limits import load_size, require_task_size, task_channels
from i2i_bench.blocks.optimise import (
    TensorFlowAdam,
    adam_correction,
    descend,
    frozen,
    set_learning_rate,
)
from i2i_bench.blocks.plain import plain_terms
from i2i_bench.blocks.schedules import decay_behind
from i2i_bench.blocks.similarity import multi_scale_similarity, similarity_levels
from i2i_bench.blocks.unet import fitting_levels
from i2i_bench.model import (
    A2B,
    B2A,
    Ablation,
    Batch,
    Clock,
    Direction,
    Model,
    Needs,
    Preset,
    Settings,
    TaskFacts,
)
from i2i_bench.randomness import Randomness

BETAS = (0.5, 0.999)
BUDGET = 300 * 1_500 * 16  # images: epochs, batches of each, and of a batch
LEAST_SIDE = 16  # px, of images of the presets small and tiny
LOSSES = {"structure": "what an image and its translation there and back lack in similarity"}


class GANimorph(Model):
    """Dense generators, dilated discriminators, similar structures, terms scaled as they run."""

    card = CARD
    Config = GANimorphConfig
    ablations: ClassVar[Mapping[str, Ablation]] = ABLATIONS
    losses = LOSSES

    def __init__(self, config: GANimorphConfig) -> None:
        self.config = config
        self.generators = nn.ModuleDict({str(way): _generator(config, way) for way in (A2B, B2A)})
        self.discriminators = nn.ModuleDict({d: _discriminator(config, d) for d in DOMAINS})
        self.networks = nn.ModuleDict(
            {"generators": self.generators, "discriminators": self.discriminators}
        )
        init_tensorpack(self.networks)
        self.optimizers = {
            name: TensorFlowAdam(network.parameters(), config.learning_rate, BETAS)
            for name, network in self.networks.items()
        }
        self.scales = RunningScales(TERMS, config.running_decay)
        self.state = {"scales": self.scales}
        self.trains_generators, self.refreshes = True, False

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' settings (300 epochs of 1,500 batches of 16, 128 px), or smaller ones.

        Raises:
            ValueError: If images are too small, or cannot be halved twice.
        """
        title, largest = cls.card.title, {"published": 128, "small": 64, "tiny": 32}[preset]
        least = cls.card.minimum_size if preset == "published" else LEAST_SIDE
        require_task_size(task, least, f"{title}, {preset},")
        size = min(task.image_size, largest)
        levels = fitting_levels(size, {"published": 4, "small": 3, "tiny": 2}[preset])
        if levels < 2:
            raise ValueError(f"{title} halves images at least twice; {size} px cannot be")
        config = GANimorphConfig(
            channels=task_channels(task),
            num_levels=levels,
            similarity_levels=similarity_levels(size),
            **PRESETS[preset],
        )
        batch_size, budget = {"published": (16, BUDGET), "small": (8, 6_000), "tiny": (2, 8)}[
            preset
        ]
        settings = Settings(
            config, batch_size, budget, load_size(task, size), size, "bilinear", "short_side"
        )
        is_published = preset == "published"
        return replace(settings, rotation=30.0, rescale=0.1) if is_published else settings

    @classmethod
    def needs(cls, config: GANimorphConfig) -> Needs:
        """Ask for sides that can be halved as often as the networks do."""
        return Needs(multiple=2 ** max(config.num_levels, config.discriminator_layers))

    def advance(self, clock: Clock) -> None:
        """Set whose turn it is, whether scales are taken anew, and the corrected learning rate."""
        config = self.config
        self.trains_generators = config.trains_generators(clock)
        self.refreshes = config.refreshes(clock)
        constant, decay = config.constant_epochs, config.decay_epochs
        factor = decay_behind(clock.epoch(constant + decay), constant, decay)
        rate = config.learning_rate * factor * adam_correction(clock.step, BETAS)
        set_learning_rate(self.optimizers, rate)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Compute all losses and move their scales; update either generators or discriminators."""
        del random
        learns = self.trains_generators
        with torch.set_grad_enabled(learns):
            fake, lacking, same = self.translate_and_back(batch.images, with_identity=learns)
        judged: dict[str, Tensor] = {}
        with frozen(self.discriminators) if learns else nullcontext():
            for way in (A2B, B2A):
                judge, real = self.discriminators[way.target], batch.images[way.target]
                by_generator, by_judge = judge_terms(judge, real, fake[way.target], way)
                lacking |= by_generator
                judged |= by_judge
        terms = {
            term: torch.stack([v for n, v in lacking.items() if n.startswith(f"{term}_")]).sum()
            for term in TERMS
        }
        scaled = self.scales.divide(terms, refreshes=self.refreshes)
        if learns:
            weights = self.config.weights()
            parts = [weights[term] * value for term, value in scaled.items()]
            parts += [self.config.lambda_identity * value for value in same.values()]
            descend(self.optimizers["generators"], torch.stack(parts).sum())
        else:
            descend(self.optimizers["discriminators"], torch.stack(list(judged.values())).sum())
        return {name: value.detach() for name, value in (lacking | same | judged).items()}

    def translate_and_back(
        self, real: Mapping[str, Tensor], *, with_identity: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Give fakes by domain, what reconstructions lack, and what identities do, where asked for.

        The translation and the identity of a generator share a pass.
        """
        with_identity = with_identity and self.config.lambda_identity > 0
        fake, losses, same = {}, {}, {}
        for way in (A2B, B2A):
            images, wanted = real[way.source], real[way.target]
            given = torch.cat([images, wanted]) if with_identity else images
            made, kept = self.generators[str(way)](given).tensor_split([len(images)])
            back = self.generators[str(way.reverse)](made)
            ours, theirs = (back + 1) / 2, (images + 1) / 2
            similar = multi_scale_similarity(ours, theirs, self.config.similarity_levels)
            losses[f"structure_{way.source}"] = 1 - similar
            losses[f"cycle_{way.source}"] = F.l1_loss(ours, theirs)
            if with_identity:
                same[f"identity_{way.target}"] = F.l1_loss(kept, wanted) / 2
            fake[way.target] = made
        return fake, losses, same

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Apply the generator of this direction."""
        return self.generators[str(direction)](batch.images[direction.source])

    @classmethod
    def from_official(cls, path: Path) -> GANimorph:
        """Read the authors' variables by their names, once TensorFlow's file is written as torch's.

        Raises:
            ValueError: For TensorFlow's own file, with what to do; or naming the first tensors that
                disagree.
        """
        from i2i_baselines.official.ganimorph import read_ganimorph

        facts, parts = read_ganimorph(path)
        return official.build(cls, GANimorphConfig(**facts), parts)


def judge_terms(
    discriminator: nn.Module, real: Tensor, fake: Tensor, way: Direction
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Give a generator's terms and its judge's, features matched by their mean over layers."""
    lacking, judged = plain_terms(discriminator, real, fake, way)
    assert isinstance(discriminator, DilatedDiscriminator)
    name = f"feature_matching_{way}"
    return lacking | {name: lacking[name] / discriminator.num_features}, judged


def _generator(config: GANimorphConfig, way: Direction) -> DenseGenerator:
    return DenseGenerator(
        config.generator_width,
        config.num_levels,
        config.num_blocks,
        inputs=config.inputs(way.source),
        outputs=config.inputs(way.target),
        slope=config.slope,
    )


def _discriminator(config: GANimorphConfig, domain: str) -> DilatedDiscriminator:
    return DilatedDiscriminator(
        config.discriminator_width,
        config.discriminator_layers,
        config.dilated(),
        inputs=config.inputs(domain),
        slope=config.slope,
    )
