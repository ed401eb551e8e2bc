"""Tables II to IV of the AttentionGAN paper: what is printed there and what was measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from i2i_bench.metric import Column
from i2i_bench.records.record import Record
from i2i_bench.records.study import StudyRecord
from i2i_bench.report.columns import BASELINES, SPREADS
from i2i_bench.report.leaderboard import tabulate
from i2i_bench.report.notes import explain_directions
from i2i_bench.report.papers import published
from i2i_bench.report.papers.published import Value
from i2i_bench.report.papers.tables import PaperTable, Section
from i2i_bench.report.rows import Group, Row, Table, cell
from i2i_bench.report.studies import (
    PeopleSaid,
    said_cells,
    said_facts,
    said_of_methods,
    study_note,
)
from i2i_bench.report.targets import MEAN
from i2i_bench.scoring.metric_set import known_metrics

HUMAN = "human study"
STAND_IN = "classifier"  # metric, as in layout.toml


class _Line(NamedTuple):
    """What stands in one line: a printed value or a baseline, and what was measured for it."""

    method: str
    value: Value | None
    group: Group | None = None
    row: Row | None = None
    said: PeopleSaid | None = None


class _Column(NamedTuple):
    """A column of a paper's table.

    Attributes:
        metric: As in ``layout.toml``.
        dataset: As printed.
        shown: How measured values are printed; None where people judged.
        lines: Values and baselines.
        unscored: Models that were run, but have no value of the metric.
        one_way: Models that were run, but translate other directions only, a sentence each.
    """

    metric: str
    dataset: str
    shown: Column | None
    lines: list[_Line]
    unscored: list[str]
    one_way: list[str]


def comparison_table(
    name: str,
    records: Iterable[Record],
    studies: Sequence[StudyRecord] = (),
    *,
    further: bool = False,
) -> PaperTable:
    """Put what was measured beside what Table ``ii``, ``iii`` or ``iv`` prints.

    Args:
        name: Of the table.
        records: Of every task.
        studies: With people, of every task.
        further: Whether values that others printed are shown where nothing was measured.
    """
    boards = tabulate(record for record in records if not record.split)  # papers report tests
    columns, hidden = [], []
    for values in _by_column(published.values(name)):
        column = _column(values, boards, further=further)
        column = column if column.shown else _asked_column(name, column, studies)
        columns += [column] if column.lines else []
        beside = _stand_in(values, boards)
        columns += [beside] if beside.lines else []
        hidden += [column.dataset] if set(values) - {line.value for line in column.lines} else []
    sections = [_section(name, column) for column in columns]
    if hidden:
        note = f"Others printed values on {', '.join(hidden)}; --all shows them."
        sections[-1] = dataclasses.replace(sections[-1], notes=(*sections[-1].notes, note))
    lines = [_tidy(name, column, line) for column in columns for line in column.lines]
    return PaperTable(tuple(sections), TIDY, tuple(lines))


def _by_column(values: list[Value]) -> list[list[Value]]:
    columns: dict[tuple[str, str], list[Value]] = {}
    for value in values:
        columns.setdefault((value.metric, value.dataset), []).append(value)
    return list(columns.values())


def _column(values: list[Value], boards: list[Table], *, further: bool) -> _Column:
    """Match the values of a column with rows of leaderboards; unmeasured ones stay."""
    metric, dataset = values[0].metric, values[0].dataset
    shown = _shown(values)
    found = _boards_of(dataset, boards) if shown else []
    lines, unscored = [], []
    for value in values:
        method = published.layout().methods[value.method]
        rows = [(b.group, row) for b in found for row in b.rows if row.model in method.installed]
        measured = [
            _Line(method.name, value, group, row)
            for group, row in rows
            if shown and shown.key in row.stats
        ]
        if shown and not measured:
            unscored += [row.label for _, row in rows]
        is_shown = further or value.origin == "paper"
        lines += measured or ([_Line(method.name, value)] if is_shown else [])
    if shown:
        lines += _baselines(shown.key, found, lines)
    one_way = _one_way(values, boards) if shown else []
    return _Column(metric, dataset, shown, lines, unscored, one_way)


def _asked_column(name: str, column: _Column, studies: Sequence[StudyRecord]) -> _Column:
    """Put what people said beside what is printed; other kinds of study stay out."""
    wanted = published.layout().datasets.get(column.dataset)
    measure = published.layout().metrics[column.metric].measures.get(name)
    said = [
        each
        for study in studies
        if wanted and study.results.measure == measure
        if wanted.has_direction(study.task, study.direction)
        for each in said_of_methods(study)
    ]
    lines = []
    for line in column.lines:
        assert line.value
        known = published.layout().methods[line.value.method].installed
        found = [line._replace(said=each) for each in said if each.model in known]
        lines += found or [line]
    return column._replace(lines=lines)


def _one_way(values: list[Value], boards: list[Table]) -> list[str]:
    """Name models that were run on a data set, but translate other directions only."""
    wanted = published.layout().datasets.get(values[0].dataset)
    if not wanted or not wanted.directions:
        return []
    models = {m for value in values for m in published.layout().methods[value.method].installed}
    stated = {
        row.label: record.directions
        for board in boards
        for row in board.rows
        for record, _ in row.entries
        if board.group.task == wanted.task and isinstance(record, Record) and row.model in models
    }
    others = {k: v for k, v in stated.items() if v and not set(v) & set(wanted.directions)}
    return explain_directions(others)


def _stand_in(values: list[Value], boards: list[Table]) -> _Column:
    """Return the column of the suite's classifier, where the paper asked people."""
    metric, dataset = values[0].metric, values[0].dataset
    is_study = not published.layout().metrics[metric].key
    found = _boards_of(dataset, boards) if is_study else []
    shown = known_metrics().by_key[published.layout().metrics[STAND_IN].key]
    methods = [published.layout().methods[value.method] for value in values]
    lines = [
        _Line(method.name, None, board.group, row)
        for method in methods
        for board in found
        for row in board.rows
        if row.model in method.installed and shown.key in row.stats
    ]
    return _Column(STAND_IN, dataset, shown, lines + _baselines(shown.key, found, lines), [], [])


