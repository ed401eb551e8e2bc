"""Find state dicts, plain names to tensors, in what a checkpoint holds beside them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from i2i_bench.system.messages import printable

DEEPEST = 4  # levels that are looked through
LONGEST_NAME = 80  # characters of a name in a message
NUM_SHOWN = 6  # names in a message
MOST = 64  # state dicts that are named of one file
WRAPPED = ("module.", "_orig_mod.", "_fsdp_wrapped_module.")  # by DataParallel, compile, FSDP
_NETWORK = re.compile(r"(?i)net|gen|dis|ema|^[gd]$|^[gd]_|_[gd]$")  # in the names of networks

StateMapping = Mapping[str, Tensor]


def is_plain_tensor(value: object) -> bool:
    """Tell whether a value is a tensor of numbers that lie in memory, one after the other."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and not value.is_nested
    )


def is_state_dict(content: object) -> bool:
    """Tell whether this is a mapping from names to plain tensors, be it empty."""
    return isinstance(content, Mapping) and all(
        isinstance(name, str) and is_plain_tensor(value) for name, value in content.items()
    )


def find_state_dicts(content: object) -> dict[str, StateMapping]:
    """Find the state dicts in nested mappings, by their dotted names; "" for the whole.

    What is below an optimiser's name, or below a number, is the state of one. Plain values beside
    tensors, such as an epoch, are left out.
    """
    found: dict[str, StateMapping] = {}
    for name, part in _mappings(content):
        tensors = {key: value for key, value in part.items() if not _is_note(key, value)}
        if len(found) < MOST and tensors and is_state_dict(tensors):
            found[name] = tensors
    return found


def _is_note(name: object, value: object) -> bool:
    """Tell a plain value, whose name is of no layer."""
    is_plain = value is None or isinstance(value, bool | int | float | str)
    return is_plain and isinstance(name, str) and "." not in name


def find_holding(content: object, names: list[str]) -> Mapping[str, Any] | None:
    """Find the mapping, the whole or one in it, that has all of some names."""
    return next(
        (part for _, part in _mappings(content) if all(name in part for name in names)), None
    )


@dataclass
class PartsSeen:
    """The state dicts of files that hold several, as they are read.

    Attributes:
        chosen: Name of the one to read; None for the only one.
        names: Of all that could be chosen.
    """

    chosen: str | None = None
    names: dict[str, None] = field(default_factory=dict)


_parts = ContextVar[PartsSeen | None]("parts", default=None)


@contextlib.contextmanager
def choosing_part(name: str | None) -> Iterator[PartsSeen]:
    """Have files of several state dicts read by one name in the block; note what there is."""
    seen = PartsSeen(name)
    token = _parts.set(seen)
    try:
        yield seen
    finally:
        _parts.reset(token)


def chosen_state_dict(file: str, content: object) -> tuple[str, StateMapping] | None:
    """Give name and tensors of the one state dict that a file holds, or of the chosen one.

    Args:
        file: Its name, for the message.
        content: What it holds.

    Returns:
        None where there is none.

    Raises:
        SeveralStateDicts: If there are several, and the chosen one is not among them.
    """
    found = find_state_dicts(content)
    parts = [split_by_network(name, whole) for name, whole in found.items()]
    more = {name: each for split in parts for name, each in split.items()}
    seen = _parts.get() or PartsSeen()
    seen.names |= dict.fromkeys([*(found if len(found) > 1 else ()), *more])
    choice = more | found
    if seen.chosen in choice:
        return seen.chosen, choice[seen.chosen]
    if len(found) > 1:
        raise SeveralStateDicts(file, list(found))
    return next(iter(found.items()), None)


class SeveralStateDicts(ValueError):
    """A file holds several state dicts, and nothing says which is meant."""

    def __init__(self, file: str, names: list[str]) -> None:
        shown = ", ".join(printable(name, LONGEST_NAME) for name in names[:NUM_SHOWN])
        more = f" and {len(names) - NUM_SHOWN} more" if len(names) > NUM_SHOWN else ""
        super().__init__(
            f"{file} holds several state dicts: {shown}{more}; save the one that is meant in a "
            "file of its own"
        )


def networks_by_name(content: object, names: Iterable[str]) -> dict[str, StateMapping]:
    """Find the state dicts of networks by the last part of their names, such as ``netG_A``.

    Args:
        content: What a file holds.
        names: Of networks; ``net`` or ``net_`` may stand before them.

    Returns:
        By name; of several of one name none, as nothing says which is meant.
    """
    found = find_state_dicts(content)
    parts = [found, *(split_by_network(name, whole) for name, whole in found.items())]
    wanted = {prefix + name: name for name in names for prefix in ("", "net", "net_")}
    matching: dict[str, list[StateMapping]] = {}
    for name, each in (pair for part in parts for pair in part.items()):
        if network := wanted.get(name.rpartition(".")[2]):
            matching.setdefault(network, []).append(each)
    return {name: states[0] for name, states in matching.items() if len(states) == 1}


def _mappings(
    content: object, name: str = "", depth: int = 0
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(content, Mapping) or depth > DEEPEST:
        return
    yield name, content
    for key, value in content.items():
        if isinstance(key, str) and "optim" not in key.lower():
            yield from _mappings(value, f"{name}.{key}" if name else key, depth + 1)


def split_by_network(name: str, state: StateMapping) -> dict[str, StateMapping]:
    """Split a state dict of several networks, as one module of all of them saves it.

    Args:
        name: Of the state dict.
        state: Its tensors, such as ``netG_A.model.1.weight``.

    Returns:
        The tensors below each first part of the names that is a network's, by its dotted name.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        first, dot, rest = unwrapped(key).partition(".")
        if dot and _NETWORK.search(first):
            found.setdefault(f"{name}.{first}" if name else first, {})[rest] = tensor
    return {} if len(found) > MOST else dict(found)


def unwrapped(name: str) -> str:
    """Take off what wrappers of modules put before, and compiled parts into, a tensor's name."""
    while name.startswith(WRAPPED):
        name = name.partition(".")[2]
    return name.replace("._orig_mod.", ".")
