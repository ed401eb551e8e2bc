"""AttentionGAN for many domains (folder AttentionGAN-v1-multi of Ha0Tang/AttentionGAN)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from i2i_attentiongan.networks import compose
from i2i_bench.blocks.generators import LabelledGenerator
from i2i_bench.blocks.label_conditioned import LabelConditioned, LabelledConfig
from i2i_bench.blocks.limits import at_least
from i2i_bench.model import Batch, Direction, Masks, ModelCard
from i2i_bench.randomness import Randomness


@dataclass(frozen=True)
class AttentionGANMultiConfig(LabelledConfig):
    """Configuration of AttentionGAN for many domains.

    Attributes:
        num_masks: 1 for the authors' single mask with one unbounded content; from 2 on, as in
            Scheme II, so many masks that sum to 1, the last of which copies the input, and a
            bounded content for each of the others.
    """

    num_masks: int = at_least(1, 1)


class LabelledMaskGenerator(LabelledGenerator):
    """StarGAN's generator with attention masks and contents in the place of colours.

    Args:
        width: Channels of the first layer.
        num_blocks: Residual blocks.
        num_labels: Attributes.
        num_masks: As in the configuration.
    """

    def __init__(self, width: int, num_blocks: int, *, num_labels: int, num_masks: int) -> None:
        self.num_masks, self.num_contents = num_masks, max(1, num_masks - 1)
        outputs = num_masks + 3 * self.num_contents
        super().__init__(width, num_blocks, num_labels=num_labels, outputs=outputs)

    def masks(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Give content (batch, contents, 3, height, width) and attention (batch, n, height, width).

        The last mask is that of the copied input, n is 2 for a single mask.
        """
        outputs = self.outputs(images, labels)
        content = outputs[:, self.num_masks :].unflatten(1, (self.num_contents, 3))
        if self.num_masks > 1:
            return content.tanh(), outputs[:, : self.num_masks].softmax(dim=1)
        mask = outputs[:, :1].sigmoid()
        return content, torch.cat([mask, 1 - mask], dim=1)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Translate (batch, 3, height, width) in [-1, 1]; a single mask's result is unbounded."""
        return compose(*self.masks(images, labels), images)


class AttentionGANMulti(LabelConditioned):
    """StarGAN with a generator that copies what need not change."""

    card = ModelCard(
        title="AttentionGAN (many domains)",
        authors="Hao Tang, Hong Liu, Dan Xu, Philip H. S. Torr, Nicu Sebe",
        venue="IEEE TNNLS",
        year=2021,
        arxiv="1911.11897",
        licence="authors' code: CC BY-NC-SA 4.0; this implementation is independent",
        deviations=(
            "As the authors' code, one sigmoid mask and a linear content; more masks are ours.",
            "As the authors' code, no total variation, pixel or identity loss; the paper has them.",
            "As the authors' code, the critic is not attention-guided; the paper's is.",
            "As the authors' code, the learning rate falls by 0.1 % over the second half of the "
            "steps; --set decay=linear lowers it to 0.",
            "As the authors' code, G normalises by the image's own statistics in testing too.",
            "The last step is one of the generator too; the authors' are every fifth one alone.",
            "Of RaFD and AR Face the largest square in the middle of a photo; StarGAN's code cuts "
            "the middle 256 px of RaFD's, which its users crop to the face before.",
            "The content is unbounded, as the authors'; translations are clipped to [-1, 1].",
        ),
        minimum_size=64,
        samples_interact=True,
    )
    Config: ClassVar[type[LabelledConfig]] = AttentionGANMultiConfig

    @classmethod
    def make_generator(cls, config: LabelledConfig) -> LabelledMaskGenerator:
        """Build the generator."""
        assert isinstance(config, AttentionGANMultiConfig)
        return LabelledMaskGenerator(
            config.generator_width,
            config.num_blocks,
            num_labels=len(config.attributes),
            num_masks=config.num_masks,
        )

    def masks(self, batch: Batch, direction: Direction, random: Randomness) -> Masks:
        """Give all masks, that of the copied input last, and the contents, clipped to [-1, 1]."""
        assert batch.labels is not None
        assert isinstance(self.generator, LabelledMaskGenerator)
        images, labels = batch.images[direction.source], batch.labels[direction.target]
        content, attention = self.generator.masks(images, labels)
        return Masks(attention, content.clamp(-1, 1), attention.shape[1] - 1)
