"""Configuration, presets and ablations of DIAT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from i2i_bench.blocks.limits import at_least, check_limits, require_choices
from i2i_bench.model import Ablation, Variation

POSSIBLE = {
    "direction": ("a2b", "b2a"),
    "face_features": ("vgg-face", "vgg16", "none"),
    "mask_halvings": (0, 1, 2),
    "critic_norm": ("batch", "none"),
}
RING = 4  # batches that the critic sees in turn: two of real images, two of translations
SHARES = ("area_ratio", "feature_share")


@dataclass(frozen=True)
class DIATConfig:
    """Configuration of DIAT.

    A training step is a round: the batch is four batches of each domain, for the critic, the
    transform network and the auxiliary network in turn.

    Attributes:
        direction: In which it translates.
        masked: Whether translations are blended with the image by a mask.
        transform_width: Channels of the first layer of transform and auxiliary network, a multiple
            of 4; they double up to 8 times this.
        num_halvings: Of both, and as many doublings.
        mask_width: Channels of the mask network's first layer.
        mask_halvings: Of its map: 2, 1 or 0.
        mask_blur: Side in pixels of the blur before the map is cut, odd; 1 for none.
        edge_blur: The same of the blur of the enlarged mask.
        area_ratio: Share of the map above which it is made smaller, and below which larger.
        area_strength: Of the gradient that does so, at each of its values.
        critic_width: Channels of the critic's first layer; they double up to 4 times this.
        critic_halvings: Of the critic, at least 3.
        critic_norm: Of its last two layers: ``batch`` or ``none``. Its batches are all real or all
            fake, so that a batch normalisation takes their means away.
        critic_hidden: Numbers between its two linear layers, which do not learn.
        image_size: Side in pixels of the images that the critic fits.
        denoiser_width: Channels of the denoiser.
        critic_steps: Steps of the critic in a round, a multiple of 4: two batches of real images
            and two of translations, each seen by itself.
        transfer_steps: Steps of transform, mask and auxiliary network that follow.
        gradient_sum: To which the sum of absolute gradients at the translations is brought, by a
            factor of the adversarial loss, after the first two of these steps.
        feature_share: Sum of the absolute gradients of feature matching at the critic's features,
            as a share of those of the adversarial loss.
        lambda_cycle: Weight of the auxiliary network's reconstruction.
        face_features: Network whose features of an image and its translation are compared:
            ``vgg-face``, ``vgg16`` (ImageNet) or ``none``.
        lambda_perceptual: Weight of that comparison.
        penalty_steps: Most steps, after these, that make translations less noisy.
        penalty_slope: Weight of the noise, for each unit of what the denoiser finds.
        penalty_offset: Taken from this weight.
        penalty_least: Of which at least this is left.
        least_noise: At which these steps end.
        dual_steps: Steps, at the end of a round, that learn to undo the auxiliary network.
        lambda_dual: Weight of their loss.
        denoiser_steps: Steps of the denoiser on images with noise, after all others.
        noise: Standard deviation of this noise; images are in [-1, 1].
        denoiser_rate: Adam's learning rate of the denoiser.
        clip: Largest absolute value of the critic's weights, biases and slopes.
        learning_rate: RMSProp's learning rate of all others.
        decay: Of its mean square.
        weight_decay: Its L2 penalty.
        channels: Of the images of each domain, which must be as many.
    """

    direction: Literal["a2b", "b2a"] = "a2b"
    masked: bool = True
    transform_width: int = at_least(4, 64)
    num_halvings: int = at_least(1, 5)
    mask_width: int = at_least(1, 32)
    mask_halvings: int = 2
    mask_blur: int = at_least(1, 5)
    edge_blur: int = at_least(1, 9)
    area_ratio: float = at_least(0, 0.72)
    area_strength: float = at_least(0, 0.1)
    critic_width: int = at_least(1, 64)
    critic_halvings: int = at_least(3, 6)
    critic_norm: Literal["batch", "none"] = "batch"
    critic_hidden: int = at_least(1, 512)
    image_size: int = at_least(16, 128)
    denoiser_width: int = at_least(1, 64)
    critic_steps: int = at_least(RING, 24)
    transfer_steps: int = at_least(1, 8)
    gradient_sum: float = at_least(0, 8000.0)
    feature_share: float = at_least(0, 0.01)
    lambda_cycle: float = at_least(0, 1.0)
    face_features: Literal["vgg-face", "vgg16", "none"] = "vgg-face"
    lambda_perceptual: float = at_least(0, 0.1)
    penalty_steps: int = at_least(0, 3)
    penalty_slope: float = at_least(0, 0.3)
    penalty_offset: float = at_least(0, 6.0)
    penalty_least: float = at_least(0, 0.1)
    least_noise: float = at_least(0, 20.0)
    dual_steps: int = at_least(0, 1)
    lambda_dual: float = at_least(0, 1.0)
    denoiser_steps: int = at_least(0, 4)
    noise: float = at_least(0, 0.1)
    denoiser_rate: float = at_least(0, 1e-3)
    clip: float = at_least(0, 0.031)
    learning_rate: float = at_least(0, 5e-5)
    decay: float = at_least(0, 0.98)
    weight_decay: float = at_least(0, 5e-4)
    channels: tuple[int, ...] = (3, 3)

    def __post_init__(self) -> None:
        check_limits(self)
        require_choices(self, **POSSIBLE)
        self._require_multiples()
        for name in SHARES:
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a share, at most 1")
        if self.image_size >> self.critic_halvings < 2:
            raise ValueError(
                f"critic_halvings is {self.critic_halvings}, and image_size {self.image_size}; at "
                "least 2x2 px must be left to normalise"
            )
        counts = ", ".join(map(str, self.channels))
        if len(set(self.channels)) > 1:
            raise ValueError(
                f"channels are {counts}; source and target must have as many, since a mask blends "
                "an image with its translation"
            )
        if self.face_features != "none" and self.channels[0] != 3:
            raise ValueError(
                f"face_features is {self.face_features} and images have {self.channels[0]} "
                "channels; it takes 3: set face_features to none"
            )

    def _require_multiples(self) -> None:
        for name, multiple in (("transform_width", 4), ("critic_steps", RING)):
            if getattr(self, name) % multiple:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; a multiple of {multiple} is needed"
                )
        for name in ("mask_blur", "edge_blur"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(f"{name} is {getattr(self, name)}; an odd side is needed")


ABLATIONS = {
    "parts": Ablation(
        "DIAT without each of its parts",
        "parts",
        (
            Variation("full", {}),
            Variation("no mask", {"masked": "false"}),
            Variation("no feature matching", {"feature_share": "0"}),
            Variation("no noise penalty", {"penalty_steps": "0"}),
            Variation("no way back", {"lambda_cycle": "0", "dual_steps": "0"}),
        ),
    ),
}

SMALLER: Mapping[str, dict[str, Any]] = {
    "small": {
        **{"transform_width": 24, "mask_width": 8, "mask_halvings": 1},
        **{"mask_blur": 3, "edge_blur": 3},
        **{"critic_width": 16, "critic_hidden": 64, "critic_norm": "none", "clip": 0.05},
        **{"critic_steps": 8, "transfer_steps": 4, "learning_rate": 5e-4, "denoiser_width": 8},
        **{"gradient_sum": 10.0, "area_strength": 1e-4, "area_ratio": 0.4},
        **{"penalty_steps": 1, "penalty_slope": 3e-4, "penalty_offset": 6e-3},
        **{"penalty_least": 1e-4, "lambda_cycle": 10.0, "lambda_dual": 10.0},
        **{"face_features": "none", "denoiser_steps": 1},
    },
    "tiny": {
        **{"transform_width": 4, "mask_width": 2, "critic_width": 4, "critic_hidden": 8},
        **{"denoiser_width": 4, "clip": 0.1, "critic_steps": 4, "transfer_steps": 3},
        **{"face_features": "none", "denoiser_steps": 1},
    },
}
