"""Read untrusted files of tensors without executing anything, check and hash them."""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i_bench.system.file_kinds import foreign_kind
from i2i_bench.system.messages import printable
from i2i_bench.system.safetensors_file import is_safetensors, read_safetensors


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Name the tensors of which a value is not finite."""
    return [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]


def read_untrusted(path: Path) -> Any:
    """Read what any version of torch saved, or safetensors, executing nothing in it.

    Raises:
        ValueError: If there is no such file, it is of another kind or damaged, or it holds more
            than plain values.
        PermissionError: If it may not be read.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if kind := foreign_kind(path):
        raise ValueError(f"{path} is {kind}")
    try:
        if is_safetensors(path):
            return read_safetensors(path)
        if zipfile.is_zipfile(path):
            _require_checksums(path)
        with warnings.catch_warnings(action="ignore"):  # the error says it as well
            return torch.load(path, map_location="cpu", weights_only=True)
    except (MemoryError, PermissionError):
        raise
    except Exception as error:  # whatever a hostile file may provoke
        raise ValueError(f"{path} is damaged{_damage(error)}") from error


def _damage(error: Exception) -> str:
    if found := re.search(r"Unsupported global: GLOBAL ([\w.]{1,80})", str(error)):
        return (
            f", or holds {found[1]} beside tensors and plain values; nothing in it is executed, so "
            "save its state_dict() alone where that code is trusted"
        )
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
        return ", or holds more than tensors and plain values; nothing in it is executed"
    if not isinstance(error, RuntimeError | OSError | ValueError | zipfile.BadZipFile):
        return ", or was not written by torch"
    return f": {printable(next(iter(str(error).splitlines()), type(error).__name__), 200)}"


def _require_checksums(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise ValueError("it is compressed, as torch never does, and may be of any size")
        damaged = archive.testzip()  # torch does not compare the checksums
    if damaged:
        raise ValueError(f"{damaged} does not match its checksum")


def digest(networks: Mapping[str, Tensor]) -> str:
    """Return 8 hexadecimal digits that tell networks apart."""
    found = hashlib.sha256()
    for name in sorted(networks):
        tensor = networks[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()[:8]
