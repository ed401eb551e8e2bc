"""Configuration of MUNIT, its presets and its studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from i2i_baselines.munit.networks import VGG_MINIMUM
from i2i_bench.blocks.discriminators import multi_scale_minimum
from i2i_bench.blocks.encoders import STYLE_MINIMUM
from i2i_bench.blocks.limits import at_least, check_limits
from i2i_bench.model import Ablation, Preset, Variation

DOMAINS: tuple[str, str] = ("a", "b")
WITHOUT_CYCLE = ("edges2shoes", "edges2handbags", "cat2dog")  # in the authors' configurations


@dataclass(frozen=True)
class MUNITConfig:
    """Configuration of MUNIT.

    Attributes:
        generator_width: Channels of the encoders' first layer and of the decoder's last but one.
        discriminator_width: Channels of the discriminator's first layer; they double every layer.
        num_halvings: Of images on their way to a content.
        num_blocks: Residual blocks of the content encoder, and as many of the decoder.
        content_norm: Of the content encoder: ``instance``, which takes away the means of an image's
            features, and with them colours that styles are then to tell, or ``none``.
        style_width: Numbers of a style.
        mlp_width: Hidden units between a style and what it does in the decoder.
        discriminator_layers: Layers of stride 2 of the discriminator at each scale.
        discriminator_scales: Image scales that are judged, each half the size of the one before.
        lambda_adversarial: Weight of the adversarial loss.
        lambda_reconstruction: Weight of the reconstruction loss of images within a domain.
        lambda_style: Weight of the reconstruction loss of styles.
        lambda_content: Weight of the reconstruction loss of contents.
        lambda_cycle: Weight of the style-augmented cycle loss; without a pass for it where 0.
        lambda_perceptual: Weight of the distance of VGG16's features, normalised over place, of an
            image and its translation; the weights are needed where it is not 0.
        learning_rate: Adam's learning rate before the decay.
        beta1: Adam's decay of the first moment; the second's is 0.999.
        weight_decay: Adam's L2 penalty, on every parameter.
        decay_every: Steps between two decays of the learning rate.
        decay_factor: What a decay multiplies it by.
        same_start: Whether the networks of both domains start from the same weights, so that their
            codes mean the same.
        channels: Of the images of each domain.
    """

    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    num_halvings: int = at_least(1, 2)
    num_blocks: int = at_least(1, 4)
    content_norm: Literal["instance", "none"] = "instance"
    style_width: int = at_least(1, 8)
    mlp_width: int = at_least(1, 256)
    discriminator_layers: int = at_least(1, 4)
    discriminator_scales: int = at_least(1, 3)
    lambda_adversarial: float = at_least(0, 1.0)
    lambda_reconstruction: float = at_least(0, 10.0)
    lambda_style: float = at_least(0, 1.0)
    lambda_content: float = at_least(0, 1.0)
    lambda_cycle: float = at_least(0, 10.0)
    lambda_perceptual: float = at_least(0, 0.0)
    learning_rate: float = 1e-4
    beta1: float = 0.5
    weight_decay: float = 1e-4
    decay_every: int = at_least(1, 100_000)
    decay_factor: float = at_least(0, 0.5)
    same_start: bool = False
    channels: tuple[int, ...] = (3, 3)

    def __post_init__(self) -> None:
        check_limits(self)
        if self.same_start and len(set(self.channels)) > 1:
            raise ValueError("same_start is on, and images of the domains differ in channels")
        if self.content_norm not in ("instance", "none"):
            raise ValueError(f"content_norm is {self.content_norm!r}; possible: instance, none")
        if self.lambda_perceptual and set(self.channels) != {3}:
            channels = ", ".join(map(str, self.channels))
            raise ValueError(
                f"lambda_perceptual is {self.lambda_perceptual} and images have {channels} "
                "channels; VGG16 takes 3: set lambda_perceptual to 0"
            )

    @property
    def minimum_size(self) -> int:
        """Smallest image side in pixels that all networks take."""
        judged = multi_scale_minimum(self.discriminator_layers, self.discriminator_scales)
        least = max(
            STYLE_MINIMUM,
            2 ** (self.num_halvings + 1),
            judged,
            VGG_MINIMUM if self.lambda_perceptual else 0,
        )
        return least + -least % 2**self.num_halvings


ABLATIONS = {
    "losses": Ablation(
        "MUNIT without each of its terms (table 1 of the paper, and the adversarial loss)",
        "loss",
        (
            Variation("full", {}),
            Variation("no image reconstruction", {"lambda_reconstruction": "0"}),
            Variation("no content reconstruction", {"lambda_content": "0"}),
            Variation("no style reconstruction", {"lambda_style": "0"}),
            Variation("no adversarial loss", {"lambda_adversarial": "0"}),
        ),
    ),
    "cycle": Ablation(
        "MUNIT with and without the style-augmented cycle, which the authors choose by data set",
        "cycle",
        tuple(Variation(weight, {"lambda_cycle": weight}) for weight in ("0", "10")),
    ),
}

PRESETS: Mapping[Preset, MUNITConfig] = {
    "published": MUNITConfig(),
    "small": MUNITConfig(  # 32 px hold little that two halvings, or normalised contents, would keep
        generator_width=16,
        discriminator_width=16,
        num_halvings=1,
        num_blocks=2,
        content_norm="none",
        style_width=2,
        mlp_width=32,
        discriminator_layers=3,
        discriminator_scales=1,
        lambda_reconstruction=20.0,
        lambda_cycle=20.0,
        learning_rate=2e-3,
        decay_every=700,
        same_start=True,
    ),
    "tiny": MUNITConfig(
        generator_width=4,
        discriminator_width=4,
        num_blocks=1,
        mlp_width=8,
        discriminator_layers=2,
        discriminator_scales=2,
    ),
}
