"""The details of a run on the page: command, settings, costs, scores, record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from i2i_bench.metric import Column
from i2i_bench.records.record import AnyRecord, External, Record, Score
from i2i_bench.report.columns import COSTS, SHARED, TIMED
from i2i_bench.report.site.command import RepeatCommand, repeat_command
from i2i_bench.scoring.metric_set import known_metrics

NONE = "\N{EN DASH}"  # in place of a value


class Scored(NamedTuple):
    """What every seed of a model reached under one protocol, in one direction."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class RunDetail:
    """A model with its variant on a task, or images of another program: the detail of a row.

    Attributes:
        id: Of its place in the page.
        label: Name and variant.
        records: By seed.
        command: That makes the runs again; None for images of another program.
        facts: By name.
        settings: By name; of the first record.
        differing: Seeds whose settings are others.
        costs: Of training, a line each seed.
        scores: By protocol and direction.
        alarms: With their seed.
    """

    id: str
    label: str
    records: tuple[AnyRecord, ...]
    command: RepeatCommand | None
    facts: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)
    differing: tuple[int, ...] = ()
    costs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    scores: tuple[Scored, ...] = ()
    alarms: tuple[str, ...] = ()


def run_detail(place: str, records: Sequence[AnyRecord]) -> RunDetail:
    """Gather the detail of one model and variant, or of images of another program."""
    first = records[0]
    runs = [record for record in records if isinstance(record, Record)]
    if isinstance(first, External):
        facts = {"made by": "another program", "formats": _formats(first.formats)}
        if first.files:
            facts["files"] = "; ".join(f"{of}: {each}" for of, each in sorted(first.files.items()))
        facts["scored with"] = f"i2i-bench {first.harness_version}"
        return RunDetail(
            id=place,
            label=f"{first.name} (external)",
            records=tuple(records),
            command=None,
            facts=facts,
            scores=_scores(records),
            alarms=tuple(first.alarms),
        )
    return RunDetail(
        id=place,
        label=first.run.label,
        records=tuple(records),
        command=repeat_command(runs),
        facts=_facts(runs),
        settings=_plain(first.settings),
        differing=tuple(run.seed for run in runs if run.settings != first.settings),
        costs=tuple((f"seed {run.seed}", _cost_cells(run)) for run in runs),
        scores=_scores(records),
        alarms=tuple(f"seed {run.seed}, {alarm}" for run in runs for alarm in run.alarms),
    )


def _formats(formats: Mapping[str, Mapping[str, int]]) -> str:
    return "; ".join(
        f"{direction}: {', '.join(f'{count} {name}' for name, count in sorted(counts.items()))}"
        for direction, counts in sorted(formats.items())
    )


def _facts(runs: Sequence[Record]) -> dict[str, str]:
    """Say what runs are and where they were made; what differs between seeds is listed."""

    def each(values: Iterable[object]) -> str:
        return "; ".join(dict.fromkeys(str(value) for value in values if value is not None))

    first = runs[0]
    networks = [f"{name} {count:,}" for name, count in sorted(first.parameters.items())]
    facts = {
        "distribution": each(f"{r.distribution} {r.distribution_version}" for r in runs),
        "preset": first.preset,
        "parameters": f"{sum(first.parameters.values()):,}: {', '.join(networks)}",
        "multiply-adds of a translation": f"{first.macs:,}",
        "images seen": each(f"{r.images_seen:,}" for r in runs if r.images_seen is not None),
        "steps": each(f"{r.steps:,}" for r in runs if r.steps is not None),
        "device": each(r.device for r in runs),
        "scored on": each(f"{r.split} images, held out of training" for r in runs if r.split),
        "checkpoint": each(
            r.checkpoint + (f", selected on {r.selected_on}" if r.selected_on else "") for r in runs
        ),
        "software": each(f"i2i-bench {r.harness_version}, torch {r.torch_version}" for r in runs),
        "commit": each(r.commit for r in runs),
        "networks that the files lacked": ", ".join(first.absent),
        "translates": each(", ".join(r.directions) for r in runs if r.directions),
        "pretrained networks": each(_named(r.frozen, " ") for r in runs if r.frozen),
        "code of the model": each(r.source_sha256 for r in runs if r.source_sha256),
        "modes of training": each(", ".join(r.modes) for r in runs if r.modes),
        "measured beside other work": each(
            str(r.load) for r in runs if r.load and r.load.is_shared
        ),
        "modes left out": each(_named(r.modes_left_out, ": ") for r in runs if r.modes_left_out),
    }
    return {name: text for name, text in facts.items() if text}


def _named(values: Mapping[str, str], separator: str) -> str:
    return ", ".join(f"{name}{separator}{value}" for name, value in sorted(values.items()))


def _plain(settings: Mapping[str, Any]) -> dict[str, str]:
    """Give every setting by name, those of the model's configuration first."""
    config = settings.get("config", {})
    others = {key: value for key, value in sorted(settings.items()) if key != "config"}
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in [*sorted(config.items()), *others.items()]
    }


def _cost_cells(run: Record) -> tuple[str, ...]:
    values = (run.images_per_second, run.seconds, run.peak_memory_bytes)
    pairs = zip(COSTS[1:], values, strict=True)  # the parameters are a fact
    mark = SHARED if run.load and run.load.is_shared else ""
    return tuple(
        NONE if value is None else column.text(value) + mark * (column.key in TIMED)
        for column, value in pairs
    )


def _scores(records: Sequence[AnyRecord]) -> tuple[Scored, ...]:
    """Give a table for each protocol and direction: a line each seed."""
    found = []
    for key in sorted({key for record in records for key in record.scores}):
        scores = {r: record.scores[key] for r, record in enumerate(records) if key in record.scores}
        columns = _known_columns(scores.values())
        rows = tuple(
            (_who(records[r]), tuple(_value(score, column) for column in columns))
            for r, score in scores.items()
        )
        protocol, _, direction = key.partition("/")
        found.append(Scored(f"{protocol}, {direction}", columns, rows))
    return tuple(found)


def _who(record: AnyRecord) -> str:
    return f"seed {record.seed}" if isinstance(record, Record) else "images"


def _known_columns(scores: Iterable[Score]) -> tuple[Column, ...]:
    keys = {key for score in scores for key, value in score.values.items() if value is not None}
    known = known_metrics()
    shown = [metric for metric in known.shown if metric.key in keys]
    others = sorted(keys - known.by_key.keys() - known.hidden)
    return (*shown, *(Column(key, key) for key in others))


def _value(score: Score, column: Column) -> str:
    value = score.values.get(column.key)
    if value is None:
        return NONE
    spreads = [score.values.get(key) for key in known_metrics().spreads(column.key)]
    given = next((spread for spread in spreads if spread is not None), None)
    return column.text(value) + (f" ± {column.text(given)}" if given is not None else "")
