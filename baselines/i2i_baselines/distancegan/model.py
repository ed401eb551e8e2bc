"""DistanceGAN (Benaim, Wolf: One-Sided Unsupervised Domain Mapping, NIPS 2017, 1706.00826)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_baselines.distancegan.config import (
    ABLATIONS,
    DOMAINS,
    PRESETS,
    WAYS,
    DistanceGANConfig,
    DistanceGANCycleConfig,
    DistanceGANSelfConfig,
)
from i2i_bench import official
from i2i_bench.blocks.cycle import cycle_gan_settings
from i2i_bench.blocks.discriminators import PatchDiscriminator
from i2i_bench.blocks.distances import DistanceStatistics, half_distances, pair_distances
from i2i_bench.blocks.halves import HalfDecoder, HalfEncoder, HalvesPlan
from i2i_bench.blocks.initialise import init_normal_weights, init_torch_2017
from i2i_bench.blocks.limits import task_channels
from i2i_bench.blocks.losses import (
    differentiate,
    discriminator_losses,
    least_squares,
    weighted_sum,
)
from i2i_bench.blocks.normalise import InstanceNorm
from i2i_bench.blocks.optimise import adam, descend, frozen, restarted, set_learning_rate
from i2i_bench.blocks.plain import PlainDiscriminator, PlainGenerator, plain_terms
from i2i_bench.blocks.pool import ImagePool
from i2i_bench.blocks.schedules import decay_behind
from i2i_bench.model import (
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
)
from i2i_bench.randomness import Randomness

DISCO = {"adversarial": 0.1, "feature_matching": 0.9}  # before the share of the distances
DISCO_DECAY = 1e-5  # Adam's L2 penalty, as DiscoGAN's
SQUARE = 0.25  # of differences of images in [0, 1], for those of images in [-1, 1]
AFFINE = partial(InstanceNorm, affine=True)
DEVIATIONS = (
    "As the authors' code, means and deviations are of distances between batches, up to 900 of "
    "them, so that the deviations are smaller than those of single images.",
    "A deviation of 0, as of the single distance between two batches, counts as 1.",
    "As their code, distances of halves are averaged over the batch before they are compared.",
    "As their code under Python 2, which they name, discriminators pad by 1; under Python 3 by 2.",
    "As their code, biases of convolutions are not zeroed, and the learning rate falls from the "
    "102nd epoch on.",
    "The authors mirror both images of a pair of batches alike; here each image has a chance.",
    "With one direction, networks of the other do not exist; the authors' do, and learn nothing.",
    "networks=disco, with DiscoGAN's losses and distances in place of reconstruction, is from a "
    "description of the authors' code and not compared with its numbers; theirs are at batch_size "
    "64, load_size and crop_size 64, flip=false.",
    "As described there, its statistics are of single images, and of left and right halves, "
    "though the loss compares top and bottom; that it does so image by image is our choice.",
    "The authors have released no networks; files of their code's names are read.",
    "The presets small and tiny are narrower, with fewer blocks.",
)


def make_card(title: str) -> ModelCard:
    """Give the card of one of the forms."""
    return ModelCard(
        title=title,
        authors="Sagie Benaim, Lior Wolf",
        venue="NIPS",
        year=2017,
        arxiv="1706.00826",
        licence="authors' code: not stated; this implementation is independent",
        deviations=DEVIATIONS,
        minimum_size=24,
        samples_interact=True,
    )


class DistanceGAN(Model):
    """Translations are as far from each other as their sources; no way back is needed."""

    card = make_card("DistanceGAN")
    Config = DistanceGANConfig
    ablations: ClassVar[Mapping[str, Ablation]] = ABLATIONS

    def __init__(self, config: DistanceGANConfig) -> None:
        self.config, self.is_disco = config, config.networks == "disco"
        self.ways = WAYS[config.direction]
        self.directions = None if len(self.ways) == 2 else self.ways
        self.generators = nn.ModuleDict({str(way): _generator(config, way) for way in self.ways})
        judged = [way.target for way in self.ways]
        self.discriminators = nn.ModuleDict({d: _discriminator(config, d) for d in judged})
        self.networks = nn.ModuleDict(
            {"generators": self.generators, "discriminators": self.discriminators}
        )
        (init_torch_2017 if self.is_disco else init_normal_weights)(self.networks)
        decay = DISCO_DECAY if self.is_disco else 0.0
        self.optimizers = adam(self.networks, config.learning_rate, 0.5, decay)
        self.statistics = DistanceStatistics(DOMAINS)
        self.pools = {d: ImagePool(config.pool_size) for d in judged if not self.is_disco}
        self.state = {"distances": self.statistics}
        self.state |= {f"pool_{domain}": pool for domain, pool in self.pools.items()}
        self.rate, self.trains_generators = config.starting_rate, True

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule (100 + 100 epochs at batch 2), or a smaller one."""
        config = cls.Config(channels=task_channels(task), **PRESETS[preset])
        settings = cycle_gan_settings(cls.card, preset, task, config)
        return replace(settings, batch_size=max(2, settings.batch_size))

    @classmethod
    def needs(cls, config: DistanceGANConfig) -> Needs:
        """Ask for sides that can be halved as often as the networks do."""
        return Needs(multiple=2**config.num_layers if config.networks == "disco" else 4)

    def prepare(self, batches: Iterable[Batch], random: Randomness) -> None:
        """Measure distances between batches of the training set, or images for DiscoGAN's type.

        Raises:
            ValueError: If distances of pairs are asked for, and batches are of a single image.
        """
        del random
        most = self.config.statistics_items
        compare = pair_distances
        if self.config.compared == "halves":
            compare = partial(half_distances, dimension=-1 if self.is_disco else -2)
        for domain in DOMAINS if self.config.lambda_distance else ():
            found = [batch.images[domain] for batch in islice(batches, most)]
            if not self._has_distances(found[0]):
                raise ValueError("distances are of two images; set batch_size to 2 or more")
            whole = [images for images in found if images.shape == found[0].shape]
            items = torch.cat(whole)[:most] if self.is_disco else torch.stack(whole)
            self.statistics.measure(domain, items, compare)

    def advance(self, clock: Clock) -> None:
        """Decay the learning rate by epochs; for DiscoGAN's type set shares and turns instead."""
        config, factor = self.config, 1.0
        if self.is_disco:
            is_early = clock.step <= config.curriculum_steps
            self.rate = config.starting_rate if is_early else config.default_rate
            self.trains_generators = (clock.step - 1) % 3 != 0
        else:
            constant, decay = config.constant_epochs, config.decay_epochs
            factor = decay_behind(clock.epoch(constant + decay), constant, decay)
        set_learning_rate(self.optimizers, config.learning_rate * factor)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update the generators, then the discriminators; or in turns, for DiscoGAN's type.

        A single image, as the last of a budget, has no distance to another.
        """
        step = self._step_in_turns if self.is_disco else self._step
        losses = step(batch.images, random)
        return {name: value.detach() for name, value in losses.items()}

    def _step(self, real: Mapping[str, Tensor], random: Randomness) -> dict[str, Tensor]:
        weights = {"adversarial": 1.0, "distance": self.config.lambda_distance}
        weights["cycle"] = self.config.lambda_cycle
        losses: dict[str, Tensor] = {}
        shown: dict[str, Tensor] = {}
        with frozen(self.discriminators), restarted(self.optimizers["generators"]):
            for way in self.ways:  # one graph at a time: gradients add up
                domain = way.target
                fake = self.generators[str(way)](real[way.source])
                some = self.kept(real[way.source], fake, way)
                some[f"adversarial_{way}"] = least_squares(self.discriminators[domain](fake), 1.0)
                losses |= differentiate(some, weights)
                shown[domain] = self.pools[domain].query(fake.detach(), random, f"pool_{domain}")
        judged = discriminator_losses(self.discriminators, real, shown)
        descend(self.optimizers["discriminators"], torch.stack(list(judged.values())).sum())
        return losses | judged

    def _step_in_turns(self, real: Mapping[str, Tensor], random: Randomness) -> dict[str, Tensor]:
        del random
        learns, losses, judged = self.trains_generators, {}, {}
        with torch.set_grad_enabled(learns):
            fakes = {way: self.generators[str(way)](real[way.source]) for way in self.ways}
            for way, fake in fakes.items():
                losses |= self.kept(real[way.source], fake, way)
        with frozen(self.discriminators) if learns else nullcontext():
            for way, fake in fakes.items():
                judge = self.discriminators[way.target]
                lacking, found = plain_terms(judge, real[way.target], fake, way)
                losses, judged = losses | lacking, judged | found
        if learns:
            weights = {name: (1 - self.rate) * weight for name, weight in DISCO.items()}
            weights["distance"] = self.rate * self.config.lambda_distance
            weights["cycle"] = self.rate
            descend(self.optimizers["generators"], weighted_sum(losses, weights))
        else:
            descend(self.optimizers["discriminators"], torch.stack(list(judged.values())).sum())
        return losses | judged

    def kept(self, source: Tensor, fake: Tensor, way: Direction) -> dict[str, Tensor]:
        """Compare what a translation is to keep: ``distance``, and ``cycle`` where it has a weight.

        Args:
            source: (batch, channels, height, width) in [-1, 1].
            fake: Its translation.
            way: Of the translation.
        """
        losses = {}
        if self._has_distances(source):
            before = self.statistics.standardise(way.source, self.distances(source))
            after = self.statistics.standardise(way.target, self.distances(fake))
            losses[f"distance_{way}"] = (before - after).abs().mean()
        if self.config.lambda_cycle:
            back = self.generators[str(way.reverse)](fake)
            distance = (
                SQUARE * F.mse_loss(back, source) if self.is_disco else F.l1_loss(back, source)
            )
            losses[f"cycle_{way.source}"] = distance
        return losses

    def _has_distances(self, images: Tensor) -> bool:
        """Tell whether the distance term is computed on a batch: pairs are of two images."""
        is_enough = self.config.compared == "halves" or len(images) > 1
        return bool(self.config.lambda_distance) and is_enough

    def distances(self, images: Tensor) -> Tensor:
        """Give the distances of a batch: of its pairs, or of halves, as a mean but for DiscoGAN's.

        Args:
            images: (batch, channels, height, width).
        """
        if self.config.compared == "pairs":
            return pair_distances(images)
        found = half_distances(images)
        return found if self.is_disco else found.mean(dim=0, keepdim=True)

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Apply the generator of this direction."""
        return self.generators[str(direction)](batch.images[direction.source])

    @classmethod
    def from_official(cls, path: Path) -> DistanceGAN:
        """Read ``latest_net_{G,D}_{A,B}.pth`` of the networks of CycleGAN's type.

        Raises:
            ValueError: Naming the first tensors that disagree.
        """
        from i2i_baselines.official.distancegan import read_distancegan

        facts, parts = read_distancegan(path)
        return official.build(cls, cls.Config(**facts), parts)


