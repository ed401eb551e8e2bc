"""What a study with people found: one JSON file, validated both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from i2i_bench.records.record import Count, FileSafe, Finite, Line, StrictModel, read_as
from i2i_bench.records.run import STUDIES
from i2i_bench.system.files import write_text

STUDY_SCHEMA = 1
MEASURES = ("fooled", "error", "votes", "preference")
INTERVALS = ("binomial", "people", "people and images")

Share = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=-100, le=100)]
Limits = tuple[Percent, Percent]


class Uncertain(StrictModel):
    """A value in percent with its intervals, and why those that are None could not be had.

    Attributes:
        percent: The value; of a difference, in points.
        intervals: By what they speak of: ``binomial`` (these people and images), ``people`` and
            ``people and images`` (others like them); of 95 %.
        reasons: Of each that is None.
    """

    percent: Percent
    intervals: dict[Line, Limits | None]
    reasons: dict[Line, str]


class MethodResult(Uncertain):
    """What people said of a method.

    Attributes:
        method: Name in the study.
        points: Answers by which it got the point.
        answers: Answers by which it could.
        people: Who gave them.
        images: Test images that were shown; None where that is not known.
        compatible_sd: Standard deviation of the bootstrap of AMT_Real_vs_Fake, in points.
    """

    method: Line
    points: Count
    answers: Annotated[int, Field(ge=1)]
    people: Annotated[int, Field(ge=1)]
    images: Count | None
    compatible_sd: Finite


class PairResult(Uncertain):
    """How two methods differ.

    Attributes:
        first: Name of the method of which the other is taken.
        second: Name of the other.
        probability: Share of bootstraps of AMT_Real_vs_Fake in which the first is above, ties half.
        questions: Of those that showed both, how many chose either; None where methods were judged
            one by one.
        chosen: How many of these chose the first.
        p_value: Of the exact binomial test of one half.
    """

    first: Line
    second: Line
    probability: Share
    questions: Count | None = None
    chosen: Count | None = None
    p_value: Share | None = None


class StrengthResult(StrictModel):
    """Strength of a method by Luce's model, of Bradley and Terry for pairs.

    Attributes:
        method: Name of it.
        strength: Logarithm; they sum to 0.
        error: Standard error, robust to answers of one person hanging together.
    """

    method: Line
    strength: Finite
    error: Finite


class StudyResults(StrictModel):
    """What answers say.

    Attributes:
        measure: What a point means: fooled, error, votes or preference.
        people: Whose answers are counted.
        answers: Counted ones.
        people_left_out: How many, by reason.
        answers_left_out: How many, by reason.
        methods: By name.
        pairs: Each two once.
        strengths: Of each method; empty where there are none.
        alpha: Krippendorff's, for names; None where there is none.
        reasons: Why there are no strengths or no alpha.
        draws: Number of bootstraps.
        seed: Of the bootstraps.
    """

    measure: Literal["fooled", "error", "votes", "preference"]
    people: Annotated[int, Field(ge=1)]
    answers: Annotated[int, Field(ge=1)]
    people_left_out: dict[Line, Count]
    answers_left_out: dict[Line, Count]
    methods: list[MethodResult]
    pairs: list[PairResult]
    strengths: list[StrengthResult]
    alpha: Annotated[float, Field(le=1, ge=-1)] | None
    reasons: dict[Line, str]
    draws: Annotated[int, Field(ge=1)]
    seed: Count


class ShownMethod(StrictModel):
    """Whose images people saw.

    Attributes:
        method: Name in the study.
        record: Record of the run or of another program's images, below the folder of records.
        model: Name in the registry; "" for another program's images.
        images_sha256: Of the names and bytes of the image files that were shown.
    """

    method: Line
    record: Line
    model: FileSafe | Literal[""]
    images_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class StudyRecord(StrictModel):
    """A study with people.

    Attributes:
        schema_version: Of this file's layout.
        name: Which the user gave.
        task: Name of the task.
        task_version: Its version.
        direction: Such as ``a2b``.
        procedure: Name of it.
        settings: All of the procedure's, as they were.
        changed: Those that are not the procedure's own: its value, and that of the study.
        plan_sha256: Of the plan's file.
        trials_sha256: Of the file that says what each person was to see.
        shown: Whose images.
        results: What people said.
        harness_version: Version of i2i-bench.
    """

    schema_version: Literal[1] = STUDY_SCHEMA
    name: FileSafe
    task: FileSafe
    task_version: int
    direction: Line
    procedure: Line
    settings: dict[str, Any]
    changed: dict[str, tuple[Any, Any]]
    plan_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    trials_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    shown: list[ShownMethod]
    results: StudyResults
    harness_version: Line

    @property
    def file(self) -> Path:
        """Where it lives below ``results/``."""
        return Path(self.task) / STUDIES / f"{self.name}.json"

    def __str__(self) -> str:
        return self.file.with_suffix("").as_posix()


def read_study_record(path: Path) -> StudyRecord:
    """Read the record of a study.

    Raises:
        ValueError: Naming the file and the first thing that is wrong with it.
    """
    return read_as(path, StudyRecord)


def read_study_records(results: Path) -> list[StudyRecord]:
    """Read the records of studies below a folder, in the order of their paths; it need not exist.

    Raises:
        ValueError: For a file that is no such record, or that lies where another's belongs.
    """
    found = []
    for path in sorted(results.glob(f"*/{STUDIES}/*.json")):
        if path.name.startswith("."):  # a killed process's draft
            continue
        each = read_study_record(path)
        if results / each.file != path:
            raise ValueError(f"{path} holds the record of {each}; move it to its place")
        found.append(each)
    return found


def write_study_record(record: StudyRecord, results: Path) -> Path:
    """Write a record to its place below ``results``, atomically; give that place."""
    path = results / record.file
    write_text(path, study_text(record))
    return path


def study_text(record: StudyRecord) -> str:
    """Return a record as it is written: keys sorted, one a line."""
    content = record.model_dump(mode="json")
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
