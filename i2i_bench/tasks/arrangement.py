"""What ``task.toml`` states of where images lie: the lines that settle what folders leave open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from i2i_bench.tasks.task import DOMAINS

SIDES = ("left", "top")  # of an image that holds a pair, whose domain can be stated
OTHER_SIDE = {"left": "right", "top": "bottom"}
KEYS = ("domains", "folders", "halves", "root", "subfolders", "test_share", "validation")
MOST_FOLDERS = 1000


@dataclass(frozen=True)
class Arrangement:
    """Where the images of a task lie, as far as its folder's ``task.toml`` states it.

    Attributes:
        folders: Name such as ``trainA`` or ``train/horse`` → folder or list of its images.
        root: Folder to which the names in lists are relative; None where not stated.
        domains: Names of the folders that are domains a and b; empty where not stated.
        halves: Domain → side of the images that hold both of a pair; empty where not stated.
        test_share: Share of the images that are held out for tests, where no folder has any.
        subfolders: Whether images in folders below are taken; None where not stated.
        validation: Whether ``valA valB`` are the images of ``--split validation``.
    """

    folders: Mapping[str, Path] = field(default_factory=dict)
    root: Path | None = None
    domains: tuple[str, ...] = ()
    halves: Mapping[str, str] = field(default_factory=dict)
    test_share: float | None = None
    subfolders: bool | None = None
    validation: bool = False

    @property
    def is_stated(self) -> bool:
        """Whether anything is said of which images are whose."""
        return bool(self.folders or self.domains or self.halves or self.test_share)


def read_arrangement(path: Path, content: Mapping[str, Any]) -> Arrangement:
    """Read what a ``task.toml`` states of where images lie.

    Args:
        path: Of the file.
        content: Of it.

    Raises:
        ValueError: If it states what is not possible.
    """
    share = content.get("test_share")
    if share is not None and not (type(share) in (int, float) and 0 < share <= 0.9):
        raise _unfit(path, "test_share", share, "a share of the images above 0, at most 0.9")
    root = content.get("root")
    return Arrangement(
        folders=_folders(path, content.get("folders", {})),
        root=None if root is None else _place(path, "root", root),
        domains=_domains(path, content.get("domains", [])),
        halves=_halves(path, content.get("halves", {})),
        test_share=share,
        subfolders=_flag(path, "subfolders", content.get("subfolders")),
        validation=bool(_flag(path, "validation", content.get("validation"))),
    )


def _flag(path: Path, key: str, value: Any) -> bool | None:
    if not isinstance(value, bool | None):
        raise _unfit(path, key, value, "true or false")
    return value


def _place(path: Path, key: str, value: Any) -> Path:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise _unfit(path, key, value, f"the path of a folder or list, relative to {path.parent}")
    return path.parent / value


def _folders(path: Path, value: Any) -> dict[str, Path]:
    if not isinstance(value, dict) or len(value) > MOST_FOLDERS:
        raise _unfit(path, "folders", value, 'such as folders.trainA = "horses/training"')
    return {key: _place(path, f"folders.{key}", each) for key, each in value.items()}


def _domains(path: Path, value: Any) -> tuple[str, ...]:
    is_names = isinstance(value, list) and all(isinstance(name, str) and name for name in value)
    if not is_names or len(set(value)) != len(value) or len(value) not in (0, 2):
        raise _unfit(path, "domains", value, 'the folders of a and b, such as ["horse", "zebra"]')
    return tuple(value)


def _halves(path: Path, value: Any) -> dict[str, str]:
    """Give the side of each domain from the domain of one side."""
    if value == {}:
        return {}
    (side, first), *more = value.items() if isinstance(value, dict) and value else [("", "")]
    if more or side not in SIDES or first not in DOMAINS:
        raise _unfit(
            path, "halves", value, 'one of halves.left = "a", "b" and halves.top = "a", "b"'
        )
    (second,) = (domain for domain in DOMAINS if domain != first)
    return {first: side, second: OTHER_SIDE[side]}


def _unfit(path: Path, key: str, value: Any, needed: str) -> ValueError:
    shown = repr(value)
    return ValueError(f"{path}: {key} is {shown[:200]}; needed is {needed}")
