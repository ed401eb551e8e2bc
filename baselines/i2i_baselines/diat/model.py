"""DIAT (Li et al.: Deep Identity-aware Transfer of Facial Attributes, 2016, 1610.05586)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_baselines.diat.card import CARD, LOSSES
from i2i_baselines.diat.config import ABLATIONS, RING, SMALLER, DIATConfig
from i2i_baselines.diat.networks import (
    FACE_WEIGHTS,
    Denoiser,
    FaceFeatures,
    make_critic,
    make_mask,
    make_transform,
)
from i2i_baselines.diat.steps import (
    Rise,
    four_batches,
    half_squares,
    make_optimizers,
    moving_tensors,
    only_where,
)
from i2i_bench.blocks.initialise import init_caffe
from i2i_bench.blocks.limits import require_task_size, task_channels
from i2i_bench.blocks.losses import wasserstein
from i2i_bench.blocks.optimise import descend, frozen, restarted, set_learning_rate
from i2i_bench.blocks.unet import fitting_levels
from i2i_bench.model import (
    A2B,
    B2A,
    Batch,
    Clock,
    Direction,
    Masks,
    Model,
    Needs,
    Preset,
    Settings,
    TaskFacts,
)
from i2i_bench.randomness import Randomness

ROUNDS = 2000  # published; a choice of the suite
PUBLISHED_SIDE = 128
LEAST_SIDE = 16  # px, of small and tiny
PLAIN_STEPS = 2  # of the transfer, before gradients are brought to a sum
STEEP = 1.0  # rise of the critic's values within a round, after which the next one stays plain
FEATURE_WEIGHT = 0.1  # in the network's description; it only tells when features are the same
SMALLEST_SUM = 1e-6  # of gradients at features, below which it counts as 1


class DIAT(Model):
    """A transform network behind a mask, a critic, an auxiliary network back, and a denoiser."""

    card = CARD
    Config = DIATConfig
    ablations = ABLATIONS
    losses = LOSSES

    def __init__(self, config: DIATConfig) -> None:
        self.config = config
        self.direction = A2B if config.direction == "a2b" else B2A
        self.directions = (self.direction,)
        self.transform = make_transform(config, squashes=True)
        self.auxiliary = make_transform(config, squashes=False)
        self.critic = make_critic(config)
        self.denoiser = Denoiser(config.denoiser_width, config.channels[0])
        self.transfer = nn.ModuleDict({"transform": self.transform})
        if config.masked:
            self.transfer["mask"] = self.mask = make_mask(config)
        self.networks = nn.ModuleDict(
            {
                "transfer": self.transfer,
                "auxiliary": self.auxiliary,
                "critic": self.critic,
                "denoiser": self.denoiser,
            }
        )
        init_caffe(self.networks)
        self.optimizers = make_optimizers(self.networks, config)
        kind = config.face_features
        self.frozen = nn.ModuleDict({} if kind == "none" else {"face": FaceFeatures(kind)})
        self.rise = Rise()
        self.state = {"rise": self.rise}

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' settings (batches of 30, 128 px; 2,000 rounds), or smaller ones."""
        least, largest = {
            "published": (PUBLISHED_SIDE, PUBLISHED_SIDE),
            "small": (LEAST_SIDE, 64),
            "tiny": (LEAST_SIDE, 32),
        }[preset]
        require_task_size(task, least, f"{cls.card.title}, {preset},")
        size = min(task.image_size, largest)
        facts: dict[str, Any] = {"channels": task_channels(task), "image_size": size}
        if preset != "published":
            levels = fitting_levels(size, 2)
            if levels < 1:
                raise ValueError(f"DIAT halves images at least once; {size} px cannot be")
            facts |= SMALLER[preset] | {"num_halvings": levels}
            facts["critic_halvings"] = min(6, size.bit_length() - 2)  # to 2x2 px, or 3x3
            facts.setdefault("mask_halvings", min(2, levels))
        batch_size, budget = {
            "published": (120, 120 * ROUNDS),
            "small": (32, 16_000),
            "tiny": (4, 16),
        }[preset]
        config = DIATConfig(**facts)
        return Settings(config, batch_size, budget, size, size, "bilinear", flip=False)

    @classmethod
    def needs(cls, config: DIATConfig) -> Needs:
        """Ask for sides that can be halved, and for the weights of the features of faces."""
        weights = [FACE_WEIGHTS[kind] for kind in (config.face_features,) if kind in FACE_WEIGHTS]
        halvings = max(config.num_halvings, config.mask_halvings if config.masked else 0)
        return Needs(weights=tuple(weights), multiple=2**halvings)

    def advance(self, clock: Clock) -> None:
        """Keep the learning rates."""
        del clock
        set_learning_rate(self.optimizers, self.config.learning_rate)
        set_learning_rate({"": self.optimizers["denoiser"]}, self.config.denoiser_rate)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Take a round: critic, transfer, noise, the way back, and the denoiser.

        The images of a domain are four batches; too few are repeated.
        """
        source, target = (
            four_batches(batch.images[domain])
            for domain in (self.direction.source, self.direction.target)
        )
        self.observe(source[0])
        with torch.no_grad():
            fakes = [self.compose(images)[0] for images in (source[1], source[0])]
        losses = self.update_critic(target[:2], fakes)
        self.observe(source[2])
        losses |= self.update_transfer((source[3], source[2]))
        losses |= self.reduce_noise((source[3], source[2]))
        losses |= self.undo_auxiliary(target[2:])
        losses |= self.train_denoiser(batch.images[self.direction.target], random)
        return {name: value.detach() for name, value in losses.items()}

    def compose(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Translate images (batch, channels, height, width); give also the mask's area, 0-d."""
        made = self.transform(images)
        if not self.config.masked:
            return made, made.new_ones(())
        mask, area = self.mask(images)
        return mask * made + (1 - mask) * images, area

    @torch.no_grad()
    def observe(self, images: Tensor) -> None:
        """Have running statistics see images, in the forward with which the authors begin."""
        fake, _ = self.compose(images)
        self.auxiliary(fake)
        self.critic(fake)

    def update_critic(self, real: Sequence[Tensor], fakes: Sequence[Tensor]) -> dict[str, Tensor]:
        """Take the critic's steps, each on a batch of images of one kind.

        Returns:
            By how much translations were above real images in the last four steps, on average.
        """
        ring = [(images, 1.0) for images in real] + [(images, 0.0) for images in fakes]
        found = []
        for number in range(self.config.critic_steps):
            images, target = ring[number % RING]
            found.append(self.update_critic_once(images, target))
        mean = torch.stack(found[-RING:]).mean()
        return {f"discriminator_{self.direction.target}": 2 * mean}  # of either kind is a half

    def update_critic_once(self, images: Tensor, target: float) -> Tensor:
        """Take a step of the critic, then clip it; give the loss before."""
        loss = wasserstein(self.critic(images), target)
        descend(self.optimizers["critic"], loss)
        self.critic.clip(self.config.clip)
        return loss.detach()

    def update_transfer(self, batches: Sequence[Tensor]) -> dict[str, Tensor]:
        """Take the steps of transform, mask and auxiliary network, on two batches in turn.

        Returns:
            The losses before the last of them.
        """
        one, rise = batches[0].new_ones(()), self.rise.at(batches[0].device)
        scale, values, losses = one, [], {}
        for number in range(self.config.transfer_steps):
            losses, gradient = self.update_transfer_once(batches[number % 2], scale)
            values.append(-losses[f"adversarial_{self.direction}"])
            if number == PLAIN_STEPS - 1:
                wanted = self.config.gradient_sum / gradient.abs().sum()
                scale = torch.where(rise > STEEP, one, wanted.to(one.dtype))
        rise.copy_(values[-1] - values[min(PLAIN_STEPS + 1, len(values) - 1)])
        return losses

    def update_transfer_once(
        self, source: Tensor, scale: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Take a step of transform, mask and auxiliary network.

        Args:
            source: (batch, channels, height, width).
            scale: Factor of the adversarial loss, 0-d.

        Returns:
            Losses before it, and the gradient at the translations.
        """
        optimizers = self.optimizers
        with restarted(optimizers["transfer"]), restarted(optimizers["auxiliary"]):
            fake, area = self.compose(source)
            leaf = fake.detach().requires_grad_()
            losses = self.judge(leaf, source, scale) | self.compare(leaf, source)
            assert leaf.grad is not None
            fake.backward(leaf.grad)
        return {n: value.detach() for n, value in losses.items()} | {"area": area}, leaf.grad

    def judge(self, fake: Tensor, source: Tensor, scale: Tensor) -> dict[str, Tensor]:
        """Differentiate what the critic says of translations, and how it sees their sources."""
        config = self.config
        with frozen(self.critic):
            seen = self.critic.features(fake)
            leaf = seen.detach().requires_grad_()
            lacking = wasserstein(self.critic.head(leaf), 1.0)
            losses = {f"adversarial_{self.direction}": lacking}
            (gradient,) = torch.autograd.grad(scale * lacking, leaf)
            if config.feature_share:
                with torch.no_grad():
                    wanted = self.critic.features(source)
                matching = half_squares(leaf, wanted)
                (other,) = torch.autograd.grad(FEATURE_WEIGHT * matching, leaf)
                size = other.abs().sum()
                size = torch.where(size < SMALLEST_SUM, torch.ones_like(size), size)
                factor = config.feature_share * gradient.abs().sum() / size
                gradient = gradient + factor.to(other.dtype) * other
                losses[f"feature_matching_{self.direction}"] = matching
            seen.backward(gradient)
        return losses

    def compare(self, fake: Tensor, source: Tensor) -> dict[str, Tensor]:
        """Differentiate the way back of the auxiliary network, and features of faces."""
        config = self.config
        cycle = half_squares(self.auxiliary(fake), source)
        (config.lambda_cycle * cycle).backward()
        losses = {f"cycle_{self.direction.source}": cycle}
        if "face" in self.frozen:
            face = self.frozen["face"]
            with torch.no_grad():
                wanted = face(source)
            perceptual = half_squares(face(fake), wanted)
            (config.lambda_perceptual * perceptual).backward()
            losses[f"perceptual_{self.direction}"] = perceptual
        return losses

    def reduce_noise(self, batches: Sequence[Tensor]) -> dict[str, Tensor]:
        """Take steps that make translations less noisy, until they are so.

        Which are taken is known on the device alone: those after the end change nothing.
        """
        config = self.config
        if not config.penalty_steps:
            return {}
        with torch.no_grad():
            level = self.noise_of(batches[0])
        weight = (config.penalty_slope * level - config.penalty_offset).clamp(
            min=config.penalty_least
        )
        goes_on, optimizer = torch.ones_like(level, dtype=torch.bool), self.optimizers["transfer"]
        with frozen(self.denoiser):
            for number in range(config.penalty_steps):
                with only_where(goes_on, moving_tensors(self.transfer, optimizer)):
                    now = self.noise_of(batches[1 - number % 2])
                    descend(optimizer, weight * now / 2)  # as Caffe's layer
                goes_on = goes_on & (now.detach() >= config.least_noise)
        return {"noise": level}

    def noise_of(self, images: Tensor) -> Tensor:
        """Sum the squares of the noise that the denoiser finds in translations, by image.

        The sum is brought to what images of 128 px would have.
        """
        fake, _ = self.compose(images)
        found = self.denoiser(fake)
        share = PUBLISHED_SIDE**2 / (images.shape[2] * images.shape[3])
        exact = found.to(torch.promote_types(found.dtype, torch.float32))  # also under autocast
        return share * exact.square().sum() / len(found)

    def undo_auxiliary(self, batches: Sequence[Tensor]) -> dict[str, Tensor]:
        """Take steps of the transfer from what the auxiliary network makes of the target, back."""
        if not self.config.dual_steps:
            return {}
        with torch.no_grad():
            made = [self.auxiliary(images) for images in batches]
        losses = []
        for number in range(self.config.dual_steps):
            fake, _ = self.compose(made[number % 2])
            losses.append(half_squares(fake, batches[number % 2]))
            descend(self.optimizers["transfer"], self.config.lambda_dual * losses[-1])
        return {f"cycle_{self.direction.target}": losses[-1]}

    def train_denoiser(self, images: Tensor, random: Randomness) -> dict[str, Tensor]:
        """Take steps of the denoiser on a part each of images, with noise."""
        if not self.config.denoiser_steps:
            return {}
        noise = self.config.noise * random.normal("noise", tuple(images.shape)).to(images.dtype)
        pairs = zip(four_batches(images), four_batches(noise), strict=True)
        losses = []
        for real, added in islice(cycle(pairs), self.config.denoiser_steps):
            losses.append(F.mse_loss(self.denoiser(real + added), added))
            descend(self.optimizers["denoiser"], losses[-1])
        return {"denoiser": losses[-1]}

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Blend the transform network's result with the image."""
        return self.compose(batch.images[direction.source])[0]

    def masks(self, batch: Batch, direction: Direction, random: Randomness) -> Masks | None:
        """Return the mask, and the rest, which copies the image; None without a mask."""
        if not self.config.masked:
            return None
        images = batch.images[direction.source]
        mask, _ = self.mask(images)
        attention = torch.cat([mask, 1 - mask], dim=1)
        return Masks(attention, self.transform(images)[:, None], 1)

    @classmethod
    def from_official(cls, path: Path) -> DIAT:
        """Refuse Caffe's files, which are all that the authors released.

        Raises:
            ValueError: With what is there.
        """
        from i2i_baselines.official.diat import refusal

        raise ValueError(refusal(path))
