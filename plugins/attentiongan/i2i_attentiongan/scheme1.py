"""AttentionGAN, Scheme I (Tang et al.: Attention-Guided GANs for Unsupervised I2I, IJCNN 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_attentiongan.networks import ScalarDiscriminator, SingleMaskGenerator, minimum_scalar_size
from i2i_bench.blocks.cycle import two_way
from i2i_bench.blocks.limits import at_least, check_limits, require_schedule, require_task_size
from i2i_bench.blocks.losses import least_squares, weighted_sum
from i2i_bench.blocks.optimise import adam, descend, frozen, set_learning_rate
from i2i_bench.blocks.pool import ImagePool
from i2i_bench.model import (
    A2B,
    B2A,
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
from i2i_bench.official import ModuleNames, StateDict, below, build, read_state_dict
from i2i_bench.randomness import Randomness


@dataclass(frozen=True)
class AttentionGANv1Config:
    """Configuration of AttentionGAN, Scheme I.

    Attributes:
        generator_width: Channels of the generator's first layer.
        discriminator_width: Channels of the discriminator's first layer.
        num_blocks: Residual blocks of the generator.
        discriminator_layers: Layers of stride 2 of the discriminator; 4 need images of 94 px.
        lambda_cycle: Weight of the cycle loss.
        lambda_pixel: Weight of the pixel loss, between a translation and its source.
        lambda_total_variation: Weight of the mask's total variation, a sum over pixels.
        lambda_identity: Weight of the identity loss; its passes run at weight 0 too, as they move
            the statistics of batch normalisation.
        curriculum_epochs: Epochs under curriculum_rate.
        curriculum_rate: Share of cycle and pixel loss against the other terms in the first epochs.
        rate: The same share afterwards.
        learning_rate: Adam's learning rate before the decay.
        beta1: Adam's decay of the first moment; the second's is 0.999.
        constant_epochs: Epochs at the full learning rate; with decay_epochs they divide the budget.
        decay_epochs: Epochs over which it falls linearly.
        pool_size: Fakes remembered for each discriminator.
    """

    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    num_blocks: int = at_least(0, 6)
    discriminator_layers: int = at_least(1, 4)
    lambda_cycle: float = at_least(0, 10.0)
    lambda_pixel: float = at_least(0, 1.0)
    lambda_total_variation: float = at_least(0, 1e-6)
    lambda_identity: float = at_least(0, 0.0)
    curriculum_epochs: int = at_least(0, 10)
    curriculum_rate: float = at_least(0, 0.01)
    rate: float = at_least(0, 0.5)
    learning_rate: float = 1e-4
    beta1: float = 0.5
    constant_epochs: int = 100
    decay_epochs: int = 100
    pool_size: int = at_least(0, 50)

    def __post_init__(self) -> None:
        require_schedule(self.constant_epochs, self.decay_epochs)
        check_limits(self)
        for name in ("curriculum_rate", "rate"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is {getattr(self, name)}; a share is 1 at most")


_NO_PIXEL, _NO_VARIATION = {"lambda_pixel": "0"}, {"lambda_total_variation": "0"}
ABLATIONS = {
    "losses": Ablation(
        "Scheme I with and without identity, cycle, pixel and total variation loss",
        "loss",
        (
            Variation("full", {}),
            Variation("with identity", {"lambda_identity": "5"}),  # half of the cycle's, as II
            Variation("no cycle", {"lambda_cycle": "0"}),
            Variation("no pixel", _NO_PIXEL),
            Variation("no total variation", _NO_VARIATION),
            Variation("neither of these two", _NO_PIXEL | _NO_VARIATION),
        ),
    ),
}


class AttentionGANv1(Model):
    """One mask, one unbounded content, batch normalisation and a curriculum of loss weights."""

    card = ModelCard(
        title="AttentionGAN (Scheme I)",
        authors="Hao Tang, Dan Xu, Nicu Sebe, Yan Yan",
        venue="IJCNN",
        year=2019,
        arxiv="1903.12296",
        licence="authors' code: CC BY-NC-SA 4.0; this implementation is independent",
        deviations=(
            "As the authors' code, not the paper: 6 residual blocks, batch normalisation, pixel "
            "shuffle, one logit an image, a curriculum over the first 10 epochs.",
            "As the authors' code, discriminators are not attention-guided; the paper's are.",
            "As the authors' code, the content is unbounded; translations are clipped to [-1, 1].",
            "The learning rate decays by epochs, which here are equal parts of the budget.",
            "Each domain is shuffled on its own; the authors draw the second one with replacement.",
            "The presets small and tiny have a shallower discriminator: the authors' needs 94 px; "
            "small has a longer curriculum, and a rate of 0.1 after it.",
        ),
        minimum_size=96,
        samples_interact=True,
    )
    Config = AttentionGANv1Config
    ablations = ABLATIONS

    def __init__(self, config: AttentionGANv1Config) -> None:
        self.config = config
        self.rate = config.curriculum_rate
        self.generators, self.discriminators = two_way(
            lambda *_: SingleMaskGenerator(config.generator_width, config.num_blocks),
            lambda _: ScalarDiscriminator(config.discriminator_width, config.discriminator_layers),
        )
        self.networks = nn.ModuleDict(
            {"generators": self.generators, "discriminators": self.discriminators}
        )
        init_scheme1(self.networks)
        self.optimizers = adam(self.networks, config.learning_rate, config.beta1)
        self.pools = {domain: ImagePool(config.pool_size) for domain in ("a", "b")}
        self.state = {f"pool_{domain}": pool for domain, pool in self.pools.items()}

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule (100 + 100 epochs, batch 1, flips only), or a smaller one."""
        if preset == "published":
            require_task_size(task, cls.card.minimum_size, cls.card.title)
            size, budget = task.image_size, 200 * max(task.num_train.values())
            return Settings(AttentionGANv1Config(), 1, budget, size, size)
        require_task_size(task, minimum_scalar_size(2), f"{cls.card.title}, {preset},")
        if preset == "small":
            size = min(task.image_size, 64)
            config = AttentionGANv1Config(
                generator_width=16,
                discriminator_width=32,
                num_blocks=3,
                discriminator_layers=2,
                curriculum_epochs=80,  # the published 10 and 0.5 make the mask copy everything,
                rate=0.1,  # as the cycle and pixel losses outweigh the adversarial one too early
                learning_rate=4e-4,
            )
            return Settings(config, 8, 6_000, size, size)
        size = min(task.image_size, 32)
        config = AttentionGANv1Config(
            generator_width=4,
            discriminator_width=4,
            num_blocks=1,
            discriminator_layers=2,
            pool_size=4,
        )
        return Settings(config, 2, 8, size, size)

    @classmethod
    def needs(cls, config: AttentionGANv1Config) -> Needs:
        """Ask for sides that can be halved twice."""
        del config
        return Needs(multiple=4)

    def advance(self, clock: Clock) -> None:
        """Set the share of the losses and decay the learning rate, both by epochs."""
        config = self.config
        epoch = clock.epoch(config.constant_epochs + config.decay_epochs)
        self.rate = config.curriculum_rate if epoch < config.curriculum_epochs else config.rate
        past = max(0, epoch - config.constant_epochs)
        factor = 1 - past / config.decay_epochs if config.decay_epochs else 1.0
        set_learning_rate(self.optimizers, config.learning_rate * factor)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update both generators, then both discriminators on the fakes made before that."""
        real = batch.images
        with frozen(self.discriminators):
            losses, fake = self._generator_losses(real)
            total = weighted_sum(losses, self._weights())
            descend(self.optimizers["generators"], total)
        for domain, judge in self.discriminators.items():
            of_real = least_squares(judge(real[domain]), 1.0)
            shown = self.pools[domain].query(fake[domain].detach(), random, f"pool_{domain}")
            of_fake = least_squares(judge(shown), 0.0)
            losses[f"discriminator_{domain}"] = 0.25 * (of_real + of_fake)
        both = losses["discriminator_a"] + losses["discriminator_b"]
        descend(self.optimizers["discriminators"], both)
        return {name: value.detach() for name, value in losses.items()}

    def _generator_losses(
        self, real: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Compute every generator loss; each pass is its own, for batch normalisation's sake."""
        losses, fake = {}, {}
        for direction in (A2B, B2A):
            target = real[direction.target]
            with torch.set_grad_enabled(self.config.lambda_identity > 0):
                same = self.generators[str(direction)](target)
                losses[f"identity_{direction.target}"] = F.l1_loss(same, target)
        for direction in (A2B, B2A):
            source, name = real[direction.source], str(direction)
            generator = self.generators[name]
            assert isinstance(generator, SingleMaskGenerator)
            content, mask = generator.layers(source)
            fake[direction.target] = translated = content * mask + source * (1 - mask)
            judged = self.discriminators[direction.target](translated)
            reconstructed = self.generators[str(direction.reverse)](translated)
            losses[f"adversarial_{name}"] = least_squares(judged, 1.0)
            losses[f"pixel_{name}"] = F.l1_loss(translated, source)
            losses[f"total_variation_{name}"] = total_variation(mask)
            losses[f"cycle_{direction.source}"] = F.l1_loss(reconstructed, source)
        return losses, fake

    def _weights(self) -> dict[str, float]:
        """Give each term's weight under the present share of the losses."""
        config, rate = self.config, self.rate
        return {
            "adversarial": 0.5 * (1 - rate),
            "total_variation": config.lambda_total_variation * (1 - rate),
            "cycle": config.lambda_cycle * rate,
            "pixel": config.lambda_pixel * rate,
            "identity": config.lambda_identity * rate,
        }

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Apply the generator of this direction and clip its unbounded result to [-1, 1]."""
        return self.generators[str(direction)](batch.images[direction.source]).clamp(-1, 1)

    def masks(self, batch: Batch, direction: Direction, random: Randomness) -> Masks:
        """Give the foreground mask and the copied background's, and the one content."""
        generator = self.generators[str(direction)]
        assert isinstance(generator, SingleMaskGenerator)
        content, mask = generator.layers(batch.images[direction.source])
        return Masks(torch.cat([mask, 1 - mask], dim=1), content.clamp(-1, 1).unsqueeze(1), 1)

    @classmethod
    def from_official(cls, path: Path) -> AttentionGANv1:
        """Read ``net{G_A2B,G_B2A,D_A,D_B}.pth``, or one generator of them.

        Raises:
            ValueError: Naming the first tensors that disagree.
        """
        found = [path] if path.is_file() else [path / f"net{name}.pth" for name in NETWORKS]
        names = {file.stem.removeprefix("net"): file for file in found if file.is_file()}
        files = {name: read_state_dict(names[name]) for name in NETWORKS if name in names}
        if not files.keys() & {"G_A2B", "G_B2A"}:
            raise ValueError(f"{path} holds no generator: netG_A2B.pth or netG_B2A.pth is needed")
        config = infer_config(files)
        stems = {"G": generator_stems(config), "D": judge_stems(config)}
        parts = [(state, below(NETWORKS[name], stems[name[0]])) for name, state in files.items()]
        return build(cls, config, parts)


