"""What DCLGAN can be told: its configuration, presets, ablations and card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from i2i_bench.blocks.contrast import layer_numbers
from i2i_bench.blocks.limits import at_least, check_limits, require_choices, require_schedule
from i2i_bench.model import Ablation, ModelCard, Variation

DOMAINS = ("a", "b")
POSSIBLE = {
    "loss": ("hinge", "lsgan"),
    "similarity": ("cosine", "dot"),
    "negatives": ("batch", "image"),
}


@dataclass(frozen=True)
class DCLGANConfig:
    """Configuration of DCLGAN.

    Attributes:
        generator_width: Channels of the generators' first layer.
        discriminator_width: Channels of the discriminators' first layer.
        num_blocks: Residual blocks of the generators.
        discriminator_layers: Halvings of the discriminators; 3 see patches of 70x70 px.
        antialias: Whether generators and discriminators halve by a blur, not by convolutions of
            stride 2; layers then have other numbers.
        antialias_up: Whether generators double by a blur, not by transposed convolutions.
        nce_layers: Numbers of the encoders' layers whose features are compared, as the authors
            count: 0 is the padded image, 4 and 8 are the convolutions before the halvings, 12 and
            16 residual blocks, the first and the fifth.
        head_width: Length of the vectors that are compared.
        num_patches: Places of each layer that are compared; fewer where it has fewer.
        temperature: By which similarities are divided.
        similarity: Of vectors: their ``cosine``, or their ``dot`` product, as CUT.
        negatives: Whether a patch is told among those of the whole ``batch``, or of its ``image``.
        loss: Adversarial loss, ``hinge`` or ``lsgan``.
        lambda_adversarial: Weight of both adversarial losses together; each has half of it.
        lambda_nce: The same of the patches' losses.
        lambda_identity: The same of the identity losses.
        lambda_similarity: Weight of SimDCL's distance between the two domains' summaries of real
            images and of translations; without their networks at 0.
        map_width: Length of a summary.
        learning_rate: Adam's learning rate before the decay.
        beta1: Adam's decay of the first moment; the second's is 0.999.
        head_learning_rate: The learning rate of heads and summaries before the decay.
        head_beta1: The same decay of theirs.
        constant_epochs: Epochs at the full learning rate; with decay_epochs they divide the budget.
        decay_epochs: Epochs over which it falls linearly.
        channels: Of the images of a and b; with an identity loss, as many.
    """

    generator_width: int = at_least(1, 64)
    discriminator_width: int = at_least(1, 64)
    num_blocks: int = at_least(0, 9)
    discriminator_layers: int = at_least(1, 3)
    antialias: bool = True
    antialias_up: bool = True
    nce_layers: str = "4,8,12,16"
    head_width: int = at_least(1, 256)
    num_patches: int = at_least(1, 256)
    temperature: float = at_least(1e-3, 0.07)
    similarity: Literal["cosine", "dot"] = "cosine"
    negatives: Literal["batch", "image"] = "batch"
    loss: Literal["hinge", "lsgan"] = "hinge"
    lambda_adversarial: float = at_least(0, 1.0)
    lambda_nce: float = at_least(0, 2.0)
    lambda_identity: float = at_least(0, 1.0)
    lambda_similarity: float = at_least(0, 0.0)
    map_width: int = at_least(1, 64)
    learning_rate: float = 2e-4
    beta1: float = 0.5
    head_learning_rate: float = 1e-3
    head_beta1: float = 0.9
    constant_epochs: int = 200
    decay_epochs: int = 200
    channels: tuple[int, ...] = (3, 3)

    def __post_init__(self) -> None:
        require_schedule(self.constant_epochs, self.decay_epochs)
        check_limits(self)
        require_choices(self, **POSSIBLE)
        if len(set(self.channels)) > 1 and self.lambda_identity > 0:
            raise ValueError(
                f"channels are {', '.join(map(str, self.channels))}; with an identity loss both "
                "domains must have as many: set lambda_identity=0"
            )
        if self.lambda_similarity > 0 and min(self.num_patches, self.head_width) < 3:
            raise ValueError("lambda_similarity needs num_patches and head_width of at least 3")
        _ = self.layers

    @property
    def layers(self) -> tuple[int, ...]:
        """The numbers of the layers whose features are compared."""
        return layer_numbers(self.nce_layers, self.num_blocks, blur=self.antialias)


_SIMDCL = {
    "lambda_similarity": "10",
    "lambda_nce": "1",
    "head_learning_rate": "2e-4",
    "head_beta1": "0.5",
}
ABLATIONS = {
    "parts": Ablation(
        "SimDCL, pixels as a layer, no identity loss, CUT's contrast, and one way alone",
        "DCLGAN",
        (
            Variation("as published", {}),
            Variation("SimDCL", _SIMDCL),
            Variation("pixels, too", {"nce_layers": "0,4,8,12,16"}),
            Variation("no identity", {"lambda_identity": "0"}),
            Variation("CUT's contrast", {"similarity": "dot", "negatives": "image"}),
            Variation("one way (CUT)", {}, model="cut"),
        ),
    ),
}

CARD = ModelCard(
    title="DCLGAN",
    authors="Junlin Han, Mehrdad Shoeiby, Lars Petersson, Mohammad Ali Armin",
    venue="CVPR Workshops",
    year=2021,
    arxiv="2104.07689",
    licence="authors' code: BSD; this implementation is independent",
    deviations=(
        "As the authors' code, heads learn by Adam's defaults (rate 1e-3, first decay 0.9), "
        "those of SimDCL as the other networks.",
        "As that code, vectors are compared by their cosine, with the patches of all images of "
        "a batch, and the adversarial loss is the hinge, of which generators only feel what "
        "their translations lack to 1.",
        "SimDCL is lambda_similarity=10 lambda_nce=1 head_learning_rate=2e-4 head_beta1=0.5; "
        "it takes any batch here, and any number of patches that every layer has.",
        "As in the authors' code, networks halve and double by blurs (antialias, "
        "antialias_up), and weights begin as Glorot and Bengio's times 0.02.",
        "Each image has patches of its own; the authors' batches of several share their places.",
        "A vector of norm 0 has a finite gradient; the authors' is not a number.",
        "The learning rate decays by epochs, which here are equal parts of the budget; the "
        "code has 200 + 200, and had 100 + 100 when the paper appeared.",
        "Training images are cropped at random throughout; the authors' code stops once the "
        "learning rate decays.",
        "Each domain is shuffled on its own; the authors draw the second one with replacement.",
        "Where domains have other numbers of channels there is no identity loss.",
        "The presets small and tiny have 5 residual blocks and fewer channels and patches.",
    ),
    minimum_size=24,
    samples_interact=True,
)
