"""Checkpoints: everything the next step depends on, written atomically, read without executing."""

from __future__ import annotations

import dataclasses
import logging
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from i2i_bench.model import Model
from i2i_bench.record import replacing

logger = logging.getLogger(__name__)

FORMAT = 1
NUM_KEPT = 2
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
    content = {
        "format": FORMAT,
        "identity": dict(identity),
        "position": dataclasses.asdict(position),
        "networks": model.networks.state_dict(),
        "optimizers": {name: o.state_dict() for name, o in model.optimizers.items()},
        "state": {name: part.state_dict() for name, part in model.state.items()},
        "random": {"torch": torch.get_rng_state()},
    }
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


def remove_drafts(folder: Path) -> None:
    """Delete what a killed process left of checkpoints it was writing."""
    for draft in folder.glob(".checkpoint-*"):
        draft.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint, executing nothing in it.

    Raises:
        ValueError: If it is damaged or something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch does not compare the checksums
        if damaged:
            raise ValueError(f"{damaged} does not match its checksum")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"no checkpoint at {path}") from None
    except pickle.UnpicklingError as error:
        what = "it holds more than tensors and plain values, and nothing in it is executed"
        raise ValueError(f"checkpoint {path} is damaged or not to be trusted: {what}") from error
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"checkpoint {path} is damaged: {reason}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(
            f"{path} is no checkpoint of i2i-bench (format {FORMAT}); the authors' files are read "
            "from the folder that holds them"
        )
    _require_layout(path, content)
    return content


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
            "identity.seed": isinstance(identity.get("seed"), int),
            "identity.settings": isinstance(settings, Mapping)
            and {"config", "precision"} < set(settings),
            "random.torch": isinstance(content["random"].get("torch"), torch.ByteTensor),
            "position": set(content["position"]) == {f.name for f in fields(Position)},
            "networks": all(isinstance(t, torch.Tensor) for t in content["networks"].values()),
        }
        wrong = [part for part, is_sound in sound.items() if not is_sound]
    if wrong:
        raise ValueError(f"checkpoint {path} is damaged: {wrong[0]} is missing or wrong")


def latest(folder: Path) -> dict[str, Any] | None:
    """Read the newest checkpoint of a run that is whole; None where there are none.

    Raises:
        ValueError: If there are some and all are damaged.
    """
    problems = []
    for path in sorted(folder.glob("checkpoint-*.pt"), reverse=True):
        try:
            content = read(path)
        except ValueError as error:
            problems.append(str(error))
            continue
        for problem in problems:
            logger.warning("%s; going on from %s", problem, path.name)
        return content
    if problems:
        raise ValueError(f"{problems[0]}; no other is left, --force starts the run anew")
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
            part.load_state_dict(content[kind][name])
    torch.set_rng_state(content["random"]["torch"])
    return Position(**content["position"])


def restore_networks(model: Model, content: Mapping[str, Any]) -> None:
    """Set a model's networks to a checkpoint's.

    Raises:
        ValueError: If they do not fit, naming the first tensors that disagree.
    """
    theirs, ours = content["networks"], model.networks.state_dict()
    wrong = sorted(set(theirs) ^ set(ours))
    wrong += [name for name in ours if name in theirs and theirs[name].shape != ours[name].shape]
    if wrong:
        raise ValueError(f"the checkpoint does not fit the model, first in {', '.join(wrong[:3])}")
    model.networks.load_state_dict(theirs)


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