NETWORKS = {
    "G_A2B": "generators.a2b",
    "G_B2A": "generators.b2a",
    "D_A": "discriminators.a",
    "D_B": "discriminators.b",
}


def total_variation(mask: Tensor) -> Tensor:
    """Sum absolute differences of neighbours; as the authors', over the mask repeated to RGB."""
    down = (mask[:, :, 1:] - mask[:, :, :-1]).abs().sum()
    right = (mask[:, :, :, 1:] - mask[:, :, :, :-1]).abs().sum()
    return 3 * (down + right)


def init_scheme1(network: nn.Module) -> None:
    """Draw convolution weights from N(0, 0.02^2) and batch normalisation's from N(1, 0.02^2).

    Unlike Scheme II, the biases of convolutions keep PyTorch's uniform default.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)


def infer_config(files: Mapping[str, StateDict]) -> AttentionGANv1Config:
    """Read the configuration off the shapes of official networks.

    Raises:
        ValueError: If the tensors are not those of Scheme I.
    """
    generator = next(state for name, state in files.items() if name.startswith("G_"))
    generator.shape("model.2.running_mean", 1)  # batch normalisation, which no other scheme has
    shape = {
        "generator_width": generator.shape("model.1.weight", 4)[0],
        "num_blocks": generator.count(r"model\.(\d+)\.conv_block\."),
    }
    judges = [state for name, state in files.items() if name.startswith("D_")]
    if judges:
        shape["discriminator_width"] = judges[0].shape("conv_tower.0.weight", 4)[0]
        shape["discriminator_layers"] = sum(t.ndim == 4 for t in judges[0].tensors.values()) - 2
    return AttentionGANv1Config(**shape)


def generator_stems(config: AttentionGANv1Config) -> ModuleNames:
    """Pair our generator's modules with the authors' positions in their ``model`` sequence."""
    pairs = [("encoder.stem", 1), ("encoder.down.0", 4), ("encoder.down.1", 7)]
    stems = [
        (f"{ours}.{part}", f"model.{position + shift}")
        for ours, position in pairs
        for shift, part in enumerate(("conv", "norm"))
    ]
    for i in range(config.num_blocks):
        for half, position in (("first", 1), ("second", 5)):
            ours, official = f"encoder.blocks.{i}.{half}", f"model.{10 + i}.conv_block"
            stems += [(f"{ours}.conv", f"{official}.{position}")]
            stems += [(f"{ours}.norm", f"{official}.{position + 1}")]
    start = 11 + config.num_blocks
    for i, position in enumerate((start, start + 8)):
        parts = {"first.conv": 0, "first.norm": 1, "expand": 3, "norm": 5}
        stems += [(f"decoder.{i}.{part}", f"model.{position + p}") for part, p in parts.items()]
    return [*stems, ("decoder.2.conv", f"model.{start + 16}")]


def judge_stems(config: AttentionGANv1Config) -> ModuleNames:
    """Pair our discriminator's modules with the authors' positions in ``conv_tower``."""
    parameters = {0, 1}  # convolution and batch normalisation of each triple
    tower = [3 * i + p for i in range(config.discriminator_layers) for p in sorted(parameters)]
    last = 3 * config.discriminator_layers
    return [(f"layers.{i}", f"conv_tower.{i}") for i in (*tower, last, last + 3)]
