"""UNIT (Liu, Breuel, Kautz: Unsupervised I2I Translation Networks, NIPS 2017, 1703.00848)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_bench import official
from i2i_bench.blocks.autoencoders import ContentEncoder, content_decoder
from i2i_bench.blocks.discriminators import MultiScaleDiscriminator, multi_scale_minimum
from i2i_bench.blocks.initialise import init_kaiming, init_normal, start_alike
from i2i_bench.blocks.limits import (
    at_least,
    check_limits,
    require_task_size,
    task_channels,
)
from i2i_bench.blocks.losses import (
    differentiate,
    fooling_loss,
    scales_discriminator_loss,
    weighted_sum,
)
from i2i_bench.blocks.optimise import adam, descend, frozen, restarted, set_learning_rate
from i2i_bench.model import (
    A2B,
    B2A,
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

DOMAINS = ("a", "b")


@dataclass(frozen=True)
class UNITConfig:
    """Configuration of UNIT.

    Attributes:
        generator_width: Channels of the encoder's first layer and of the decoder's last but one.
        discriminator_width: Channels of the discriminator's first layer; they double every layer.
        num_blocks: Residual blocks of the encoder, and as many of the decoder.
        discriminator_layers: Layers of stride 2 of the discriminator at each scale.
        discriminator_scales: Image scales that are judged, each half the size of the one before.
        lambda_reconstruction: Weight of the reconstruction loss within a domain.
        lambda_cycle: Weight of the cycle loss.
        lambda_kl: Weight of the divergence of a latent code from N(0, I).
        lambda_kl_cycle: The same for the code of a translation.
        learning_rate: Adam's learning rate before the decay.
        beta1: Adam's decay of the first moment; the second's is 0.999.
        weight_decay: Adam's L2 penalty, on every parameter.
        decay_every: Steps between two decays of the learning rate.
        decay_factor: What a decay multiplies it by.
        same_start: Whether the networks of both domains start from the same weights, so that their
            codes mean the same, as the paper's shared weights have it; layers that see images of
            different channels apart.
        channels: Of the images of domains a and b.
    """

    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    num_blocks: int = at_least(0, 4)
    discriminator_layers: int = at_least(1, 4)
    discriminator_scales: int = at_least(1, 3)
    lambda_reconstruction: float = at_least(0, 10.0)
    lambda_cycle: float = at_least(0, 10.0)
    lambda_kl: float = at_least(0, 0.01)
    lambda_kl_cycle: float = at_least(0, 0.01)
    learning_rate: float = 1e-4
    beta1: float = 0.5
    weight_decay: float = 1e-4
    decay_every: int = at_least(1, 100_000)
    decay_factor: float = at_least(0, 0.5)
    same_start: bool = False
    channels: tuple[int, ...] = (3, 3)

    def __post_init__(self) -> None:
        check_limits(self)


class UNIT(Model):
    """One variational auto-encoder a domain; to translate is to decode with the other domain's."""

    card = ModelCard(
        title="UNIT",
        authors="Ming-Yu Liu, Thomas Breuel, Jan Kautz",
        venue="NIPS",
        year=2017,
        arxiv="1703.00848",
        licence="authors' code: CC BY-NC-SA 4.0; this implementation is independent",
        deviations=(
            "As the authors' code, not the paper, the domains share no weights.",
            "As the authors' code: least-squares discriminators at three scales, a posterior of "
            "unit variance, and mean(h^2) as the divergence, without its factor 1/2.",
            "There is no official configuration for most tasks; all use that of summer2winter.",
            "The perceptual loss is left out; its weight there is 0.",
            "Images are saved plainly; the authors' test script stretches each to its full range.",
            "Each domain is shuffled on its own; the authors' epoch ends with the shorter domain.",
            "The presets small and tiny have shallower discriminators: the authors' need 61 px; "
            "small weighs reconstruction and cycle by 100, not 10, starts both domains from the "
            "same weights, and is short: little else ties their codes, which drift apart.",
        ),
        minimum_size=64,
    )
    Config = UNITConfig

    def __init__(self, config: UNITConfig) -> None:
        self.config = config
        width, num_blocks = config.generator_width, config.num_blocks
        counts = dict(zip(DOMAINS, config.channels, strict=True))
        self.encoders = nn.ModuleDict(
            {d: ContentEncoder(width, num_blocks, n) for d, n in counts.items()}
        )
        self.decoders = nn.ModuleDict(
            {d: content_decoder(width, num_blocks, n) for d, n in counts.items()}
        )
        generators = nn.ModuleDict({"encoders": self.encoders, "decoders": self.decoders})
        shape = config.discriminator_width, config.discriminator_layers, config.discriminator_scales
        self.discriminators = nn.ModuleDict(
            {d: MultiScaleDiscriminator(*shape, channels=n) for d, n in counts.items()}
        )
        self.networks = nn.ModuleDict(
            {"generators": generators, "discriminators": self.discriminators}
        )
        init_kaiming(generators)
        if config.same_start:
            start_alike((self.encoders, self.decoders))
        init_normal(self.discriminators)
        self.optimizers = adam(
            self.networks, config.learning_rate, config.beta1, config.weight_decay
        )
        self.state = {}

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule (1,000,000 images at batch 1), or a smaller one."""
        if preset == "published":
            config, batch_size, budget, size = UNITConfig(), 1, 1_000_000, task.image_size
        elif preset == "small":
            config = UNITConfig(
                generator_width=16,
                discriminator_width=8,
                num_blocks=2,
                discriminator_layers=3,
                discriminator_scales=2,
                lambda_reconstruction=100.0,  # the published 10 teaches too little in few steps
                lambda_cycle=100.0,
                learning_rate=2e-3,
                same_start=True,  # from two starts, colours of a translation are any colours
            )
            # few images: as nothing ties the domains' codes, they drift apart while cycles improve
            batch_size, budget, size = 8, 3_000, min(task.image_size, 64)
        else:
            config = UNITConfig(
                generator_width=4,
                discriminator_width=4,
                num_blocks=1,
                discriminator_layers=2,
                discriminator_scales=2,
            )
            batch_size, budget, size = 2, 8, min(task.image_size, 32)
        least = multi_scale_minimum(config.discriminator_layers, config.discriminator_scales)
        needed = max(8, least + -least % 4)  # the generators halve images twice
        require_task_size(task, needed, f"{cls.card.title}, {preset},")
        config = replace(config, channels=task_channels(task))
        return Settings(config, batch_size, budget, size, size, "bilinear", "short_side")

    @classmethod
    def needs(cls, config: UNITConfig) -> Needs:
        """Ask for sides that can be halved twice."""
        del config
        return Needs(multiple=4)

    def advance(self, clock: Clock) -> None:
        """Decay the learning rate by steps."""
        # the authors' scheduler moves before the update: step 100,000 is the first at half the rate
        factor = self.config.decay_factor ** (clock.step // self.config.decay_every)
        set_learning_rate(self.optimizers, self.config.learning_rate * factor)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update the discriminators, then encoders and decoders; real images are encoded once.

        Gradients of the generators add up over directions, and reach the encoders at the end, so
        that only one direction's graph is kept at a time.
        """
        config, real = self.config, batch.images
        weights = {
            "adversarial": 1.0,
            "reconstruction": config.lambda_reconstruction,
            "cycle": config.lambda_cycle,
            "kl": config.lambda_kl,
            "kl_cycle": config.lambda_kl_cycle,
        }
        latent = {domain: self.encoders[domain](real[domain]) for domain in DOMAINS}
        judged = self._discriminator_losses(real, latent, random)
        descend(self.optimizers["discriminators"], torch.stack(list(judged.values())).sum())
        losses = {name: value.detach() for name, value in judged.items()}
        with frozen(self.discriminators), restarted(self.optimizers["generators"]):
            codes = [sample(latent[d].detach(), random, f"generator_{d}") for d in DOMAINS]
            noisy = {d: c.requires_grad_() for d, c in zip(DOMAINS, codes, strict=True)}
            for direction in (A2B, B2A):
                some = self._direction_losses(real, noisy, random, direction)
                losses |= differentiate(some, weights)
            divergence = {f"kl_{d}": latent[d].square().mean() for d in DOMAINS}
            losses |= {name: value.detach() for name, value in divergence.items()}
            roots = [weighted_sum(divergence, weights), *latent.values()]
            gradients = [each.grad for each in noisy.values()]
            torch.autograd.backward(roots, [None, *gradients])
        return losses

    def _discriminator_losses(
        self, real: Mapping[str, Tensor], latent: Mapping[str, Tensor], random: Randomness
    ) -> dict[str, Tensor]:
        """Sum LSGAN's two terms over scales, by domain; real and fake share a forward."""
        losses = {}
        for direction in (A2B, B2A):
            source, target = direction.source, direction.target
            with torch.no_grad():
                noisy = sample(latent[source], random, f"discriminator_{source}")
                fake = self.decoders[target](noisy)
            judge = self.discriminators[target]
            losses[f"discriminator_{target}"] = scales_discriminator_loss(judge, real[target], fake)
        return losses

    def _direction_losses(
        self,
        real: Mapping[str, Tensor],
        noisy: Mapping[str, Tensor],
        random: Randomness,
        direction: Direction,
    ) -> dict[str, Tensor]:
        """Compute the losses of one direction; its decoder's two outputs share a forward."""
        source, target = direction.source, direction.target
        outputs = self.decoders[target](torch.cat([noisy[target], noisy[source]]))
        reconstructed, fake = outputs.tensor_split([len(noisy[target])])
        recoded = self.encoders[target](fake)  # the translated domain's encoder
        cycled = self.decoders[source](sample(recoded, random, f"cycle_{source}"))
        return {
            f"reconstruction_{target}": F.l1_loss(reconstructed, real[target]),
            f"cycle_{source}": F.l1_loss(cycled, real[source]),
            f"kl_cycle_{source}": recoded.square().mean(),
            f"adversarial_{direction}": fooling_loss(self.discriminators[target](fake)),
        }

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Decode the code's mean with the decoder of the target domain."""
        latent = self.encoders[direction.source](batch.images[direction.source])
        return self.decoders[direction.target](latent)

    @classmethod
    def from_official(cls, path: Path) -> UNIT:
        """Read the last ``gen_%08d.pt``, or any one file, and its ``dis_%08d.pt``, if there is one.

        Raises:
            ValueError: Naming the first tensors that disagree.
        """
        from i2i_baselines.official.unit import read_unit

        facts, parts = read_unit(path)
        return official.build(cls, UNITConfig(**facts), parts)


def sample(mean: Tensor, random: Randomness, name: str) -> Tensor:
    """Draw a code from N(mean, I)."""
    return mean + random.normal(name, tuple(mean.shape))
