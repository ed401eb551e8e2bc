"""What a reader must know about DIAT, and what its own losses measure."""

from __future__ import annotations

from types import MappingProxyType

from i2i_bench.model import ModelCard

CARD = ModelCard(
    title="DIAT",
    authors="Mu Li, Wangmeng Zuo, David Zhang",
    venue="arXiv",
    year=2016,
    arxiv="1610.05586",
    licence="authors' code: not stated; this implementation is independent",
    deviations=(
        "It is the later version, with a mask (limuhit/Caffe_Gan, wdiat); the first one had a "
        "transform network of residual blocks and an enhancement network.",
        "Nothing of the authors' Caffe program was run: the numbers that prove this are of an "
        "independent derivation from their files. Its files of weights are not read.",
        "As the authors' code: feature matching is held at 1 % of the adversarial gradient and the "
        "weight of the noise is 0.3 of it less 6, at least 0.1; the weights 0.1 and 60 in the "
        "network's description never apply. The critic's batches are all real or all fake, its two "
        "linear layers do not learn, clipping also holds biases, and two forwards of a round move "
        "running statistics alone.",
        "As the authors' code, areas, sums of gradients and noise are not divided by the batch: "
        "other batches or sizes are other weights. Noise is counted for 128 px whatever the size.",
        "In translation, batch normalisation uses running statistics; the authors use those of the "
        "test batch, by which a translation depends on the images beside it.",
        "The authors begin from weights of their own (pre_iter_2000), which also fix the critic's "
        "linear layers; here all begin from chance, Caffe's xavier.",
        "The authors' denoiser came trained (denoise3), on what is not known; here it learns "
        "alongside, on images of the target with Gaussian noise of deviation 0.1, by Adam: "
        "denoiser_steps, noise and denoiser_rate are choices of this suite.",
        "face_features=vgg-face compares fc7 of VGG-Face before the ReLU, without dropout, on both "
        "sides; the authors compare fc7 after the ReLU with fc7 before it, both under dropout. "
        "Their file is Caffe's; vgg_face_dag.pth is the same network converted. vgg16 is the same "
        "of ImageNet, and none leaves the term out: each is a variant of its own.",
        "In later rounds the authors' critic still learns from 1 % of the last gradient of feature "
        "matching; here nothing stale is used.",
        "The authors' program counts to 500,000 rounds and was stopped by hand, after how many is "
        "not known; 2,000 rounds, 72,000 iterations, are a choice of this suite, near the 40,000 "
        "and 60,000 in names of its files. Images are not mirrored, as there; how the authors cut "
        "faces to 128 px is not known.",
        "The presets small and tiny are narrower and shallower, as the published depth needs 128 "
        "px; their rounds are shorter, without features of faces. In small the mask has half of "
        "the image's resolution, the critic is not normalised, and adversarial gradients, area and "
        "noise count a thousandth of the published, so that the ways back count as well.",
    ),
    minimum_size=128,
    samples_interact=True,
)

LOSSES = MappingProxyType(
    {
        "noise": "squares of what the denoiser finds in a translation, summed as of 128 px",
        "area": "share of the mask's map that is translated",
        "denoiser": "error of the denoiser on images of the target with noise",
    }
)
