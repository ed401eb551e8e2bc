"""Configuration of GANimorph, its presets, card and studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from i2i_bench.blocks.limits import at_least, check_limits, require_schedule
from i2i_bench.blocks.similarity import POWERS
from i2i_bench.model import Ablation, Clock, ModelCard, Preset, Variation

DOMAINS = ("a", "b")
TERMS = ("adversarial", "feature_matching", "structure", "cycle")  # that the generators minimise
FIRST_REFRESH = 36  # batches before the scales of the terms are first taken anew
MOST_DILATION = 1024  # px


@dataclass(frozen=True)
class GANimorphConfig:
    """Configuration of GANimorph.

    Attributes:
        channels: Channels of the images of a and b.
        generator_width: Channels of the generator's first layer; they double up to 8 times this.
        discriminator_width: The same of the discriminator's; they double up to 4 times this.
        num_levels: Halvings of the generator, and as many doublings.
        num_blocks: Dense blocks of a group, of which each level but the first has one either way.
        discriminator_layers: Halvings of the discriminator.
        dilations: Of the discriminator's dilated convolutions, in pixels of the last of its maps;
            ``1,1,1`` for plain ones.
        slope: Of the leaky ReLUs of halvings, groups and discriminators below 0; 0 for plain ones,
            as in the last revision.
        generator_steps: Steps of the generators for one of the discriminators; 1 in the last
            revision.
        lambda_adversarial: Weight of the adversarial loss.
        lambda_feature_matching: Weight of the distance of discriminators' features.
        lambda_structure: Weight of what reconstructions lack in structural similarity.
        lambda_cycle: Weight of the mean absolute difference of reconstructions, of images in
            [0, 1].
        lambda_identity: Weight of the mean absolute difference of images in [0, 1] from their
            translations into their own domain, never divided by a running mean; 0 for none, as the
            authors, who leave colours free.
        similarity_levels: Scales at which structures are compared.
        running_decay: Share of a term's running mean that a step keeps.
        refresh_every: Steps between two times at which what each term is divided by becomes its
            running mean; 0 for terms as they are.
        learning_rate: Adam's learning rate; its moments decay by 0.5 and 0.999.
        constant_epochs: Parts of the budget at the full learning rate.
        decay_epochs: Parts over which it falls linearly towards 0.
    """

    channels: tuple[int, ...] = (3, 3)
    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 128)
    num_levels: int = at_least(2, 4)
    num_blocks: int = at_least(1, 3)
    discriminator_layers: int = at_least(1, 3)
    dilations: str = "2,4,8"
    slope: float = at_least(0, 0.2)
    generator_steps: int = at_least(1, 2)
    lambda_adversarial: float = at_least(0, 0.469)
    lambda_feature_matching: float = at_least(0, 0.201)
    lambda_structure: float = at_least(0, 0.231)
    lambda_cycle: float = at_least(0, 0.099)
    lambda_identity: float = at_least(0, 0.0)
    similarity_levels: int = at_least(1, len(POWERS))
    running_decay: float = at_least(0, 0.9999)
    refresh_every: int = at_least(0, 90)
    learning_rate: float = at_least(0, 2e-4)
    constant_epochs: int = 150
    decay_epochs: int = 150

    def __post_init__(self) -> None:
        require_schedule(self.constant_epochs, self.decay_epochs)
        check_limits(self)
        if self.similarity_levels > len(POWERS):
            raise ValueError(
                f"similarity_levels is {self.similarity_levels}; at most {len(POWERS)} are possible"
            )
        if self.running_decay > 1:
            raise ValueError(f"running_decay is {self.running_decay}; it is a share, at most 1")
        if self.lambda_identity and len(set(self.channels)) > 1:
            raise ValueError(
                f"lambda_identity is {self.lambda_identity}, and images of the domains differ in "
                "channels; set it to 0"
            )
        self.dilated()

    def inputs(self, domain: str) -> int:
        """Give the channels of a domain's images."""
        return self.channels[DOMAINS.index(domain)]

    def dilated(self) -> tuple[int, ...]:
        """Give the dilations as numbers.

        Raises:
            ValueError: If they are none.
        """
        parts = self.dilations.split(",")
        found = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 5]
        if len(found) < len(parts) or not all(1 <= each <= MOST_DILATION for each in found):
            raise ValueError(
                f"dilations is {self.dilations!r}; numbers from 1 to {MOST_DILATION} are needed, "
                "with a comma between two"
            )
        return tuple(found)

    def weights(self) -> dict[str, float]:
        """Give the weights of the generators' losses, by term."""
        return {term: getattr(self, f"lambda_{term}") for term in TERMS}

    def trains_generators(self, clock: Clock) -> bool:
        """Tell whether a step is of the generators: all of a round but the last but one."""
        turn = (clock.step - 1) % (self.generator_steps + 1)
        return turn != self.generator_steps - 1

    def refreshes(self, clock: Clock) -> bool:
        """Tell whether the scales of the terms are taken anew in a step."""
        done = clock.step - 1
        if not self.refresh_every:
            return False
        return done == FIRST_REFRESH or done % self.refresh_every == 0


