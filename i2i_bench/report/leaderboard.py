"""The leaderboard: a pure function from records to tables; ``render`` turns those into text."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from i2i_bench.faults import near
from i2i_bench.protocols import PROTOCOLS, remarks
from i2i_bench.record import EXTERNAL, AnyRecord, External, Record, Score
from i2i_bench.report.columns import (
    BASELINES,
    CLASSIFIER_KEYS,
    COST_KEYS,
    COSTS,
    HIDDEN,
    KNOWN,
    LPIPS_KEYS,
    METRICS,
    SPREAD_OF,
    SPREADS,
    Column,
)
from i2i_bench.report.targets import MEAN, means

LONGEST_REASON = 300  # characters
UNBIASED_FID = 2048  # images; with fewer, the covariance has no full rank
Mark = Literal["best", "second"]
Entry = tuple[AnyRecord, Score]


class Group(NamedTuple):
    """What rows must share to stand in one table."""

    task: str
    task_version: int
    protocol: str
    protocol_version: int
    direction: str
    preset: str
    image_size: int
    headline: str
    recipe: str
    estimator: str
    spread_kind: str
    weights_sha256: str
    real_sha256: str
    trained_version: int
    n_real: int


class Stat(NamedTuple):
    """A metric over the seeds of a row: sample standard deviation, None for one seed."""

    mean: float
    sd: float | None
    seeds: int


@dataclass(frozen=True)
class Row:
    """A model with its variant, images of another program, or a baseline.

    Attributes:
        label: What a reader sees.
        kind: ``model``, ``external``, or the baseline's name.
        seeds: Number of seeds; 0 where there is none.
        stats: By metric or cost; without those that have no value.
        rank: 1 for the best, shared by ties; None where a row is not ranked.
        marks: The best and the second best value of each column.
        partial: Whether test images are missing.
        model: Name in the registry; "" for what is no model.
        variant: As recorded.
        checkpoint: ``last``, or which.
        selected_on: What chose the checkpoint.
        entries: Records and scores behind a row, by seed; none for a baseline.
        values: In an ablation, those of the table's ``keys``.
    """

    label: str
    kind: str
    seeds: int
    stats: Mapping[str, Stat]
    rank: int | None = None
    marks: Mapping[str, Mark] = field(default_factory=dict)
    partial: bool = False
    model: str = ""
    variant: str = ""
    checkpoint: str = ""
    selected_on: str = ""
    entries: tuple[Entry, ...] = field(default=(), repr=False, compare=False)
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Rows that may be compared: models by rank, then the baselines.

    Attributes:
        group: What they share.
        columns: Metrics with a value in any row, the headline first.
        costs: Costs of training.
        rows: Models, then ``identity`` and ``real``.
        notes: Sentences that belong under the table, the first about the ranking.
        keys: What varies from row to row of an ablation, whose rows are in its order and have no
            rank; () in a leaderboard.
    """

    group: Group
    columns: tuple[Column, ...]
    costs: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    keys: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """What distinguishes the table for a reader."""
        g = self.group
        return (
            f"{g.task}@{g.task_version}, {g.direction}, {g.protocol}@{g.protocol_version} "
            f"({_measures(g)}), preset {g.preset}, {g.image_size} px, n = {g.n_real}"
        )


def _measures(group: Group) -> str:
    """Name the distances of a protocol with unit and spread."""
    estimator = json.loads(group.estimator)
    mixed = f" {_mixture(group)}" if _mixture(group) else ""
    names = [f"FID{mixed}"] if "fid_lowrank" in estimator.get("distances", ()) else []
    if "kid_unit" in estimator:
        spread = SPREADS.get(group.spread_kind)
        names.append(f"KID{mixed} x100" + (f" ± {spread}" if spread else ""))
    return ", ".join(names) or "no distance"


def _mixture(group: Group) -> str:
    """Say how the distances to target and source are mixed; "" for the target's alone."""
    estimator = json.loads(group.estimator)
    weights = [estimator.get(f"{side}_weight", 0) for side in ("target", "source")]
    if not weights[1]:
        return ""
    target, source = weights
    if target == source == 0.5:
        return "(target + source)/2"
    return f"{target:g} target + {source:g} source"


def tabulate(records: Iterable[AnyRecord], task: str | None = None) -> list[Table]:
    """Build one table for each group of comparable scores, in a fixed order.

    Scores of several targets of a labelled task have a table of their mean as well.

    Raises:
        ValueError: If there are records, but none of this task.
    """
    groups: dict[Group, list[Entry]] = {}
    chosen = _of_task(list(records), task)
    for record in sorted(chosen, key=_identity):
        scores = list(record.scores.values())
        for score in (*scores, *means(scores)):
            groups.setdefault(_group(record, score), []).append((record, score))
    alike = Counter(map(_but_for_real_set, groups))
    return [
        _table(group, groups[group], is_split=alike[_but_for_real_set(group)] > 1)
        for group in sorted(groups, key=_place)
    ]


