"""ComboGAN (Anoosheh et al.: Unrestrained Scalability, CVPR Workshops 2018, 1712.06909)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_baselines.combogan.config import ABLATIONS, PRESETS, ComboGANConfig
from i2i_baselines.combogan.networks import (
    BranchedDiscriminator,
    LayeredDiscriminator,
    layered_least_squares,
)
from i2i_bench import official
from i2i_bench.blocks.halves import HalfDecoder, HalfEncoder, HalvesPlan
from i2i_bench.blocks.initialise import init_normal
from i2i_bench.blocks.limits import load_size, require_task_size, task_channels
from i2i_bench.blocks.optimise import adam, descend, frozen, set_learning_rate
from i2i_bench.blocks.pool import ImagePool
from i2i_bench.blocks.schedules import decay_behind
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

EPOCHS = 50  # a domain, at the full learning rate and again while it falls


class ComboGAN(Model):
    """Translate by the encoder of one domain and the decoder of another, of any number."""

    card = ModelCard(
        title="ComboGAN",
        authors="Asha Anoosheh, Eirikur Agustsson, Radu Timofte, Luc Van Gool",
        venue="CVPR Workshops",
        year=2018,
        arxiv="1712.06909",
        licence="authors' code: BSD; this implementation is independent",
        deviations=(
            "As the authors' last code, not the paper: PReLUs, smooth L1 for cycles, "
            "discriminators of grey and of blurred images with a logit at each layer; "
            "networks=2017 gives the first ones, which papers count.",
            "Networks of 2017 are from a description of the authors' code, and not compared with "
            "its numbers; the last ones are.",
            "As that code, its blur is almost flat, as the Gaussian meets mirrored borders; logits "
            "of layers before the last are normalised and activated.",
            "As that code, only the networks of the two domains of a step learn in it.",
            "Shared blocks between encoders and decoders, an option of that code that is off, are "
            "not there.",
            "There are 50 epochs a domain, and 50 more while the learning rate falls, the authors' "
            "advice, each as long as the largest domain; where domains are told by labels, as long "
            "as the mean one.",
            "Grey is the luminance of RGB, and the mean of the channels of other images.",
            "The presets small and tiny are narrower, with fewer blocks and layers.",
        ),
        minimum_size=8,
    )
    Config = ComboGANConfig
    ablations = ABLATIONS
    losses = {"forward": "distance of an image from its translation, at half the size"}  # noqa: RUF012

    def __init__(self, config: ComboGANConfig) -> None:
        self.config = config
        activation = nn.PReLU if config.networks == "last" else nn.ReLU
        plan = HalvesPlan(config.generator_width, activation=activation, up_kernel=4)
        counts = {config.number(domain): config.inputs(domain) for domain in config.domains}
        self.encoders = nn.ModuleDict(
            {n: HalfEncoder(plan, config.encoder_blocks, count) for n, count in counts.items()}
        )
        self.decoders = nn.ModuleDict(
            {n: HalfDecoder(plan, config.decoder_blocks, count) for n, count in counts.items()}
        )
        self.discriminators = nn.ModuleDict(
            {n: make_discriminator(config, count) for n, count in counts.items()}
        )
        parts = ("encoders", "decoders", "discriminators")
        self.networks = nn.ModuleDict({part: getattr(self, part) for part in parts})
        init_normal(self.networks)
        self.optimizers = adam(self.networks, config.learning_rate, 0.5)
        self.pools = {domain: ImagePool(config.pool_size) for domain in config.domains}
        self.state = {f"pool_{domain}": pool for domain, pool in self.pools.items()}
        self.latent_weight = 0.0

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule (50 + 50 epochs a domain at batch 1), or a smaller one."""
        require_task_size(task, cls.card.minimum_size, cls.card.title)
        domains = task.attributes or task.domains
        epochs, largest = EPOCHS * len(domains), max(task.num_train.values())
        if task.attributes:
            largest = -(-largest // len(domains))
        config = ComboGANConfig(
            domains=domains,
            channels=task_channels(task),
            constant_epochs=epochs,
            decay_epochs=epochs,
            **PRESETS[preset],
        )
        batch_size, budget, side = {
            "published": (1, 2 * epochs * largest, task.image_size),
            "small": (8, 3_000 * len(domains), 64),
            "tiny": (2, 8, 32),
        }[preset]
        size = min(task.image_size, side)
        return Settings(config, batch_size, budget, load_size(task, size), size)

    @classmethod
    def needs(cls, config: ComboGANConfig) -> Needs:
        """Take two domains, or two of many in each step; ask for sides that are halved twice."""
        del config
        return Needs(drawn_domains="optional", multiple=4)

    def advance(self, clock: Clock) -> None:
        """Decay the learning rate by epochs, and raise the weight of the latent loss."""
        constant, decay = self.config.constant_epochs, self.config.decay_epochs
        epoch = clock.epoch(constant + decay)
        self.latent_weight = self.config.lambda_latent * epoch / (constant + decay)
        factor = decay_behind(epoch, constant, decay)
        set_learning_rate(self.optimizers, self.config.learning_rate * factor)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update encoders and decoders of the two domains of a batch, then their discriminators."""
        first, second = batch.images
        ways = (Direction(first, second), Direction(second, first))
        with frozen(self.discriminators):
            losses, fake = self.generator_losses(batch.images, ways)
            for name in ("encoders", "decoders"):
                self.optimizers[name].zero_grad(set_to_none=True)
            weights = self.weights()  # by the first word: names of domains have underscores, too
            terms = [weights[name.partition("_")[0]] * value for name, value in losses.items()]
            torch.stack(terms).sum().backward()
            for name in ("encoders", "decoders"):
                self.optimizers[name].step()
        judged = {}
        for way in ways:
            domain = way.target
            shown = self.pools[domain].query(fake[domain].detach(), random, f"pool_{domain}")
            right = self.judge(batch.images[domain], domain, 1.0) + self.judge(shown, domain, 0.0)
            judged[f"discriminator_{domain}"] = 0.5 * right
        descend(self.optimizers["discriminators"], torch.stack(list(judged.values())).sum())
        return {name: value.detach() for name, value in (losses | judged).items()}

    def generator_losses(
        self, real: Mapping[str, Tensor], ways: tuple[Direction, ...]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Give the terms of encoders and decoders by name, and fakes by domain."""
        config = self.config
        losses: dict[str, Tensor] = {}
        fakes: dict[str, Tensor] = {}
        for way in ways:
            source, images = way.source, real[way.source]
            code = self.encode(images, source)
            fake = fakes[way.target] = self.decode(code, way.target)
            again = self.encode(fake, way.target)
            losses[f"adversarial_{way}"] = self.judge(fake, way.target, 1.0)
            losses[f"cycle_{source}"] = F.smooth_l1_loss(self.decode(again, source), images)
            if config.lambda_identity:
                losses[f"identity_{source}"] = halved_distance(self.decode(code, source), images)
            if config.lambda_forward:
                losses[f"forward_{way}"] = halved_distance(fake, images)
            if config.lambda_latent:
                losses[f"latent_{source}"] = F.smooth_l1_loss(again, code.detach())
        return losses, fakes

    def weights(self) -> dict[str, float]:
        """Give the weights of the terms of encoders and decoders in this step."""
        return {
            "adversarial": 1.0,
            "cycle": self.config.lambda_cycle,
            "identity": self.config.lambda_identity,
            "forward": self.config.lambda_forward,
            "latent": self.latent_weight,
        }

    def encode(self, images: Tensor, domain: str) -> Tensor:
        """Map images of a domain to codes (batch, 4 width, height / 4, width / 4)."""
        return self.encoders[self.config.number(domain)](images)

    def decode(self, codes: Tensor, domain: str) -> Tensor:
        """Map codes to images (batch, channels, height, width) of a domain."""
        return self.decoders[self.config.number(domain)](codes)

    def judge(self, images: Tensor, domain: str, target: float) -> Tensor:
        """Compare the logits of a domain's discriminator with 1 for real, 0 for fake."""
        logits = self.discriminators[self.config.number(domain)](images)
        return layered_least_squares(logits, target)

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Decode in the target what the source's encoder makes of the images."""
        code = self.encode(batch.images[direction.source], direction.source)
        return self.decode(code, direction.target)

    @classmethod
    def from_official(cls, path: Path) -> ComboGAN:
        """Read ``<epoch>_net_G<i>.pth`` and ``<epoch>_net_D<i>.pth``.

        Domains are named by their numbers, or by the lines of a ``domains.txt`` beside the files.

        Raises:
            ValueError: Naming the first tensors that disagree.
        """
        from i2i_baselines.official.combogan import read_combogan

        facts, parts = read_combogan(path)
        return official.build(cls, ComboGANConfig(**facts), parts)


def halved_distance(images: Tensor, others: Tensor) -> Tensor:
    """Compare images (batch, channels, height, width) at half the size: means of 3x3 px."""
    smaller, wanted = (F.avg_pool2d(each, 3, stride=2) for each in (images, others))
    return F.smooth_l1_loss(smaller, wanted)


def make_discriminator(config: ComboGANConfig, inputs: int) -> nn.Module:
    """Build the discriminator of a domain, of so many channels."""
    width = config.discriminator_width
    if config.networks == "last":
        return BranchedDiscriminator(width, config.discriminator_layers, inputs)
    num_layers = min(config.discriminator_layers, 3)
    return LayeredDiscriminator(width, num_layers, inputs, is_layered=False)