CARD = ModelCard(
    title="GANimorph",
    authors="Aaron Gokaslan, Vivek Ramanujan, Daniel Ritchie, Kwang In Kim, James Tompkin",
    venue="ECCV",
    year=2018,
    arxiv="1808.04325",
    licence="authors' code: not stated; this implementation is independent",
    deviations=(
        "Settings are those of the authors' branch paper_version; those of their last revision are "
        "slope=0 generator_steps=1 budget=9600000.",
        "As the authors' code, a step trains either both generators or both discriminators, on a "
        "batch of its own, and both kinds share the number of steps by which Adam is corrected; "
        "padding, Adam and initial weights are TensorFlow's and tensorpack's.",
        "As that code, running means of the terms begin at 1 and move by a ten-thousandth a step, "
        "so that for thousands of steps terms are divided by about 1; the window of structural "
        "similarity has four pixels on one side and three on the other.",
        "Images have 128 px at most, as the authors'; test images are resized to it by their short "
        "side, where theirs are cut from the middle of 143 px.",
        "Images are rotated and rescaled around the middle of the crop, in one resampling, with "
        "reflected borders; the authors turn them around a random point, with repeated borders, "
        "and crop twice.",
        "Whatever the size of a task, the budget is the authors' 300 epochs of 1,000 steps, "
        "1,500 batches, as the discriminators learn in every other step.",
        "The authors' weights are TensorFlow's and lie in a folder that we have not seen; files "
        "of their code's variables are read.",
        "The presets small and tiny are shallower, as published depths need 128 px: they have "
        "fewer halvings, blocks and scales of similarity, whose powers are enlarged to the same "
        "sum; there images are neither rotated nor rescaled.",
        "In the preset small running means move by a hundredth a step, reconstructions weigh more, "
        "and images are also compared with their translations into their own domain "
        "(lambda_identity=0 leaves that out, as published).",
    ),
    minimum_size=128,
    samples_interact=True,
)

ABLATIONS: Mapping[str, Ablation] = {
    "discriminator": Ablation(
        "Dilated discriminators, and plain ones that see patches",
        "discriminator",
        (Variation("dilated", {}), Variation("plain", {"dilations": "1,1,1"})),
    ),
    "losses": Ablation(
        "All terms, and without matched features, structural similarity or absolute differences",
        "losses",
        (
            Variation("all", {}),
            Variation("without features", {"lambda_feature_matching": "0"}),
            Variation("without structure", {"lambda_structure": "0"}),
            Variation("without differences", {"lambda_cycle": "0"}),
        ),
    ),
    "scales": Ablation(
        "Terms divided by their running means, and as they are",
        "terms",
        (Variation("divided", {}), Variation("as they are", {"refresh_every": "0"})),
    ),
    "revisions": Ablation(
        "The paper's branch, and its two differences to the last revision",
        "revision",
        (
            Variation("paper", {}),
            Variation("plain ReLU", {"slope": "0"}),
            Variation("as many steps", {"generator_steps": "1"}),
            Variation("last", {"slope": "0", "generator_steps": "1"}),
        ),
    ),
}

PRESETS: Mapping[Preset, dict[str, Any]] = {
    "published": {},
    "small": {  # minutes are too short for means of 10,000 steps, and for colours to settle
        **{"generator_width": 24, "discriminator_width": 16, "num_blocks": 1},
        **{"discriminator_layers": 2, "dilations": "2,4", "learning_rate": 1e-3},
        **{"running_decay": 0.99, "lambda_structure": 0.5, "lambda_cycle": 1.0},
        "lambda_identity": 3.0,
    },
    "tiny": {
        **{"generator_width": 2, "discriminator_width": 2, "num_blocks": 1},
        **{"discriminator_layers": 2, "dilations": "2,4"},
    },
}
