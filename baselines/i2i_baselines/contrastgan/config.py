"""Configuration of ContrastGAN, its presets and studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from i2i_bench.blocks.limits import (
    at_least,
    check_limits,
    require_at_least,
    require_choices,
    require_schedule,
)
from i2i_bench.model import Ablation, Preset, Variation

PADDINGS = ("zeros", "reflect")
REFERENCES = ("category", "batch")


@dataclass(frozen=True)
class ContrastGANConfig:
    """Configuration of ContrastGAN.

    Attributes:
        domains: Of the task, in its order: the categories.
        masked: Whether objects are translated within their masks, where the task has masks;
            without, whole images are.
        object_size: Side in pixels to which the box around an object is resized; a multiple of 4.
        padding: Of the generator; with reflection, instance normalisation takes away what the
            constant planes of a category say.
        reference: Real images whose mean features a translation is to come close to: those of its
            category in the batch, or all of the batch.
        generator_width: Channels of the generator's first layer.
        discriminator_width: Channels of the discriminator's first layer; they double up to 8 times.
        num_blocks: Residual blocks of the generator.
        discriminator_layers: Layers of stride 2 of the discriminator.
        lambda_adversarial: Weight of the adversarial terms of both networks.
        lambda_contrast: Weight of the contrasting distance, which the generator makes small and the
            discriminator large.
        lambda_cycle: Weight of the cycle loss; no pass for it where 0.
        learning_rate: Adam's learning rate before the decay; its moments decay by 0.5 and 0.999.
        constant_epochs: Epochs at the full learning rate; with decay_epochs they divide the budget.
        decay_epochs: Epochs over which it falls linearly.
    """

    domains: tuple[str, ...] = ("a", "b")
    masked: bool = True
    object_size: int = at_least(8, 128)
    padding: Literal["zeros", "reflect"] = "zeros"
    reference: Literal["category", "batch"] = "category"
    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    num_blocks: int = at_least(0, 6)
    discriminator_layers: int = at_least(1, 3)
    lambda_adversarial: float = at_least(0, 1.0)
    lambda_contrast: float = at_least(0, 1.0)
    lambda_cycle: float = at_least(0, 10.0)
    learning_rate: float = 2e-4
    constant_epochs: int = 100
    decay_epochs: int = 100

    def __post_init__(self) -> None:
        require_schedule(self.constant_epochs, self.decay_epochs)
        check_limits(self)
        require_choices(self, padding=PADDINGS, reference=REFERENCES)
        require_at_least(self, object_size=smallest_side(self.discriminator_layers))
        if self.object_size % 4:
            raise ValueError(f"object_size is {self.object_size}; a multiple of 4 is needed")
        if not self.lambda_adversarial and not self.lambda_contrast:
            raise ValueError(
                "lambda_adversarial and lambda_contrast are both 0; the discriminator needs one"
            )
        if len(self.domains) < 2 or len(set(self.domains)) < len(self.domains):
            given = ", ".join(self.domains)
            raise ValueError(f"domains are {given}; two or more are needed, each of its own name")


def smallest_side(discriminator_layers: int) -> int:
    """Give the smallest side in pixels of what both networks take."""
    return max(8, 3 * 2**discriminator_layers)


ABLATIONS = {
    "losses": Ablation(
        "The contrasting distance and the terms beside it",
        "loss",
        (
            Variation("all", {}),
            Variation("no contrast", {"lambda_contrast": "0"}),
            Variation("contrast and cycle", {"lambda_adversarial": "0"}),
            Variation("contrast alone", {"lambda_adversarial": "0", "lambda_cycle": "0"}),
        ),
    ),
    "masks": Ablation(
        "Objects within their masks, and whole images",
        "translated",
        (Variation("objects", {}), Variation("whole images", {"masked": "false"})),
    ),
    "reference": Ablation(
        "What a translation's features are compared with",
        "reference",
        tuple(Variation(each, {"reference": each}) for each in REFERENCES),
    ),
    "padding": Ablation(
        "Padding of the generator: where it reflects, planes of a category say nothing",
        "padding",
        tuple(Variation(each, {"padding": each}) for each in PADDINGS),
    ),
}

PRESETS: Mapping[Preset, dict[str, Any]] = {
    "published": {},
    "small": {
        **{"object_size": 16, "generator_width": 16, "discriminator_width": 16, "num_blocks": 2},
        **{"discriminator_layers": 2, "learning_rate": 5e-4},
    },
    "tiny": {
        **{"object_size": 16, "generator_width": 4, "discriminator_width": 4, "num_blocks": 1},
        **{"discriminator_layers": 2},
    },
}
