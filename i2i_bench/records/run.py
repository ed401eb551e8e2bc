"""The identity of a piece of work, and the names of its files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LONGEST_VARIANT = 80  # characters
EXTERNAL = "external"  # folder of the records of other programs' images, among those of models
STUDIES = "studies"  # that of studies with people
APART = (EXTERNAL, STUDIES)  # which no model can be named


@dataclass(frozen=True)
class Run:
    """The identity of a piece of work.

    Attributes:
        model: Name in the registry.
        variant: Settings that differ from the published ones (see ``variant_name``), or "".
        task: Name of the task.
        seed: Seed of the run.
    """

    model: str
    variant: str
    task: str
    seed: int

    def __post_init__(self) -> None:
        if self.label in APART:
            raise ValueError(f"no model can be named {self.label!r}, as a folder of records is")

    @property
    def label(self) -> str:
        """Model and variant, as a leaderboard shows them."""
        return f"{self.model}+{self.variant}" if self.variant else self.model

    @property
    def folder(self) -> Path:
        """Where the run lives below ``runs/``."""
        return Path(self.task) / self.label / f"seed{self.seed}"

    @property
    def file(self) -> Path:
        """Where its record lives below ``results/``."""
        return file_of(self.folder)

    def __str__(self) -> str:
        return self.folder.as_posix()


def seed_of(folder: Path) -> int | None:
    """Return the seed of a run's folder; None for one of another name, such as a copy's."""
    digits = folder.name.removeprefix("seed")
    is_run = folder.name.startswith("seed") and digits.isascii() and digits.isdigit()
    return int(digits) if is_run else None


def file_of(folder: Path) -> Path:
    """Return where below ``results/`` a run's record lies, given its folder below ``runs/``."""
    return folder.with_name(f"{folder.name}.json")


def variant_name(preset: str, changes: Mapping[str, object]) -> str:
    """Name what differs from the published settings, safe as a file name, hashed when it must be.

    Args:
        preset: Named first unless it is ``published``.
        changes: Settings that differ from the preset's.
    """
    parts = [f"{key}={changes[key]}" for key in sorted(changes)]
    if preset != "published":
        parts.insert(0, f"preset={preset}")
    name = ",".join(parts)
    safe = re.sub(r"[^A-Za-z0-9.,=_-]", "_", name)
    is_clear = not any(set(",=") & set(str(value)) for value in changes.values())
    if is_clear and safe == name and len(name) <= LONGEST_VARIANT:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{safe[: LONGEST_VARIANT - 9]}-{digest}"
