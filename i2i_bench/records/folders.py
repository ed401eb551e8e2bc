"""Where a run lies on disk, and what its folder says of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from i2i_bench.records import record
from i2i_bench.records.record import Record
from i2i_bench.records.run import file_of, seed_of
from i2i_bench.system import files
from i2i_bench.system.messages import near

MOST_SEEDS = 10  # that a message names
RUN_FILE = "run.json"  # how to find the task of a run again, and whether it is finished


@dataclass(frozen=True)
class Places:
    """Where things are.

    Attributes:
        results: Records.
        runs: Checkpoints, logs, translations, figures.
        data: Folders of the catalogued tasks.
    """

    results: Path
    runs: Path
    data: Path


def write_run_file(
    folder: Path,
    task_argument: str,
    *,
    is_finished: bool,
    source: str = "",
    load: Sequence[float] = (),
) -> None:
    """Note in a run's folder how to find its task, whether its record is written, and by what code.

    Args:
        folder: Of the run.
        task_argument: Name or folder of its task.
        is_finished: Whether its record is written.
        source: As ``Record.source_sha256``.
        load: Of the machine as its training began and, once that has ended, as it ended.
    """
    content: dict[str, Any] = {"task": task_argument, "finished": is_finished}
    content |= {"source": source} if source else {}
    content |= {"load": list(load)} if load else {}
    files.write_text(folder / RUN_FILE, json.dumps(content) + "\n")


def write_import_file(folder: Path, source: Path) -> None:
    """Note in a folder that its networks were imported, and from where."""
    content = {"imported": str(source.resolve()), "finished": True}
    files.write_text(folder / RUN_FILE, json.dumps(content) + "\n")


def is_unfinished(folder: Path) -> bool:
    """Tell whether a run was begun here, perhaps to replace a record, and not finished."""
    return _note(folder, "finished") is False


def is_imported(folder: Path) -> bool:
    """Tell whether networks were imported here."""
    return isinstance(_note(folder, "imported"), str)


def _note(folder: Path, key: str) -> Any:
    """Give what the file of a run says; None where there is no such file, or it is damaged."""
    try:
        return files.read_json(folder / RUN_FILE)[key]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def noted_task(folder: Path) -> str | None:
    """Return the task noted for a run, its name or an absolute path; None where none is noted."""
    task = _note(folder, "task")
    return task if isinstance(task, str) else None


def noted_source(folder: Path) -> str:
    """Return which code has worked on a run, as ``Record.source_sha256``; "" if none is noted."""
    source = _note(folder, "source")
    return source if isinstance(source, str) else ""


def noted_load(folder: Path) -> list[float]:
    """Return the load of the machine as a training began and, if that is noted, as it ended."""
    load = _note(folder, "load")
    is_sound = isinstance(load, list) and len(load) <= 2
    return load if is_sound and all(_is_load(each) for each in load) else []


def _is_load(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e6  # pyright: ignore[reportOperatorIssue] - a number


def find_folder(run: str, places: Places) -> Path:
    """Return the folder of a run named by itself, its record or ``task/model+variant/seedK``.

    Raises:
        ValueError: If there is none, naming the nearest, or the seeds where none is given.
    """
    typed = Path(run)
    written = typed if typed.suffix == ".json" else typed.with_name(f"{typed.name}.json")
    if seed_of(written.with_suffix("")) is not None and written.is_file():
        typed = record.read_record(written).run.folder
    if seeds := _seeds_below(typed, places.runs / typed, places.results / typed):
        each = ", ".join(f"{run.rstrip('/')}/{seed}" for seed in seeds[:MOST_SEEDS])
        more = f" and {len(seeds) - MOST_SEEDS} more" if len(seeds) > MOST_SEEDS else ""
        raise ValueError(f"{run} names no seed; there are {each}{more}")
    for folder in (typed, places.runs / typed):
        if folder.is_dir():
            return folder
    if (places.results / typed.with_name(f"{typed.name}.json")).is_file():
        raise ValueError(
            f"run {run} is recorded in {places.results}, but its checkpoint and images are not in "
            f"{places.runs}; --runs names another folder, i2i-bench run --force trains it again"
        )
    found = (path for path in places.runs.glob("*/*/seed*") if seed_of(path) is not None)
    known = [path.relative_to(places.runs).as_posix() for path in found]
    hint = near(run, known) or "i2i-bench leaderboard shows those that are recorded"
    raise ValueError(f"no run {run} in {places.runs}; {hint.rstrip()}")


def _seeds_below(*folders: Path) -> list[str]:
    """Name the seeds that folders of a model hold runs or records of, in their order."""
    inside = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    plain = [path.with_suffix("") if path.suffix == ".json" else path for path in inside]
    numbers = {number for path in plain if (number := seed_of(path)) is not None}
    return [f"seed{number}" for number in sorted(numbers)]


def find_record(run: str, places: Places) -> tuple[Path, Record]:
    """Return the folder of a run, named as for ``find_folder``, and its record.

    Raises:
        ValueError: If there is no such run, or no readable record of it.
    """
    folder = find_folder(run, places)
    try:
        name = folder.resolve().relative_to(places.runs.resolve())
    except ValueError:
        hint = "give its place with --runs"
        raise ValueError(f"{folder} is not below {places.runs}; {hint}") from None
    return folder, read_record_of(name, places)


def read_record_of(run: Path, places: Places) -> Record:
    """Read the record of a run, given as its folder below ``places.runs``.

    Raises:
        ValueError: If there is none, or it cannot be read.
    """
    path = places.results / file_of(run)
    if not path.exists() and (places.runs / run).is_dir():
        raise ValueError(
            f"{run.as_posix()} is not finished: there is no record {path}; the same run command "
            "resumes it, or --results says where records are"
        )
    return record.read_record(path)