class DistanceGANCycle(DistanceGAN):
    """DistanceGAN and CycleGAN at once."""

    card = make_card("DistanceGAN with cycles")
    Config = DistanceGANCycleConfig
    ablations: ClassVar[Mapping[str, Ablation]] = {}


class DistanceGANSelf(DistanceGAN):
    """Halves of a translation are as far from each other as those of its source."""

    card = make_card("DistanceGAN, self-distance")
    Config = DistanceGANSelfConfig
    ablations: ClassVar[Mapping[str, Ablation]] = {}


def _generator(config: DistanceGANConfig, way: Direction) -> nn.Module:
    width, inputs, outputs = config.generator_width, *map(config.inputs, (way.source, way.target))
    if config.networks == "disco":
        return PlainGenerator(width, config.num_layers, inputs=inputs, outputs=outputs)
    plan = HalvesPlan(width, "zeros", norm=AFFINE)
    return nn.Sequential(
        HalfEncoder(plan, config.num_blocks, inputs), HalfDecoder(plan, 0, outputs)
    )


def _discriminator(config: DistanceGANConfig, domain: str) -> nn.Module:
    width, inputs = config.discriminator_width, config.inputs(domain)
    if config.networks == "disco":
        return PlainDiscriminator(width, config.num_layers, inputs=inputs)
    return PatchDiscriminator(width, config.discriminator_layers, inputs=inputs, norm=AFFINE)
