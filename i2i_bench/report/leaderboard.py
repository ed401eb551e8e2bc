"""The leaderboard: a pure function from records to tables; ``render`` turns those into text."""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from i2i_bench.metric import Column
from i2i_bench.records.record import AnyRecord, External, Record, Score
from i2i_bench.records.run import EXTERNAL
from i2i_bench.report.columns import BASELINES, COST_KEYS, COSTS
from i2i_bench.report.notes import explain, explain_directions, explain_split
from i2i_bench.report.rows import (
    Entry,
    Group,
    Mark,
    Row,
    Stat,
    Table,
    group_of,
    have_one,
    mixture,
    versions_of_metrics,
    with_given_masks,
)
from i2i_bench.report.targets import MEAN, averaged, means
from i2i_bench.scoring.alarms import why_unsound
from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.scoring.protocols import DISTANCE_KEYS, PROTOCOLS
from i2i_bench.system.messages import near
from i2i_bench.tasks.validation import TEST

Stated = dict[str, Sequence[str]]  # directions by the label of a row


def tabulate(records: Iterable[AnyRecord], task: str | None = None) -> list[Table]:
    """Build one table for each group of comparable scores, in a fixed order.

    Images of other programs stand beside the models of every preset with which they may be
    compared, or else in a table of their own. Scores of several targets of a labelled task have a
    table of their mean as well. Those of validation images have tables of their own, behind all
    others.

    Raises:
        ValueError: If there are records, but none of this task.
    """
    groups: dict[Group, list[Entry]] = {}
    chosen = _of_task(list(records), task)
    for record in sorted(chosen, key=_identity):
        scores = list(record.scores.values())
        for score in (*scores, *means(scores)):
            groups.setdefault(group_of(record, score), []).append((record, score))
    _place_beside_models(groups)
    alike = Counter(map(_but_for_real_set, groups))
    stated = _stated_directions(groups)
    return [
        _table(
            group,
            groups[group],
            is_split=alike[_but_for_real_set(group)] > 1,
            stated=stated.get(_but_for_direction(group), {}),
        )
        for group in sorted(groups, key=_place)
    ]


def _place_beside_models(groups: dict[Group, list[Entry]]) -> None:
    """Move other programs' images into the tables of models of which all but the preset agrees."""

    def shared(group: Group) -> Group:
        return group._replace(preset="", trained_version=0)

    for group in [group for group in groups if group.preset == EXTERNAL]:
        beside = [each for each in groups if each.preset != EXTERNAL]
        beside = [each for each in beside if shared(each) == shared(group)]
        for each in beside:
            groups[each] = groups[group] + groups[each]
        if beside:
            del groups[group]


def _stated_directions(groups: Mapping[Group, list[Entry]]) -> dict[Group, Stated]:
    """Give what models state that leave directions out, by what tables of all directions share.

    One that states every direction in which any other is scored leaves none out.
    """
    scored: dict[Group, set[str]] = {}
    stated: dict[Group, Stated] = {}
    for group, entries in groups.items():
        key = _but_for_direction(group)
        scored.setdefault(key, set()).update(score.direction for _, score in entries)
        for record, score in entries:
            if isinstance(record, Record) and record.directions:
                stated.setdefault(key, {})[_label(record, score)] = record.directions
    return {
        key: {
            label: directions
            for label, directions in found.items()
            if len(directions) == 1 or _others(scored[key], directions)
        }
        for key, found in stated.items()
    }


def _others(scored: Iterable[str], directions: Sequence[str]) -> set[str]:
    """Give the directions that are not among some; a mean is none."""
    return {each for each in scored if not each.startswith(MEAN)} - set(directions)


def _but_for_direction(group: Group) -> Group:
    blank = {"direction": "", "real_sha256": "", "n_real": 0, "estimator": "", "spread_kind": ""}
    return group._replace(**blank)


def _but_for_real_set(group: Group) -> Group:
    return group._replace(real_sha256="")


def _place(group: Group) -> tuple[bool, Group]:
    """Give what to order tables by: test images first, a mean over targets before single ones."""
    is_mean = group.direction.startswith(MEAN)
    return group.split != TEST, group._replace(direction="") if is_mean else group


