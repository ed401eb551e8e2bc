"""Configuration of BicycleGAN, its presets, and what it may be compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from i2i_bench.blocks.limits import at_least, check_limits, require_choices, require_schedule
from i2i_bench.model import A2B, B2A, Ablation, Variation

DIRECTIONS = {"a2b": A2B, "b2a": B2A}
BACKWARDS = ("facades", "maps")  # names of what the authors translate from b to a
EPOCHS = {"facades": 200, "maps": 200, "edges2shoes": 30, "edges2handbags": 15}  # and as many again
GREY_SOURCES = ("edges2shoes", "edges2handbags")


@dataclass(frozen=True)
class BicycleGANConfig:
    """Configuration of BicycleGAN.

    Attributes:
        direction: In which it translates.
        levels: Halvings down to the bottleneck; 2 to this power must divide the sides of images.
        generator_width: Channels after the generator's first halving.
        encoder_width: Channels after the encoder's first halving.
        encoder_blocks: Residual blocks of the encoder, each of which halves.
        discriminator_width: Channels of the first layer of a discriminator at full resolution.
        discriminator_layers: Layers of stride 2 of a discriminator at each scale.
        discriminator_scales: Image scales that are judged, each half the size of the one before.
        code_width: Numbers of the code that says which of the possible translations is meant.
        code_at: Whether the code enters the generator before the ``first`` halving or ``all``.
        dropout: Whether generators are trained with dropout.
        grey_source: Whether sources are turned to grey, as the authors do with edges.
        lambda_encoded: Weight of the adversarial loss of translations by a true image's code; with
            it at 0 there is no discriminator of these.
        lambda_reconstruction: Weight of the L1 distance of these from the true image.
        lambda_kl: Weight of the divergence of codes from N(0, I), a sum over the batch; at 0 a code
            is the encoder's mean.
        lambda_random: Weight of the adversarial loss of translations by a drawn code; with it at 0
            there is no discriminator of these.
        lambda_latent: Weight of the L1 distance of a drawn code from what the encoder finds of it.
        learning_rate: Adam's learning rate before the decay.
        beta1: Adam's decay of the first moment; the second's is 0.999.
        constant_epochs: Epochs at the full learning rate; with decay_epochs they divide the budget.
        decay_epochs: Epochs over which it falls linearly.
        channels: Of the images of each domain, in the order of the task's.
    """

    direction: Literal["a2b", "b2a"] = "a2b"
    levels: int = at_least(2, 8)
    generator_width: int = at_least(1, 64)
    encoder_width: int = at_least(1, 64)
    encoder_blocks: int = at_least(1, 4)
    discriminator_width: int = at_least(1, 64)
    discriminator_layers: int = at_least(1, 3)
    discriminator_scales: int = at_least(1, 2)
    code_width: int = at_least(1, 8)
    code_at: Literal["first", "all"] = "all"
    dropout: bool = True
    grey_source: bool = False
    lambda_encoded: float = at_least(0, 1.0)
    lambda_reconstruction: float = at_least(0, 10.0)
    lambda_kl: float = at_least(0, 0.01)
    lambda_random: float = at_least(0, 1.0)
    lambda_latent: float = at_least(0, 0.5)
    learning_rate: float = 2e-4
    beta1: float = 0.5
    constant_epochs: int = 100
    decay_epochs: int = 100
    channels: tuple[int, ...] = (3, 3)

    def __post_init__(self) -> None:
        require_schedule(self.constant_epochs, self.decay_epochs)
        check_limits(self)
        require_choices(self, direction=DIRECTIONS, code_at=("first", "all"))
        if not (self.takes_codes or self.draws_codes):
            raise ValueError(
                "lambda_encoded, lambda_reconstruction, lambda_random and lambda_latent are 0; one "
                "of them must not be"
            )

    @property
    def takes_codes(self) -> bool:
        """Whether training translates by codes of true images."""
        return self.lambda_encoded > 0 or self.lambda_reconstruction > 0

    @property
    def draws_codes(self) -> bool:
        """Whether training translates by drawn codes."""
        return self.lambda_random > 0 or self.lambda_latent > 0


_VAE = {"lambda_random": "0", "lambda_latent": "0"}
ABLATIONS = {
    "cycles": Ablation(
        "The two cycles, from image to code and back (cVAE, cAE) and from code to image (cLR)",
        "method",
        (
            Variation("cAE-GAN", _VAE | {"lambda_kl": "0"}),
            Variation("cVAE-GAN", _VAE),
            Variation(
                "cLR-GAN", {"lambda_encoded": "0", "lambda_reconstruction": "0", "lambda_kl": "0"}
            ),
            Variation("BicycleGAN", {}),
        ),
    ),
    "code": Ablation(
        "Where the code enters the generator",
        "code",
        (Variation("all levels", {}), Variation("input", {"code_at": "first"})),
    ),
}

PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        "generator_width": 24,
        "encoder_width": 24,
        "discriminator_width": 16,
        "discriminator_layers": 2,
        "lambda_reconstruction": 30.0,  # and of kl as much more: 10 teaches too little so soon
        "lambda_kl": 0.03,
        "learning_rate": 1e-3,
    },
    "tiny": {
        "generator_width": 4,
        "encoder_width": 4,
        "discriminator_width": 4,
        "discriminator_layers": 2,
    },
}
