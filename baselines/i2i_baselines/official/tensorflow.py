"""Find the variables of a TensorFlow program, once they are in a torch file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor


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
