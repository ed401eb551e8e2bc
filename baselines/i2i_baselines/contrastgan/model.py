"""ContrastGAN (Liang et al.: Mask-Contrasting GAN, ECCV 2018, 1708.00315)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_baselines.contrastgan.config import ABLATIONS, PRESETS, ContrastGANConfig, smallest_side
from i2i_baselines.contrastgan.networks import (
    CategoryDiscriminator,
    CategoryGenerator,
    cut_out,
    cut_out_masks,
    find_boxes,
    put_back,
)
from i2i_bench.blocks.initialise import init_normal
from i2i_bench.blocks.limits import load_size, require_task_size
from i2i_bench.blocks.optimise import adam, descend, frozen, set_learning_rate
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

EPOCHS = 100  # at the full learning rate and again while it falls
INSTANCES = 4  # most objects of an image that are translated


@dataclass(frozen=True)
class Objects:
    """What a step learns from: objects to translate, and real ones of what they are to become.

    Attributes:
        images: (batch, 3, height, width) in [-1, 1], what surrounds each object included.
        masks: (batch, 1, height, width), 1 inside the object.
        real: As images; of the same index, one of the category to become.
        before: (batch, categories), one-hot, what the objects are.
        after: The same, what they are to become.
    """

    images: Tensor
    masks: Tensor
    real: Tensor
    before: Tensor
    after: Tensor


class ContrastGAN(Model):
    """Translate an object within its mask to a category, closer to real ones than to itself."""

    card = ModelCard(
        title="ContrastGAN",
        authors="Xiaodan Liang, Hao Zhang, Liang Lin, Eric P. Xing",
        venue="ECCV",
        year=2018,
        arxiv="1708.00315",
        licence="no code was published",
        deviations=(
            "Reimplementation from the description, no code was published.",
            "Of the paper are one generator told the category, a discriminator a category, least "
            "squares, features closer to real ones than to the input's, which the generator "
            "learns and the discriminator resists, cycles, and masks with crops.",
            "All that follows is our choice.",
            "The contrasting distance is softplus(|f'-fy| - |f'-fx|): minus the logarithm of the "
            "share of exp(-|f'-fy|) in its sum with exp(-|f'-fx|), of sums of absolute "
            "differences.",
            "Features are means over the discriminator's last activations; fy is the mean of the "
            "batch's real images of the category, or of all of them (reference=batch).",
            "The generator is CycleGAN's with 6 blocks and zero padding, told by a plane for each "
            "category and one for the mask; reflection (padding=reflect) would void the planes.",
            "The discriminators share the layers of a 70x70 PatchGAN; each has a map of logits.",
            "The tight box of an object is resized to 128x128 px, bilinearly and its mask by the "
            "nearest pixel, and what the generator makes of it is pasted within the mask.",
            "Of an image with several objects a step draws one; a translation is of each by "
            "itself, up to the 4 largest. It never leaves the mask: without one, nothing changes.",
            "Where a task has no masks, and with masked=false, the whole image is the object.",
            "Weights are 1 for the adversarial and the contrasting term and 10 for cycles, an L1 "
            "distance after pasting; the generator is updated before the discriminator.",
            "A step has 8 images of each of two categories, translated both ways; Adam with 2e-4, "
            "0.5 and 0.999; 100 epochs and 100 more while the rate falls, each as long as the "
            "larger category, or of many half of all images; weights start from N(0, 0.02).",
            "The presets small and tiny are narrower, with fewer blocks and layers and boxes of "
            "16 px.",
        ),
        minimum_size=24,
        samples_interact=True,
    )
    Config = ContrastGANConfig
    ablations = ABLATIONS
    losses = {  # noqa: RUF012
        "contrast": "how much closer features of a translation are to its source's than to real "
        "ones of the target"
    }

    def __init__(self, config: ContrastGANConfig) -> None:
        self.config = config
        count = len(config.domains)
        self.generator = CategoryGenerator(
            config.generator_width, config.num_blocks, num_categories=count, padding=config.padding
        )
        self.discriminator = CategoryDiscriminator(
            config.discriminator_width, config.discriminator_layers, count
        )
        self.networks = nn.ModuleDict(
            {"generator": self.generator, "discriminator": self.discriminator}
        )
        init_normal(self.networks)
        self.optimizers = adam(self.networks, config.learning_rate, 0.5)
        self.state = {}

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give our settings of the published size, or smaller ones."""
        domains, largest = task.attributes or task.domains, max(task.num_train.values())
        if task.attributes:  # a step sees two of the domains
            largest = -(-largest // 2)
        config = ContrastGANConfig(domains=domains, **PRESETS[preset])
        least = smallest_side(config.discriminator_layers)
        require_task_size(task, least, f"{cls.card.title}, {preset},")
        batch_size, budget, side = {
            "published": (8, 2 * EPOCHS * largest, task.image_size),
            "small": (8, 3_000 * len(domains), 64),
            "tiny": (2, 8, 32),
        }[preset]
        size = min(task.image_size, side)
        instances = INSTANCES if task.has_masks else 0
        return Settings(
            config, batch_size, budget, load_size(task, size), size, instances=instances
        )

    @classmethod
    def needs(cls, config: ContrastGANConfig) -> Needs:
        """Take two domains, or two of many in each step, and masks; whole images are halved."""
        masks = "optional" if config.masked else "no"
        return Needs(drawn_domains="optional", masks=masks, multiple=4)

    def advance(self, clock: Clock) -> None:
        """Decay the learning rate by epochs."""
        constant, decay = self.config.constant_epochs, self.config.decay_epochs
        factor = decay_after(clock.epoch(constant + decay), constant, decay)
        set_learning_rate(self.optimizers, self.config.learning_rate * factor)

    def training_step(self, batch: Batch, random: Randomness) -> dict[str, Tensor]:
        """Update the generator, then the discriminator, on objects of two domains, both ways."""
        first, second = batch.images
        ways = (Direction(first, second), Direction(second, first))
        losses = self.learn(self.make_objects(batch, ways, random))
        named = {"discriminator": losses.pop("discriminator")}
        for term, values in losses.items():
            for way, part in zip(ways, values.chunk(2), strict=True):
                ending = way.source if term == "cycle" else way
                named[f"{term}_{ending}"] = part.mean()
        return named

    def make_objects(
        self, batch: Batch, ways: tuple[Direction, ...], random: Randomness
    ) -> Objects:
        """Cut an object out of each image of a batch; without masks, the whole image is it."""
        found = {d: self._draw_objects(batch, d, random) for d in batch.images}
        images, masks = (torch.cat([found[way.source][part] for way in ways]) for part in range(2))
        before, after = (
            torch.cat([self.one_hot(domain, found[domain][0]) for domain in domains])
            for domains in ([way.source for way in ways], [way.target for way in ways])
        )
        real = torch.cat([found[way.target][0] for way in ways])
        return Objects(images, masks, real, before, after)

    def _draw_objects(self, batch: Batch, domain: str, random: Randomness) -> tuple[Tensor, Tensor]:
        """Give an object of each image of a domain, and its mask, as squares."""
        images = batch.images[domain]
        if batch.masks is None:
            return images, torch.ones_like(images[:, :1])
        masks = batch.masks[domain]
        draws = random.uniform(f"object_{domain}", tuple(masks.shape[:2]))
        chosen = (draws + masks.amax(dim=(2, 3))).argmax(dim=1)  # those that are not empty first
        mask = masks[torch.arange(len(masks), device=masks.device), chosen, None]
        boxes, size = find_boxes(mask), self.config.object_size
        return cut_out(images, boxes, size), cut_out_masks(mask, boxes, size)

    def one_hot(self, domain: str, images: Tensor) -> Tensor:
        """Give a domain's category for each of so many images, (batch, categories)."""
        categories = images.new_zeros(len(images), len(self.config.domains))
        categories[:, self.config.domains.index(domain)] = 1
        return categories

    def learn(self, objects: Objects) -> dict[str, Tensor]:
        """Update both networks; give the generator's terms (batch,) and what the other minimises.

        All are detached and unweighted but the last, ``discriminator``.
        """
        with frozen(self.discriminator):
            losses, fake = self.generator_losses(objects)
            descend(self.optimizers["generator"], self._total(losses))
        judged = self.discriminator_losses(objects, fake.detach())
        total = self._total(judged)
        descend(self.optimizers["discriminator"], total)
        named = {name: value.detach() for name, value in losses.items()}
        return named | {"discriminator": total.detach()}

    def _total(self, losses: Mapping[str, Tensor]) -> Tensor:
        config = self.config
        weights = {
            "adversarial": config.lambda_adversarial,
            "contrast": config.lambda_contrast,
            "cycle": config.lambda_cycle,
            "real": 0.5 * config.lambda_adversarial,
            "fake": 0.5 * config.lambda_adversarial,
            "resisted": -config.lambda_contrast,
        }
        return torch.stack([weights[n] * value.mean() for n, value in losses.items()]).sum()

    def generator_losses(self, objects: Objects) -> tuple[dict[str, Tensor], Tensor]:
        """Give the generator's terms, (batch,) each, and translations pasted within the masks."""
        images, masks = objects.images, objects.masks
        fake = paste(self.generator(images, masks, objects.after), images, masks)
        logits, features = self.discriminator(fake)
        losses = {"adversarial": distances(logits, objects.after, 1.0)}
        if self.config.lambda_contrast:
            with torch.no_grad():
                others = self._compared(objects)
            losses["contrast"] = contrasting_distance(features, *others)
        if self.config.lambda_cycle:
            back = paste(self.generator(fake, masks, objects.before), fake, masks)
            losses["cycle"] = (back - images).abs().mean(dim=(1, 2, 3))
        return losses, fake

    def discriminator_losses(self, objects: Objects, fake: Tensor) -> dict[str, Tensor]:
        """Give the discriminator's terms, (batch,) each."""
        of_fake, features = self.discriminator(fake)
        of_real, real = self.discriminator(objects.real)
        losses = {
            "real": distances(of_real, objects.after, 1.0),
            "fake": distances(of_fake, objects.after, 0.0),
        }
        if self.config.lambda_contrast:
            source = self.discriminator(objects.images)[1]
            target = self._reference(real, objects.after)
            losses["resisted"] = contrasting_distance(features, target, source)
        return losses

    def _compared(self, objects: Objects) -> tuple[Tensor, Tensor]:
        """Give the features of real objects and of the sources, (batch, channels) each."""
        _, features = self.discriminator(torch.cat([objects.real, objects.images]))
        real, source = features.chunk(2)
        return self._reference(real, objects.after), source

    def _reference(self, features: Tensor, categories: Tensor) -> Tensor:
        """Average features of real objects (batch, channels) over those of the same category."""
        if self.config.reference == "batch":
            return features.mean(dim=0, keepdim=True)
        alike = (categories[:, None] * categories).sum(dim=2)  # 1 for two of the same category
        shares = alike / alike.sum(dim=1, keepdim=True)
        return (shares[:, :, None] * features).sum(dim=1)

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Translate each object by itself and paste it within its mask, or the whole image."""
        images = batch.images[direction.source]
        category = self.one_hot(direction.target, images)
        if batch.masks is None:
            return self.generator(images, torch.ones_like(images[:, :1]), category)
        fake = images
        for mask in batch.masks[direction.source].split(1, dim=1):
            boxes, size = find_boxes(mask), self.config.object_size
            squares = cut_out(images, boxes, size), cut_out_masks(mask, boxes, size)
            made = put_back(self.generator(*squares, category), boxes, images)
            fake = paste(made, fake, mask)
        return fake

    @classmethod
    def from_official(cls, path: Path) -> ContrastGAN:
        """Refuse: there is nothing to read.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"{cls.card.title}'s authors published neither code nor weights, so {path} cannot be "
            "theirs; train the model with i2i-bench run --model contrastgan"
        )


def paste(made: Tensor, images: Tensor, masks: Tensor) -> Tensor:
    """Put what was made over images (batch, channels, height, width), inside of their masks."""
    return masks * made + (1 - masks) * images


def distances(logits: Tensor, categories: Tensor, target: float) -> Tensor:
    """LSGAN (Mao et al., ICCV 2017) of each image by its category's discriminator, (batch,).

    Args:
        logits: (batch, categories, rows, columns).
        categories: (batch, categories), one-hot.
        target: 1 for real, 0 for fake.
    """
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))  # also under autocast
    squares = (exact - target).square().mean(dim=(2, 3))
    return (squares * categories).sum(dim=1)


def contrasting_distance(features: Tensor, target: Tensor, source: Tensor) -> Tensor:
    """Give how much closer features (batch, channels) are to the source's than to the target's.

    It is -log(exp(-t) / (exp(-t) + exp(-s))) of the sums t, s of absolute differences, (batch,).
    """
    exact = features.to(torch.promote_types(features.dtype, torch.float32))  # also under autocast
    to_target, to_source = ((exact - each).abs().sum(dim=1) for each in (target, source))
    return F.softplus(to_target - to_source)
