"""An ablation: a pure function from its plan and the records to tables, beside both on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from i2i_bench.records.record import AnyRecord, FileSafe, Line, Record, Run
from i2i_bench.report.columns import COSTS
from i2i_bench.report.figures import curves
from i2i_bench.report.leaderboard import tabulate
from i2i_bench.report.render import (
    markdown_text,
    tables_to_csv,
    tables_to_latex,
    tables_to_markdown,
)
from i2i_bench.report.rows import Row, Table
from i2i_bench.scoring.metrics.masks import EFFECTIVE_MASKS
from i2i_bench.system import files

FOLDER = "ablations"  # below that of the records
FIGURES = (".png", ".svg")
SHOWN_COSTS = tuple(c for c in COSTS if c.key in ("parameters", "images_per_second"))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Point(_Strict):
    """What is compared with the other points, over all seeds.

    Attributes:
        values: One for each key of the study.
        run: Folder of its runs below ``runs/``, without the seed.
    """

    values: tuple[Line, ...] = Field(min_length=1)
    run: Line


class Study(_Strict):
    """The plan of an ablation on one task, which with the records gives its tables and figure.

    Attributes:
        name: Of its files.
        title: One line for people.
        command: What makes it.
        task: Name of the task.
        keys: What varies.
        points: In the order of the table.
        seeds: Of each point.
        protocols: Names of those that score it, the figure's first.
    """

    name: FileSafe
    title: Line
    command: str
    task: FileSafe
    keys: tuple[Line, ...]
    points: tuple[Point, ...]
    seeds: tuple[int, ...]
    protocols: tuple[Line, ...]


def read_studies(results: Path) -> list[Study]:
    """Read the plans of all ablations below a folder of records, in the order of their names.

    Raises:
        ValueError: Naming the file that is not the plan of an ablation, or not in its place.
    """
    studies = []
    for path in sorted((results / FOLDER).glob("*.json")):
        try:
            study = Study.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            raise ValueError(
                f"{path} is not the plan of an ablation: {place}: {first['msg']}"
            ) from None
        if path.stem != study.name:
            raise ValueError(f"{path} is the plan of {study.name}; rename it")
        studies.append(study)
    return studies


def tables(study: Study, records: Iterable[AnyRecord]) -> list[Table]:
    """Return a table per protocol and direction, with a row per point and the identity's."""
    found = [_of_protocols(each, study) for each in _records(study, records)]
    boards = tabulate(found)
    absent = _absence_notes(study, found)
    order = {name: i for i, name in enumerate(study.protocols)}
    boards.sort(key=lambda board: order[board.group.protocol])
    return [_table(study, board, absent) for board in boards]


def _records(study: Study, records: Iterable[AnyRecord]) -> Iterator[Record]:
    runs = {point.run for point in study.points}
    for each in records:
        if isinstance(each, Record) and each.seed in study.seeds and _folder(each.run) in runs:
            yield each


def _folder(run: Run) -> str:
    return run.folder.parent.as_posix()


def _of_protocols(found: Record, study: Study) -> Record:
    """Leave out scores that the study did not ask for."""
    scores = {key: s for key, s in found.scores.items() if s.protocol in study.protocols}
    return found.model_copy(update={"scores": scores})


def _absence_notes(study: Study, found: Sequence[Record]) -> list[str]:
    """Say which runs there is no record of."""
    there = {(_folder(each.run), each.seed) for each in found}
    notes = []
    for point in study.points:
        absent = [str(seed) for seed in study.seeds if (point.run, seed) not in there]
        if absent:
            what = "seed" if len(absent) == 1 else "seeds"
            notes.append(f"No record of {', '.join(point.values)}, {what} {', '.join(absent)}.")
    return notes


def _table(study: Study, board: Table, absent: list[str]) -> Table:
    """Put the rows into the order of the plan and name them by what varies."""
    rows = []
    for point in study.points:
        of_point = [r for r in board.rows if r.kind == "model" and _is_of(r, point, study)]
        rows += [dataclasses.replace(r, rank=None, values=point.values) for r in of_point]
    blank = ("",) * (len(study.keys) - 1)
    baselines = [r for r in board.rows if r.kind == "identity"]
    rows += [dataclasses.replace(r, values=(r.label, *blank)) for r in baselines]
    columns = list(board.columns)
    has_masks = any(EFFECTIVE_MASKS.key in row.stats for row in rows)
    if has_masks:
        columns.append(EFFECTIVE_MASKS)
    notes = [*absent, *board.notes[1:]]
    notes += [f"{EFFECTIVE_MASKS.title}: {EFFECTIVE_MASKS.meaning}."] if has_masks else []
    return dataclasses.replace(
        board,
        columns=tuple(columns),
        costs=SHOWN_COSTS,
        rows=tuple(rows),
        notes=tuple(notes),
        keys=study.keys,
    )


def _is_of(row: Row, point: Point, study: Study) -> bool:
    return _folder(Run(row.model, row.variant, study.task, 0)) == point.run


def texts(study: Study, records: Iterable[AnyRecord]) -> dict[str, str]:
    """Return the contents of the study's files of text by suffix; equal records, equal contents."""
    found = tables(study, records)
    figures = f"![{markdown_text(study.title)}]({study.name}.png)"
    head = (
        f"# {markdown_text(study.title)}\n\nMade from the records by `{study.command}`; edits are "
        f"lost.\n\n{figures}\n\n"
    )
    return {
        ".md": head + tables_to_markdown(found),
        ".csv": tables_to_csv(found),
        ".tex": f"% {study.command}\n{tables_to_latex(found)}",
    }


def write(study: Study, records: Sequence[AnyRecord], results: Path) -> list[Path]:
    """Write the study's plan, tables and figure; give their places.

    Raises:
        ValueError: If there is no record of any of its points.
    """
    found = tables(study, records)
    if not found:
        raise ValueError(f"no run of {study.name} is recorded; there is nothing to show")
    stem = results / FOLDER / study.name
    paths = []
    plan = study.model_dump_json(indent=1) + "\n"
    for suffix, text in {".json": plan, **texts(study, records)}.items():
        paths.append(_file(stem, suffix))
        files.write_text(paths[-1], text)
    for suffix in FIGURES:
        paths.append(_file(stem, suffix))
        curves.draw(found, paths[-1])
    return paths


def stale(study: Study, records: Sequence[AnyRecord], results: Path) -> list[Path]:
    """Return the files that are missing, or whose text the records no longer give."""
    stem = results / FOLDER / study.name
    wrong = [path for suffix in FIGURES if not (path := _file(stem, suffix)).exists()]
    for suffix, text in texts(study, records).items():
        path = _file(stem, suffix)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            wrong.append(path)
    return wrong


def _file(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)
