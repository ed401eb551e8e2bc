"""DCLGAN and SimDCL (Han et al.: Dual Contrastive Learning for Unsupervised I2I, CVPRW 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_baselines.cut import SMALLER
from i2i_baselines.dclgan.config import ABLATIONS, CARD, DOMAINS, DCLGANConfig
from i2i_bench import official
from i2i_bench.blocks.contrast import (
    ContrastGenerator,
    PatchHeads,
    draw_patches,
    layer_widths,
    mean_nce,
    nearly_unit,
)
from i2i_bench.blocks.discriminators import PatchDiscriminator
from i2i_bench.blocks.initialise import init_xavier
from i2i_bench.blocks.limits import (
    load_size,
    require_task_size,
    task_channels,
)
from i2i_bench.blocks.losses import differentiate, discriminator_losses, hinge, least_squares
from i2i_bench.blocks.optimise import adam, descend, frozen, set_learning_rate
from i2i_bench.blocks.schedules import decay_after
from i2i_bench.model import (
    A2B,
    B2A,
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

MEASURES = {"hinge": hinge, "lsgan": least_squares}


class Summary(nn.Sequential):
    """SimDCL's map of the patches' vectors of an image to one vector of norm 1.

    Args:
        num_layers: Layers that the vectors are of.
        width: Of the result.
    """

    def __init__(self, num_layers: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(num_layers, width, 3, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
        )

    def forward(self, input: Tensor) -> Tensor:
        """Map (batch, layers, patches, channels) to (batch, width)."""
        return nearly_unit(super().forward(input))


class DCLGAN(Model):
    """Two generators; each one's encoder knows one domain, and patches are compared across."""

    card = CARD
    Config = DCLGANConfig
    ablations = ABLATIONS
    losses = MappingProxyType(
        {
            "nce": "error of telling a translation's patches by those of its source",
            "similarity": "distance of the summaries of a domain's images and of translations",
        }
    )

    def __init__(self, config: DCLGANConfig) -> None:
        self.config = config
        self.generators, self.heads, self.discriminators = (nn.ModuleDict() for _ in range(3))
        channels: dict[str, int] = dict(zip(DOMAINS, config.channels, strict=True))
        for d in (A2B, B2A):
            inputs, outputs = channels[d.source], channels[d.target]
            generator = _generator(config, inputs, outputs)
            widths = layer_widths(generator, config.layers, inputs)
            self.generators[str(d)] = generator
            self.heads[d.source] = PatchHeads(widths, config.head_width)
            self.discriminators[d.target] = PatchDiscriminator(
                config.discriminator_width,
                config.discriminator_layers,
                inputs=outputs,
                blur=config.antialias,
            )
        self.networks = nn.ModuleDict(
            {
                "generators": self.generators,
                "heads": self.heads,
                "discriminators": self.discriminators,
            }
        )
        self.summaries = nn.ModuleDict()
        if config.lambda_similarity > 0:
            for name in (f"{kind}_{domain}" for domain in DOMAINS for kind in ("real", "fake")):
                self.summaries[name] = Summary(len(config.layers), config.map_width)
            self.networks["summaries"] = self.summaries
        init_xavier(self.networks, 0.02)
        self.optimizers = adam(self.networks, config.learning_rate, config.beta1)
        of_heads = nn.ModuleDict({n: self.networks[n] for n in self._heads()})
        self.optimizers |= adam(of_heads, config.head_learning_rate, config.head_beta1)
        self.state = {}

    def _heads(self) -> list[str]:
        """Name the networks that learn at the heads' rate."""
        return [name for name in self.networks if name in ("heads", "summaries")]

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule, 200 + 200 epochs at batch 1, or a smaller one."""
        require_task_size(task, cls.card.minimum_size, cls.card.title)
        facts: dict[str, Any] = {"channels": task_channels(task)} | SMALLER.get(preset, {})
        if len(set(facts["channels"])) > 1:
            facts["lambda_identity"] = 0.0
        batch_size, budget, largest = {
            "published": (1, 400 * max(task.num_train.values()), task.image_size),
            "small": (4, 4_000, 64),
            "tiny": (2, 8, 32),
        }[preset]
        size = min(task.image_size, largest)
        return Settings(DCLGANConfig(**facts), batch_size, budget, load_size(task, size), size)

    @classmethod
    def needs(cls, config: DCLGANConfig) -> Needs:
        """Ask for sides that can be halved twice."""
        del config
        return Needs(multiple=4)

    def advance(self, clock: Clock) -> None:
        """Decay the learning rates by epochs."""
        config, heads = self.config, self._heads()
        constant, decay = config.constant_epochs, config.decay_epochs
        factor = decay_after(clock.epoch(constant + decay), constant, decay)
        for name, optimizer in self.optimizers.items():
            rate = config.head_learning_rate if name in heads else config.learning_rate
            set_learning_rate({name: optimizer}, rate * factor)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update the discriminators, then generators and heads by the updated ones."""
        config, real, measure = self.config, batch.images, MEASURES[self.config.loss]
        fake, losses = {}, {}
        for d in (A2B, B2A):
            inputs = [real[d.source], *([real[d.target]] if config.lambda_identity > 0 else [])]
            outputs = self.generators[str(d)](torch.cat(inputs)).split(len(inputs[0]))
            fake[d.target] = outputs[0]
            if config.lambda_identity > 0:
                losses[f"identity_{d.target}"] = F.l1_loss(outputs[1], real[d.target])
        shown = {domain: images.detach() for domain, images in fake.items()}
        judged = discriminator_losses(self.discriminators, real, shown, measure)
        descend(self.optimizers["discriminators"], torch.stack(list(judged.values())).sum())
        with frozen(self.discriminators):
            for d in (A2B, B2A):
                found = measure(self.discriminators[d.target](fake[d.target]), 1.0)
                losses[f"adversarial_{d}"] = found
        losses |= self.contrast(real, fake, random)
        learning = [o for name, o in self.optimizers.items() if name != "discriminators"]
        for optimizer in learning:
            optimizer.zero_grad(set_to_none=True)
        losses = differentiate(losses, self._weights())
        for optimizer in learning:
            optimizer.step()
        return losses | {name: value.detach() for name, value in judged.items()}

    def _weights(self) -> dict[str, float]:
        config = self.config
        return {
            "adversarial": 0.5 * config.lambda_adversarial,
            "nce": 0.5 * config.lambda_nce,
            "identity": 0.5 * config.lambda_identity,
            "similarity": config.lambda_similarity,
        }

    def contrast(
        self, real: Mapping[str, Tensor], fake: Mapping[str, Tensor], random: Randomness
    ) -> dict[str, Tensor]:
        """Compare patches of translations with those at the same places of their sources.

        Images of each domain go through the encoder of the generator that takes them.

        Args:
            real: (batch, channels, height, width) by domain.
            fake: Translations, by their domain.
            random: Source of the places.

        Returns:
            The losses, means over images, places and layers, and SimDCL's where there is one.
        """
        config, losses, summaries = self.config, {}, {}
        for d in (A2B, B2A):
            of_fake = self.features(fake[d.target], d.target)
            places = self._draw(of_fake, random, f"nce_{d}")
            queries = self.heads[d.target](of_fake, places)
            with nullcontext() if config.lambda_similarity > 0 else torch.no_grad():
                of_real = self.features(real[d.source], d.source)
                keys = self.heads[d.source](of_real, places)
            losses[f"nce_{d}"] = self._compare(queries, keys)
            if config.lambda_similarity > 0:
                other = self._draw(of_fake, random, f"similarity_{d.target}")
                vectors = self.heads[d.target](of_fake, other)
                summaries[f"real_{d.source}"] = self._summarise(f"real_{d.source}", keys)
                summaries[f"fake_{d.target}"] = self._summarise(f"fake_{d.target}", vectors)
        for domain in DOMAINS if summaries else ():
            pair = summaries[f"real_{domain}"], summaries[f"fake_{domain}"]
            losses[f"similarity_{domain}"] = F.l1_loss(*pair)
        return losses

    def features(self, images: Tensor, domain: str) -> list[Tensor]:
        """Give the features of a domain's images, by the generator that takes them."""
        generator = self.generators[str(A2B if domain == "a" else B2A)]
        assert isinstance(generator, ContrastGenerator)
        return generator.features(images, self.config.layers)

    def _draw(self, features: list[Tensor], random: Randomness, name: str) -> list[Tensor]:
        numbered = zip(self.config.layers, features, strict=True)
        count = self.config.num_patches
        return [draw_patches(each, count, random, f"{name}_{n}") for n, each in numbered]

    def _compare(self, queries: list[Tensor], keys: list[Tensor]) -> Tensor:
        if self.config.similarity == "cosine":
            both = ([F.normalize(v, dim=-1, eps=1e-8) for v in many] for many in (queries, keys))
            queries, keys = both
        return mean_nce(queries, keys, self.config.temperature, self.config.negatives)

    def _summarise(self, name: str, vectors: list[Tensor]) -> Tensor:
        """Map the vectors of all layers, which must have as many patches, to a summary.

        Raises:
            ValueError: If a layer has fewer places than ``num_patches``.
        """
        counts = [each.shape[1] for each in vectors]
        if len(set(counts)) > 1:
            raise ValueError(
                f"lambda_similarity needs as many patches of each layer, and there are "
                f"{', '.join(map(str, counts))}: set num_patches to {min(counts)} or less"
            )
        return self.summaries[name](torch.stack(vectors, dim=1))

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Apply the generator of this direction."""
        return self.generators[str(direction)](batch.images[direction.source])

    @classmethod
    def from_official(cls, path: Path) -> DCLGAN:
        """Read ``latest_net_G_A.pth``, and those of the other networks that are beside it.

        Raises:
            ValueError: Naming the first tensors that disagree.
        """
        from i2i_baselines.official.dclgan import read_dclgan

        facts, parts = read_dclgan(path)
        return official.build(cls, DCLGANConfig(**facts), parts)


def _generator(config: DCLGANConfig, inputs: int, outputs: int) -> ContrastGenerator:
    return ContrastGenerator(
        config.generator_width,
        config.num_blocks,
        inputs=inputs,
        outputs=outputs,
        blur_down=config.antialias,
        blur_up=config.antialias_up,
    )
