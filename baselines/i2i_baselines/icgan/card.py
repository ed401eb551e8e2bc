"""What a reader must know about IcGAN before they trust its row."""

from __future__ import annotations

from i2i_baselines.icgan.networks import LEAST_SIDE
from i2i_bench.model import ModelCard

CARD = ModelCard(
    title="IcGAN",
    authors="Guim Perarnau, Joost van de Weijer, Bogdan Raducanu, Jose M. Álvarez",
    venue="NIPS Workshops",
    year=2016,
    arxiv="1611.06355",
    licence="authors' code: not stated; this implementation is independent",
    deviations=(
        "As the authors' code: the discriminator's gradient is that of real images, and half "
        "that of images with labels of others and of fakes.",
        "Labels of others, and those of fakes, are of the batch; the authors' of the whole "
        "set. Where all of a batch are alike, wrong labels are the negated ones.",
        "Adam is PyTorch's; Torch7's adds its epsilon before the correction of the bias.",
        "The encoder of codes learns from fakes that are made anew for every step; the authors "
        "make 182,638 once and see 66 % of them in 15 epochs, as the encoder of labels does of "
        "real images. The stages have as many images as theirs: 25, 9.9 and 9.9 epochs.",
        "The generator's running statistics are renewed in the first 100 steps of the second "
        "stage, in batches of 64; the authors' in 100 of 256 before it.",
        "Images are mirrored in all stages; the authors' in the first alone.",
        "Statistics move with training images alone; the authors' generator also with what it "
        "shows every 10 steps, their encoders with test images every 20.",
        "An edit adds an attribute, as the authors', and takes its partners among hair styles, "
        "colours and forms away; it can also take one away, the authors' Male alone. All "
        "others are as the encoder of labels sees them; where a translation is asked for by "
        "all labels that it is to have (--to), these are taken.",
        "Of CelebA, the crop and the test set are StarGAN's; the authors' are 138 px of the "
        "aligned image, and its last 19,961 images.",
        "Images have the largest power of 2 of pixels that the task's have, 64 at most; the "
        "encoders leave 4x4 px, so that below 64 px they are shallower.",
        "Shared encoders are one network behind their first layer, as in the authors' code.",
        "The presets small and tiny are narrower, with shorter codes and other shares and rates.",
    ),
    minimum_size=2 * LEAST_SIDE,
    samples_interact=True,
)
