"""InstaGAN (Mo et al.: Instance-aware Image-to-Image Translation, ICLR 2019, 1812.10889)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from i2i_baselines.instagan.config import ABLATIONS, CARD, PRESETS, InstaGANConfig
from i2i_baselines.instagan.instances import (
    MaskedImages,
    arrange,
    join_masks,
    keep_inactive,
    order_by_size,
    translate_in_passes,
)
from i2i_baselines.instagan.losses import (
    active_least_squares,
    context_loss,
    scene_distance,
)
from i2i_baselines.instagan.networks import SetDiscriminator, SetGenerator
from i2i_baselines.instagan.optimise import RestingAdam
from i2i_bench import official
from i2i_bench.blocks.cycle import two_way
from i2i_bench.blocks.initialise import init_normal
from i2i_bench.blocks.limits import require_task_size, task_channels
from i2i_bench.blocks.losses import differentiate
from i2i_bench.blocks.optimise import descend, frozen, restarted, set_learning_rate
from i2i_bench.blocks.pool import ImagePool
from i2i_bench.blocks.schedules import decay_after
from i2i_bench.model import (
    A2B,
    B2A,
    Batch,
    Clock,
    Direction,
    Model,
    Needs,
    Preset,
    Settings,
    TaskFacts,
)
from i2i_bench.randomness import Randomness

DOMAINS = ("a", "b")
LOAD = 1.1  # sides that are loaded, over those of the crop
Losses = dict[str, Tensor]


class InstaGAN(Model):
    """Generators of images with sets of masks, and discriminators of both together."""

    card = CARD
    Config = InstaGANConfig
    ablations = ABLATIONS

    def __init__(self, config: InstaGANConfig) -> None:
        self.config = config
        self.generators, self.discriminators = two_way(
            lambda inputs, outputs: SetGenerator(
                config.generator_width, config.num_blocks, inputs, outputs
            ),
            lambda inputs: SetDiscriminator(
                config.discriminator_width, config.discriminator_layers, inputs
            ),
            config.channels,
        )
        self.networks = nn.ModuleDict(
            {"generators": self.generators, "discriminators": self.discriminators}
        )
        init_normal(self.generators)  # discriminators keep PyTorch's own, as the authors'
        learning = {"generators": self.generators}
        learning |= {f"discriminator_{d}": self.discriminators[d] for d in DOMAINS}
        self.optimizers = {
            name: RestingAdam(part.parameters(), config.learning_rate)
            for name, part in learning.items()
        }
        self.pools = {domain: ImagePool(config.pool_size) for domain in DOMAINS}
        self.state = {f"pool_{domain}": pool for domain, pool in self.pools.items()}

    @classmethod
    def settings(cls, preset: Preset, task: TaskFacts) -> Settings:
        """Give the authors' schedule (100 + 100 epochs at batch 1), or a smaller one."""
        require_task_size(task, cls.card.minimum_size, f"{cls.card.title}, {preset},")
        config = InstaGANConfig(**PRESETS[preset], channels=task_channels(task))
        batch_size, budget, largest, instances = {
            "published": (1, 200 * max(task.num_train.values()), task.image_size, 20),
            "small": (4, 1_600, 64, 3),
            "tiny": (2, 8, 32, 3),
        }[preset]
        size = min(task.image_size, largest)
        load = size if task.kind == "embedded" else round(LOAD * size)
        return Settings(config, batch_size, budget, load, size, instances=instances)

    @classmethod
    def needs(cls, config: InstaGANConfig) -> Needs:
        """Ask for the masks of instances, and sides that can be halved twice."""
        del config
        return Needs(masks="required", multiple=4)

    def advance(self, clock: Clock) -> None:
        """Decay the learning rate by epochs."""
        constant, decay = self.config.constant_epochs, self.config.decay_epochs
        factor = decay_after(clock.epoch(constant + decay), constant, decay)
        set_learning_rate(self.optimizers, self.config.learning_rate * factor)

    def training_step(self, batch: Batch, random: Randomness) -> Losses:
        """Translate some instances after the other; each pass updates all networks.

        Returns:
            Losses, each the sum over passes.
        """
        most = self.config.training_instances
        whole = {d: largest_first(batch, d, most)[0] for d in DOMAINS}
        parts = {d: whole[d].masks.split(self.config.instances_per_pass, dim=1) for d in DOMAINS}
        images = {d: whole[d].images for d in DOMAINS}
        moved: dict[str, list[Tensor]] = {d: [] for d in DOMAINS}  # masks, by their source
        losses: Losses = {}
        for number in range(len(parts["a"])):
            now = {d: MaskedImages(images[d], parts[d][number]) for d in DOMAINS}
            found, after = self.train_pass(whole, now, moved, random, number)
            losses = {name: losses.get(name, 0) + value for name, value in found.items()}
            for domain in DOMAINS:
                images[domain] = keep_inactive(now[domain], after[domain].images)
                moved[domain].append(after[domain].masks)
        return losses

    def train_pass(
        self,
        whole: Mapping[str, MaskedImages],
        now: Mapping[str, MaskedImages],
        moved: Mapping[str, Sequence[Tensor]],
        random: Randomness,
        number: int,
    ) -> tuple[Losses, dict[str, MaskedImages]]:
        """Update the generators, then the discriminators on the fakes made before that.

        Args:
            whole: Images with all masks, by domain.
            now: What the images have become, with the masks of this pass.
            moved: Masks after the passes before, by their source.
            random: Source of the pools' draws.
            number: Of the pass, from 0.

        Returns:
            Losses, and translations without their graph, by their source.
        """
        losses: Losses = {}
        after: dict[str, MaskedImages] = {}
        shown: dict[str, MaskedImages] = {}
        with frozen(self.discriminators), restarted(self.optimizers["generators"]):
            for way in (A2B, B2A):  # one graph at a time: gradients add up
                source = way.source
                fake, same = self.generate(now, way)
                masks = join_masks([*moved[source], fake.masks], whole[source].masks.shape[1])
                judged = MaskedImages(fake.images, masks)
                terms = self.generator_losses(now, way, fake, same, judged)
                losses |= differentiate(terms, self.config.weights)
                after[source], shown[source] = fake.detached(), judged.detached()
        for way in (A2B, B2A):
            source, target = way.source, way.target
            is_active = now[source].is_active
            pool, name = self.pools[target], f"pool_{target}_{number}"
            drawn = pool.query(shown[source].joined(), random, name, is_active)
            images, masks = drawn.tensor_split([whole[target].images.shape[1]], dim=1)
            loss = self.discriminator_loss(
                target, whole[target], MaskedImages(images, masks), is_active
            )
            descend(self.optimizers[f"discriminator_{target}"], loss)
            losses[f"discriminator_{target}"] = loss.detach()
        return losses, after

    def generate(
        self, now: Mapping[str, MaskedImages], way: Direction
    ) -> tuple[MaskedImages, MaskedImages | None]:
        """Translate the source, and the target into itself if that has a loss, in one forward."""
        generator, source, target = self.generators[str(way)], now[way.source], now[way.target]
        if not self.config.lambda_identity:
            return MaskedImages(*generator(source.images, source.masks)), None
        pair = (source, target)
        images, masks = generator(
            torch.cat([each.images for each in pair]), torch.cat([each.masks for each in pair])
        )
        count = [len(source.images)]
        (fake, same), (moved, kept) = images.tensor_split(count), masks.tensor_split(count)
        return MaskedImages(fake, moved), MaskedImages(same, kept)

    def generator_losses(
        self,
        now: Mapping[str, MaskedImages],
        way: Direction,
        fake: MaskedImages,
        same: MaskedImages | None,
        judged: MaskedImages,
    ) -> Losses:
        """Give the terms of a direction's generator; those of inactive images are 0.

        Args:
            now: What the images have become, with the masks of this pass.
            way: The direction.
            fake: Translations of the source.
            same: Those of the target into itself; None where they have no loss.
            judged: ``fake`` with the masks of all passes.
        """
        source, target = now[way.source], now[way.target]
        is_active = source.is_active
        back = MaskedImages(*self.generators[str(way.reverse)](fake.images, fake.masks))
        logits = self.discriminators[way.target](judged.images, judged.masks, is_active)
        losses = {
            f"adversarial_{way}": active_least_squares(logits, 1.0, is_active),
            f"cycle_{way.source}": scene_distance(back, source, is_active),
            f"context_{way}": context_loss(source, fake),
        }
        if same is not None:
            losses[f"identity_{way.target}"] = scene_distance(same, target, target.is_active)
        return losses

    def discriminator_loss(
        self, domain: str, real: MaskedImages, fake: MaskedImages, is_active: Tensor
    ) -> Tensor:
        """Compute half the sum of LSGAN's terms; spectral norms take a step for each of the two."""
        judge = self.discriminators[domain]
        of_real = active_least_squares(judge(real.images, real.masks, is_active), 1.0, is_active)
        of_fake = active_least_squares(judge(fake.images, fake.masks, is_active), 0.0, is_active)
        return 0.5 * (of_real + of_fake)

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Translate all instances, some after the other, the largest first."""
        return self._translate(batch, direction)[0].images

    def translate_masks(self, batch: Batch, direction: Direction, random: Randomness) -> Tensor:
        """Give the masks after the translation."""
        after, order = self._translate(batch, direction)
        return arrange((after.masks + 1) / 2, order.argsort(dim=1))

    def _translate(self, batch: Batch, direction: Direction) -> tuple[MaskedImages, Tensor]:
        """Translate; give the order that the masks are in, too."""
        generator = self.generators[str(direction)]
        assert isinstance(generator, SetGenerator)
        scene, order = largest_first(batch, direction.source)
        return translate_in_passes(generator, scene, self.config.instances_per_pass), order

    @classmethod
    def from_official(cls, path: Path) -> InstaGAN:
        """Read ``<epoch>_net_{G,D}_{A,B}.pth``, or the generator of a single direction.

        Raises:
            ValueError: Naming the first tensors that disagree.
        """
        from i2i_baselines.official.instagan import read_instagan

        facts, parts = read_instagan(path)
        return official.build(cls, InstaGANConfig(**facts), parts)


def largest_first(
    batch: Batch, domain: str, most: int | None = None
) -> tuple[MaskedImages, Tensor]:
    """Give images with their largest masks in [-1, 1], and the places that these had.

    Raises:
        ValueError: If the batch has no masks.
    """
    images, masks = batch.images[domain], (batch.masks or {}).get(domain)
    if masks is None or not masks.shape[1]:
        raise ValueError(
            f"{CARD.title} translates instances and was given none; set instances to 1 or more"
        )
    masks = masks.to(images.dtype)
    order = order_by_size(masks)[:, :most]
    return MaskedImages(images, 2 * arrange(masks, order) - 1), order
