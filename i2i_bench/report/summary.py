"""A summary of leaderboards: one row a model over all tasks, its ranks, and where it fails."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from i2i_bench.records.record import AnyRecord
from i2i_bench.report.leaderboard import ranked_by, tabulate
from i2i_bench.report.notes import given_notes
from i2i_bench.report.render import markdown_lines, markdown_text, tables_to_markdown
from i2i_bench.report.rows import Row, Table
from i2i_bench.report.targets import MEAN
from i2i_bench.tasks.catalogue import typed_name
from i2i_bench.tasks.validation import TEST

IDENTITY = "identity"
DEFAULT_PROTOCOL = "i2i"  # by which every run is scored
NOTES = (
    "Ranks are among these models, without changed settings, in the tables below and in the order "
    "of their directions; of labelled tasks the mean over targets counts. ! is never ranked.",
    "beats: the share of the others in the same tables that a model is ranked above; between "
    "models that share no task, the order of these rows says nothing, and in few tables little.",
    "fails: where a model is not above the unchanged source, or not ranked.",
)


@dataclass(frozen=True)
class Summary:
    """All tables of a preset in one.

    Attributes:
        title: Its heading.
        header: Of the columns: model, seeds, tasks, then what sums them up.
        rows: Their texts, a row a model.
        notes: What the columns mean.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


@dataclass
class _Standing:
    """What a model has reached.

    Attributes:
        ranks: By task, one for each table, as shown.
        numbers: Ranks in all tables where it has one.
        beaten: In each of these, the share of the other models that it is ranked above.
        fails: Tasks and directions.
        seeds: In each table.
    """

    ranks: dict[str, list[str]] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)
    beaten: list[float] = field(default_factory=list)
    fails: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)

    @property
    def share(self) -> float:
        """How many others it is ranked above, on average; -1 where it is never ranked."""
        return statistics.fmean(self.beaten) if self.beaten else -1.0


def results_readme(records: Iterable[AnyRecord]) -> str:
    """Give the text of ``results/README.md``: the summaries, then every table."""
    tables = tabulate(records)
    lead = (
        "Generated from the records in this folder by `i2i-bench leaderboard --write`; "
        "edits are lost."
    )
    parts = ["# Results", lead, summary_markdown(tables).rstrip(), tables_to_markdown(tables)]
    return "\n\n".join(part for part in parts if part)


def summary_markdown(tables: Sequence[Table]) -> str:
    """Give a summary for each preset as Markdown; "" where no preset has two tables."""
    return "\n".join(_markdown(each) for each in summaries(tables))


def summaries(tables: Sequence[Table]) -> list[Summary]:
    """Sum up the tables of each preset that has two or more."""
    presets = dict.fromkeys(table.group.preset for table in tables if _counts(table, tables))
    found = [_of_preset(preset, tables) for preset in presets]
    return [each for each in found if each]


def _markdown(summary: Summary) -> str:
    body = [[markdown_text(text) for text in cells] for cells in (summary.header, *summary.rows)]
    lines = [f"## {markdown_text(summary.title)}", ""]
    lines += [*markdown_lines(body, {0, len(summary.header) - 1}), ""]
    return "\n".join([*lines, *(f"- {markdown_text(note)}" for note in summary.notes)]) + "\n"


def _counts(table: Table, tables: Sequence[Table]) -> bool:
    """Tell whether a table is one of the summary: of test images, as every run is scored."""
    group = table.group
    if group.split != TEST or group.protocol != DEFAULT_PROTOCOL:
        return False
    if group.direction.startswith(MEAN):
        return True
    return not any(
        other.group.direction.startswith(MEAN) and other.group.task == group.task
        for other in tables
        if other.group.preset == group.preset
    )


def _of_preset(preset: str, tables: Sequence[Table]) -> Summary | None:
    chosen = [t for t in tables if t.group.preset == preset and _counts(t, tables)]
    tasks = list(dict.fromkeys(typed_name(table.group.task) for table in chosen))
    found: dict[str, _Standing] = {}
    for table in chosen:
        plain = [r for r in table.rows if r.kind == "model" and r.variant == f"preset={preset}"]
        for row in plain:
            others = [other.rank for other in plain if other.rank and other is not row]
            _add(found.setdefault(row.label, _Standing()), row, table, others)
    if len(chosen) < 2 or not found:
        return None
    order = sorted(found, key=lambda label: (-found[label].share, label))
    return Summary(
        title=f"Summary, preset {preset}",
        header=("model", "seeds", *tasks, "tables", "mean rank", "beats", "fails"),
        rows=tuple((label, *_cells(found[label], tasks)) for label in order),
        notes=(*NOTES, *given_notes(row for table in chosen for row in table.rows)),
    )


def _add(standing: _Standing, row: Row, table: Table, others: Sequence[int]) -> None:
    """Add what a row of a table says of its model, beside the ranks of others in it."""
    group = table.group
    task = typed_name(group.task)
    ranks = standing.ranks.setdefault(task, [])
    standing.seeds.append(row.seeds)
    where = f"{task} {group.direction}"
    if row.rank is None:
        ranks.append("!" if row.unsound else "-")
        standing.fails += [where]
        return
    rank = 1 + sum(other < row.rank for other in others)
    ranks.append(str(rank))
    standing.numbers.append(rank)
    if others:
        standing.beaten.append(statistics.fmean(other > row.rank for other in others))
    standing.fails += [where] if not _is_above_identity(row, table) else []


def _is_above_identity(row: Row, table: Table) -> bool:
    """Tell whether a row is above the unchanged source, where that has a value."""
    headline = ranked_by(table.group)
    theirs: Mapping[str, Row] = {each.kind: each for each in table.rows}
    identity = theirs.get(IDENTITY)
    if identity is None or headline.key not in identity.stats:
        return True
    ours, sources = (each.stats[headline.key].mean for each in (row, identity))
    return headline.goodness(ours) > headline.goodness(sources)


def _cells(standing: _Standing, tasks: Sequence[str]) -> list[str]:
    """Give the cells of a model behind its name."""
    ranks = ["/".join(standing.ranks.get(task, [])) for task in tasks]
    mean = f"{statistics.fmean(standing.numbers):.1f}" if standing.numbers else "-"
    beats = f"{100 * standing.share:.0f} %" if standing.beaten else "-"
    fewest, most = min(standing.seeds), max(standing.seeds)
    seeds = str(most) if fewest == most else f"{fewest}-{most}"
    count = str(len(standing.seeds))
    return [seeds, *ranks, count, mean, beats, ", ".join(standing.fails)]
