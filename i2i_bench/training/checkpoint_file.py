"""Read untrusted checkpoints without executing anything in them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i_bench.system.tensors import read_untrusted

FORMAT = 1
DEEPEST = 16  # containers in containers
MOST_VALUES = 1_000_000  # ours have a few thousand
MOST_NAMED = 10_000  # values, or letters of them, in an identity
SLACK = 2**26  # bytes
PLAIN = (str, int, float, list, tuple, dict, type(None))
SAFE_NAME = re.compile(r"[A-Za-z0-9.,=_-]*")  # also as a part of a path


@dataclass(frozen=True)
class Position:
    """How far a training has come.

    Attributes:
        step: Steps taken.
        images_seen: Batch positions consumed.
        seconds: Spent in steps, over all sessions.
        peak_memory: In bytes, the highest of all sessions.
    """

    step: int = 0
    images_seen: int = 0
    seconds: float = 0.0
    peak_memory: int = 0


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, executing nothing in it.

    Raises:
        ValueError: If it is damaged or something else.
    """
    content = read_untrusted(path)
    _require_bounded(path, content)
    version = content.get("format") if isinstance(content, dict) else None
    if not isinstance(version, int) or version != FORMAT:
        raise ValueError(
            f"{path} is not an i2i-bench checkpoint (format {FORMAT}); i2i-bench import makes one "
            "of authors' files"
        )
    _require_layout(path, content)
    return content


def _require_bounded(path: Path, content: Any) -> None:
    """Raise ValueError if a checkpoint declares more than a file of its size can hold.

    Values may be repeated, and tensors be larger than the storage that they are views of.
    """
    size = 0
    for number, value in enumerate(_values(content)):
        if number >= MOST_VALUES:
            raise ValueError(f"checkpoint {path} is damaged: it has more than {MOST_VALUES} values")
        if isinstance(value, Tensor):
            if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
                raise ValueError(
                    f"checkpoint {path} is damaged: it holds tensors that are not plain"
                )
            size += value.nbytes
    if size > 4 * path.stat().st_size + SLACK:  # networks may share tensors, twice or so
        raise ValueError(
            f"checkpoint {path} is damaged: it claims tensors of {size} bytes, far more than it has"
        )


def _values(content: Any, depth: int = 0) -> Iterator[Any]:
    """Yield every value in nested containers, and the containers, as often as they occur.

    Raises:
        ValueError: If they are nested deeper than any checkpoint.
    """
    if depth > DEEPEST:
        raise ValueError(f"a checkpoint is damaged: it is nested deeper than {DEEPEST}")
    yield content
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield key
            yield from _values(value, depth + 1)
    elif isinstance(content, list | tuple | set | frozenset):
        for value in content:
            yield from _values(value, depth + 1)


def _require_layout(path: Path, content: Mapping[str, Any]) -> None:
    """Raise ValueError if a checkpoint lacks a part, or one is not what it must be."""
    parts = ("identity", "position", "networks", "optimizers", "state", "random")
    wrong = [part for part in parts if not isinstance(content.get(part), Mapping)]
    if not wrong:
        identity, settings = content["identity"], content["identity"].get("settings")
        names = ("model", "task", "variant", "preset")
        sound = {
            f"identity.{name}": isinstance(identity.get(name), str)
            and SAFE_NAME.fullmatch(identity[name])
            for name in names
        }
        sound |= {
            "identity": _is_identity(identity),
            "identity.seed": isinstance(identity.get("seed"), int),
            "identity.settings": isinstance(settings, Mapping)
            and {"config", "precision"} < set(settings),
            "random.torch": isinstance(content["random"].get("torch"), torch.ByteTensor),
            "position": _is_position(content["position"]),
            "networks": all(isinstance(t, torch.Tensor) for t in content["networks"].values()),
            "absent": isinstance(content.get("absent", []), list)
            and all(isinstance(name, str) for name in content.get("absent", [])),
        }
        wrong = [part for part, is_sound in sound.items() if not is_sound]
    if wrong:
        raise ValueError(f"checkpoint {path} is damaged: {wrong[0]} is missing or wrong")


def _is_identity(plain: Mapping[str, Any]) -> bool:
    """Tell whether values are plain, few and short enough to be shown in a message."""
    values = list(itertools.islice(_values(plain), MOST_NAMED + 1))
    are_plain = all(isinstance(value, PLAIN) for value in values)
    shown = sum(len(value) for value in values if isinstance(value, str))
    numbers = (value for value in values if isinstance(value, int))
    return (
        are_plain
        and max(len(values), shown) <= MOST_NAMED
        and all(abs(number) < 2**64 for number in numbers)
    )


def _is_position(plain: Mapping[str, Any]) -> bool:
    """Tell whether plain values are a position: counts, and seconds that are a number."""
    if set(plain) != {f.name for f in fields(Position)}:
        return False
    counts = (plain["step"], plain["images_seen"], plain["peak_memory"])
    is_number = isinstance(plain["seconds"], int | float) and math.isfinite(plain["seconds"])
    return is_number and all(isinstance(n, int) and n >= 0 for n in (*counts,))
