"""Find and lay out the variables of a TensorFlow program, once they are in a torch file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from i2i_bench import official


def find_rewritten(path: Path, rewrite: str) -> Path:
    """Give the one torch file of a folder, or the file itself.

    Args:
        path: Of the folder or the file.
        rewrite: Line of Python that writes TensorFlow's variables to a file for torch.

    Raises:
        ValueError: If there is none, or it is TensorFlow's.
    """
    files = [path] if path.is_file() else sorted(path.iterdir())
    theirs = [
        each.name for each in files if re.search(r"\.(index|meta|data-\d+-of-\d+)$", each.name)
    ]
    found = [each for each in files if each.suffix in (".pt", ".pth")]
    if theirs and not found:
        raise ValueError(
            f"{theirs[0]} is TensorFlow's, which is not read here; where TensorFlow is installed, "
            f"write its variables to a file for torch and import that: {rewrite}"
        )
    if not path.is_file() and len(found) != 1:
        raise ValueError(
            f"{path} holds {len(found)} files .pt or .pth; one of all variables is needed"
        )
    return path if path.is_file() else found[0]


def split_networks(
    state: official.StateDict,
    networks: Mapping[str, str],
    *,
    title: str,
    pattern: str,
    leaves: Mapping[str, str],
) -> dict[str, official.StateDict]:
    """Give each network's tensors in our layout, by names of layers such as ``conv1.weight``.

    Args:
        state: All variables by their names.
        networks: Ours by their names; generators must be there, discriminators may.
        title: The model's, for messages.
        pattern: Of a whole name, with groups for network, layer and leaf.
        leaves: Our names of weights and biases by theirs.

    Raises:
        ValueError: If a variable is none of the model's, or a generator is missing.
    """
    split: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.tensors.items():
        match = re.fullmatch(pattern, name)
        if not match or match[3] not in leaves:
            raise ValueError(f"{state.source} has {name[:80]!r}, which is no variable of {title}")
        split.setdefault(match[1], {})[f"{match[2]}.{leaves[match[3]]}"] = tensor
    for name in sorted(networks):
        if networks[name].startswith("generators.") and name not in split:
            raise ValueError(f"{state.source} lacks the generator {name}")
    return {
        name: official.StateDict(f"{state.source}, {name},", channels_first(split[name]))
        for name in networks
        if name in split
    }


def channels_first(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn weights (height, width, inputs, outputs), or (..., outputs, inputs) of doublings."""
    return {n: t.permute(3, 2, 0, 1) if t.ndim == 4 else t for n, t in tensors.items()}
