"""Read the files of U-GAT-IT's authors (znxlwm/UGATIT-pytorch)."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from i2i_bench import official

OFFICIAL = {
    "genA2B": "generators.a2b",
    "genB2A": "generators.b2a",
    "disGA": "discriminators.a.global",
    "disGB": "discriminators.b.global",
    "disLA": "discriminators.a.local",
    "disLB": "discriminators.b.local",
}


def read_ugatit(path: Path) -> tuple[dict[str, Any], list[official.Part]]:
    """Read ``<dataset>_params_latest.pt``, or else the last ``<dataset>_params_%07d.pt``.

    Returns:
        What the shapes say of the configuration, and each network with its modules.

    Raises:
        ValueError: For a TensorFlow checkpoint, a damaged file, or tensors that are not U-GAT-IT's.
    """
    networks = read_networks(_find_file(path))
    facts = infer_facts(networks)
    parts = [
        (networks[name], official.below(ours, network_stems(name, facts)))
        for name, ours in OFFICIAL.items()
    ]
    return facts, parts


def _find_file(path: Path) -> Path:
    """Give the authors' last file in a folder, or the one that is given.

    Raises:
        ValueError: If there is none, one of TensorFlow, or those of several datasets.
    """
    depths = ("", "*/", "*/*/")  # the authors' archive has checkpoint/<settings>/
    tensorflow = [path] if path.is_file() else [f for d in depths for f in path.glob(d + "*.index")]
    if any(re.search(r"\.(index|meta|data-\d+-of-\d+)$", file.name) for file in tensorflow):
        raise ValueError(
            f"{path} holds a TensorFlow checkpoint: its architecture differs from the PyTorch "
            "code's (biases, affine normalisation, one classifier for both poolings)"
        )
    if path.is_file():
        return path
    numbered = "*_params_" + 7 * "[0-9]" + ".pt"
    found = sorted(path.glob("*_params_latest.pt")) or sorted(path.glob(numbered))
    if not found:
        raise ValueError(f"no file *_params_latest.pt or *_params_0000000.pt in {path}")
    datasets = sorted({file.name.rpartition("_params_")[0] for file in found})
    if len(datasets) > 1:
        raise ValueError(f"{path} holds files of several datasets: {', '.join(datasets)}")
    return found[-1]


def read_networks(path: Path) -> dict[str, official.StateDict]:
    """Read the six state dicts.

    Raises:
        ValueError: If the file is damaged or holds anything else.
    """
    return {name: complete(state) for name, state in official.read_parts(path, OFFICIAL).items()}


def complete(state: official.StateDict) -> official.StateDict:
    """Give spectral norms the ``weight_v`` that old files lack: it follows from ``weight_u``."""
    tensors = dict(state.tensors)
    for name, u in state.tensors.items():
        stem = name.removesuffix("_u")
        matrix = tensors.get(f"{stem}_orig")
        if name.endswith(".weight_u") and f"{stem}_v" not in tensors and matrix is not None:
            if matrix.ndim < 2 or u.shape != matrix.shape[:1]:
                continue  # misshapen, and to be refused as that
            v = torch.mv(matrix.flatten(1).t(), u)
            tensors[f"{stem}_v"] = F.normalize(v, dim=0, eps=1e-12)
    return dataclasses.replace(state, tensors=tensors)


def infer_facts(networks: Mapping[str, official.StateDict]) -> dict[str, Any]:
    """Read the configuration off the shapes of the official networks.

    Raises:
        ValueError: If the tensors are not those of U-GAT-IT.
    """
    generator = networks["genA2B"]
    width = generator.shape("DownBlock.1.weight", 4)[0]
    inputs = generator.shape("FC.0.weight", 2)[1]
    light = inputs == 4 * width
    layers = r"model\.(\d+)\.weight_orig"
    return {
        "light": light,
        "image_size": 256 if light else 4 * math.isqrt(inputs // (4 * width)),
        "generator_width": width,
        "discriminator_width": networks["disGA"].shape("model.1.weight_orig", 4)[0],
        "num_blocks": generator.count(r"DownBlock\.(\d+)\.conv_block\."),
        "global_layers": 1 + networks["disGA"].count(layers),
        "local_layers": 1 + networks["disLA"].count(layers),
    }


def network_stems(network: str, facts: Mapping[str, Any]) -> official.ModuleNames:
    """Pair our modules of one official network with the authors' names."""
    attention = [(f"activation_map.{n}", n) for n in ("gap_fc", "gmp_fc", "conv1x1")]
    if network.startswith("gen"):
        return attention + generator_stems(facts["num_blocks"])
    depth = facts["global_layers" if network.startswith("disG") else "local_layers"]
    layers = [f".{3 * i + 1}" for i in range(depth - 1)]
    return [*attention, ("last", "conv"), *((f"layers{n}", f"model{n}") for n in layers)]


def generator_stems(num_blocks: int) -> list[tuple[str, str]]:
    """Pair our generator's modules with the authors' names, the class activation map's apart."""
    stems = [(f"encoder.{3 * i}", f"DownBlock.{4 * i + 1}") for i in range(3)]
    for i in range(num_blocks):
        theirs = f"DownBlock.{12 + i}.conv_block"
        stems += [(f"encoder.{9 + i}.conv{j}", f"{theirs}.{4 * j - 3}") for j in (1, 2)]
        parts = ("conv1", "conv2", "norm1", "norm2")
        stems += [(f"blocks.{i}.{part}", f"UpBlock1_{i + 1}.{part}") for part in parts]
    stems += [(f"perceptron.{i}", f"FC.{i}") for i in (0, 2)] + [(n, n) for n in ("gamma", "beta")]
    positions = {1: 2, 2: 3, 5: 7, 6: 8, 8: 11}
    return stems + [(f"decoder.{i}", f"UpBlock2.{j}") for i, j in positions.items()]