def _shown(values: list[Value]) -> Column | None:
    """Print measured values with as many decimals as the paper's."""
    metric = published.layout().metrics[values[0].metric]
    digits = max(len(value.value.partition(".")[2]) for value in values)
    if not metric.key:
        return None
    return dataclasses.replace(known_metrics().by_key[metric.key], digits=digits)


def _boards_of(dataset: str, boards: list[Table]) -> list[Table]:
    """Find the boards of a data set; where it names no direction, a mean speaks for its parts."""
    wanted = published.layout().datasets.get(dataset)
    if not wanted:
        return []
    found = [b for b in boards if wanted.has_direction(b.group.task, b.group.direction)]
    whole = [board for board in found if board.group.task == wanted.task]
    means = [board for board in whole if board.group.direction.startswith(MEAN)]
    return [*(means or whole), *(board for board in found if board not in whole)]


def _baselines(key: str, boards: list[Table], lines: list[_Line]) -> list[_Line]:
    """Give the identity and real against real of every group that has a line."""
    used = {line.group for line in lines}
    return [
        _Line(row.kind, None, board.group, row)
        for board in boards
        for row in board.rows
        if board.group in used and row.kind in BASELINES and key in row.stats
    ]


def _section(name: str, column: _Column) -> Section:
    """Show a column; what tells measured lines apart stands only where there are some."""
    groups = list(dict.fromkeys(line.group for line in column.lines if line.group))
    evidence = {line.value.evidence for line in column.lines if line.value} - {""}
    theirs = " ".join([*(evidence or {"paper's"}), "protocol"])
    header = ["method", "paper", theirs, "measured", "protocol", "runs"]
    header += ["same", "model"] if groups else []
    if any(line.said for line in column.lines):
        header[4:] = ["procedure", "people", "model"]
    cells = [[*_cells(line, column.shown), *_origin(line, groups)] for line in column.lines]
    what = column.shown.header if column.shown else _metric(column).header
    is_printed = any(line.value and line.value.origin == "paper" for line in column.lines)
    return Section(
        f"{'' if is_printed else 'Beside '}Table {name.upper()}, {column.dataset}: {what}",
        tuple(header),
        tuple(tuple(line[: len(header)]) for line in cells),
        left=frozenset({0, 2, 4, 6, 7}),
        notes=tuple(_notes(column, groups)),
    )


def _metric(column: _Column) -> published.PrintedMetric:
    return published.layout().metrics[column.metric]


def _cells(line: _Line, shown: Column | None) -> list[str]:
    """Give the paper's value and the measured one, each with its protocol."""
    paper = [line.value.text, line.value.protocol] if line.value else ["", ""]
    if line.said:
        return [line.method, *paper, *said_cells(line.said)]
    if shown is None:
        return [line.method, *paper, HUMAN, "", "", ""]
    if line.group is None or line.row is None:
        return [line.method, *paper, "", "", ""]
    runs = str(line.row.stats[shown.key].seeds) if line.row.seeds else ""
    protocol = f"{line.group.protocol}@{line.group.protocol_version}"
    return [line.method, *paper, cell(line.row, shown), protocol, runs]


def _origin(line: _Line, groups: list[Group]) -> list[str]:
    """Say whether both protocols agree, and which model was measured; a note has its group."""
    if line.group is None or line.row is None:
        return ["", ""]
    number = f"({groups.index(line.group) + 1})"
    label = f"{line.row.label} {number}" if line.row.kind == "model" else number
    return [_same_protocol(line), label]


