"""Read the files of InstaGAN's authors (sangwoomo/instagan)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from i2i_bench import official

RENAMED = {"weight_bar": "weight_orig"}  # the authors' names of what spectral norms divide
FEATURES = {"image_features": "feature_img", "mask_features": "feature_seg"}
PARTS = {"image": "img", "mask": "seg"}


def read_instagan(path: Path) -> tuple[dict[str, Any], list[official.Part]]:
    """Read ``<epoch>_net_{G,D}_{A,B}.pth``, or the generator of a single direction.

    Returns:
        What the shapes say of the configuration, and each network with its modules.

    Raises:
        ValueError: If a file is missing or damaged, or its tensors are not those of InstaGAN.
    """
    files = {name: rename_norms(state) for name, state in official.read_pair(path).items()}
    facts = infer_facts(files)
    parts = []
    for name, state in files.items():
        if name.startswith("generators."):
            stems = generator_stems(state)
        else:
            stems = discriminator_stems(facts["discriminator_layers"])
        parts.append((state, official.below(name, stems)))
    return facts, parts


def rename_norms(state: official.StateDict) -> official.StateDict:
    """Give the weights of spectral norms our name."""
    tensors = {}
    for name, tensor in state.tensors.items():
        module, dot, leaf = name.rpartition(".")
        tensors[module + dot + RENAMED.get(leaf, leaf)] = tensor
    return dataclasses.replace(state, tensors=tensors)


def infer_facts(files: Mapping[str, official.StateDict]) -> dict[str, Any]:
    """Read the configuration off the shapes of official networks.

    Raises:
        ValueError: If the tensors are not those of InstaGAN.
    """
    generator = next(state for name, state in files.items() if name.startswith("generators."))
    stem = generator.shape("encoder_img.1.weight", 4)
    head = generator.shape("decoder_img.7.weight", 4)
    facts: dict[str, Any] = {
        "generator_width": stem[0],
        "num_blocks": generator.count(r"encoder_img\.(\d+)\.conv_block\."),
        "channels": (stem[1], head[0]),
    }
    judges = [state for name, state in files.items() if name.startswith("discriminators.")]
    if judges:
        first = judges[0].shape("feature_img.0.module.weight_orig", 4)
        facts["discriminator_width"] = first[0]
        facts["discriminator_layers"] = judges[0].count(r"feature_img\.(\d+)\.module\.")
    return facts


def generator_stems(generator: official.StateDict) -> official.ModuleNames:
    """Pair our convolutions with the authors' positions in their sequences."""
    num_blocks = generator.count(r"encoder_img\.(\d+)\.conv_block\.")
    # with dropout, as it may have been trained, the second convolution of a block is one later
    second = 6 if "encoder_img.10.conv_block.6.weight" in generator.tensors else 5
    stems = []
    for ours, theirs in PARTS.items():
        encoder, official_encoder = f"{ours}_encoder", f"encoder_{theirs}"
        for own, place in (("stem", 1), ("down.0", 4), ("down.1", 7)):
            stems.append((f"{encoder}.{own}.conv", f"{official_encoder}.{place}"))
        for i in range(num_blocks):
            block = f"{official_encoder}.{10 + i}.conv_block"
            stems.append((f"{encoder}.blocks.{i}.first.conv", f"{block}.1"))
            stems.append((f"{encoder}.blocks.{i}.second.conv", f"{block}.{second}"))
        for own, place in ((0, 0), (1, 3), (2, 7)):
            stems.append((f"{ours}_decoder.{own}.conv", f"decoder_{theirs}.{place}"))
    return stems


def discriminator_stems(num_layers: int) -> official.ModuleNames:
    """Pair our spectral norms with the authors' positions in their sequences."""
    places = [0, *range(2, 3 * num_layers - 1, 3)]
    stems = [
        (f"{ours}.{place}", f"{theirs}.{place}.module")
        for ours, theirs in FEATURES.items()
        for place in places
    ]
    return [*stems, *((f"classifier.{i}", f"classifier.{i}.module") for i in (0, 3))]
