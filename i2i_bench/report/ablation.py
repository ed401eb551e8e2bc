"""Tables and figure of an ablation: a pure function of its plan and the records."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from i2i_bench.records.ablation import FOLDER, AblationPlan, AblationPoint
from i2i_bench.records.record import AnyRecord, Record
from i2i_bench.records.run import Run
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

FIGURES = (".png", ".svg")
SHOWN_COSTS = tuple(c for c in COSTS if c.key in ("parameters", "images_per_second"))


def ablation_tables(plan: AblationPlan, records: Iterable[AnyRecord]) -> list[Table]:
    """Return a table per protocol and direction, with a row per point and the identity's."""
    found = [_of_protocols(each, plan) for each in _records(plan, records)]
    boards = tabulate(found)
    absent = _absence_notes(plan, found)
    order = {name: i for i, name in enumerate(plan.protocols)}
    boards.sort(key=lambda board: order[board.group.protocol])
    return [_table(plan, board, absent) for board in boards]


def _records(plan: AblationPlan, records: Iterable[AnyRecord]) -> Iterator[Record]:
    runs = {point.run for point in plan.points}
    for each in records:
        if isinstance(each, Record) and each.seed in plan.seeds and _folder(each.run) in runs:
            yield each


def _folder(run: Run) -> str:
    return run.folder.parent.as_posix()


def _of_protocols(found: Record, plan: AblationPlan) -> Record:
    """Leave out scores that the ablation did not ask for."""
    scores = {key: s for key, s in found.scores.items() if s.protocol in plan.protocols}
    return found.model_copy(update={"scores": scores})


def _absence_notes(plan: AblationPlan, found: Sequence[Record]) -> list[str]:
    """Name the runs that have no record."""
    there = {(_folder(each.run), each.seed) for each in found}
    notes = []
    for point in plan.points:
        absent = [str(seed) for seed in plan.seeds if (point.run, seed) not in there]
        if absent:
            what = "seed" if len(absent) == 1 else "seeds"
            notes.append(f"No record of {', '.join(point.values)}, {what} {', '.join(absent)}.")
    return notes


def _table(plan: AblationPlan, board: Table, absent: list[str]) -> Table:
    """Put the rows into the order of the plan and name them by what varies."""
    rows = []
    for point in plan.points:
        of_point = [r for r in board.rows if r.kind == "model" and _is_of(r, point, plan)]
        rows += [dataclasses.replace(r, rank=None, values=point.values) for r in of_point]
    blank = ("",) * (len(plan.keys) - 1)
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
        keys=plan.keys,
    )


def _is_of(row: Row, point: AblationPoint, plan: AblationPlan) -> bool:
    return _folder(Run(row.model, row.variant, plan.task, 0)) == point.run


def ablation_texts(plan: AblationPlan, records: Iterable[AnyRecord]) -> dict[str, str]:
    """Return the ablation's text files by suffix; equal records give equal contents."""
    found = ablation_tables(plan, records)
    figures = f"![{markdown_text(plan.title)}]({plan.name}.png)"
    head = (
        f"# {markdown_text(plan.title)}\n\nMade from the records by `{plan.command}`; edits are "
        f"lost.\n\n{figures}\n\n"
    )
    return {
        ".md": head + tables_to_markdown(found),
        ".csv": tables_to_csv(found),
        ".tex": f"% {plan.command}\n{tables_to_latex(found)}",
    }


def write_ablation(plan: AblationPlan, records: Sequence[AnyRecord], results: Path) -> list[Path]:
    """Write the ablation's plan, tables and figure; give their places.

    Raises:
        ValueError: If there is no record of any of its points.
    """
    found = ablation_tables(plan, records)
    if not found:
        raise ValueError(f"no run of {plan.name} is recorded; there is nothing to show")
    stem = results / FOLDER / plan.name
    paths = []
    content = plan.model_dump_json(indent=1) + "\n"
    for suffix, text in {".json": content, **ablation_texts(plan, records)}.items():
        paths.append(_file(stem, suffix))
        files.write_text(paths[-1], text)
    for suffix in FIGURES:
        paths.append(_file(stem, suffix))
        curves.draw_curves(found, paths[-1])
    return paths


def stale_files(plan: AblationPlan, records: Sequence[AnyRecord], results: Path) -> list[Path]:
    """Return the files that are missing, or whose text the records no longer give."""
    stem = results / FOLDER / plan.name
    wrong = [path for suffix in FIGURES if not (path := _file(stem, suffix)).exists()]
    for suffix, text in ablation_texts(plan, records).items():
        path = _file(stem, suffix)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            wrong.append(path)
    return wrong


def _file(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)
