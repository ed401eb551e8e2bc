"""What a reader must know about DRIT, and what its own losses measure."""

from __future__ import annotations

from types import MappingProxyType

from i2i_bench.model import ModelCard

CARD = ModelCard(
    title="DRIT",
    authors="Hsin-Ying Lee, Hung-Yu Tseng, Jia-Bin Huang, Maneesh Singh, Ming-Hsuan Yang",
    venue="ECCV",
    year=2018,
    arxiv="1808.00948",
    licence="authors' code: no licence stated; this implementation is independent",
    deviations=(
        "As the authors' later code (DRIT++): mode seeking and discriminators at three scales "
        "are on; lambda_mode_seeking=0 discriminator_scales=1 comes near to the method of 2018, "
        "whose single discriminator had two layers more, and no numbers of theirs prove it.",
        "As the authors' code, no discriminator is normalised: its option for that compares two "
        "words that differ.",
        "As the authors' code with mode seeking, the discriminators of drawn attributes count "
        "the real images twice; one drawn attribute serves both directions.",
        "The second update of encoders and generators reads gradients that the authors' took on "
        "activations from before the first; here both are of the same weights, as PyTorch since "
        "1.5 refuses the former (1e-2 apart after three updates).",
        "The authors' batch of 2 is an image to encode and one for the discriminators; here "
        "these are the halves of a batch, and the divergence is a mean over samples.",
        "Where shapes vary the authors advise the feature-wise transformation: cat2dog, "
        "photo2portrait and selfie2anime have it; what U-GAT-IT's comparison used is not known.",
        "Test images are resized to 216 px whole; the authors resize to 256 and crop 216.",
        "The learning rate decays by epochs, which here are equal parts of the budget, and "
        "training ends with the epoch of the 500,000th update of the generators.",
        "The presets small and tiny are narrower and shallower, those of the content "
        "discriminator above all: the authors' needs contents of 53 px, images of 212; in small, "
        "images are halved once, contents are neither normalised nor kept near 0 (noise that is "
        "added would drown them), attributes have two numbers, which a larger weight keeps near "
        "N(0, 1), both domains start from the same weights, and every step trains all networks.",
    ),
    minimum_size=212,
    samples_interact=True,
    is_random=True,
    takes_examples=True,
)

LOSSES = MappingProxyType(
    {
        "discriminator_random": "what the optimiser of the discriminator of translations with "
        "drawn attributes minimises",
        "discriminator_content": "what the optimiser of the discriminator of contents minimises",
        "adversarial_random": "what translations with drawn attributes lack in the eyes of "
        "their discriminator",
        "adversarial_content": "how well the domain of a content can be told",
        "kl_content": "mean square of a content",
        "mode_seeking": "distance of two drawn attributes over that of their translations",
    }
)