def _same_protocol(line: _Line) -> str:
    """Tell whether the paper's value and the measured one may be compared."""
    if line.value is None or line.group is None:
        return ""
    if line.value.protocol == "unknown":
        return "unknown"
    return "yes" if line.value.protocol == line.group.protocol else "no"


def _notes(column: _Column, groups: list[Group]) -> list[str]:
    """Say what the numbers are and where they come from."""
    values = [line.value for line in column.lines if line.value]
    notes = [_metric(column).note] if _metric(column).note else []
    explained = published.layout().protocols
    protocols = dict.fromkeys(value.protocol for value in values)
    notes += [explained[protocol] for protocol in protocols if protocol in explained]
    if column.shown and values:
        notes.append(
            "Compare a measured value with a printed one only where their protocols are the same."
        )
    if column.shown and column.unscored:
        models = ", ".join(dict.fromkeys(column.unscored))
        why = "the leaderboard of the task says why"
        notes.append(f"Run, but without a value of {column.shown.title}: {models}; {why}.")
    notes += column.one_way
    if groups:
        notes.append(_spread_note(column, groups))
    studies = {str(line.said.record): line.said.record for line in column.lines if line.said}
    notes += [f"{study_note(each)}." for each in studies.values()]
    notes += [f"({number}) {_heading(group)}." for number, group in enumerate(groups, start=1)]
    notes += [f"Printed in: {source}." for source in dict.fromkeys(v.source for v in values)]
    for remark in dict.fromkeys(value.note for value in values if value.note):
        methods = dict.fromkeys(line.method for line in column.lines if _remark(line) == remark)
        notes.append(f"{', '.join(methods)}: {remark}.")
    return notes


def _remark(line: _Line) -> str:
    return line.value.note if line.value else ""


def _heading(group: Group) -> str:
    """Say what the measured values of a group share."""
    parts = [f"{group.task}@{group.task_version}", group.direction]
    parts += [f"{group.protocol}@{group.protocol_version}", f"preset {group.preset}"]
    parts += [f"{group.image_size} px", f"n = {group.n_real}", f"real set {group.real_sha256[:8]}"]
    parts += [f"weights {group.weights_sha256[:8]}"] if group.weights_sha256 else []
    return ", ".join(parts)


def _spread_note(column: _Column, groups: list[Group]) -> str:
    kinds = dict.fromkeys(group.spread_kind for group in groups if group.spread_kind in SPREADS)
    spreads = " or ".join(SPREADS[kind] for kind in kinds)
    has_own = column.shown is not None and known_metrics().spreads(column.shown.key) != ()
    single = f"; of one run, the {spreads}" if has_own and spreads else ""
    return f"± of a measured value is the standard deviation over runs{single}."


TIDY = (
    *("table", "method", "venue", "metric", "dataset", "paper_value", "paper_spread"),
    *("paper_protocol", "paper_protocol_evidence", "measured", "measured_spread"),
    *("measured_spread_kind", "runs", "same_protocol"),
    *("model", "variant", "partial", "checkpoint", "selected_on"),
    *Group._fields,
    *("paper_source", "paper_note"),
    *("study", "procedure", "people", "interval", "low", "high"),
)


def _tidy(name: str, column: _Column, line: _Line) -> tuple[object, ...]:
    """Give a line for programs, in the unit of the paper."""
    cells: dict[str, object] = {"table": name, "method": line.method}
    cells |= {"metric": column.metric, "dataset": column.dataset}
    if value := line.value:
        cells |= {"venue": value.venue, "paper_value": value.value, "paper_spread": value.spread}
        cells |= {"paper_protocol": value.protocol, "paper_protocol_evidence": value.evidence}
        cells |= {"paper_source": value.source, "paper_note": value.note}
    if line.said:
        cells |= said_facts(line.said)
    elif column.shown is None:
        cells["measured"] = HUMAN
    elif line.group and line.row:
        cells |= line.group._asdict() | _measured_cells(line.row, line.group, column.shown)
        cells["same_protocol"] = _same_protocol(line)
    return tuple(cells.get(key) for key in TIDY)


def _measured_cells(row: Row, group: Group, shown: Column) -> dict[str, object]:
    stat = row.stats[shown.key]
    spread, kind = stat.sd, "sd_seeds"
    spreads = known_metrics().spreads(shown.key)
    single = [row.stats[key].mean for key in spreads if key in row.stats]
    if spread is None and single:
        spread, kind = single[0], group.spread_kind
    return {
        "measured": stat.mean * shown.scale,
        "measured_spread": None if spread is None else spread * shown.scale,
        "measured_spread_kind": None if spread is None else kind,
        "runs": stat.seeds if row.seeds else None,
        **{key: getattr(row, key) for key in ("model", "variant", "partial", "checkpoint")},
        "selected_on": row.selected_on,
    }
