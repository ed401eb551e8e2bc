"""Checkpoints: everything the next step depends on, written atomically, read without executing."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import logging
import math
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i_bench.model import Model
from i2i_bench.official import not_finite, read_untrusted
from i2i_bench.system.files import replacing
from i2i_bench.system.messages import shown_bytes

logger = logging.getLogger(__name__)

FORMAT = 1
NUM_KEPT = 2
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


def state_of(model: Model, identity: Mapping[str, Any], position: Position) -> dict[str, Any]:
    """Return everything the next step depends on."""
    return {
        "format": FORMAT,
        "identity": dict(identity),
        "position": dataclasses.asdict(position),
        "networks": model.networks.state_dict(),
        "absent": sorted(model.absent),
        "optimizers": {name: o.state_dict() for name, o in model.optimizers.items()},
        "state": {name: part.state_dict() for name, part in model.state.items()},
        "random": {"torch": torch.get_rng_state()},
    }


def save(folder: Path, model: Model, identity: Mapping[str, Any], position: Position) -> Path:
    """Write a checkpoint and delete all but the last two.

    Args:
        folder: Of the run.
        model: Whose networks, optimisers and state are written.
        identity: What the run is: plain values that ``restore`` compares.
        position: How far it has come.

    Raises:
        ValueError: If the disk takes no more; older checkpoints are still there then.
    """
    content = state_of(model, identity, position)
    path = folder / f"checkpoint-{position.images_seen:012d}.pt"
    try:
        with replacing(path) as partial, partial.open("wb") as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"checkpoint {path} could not be saved: {reason}") from error
    for old in sorted(folder.glob("checkpoint-*.pt"))[:-NUM_KEPT]:
        old.unlink()
    return path


def require_space(folder: Path, model: Model) -> None:
    """Refuse a run whose checkpoints the disk has no room for.

    Args:
        folder: Of the run.
        model: Whose weights are the least that a checkpoint takes.

    Raises:
        ValueError: If there is less room than for those that are kept and one being written.
    """
    weights = sum(parameter.nbytes for parameter in model.networks.parameters())
    needed = (NUM_KEPT + 1) * weights
    nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    free = shutil.disk_usage(nearest).free
    if needed > free:
        raise ValueError(
            f"checkpoints need at least {shown_bytes(needed)}, but {shown_bytes(free)} are "
            f"free in {nearest}; free some, or choose another folder with --runs"
        )


def is_checkpoint(name: str) -> bool:
    """Tell whether a file of this name is a checkpoint; by name, they are in order."""
    return name.startswith("checkpoint-") and name.endswith(".pt")


def remove_drafts(folder: Path) -> None:
    """Delete what a killed process left of checkpoints it was writing."""
    for draft in folder.glob(".checkpoint-*"):
        draft.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any]:
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
    """Raise ValueError if a checkpoint has more to it than its size can tell, however it is made.

    Values may be there many times, and tensors larger than what they are views of.
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
    """Give every value in nested containers, and these, as often as each is met.

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
    """Tell whether values are plain, and no more and no longer than a message can show."""
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


def latest(folder: Path) -> dict[str, Any] | None:
    """Read the newest checkpoint of a run that is whole; None where there are none.

    Raises:
        ValueError: If there are some and all are damaged.
        OSError: If they may not be read.
    """
    problems = []
    paths = folder.iterdir() if folder.exists() else ()  # a glob hides what may not be listed
    for path in sorted((p for p in paths if p.match("checkpoint-*.pt")), reverse=True):
        try:
            content = read(path)
        except ValueError as error:
            problems.append(str(error))
            continue
        for problem in problems:
            logger.warning("%s; resuming from %s", problem, path.name)
        return content
    if problems:
        raise ValueError(f"{problems[0]}; no other is left; run --force restarts the run")
    return None


def restore(model: Model, content: Mapping[str, Any], identity: Mapping[str, Any]) -> Position:
    """Set a model to a checkpoint; give how far that had come.

    Raises:
        ValueError: If the checkpoint is another model's, or another setting's.
    """
    difference = first_difference(content["identity"], identity)
    if difference:
        raise ValueError(f"the checkpoint was made with other settings: {difference}")
    restore_networks(model, content)
    for kind, parts in (("optimizers", model.optimizers), ("state", model.state)):
        if set(parts) != set(content[kind]):
            raise ValueError(f"the checkpoint's {kind} are {', '.join(content[kind]) or 'none'}")
        for name, part in parts.items():
            with _fitting(f"{kind}.{name}"):
                part.load_state_dict(content[kind][name])
    with _fitting("random.torch"):
        torch.set_rng_state(content["random"]["torch"])
    return Position(**content["position"])


@contextlib.contextmanager
def _fitting(part: str) -> Iterator[None]:
    """Turn whatever a part that does not fit provokes into a ValueError."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"the checkpoint's {part} does not fit the model: {why}") from error