def _but_for_real_set(group: Group) -> Group:
    return group._replace(real_sha256="")


def _place(group: Group) -> Group:
    """Give what to order tables by: the mean over targets comes before single ones."""
    return group._replace(direction="") if group.direction.startswith(MEAN) else group


def _identity(record: AnyRecord) -> tuple[str, str, int]:
    """Give model, variant and seed; other programs' images have a name alone, and come first."""
    if isinstance(record, External):
        return ("", record.name, 0)
    return (record.model, record.variant, record.seed)


def _of_task(records: list[AnyRecord], task: str | None) -> list[AnyRecord]:
    known = sorted({record.task for record in records})
    if task is None or task in known or not known:
        return [record for record in records if task in (None, record.task)]
    others = f"{near(task, known)}there are some of: {', '.join(known)}"
    raise ValueError(f"no records of task {task!r}; {others}")


def _group(record: AnyRecord, score: Score) -> Group:
    is_run = isinstance(record, Record)
    return Group(
        task=record.task,
        task_version=score.task_version,
        protocol=score.protocol,
        protocol_version=score.protocol_version,
        direction=score.direction,
        preset=record.preset if is_run else EXTERNAL,
        image_size=score.image_size,
        headline=record.headline,
        recipe=score.recipe,
        estimator=json.dumps(score.estimator, sort_keys=True),
        spread_kind=score.spread_kind,
        weights_sha256=score.weights_sha256 or "",
        real_sha256=score.pixels_sha256.get("real", ""),
        trained_version=record.task_version if is_run else score.task_version,
        n_real=score.n_real,
    )


def _table(group: Group, entries: list[Entry], *, is_split: bool) -> Table:
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
    notes = _notes(group, columns, rows=rows, ranked=ranked, headline=headline)
    notes += [_split_note(entries)] if is_split else []
    costs = COSTS if any(row.stats.keys() & COST_KEYS for row in ranked) else ()
    return Table(group, tuple(columns), costs, (*ranked, *baselines), tuple(notes))


def ranked_by(group: Group) -> Column:
    """Give what ranks: a task that ranks by distance leaves it to the protocol which."""
    key = group.headline
    protocol = PROTOCOLS.get(group.protocol)
    if protocol and protocol.version == group.protocol_version and key in ("fid", "kid"):
        key = protocol.headline
    return _titled(KNOWN.get(key, Column(key, key)), group)


def _titled(column: Column, group: Group) -> Column:
    """Have the column of a mixture of distances say what is mixed."""
    if column.key in ("fid", "kid") and _mixture(group):
        return dataclasses.replace(column, title=f"{column.title} {_mixture(group)}")
    return column


def _have_one_lpips(entries: list[Entry]) -> bool:
    """Tell whether every LPIPS is of the same weights."""
    return len({score.lpips_sha256 for _, score in entries} - {None}) <= 1


def _have_one_classifier(entries: list[Entry]) -> bool:
    """Tell whether labels were all found by the same classifier."""
    return len({score.classifier_sha256 for _, score in entries} - {None}) <= 1


def _incomparable(entries: list[Entry]) -> frozenset[str]:
    """Name the metrics whose values are of networks of several weights."""
    lpips = frozenset() if _have_one_lpips(entries) else LPIPS_KEYS
    return lpips | (frozenset() if _have_one_classifier(entries) else CLASSIFIER_KEYS)


def _columns(present: set[str]) -> list[Column]:
    """Give the columns of what has a value; metrics this module does not know come last."""
    others = sorted(present - KNOWN.keys() - COST_KEYS - HIDDEN)
    known = [column for column in METRICS if column.key in present]
    return known + [Column(key, key) for key in others]


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
        model=record.model if is_run else "",
        variant=record.variant if is_run else "",
        checkpoint=score.checkpoint,
        selected_on=score.selected_on or "",
        entries=tuple(part),
    )


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
    """Take each value from the first record that has it: all compare the same images."""
    values: dict[str, float | None] = {}
    for _, score in sorted(entries, key=lambda entry: entry[1].partial):
        found = score.baselines[name].values if name in score.baselines else {}
        values |= {key: value for key, value in found.items() if values.get(key) is None}
    return Row(label=BASELINES[name], kind=name, seeds=0, stats=_stats([values]))


