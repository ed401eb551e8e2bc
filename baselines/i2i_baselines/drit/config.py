"""Configuration of DRIT, its schedule, its presets and its studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from i2i_baselines.drit.networks import content_minimum
from i2i_bench.blocks.discriminators import multi_scale_minimum
from i2i_bench.blocks.encoders import STYLE_MINIMUM
from i2i_bench.blocks.limits import at_least, check_limits
from i2i_bench.model import Ablation, Clock, Preset, Variation

DOMAINS: tuple[str, str] = ("a", "b")
SHAPE_VARIES = ("cat2dog", "photo2portrait", "selfie2anime")  # the authors: feature-wise transform
MOST_UPDATES = 500_000  # of the generators, after which the authors' training ends


@dataclass(frozen=True)
class DRITConfig:
    """Configuration of DRIT.

    Attributes:
        combine: How an attribute joins a content: ``concat`` beside its channels, or ``transform``,
            the authors' feature-wise transformation, whose attribute encoder has no variance.
        generator_width: Channels of the encoders' first layer; they double with each halving.
        discriminator_width: Channels of the discriminators' first layer; they double every layer.
        num_halvings: Of images on their way to a content.
        num_blocks: Residual blocks of each domain's content encoder; a shared one follows.
        content_norm: Of the content encoder: ``instance``, which takes away the means of an image's
            features, and with them colours that attributes are then to tell, or ``none``.
        decoder_blocks: Blocks of each domain's decoder.
        attribute_width: Numbers of an attribute.
        attribute_blocks: Residual blocks of the attribute encoder of ``concat``.
        discriminator_layers: Layers of stride 2 of the discriminators at each scale.
        discriminator_scales: Image scales that are judged; 1 in the paper.
        content_layers: Layers of stride 2 of the content discriminator.
        content_kernel: Side of their kernels.
        lambda_reconstruction: Weight of the reconstruction loss within a domain.
        lambda_cycle: Weight of the cross-cycle loss.
        lambda_latent: Weight of the regression of drawn attributes.
        lambda_kl: Weight of the divergence of attributes from N(0, 1); for ``transform``, of the
            mean of their squares.
        lambda_kl_content: Weight of the mean of contents' squares.
        lambda_adversarial_content: Weight of the loss that hides from the content discriminator of
            which domain a content is.
        lambda_mode_seeking: Weight of the mode seeking loss (Mao et al., CVPR 2019); 0 is the
            method of 2018, which translates with one drawn attribute, not with two.
        content_interval: Of so many steps one trains all networks, the others the content
            discriminator alone; the last two steps of an epoch train all.
        most_norm: Norm to which gradients of the content discriminator are clipped.
        learning_rate: Adam's learning rate before the decay.
        content_rate: Share of it that the content discriminator learns at.
        beta1: Adam's decay of the first moment; the second's is 0.999.
        weight_decay: Adam's L2 penalty, on every parameter.
        num_epochs: Equal parts of the budget.
        decay_start: Epoch, from 0, after which the learning rate falls.
        decay_epochs: Epochs over which it would fall to 0.
        same_start: Whether the networks of both domains start from the same weights, so that their
            codes mean the same.
        channels: Of the images of each domain.
    """

    combine: Literal["concat", "transform"] = "concat"
    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    num_halvings: int = at_least(1, 2)
    num_blocks: int = at_least(0, 3)
    content_norm: Literal["instance", "none"] = "instance"
    decoder_blocks: int = at_least(1, 3)
    attribute_width: int = at_least(1, 8)
    attribute_blocks: int = at_least(1, 3)
    discriminator_layers: int = at_least(1, 4)
    discriminator_scales: int = at_least(1, 3)
    content_layers: int = at_least(0, 3)
    content_kernel: int = at_least(3, 7)
    lambda_reconstruction: float = at_least(0, 10.0)
    lambda_cycle: float = at_least(0, 10.0)
    lambda_latent: float = at_least(0, 10.0)
    lambda_kl: float = at_least(0, 0.01)
    lambda_kl_content: float = at_least(0, 0.01)
    lambda_adversarial_content: float = at_least(0, 1.0)
    lambda_mode_seeking: float = at_least(0, 1.0)
    content_interval: int = at_least(1, 3)
    most_norm: float = at_least(0, 5.0)
    learning_rate: float = 1e-4
    content_rate: float = at_least(0, 0.4)
    beta1: float = 0.5
    weight_decay: float = 1e-4
    num_epochs: int = at_least(1, 1200)
    decay_start: int = at_least(0, 600)
    decay_epochs: int = at_least(1, 601)
    same_start: bool = False
    channels: tuple[int, ...] = (3, 3)

    def __post_init__(self) -> None:
        check_limits(self)
        if self.same_start and len(set(self.channels)) > 1:
            raise ValueError("same_start is on, and images of the domains differ in channels")
        if self.content_norm not in ("instance", "none"):
            raise ValueError(f"content_norm is {self.content_norm!r}; possible: instance, none")
        if self.combine not in ("concat", "transform"):
            raise ValueError(f"combine is {self.combine!r}; possible: concat, transform")

    @property
    def minimum_size(self) -> int:
        """Smallest image side in pixels that all networks take: 212 as published."""
        of_attribute = {"concat": 2 ** (self.attribute_blocks + 1), "transform": STYLE_MINIMUM}
        judged = multi_scale_minimum(self.discriminator_layers, self.discriminator_scales)
        content = 2**self.num_halvings * content_minimum(self.content_layers, self.content_kernel)
        least = max(2 ** (self.num_halvings + 1), of_attribute[self.combine], judged, content)
        return least + -least % 2**self.num_halvings

    def rate(self, clock: Clock) -> float:
        """Give the learning rate of a step."""
        epoch = (clock.step - 1) * self.num_epochs // clock.total_steps
        return self.learning_rate * max(
            0.0, 1 - max(0, epoch - self.decay_start) / self.decay_epochs
        )

    def trains_all(self, clock: Clock) -> bool:
        """Tell whether a step trains all networks, or the content discriminator alone."""
        done, total, epochs = clock.step - 1, clock.total_steps, self.num_epochs
        epoch = done * epochs // total
        first, end = (-(-each * total // epochs) for each in (epoch, epoch + 1))
        return (done - first + 1) % self.content_interval == 0 or done >= end - 2


def published_epochs(num_images: int) -> int:
    """Give the epochs of the authors' training: 1200, or as many as their most updates take."""
    steps = num_images // 2
    updates = sum((step + 1) % 3 == 0 or step >= steps - 2 for step in range(steps))
    return min(1200, -(-MOST_UPDATES // max(1, updates)))


ABLATIONS = {
    "losses": Ablation(
        "DRIT without parts of its losses: the content discriminator, as in the paper, and others",
        "loss",
        (
            Variation("full", {}),
            Variation("no content discriminator", {"lambda_adversarial_content": "0"}),
            Variation("no latent regression", {"lambda_latent": "0"}),
            Variation("no mode seeking", {"lambda_mode_seeking": "0"}),
        ),
    ),
    "combine": Ablation(
        "How an attribute joins a content: beside its channels, or as a transformation of features",
        "attribute",
        tuple(Variation(how, {"combine": how}) for how in ("concat", "transform")),
    ),
}

PRESETS: Mapping[Preset, DRITConfig] = {
    "published": DRITConfig(),
    "small": DRITConfig(  # 32 px hold little that two halvings, or normalised contents, would keep
        generator_width=16,
        discriminator_width=16,
        num_halvings=1,
        num_blocks=1,
        content_norm="none",
        decoder_blocks=2,
        attribute_width=2,
        discriminator_layers=3,
        discriminator_scales=1,
        content_layers=2,
        content_kernel=3,
        lambda_reconstruction=20.0,
        lambda_cycle=20.0,
        lambda_latent=20.0,
        lambda_kl=0.5,
        lambda_kl_content=0.0,
        lambda_adversarial_content=0.2,
        lambda_mode_seeking=0.1,
        content_interval=1,
        learning_rate=1e-3,
        num_epochs=4,
        decay_start=2,
        decay_epochs=3,
        same_start=True,
    ),
    "tiny": DRITConfig(
        generator_width=4,
        discriminator_width=4,
        num_blocks=1,
        decoder_blocks=1,
        attribute_blocks=2,
        discriminator_layers=2,
        discriminator_scales=2,
        content_layers=1,
        content_kernel=3,
        num_epochs=1,
        decay_start=1,
        decay_epochs=2,
    ),
}