def _identity(record: AnyRecord) -> tuple[str, str, int]:
    """Give model, variant and seed; other programs' images have a name alone, and come first."""
    if isinstance(record, External):
        return ("", record.name, 0)
    return (record.model, record.variant, record.seed)


def of_tasks(records: Sequence[AnyRecord], tasks: Iterable[str]) -> list[AnyRecord]:
    """Return the records of some tasks.

    Raises:
        ValueError: If there are records, but none of one of the tasks.
    """
    return [record for task in dict.fromkeys(tasks) for record in _of_task(records, task)]


def _of_task(records: Sequence[AnyRecord], task: str | None) -> list[AnyRecord]:
    known = sorted({record.task for record in records})
    if task is None or task in known or not known:
        return [record for record in records if task in (None, record.task)]
    others = f"{near(task, known)}there are some of: {', '.join(known)}"
    raise ValueError(f"no records of task {task!r}; {others}")


def _table(group: Group, entries: list[Entry], *, is_split: bool, stated: Stated) -> Table:
    headline = ranked_by(group)
    rows = _model_rows(entries)
    present = {key for _, row in rows for key in row.stats}
    baselines = [_baseline_row(name, entries) for name in BASELINES]
    present |= {key for row in baselines for key in row.stats}
    columns = [_titled(c, group) for c in _columns(present) if c.key != headline.key]
    if headline.key in present:
        columns.insert(0, headline)
    marked = [c for c in columns if c.key not in _incomparable(entries)]
    ranked = _marked(_ranked([row for _, row in rows], headline), marked)
    notes = explain(group, columns, rows=rows, ranked=ranked, headline=headline)
    notes[1:1] = explain_directions(stated)
    notes += [explain_split(entries)] if is_split else []
    costs = COSTS if any(row.stats.keys() & COST_KEYS for row in ranked) else ()
    return Table(group, tuple(columns), costs, (*ranked, *baselines), tuple(notes))


def ranked_by(group: Group) -> Column:
    """Return the metric that ranks; of distances, the protocol says which."""
    key = group.headline
    protocol = PROTOCOLS.get(group.protocol)
    if protocol and protocol.version == group.protocol_version and key in DISTANCE_KEYS:
        key = protocol.headline
    return _titled(known_metrics().by_key.get(key, Column(key, key)), group)


def _titled(column: Column, group: Group) -> Column:
    """Name the mixture in the title of a column of mixed distances."""
    if column.key in DISTANCE_KEYS and mixture(group):
        return dataclasses.replace(column, title=f"{column.title} {mixture(group)}")
    return column


def _incomparable(entries: list[Entry]) -> frozenset[str]:
    """Name the metrics whose values come from different network weights, or versions of it."""
    made_by = {m.key: m.weights_field for m in known_metrics() if m.weights_field}
    found = {key for key, field in made_by.items() if not have_one(field, entries)}
    return frozenset(found | versions_of_metrics(entries).keys())


def _columns(present: set[str]) -> list[Column]:
    """Return the columns that have a value; unknown metrics come last."""
    known, hidden = known_metrics(), known_metrics().hidden
    others = sorted(present - known.by_key.keys() - COST_KEYS - hidden)
    shown = [metric for metric in known.shown if metric.key in present]
    return [*shown, *(Column(key, key) for key in others)]


def _model_rows(entries: list[Entry]) -> list[tuple[list[Entry], Row]]:
    """Gather the seeds of each model and variant; complete and partial ones stay apart."""
    parts: dict[tuple[str | bool, ...], list[Entry]] = {}
    for record, score in entries:
        chosen = (score.checkpoint, score.selected_on or "", score.partial)
        parts.setdefault((*_identity(record)[:2], *chosen), []).append((record, score))
    return [(part, _model_row(part)) for part in parts.values()]


def _model_row(part: list[Entry]) -> Row:
    record, score = part[0]
    found = [{**score.values, **_costs(record)} for record, score in part]
    is_run = isinstance(record, Record)
    return Row(
        label=_label(record, score),
        kind="model" if is_run else EXTERNAL,
        seeds=len(part) if is_run else 0,
        stats=_stats(found),
        partial=score.partial,
        unsound=_unsound(part),
        model=record.model if is_run else "",
        variant=record.variant if is_run else "",
        checkpoint=score.checkpoint,
        selected_on=score.selected_on or "",
        entries=tuple(part),
    )


