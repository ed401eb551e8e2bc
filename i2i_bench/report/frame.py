"""Records as a pandas DataFrame: a row for each run, or other program, protocol and direction.

Everything is as recorded: a KID is not multiplied by 100, a share lies between 0 and 1. A mean over
the targets of a labelled task is no row. Columns, in this order:

====================  =======  ========  ===========================================================
column                dtype    unit      what
====================  =======  ========  ===========================================================
kind                  string             ``run``, or ``external`` for images of another program
label                 string             model and variant, or the other program's name
model                 string             name in the registry; NA where external
variant               string             what differs from the published settings; NA likewise
seed                  UInt64             of the run; NA likewise
distribution          string             that brought the model; NA likewise
distribution_version  string             its version; NA likewise
task                  string             name
task_version          int64              of the task that was scored
protocol              string             name
protocol_version      int64              its version
direction             string             such as ``a2b`` or ``+blond``
preset                string             the settings' starting point; ``external`` where external
image_size            int64    px        side at which everything was compared
headline              string             key of the metric that ranks on this task
recipe                string             of the features
estimator             string             parameters of the estimators, as JSON
spread_kind           string             what the spread of a KID is
weights_sha256        string             of the feature network; empty where nothing was extracted
real_sha256           string             of the pixels of the reference
trained_version       int64              of the task in training
split                 string             ``test``, or ``validation`` for images held out of training
is_whole              bool               whether images were scored whole, not as squares
n_real                int64    images    in the reference
n_fake                int64    images    translations
partial               bool               whether test images are missing
unsound               string             why this is no translation to rank; often empty
checkpoint            string             ``last``, or which
selected_on           string             what chose the checkpoint; NA for ``last``
metrics               string             those of plugins or asked for, with versions; often empty
alarms                string             what is wrong with the model in this direction; often empty
parameters            Int64              of all networks; NA where external, as what follows
macs                  Int64              multiply-adds of the translation of one image
images_seen           Int64    images    batch positions consumed; NA where trained elsewhere
steps                 Int64              training steps; NA likewise
seconds               float64  s         of training, without loading and scoring; NaN likewise
images_per_second     float64  images/s  in training; NaN likewise
peak_memory_bytes     Int64    bytes     in training; NA likewise
peak_memory_of        string             ``process`` or ``device``; NA likewise
is_shared             boolean            whether other work ran beside the training; NA if unknown
modes                 string             how steps were carried out, beside plainly; often empty
modes_left_out        string             those that others had, each with its reason; often empty
directions            string             all that the model translates; empty for the task's
frozen                string             pretrained networks of losses, with hashes; often empty
source_sha256         string             of the model's code; empty where it is not known
device                string             name
torch_version         string             of torch
commit                string             of the harness's checkout; NA outside one
harness_version       string             of i2i-bench, also where external
METRIC                float64  METRIC's  its value; NaN where there is none
identity.METRIC       float64  METRIC's  that of the source as translation
real.METRIC           float64  METRIC's  that of real images against real ones
reason.METRIC         string             why METRIC is NaN; NA where it is not, or nobody said
setting.KEY           any                a setting on which two records disagree, named as for --set
====================  =======  ========  ===========================================================

METRIC is every metric of the suite that is on by default, in its order, each followed by its spread
such as ``kid_se``, then what else the records hold, by name.

A setting is boolean, Int64, Float64 or string if all
its values are, else object; NA where a run has none of the name. Rows that agree on every field of
``report.rows.Group``, which are columns here, may be ranked together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas

from i2i_bench.records.record import (
    AnyRecord,
    External,
    Record,
    Score,
    read_external_records,
    read_records,
)
from i2i_bench.report.columns import BASELINES
from i2i_bench.report.rows import group_of
from i2i_bench.scoring.alarms import why_unsound
from i2i_bench.scoring.metric_set import known_metrics

DTYPES = {  # of the columns that do not depend on metrics and settings
    **dict.fromkeys(("kind", "label", "model", "variant"), "string"),
    "seed": "UInt64",  # below 2**64
    **dict.fromkeys(("distribution", "distribution_version", "task"), "string"),
    "task_version": "int64",
    "protocol": "string",
    "protocol_version": "int64",
    **dict.fromkeys(("direction", "preset"), "string"),
    "image_size": "int64",
    **dict.fromkeys(("headline", "recipe", "estimator", "spread_kind"), "string"),
    **dict.fromkeys(("weights_sha256", "real_sha256"), "string"),
    "trained_version": "int64",
    "split": "string",
    "is_whole": "bool",
    **dict.fromkeys(("n_real", "n_fake"), "int64"),
    "partial": "bool",
    "unsound": "string",
    **dict.fromkeys(("checkpoint", "selected_on", "metrics", "alarms"), "string"),
    **dict.fromkeys(("parameters", "macs", "images_seen", "steps"), "Int64"),
    **dict.fromkeys(("seconds", "images_per_second"), "float64"),
    "peak_memory_bytes": "Int64",
    "peak_memory_of": "string",
    "is_shared": "boolean",
    **dict.fromkeys(("modes", "modes_left_out"), "string"),
    **dict.fromkeys(("directions", "frozen", "source_sha256", "device", "torch_version"), "string"),
    **dict.fromkeys(("commit", "harness_version"), "string"),
}
SETTING_DTYPES = {
    frozenset({bool}): "boolean",
    frozenset({int}): "Int64",
    frozenset({float}): "Float64",
    frozenset({int, float}): "Float64",
    frozenset({str}): "string",
}
NamedColumn = tuple[str, pandas.Series]


def read_frame(results: Path) -> pandas.DataFrame:
    """Read the records below a folder, which need not exist, in the order of their paths.

    Raises:
        ValueError: For a file that is no record, or that lies where another's belongs; and as
            ``make_frame`` does.
    """
    return make_frame([*read_records(results), *read_external_records(results)])


def make_frame(records: Iterable[AnyRecord]) -> pandas.DataFrame:
    """Put records into a table with the columns above, a row for each of their scores.

    Raises:
        ValueError: If a whole number takes more than 64 bits, or a metric has the name of another
            column.
    """
    entries = [(record, score) for record in records for score in record.scores.values()]
    cells = [_cells(record, score) for record, score in entries]
    fixed = [(name, _series(name, [c.get(name) for c in cells], DTYPES[name])) for name in DTYPES]
    columns = [
        *fixed,
        *_metric_columns([score for _, score in entries]),
        *_setting_columns([record for record, _ in entries]),
    ]
    names = Counter(name for name, _ in columns)
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"a record has a metric named {twice[0]!r}, as another column is")
    return pandas.DataFrame(dict(columns))


def _cells(record: AnyRecord, score: Score) -> dict[str, Any]:
    """Return a row by the columns of ``DTYPES``, without unknown values."""
    shared = _fields(record) | _fields(score) | group_of(record, score)._asdict()
    shared["metrics"] = ", ".join(
        f"{key} {origin.version} of {origin.distribution} {origin.distribution_version}"
        for key, origin in sorted(score.metrics.items())
    )
    start = f"{score.direction}: "
    alarms = [text.removeprefix(start) for text in record.alarms if text.startswith(start)]
    shared |= {"alarms": "; ".join(alarms), "unsound": why_unsound(score)}
    if isinstance(record, External):
        return shared | {"kind": "external", "label": record.name}
    return shared | {
        "kind": "run",
        "label": record.run.label,
        "parameters": sum(record.parameters.values()),
        "is_shared": record.load and record.load.is_shared,
        "modes": ", ".join(record.modes),
        "modes_left_out": "; ".join(
            f"{mode}: {why}" for mode, why in _sorted(record.modes_left_out)
        ),
        "directions": ", ".join(record.directions),
        "frozen": ", ".join(f"{name} {digest}" for name, digest in _sorted(record.frozen)),
    }


def _sorted(named: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(named.items())


def _fields(of: AnyRecord | Score) -> dict[str, Any]:
    """Return the recorded fields that have the name of a column."""
    return {name: getattr(of, name) for name in DTYPES if name in type(of).model_fields}


def _metric_columns(scores: Sequence[Score]) -> Iterator[NamedColumn]:
    """Give the values of each metric, those of the baselines, and why values are missing."""
    keys = _metric_keys(scores)
    whose = {"": [score.values for score in scores]}
    for name in BASELINES:
        found = [score.baselines.get(name) for score in scores]
        whose[f"{name}."] = [each.values if each else {} for each in found]
    for start, values in whose.items():
        for key in keys:
            name = f"{start}{key}"
            yield name, _series(name, [each.get(key) for each in values], "float64")
    for key in keys:
        name = f"reason.{key}"
        yield name, _series(name, [score.reasons.get(key) for score in scores], "string")


def _metric_keys(scores: Sequence[Score]) -> list[str]:
    """List the suite's default metrics, each before its spreads, then what else scores hold."""
    metrics = known_metrics()
    default = [metric for metric in metrics.of_suite if metric.is_default]
    known = [key for m in default if m.is_shown for key in (m.key, *m.spreads)]
    others = {key for m in default for key in (m.key, *m.spreads)} - set(known)
    known += sorted(others)
    found = {key for score in scores for key in (*score.values, *score.reasons)}
    return [*known, *sorted(found - set(known))]


def _setting_columns(records: Sequence[AnyRecord]) -> Iterator[NamedColumn]:
    """Give the settings on which two records disagree."""
    found = [_settings(record) for record in records]
    for key in sorted({key for settings in found for key in settings}):
        given = [settings[key] for settings in found if key in settings]
        if any(value != given[0] for value in given):
            types = frozenset(type(value) for value in given if value is not None)
            values = [settings.get(key) for settings in found]
            name = f"setting.{key}"
            yield name, _series(name, values, SETTING_DTYPES.get(types, "object"))


def _settings(record: AnyRecord) -> dict[str, Any]:
    """Give the settings of a run by the names that ``--set`` takes; none of another program."""
    if not isinstance(record, Record):
        return {}
    general = {key: value for key, value in record.settings.items() if key != "config"}
    return general | record.settings.get("config", {})


def _series(name: str, values: Sequence[Any], dtype: str) -> pandas.Series:
    bits = 64 if dtype == "UInt64" else 63
    for value in values:
        if isinstance(value, int) and value.bit_length() > bits:
            raise ValueError(f"{name} of a record is {value}, more than 64 bits hold")
    return pandas.Series(values, dtype=dtype)
