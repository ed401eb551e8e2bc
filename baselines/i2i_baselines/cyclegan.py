"""CycleGAN (Zhu et al.: Unpaired Image-to-Image Translation, ICCV 2017, 1703.10593)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from i2i_bench import official
from i2i_bench.blocks.cycle import cycle_gan_settings, cycle_gan_step, two_way
from i2i_bench.blocks.discriminators import PatchDiscriminator
from i2i_bench.blocks.generators import resnet_generator
from i2i_bench.blocks.initialise import init_normal
from i2i_bench.blocks.limits import at_least, check_limits, require_schedule, task_channels
from i2i_bench.blocks.optimise import adam, set_learning_rate
from i2i_bench.blocks.pool import ImagePool
from i2i_bench.blocks.schedules import decay_after
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


@dataclass(frozen=True)
class CycleGANConfig:
    """Configuration of CycleGAN.

    Attributes:
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
        channels: Of the images of domains a and b.
    """

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


class CycleGAN(Model):
    """Two generators, two discriminators, cycle consistency."""

    card = ModelCard(
        title="CycleGAN",
        authors="Jun-Yan Zhu, Taesung Park, Phillip Isola, Alexei A. Efros",
        venue="ICCV",
        year=2017,
        arxiv="1703.10593",
        licence="authors' code: BSD; this implementation is independent",
        deviations=(
            "As the authors' code, not the paper, the identity loss is on for every task.",
            "The learning rate decays by epochs, which here are equal parts of the budget.",
            "Each domain is shuffled on its own; the authors draw the second one with replacement.",
            "Between domains of different channels there is no identity loss, which compares both.",
        ),
        minimum_size=24,
    )
    Config = CycleGANConfig

    def __init__(self, config: CycleGANConfig) -> None:
        self.config = config
        self.generators, self.discriminators = two_way(
            lambda inputs, outputs: resnet_generator(
                config.generator_width, config.num_blocks, inputs=inputs, outputs=outputs
            ),
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

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule (100 + 100 epochs at batch 1), or a smaller one."""
        config = {
            "published": CycleGANConfig(),
            "small": CycleGANConfig(
                generator_width=24,
                discriminator_width=16,
                num_blocks=3,
                discriminator_layers=2,
                learning_rate=4e-4,
            ),
            "tiny": CycleGANConfig(
                generator_width=4, discriminator_width=4, num_blocks=1, pool_size=4
            ),
        }[preset]
        config = replace(config, channels=task_channels(task))
        return cycle_gan_settings(cls.card, preset, task, config)

    @classmethod
    def needs(cls, config: CycleGANConfig) -> Needs:
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

    @classmethod
    def from_official(cls, path: Path) -> CycleGAN:
        """Read ``latest_net_{G,D}_{A,B}.pth``, or ``latest_net_G.pth`` of a single direction.

        Raises:
            ValueError: Naming the first tensors that disagree.
        """
        from i2i_baselines.official.cyclegan import read_cyclegan

        facts, parts = read_cyclegan(path)
        return official.build(cls, CycleGANConfig(**facts), parts)
