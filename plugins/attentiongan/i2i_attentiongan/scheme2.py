"""AttentionGAN, Scheme II (Tang et al.: Attention-Guided GANs, IEEE TNNLS 2021, 1911.11897)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from i2i_attentiongan.networks import AttentionGenerator
from i2i_bench import official
from i2i_bench.blocks.cycle import cycle_gan_settings, cycle_gan_step, two_way
from i2i_bench.blocks.discriminators import PatchDiscriminator
from i2i_bench.blocks.initialise import init_normal
from i2i_bench.blocks.limits import (
    at_least,
    check_limits,
    load_size,
    require_schedule,
    require_task_size,
    task_channels,
)
from i2i_bench.blocks.optimise import adam, set_learning_rate
from i2i_bench.blocks.pool import ImagePool
from i2i_bench.blocks.schedules import decay_after
from i2i_bench.model import (
    Ablation,
    Batch,
    Clock,
    Direction,
    Masks,
    Model,
    ModelCard,
    Needs,
    Preset,
    Settings,
    TaskFacts,
    Variation,
)
from i2i_bench.randomness import Randomness


@dataclass(frozen=True)
class AttentionGANConfig:
    """Configuration of AttentionGAN, Scheme II.

    Attributes:
        num_masks: Attention masks n >= 1, the background's included; n = 1 is the identity.
        background: ``input``: the last mask copies the input; ``generated``: it has a content too
            (the authors' geometric variant).
        upsampling: How decoders double their sides: ``transposed`` convolutions (the authors'), or
            ``bilinear`` interpolation before a convolution.
        generator_width: Channels of the generator's first layer.
        discriminator_width: Channels of the discriminator's first layer.
        num_blocks: Residual blocks of the generator.
        discriminator_layers: Layers of stride 2 of the discriminator; 3 see patches of 70x70 px.
        lambda_cycle: Weight of the cycle loss.
        lambda_identity: Weight of the identity loss; the authors write 0.5 times lambda_cycle.
        learning_rate: Adam's learning rate before the decay.
        beta1: Adam's decay of the first moment; the second's is 0.999.
        constant_epochs: Epochs at the full learning rate; with decay_epochs they divide the budget.
        decay_epochs: Epochs over which it falls linearly.
        pool_size: Fakes remembered for each discriminator.
        channels: Of the images of domains a and b; different ones need a generated background.
    """

    num_masks: int = at_least(1, 10)
    background: Literal["input", "generated"] = "input"
    upsampling: Literal["transposed", "bilinear"] = "transposed"
    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    num_blocks: int = at_least(0, 9)
    discriminator_layers: int = at_least(1, 3)
    lambda_cycle: float = at_least(0, 10.0)
    lambda_identity: float = at_least(0, 5.0)
    learning_rate: float = 2e-4
    beta1: float = 0.5
    constant_epochs: int = 100
    decay_epochs: int = 100
    pool_size: int = at_least(0, 50)
    channels: tuple[int, ...] = (3, 3)

    def __post_init__(self) -> None:
        require_schedule(self.constant_epochs, self.decay_epochs)
        check_limits(self)
        if self.background not in ("input", "generated"):
            raise ValueError(f"background is {self.background!r}; possible: input, generated")
        if self.upsampling not in ("transposed", "bilinear"):
            raise ValueError(f"upsampling is {self.upsampling!r}; possible: transposed, bilinear")


ABLATIONS = {
    "masks": Ablation(
        "Number of attention masks, the background's included",
        "masks",
        tuple(Variation(str(n), {"num_masks": str(n)}) for n in (1, 2, 4, 6, 8, 10)),
    ),
    "background": Ablation(
        "What stands behind the foreground: the input, or a content as in the geometric variant",
        "background",
        tuple(Variation(kind, {"background": kind}) for kind in ("input", "generated")),
    ),
    "upsampling": Ablation(
        "How decoders double their sides: transposed convolutions leave a pattern of 4x4 px, which "
        "attention takes for where to copy",
        "upsampling",
        tuple(Variation(kind, {"upsampling": kind}) for kind in ("transposed", "bilinear")),
    ),
    "losses": Ablation(
        "Scheme II with and without identity and cycle loss",
        "loss",
        (
            Variation("full", {}),
            Variation("no identity", {"lambda_identity": "0"}),
            Variation("no cycle", {"lambda_cycle": "0"}),
            Variation("neither", {"lambda_identity": "0", "lambda_cycle": "0"}),
        ),
    ),
    "schemes": Ablation(
        "Scheme I (one mask, one content) against Scheme II",
        "scheme",
        (Variation("I", {}, "attentiongan-v1"), Variation("II", {})),
    ),
}


class AttentionGAN(Model):
    """CycleGAN's training of generators that copy what need not change."""

    card = ModelCard(
        title="AttentionGAN",
        authors="Hao Tang, Hong Liu, Dan Xu, Philip H. S. Torr, Nicu Sebe",
        venue="IEEE TNNLS",
        year=2021,
        arxiv="1911.11897",
        licence="authors' code: CC BY-NC-SA 4.0; this implementation is independent",
        deviations=(
            "As the authors' code, discriminators are not attention-guided; the papers' are.",
            "As the authors' code, the identity weight is 0.5 times the cycle weight, that is 5.",
            "As the authors' code, no total variation and no pixel loss; Scheme I has both.",
            "As the authors' code, attention comes from a 1x1 and content from a 7x7 convolution.",
            "As the authors' released model, selfie2anime has a generated background.",
            "Where the authors give no schedule for a task, it is 100 + 100 epochs at batch 4.",
            "The learning rate decays by epochs, which here are equal parts of the budget.",
            "Each domain is shuffled on its own; the authors draw the second one with replacement.",
            "Between domains of different channels the background is generated, as there is no "
            "input to copy, and there is no identity loss, which compares both.",
        ),
        minimum_size=24,
    )
    Config = AttentionGANConfig
    ablations = ABLATIONS

    def __init__(self, config: AttentionGANConfig) -> None:
        if config.background == "input" and len(set(config.channels)) > 1:
            counts = " and ".join(map(str, config.channels))
            raise ValueError(
                f"between images of {counts} channels there is no input to copy; "
                "add --set background=generated"
            )
        self.config = config
        self.generators, self.discriminators = two_way(
            self._generator,
            lambda inputs: PatchDiscriminator(
                config.discriminator_width, config.discriminator_layers, inputs=inputs
            ),
            config.channels,
        )
        self.networks = nn.ModuleDict(
            {"generators": self.generators, "discriminators": self.discriminators}
        )
        init_normal(self.networks)
        self.optimizers = adam(self.networks, config.learning_rate, config.beta1)
        self.pools = {domain: ImagePool(config.pool_size) for domain in ("a", "b")}
        self.state = {f"pool_{domain}": pool for domain, pool in self.pools.items()}

    def _generator(self, inputs: int, outputs: int) -> AttentionGenerator:
        copies_input = self.config.background == "input"
        generator = AttentionGenerator(
            self.config.generator_width,
            self.config.num_blocks,
            num_masks=self.config.num_masks,
            copies_input=copies_input,
            channels=(inputs, outputs),
            interpolates=self.config.upsampling == "bilinear",
        )
        if self.config.num_masks == 1:  # a softmax over one mask is 1, whatever precedes it
            generator.attention.requires_grad_(False)
            generator.encoder.requires_grad_(not copies_input)
        return generator

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule for horse2zebra and selfie2anime, or a smaller one."""
        if preset == "published":
            require_task_size(task, cls.card.minimum_size, cls.card.title)
            return cls._published(task)
        if preset == "small":
            config = AttentionGANConfig(
                num_masks=4,
                generator_width=24,
                discriminator_width=16,
                num_blocks=3,
                discriminator_layers=2,
                learning_rate=8e-4,
            )
            if task.kind != "embedded":  # photographs (docs/findings.md): else it copies its source
                config = dataclasses.replace(
                    config, background="generated", upsampling="bilinear", learning_rate=4e-4
                )
        else:
            config = AttentionGANConfig(
                num_masks=3, generator_width=4, discriminator_width=4, num_blocks=1, pool_size=4
            )
        config = dataclasses.replace(config, channels=task_channels(task))
        return cycle_gan_settings(cls.card, preset, task, config)

    @classmethod
    def _published(cls, task: TaskFacts) -> Settings:
        config = AttentionGANConfig()
        if task.name == "horse2zebra":  # scripts/train_attentiongan.sh: no decay
            config = AttentionGANConfig(constant_epochs=60, decay_epochs=0)
        elif task.name == "selfie2anime":  # README: the geometric files
            config = AttentionGANConfig(background="generated")
        config = dataclasses.replace(config, channels=task_channels(task))
        epochs = config.constant_epochs + config.decay_epochs
        budget, size = epochs * max(task.num_train.values()), task.image_size
        return Settings(config, 4, budget, load_size(task, size), size)

    @classmethod
    def needs(cls, config: AttentionGANConfig) -> Needs:
        """Ask for sides that can be halved twice."""
        del config
        return Needs(multiple=4)

    def advance(self, clock: Clock) -> None:
        """Decay the learning rate by epochs."""
        constant, decay = self.config.constant_epochs, self.config.decay_epochs
        factor = decay_after(clock.epoch(constant + decay), constant, decay)
        set_learning_rate(self.optimizers, self.config.learning_rate * factor)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update both generators, then both discriminators on the fakes made before that."""
        weights = {
            "adversarial": 1.0,
            "cycle": self.config.lambda_cycle,
            "identity": self.config.lambda_identity,
        }
        return cycle_gan_step(
            self.networks, self.optimizers, self.pools, batch.images, random, weights
        )

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Apply the generator of this direction."""
        return self.generators[str(direction)](batch.images[direction.source])

    def masks(self, batch: Batch, direction: Direction, random: Randomness) -> Masks:
        """Give the n attention masks and their contents; the last mask may copy the input."""
        generator = self.generators[str(direction)]
        assert isinstance(generator, AttentionGenerator)
        content, attention = generator.layers(batch.images[direction.source])
        background = self.config.num_masks - 1 if generator.copies_input else None
        return Masks(attention, content, background)

    @classmethod
    def from_official(cls, path: Path) -> AttentionGAN:
        """Read ``latest_net_{G,D}_{A,B}.pth``, or ``latest_net_G.pth`` of a single direction.

        Raises:
            ValueError: Naming the first tensors that disagree.
        """
        files = {name: rename(state) for name, state in official.read_pair(path).items()}
        config = infer_config(files)
        generator = official_stems(config)
        judge = official.patch_discriminator_stems(config.discriminator_layers)
        parts = [
            (state, official.below(name, generator if "gen" in name else judge))
            for name, state in files.items()
        ]
        return official.build(cls, config, parts)


def rename(state: official.StateDict) -> official.StateDict:
    """Turn the older ``resnet_blocks1.`` and so on into ``resnet_blocks.0.`` and so on."""

    def newer(match: re.Match[str]) -> str:
        return f"resnet_blocks.{int(match[1]) - 1}."

    older = r"^resnet_blocks([0-9]{1,4})\."
    tensors = {re.sub(older, newer, name): tensor for name, tensor in state.tensors.items()}
    return dataclasses.replace(state, tensors=tensors)


def infer_config(files: Mapping[str, official.StateDict]) -> AttentionGANConfig:
    """Read the configuration off the shapes of official networks.

    Raises:
        ValueError: If the tensors are not those of Scheme II.
    """
    generator = next(state for name, state in files.items() if name.startswith("generators."))
    num_masks = generator.shape("deconv3_attention.weight", 4)[0]
    channels = generator.shape("deconv3_content.weight", 4)[0]
    if channels not in (3 * num_masks, 3 * (num_masks - 1)):
        raise ValueError(
            f"{generator.source} has deconv3_content of {channels} channels; with {num_masks} masks"
            f" {3 * (num_masks - 1)} (copied background) or {3 * num_masks} (generated) are "
            "possible"
        )
    judge: dict[str, Any] = official.patch_discriminator(files)
    return AttentionGANConfig(
        num_masks=num_masks,
        background="generated" if channels == 3 * num_masks else "input",
        generator_width=generator.shape("conv1.weight", 4)[0],
        num_blocks=generator.count(r"resnet_blocks\.(\d+)\."),
        **judge,
    )


def official_stems(config: AttentionGANConfig) -> official.ModuleNames:
    """Pair our convolutions with the authors' names."""
    stems = [("encoder.stem.conv", "conv1")]
    stems += [(f"encoder.down.{i}.conv", f"conv{i + 2}") for i in range(2)]
    for i in range(config.num_blocks):
        stems.append((f"encoder.blocks.{i}.first.conv", f"resnet_blocks.{i}.conv1"))
        stems.append((f"encoder.blocks.{i}.second.conv", f"resnet_blocks.{i}.conv2"))
    for name, head in (("content", "content.2.conv"), ("attention", "attention.2")):
        stems += [(f"{name}.{i}.conv", f"deconv{i + 1}_{name}") for i in range(2)]
        stems.append((head, f"deconv3_{name}"))
    return stems