def _unsound(part: list[Entry]) -> str:
    """Say why a row is no translation to rank; of a mean, in which directions it is none."""
    found: dict[str, list[str]] = {}
    for record, score in part:
        for each in averaged(record.scores.values(), score):
            if why := why_unsound(each):
                where = "" if each is score else f"{each.direction}: "
                found.setdefault(where + why, []).append(str(getattr(record, "seed", "")))
    whose = {why: f" (seed {', '.join(seeds)})" * (len(part) > 1) for why, seeds in found.items()}
    return "; ".join(why + seeds for why, seeds in whose.items())


def _label(record: AnyRecord, score: Score) -> str:
    """Name a row; the heading names the preset already, so the variant need not."""
    if isinstance(record, External):
        return f"{record.name} (external{', partial' if score.partial else ''})"
    preset = f"preset={record.preset}"
    variant = record.variant
    if variant == preset or variant.startswith(f"{preset},"):
        variant = variant[len(preset) + 1 :]
    remarks = [score.checkpoint] if score.checkpoint != "last" else []
    remarks += [f"selected on {score.selected_on}"] if score.selected_on else []
    remarks += ["partial"] if score.partial else []
    name = f"{record.model}+{variant}" if variant else record.model
    return f"{name} ({', '.join(remarks)})" if remarks else name


def _costs(record: AnyRecord) -> dict[str, float | None]:
    if isinstance(record, External):
        return {}
    return {
        "parameters": sum(record.parameters.values()),
        "images_per_second": record.images_per_second,
        "seconds": record.seconds,
        "peak_memory_bytes": record.peak_memory_bytes,
    }


def _stats(found: Sequence[Mapping[str, float | None]]) -> dict[str, Stat]:
    """Average each metric over the seeds that have a value."""
    stats = {}
    for key in dict.fromkeys(key for values in found for key in values):
        given = [value for values in found if (value := values.get(key)) is not None]
        if given:
            sd = statistics.stdev(given) if len(given) > 1 else None
            stats[key] = Stat(statistics.fmean(given), sd, len(given))
    return stats


def _baseline_row(name: str, entries: list[Entry]) -> Row:
    """Take each value from the first record that has it: all are of the same images."""
    values: dict[str, float | None] = {}
    for _, score in sorted(entries, key=lambda entry: entry[1].partial):
        found = score.baselines[name].values if name in score.baselines else {}
        values |= {key: value for key, value in found.items() if values.get(key) is None}
    return Row(label=BASELINES[name], kind=name, seeds=0, stats=_stats([values]))


def _ranked(rows: list[Row], headline: Column) -> list[Row]:
    """Put rows that can be ranked first, the best on top; ties as printed share a rank."""

    def rankable(row: Row) -> bool:
        is_whole = not row.partial and not row.unsound
        return bool(headline.better) and headline.key in row.stats and is_whole

    def goodness(row: Row) -> float:
        return headline.goodness(row.stats[headline.key].mean)

    able = sorted((row for row in rows if rankable(row)), key=lambda r: (-goodness(r), r.label))
    values = [goodness(row) for row in able]
    placed = [
        dataclasses.replace(row, rank=1 + values.index(value))
        for row, value in zip(able, values, strict=True)
    ]
    return placed + [row for row in rows if not rankable(row)]


def _marked(rows: list[Row], columns: list[Column]) -> list[Row]:
    """Mark the two best values of each column among sound models whose test set is complete."""
    apart = {row.label for row in with_given_masks(rows)}
    marks: list[dict[str, Mark]] = [{} for _ in rows]
    for column in columns:
        values = {
            i: column.goodness(row.stats[column.key].mean)
            for i, row in enumerate(rows)
            if column.better and column.key in row.stats
            if not (row.partial or row.unsound or row.label in apart)
        }
        order = sorted(set(values.values()), reverse=True)
        for i, value in values.items():
            if len(values) > 1 and value in order[:2]:
                marks[i][column.key] = "best" if value == order[0] else "second"
    return [dataclasses.replace(row, marks=m) for row, m in zip(rows, marks, strict=True)]
