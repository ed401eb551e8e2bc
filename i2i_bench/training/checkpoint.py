"""Checkpoints: everything the next step depends on, written atomically, taken back exactly."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from i2i_bench.model import Model
from i2i_bench.system.files import replacing
from i2i_bench.system.messages import shown_bytes
from i2i_bench.training.checkpoint_file import FORMAT, Position, read_checkpoint
from i2i_bench.training.start import differing_tensors, require_finite

logger = logging.getLogger(__name__)
NUM_KEPT = 2


def state_of(model: Model, identity: Mapping[str, Any], position: Position) -> dict[str, Any]:
    """Return all state that the next step depends on."""
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


def save_checkpoint(
    folder: Path, model: Model, identity: Mapping[str, Any], position: Position
) -> Path:
    """Write a checkpoint and delete all but the last two.

    Args:
        folder: Of the run.
        model: Whose networks, optimisers and state are written.
        identity: What the run is: plain values that ``restore_checkpoint`` compares.
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
    """Delete the drafts of checkpoints that killed processes left."""
    for draft in folder.glob(".checkpoint-*"):
        draft.unlink(missing_ok=True)


def latest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Read the newest checkpoint of a run that is whole; None where there are none.

    Raises:
        ValueError: If there are some and all are damaged.
        OSError: If they may not be read.
    """
    problems = []
    paths = folder.iterdir() if folder.exists() else ()  # a glob hides what may not be listed
    for path in sorted((p for p in paths if p.match("checkpoint-*.pt")), reverse=True):
        try:
            content = read_checkpoint(path)
        except ValueError as error:
            problems.append(str(error))
            continue
        for problem in problems:
            logger.warning("%s; resuming from %s", problem, path.name)
        return content
    if problems:
        raise ValueError(f"{problems[0]}; no other is left; run --force restarts the run")
    return None


def restore_checkpoint(
    model: Model, content: Mapping[str, Any], identity: Mapping[str, Any]
) -> Position:
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
    """Turn any exception that an unfit part raises into a ValueError."""
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
    require_finite("the checkpoint", content["networks"])
    model.networks.load_state_dict(content["networks"])
    model.absent = frozenset(content.get("absent", ()))


def require_fit(model: Model, content: Mapping[str, Any]) -> None:
    """Require equal names, shapes and kinds of numbers; the model may be on the meta device.

    Raises:
        ValueError: If they do not fit, naming the first tensors that disagree.
    """
    wrong = differing_tensors(content["networks"], model.networks.state_dict())
    if wrong:
        raise ValueError(f"the checkpoint does not fit the model, first in {', '.join(wrong[:3])}")


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
