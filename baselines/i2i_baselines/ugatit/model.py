"""U-GAT-IT, full and light (Kim, Kim, Kang, Lee, ICLR 2020, 1907.10830)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_baselines.ugatit.networks import Discriminator, Generator, LayerInstanceNorm, minimum_size
from i2i_bench import official
from i2i_bench.blocks.limits import at_least, check_limits, load_size, require_task_size
from i2i_bench.blocks.losses import differentiate, least_squares
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


@dataclass(frozen=True)
class UGATITConfig:
    """Configuration of U-GAT-IT.

    Attributes:
        light: Whether scale and shift come from channel averages, not from the whole feature map.
        image_size: Side in pixels of the images; only the full model depends on it.
        generator_width: Channels of the generator's first layer.
        discriminator_width: Channels of the discriminators' first layer; they double every layer.
        num_blocks: Residual blocks of the encoder, and as many adaptive ones after it.
        global_layers: Layers of the global discriminator, at least 3; all but two have stride 2.
        local_layers: The same for the local one.
        lambda_cycle: Weight of the cycle loss.
        lambda_identity: Weight of the identity loss.
        lambda_cam: Weight of the generators' classification of domains.
        learning_rate: Adam's learning rate in the first half of the run.
        beta1: Adam's decay of the first moment; the second's is 0.999.
        weight_decay: Adam's L2 penalty, on every parameter.
    """

    light: bool = False
    image_size: int = at_least(8, 256)
    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    num_blocks: int = at_least(0, 4)
    global_layers: int = at_least(3, 7)
    local_layers: int = at_least(3, 5)
    lambda_cycle: float = at_least(0, 10.0)
    lambda_identity: float = at_least(0, 10.0)
    lambda_cam: float = at_least(0, 1000.0)
    learning_rate: float = 1e-4
    beta1: float = 0.5
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        check_limits(self)

    @property
    def minimum_size(self) -> int:
        """Smallest image side in pixels that both discriminators take."""
        return minimum_size(max(self.global_layers, self.local_layers))


class UGATIT(Model):
    """Attention by class activation maps, and normalisation that adapts to the image."""

    card = ModelCard(
        title="U-GAT-IT",
        authors="Junho Kim, Minjae Kim, Hyeonwoo Kang, Kwang Hee Lee",
        venue="ICLR",
        year=2020,
        arxiv="1907.10830",
        licence="authors' code: MIT; this implementation is independent",
        deviations=(
            "As the authors' PyTorch code; the paper's numbers come from their TensorFlow code, "
            "which differs in biases, normalisation, initialisation, class activation maps and "
            "order of the data, so they need not be reached.",
            "As the authors' PyTorch code, weights start from PyTorch's default; the paper has "
            "N(0, 0.02^2).",
            "As the authors' PyTorch code, a discriminator weighs features by its classifiers' raw "
            "weights, not by the spectrally normalised ones.",
            "As the authors' PyTorch code, variances are unbiased, and weight decay is on every "
            "parameter, biases and rho included.",
            "The discriminators' step and the generators' share fakes; the authors make the same "
            "ones twice.",
            "The presets small and tiny have shallower discriminators: the authors' need 96 px; "
            "small weighs cycle, identity and classification alike, at 100.",
        ),
        minimum_size=96,
    )
    Config = UGATITConfig
    light: ClassVar[bool] = False

    def __init__(self, config: UGATITConfig) -> None:
        self.config = config
        image_size = None if config.light else config.image_size
        shape = config.generator_width, config.num_blocks, image_size
        self.generators = nn.ModuleDict({str(d): Generator(*shape) for d in (A2B, B2A)})
        depths = {"global": config.global_layers, "local": config.local_layers}
        self.discriminators = nn.ModuleDict(
            {
                domain: nn.ModuleDict(
                    {n: Discriminator(config.discriminator_width, d) for n, d in depths.items()}
                )
                for domain in ("a", "b")
            }
        )
        self.networks = nn.ModuleDict(
            {"generators": self.generators, "discriminators": self.discriminators}
        )
        self.optimizers = adam(
            self.networks, config.learning_rate, config.beta1, config.weight_decay
        )
        self.state = {}

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule (1,000,000 images at batch 1), or a smaller one."""
        if preset == "published":
            batch_size, budget, size = 1, 1_000_000, task.image_size
            config = UGATITConfig(light=cls.light, image_size=size)
        elif preset == "small":
            batch_size, budget, size = 8, 8_000, min(task.image_size, 64)
            config = UGATITConfig(
                light=cls.light,
                image_size=size,
                generator_width=16,
                discriminator_width=16,
                num_blocks=2,
                global_layers=5,
                local_layers=3,
                lambda_cycle=100.0,  # at the published weights, four adversarial terms drown the
                lambda_identity=100.0,  # others in so few steps
                lambda_cam=100.0,
                learning_rate=6e-4,
            )
        else:
            batch_size, budget, size = 2, 8, min(task.image_size, 32)
            config = UGATITConfig(
                light=cls.light,
                image_size=size,
                generator_width=4,
                discriminator_width=4,
                num_blocks=1,
                global_layers=4,
                local_layers=3,
            )
        require_task_size(task, config.minimum_size, f"{cls.card.title}, {preset},")
        loaded = load_size(task, size)
        return Settings(config, batch_size, budget, loaded, size, "bilinear")

    @classmethod
    def needs(cls, config: UGATITConfig) -> Needs:
        """Ask for sides that can be halved twice."""
        del config
        return Needs(multiple=4)

    def advance(self, clock: Clock) -> None:
        """Decay the learning rate to 0 over the second half of the steps."""
        half = max(1, clock.total_steps // 2)
        factor = max(0.0, 1 - max(0, clock.step - half) / half)
        set_learning_rate(self.optimizers, self.config.learning_rate * factor)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update the discriminators, then the generators on the fakes that those were shown.

        Gradients of the generators add up: those of the identity passes come first, as they need no
        discriminator, and those of each direction after the discriminators' step. So what is kept
        at the peak are both translations and one reconstruction, half of all passes.
        """
        del random
        config, real = self.config, batch.images
        weights = {
            "adversarial": 1.0,
            "cycle": config.lambda_cycle,
            "identity": config.lambda_identity,
            "cam": config.lambda_cam,
        }
        with restarted(self.optimizers["generators"]):
            losses = self._identity_losses(real, weights)
            made = {d: self.generators[str(d)](real[d.source]) for d in (A2B, B2A)}
            judged = self._discriminator_losses(real, {d.target: f for d, (f, _) in made.items()})
            total = torch.stack(list(judged.values())).sum()
            descend(self.optimizers["discriminators"], total)
            with frozen(self.discriminators):
                for direction, (fake, logits) in made.items():
                    some = self._direction_losses(real, fake, logits, direction)
                    for name, value in differentiate(some, weights).items():
                        losses[name] = losses[name] + value if name in losses else value
        with torch.no_grad():
            for module in self.generators.modules():
                if isinstance(module, LayerInstanceNorm):
                    module.rho.clamp_(0, 1)
        return losses | {name: value.detach() for name, value in judged.items()}

    def _identity_losses(
        self, real: Mapping[str, Tensor], weights: Mapping[str, float]
    ) -> dict[str, Tensor]:
        """Differentiate the identity losses, and the classifications of their images."""
        losses = {}
        for direction in (A2B, B2A):
            target = direction.target
            same, logits = self.generators[str(direction)](real[target])
            some = {
                f"identity_{target}": F.l1_loss(same, real[target]),
                f"cam_{direction}": classification_loss(logits, 0.0),
            }
            losses |= differentiate(some, weights)
        return losses

    def _discriminator_losses(
        self, real: Mapping[str, Tensor], fake: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Sum LSGAN's terms over discriminators and outputs, by domain."""
        losses = {}
        for domain, judges in self.discriminators.items():
            # two calls, as each takes a step of the power iteration
            of_real = adversarial_loss(judges, real[domain], 1.0)
            of_fake = adversarial_loss(judges, fake[domain].detach(), 0.0)
            losses[f"discriminator_{domain}"] = of_real + of_fake
        return losses

    def _direction_losses(
        self, real: Mapping[str, Tensor], fake: Tensor, logits: Tensor, direction: Direction
    ) -> dict[str, Tensor]:
        """Compute the losses of one direction's translation, given with its domain logits."""
        reconstructed, _ = self.generators[str(direction.reverse)](fake)
        judges = self.discriminators[direction.target]
        return {
            f"cam_{direction}": classification_loss(logits, 1.0),
            f"adversarial_{direction}": adversarial_loss(judges, fake, 1.0),
            f"cycle_{direction.source}": F.l1_loss(reconstructed, real[direction.source]),
        }

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Apply the generator of this direction."""
        return self.generators[str(direction)](batch.images[direction.source])[0]

    @classmethod
    def from_official(cls, path: Path) -> UGATIT:
        """Read ``<dataset>_params_latest.pt``, or else the last ``<dataset>_params_%07d.pt``.

        Raises:
            ValueError: For a TensorFlow checkpoint, or naming the first tensors that disagree.
        """
        from i2i_baselines.official.ugatit import read_ugatit

        facts, parts = read_ugatit(path)
        if facts["light"] != cls.light:
            found = "light" if facts["light"] else "full"
            raise ValueError(f"{path} holds the {found} model, which is not {cls.card.title}")
        return official.build(cls, UGATITConfig(**facts), parts)


class UGATITLight(UGATIT):
    """U-GAT-IT whose scale and shift come from channel averages."""

    card = dataclasses.replace(UGATIT.card, title="U-GAT-IT light")
    light = True


def classification_loss(logits: Tensor, target: float) -> Tensor:
    """Give the cross entropy of domain logits to 1, to be translated, or 0, to be kept."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def adversarial_loss(discriminators: nn.Module, images: Tensor, target: float) -> Tensor:
    """Sum the distances of all logits from a constant; each discriminator is called once."""
    outputs = [logits for network in discriminators.children() for logits in network(images)]
    return torch.stack([least_squares(logits, target) for logits in outputs]).sum()
