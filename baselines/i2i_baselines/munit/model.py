"""MUNIT (Huang et al.: Multimodal Unsupervised I2I Translation, ECCV 2018, 1804.04732)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_baselines.munit.config import ABLATIONS, DOMAINS, PRESETS, WITHOUT_CYCLE, MUNITConfig
from i2i_baselines.munit.networks import PerceptualFeatures, StyledDecoder
from i2i_bench import official, pretrained
from i2i_bench.blocks.autoencoders import ContentEncoder
from i2i_bench.blocks.discriminators import MultiScaleDiscriminator
from i2i_bench.blocks.encoders import StyleEncoder
from i2i_bench.blocks.initialise import init_kaiming, init_normal, start_alike
from i2i_bench.blocks.limits import require_task_size, task_channels
from i2i_bench.blocks.losses import differentiate, fooling_loss, scales_discriminator_loss
from i2i_bench.blocks.normalise import InstanceNorm
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


class MUNIT(Model):
    """A content and a style of each image; to translate is to keep the content, of another style.

    Where the batch has no example, a style is drawn from N(0, 1).
    """

    card = ModelCard(
        title="MUNIT",
        authors="Xun Huang, Ming-Yu Liu, Serge Belongie, Jan Kautz",
        venue="ECCV",
        year=2018,
        arxiv="1804.04732",
        licence="authors' code: CC BY-NC-SA 4.0; this implementation is independent",
        deviations=(
            "As the authors' code, the weights of a task are those of its configuration there: no "
            "cycle for edges2shoes, edges2handbags and cat2dog, and 10 for summer2winter, which "
            "all tasks without one use, selfie2anime among them; what U-GAT-IT's comparison used "
            "is not known.",
            "The authors' first configuration for cats and dogs pads with zeros; here all reflect.",
            "As the authors' code, contents are not detached where they are targets.",
            "The perceptual loss, which the authors weigh 1 for streets and 0 elsewhere, is of "
            "torchvision's VGG16 on normalised RGB; theirs is of the Caffe VGG16 on BGR of 0 to "
            "255, so that its values differ, and no numbers of theirs prove it.",
            "Images are saved plainly; the authors' test script stretches each to its full range.",
            "Each domain is shuffled on its own; the authors' epoch ends with the shorter domain.",
            "The presets small and tiny are narrower and have shallower discriminators: the "
            "authors' need 61 px; in small, images are halved once, contents are not normalised, "
            "styles have two numbers, the learning rate halves every 700 steps, and both domains "
            "start from the same weights.",
        ),
        minimum_size=64,
        is_random=True,
        takes_examples=True,
    )
    Config = MUNITConfig
    ablations = ABLATIONS

    def __init__(self, config: MUNITConfig) -> None:
        self.config = config
        width, num_blocks = config.generator_width, config.num_blocks
        halvings = config.num_halvings
        norm = InstanceNorm if config.content_norm == "instance" else None
        channels = dict(zip(DOMAINS, config.channels, strict=True))
        self.contents = nn.ModuleDict(
            {d: ContentEncoder(width, num_blocks, n, halvings, norm) for d, n in channels.items()}
        )
        self.styles = nn.ModuleDict(
            {d: StyleEncoder(width, config.style_width, n) for d, n in channels.items()}
        )
        sizes = {"style_width": config.style_width, "mlp_width": config.mlp_width}
        sizes["num_halvings"] = halvings
        self.decoders = nn.ModuleDict(
            {d: StyledDecoder(width, num_blocks, **sizes, channels=n) for d, n in channels.items()}
        )
        parts = {"contents": self.contents, "styles": self.styles, "decoders": self.decoders}
        generators = nn.ModuleDict(parts)
        shape = config.discriminator_width, config.discriminator_layers, config.discriminator_scales
        self.discriminators = nn.ModuleDict(
            {d: MultiScaleDiscriminator(*shape, channels=n) for d, n in channels.items()}
        )
        self.networks = nn.ModuleDict(
            {"generators": generators, "discriminators": self.discriminators}
        )
        init_kaiming(generators)
        if config.same_start:
            start_alike(parts.values())
        init_normal(self.discriminators)
        self.optimizers = adam(
            self.networks, config.learning_rate, config.beta1, config.weight_decay
        )
        self.frozen = nn.ModuleDict({"vgg": PerceptualFeatures()} if self._is_perceptual else {})
        self.state = {}

    @property
    def _is_perceptual(self) -> bool:
        return self.config.lambda_perceptual > 0

    @classmethod
    def needs(cls, config: MUNITConfig) -> Needs:
        """Ask for sides that can be halved, and VGG16 where the perceptual loss counts."""
        weights = (pretrained.VGG_NAME,) if config.lambda_perceptual else ()
        return Needs(weights=weights, multiple=2**config.num_halvings)

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule (1,000,000 images at batch 1), or a smaller one."""
        config = replace(PRESETS[preset], channels=task_channels(task))
        if preset == "published":
            config = replace(config, lambda_cycle=0.0 if task.name in WITHOUT_CYCLE else 10.0)
        batch_size, budget, largest = {
            "published": (1, 1_000_000, task.image_size),
            "small": (4, 10_000, 64),
            "tiny": (2, 8, 32),
        }[preset]
        size = min(task.image_size, largest)
        require_task_size(task, config.minimum_size, f"{cls.card.title}, {preset},")
        return Settings(config, batch_size, budget, size, size, "bilinear", "short_side")

    def advance(self, clock: Clock) -> None:
        """Decay the learning rate by steps."""
        # the authors' scheduler moves before the update: step 100,000 is the first at half the rate
        factor = self.config.decay_factor ** (clock.step // self.config.decay_every)
        set_learning_rate(self.optimizers, self.config.learning_rate * factor)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update the discriminators, then the generators; real images are encoded once.

        Gradients of the generators add up over directions, and reach the encoders of real images at
        the end, so that only one direction's graph is kept at a time.
        """
        real = batch.images
        content = {d: self.contents[d](real[d]) for d in DOMAINS}
        judged = self._discriminator_losses(real, content, random)
        descend(self.optimizers["discriminators"], torch.stack(list(judged.values())).sum())
        losses = {name: value.detach() for name, value in judged.items()}
        with frozen(self.discriminators), restarted(self.optimizers["generators"]):
            style = {d: self.styles[d](real[d]) for d in DOMAINS}
            codes = [*content.values(), *style.values()]
            leaves = [code.detach().requires_grad_() for code in codes]
            content, style = (
                dict(zip(DOMAINS, each, strict=True)) for each in (leaves[:2], leaves[2:])
            )
            for direction in (A2B, B2A):
                some = self._direction_losses(real, content, style, random, direction)
                losses |= differentiate(some, self._weights())
            torch.autograd.backward(codes, [leaf.grad for leaf in leaves])
        return losses

    def _weights(self) -> dict[str, float]:
        terms = ("adversarial", "reconstruction", "style", "content", "cycle", "perceptual")
        return {term: getattr(self.config, f"lambda_{term}") for term in terms}

    def _draw_style(self, count: int, random: Randomness, name: str) -> Tensor:
        style = random.normal(name, (count, self.config.style_width))
        return style.to(next(self.networks.parameters()).dtype)

    def _discriminator_losses(
        self, real: Mapping[str, Tensor], content: Mapping[str, Tensor], random: Randomness
    ) -> dict[str, Tensor]:
        """Sum LSGAN's two terms over scales, by domain; real and fake share a forward."""
        losses = {}
        for direction in (A2B, B2A):
            source, target = direction.source, direction.target
            with torch.no_grad():
                style = self._draw_style(len(real[source]), random, f"discriminator_{target}")
                fake = self.decoders[target](content[source], style)
            judge = self.discriminators[target]
            losses[f"discriminator_{target}"] = scales_discriminator_loss(judge, real[target], fake)
        return losses

    def _direction_losses(
        self,
        real: Mapping[str, Tensor],
        content: Mapping[str, Tensor],
        style: Mapping[str, Tensor],
        random: Randomness,
        direction: Direction,
    ) -> dict[str, Tensor]:
        """Compute the losses of one direction; its decoder's two outputs share a forward."""
        source, target = direction.source, direction.target
        drawn = self._draw_style(len(real[source]), random, f"generator_{target}")
        outputs = self.decoders[target](
            torch.cat([content[target], content[source]]), torch.cat([style[target], drawn])
        )
        reconstructed, fake = outputs.tensor_split([len(real[target])])
        found = self.contents[target](fake)  # by the encoder of the translated domain
        losses = {
            f"adversarial_{direction}": fooling_loss(self.discriminators[target](fake)),
            f"reconstruction_{target}": F.l1_loss(reconstructed, real[target]),
            f"style_{target}": F.l1_loss(self.styles[target](fake), drawn),
            f"content_{source}": F.l1_loss(found, content[source]),
        }
        if self.config.lambda_cycle > 0:
            cycled = self.decoders[source](found, style[source])
            losses[f"cycle_{source}"] = F.l1_loss(cycled, real[source])
        if self._is_perceptual:
            features = [self.frozen["vgg"](images) for images in (fake, real[source])]
            losses[f"perceptual_{direction}"] = F.mse_loss(*features)
        return losses

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Decode the content of images with the style of examples, or with drawn ones."""
        images = batch.images[direction.source]
        if batch.examples is not None:
            style = self.styles[direction.target](batch.examples[direction.target])
        else:
            style = self._draw_style(len(images), random, "style")
        content = self.contents[direction.source](images)
        return self.decoders[direction.target](content, style)

    @classmethod
    def from_official(cls, path: Path) -> MUNIT:
        """Read the last ``gen_%08d.pt``, or any one file, and its ``dis_%08d.pt``, if there is one.

        Raises:
            ValueError: Naming the first tensors that disagree.
        """
        from i2i_baselines.official.munit import read_munit

        facts, parts = read_munit(path)
        return official.build(cls, MUNITConfig(**facts), parts)
