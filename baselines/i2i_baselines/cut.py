"""CUT and FastCUT (Park et al.: Contrastive Learning for Unpaired I2I Translation, ECCV 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from i2i_bench import official
from i2i_bench.blocks.contrast import (
    ContrastGenerator,
    PatchHeads,
    draw_patches,
    layer_numbers,
    layer_widths,
    mean_nce,
    mirror,
    mirror_places,
)
from i2i_bench.blocks.discriminators import PatchDiscriminator
from i2i_bench.blocks.initialise import init_xavier
from i2i_bench.blocks.limits import (
    at_least,
    check_limits,
    load_size,
    require_choices,
    require_schedule,
    require_task_size,
    task_channels,
)
from i2i_bench.blocks.losses import differentiate, discriminator_loss, least_squares
from i2i_bench.blocks.optimise import adam, descend, frozen, restarted, set_learning_rate
from i2i_bench.blocks.schedules import decay_after
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

POSSIBLE = {"direction": ("a2b", "b2a"), "negatives": ("image", "batch")}
BACKWARDS = ("cityscapes",)  # names of what the authors translate from b to a


@dataclass(frozen=True)
class CUTConfig:
    """Configuration of CUT.

    Attributes:
        direction: In which it translates.
        generator_width: Channels of the generator's first layer.
        discriminator_width: Channels of the discriminator's first layer.
        num_blocks: Residual blocks of the generator.
        discriminator_layers: Halvings of the discriminator; 3 see patches of 70x70 px.
        antialias: Whether generator and discriminator halve by a blur, not by convolutions of
            stride 2; layers then have other numbers.
        antialias_up: Whether the generator doubles by a blur, not by transposed convolutions.
        nce_layers: Numbers of the encoder's layers whose features are compared, as the authors
            count: 0 is the padded image, 4 and 8 are the convolutions before the halvings, 12 and
            16 residual blocks, the first and the fifth.
        head_width: Length of the vectors that are compared.
        num_patches: Places of each layer that are compared; fewer where it has fewer.
        temperature: By which products of vectors are divided.
        negatives: Whether a patch is told among those of its ``image``, or of the whole ``batch``.
        lambda_adversarial: Weight of the adversarial loss.
        lambda_nce: Weight of the patches' loss.
        nce_identity: Whether patches of the target's images are compared with those of their
            translations, too; each of the two losses then has half the weight.
        flip_equivariance: Whether half of the images are mirrored, translated and the patches of
            what comes out compared with those of the image as it was.
        learning_rate: Adam's learning rate before the decay.
        beta1: Adam's decay of the first moment; the second's is 0.999.
        constant_epochs: Epochs at the full learning rate; with decay_epochs they divide the budget.
        decay_epochs: Epochs over which it falls linearly.
        channels: Of the images of each domain, which must be as many.
    """

    direction: Literal["a2b", "b2a"] = "a2b"
    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    num_blocks: int = at_least(0, 9)
    discriminator_layers: int = at_least(1, 3)
    antialias: bool = True
    antialias_up: bool = True
    nce_layers: str = "0,4,8,12,16"
    head_width: int = at_least(1, 256)
    num_patches: int = at_least(1, 256)
    temperature: float = at_least(1e-3, 0.07)
    negatives: Literal["image", "batch"] = "image"
    lambda_adversarial: float = at_least(0, 1.0)
    lambda_nce: float = at_least(0, 1.0)
    nce_identity: bool = True
    flip_equivariance: bool = False
    learning_rate: float = 2e-4
    beta1: float = 0.5
    constant_epochs: int = 200
    decay_epochs: int = 200
    channels: tuple[int, ...] = (3, 3)

    def __post_init__(self) -> None:
        require_schedule(self.constant_epochs, self.decay_epochs)
        check_limits(self)
        require_choices(self, **POSSIBLE)
        if len(set(self.channels)) > 1:
            raise ValueError(
                f"channels are {', '.join(map(str, self.channels))}; source and target must have "
                "as many, since one encoder takes both"
            )
        _ = self.layers

    @property
    def layers(self) -> tuple[int, ...]:
        """The numbers of the layers whose features are compared."""
        return layer_numbers(self.nce_layers, self.num_blocks, blur=self.antialias)


@dataclass(frozen=True)
class FastCUTConfig(CUTConfig):  # noqa: D101 - it is CUT's, of another name
    __doc__ = (CUTConfig.__doc__ or "").replace("of CUT", "of FastCUT", 1)

    lambda_nce: float = at_least(0, 10.0)
    nce_identity: bool = False
    flip_equivariance: bool = True
    constant_epochs: int = 150
    decay_epochs: int = 50


_NO_IDENTITY, _FEW, _LAST = {"nce_identity": "false"}, {"num_patches": "16"}, {"nce_layers": "16"}
ABLATIONS = {
    "contrast": Ablation(
        "Identity, number of negatives and layers, as the paper's Table 2",
        "CUT",
        (
            Variation("as published", {}),
            Variation("no identity", _NO_IDENTITY),
            Variation("no identity, 15 negatives", _NO_IDENTITY | _FEW),
            Variation("no identity, 15 negatives, last layer", _NO_IDENTITY | _FEW | _LAST),
            Variation("last layer", _LAST),
            Variation("FastCUT", {}, model="fastcut"),
        ),
    ),
}

DEVIATIONS = (
    "As in the authors' code, networks halve and double by blurs (antialias, antialias_up), and "
    "weights begin as Glorot and Bengio's times 0.02.",
    "Each image has patches of its own; the authors' batches of several share their places.",
    "A vector of norm 0 has a finite gradient; the authors' is not a number.",
    "Heads are made with the networks; the authors make them at the first batch, of which they "
    "then discard the gradients.",
    "The learning rate decays by epochs, which here are equal parts of the budget.",
    "Training images are cropped at random throughout; the authors' code stops once the learning "
    "rate decays.",
    "Each domain is shuffled on its own; the authors draw the second one with replacement.",
    "direction=b2a, the authors' for cityscapes, is preset for it.",
    "The presets small and tiny have 5 residual blocks and fewer channels and patches.",
)


class CUT(Model):
    """One generator; patches of its translations must be told by those of the source."""

    card = ModelCard(
        title="CUT",
        authors="Taesung Park, Alexei A. Efros, Richard Zhang, Jun-Yan Zhu",
        venue="ECCV",
        year=2020,
        arxiv="2007.15651",
        licence="authors' code: BSD; this implementation is independent",
        deviations=DEVIATIONS,
        minimum_size=24,
        samples_interact=True,
    )
    Config = CUTConfig
    ablations = ABLATIONS
    losses = MappingProxyType(
        {
            "nce": "error of telling a translation's patches by those of its source",
            "nce_identity": "the same, of translations of the target's images",
        }
    )

    def __init__(self, config: CUTConfig) -> None:
        self.config = config
        self.direction = A2B if config.direction == "a2b" else B2A
        self.directions = (self.direction,)
        channels = config.channels[0]
        self.generator = ContrastGenerator(
            config.generator_width,
            config.num_blocks,
            inputs=channels,
            outputs=channels,
            blur_down=config.antialias,
            blur_up=config.antialias_up,
        )
        self.heads = PatchHeads(
            layer_widths(self.generator, config.layers, channels), config.head_width
        )
        self.discriminator = PatchDiscriminator(
            config.discriminator_width,
            config.discriminator_layers,
            inputs=channels,
            blur=config.antialias,
        )
        self.networks = nn.ModuleDict(
            {
                "generator": self.generator,
                "heads": self.heads,
                "discriminator": self.discriminator,
            }
        )
        init_xavier(self.networks, 0.02)
        self.optimizers = adam(self.networks, config.learning_rate, config.beta1)
        self.state = {}

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule at batch 1, or a smaller one."""
        require_task_size(task, cls.card.minimum_size, cls.card.title)
        facts: dict[str, Any] = {
            "channels": task_channels(task),
            "direction": "b2a" if task.name.startswith(BACKWARDS) else "a2b",
        }
        config = cls.Config(**facts, **SMALLER.get(preset, {}))
        epochs = config.constant_epochs + config.decay_epochs
        batch_size, budget, largest = {
            "published": (1, epochs * max(task.num_train.values()), task.image_size),
            "small": (4, 5_000, 64),
            "tiny": (2, 8, 32),
        }[preset]
        size = min(task.image_size, largest)
        return Settings(config, batch_size, budget, load_size(task, size), size)

    @classmethod
    def needs(cls, config: CUTConfig) -> Needs:
        """Ask for sides that can be halved twice."""
        del config
        return Needs(multiple=4)

    def advance(self, clock: Clock) -> None:
        """Decay the learning rate by epochs."""
        constant, decay = self.config.constant_epochs, self.config.decay_epochs
        factor = decay_after(clock.epoch(constant + decay), constant, decay)
        set_learning_rate(self.optimizers, self.config.learning_rate * factor)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update the discriminator, then generator and heads by the updated one."""
        config, target = self.config, self.direction.target
        real = batch.images[target]
        sources = {f"nce_{self.direction}": batch.images[self.direction.source]}
        if config.nce_identity:
            sources[f"nce_identity_{target}"] = real
        count = len(real)
        mirrored = random.uniform("mirror", (count,)) < 0.5 if config.flip_equivariance else None
        images = [mirror(each, mirrored) for each in sources.values()]
        outputs = self.generator(torch.cat(images)).split(count)
        fake = outputs[0]
        judged = discriminator_loss(self.discriminator, real, fake.detach())
        descend(self.optimizers["discriminator"], judged)
        with frozen(self.discriminator):
            losses = {f"adversarial_{self.direction}": least_squares(self.discriminator(fake), 1.0)}
        for (name, source), output in zip(sources.items(), outputs, strict=True):
            losses[name] = self.contrast(source, output, mirrored, random, name)
        nce = config.lambda_nce * (0.5 if config.nce_identity else 1.0)
        weights = {"adversarial": config.lambda_adversarial, "nce": nce, "nce_identity": nce}
        with restarted(self.optimizers["generator"]), restarted(self.optimizers["heads"]):
            found = differentiate(losses, weights)
        return found | {f"discriminator_{target}": judged.detach()}

    def contrast(
        self,
        source: Tensor,
        output: Tensor,
        mirrored: Tensor | None,
        random: Randomness,
        name: str,
    ) -> Tensor:
        """Compare patches of translations with those at the same places of their sources.

        Args:
            source: (batch, channels, height, width).
            output: Their translations, or those of mirrored ones.
            mirrored: Which were mirrored, (batch,); None if none was.
            random: Source of the places.
            name: Of their draws, each followed by the number of the layer.
        """
        config = self.config
        features = self.generator.features(output, config.layers)
        places = [
            draw_patches(each, config.num_patches, random, f"{name}_{number}")
            for number, each in zip(config.layers, features, strict=True)
        ]
        pairs = zip(places, features, strict=True)
        queries = self.heads(features, [mirror_places(*pair, mirrored) for pair in pairs])
        with torch.no_grad():
            keys = self.heads(self.generator.features(source, config.layers), places)
        return mean_nce(queries, keys, config.temperature, config.negatives)

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Apply the generator."""
        return self.generator(batch.images[direction.source])

    @classmethod
    def from_official(cls, path: Path) -> CUT:
        """Read ``latest_net_G.pth``, and ``latest_net_{F,D}.pth`` if they are there.

        Raises:
            ValueError: Naming the first tensors that disagree.
        """
        from i2i_baselines.official.cut import read_cut

        facts, parts = read_cut(path)
        if official.is_named(path, BACKWARDS):
            facts |= {"direction": "b2a"}
        return official.build(cls, cls.Config(**facts), parts)


SMALLER: Mapping[str, dict[str, Any]] = {
    "small": {
        "generator_width": 16,
        "discriminator_width": 16,
        "num_blocks": 5,
        "discriminator_layers": 2,
        "head_width": 64,
        "num_patches": 64,
        "learning_rate": 4e-4,
    },
    "tiny": {
        "generator_width": 4,
        "discriminator_width": 4,
        "num_blocks": 5,
        "head_width": 8,
        "num_patches": 32,
    },
}


class FastCUT(CUT):
    """CUT without identity, with more weight on patches, and equivariant to mirroring."""

    card = ModelCard(
        title="FastCUT",
        authors="Taesung Park, Alexei A. Efros, Richard Zhang, Jun-Yan Zhu",
        venue="ECCV",
        year=2020,
        arxiv="2007.15651",
        licence="authors' code: BSD; this implementation is independent",
        deviations=(
            "As the authors' code, half of the sources are mirrored; what the discriminator sees "
            "of translations stays so.",
            *DEVIATIONS,
        ),
        minimum_size=24,
        samples_interact=True,
    )
    Config = FastCUTConfig
    ablations: ClassVar[Mapping[str, Ablation]] = {}
