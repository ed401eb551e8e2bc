"""What records of studies with people show: values with intervals, and what to know of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from i2i_bench.records.study import INTERVALS, MethodResult, StudyRecord

SPOKEN = {  # of which others an interval speaks
    "people and images": "people and images like these",
    "people": "people like these, with these images",
    "binomial": "these people and images only (exact binomial)",
}


class PeopleSaid(NamedTuple):
    """What people said of a method.

    Attributes:
        record: The study.
        result: Of the method.
        model: Name in the registry; "" for another program's images.
    """

    record: StudyRecord
    result: MethodResult
    model: str

    @property
    def limits(self) -> tuple[float, float] | None:
        """The interval that is shown, in percent."""
        return self.result.intervals.get(interval_shown(self.record))


def said_of_methods(record: StudyRecord) -> Iterator[PeopleSaid]:
    """Give what people said of each method of a study."""
    models = {each.method: each.model for each in record.shown}
    for result in record.results.methods:
        yield PeopleSaid(record, result, models.get(result.method, ""))


def interval_shown(record: StudyRecord) -> str:
    """Name the interval that is shown: the widest claim that every method of the study has."""
    methods = record.results.methods
    for name in reversed(INTERVALS):
        if all(each.intervals.get(name) is not None for each in methods):
            return name
    return INTERVALS[0]


def value_text(said: PeopleSaid, digits: int = 1) -> str:
    """Write a percentage with its interval."""
    limits = said.limits
    shown = "" if limits is None else f" [{limits[0]:.{digits}f}, {limits[1]:.{digits}f}]"
    return f"{said.result.percent:.{digits}f}{shown}"


def said_cells(said: PeopleSaid) -> list[str]:
    """Give value, procedure, people and method as cells of a paper's table."""
    people = str(said.result.people)
    return [value_text(said), said.record.procedure, people, said.result.method]


def said_facts(said: PeopleSaid) -> dict[str, object]:
    """Give what was said as columns for programs, in percent."""
    low, high = said.limits or (None, None)
    return {
        "measured": said.result.percent,
        "measured_spread": said.result.compatible_sd,
        "measured_spread_kind": "sd_bootstrap_amt",
        "model": said.model,
        "task": said.record.task,
        "task_version": said.record.task_version,
        "direction": said.record.direction,
        "study": said.record.name,
        "procedure": said.record.procedure,
        "people": said.result.people,
        "interval": interval_shown(said.record),
        "low": low,
        "high": high,
    }


def study_note(record: StudyRecord) -> str:
    """Say what a reader must know of a study, in one sentence."""
    results = record.results
    parts = [f"Study {record.name}, {record.task}@{record.task_version}, {record.direction}"]
    parts.append(f"{results.measure}, {results.people} people, {results.answers} answers")
    left_out = sum(results.people_left_out.values())
    parts += [f"{left_out} people left out"] if left_out else []
    changes = [f"{key} {now} for {own}" for key, (own, now) in record.changed.items()]
    parts += [f"not as in the paper: {', '.join(changes)}"] if changes else []
    parts.append(f"[ ] of 95 % for {SPOKEN[interval_shown(record)]}")
    return "; ".join(parts)