def _ranked(rows: list[Row], headline: Column) -> list[Row]:
    """Put what can be ranked first, best on top; ties as printed share a rank."""

    def rankable(row: Row) -> bool:
        return bool(headline.better) and headline.key in row.stats and not row.partial

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
    """Mark the two best values of each column among models whose test set is complete."""
    marks: list[dict[str, Mark]] = [{} for _ in rows]
    for column in columns:
        values = {
            i: column.goodness(row.stats[column.key].mean)
            for i, row in enumerate(rows)
            if column.better and column.key in row.stats and not row.partial
        }
        order = sorted(set(values.values()), reverse=True)
        for i, value in values.items():
            if len(values) > 1 and value in order[:2]:
                marks[i][column.key] = "best" if value == order[0] else "second"
    return [dataclasses.replace(row, marks=m) for row, m in zip(rows, marks, strict=True)]


def _notes(
    group: Group,
    columns: list[Column],
    *,
    rows: list[tuple[list[Entry], Row]],
    ranked: list[Row],
    headline: Column,
) -> list[str]:
    """Say what the numbers are, what is missing and why."""
    entries = [entry for part, _ in rows for entry in part]
    notes = [_ranking_note(ranked, headline), *_partial_notes(rows)]
    notes.append(_spread_note(group))
    notes += _missing_notes(rows, headline)
    fewest = min(min(score.n_real, score.n_fake) for _, score in entries)
    if any(column.key == "fid" for column in columns) and fewest < UNBIASED_FID:
        notes.append(
            f"FID is biased at n = {fewest}, below {UNBIASED_FID}: not comparable across set sizes."
        )
    notes += _remarks(group, entries)
    legend = [f"{column.title}: {column.meaning}" for column in columns if column.meaning]
    notes += ["; ".join(legend) + "."] if legend else []
    notes += [*_alarm_notes(group, rows), *_version_notes(rows), _cost_note(rows)]
    notes.append(_identity_note(group, entries))
    return notes


def _spread_note(group: Group) -> str:
    spread = SPREADS.get(group.spread_kind)
    seeds = "± is the standard deviation over seeds"
    single = f"rows of one seed show the {spread} of the KID, or none"
    return f"{seeds}; {single}." if spread else f"{seeds}."


def _remarks(group: Group, entries: list[Entry]) -> list[str]:
    """Say what the protocol has a reader know, and how weights differ."""
    found = []
    protocol = PROTOCOLS.get(group.protocol)
    if protocol and protocol.version == group.protocol_version:
        n_fake = min(score.n_fake for _, score in entries)
        size = json.loads(group.estimator).get("kid_subset_size")
        said = remarks(protocol, group.n_real, n_fake, size)
        found = [f"{sentence}." for sentence in said]
    if not _have_one_lpips(entries):
        found.append("LPIPS of several weights files stands here; its values are not compared.")
    if not _have_one_classifier(entries):
        found.append("Classifiers of several weights judged here; their shares are not compared.")
    return found


def _alarm_notes(group: Group, rows: list[tuple[list[Entry], Row]]) -> list[str]:
    start = f"{group.direction}: "
    seeds: dict[tuple[str, str], list[int]] = {}  # by row and alarm, as several may agree
    for part, row in rows:
        for record in (record for record, _ in part if isinstance(record, Record)):
            for alarm in record.alarms:
                if alarm.startswith(start):
                    seeds.setdefault((row.label, alarm.removeprefix(start)), []).append(record.seed)
    return [
        f"Alarm of {label}, seed{'s' * (len(of) > 1)} {', '.join(map(str, of))}: {alarm}."
        for (label, alarm), of in seeds.items()
    ]


def _ranking_note(ranked: list[Row], headline: Column) -> str:
    if any(row.rank for row in ranked):
        return f"Ranked by {headline.title}, {headline.better} is better."
    if not headline.better:
        return f"Nothing is ranked: {headline.title!r} is no metric known to rank by."
    if not any(headline.key in row.stats for row in ranked):
        return f"Nothing is ranked: no row has a value of {headline.title}, for the reason below."
    return f"Nothing is ranked: no complete row has a value of {headline.title}."


def _partial_notes(rows: list[tuple[list[Entry], Row]]) -> list[str]:
    return [
        f"{row.label}: not ranked, test images are missing "
        f"({' or '.join(map(str, sorted({score.n_fake for _, score in part})))} were translated)."
        for part, row in rows
        if row.partial
    ]