def restore_networks(model: Model, content: Mapping[str, Any]) -> None:
    """Set a model's networks to a checkpoint's.

    Raises:
        ValueError: If they do not fit, or a number is not finite, naming the first tensors.
    """
    require_fit(model, content)
    _require_finite("the checkpoint", content["networks"])
    model.networks.load_state_dict(content["networks"])
    model.absent = frozenset(content.get("absent", ()))


def require_fit(model: Model, content: Mapping[str, Any]) -> None:
    """Compare names, shapes and kinds of numbers; the model may be on the meta device.

    Raises:
        ValueError: If they do not fit, naming the first tensors that disagree.
    """
    wrong = _differing(content["networks"], model.networks.state_dict())
    if wrong:
        raise ValueError(f"the checkpoint does not fit the model, first in {', '.join(wrong[:3])}")


def _differing(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> list[str]:
    """Name the tensors that only one side has, then those of different shapes or numbers."""
    both = [(name, theirs[name], ours[name]) for name in ours if name in theirs]
    return sorted(set(theirs) ^ set(ours)) + [
        name
        for name, one, other in both
        if one.shape != other.shape or one.is_floating_point() != other.is_floating_point()
    ]


def _require_finite(origin: str, networks: Mapping[str, Tensor]) -> None:
    if wrong := not_finite(networks):
        raise ValueError(f"{origin} has numbers that are not finite, first in {wrong[0]}")


@dataclass(frozen=True, eq=False)
class Start:
    """Networks to begin with in place of new ones.

    Attributes:
        origin: Where they come from, for messages.
        identity: Of the run that made them, or of an import.
        networks: Tensors by name.
        absent: Names of networks that are not among them.
        digest: 8 hexadecimal digits of a hash of the tensors.
    """

    origin: str
    identity: Mapping[str, Any]
    networks: Mapping[str, Tensor]
    absent: frozenset[str]
    digest: str

    def require_fit(self, model: Model) -> None:
        """Compare names, shapes and kinds of what is there; the model may be on the meta device.

        Raises:
            ValueError: If they do not fit, or a number is not finite, naming the first tensors.
        """
        wrong = _differing(self.networks, present(model.networks.state_dict(), self.absent))
        if wrong:
            first = ", ".join(wrong[:3])
            raise ValueError(f"{self.origin} does not fit these settings, first in {first}")
        _require_finite(self.origin, self.networks)


def start_from(origin: str, content: Mapping[str, Any]) -> Start:
    """Take the networks of a checkpoint to begin with."""
    absent = frozenset(content.get("absent", ()))
    networks = present(content["networks"], absent)
    return Start(origin, content["identity"], networks, absent, digest(networks))


def present(networks: Mapping[str, Tensor], absent: Collection[str]) -> dict[str, Tensor]:
    """Leave out the tensors of absent networks."""
    prefixes = tuple(f"{name}." for name in absent)
    return {name: tensor for name, tensor in networks.items() if not name.startswith(prefixes)}


def digest(networks: Mapping[str, Tensor]) -> str:
    """Return 8 hexadecimal digits that tell networks apart."""
    found = hashlib.sha256()
    for name in sorted(networks):
        tensor = networks[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()[:8]


def first_difference(
    theirs: Mapping[str, Any], ours: Mapping[str, Any], prefix: str = ""
) -> str | None:
    """Say where two trees of plain values first differ."""
    for key in sorted(set(theirs) | set(ours)):
        one, other = theirs.get(key), ours.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            if found := first_difference(one, other, f"{prefix}{key}."):
                return found
        elif one != other:
            return f"{prefix}{key} was {one!r}, now {other!r}"
    return None
