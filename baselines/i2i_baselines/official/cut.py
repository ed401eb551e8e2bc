"""Read the files of CUT's authors (taesungp/contrastive-unpaired-translation)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i_bench import official

LAYERS = {5: "0,4,8,12,16", 4: "4,8,12,16"}  # by the number of heads: CUT's, and DCLGAN's
BLURS = {3: (1.0, 2.0, 1.0), 4: (1.0, 3.0, 3.0, 1.0)}  # by the side of the filter
FILTER = ".filt"


def read_cut(path: Path) -> tuple[dict[str, Any], list[official.Part]]:
    """Read ``latest_net_G.pth``, and ``latest_net_{F,D}.pth`` if they are there.

    Returns:
        What the shapes say of the configuration, and each network with its modules.

    Raises:
        ValueError: If a file is missing or damaged, or its tensors are not those of CUT.
    """
    files = official.read_epoch(path, ("G", "F", "D"))
    facts, generator = read_generator(files["G"])
    if not (facts["antialias"] or "F" in files):
        raise ValueError(
            f"{files['G'].source} holds a generator without blurs, which is CycleGAN's, too; CUT's "
            "is known by its heads: put F's file beside it"
        )
    width = files["G"].shape("model.1.weight", 4)[1]
    facts["channels"] = (width, width)
    parts = [(generator, official.below("generator", generator_stems(facts)))]
    if "F" in files:
        found, stems = read_heads(files["F"])
        facts |= found
        parts.append((files["F"], official.below("heads", stems)))
    if "D" in files:
        found, judge, stems = read_discriminator(files["D"], blur=facts["antialias"])
        facts |= found
        parts.append((judge, official.below("discriminator", stems)))
    return facts, parts


def read_generator(state: official.StateDict) -> tuple[dict[str, Any], official.StateDict]:
    """Read the configuration off the shapes of a generator, and leave its filters out.

    Raises:
        ValueError: If the tensors are not those of CUT's, or filters blur otherwise.
    """
    num_blocks = state.count(r"model\.(\d+)\.conv_block\.")
    antialias = f"model.7{FILTER}" in state.tensors
    after = 10 + 2 * antialias + num_blocks
    facts = {
        "generator_width": state.shape("model.1.weight", 4)[0],
        "num_blocks": num_blocks,
        "antialias": antialias,
        "antialias_up": f"model.{after}{FILTER}" in state.tensors,
    }
    return facts, without_filters(state)


def read_heads(state: official.StateDict) -> tuple[dict[str, Any], official.ModuleNames]:
    """Read the configuration off the shapes of heads, and pair their layers with ours.

    Raises:
        ValueError: If the tensors are not those of heads, or are for other layers than published.
    """
    count = state.count(r"mlp_(\d+)\.")
    width = state.shape("mlp_0.0.weight", 2)[0]
    if count not in LAYERS:
        possible = " and ".join(f"{n} ({numbers})" for n, numbers in sorted(LAYERS.items()))
        raise ValueError(
            f"{state.source} holds heads for {count} layers, and does not say which; published are "
            f"heads for {possible}"
        )
    stems = [(f"layers.{i}.{j}", f"mlp_{i}.{j}") for i, j in product(range(count), (0, 2))]
    return {"head_width": width, "nce_layers": LAYERS[count]}, stems


def read_discriminator(
    state: official.StateDict, *, blur: bool
) -> tuple[dict[str, int], official.StateDict, official.ModuleNames]:
    """Read the configuration off a discriminator's shapes, without filters, paired with ours.

    Raises:
        ValueError: If the tensors are not those of CUT's, or filters blur otherwise.
    """
    layers = sum(tensor.ndim == 4 for tensor in without_filters(state).tensors.values()) - 2
    facts = {
        "discriminator_width": state.shape("model.0.weight", 4)[0],
        "discriminator_layers": layers,
    }
    places = [0, *((2 + blur) + (3 + blur) * i for i in range(layers))]
    places.append(places[-1] + 3)
    return facts, without_filters(state), [(f"layers.{i}", f"model.{i}") for i in places]


def without_filters(state: official.StateDict) -> official.StateDict:
    """Leave out the constant filters, which blocks compute.

    Raises:
        ValueError: Naming the first that is not a blur by 1 2 1 or 1 3 3 1.
    """
    filters = {name: t for name, t in state.tensors.items() if name.endswith(FILTER)}
    for name, tensor in filters.items():
        if not _is_blur(tensor):
            raise ValueError(
                f"{state.source} has another filter than the authors' in {name}: only blurs by "
                "1 2 1 and 1 3 3 1 are known"
            )
    kept = {name: tensor for name, tensor in state.tensors.items() if name not in filters}
    return official.StateDict(state.source, kept)


def _is_blur(tensor: Tensor) -> bool:
    side = tensor.shape[-1] if tensor.ndim == 4 else 0
    if side not in BLURS or tuple(tensor.shape[1:]) != (1, side, side):
        return False
    line = torch.tensor(BLURS[side]) / 4
    expected = torch.outer(line, line)
    return bool(torch.isclose(tensor, expected.expand_as(tensor), atol=1e-6).all())


def generator_stems(facts: Mapping[str, Any]) -> official.ModuleNames:
    """Pair our convolutions with the authors' positions in their ``model`` sequence."""
    down, up = facts["antialias"], facts["antialias_up"]
    num_blocks, first = facts["num_blocks"], 10 + 2 * down
    stems = [
        ("0.stem.conv", "model.1"),
        ("0.down.0.conv", "model.4"),
        ("0.down.1.conv", f"model.{7 + down}"),
    ]
    for i in range(num_blocks):
        stems.append((f"0.blocks.{i}.first.conv", f"model.{first + i}.conv_block.1"))
        stems.append((f"0.blocks.{i}.second.conv", f"model.{first + i}.conv_block.5"))
    after, step = first + num_blocks + up, 3 + up
    return [
        *stems,
        ("1.0.conv", f"model.{after}"),
        ("1.1.conv", f"model.{after + step}"),
        ("1.2.conv", f"model.{after + step + 4}"),
    ]