def _missing_notes(rows: list[tuple[list[Entry], Row]], headline: Column) -> list[str]:
    """Give each reason once, with the metrics and the rows it explains."""
    affected: dict[str, dict[str, list[str]]] = {}  # reason → metric → labels
    for part, row in rows:
        for key, seeds in _missing(part, headline).items():
            for reason, count in seeds.items():
                whole = "" if count == len(part) else f", {count} of {len(part)} seeds"
                affected.setdefault(reason, {}).setdefault(key, []).append(row.label + whole)
    notes = []
    for reason, metrics in affected.items():
        whose: dict[tuple[str, ...], list[str]] = {}
        for key in sorted(metrics, key=_position):
            title = KNOWN[key].title if key in KNOWN else key
            whose.setdefault(tuple(metrics[key]), []).append(title)
        everyone = tuple(row.label for _, row in rows)
        for labels, titles in whose.items():
            of = "" if labels == everyone else f" of {'; '.join(labels)}"
            notes.append(f"No {', '.join(titles)}{of}: {reason}")
    return notes


def _missing(part: list[Entry], headline: Column) -> dict[str, dict[str, int]]:
    """Count, by metric and reason, the seeds of a row that lack a value."""
    missing: dict[str, dict[str, int]] = {}
    for _, score in part:
        for key in dict.fromkeys([*score.values, *score.reasons, headline.key]):
            if score.values.get(key) is None and key not in HIDDEN:
                reason = _short(score.reasons.get(key, "no reason was recorded"))
                counts = missing.setdefault(key, {})
                counts[reason] = counts.get(reason, 0) + 1
    return missing


def _position(key: str) -> tuple[int, str]:
    """Order metrics as in ``METRICS``, unknown ones last."""
    return (list(KNOWN).index(key) if key in KNOWN else len(KNOWN), key)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 3] + "..."


def _version_notes(rows: list[tuple[list[Entry], Row]]) -> list[str]:
    """Say where seeds of one row come from several versions of the model."""
    notes = []
    for part, row in rows:
        runs = [record for record, _ in part if isinstance(record, Record)]
        versions = sorted({f"{r.distribution} {r.distribution_version}" for r in runs})
        if len(versions) > 1:
            notes.append(f"{row.label}: seeds of several versions ({', '.join(versions)}).")
    return notes


def _cost_note(rows: list[tuple[list[Entry], Row]]) -> str:
    memory = {"process": "resident memory", "device": "device memory"}
    devices: dict[str, list[str]] = {}
    for part, row in rows:
        for record, _ in part:
            if isinstance(record, External) or record.peak_memory_of is None:
                continue  # trained elsewhere
            where = f"{record.device} ({memory.get(record.peak_memory_of, record.peak_memory_of)})"
            labels = devices.setdefault(where, [])
            labels += [row.label] if row.label not in labels else []
    if not devices:
        return "What the training cost is not known: it was done elsewhere."
    compiled = {
        row.label
        for part, row in rows
        for record, _ in part
        if isinstance(record, Record) and "compile" in record.modes
    }
    more = f" That of {', '.join(sorted(compiled))} includes compiling." if compiled else ""
    if len(devices) == 1:
        return f"Costs are of training, on {next(iter(devices))}.{more}"
    each = "; ".join(f"{where}: {', '.join(labels)}" for where, labels in sorted(devices.items()))
    return f"Costs are of training and not comparable across devices: {each}.{more}"


def _identity_note(group: Group, entries: list[Entry]) -> str:
    """Say what else distinguishes this table from others."""
    note = f"Real set {group.real_sha256[:8]}"
    translated = {score.n_fake for _, score in entries if not score.partial}
    if translated - {group.n_real}:
        note += f" of {group.n_real}, translated {', '.join(map(str, sorted(translated)))}"
    if group.weights_sha256:
        status = {score.weights_status for _, score in entries} - {None}
        remark = f" ({', '.join(sorted(map(str, status)))})" if status else ""
        note += f"; features {group.recipe}, weights {group.weights_sha256[:8]}{remark}"
    if group.trained_version != group.task_version:
        note += f"; trained on version {group.trained_version} of the task"
    return note + "."


def _split_note(entries: list[Entry]) -> str:
    """Say why there is another table of this heading."""
    settings = [record.settings for record, _ in entries if isinstance(record, Record)]
    keys = ("resampling", "resize")
    ways = sorted({" ".join(str(each[k]) for k in keys if k in each) for each in settings} - {""})
    here = f" (here {', '.join(ways)})" if ways else ""
    return (
        "Another table has this heading and another real set, as real images are resized as each "
        f"model has it{here}, or were others; what is measured against different images is not "
        "ranked together."
    )


def cell(row: Row, column: Column) -> str:
    """Print a value with its spread, "-" where there is none."""
    stat = row.stats.get(column.key)
    if stat is None:
        return "-"
    given = [row.stats[key].mean for key in SPREAD_OF.get(column.key, ()) if key in row.stats]
    spread = given[0] if stat.sd is None and given else stat.sd
    if spread is None or column.key in COST_KEYS:
        return column.text(stat.mean)
    return f"{column.text(stat.mean)} ± {column.text(spread)}"
