"""Whether records of studies with people can be true."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from i2i_bench.records import record as records
from i2i_bench.records.study import (
    INTERVALS,
    MethodResult,
    StudyRecord,
    StudyResults,
    Uncertain,
    read_study_record,
    study_text,
)
from i2i_bench.report.directions import is_possible
from i2i_bench.study.intervals import binomial_interval
from i2i_bench.study.procedures import PROCEDURES, StudySettings, changes_of
from i2i_bench.tasks.catalogue import find_named

ROUNDING = 1e-6  # percent


def read_placed_study(path: Path, results: Path) -> StudyRecord:
    """Read a record that lies where studies do.

    Raises:
        ValueError: If it is none, or lies where another's belongs.
    """
    found = read_study_record(path)
    if results / found.file != path:
        raise ValueError(f"{path} holds the record of {results / found.file}; move it to its place")
    return found


def study_problems(path: Path, found: StudyRecord, results: Path) -> Iterator[str]:
    """Find what is wrong with the record of a study."""
    if path.read_bytes() != study_text(found).encode():
        yield "is not as i2i-bench writes it; it was edited by hand"
    yield from _of_task(found)
    yield from _of_procedure(found)
    yield from _of_images(found, results)
    yield from _of_counts(found.results)
    for method in found.results.methods:
        yield from (f"{method.method}: {problem}" for problem in _of_method(method))
    yield from _of_pairs(found.results)


def _of_task(found: StudyRecord) -> Iterator[str]:
    task = find_named(found.task)
    if task is None:  # a folder
        return
    if not 1 <= found.task_version <= task.version:
        yield f"there is no version {found.task_version} of task {found.task}"
    if not is_possible(found.direction, found.task):
        yield f"direction {found.direction} is none of task {found.task}"


def _of_procedure(found: StudyRecord) -> Iterator[str]:
    """Compare settings with the procedure, and with what is said to be changed."""
    procedure = PROCEDURES.get(found.procedure)
    if procedure is None:
        yield f"there is no procedure {found.procedure}"
        return
    try:
        settings = StudySettings.model_validate(found.settings)
    except ValueError:
        yield f"settings are not those of a study by {found.procedure}"
        return
    if dict(found.changed) != changes_of(procedure, settings):
        yield f"changed is not what differs from {found.procedure}"
    if found.results.measure != procedure.measure:
        yield f"measure is {found.results.measure}, and {found.procedure} has {procedure.measure}"


def _of_images(found: StudyRecord, results: Path) -> Iterator[str]:
    """Compare what was shown with the records that it is from."""
    shown = [each.method for each in found.shown]
    if len(set(shown)) != len(shown):
        yield "shown names a method twice"
    if unknown := sorted({each.method for each in found.results.methods} - set(shown)):
        yield f"results name {unknown[0]}, which was not shown"
    for each in found.shown:
        path = results / each.record
        if not each.record:
            continue
        if not path.resolve().is_relative_to(results.resolve()) or not path.is_file():
            yield f"there is no record {each.record}, of which {each.method} is said to be"
        elif each.model and records.read_record(path).model != each.model:
            yield f"{each.record} is not of model {each.model}"


def _of_counts(found: StudyResults) -> Iterator[str]:
    methods, is_choice = found.methods, found.measure in ("votes", "preference")
    names = [each.method for each in methods]
    if names != sorted(set(names)):
        yield "methods are not sorted by name, each once"
    points, answers = (sum(getattr(m, key) for m in methods) for key in ("points", "answers"))
    if is_choice and points != found.answers:
        yield f"{points} choices were made by {found.answers} answers"
    if not is_choice and answers != found.answers:
        yield f"methods have {answers} answers, and people gave {found.answers}"
    if any(each.people > found.people for each in methods):
        yield "a method was judged by more people than there are"
    if found.strengths and abs(sum(each.strength for each in found.strengths)) > ROUNDING:
        yield "strengths do not sum to 0"


def _of_method(found: MethodResult) -> Iterator[str]:
    if found.points > found.answers:
        yield f"{found.points} points of {found.answers} answers"
        return
    if not math.isclose(found.percent, 100 * found.points / found.answers, abs_tol=ROUNDING):
        yield f"percent is {found.percent}, not {found.points} of {found.answers}"
    exact = binomial_interval(found.points, found.answers)
    stated = found.intervals.get("binomial")
    if stated is None or any(
        abs(100 * own - limit) > ROUNDING for own, limit in zip(exact, stated, strict=True)
    ):
        yield "its binomial interval is not that of its points and answers"
    if found.compatible_sd < 0:
        yield "compatible_sd is negative"
    yield from _of_intervals(found, lowest=0)


def _of_pairs(found: StudyResults) -> Iterator[str]:
    percents = {each.method: each.percent for each in found.methods}
    for pair in found.pairs:
        name = f"{pair.first} - {pair.second}"
        if pair.first not in percents or pair.second not in percents:
            yield f"{name}: a method that has no result"
            continue
        difference = percents[pair.first] - percents[pair.second]
        if not math.isclose(pair.percent, difference, abs_tol=ROUNDING):
            yield f"{name}: is {pair.percent}, and the methods differ by {difference:g}"
        if (pair.chosen or 0) > (pair.questions or 0):
            yield f"{name}: chosen {pair.chosen} of {pair.questions}"
        yield from (f"{name}: {problem}" for problem in _of_intervals(pair, lowest=-100))


def _of_intervals(found: Uncertain, lowest: float) -> Iterator[str]:
    if found.intervals.keys() != set(INTERVALS):
        yield f"intervals are not {', '.join(INTERVALS)}"
        return
    for name, limits in found.intervals.items():
        if (limits is None) != (name in found.reasons):
            yield f"interval {name} needs either limits or the reason why it has none"
        elif limits and not lowest - ROUNDING <= limits[0] <= limits[1] <= 100 + ROUNDING:
            yield f"interval {name} [{limits[0]:g}, {limits[1]:g}] is none"
