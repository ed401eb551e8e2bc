"""The command that repeats recorded runs, found from their records alone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from i2i_bench.records.record import Record
from i2i_bench.tasks.catalogue import find_named, typed_name
from i2i_bench.tasks.two_domains import split_partner_name

DEFAULT_PROTOCOL = "i2i"
FOLDER, FILES, RUN = "path/to/task", "path/to/files", "path/to/run"  # what a record does not know
HUB_SET = "hf:owner/name@revision"
OPTIONS = ("budget", "precision", "split", "start")  # in a variant beside what --set changes
HASHED = re.compile(r".*-[0-9a-f]{8}")  # a variant that was too long, or not safe as a file name


class RepeatCommand(NamedTuple):
    """What a user types, a line each, and what to know about it."""

    lines: tuple[str, ...]
    remarks: tuple[str, ...]


def repeat_command(records: Sequence[Record]) -> RepeatCommand:
    """Give the command that makes runs of one model, variant and task again."""
    first = records[0]
    is_named = find_named(first.task) is not None
    folder, selected = split_partner_name(first.task)
    is_of_hub = first.task.startswith("hf-")
    place, what = (HUB_SET, "data set") if is_of_hub else (FOLDER, "folder")
    task = typed_name(first.task) if is_named else f"{place}{selected and ':'}{selected}"
    remarks = [] if is_named else [f"{place} stands for the {what} that is task {folder}."]
    names = sorted({s.protocol for record in records for s in record.scores.values()})
    protocols = [] if names == [DEFAULT_PROTOCOL] else _options("protocol", names)
    if first.preset == "official":
        imported = f"imported/{first.model}"
        lines = (
            shlex.join(["i2i-bench", "import", first.model, FILES, imported]),
            shlex.join(["i2i-bench", "evaluate", imported, "--task", task, *protocols]),
        )
        return RepeatCommand(
            lines, (*remarks, f"{FILES} stands for the folder of the authors' files.")
        )
    words = ["i2i-bench", "run", "--model", first.model, "--task", task]
    words += [] if first.preset == "published" else ["--preset", first.preset]
    changed = _changes(first)
    if HASHED.fullmatch(first.variant):
        remarks.append("Every setting is given: the name of the variant holds a hash of them.")
    if "start" in changed:
        remarks.append(f"{RUN} stands for the run whose networks have sha256 {changed['start']}.")
        words += ["--start", RUN]
    words += [w for key in ("budget", "precision") if key in changed for w in _set(key, changed)]
    words += ["--split", first.split] if first.split else []
    kept = [f"{key}={value}" for key, value in changed.items() if key not in OPTIONS]
    words += _options("set", kept)
    words += _options("seed", sorted(record.seed for record in records)) + protocols
    return RepeatCommand((shlex.join(words),), tuple(remarks))


def _options(name: str, values: Sequence[object]) -> list[str]:
    return [word for value in values for word in (f"--{name}", str(value))]


def _set(key: str, changed: Mapping[str, str]) -> list[str]:
    return [f"--{key}", changed[key]]


def _changes(record: Record) -> dict[str, str]:
    """Give what differs from the preset; of a variant that is hashed, every setting."""
    if HASHED.fullmatch(record.variant):
        return _every(record.settings)
    changes: dict[str, str] = {}
    for part in record.variant.split(",") if record.variant else []:
        key, equals, value = part.partition("=")
        if equals:
            changes[key] = value
        elif changes:  # a comma within a value
            changes[list(changes)[-1]] += f",{part}"
    changes.pop("preset", None)
    return changes


def _every(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return every setting that can be typed, also those that equal the preset."""
    plain = {key: value for key, value in settings.items() if key != "config"}
    typed = {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in (settings.get("config", {}) | plain).items()
        if isinstance(value, bool | int | float | str)
    }
    return {key: value for key, value in typed.items() if (key, value) != ("precision", "fp32")}
