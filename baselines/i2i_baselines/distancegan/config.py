"""Configurations of DistanceGAN's forms, their presets and studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from i2i_bench.blocks.limits import at_least, check_limits, require_choices, require_schedule
from i2i_bench.model import A2B, B2A, Ablation, Preset, Variation

DOMAINS = ("a", "b")
WAYS = {"both": (A2B, B2A), "a2b": (A2B,), "b2a": (B2A,)}
POSSIBLE = {"networks": ("cyclegan", "disco"), "direction": WAYS, "compared": ("pairs", "halves")}


@dataclass(frozen=True)
class DistanceGANConfig:
    """Configuration of DistanceGAN.

    Attributes:
        networks: ``cyclegan``: residual generators and discriminators of patches, least squares;
            ``disco``: DiscoGAN's networks, losses and turns, for images of 64 px.
        direction: ``both``, or the one that is trained, without a way back.
        compared: ``pairs``: distances of two images; ``halves``: of the top and bottom of one.
        generator_width: Channels of the generator's first layer.
        discriminator_width: Channels of the discriminator's first layer.
        num_blocks: Residual blocks of the generator.
        discriminator_layers: Layers of stride 2 of the discriminator of patches.
        num_layers: Halvings of DiscoGAN's networks.
        lambda_distance: Weight of the distance loss.
        lambda_cycle: Weight of the cycle loss, for both directions only; no pass for 0.
        statistics_items: Batches (with DiscoGAN's networks, images) from which mean and standard
            deviation of distances are taken, at most.
        starting_rate: With DiscoGAN's networks, share of distances and cycles at first.
        default_rate: The same afterwards.
        curriculum_steps: Steps until then.
        learning_rate: Adam's learning rate before the decay; its moments decay by 0.5 and 0.999.
        constant_epochs: Epochs at the full learning rate; with decay_epochs they divide the budget.
        decay_epochs: Epochs over which it falls linearly.
        pool_size: Fakes remembered for each discriminator of patches.
        channels: Of the images of each domain, in the order of the task's.
    """

    networks: Literal["cyclegan", "disco"] = "cyclegan"
    direction: Literal["both", "a2b", "b2a"] = "both"
    compared: Literal["pairs", "halves"] = "pairs"
    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    num_blocks: int = at_least(0, 9)
    discriminator_layers: int = at_least(1, 3)
    num_layers: int = at_least(1, 4)
    lambda_distance: float = at_least(0, 1.0)
    lambda_cycle: float = at_least(0, 0.0)
    statistics_items: int = at_least(2, 900)
    starting_rate: float = at_least(0, 0.01)
    default_rate: float = at_least(0, 0.5)
    curriculum_steps: int = at_least(0, 10_000)
    learning_rate: float = 2e-4
    constant_epochs: int = 100
    decay_epochs: int = 100
    pool_size: int = at_least(0, 50)
    channels: tuple[int, ...] = (3, 3)

    def __post_init__(self) -> None:
        require_schedule(self.constant_epochs, self.decay_epochs)
        check_limits(self)
        require_choices(self, **POSSIBLE)
        if self.lambda_cycle and self.direction != "both":
            raise ValueError(
                f"direction is {self.direction} and lambda_cycle {self.lambda_cycle}; a cycle "
                "needs a way back: set direction to both, or lambda_cycle to 0"
            )

    def inputs(self, domain: str) -> int:
        """Give the channels of a domain's images."""
        return self.channels[DOMAINS.index(domain)]


@dataclass(frozen=True)
class DistanceGANCycleConfig(DistanceGANConfig):  # noqa: D101 - it is DistanceGAN's, of another name
    __doc__ = (DistanceGANConfig.__doc__ or "").replace("of DistanceGAN", "of its cycles", 1)

    lambda_cycle: float = at_least(0, 10.0)


@dataclass(frozen=True)
class DistanceGANSelfConfig(DistanceGANConfig):  # noqa: D101 - it is DistanceGAN's, of another name
    __doc__ = (DistanceGANConfig.__doc__ or "").replace("of DistanceGAN", "of its halves", 1)

    compared: Literal["pairs", "halves"] = "halves"


ABLATIONS = {
    "losses": Ablation(
        "Distances of pairs and of halves, cycles, both and neither (the paper's comparison)",
        "loss",
        (
            Variation("distance", {}),
            Variation("self-distance", {}, model="distancegan-self"),
            Variation("distance + cycle", {}, model="distancegan-cycle"),
            Variation("cycle", {"lambda_distance": "0"}, model="distancegan-cycle"),
            Variation("neither", {"lambda_distance": "0"}),
        ),
    ),
    "sides": Ablation(
        "Both directions at once, and a to b alone",
        "sides",
        tuple(Variation(each, {"direction": each}) for each in ("both", "a2b")),
    ),
}

PRESETS: Mapping[Preset, dict[str, Any]] = {
    "published": {},
    "small": {
        **{"generator_width": 24, "discriminator_width": 16, "num_blocks": 3},
        **{"discriminator_layers": 2, "learning_rate": 4e-4, "curriculum_steps": 150},
    },
    "tiny": {
        **{"generator_width": 4, "discriminator_width": 4, "num_blocks": 1, "num_layers": 3},
        **{"pool_size": 4, "curriculum_steps": 2},
    },
}
