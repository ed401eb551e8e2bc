"""Find the variables of a TensorFlow program, once they are in a torch file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
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


def channels_first(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn weights (height, width, inputs, outputs), or (..., outputs, inputs) of doublings."""
    return {n: t.permute(3, 2, 0, 1) if t.ndim == 4 else t for n, t in tensors.items()}


def split_networks(
    state: official.StateDict,
    pattern: str,
    leaves: Mapping[str, str],
    networks: Sequence[str],
    system: str,
    lay_out: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = channels_first,
) -> dict[str, official.StateDict]:
    """Give the tensors of each network of two domains by names such as ``e1_conv.weight``.

    Args:
        state: Tensors of all networks by TensorFlow's names.
        pattern: Of a whole such name; its groups are the network, the module and the parameter.
        leaves: Our name of each parameter.
        networks: Names of all networks, the two generators first.
        system: Name of the model, for messages.
        lay_out: Turns the tensors of one network to our layout.

    Raises:
        ValueError: If a tensor has another name, or a generator is missing.
    """
    split: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.tensors.items():
        match = re.fullmatch(pattern, name)
        if not match or match[3] not in leaves:
            raise ValueError(f"{state.source} has {name[:80]!r}, which is no variable of {system}")
        split.setdefault(match[1], {})[f"{match[2]}.{leaves[match[3]]}"] = tensor
    for name in networks[:2]:
        if name not in split:
            raise ValueError(f"{state.source} lacks the generator {name}")
    return {
        name: official.StateDict(f"{state.source}, {name},", lay_out(split[name]))
        for name in networks
        if name in split
    }
