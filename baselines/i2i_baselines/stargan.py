"""StarGAN (Choi et al.: Unified GANs for Multi-Domain Translation, CVPR 2018, 1711.09020)."""

from __future__ import annotations

from dataclasses import dataclass

from i2i_bench.blocks.label_conditioned import LabelConditioned, LabelledConfig
from i2i_bench.model import ModelCard


@dataclass(frozen=True)
class StarGANConfig(LabelledConfig):
    """Configuration of StarGAN, which has nothing but what its family shares."""


class StarGAN(LabelConditioned):
    """One generator told by labels, one critic that also classifies."""

    card = ModelCard(
        title="StarGAN",
        authors="Yunjey Choi, Minje Choi, Munyoung Kim, Jung-Woo Ha, Sunghun Kim, Jaegul Choo",
        venue="CVPR",
        year=2018,
        arxiv="1711.09020",
        licence="authors' code: MIT; this implementation is independent",
        deviations=(
            "As the authors' code, the learning rate falls by 0.1 % over the second half of the "
            "steps; --set decay=linear lowers it to 0, as the paper says.",
            "As the authors' code, G normalises by the image's own statistics in testing too.",
            "The last step is one of the generator too; the authors' are every fifth one alone.",
            "Of RaFD and AR Face the largest square in the middle of a photo; StarGAN's code cuts "
            "the middle 256 px of RaFD's, which its users crop to the face before.",
            "Training on two data sets at once, with a mask of labels, is not implemented.",
        ),
        minimum_size=64,
        samples_interact=True,
    )
    Config = StarGANConfig
