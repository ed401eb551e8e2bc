"""Configuration of InstaGAN, its card, presets and studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from i2i_bench.blocks.limits import at_least, check_limits, require_schedule
from i2i_bench.model import Ablation, ModelCard, Preset, Variation

ALL = "256"  # instances a pass: more than any image has here


@dataclass(frozen=True)
class InstaGANConfig:
    """Configuration of InstaGAN.

    Attributes:
        generator_width: Channels of the generator's encoders' first layers.
        discriminator_width: Channels of the discriminator's first layers.
        num_blocks: Residual blocks of each encoder of the generator.
        discriminator_layers: Layers of stride 2 of the discriminator; 3 see patches of 70x70 px.
        training_instances: Most instances of a training image, the largest first.
        instances_per_pass: Instances that are translated at once, in training and at test; the
            next ones are translated in what became of the image before.
        lambda_cycle: Weight of the cycle loss, of images and masks.
        lambda_identity: Weight of the identity loss, of images and masks.
        lambda_context: Weight of the change of an image outside of the masks before and after.
        learning_rate: Adam's learning rate before the decay; its moments decay by 0.5 and 0.999.
        constant_epochs: Epochs at the full learning rate; with decay_epochs they divide the budget.
        decay_epochs: Epochs over which it falls linearly.
        pool_size: Fakes remembered for each discriminator.
        channels: Of the images of domains a and b, which must be as many: what comes out of a pass
            goes into the next.
    """

    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    num_blocks: int = at_least(0, 9)
    discriminator_layers: int = at_least(1, 3)
    training_instances: int = at_least(1, 4)
    instances_per_pass: int = at_least(1, 2)
    lambda_cycle: float = at_least(0, 10.0)
    lambda_identity: float = at_least(0, 10.0)
    lambda_context: float = at_least(0, 10.0)
    learning_rate: float = 2e-4
    constant_epochs: int = 100
    decay_epochs: int = 100
    pool_size: int = at_least(0, 50)
    channels: tuple[int, ...] = (3, 3)

    def __post_init__(self) -> None:
        require_schedule(self.constant_epochs, self.decay_epochs)
        check_limits(self)
        if len(set(self.channels)) > 1:
            given = " and ".join(map(str, self.channels))
            raise ValueError(
                f"images of a and b have {given} channels; {CARD.title} needs as many in both, as "
                "an image that is translated in part is translated further"
            )

    @property
    def weights(self) -> dict[str, float]:
        """The weights of the generators' terms."""
        terms = ("cycle", "identity", "context")
        return {"adversarial": 1.0} | {term: getattr(self, f"lambda_{term}") for term in terms}


CARD = ModelCard(
    title="InstaGAN",
    authors="Sangwoo Mo, Minsu Cho, Jinwoo Shin",
    venue="ICLR",
    year=2019,
    arxiv="1812.10889",
    licence="authors' code: BSD; this implementation is independent",
    deviations=(
        "The authors' code is right for one image a step alone: it adds up masks over the batch. "
        "Here images of a batch have their own masks; of one image, steps equal the authors'.",
        "As that code, a mask that is empty is passed over, and so is an image without instances "
        "in a pass: it has no losses there, and no step is taken where none has any. In a batch, "
        "spectral norms count a mask where any image has one in its place.",
        "PyTorch of the authors' time gave Adam a step of zero gradients there, which moves "
        "weights by momentum; here, as under today's, they rest.",
        "An image without instances is left as it is; the authors' test cannot take one. As their "
        "code, discriminators see it with one empty mask.",
        "As that code, the terms of later passes compare with the image that came out of the pass "
        "before, and the discriminator is shown the original with all its masks.",
        "As that code, masks are added up for the context, whose gradient reaches the masks.",
        "In gradients, the vectors of spectral norms are those of the forward itself, as the paper "
        "of the norm has it; the authors' code under today's PyTorch uses those of the last one.",
        "The authors train 100 + 100 epochs, 400 + 200 on jeans and skirts, and crop 200 of 220 px "
        "or rectangles; here the crop is as large as the task's images, and loaded 1.1 times that.",
        "A test image has up to 20 instances, as in the authors' commands.",
        "Each domain is shuffled, cropped and mirrored on its own; the authors draw the second one "
        "with replacement, and cut both alike.",
        "The authors withdraw their task of jeans and skirts; sheep and giraffes remain.",
        "The presets small and tiny are narrower, with fewer blocks and layers, and for three "
        "instances, which small translates at once: embedded tasks have no more.",
    ),
    minimum_size=24,
    samples_interact=True,
)

ABLATIONS = {
    "components": Ablation(
        "CycleGAN, then masks as a set, the context loss and passes, as the paper adds them",
        "method",
        (
            Variation("CycleGAN", {}, "cyclegan"),
            Variation("+ set of masks", {"instances_per_pass": ALL, "lambda_context": "0"}),
            Variation("+ context", {"instances_per_pass": ALL}),
            Variation("+ passes", {"instances_per_pass": "2"}),
        ),
    ),
    "passes": Ablation(
        "How many instances are translated at once",
        "instances a pass",
        (
            Variation("one", {"instances_per_pass": "1"}),
            Variation("two", {"instances_per_pass": "2"}),
            Variation("all", {"instances_per_pass": ALL}),
        ),
    ),
}

PRESETS: Mapping[Preset, dict[str, Any]] = {
    "published": {},
    "small": {
        **{"generator_width": 16, "discriminator_width": 16, "num_blocks": 2},
        **{"discriminator_layers": 2, "learning_rate": 5e-4, "training_instances": 3},
        "instances_per_pass": 3,
    },
    "tiny": {
        **{"generator_width": 4, "discriminator_width": 4, "num_blocks": 1},
        **{"discriminator_layers": 2, "training_instances": 3, "pool_size": 4},
    },
}
