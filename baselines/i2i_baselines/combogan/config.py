"""Configuration of ComboGAN, its presets and studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from i2i_bench.blocks.limits import at_least, check_limits, require_choices, require_schedule
from i2i_bench.model import Ablation, Preset, Variation

NETWORKS = ("last", "2017")


@dataclass(frozen=True)
class ComboGANConfig:
    """Configuration of ComboGAN.

    Attributes:
        domains: Of the task, in its order.
        networks: ``last``: PReLUs, and discriminators that judge grey images and blurred ones, at
            several layers; ``2017``: ReLUs, and discriminators of patches, the form that papers
            count.
        generator_width: Channels of an encoder's first layer and a decoder's last but one.
        discriminator_width: Channels of a discriminator's first layer; they double up to 8 times.
        encoder_blocks: Residual blocks of an encoder.
        decoder_blocks: Residual blocks of a decoder.
        discriminator_layers: Most layers of stride 2; the networks of 2017 have 3.
        lambda_cycle: Weight of the cycle loss.
        lambda_identity: Weight of the distance of an image from what its own decoder makes of its
            code, at half the size; no pass for it where 0.
        lambda_forward: Weight of the distance of an image from its translation, at half the size.
        lambda_latent: Weight of the distance of a code from that of the translation at the end of
            training; it grows from 0 with the epochs.
        learning_rate: Adam's learning rate before the decay; its moments decay by 0.5 and 0.999.
        constant_epochs: Epochs at the full learning rate; with decay_epochs they divide the budget.
        decay_epochs: Epochs over which it falls linearly.
        pool_size: Fakes remembered for each discriminator.
        channels: Of the images of each domain, in the task's order; one number is of all of them.
    """

    domains: tuple[str, ...] = ("a", "b")
    networks: Literal["last", "2017"] = "last"
    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    encoder_blocks: int = at_least(0, 4)
    decoder_blocks: int = at_least(0, 5)
    discriminator_layers: int = at_least(1, 4)
    lambda_cycle: float = at_least(0, 10.0)
    lambda_identity: float = at_least(0, 0.0)
    lambda_forward: float = at_least(0, 0.0)
    lambda_latent: float = at_least(0, 0.0)
    learning_rate: float = 2e-4
    constant_epochs: int = 100
    decay_epochs: int = 100
    pool_size: int = at_least(0, 50)
    channels: tuple[int, ...] = (3, 3)

    def __post_init__(self) -> None:
        require_schedule(self.constant_epochs, self.decay_epochs)
        check_limits(self)
        require_choices(self, networks=NETWORKS)
        if len(self.domains) < 2 or len(set(self.domains)) < len(self.domains):
            given = ", ".join(self.domains)
            raise ValueError(f"domains are {given}; two or more are needed, each of its own name")
        if len(set(self.channels)) > 1 and len(self.channels) != len(self.domains):
            raise ValueError(
                f"channels has {len(self.channels)} numbers that differ and there are "
                f"{len(self.domains)} domains; give one number, or one a domain"
            )

    def number(self, domain: str) -> str:
        """Give the number of a domain, by which its networks are found, as the authors count."""
        return str(self.domains.index(domain))

    def inputs(self, domain: str) -> int:
        """Give the channels of a domain's images."""
        is_common = len(set(self.channels)) == 1
        return self.channels[0 if is_common else self.domains.index(domain)]


ABLATIONS = {
    "networks": Ablation(
        "The networks of 2017, which papers count, and the authors' last ones",
        "networks",
        tuple(Variation(each, {"networks": each}) for each in reversed(NETWORKS)),
    ),
    "losses": Ablation(
        "The authors' optional terms, each beside adversarial and cycle losses",
        "loss",
        (
            Variation("none of them", {}),
            Variation("identity", {"lambda_identity": "1"}),
            Variation("forward", {"lambda_forward": "1"}),
            Variation("latent", {"lambda_latent": "1"}),
            Variation("no cycle", {"lambda_cycle": "0"}),
        ),
    ),
}

PRESETS: Mapping[Preset, dict[str, Any]] = {
    "published": {},
    "small": {
        **{"generator_width": 24, "discriminator_width": 16, "encoder_blocks": 1},
        **{"decoder_blocks": 2, "discriminator_layers": 3, "learning_rate": 4e-4},
    },
    "tiny": {
        **{"generator_width": 4, "discriminator_width": 4, "encoder_blocks": 1},
        **{"decoder_blocks": 1, "discriminator_layers": 2, "pool_size": 4},
    },
}
