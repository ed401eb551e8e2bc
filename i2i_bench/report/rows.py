"""Groups of comparable scores, and the tables, rows and values of a leaderboard."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from i2i_bench.metric import Column
from i2i_bench.records.record import AnyRecord, Record, Score
from i2i_bench.records.run import EXTERNAL
from i2i_bench.report.columns import BASELINES, COST_KEYS, SHARED, SPREADS, TIMED
from i2i_bench.report.targets import MEAN
from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.tasks.validation import TEST

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
    split: str
    is_whole: bool = False


def group_of(record: AnyRecord, score: Score) -> Group:
    """Say in which table a score stands; ``preset`` is ``external`` for other programs' images."""
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
        split=record.split if is_run and record.split else TEST,
        is_whole=score.whole is not None,
    )


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
        unsound: Why the row is never ranked, whatever its values; "" for most.
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
    unsound: str = ""
    model: str = ""
    variant: str = ""
    checkpoint: str = ""
    selected_on: str = ""
    entries: tuple[Entry, ...] = field(default=(), repr=False, compare=False)
    values: tuple[str, ...] = ()

    @property
    def is_given_masks(self) -> bool:
        """Whether the model was given the masks of the objects of each image, in tests too."""
        runs = (record for record, _ in self.entries if isinstance(record, Record))
        return any(bool(each.settings.get("instances")) for each in runs)

    @property
    def shared(self) -> tuple[Record, ...]:
        """Runs whose training was measured beside other work."""
        records = (record for record, _ in self.entries if isinstance(record, Record))
        return tuple(each for each in records if each.load and each.load.is_shared)


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
        relation = "≥" if g.direction.startswith(MEAN) else "="  # the least of all targets
        return (
            f"{g.task}@{g.task_version}, {g.direction}, {g.protocol}@{g.protocol_version} "
            f"({_measures(g)}), preset {g.preset}, {_size(g)}, n {relation} {g.n_real}"
            + ("" if g.split == TEST else f" {g.split} images")
        )


def without_empty(table: Table) -> Table:
    """Leave out, with a note, columns of which baselines alone have a value, and empty baselines.

    A table without any value of its models stays as it is.
    """
    models = [row for row in table.rows if row.kind not in BASELINES]
    present = {key for row in models for key in row.stats}
    columns = tuple(column for column in table.columns if column.key in present)
    shown = {column.key for column in columns}  # a baseline may have values that no column shows
    rows = tuple(row for row in table.rows if row in models or row.stats.keys() & shown)
    names = [column.title for column in table.columns if column not in columns]
    names += [row.label for row in table.rows if row not in rows]
    if not columns or not names:
        return table
    note = f"Left out, having no value: {', '.join(names)}."
    return replace(table, columns=columns, rows=rows, notes=(*table.notes, note))


def _size(group: Group) -> str:
    """Name the size of images; of whole ones the shortest side."""
    return f"{group.image_size} px, whole images" if group.is_whole else f"{group.image_size} px"


def _measures(group: Group) -> str:
    """Name the distances of a protocol with unit and spread."""
    estimator = json.loads(group.estimator)
    mixed = f" {mixture(group)}" if mixture(group) else ""
    names = [f"FID{mixed}"] if "fid_lowrank" in estimator.get("distances", ()) else []
    if "kid_unit" in estimator:
        spread = SPREADS.get(group.spread_kind)
        names.append(f"KID{mixed} x100" + (f" ± {spread}" if spread else ""))
    return ", ".join(names) or "no distance"


def mixture(group: Group) -> str:
    """Say how the distances to target and source are mixed; "" for the target's alone."""
    estimator = json.loads(group.estimator)
    weights = [estimator.get(f"{side}_weight", 0) for side in ("target", "source")]
    if not weights[1]:
        return ""
    target, source = weights
    if target == source == 0.5:
        return "(target + source)/2"
    return f"{target:g} target + {source:g} source"


def with_given_masks(rows: Iterable[Row]) -> list[Row]:
    """Give the models that were given masks of objects, where they stand beside others."""
    models = [row for row in rows if row.model]
    given = [row for row in models if row.is_given_masks]
    return given if len(given) < len(models) else []


def have_one(weights_field: str, entries: list[Entry]) -> bool:
    """Tell whether no two scores name different weights in a field, such as ``lpips_sha256``."""
    return len({getattr(score, weights_field) for _, score in entries} - {None}) <= 1


def versions_of_metrics(entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Say of which versions the values of a metric are, by key, where these are several."""
    found: dict[str, set[str]] = {}
    for _, score in entries:
        for key, origin in score.metrics.items():
            found.setdefault(key, set()).add(f"{origin.version} of {origin.distribution}")
    return {key: sorted(versions) for key, versions in found.items() if len(versions) > 1}


def cell(row: Row, column: Column) -> str:
    """Print a value with its spread, "-" where there is none."""
    stat = row.stats.get(column.key)
    if stat is None:
        return "-"
    spreads = known_metrics().spreads(column.key)
    given = [row.stats[key].mean for key in spreads if key in row.stats]
    spread = given[0] if stat.sd is None and given else stat.sd
    if column.key in COST_KEYS:
        return column.text(stat.mean) + SHARED * (column.key in TIMED and bool(row.shared))
    if spread is None:
        return column.text(stat.mean)
    return f"{column.text(stat.mean)} ± {column.text(spread)}"
