"""BicycleGAN (Zhu et al.: Multimodal Image-to-Image Translation, NIPS 2017, 1711.11586)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_baselines.bicyclegan.config import (
    ABLATIONS,
    BACKWARDS,
    DIRECTIONS,
    EPOCHS,
    GREY_SOURCES,
    PRESETS,
    BicycleGANConfig,
)
from i2i_bench import official
from i2i_bench.blocks.discriminators import MultiScalePatchDiscriminator
from i2i_bench.blocks.encoders import VectorEncoder, standard_normal_divergence
from i2i_bench.blocks.initialise import init_xavier
from i2i_bench.blocks.limits import require_task_size, task_channels
from i2i_bench.blocks.losses import fooling_loss, scales_discriminator_loss, weighted_sum
from i2i_bench.blocks.normalise import InstanceNorm
from i2i_bench.blocks.optimise import adam, descend, frozen, restarted, set_learning_rate
from i2i_bench.blocks.schedules import decay_after
from i2i_bench.blocks.unet import UNet, UNetPlan, fitting_levels
from i2i_bench.model import (
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


class BicycleGAN(Model):
    """A U-Net that translates by a code: a true image's in training, and a drawn one.

    Of a batch, the first half is translated; the second one has the true images that translations
    by drawn codes are judged against.
    """

    card = ModelCard(
        title="BicycleGAN",
        authors="Jun-Yan Zhu, Richard Zhang, Deepak Pathak, Trevor Darrell, Alexei A. Efros, "
        "Oliver Wang, Eli Shechtman",
        venue="NIPS",
        year=2017,
        arxiv="1711.11586",
        licence="authors' code: BSD; this implementation is independent",
        deviations=(
            "As the authors' code: the divergence of codes is a sum over the batch, not a mean; "
            "the loss of drawn codes trains the generator alone; each kind of translation has a "
            "discriminator of its own, which does not see the source.",
            "As the authors' code, dropout is on in training and off in translation.",
            "For images of other sides than 256 px there are as many levels as halve them to "
            "whole pixels, 8 at most, and fewer blocks in the encoder, whose last means are over "
            "all that is left of the image; dropout stays at layers of 8 times the width.",
            "Of maps the authors take crops of 256 px out of 600; here it is resized to 256 px, as "
            "in tests.",
            "Tasks without a published schedule have 100 + 100 epochs, the default of the code.",
            "The learning rate decays by epochs, which here are equal parts of the budget.",
            "In the ablation cLR-GAN, where nothing else trains the encoder, the loss of drawn "
            "codes does; in cAE-GAN, a code is the encoder's mean.",
            "The presets small and tiny are narrower, and have discriminators of fewer layers; "
            "small weighs reconstruction and divergence three times as much.",
        ),
        minimum_size=48,
        samples_interact=True,  # by their place in the batch
        is_random=True,
        takes_examples=True,
    )
    Config = BicycleGANConfig
    ablations = ABLATIONS
    losses = {  # noqa: RUF012
        "adversarial_encoded": "what translations by a true image's code lack in the eyes of their "
        "discriminator",
        "discriminator_encoded": "what the optimiser of that discriminator minimises",
    }

    def __init__(self, config: BicycleGANConfig) -> None:
        self.config = config
        self.direction = DIRECTIONS[config.direction]
        self.directions = (self.direction,)
        inputs, outputs = self._channels()
        self.generator = UNet(_plan(config, inputs, outputs))
        self.encoder = VectorEncoder(
            config.encoder_width, config.encoder_blocks, config.code_width, inputs=outputs
        )
        shape = config.discriminator_width, config.discriminator_layers, config.discriminator_scales
        weights = {"encoded": config.lambda_encoded, "random": config.lambda_random}
        self.discriminators = nn.ModuleDict(
            {
                kind: MultiScalePatchDiscriminator(*shape, channels=outputs)
                for kind, weight in weights.items()
                if weight > 0
            }
        )
        self.networks = nn.ModuleDict({"generator": self.generator, "encoder": self.encoder})
        if self.discriminators:
            self.networks["discriminators"] = self.discriminators
        init_xavier(self.networks, 0.02)
        self.optimizers = adam(self.networks, config.learning_rate, config.beta1)
        self.state = {}

    def _channels(self) -> tuple[int, int]:
        """Give the channels of what the generator sees and makes."""
        first, second = self.config.channels
        inputs, outputs = (first, second) if self.config.direction == "a2b" else (second, first)
        return (1 if self.config.grey_source else inputs), outputs

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule for their tasks (batch 2, no jitter), or a smaller one."""
        facts: dict[str, Any] = {
            "channels": task_channels(task),
            "direction": "b2a" if task.name.startswith(BACKWARDS) else "a2b",
        }
        epochs = EPOCHS.get(task.name, 100)
        batch_size, budget, largest = 2, 2 * epochs * max(task.num_train.values()), task.image_size
        least = cls.card.minimum_size
        if preset == "published":
            facts |= {"constant_epochs": epochs, "decay_epochs": epochs}
            facts["grey_source"] = task.name in GREY_SOURCES
        else:
            facts |= PRESETS[preset]
            batch_size, budget, largest = {"small": (4, 8_000, 64), "tiny": (4, 16, 32)}[preset]
            least //= 2  # with discriminators of a layer less
        require_task_size(task, least, cls.card.title)
        size = min(task.image_size, largest)
        levels = fitting_levels(size, 8)
        if levels < 2:
            raise ValueError(f"{cls.card.title} halves images twice at least; {size} px cannot be")
        facts |= {"levels": levels, "encoder_blocks": min(4, max(1, levels - 4))}
        return Settings(BicycleGANConfig(**facts), batch_size, budget, size, size)

    @classmethod
    def needs(cls, config: BicycleGANConfig) -> Needs:
        """Need pairs, whose sides generator and encoder can halve."""
        return Needs(pairs="required", multiple=2 ** max(config.levels, config.encoder_blocks + 1))

    def advance(self, clock: Clock) -> None:
        """Decay the learning rate by epochs."""
        constant, decay = self.config.constant_epochs, self.config.decay_epochs
        factor = decay_after(clock.epoch(constant + decay), constant, decay)
        set_learning_rate(self.optimizers, self.config.learning_rate * factor)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update generator and encoder, then the discriminators on the fakes made before that."""
        source, target = (batch.images[d] for d in (self.direction.source, self.direction.target))
        half = max(1, len(source) // 2)  # of a budget's last batch, one image may be both halves
        real = {"encoded": target[:half], "random": target[-half:]}
        generator, encoder = self.optimizers["generator"], self.optimizers["encoder"]
        with frozen(self.discriminators), restarted(generator), restarted(encoder):
            losses, fake = self._generator_losses(source[:half], real["encoded"], random)
            weighted_sum(losses, self._weights()).backward()
        judged = self._discriminator_losses(real, fake)
        if judged:
            total = torch.stack(list(judged.values())).sum()
            descend(self.optimizers["discriminators"], total)
        return {name: value.detach() for name, value in (losses | judged).items()}

    def _weights(self) -> dict[str, float]:
        config = self.config
        return {
            "adversarial_encoded": config.lambda_encoded,
            "adversarial": config.lambda_random,
            "reconstruction": config.lambda_reconstruction,
            "kl": config.lambda_kl,
            "latent": config.lambda_latent,
        }

    def _generator_losses(
        self, source: Tensor, real: Tensor, random: Randomness
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Compute the losses of generator and encoder, unweighted; the fakes by kind of code."""
        config, way, target = self.config, self.direction, self.direction.target
        shape = (len(source), config.code_width)
        losses: dict[str, Tensor] = {}
        codes: dict[str, Tensor] = {}
        if config.takes_codes:
            mean, log_variance = self.encoder(real)
            codes["encoded"] = mean
            if config.lambda_kl > 0:
                losses[f"kl_{target}"] = standard_normal_divergence(mean, log_variance)
                noise = random.normal("posterior", shape)
                codes["encoded"] = mean + (0.5 * log_variance).exp() * noise
        if config.draws_codes:
            codes["random"] = random.normal("prior", shape)
        fake = self._generate_all(source, codes, random)
        for kind, judge in self.discriminators.items():
            name = f"adversarial_{way}" if kind == "random" else f"adversarial_encoded_{way}"
            losses[name] = fooling_loss(judge(fake[kind]))
        if config.takes_codes:
            losses[f"reconstruction_{target}"] = F.l1_loss(fake["encoded"], real)
        if config.lambda_latent > 0:
            losses[f"latent_{target}"] = self._latent_loss(fake["random"], codes["random"])
        return losses, {kind: images.detach() for kind, images in fake.items()}

    def _generate_all(
        self, source: Tensor, codes: dict[str, Tensor], random: Randomness
    ) -> dict[str, Tensor]:
        """Translate the same images by each kind of code, with dropout, in one pass."""
        drawn = [self.generator.draw_kept(source, random, f"{kind}_dropout") for kind in codes]
        kept = tuple(torch.cat(masks) for masks in zip(*drawn, strict=True))
        images = torch.cat([source] * len(codes))
        made = self.generate(images, torch.cat(list(codes.values())), kept)
        return dict(zip(codes, made.split(len(source)), strict=True))

    def _latent_loss(self, fake: Tensor, code: Tensor) -> Tensor:
        """Compare a drawn code with the one found; it trains the encoder if nothing else does."""
        if not self.config.takes_codes:
            return F.l1_loss(self.encoder(fake)[0], code)
        with frozen(self.encoder):
            return F.l1_loss(self.encoder(fake)[0], code)

    def _discriminator_losses(
        self, real: dict[str, Tensor], fake: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Sum LSGAN's two terms over scales, by kind of code; real and fake share a forward."""
        losses = {}
        for kind, judge in self.discriminators.items():
            name = "discriminator" if kind == "random" else "discriminator_encoded"
            loss = scales_discriminator_loss(judge, real[kind], fake[kind])
            losses[f"{name}_{self.direction.target}"] = loss
        return losses

    def generate(self, images: Tensor, code: Tensor, kept: tuple[Tensor, ...] = ()) -> Tensor:
        """Translate (batch, channels, height, width) by codes (batch, code_width)."""
        if self.config.grey_source and images.shape[1] == 3:
            red, green, blue = images.split(1, dim=1)
            images = 0.299 * red + 0.587 * green + 0.114 * blue  # the authors' weights
        return self.generator(images, code, kept)

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Translate by the codes of examples, or by drawn ones; without dropout."""
        images = batch.images[direction.source]
        if batch.examples is not None:
            code, _ = self.encoder(batch.examples[direction.target])
        else:
            code = random.normal("code", (len(images), self.config.code_width))
        return self.generate(images, code)

    @classmethod
    def from_official(cls, path: Path) -> BicycleGAN:
        """Read ``latest_net_G.pth``, and those of E, D and D2 that are beside it.

        Raises:
            ValueError: Naming the first tensors that disagree.
        """
        from i2i_baselines.official.bicyclegan import read_bicyclegan

        facts, parts = read_bicyclegan(path)
        if official.is_named(path, BACKWARDS):
            facts |= {"direction": "b2a", "channels": facts["channels"][::-1]}
        return official.build(cls, BicycleGANConfig(**facts), parts)


def _plan(config: BicycleGANConfig, inputs: int, outputs: int) -> UNetPlan:
    """Plan the generator; dropout is where up layers have 8 times the width, three at 8 levels."""
    return UNetPlan(
        config.levels,
        config.generator_width,
        inputs=inputs,
        outputs=outputs,
        join="up_skip",
        norm=InstanceNorm,
        dropout=tuple(range(2, config.levels - 3)) if config.dropout else (),
        code=config.code_width,
        code_at=config.code_at,
    )
