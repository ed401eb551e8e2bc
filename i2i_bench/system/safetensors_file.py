"""Read safetensors: a header of JSON, then the bytes of the tensors; nothing to execute."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LARGEST_HEADER = 100 * 2**20  # bytes, as the format states
DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8},
    **{"U8": torch.uint8, "BOOL": torch.bool},
}


def is_safetensors(path: Path) -> bool:
    """Tell by its first bytes whether a file is of this format."""
    with path.open("rb") as file:
        start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    return start[8:] == b"{" and length <= min(LARGEST_HEADER, path.stat().st_size - 8)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file.

    Raises:
        ValueError: If its header is damaged, or says what its bytes do not hold.
    """
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8:start])
    except (ValueError, RecursionError) as error:
        raise ValueError("its header is not JSON") from error
    if not isinstance(header, dict):
        raise ValueError("its header names no tensors")
    header.pop("__metadata__", None)
    body, found, end = bytearray(content[start:]), {}, 0
    for name, entry in sorted(header.items(), key=lambda pair: _offsets(*pair)):
        first, last = _offsets(name, entry)
        if first != end or last > len(body):
            raise ValueError(f"tensor {name!a} does not lie where its header says")
        found[name], end = _tensor(name, entry, body[first:last]), last
    if end != len(body):
        raise ValueError("it has bytes that belong to no tensor")
    return found


def _offsets(name: str, entry: Any) -> tuple[int, int]:
    """Give where the bytes of a tensor begin and end."""
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(offsets, list) or len(offsets) != 2:
        raise ValueError(f"tensor {name!a} has no place")
    first, last = offsets
    if type(first) is not int or type(last) is not int or not 0 <= first <= last:
        raise ValueError(f"tensor {name!a} has no place")
    return first, last


def _tensor(name: str, entry: dict[str, Any], data: bytearray) -> Tensor:
    """Make a tensor of its bytes."""
    dtype, shape = entry.get("dtype"), entry.get("shape")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"tensor {name!a} is of type {dtype!a}; read are {', '.join(DTYPES)}")
    if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"tensor {name!a} has no shape")
    if math.prod(shape) * DTYPES[dtype].itemsize != len(data):
        raise ValueError(f"tensor {name!a} has another number of bytes than its shape")
    if not data:
        return torch.empty(shape, dtype=DTYPES[dtype])
    return torch.frombuffer(data, dtype=DTYPES[dtype]).reshape(shape)
