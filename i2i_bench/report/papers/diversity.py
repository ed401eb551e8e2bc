"""How diverse translations are under the recipe of each paper, beside what papers print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from i2i_bench.metric import Metric
from i2i_bench.records.record import Record
from i2i_bench.report.columns import BASELINES
from i2i_bench.report.leaderboard import tabulate
from i2i_bench.report.papers import published
from i2i_bench.report.papers.published import PrintedDiversity
from i2i_bench.report.papers.tables import PaperTable, Section
from i2i_bench.report.rows import Row, Table, cell
from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.scoring.metrics.answers import MODES_FOUND, VALID_SHARE
from i2i_bench.scoring.metrics.diversity import DIVERSITY

RECIPE = DIVERSITY.key  # the suite's own recipe; with an end, those of papers
EXACT = (VALID_SHARE, MODES_FOUND)  # where a task knows all right answers


class _Measured(NamedTuple):
    """A value of a row of a leaderboard."""

    board: Table
    row: Row
    metric: Metric


def diversity_table(records: Iterable[Record]) -> PaperTable:
    """Put every measured diversity side by side, and printed ones under their recipes.

    Args:
        records: Of every task.
    """
    boards = [(board, _metrics_of(board)) for board in tabulate(records)]
    shown = [(board, metrics) for board, metrics in boards if metrics]
    sections = [_board_section(board, metrics) for board, metrics in shown]
    found = [each for board, metrics in shown for each in _measured(board, metrics)]
    printed = published.printed_diversities()
    lines = [_measured_line(each) for each in found]
    lines += [_printed_line(each) for each in printed]
    return PaperTable((*sections, _printed_section(printed, found)), TIDY, tuple(lines))


def _metrics() -> list[Metric]:
    """Give what tells of diversity: what is exact first, then the recipes."""
    known = known_metrics()
    recipes = [m for m in known if m.key.partition("_")[0] == RECIPE]
    return [*EXACT, *recipes]


def _metrics_of(board: Table) -> list[Metric]:
    """Give those that a row has a value of; none where only exact ones of nothing random are."""
    return [m for m in _metrics() if any(m.key in row.stats for row in board.rows)]


def _rows_of(board: Table, metrics: list[Metric]) -> list[Row]:
    return [row for row in board.rows if any(metric.key in row.stats for metric in metrics)]


def _board_section(board: Table, metrics: list[Metric]) -> Section:
    rows = [
        (row.label, str(row.seeds or ""), *(cell(row, metric) for metric in metrics))
        for row in _rows_of(board, metrics)
    ]
    notes = [f"{metric.title}: {metric.meaning}." for metric in metrics if metric.meaning]
    if not any(metric.key.startswith(RECIPE) for metric in metrics):
        notes.append("No recipe has a value: the weights of LPIPS are asked for, and --metric.")
    return Section(
        f"Diversity, {board.heading}",
        ("model", "runs", *(metric.header for metric in metrics)),
        tuple(rows),
        left=frozenset({0}),
        notes=tuple(notes),
    )


def _measured(board: Table, metrics: list[Metric]) -> Iterator[_Measured]:
    for row in _rows_of(board, metrics):
        for metric in metrics:
            if metric.key in row.stats:
                yield _Measured(board, row, metric)


def _printed_section(printed: list[PrintedDiversity], found: list[_Measured]) -> Section:
    """List what papers print, and what was measured by the same recipe on the same data set."""
    rows = []
    for value in printed:
        ours = _of_same(value, found)
        shared = (value.method, value.dataset, value.styles, _title(value), value.value)
        rows += [(*shared, cell(each.row, each.metric), each.row.label) for each in ours]
        rows += [] if ours else [(*shared, "", "")]
    notes = [f"Printed in: {source}." for source in dict.fromkeys(v.source for v in printed)]
    notes += [f"{v.method}, {v.dataset}: {v.note}." for v in printed if v.note]
    return Section(
        "Diversity that papers print, each by its own recipe",
        ("method", "data set", "styles", "recipe", "paper", "measured", "model"),
        tuple(rows),
        left=frozenset({0, 1, 2, 3, 6}),
        notes=tuple(notes),
    )


def _of_same(value: PrintedDiversity, found: list[_Measured]) -> list[_Measured]:
    """Give what was measured of a method by a recipe on a data set; translations draw styles."""
    method = published.layout().methods.get(value.method)
    if method is None or value.styles != "drawn":
        return []
    return [
        each
        for each in found
        if each.metric.key == value.metric
        and each.board.group.task == value.dataset
        and each.row.model in method.installed
    ]


def _title(value: PrintedDiversity) -> str:
    return known_metrics().by_key[value.metric].title


TIDY = (
    *("origin", "method", "dataset", "direction", "protocol", "preset", "image_size", "styles"),
    *("metric", "value", "spread", "runs", "source", "note"),
)


def _measured_line(each: _Measured) -> tuple[object, ...]:
    group, stat = each.board.group, each.row.stats[each.metric.key]
    cells: dict[str, object] = {
        "origin": "baseline" if each.row.kind in BASELINES else "measured",
        "method": each.row.label,
        "dataset": group.task,
        "direction": group.direction,
        "protocol": group.protocol,
        "preset": group.preset,
        "image_size": group.image_size,
        "metric": each.metric.key,
        "value": stat.mean,
        "spread": stat.sd,
        "runs": each.row.seeds or None,
    }
    return tuple(cells.get(key) for key in TIDY)


def _printed_line(value: PrintedDiversity) -> tuple[object, ...]:
    cells = {key: getattr(value, key, None) for key in TIDY} | {"origin": "paper"}
    return tuple(cells[key] for key in TIDY)
