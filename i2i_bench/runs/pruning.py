"""Remove files of runs that nobody needs any more; records are never touched."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from i2i_bench.records import record
from i2i_bench.records.folders import is_unfinished
from i2i_bench.records.run import file_of, seed_of
from i2i_bench.runs.lock import Locked, lock_run
from i2i_bench.training import checkpoint

ABANDONED = 3600  # seconds after which a draft is of a process that was killed
Level = Literal["spare", "translations", "all"]


@dataclass(frozen=True)
class Pruned:
    """What was done about one run.

    Attributes:
        run: Its name.
        files: Number of files removed.
        bytes: Their size.
        reason: Why nothing was, if so.
    """

    run: str
    files: int = 0
    bytes: int = 0
    reason: str = ""


def prune_runs(runs: Path, results: Path, *, level: Level, dry_run: bool) -> Iterator[Pruned]:
    """Remove what is not needed of each run, and say so of those where there was anything.

    What killed processes left half-written always goes. Of a run that is recorded and finished go
    the checkpoints before the last, too, from ``translations`` on its translated images, and with
    ``all`` everything.

    Args:
        runs: Folder of the runs.
        results: Folder of the records.
        level: What goes.
        dry_run: Whether to say only what would go.
    """
    for folder in _folders(runs):
        name = folder.relative_to(runs).as_posix()
        try:
            with lock_run(folder):
                files = _spare(folder, _level_of(folder, runs, results, level))
                size = sum(file.lstat().st_size for file in files)
                if not dry_run:
                    _remove(files, folder)
        except Locked as error:
            yield Pruned(name, reason=str(error))
            continue
        if files:
            yield Pruned(name, len(files), size)


def _folders(runs: Path) -> list[Path]:
    """List the folders of runs; also those of which only the lock file is left."""
    locked = {
        lock.with_name(lock.name.removeprefix(".").removesuffix(".lock"))
        for lock in runs.glob("*/*/.seed*.lock")
    }
    there = {path for path in runs.glob("*/*/seed*") if path.is_dir() and not path.is_symlink()}
    return sorted(path for path in there | locked if seed_of(path) is not None)


def _level_of(folder: Path, runs: Path, results: Path, level: Level) -> Level | None:
    """Give what may go of a run; None where it is not recorded or not finished."""
    try:
        record.read_record(results / file_of(folder.relative_to(runs)))
    except ValueError:
        return None
    return None if is_unfinished(folder) else level


def _spare(folder: Path, level: Level | None) -> list[Path]:
    """List the files that may go, each once."""
    files = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    if level == "all":
        return sorted(files)
    checkpoints = sorted(p for p in folder.glob("*.pt") if checkpoint.is_checkpoint(p.name))
    gone = {path for path in files if _is_abandoned(path)}
    if level is not None:
        gone |= set(checkpoints[:-1])
    if level == "translations":
        images = (p for p in files if p.parent.parent == folder)
        gone |= {path for path in images if path.parent.name.startswith("translations-")}
    return sorted(gone)


def _is_abandoned(path: Path) -> bool:
    """Tell by its age whether a draft is abandoned: evaluating a run does not lock it."""
    return path.name.startswith(".") and path.lstat().st_mtime < time.time() - ABANDONED


def _remove(files: list[Path], folder: Path) -> None:
    """Remove files, and folders that this leaves empty."""
    for file in files:
        file.unlink(missing_ok=True)
    for parent in sorted({file.parent for file in files}, reverse=True):
        while parent != folder.parent and parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
            parent = parent.parent
