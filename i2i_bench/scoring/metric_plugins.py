"""Metrics of installed plugins: found by entry points, and kept from spoiling what is around them.

An entry of group ``i2i_bench.metrics`` names a ``Metric``, or a tuple or list of several. Its name
is that of their family, whatever the rows say.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from i2i_bench.metric import Deferred, Metric
from i2i_bench.system.installed import (
    InstalledEntry,
    find_installed,
    naming_problem,
    reason_of_broken,
    reason_of_unloaded,
)

METRIC_GROUP = "i2i_bench.metrics"
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")
np: Any = Deferred("numpy")


@dataclass(frozen=True)
class MetricPlugin:
    """An installed entry, imported.

    Attributes:
        entry: Where it is from.
        metrics: What it names; () where it is broken.
        problem: Why it cannot be used; None where it can.
    """

    entry: InstalledEntry
    metrics: tuple[Metric, ...] = ()
    problem: str | None = None


def load_metric_plugins(
    suite: Iterable[Metric], reserved: Callable[[], frozenset[str]]
) -> list[MetricPlugin]:
    """Import the metrics of all plugins, in the order of their names.

    Args:
        suite: The suite's own metrics, whose names and keys no plugin may have.
        reserved: Gives what else no metric may be called in a record.
    """
    entries = find_installed(METRIC_GROUP)
    if not entries:
        return []
    own = list(suite)
    names = {metric.name for metric in own}
    found = [_load(entry, entries, names) for entry in entries]
    taken = {key: "the suite has" for metric in own for key in _keys(metric)}
    taken |= dict.fromkeys(reserved(), "records have")
    count = Counter(key for each in found for metric in each.metrics for key in _keys(metric))
    return [_without_clash(each, taken, count) for each in found]


def _load(entry: InstalledEntry, among: list[InstalledEntry], suite: set[str]) -> MetricPlugin:
    """Import one entry; whatever goes wrong is its problem alone."""
    if problem := naming_problem(entry, among, "metric"):
        return MetricPlugin(entry, problem=problem)
    if entry.name in suite:
        return _broken(entry, "the suite has a metric of that name; it needs another")
    try:
        found = entry.point.load()
        rows = (found,) if isinstance(found, Metric) else tuple(found)
    except (Exception, SystemExit) as error:  # a plugin may fail in any way; the others go on
        return _broken(entry, reason_of_unloaded(entry, error))
    if not rows or not all(isinstance(row, Metric) for row in rows):
        return _broken(entry, f"{entry.point.value} is neither a Metric nor several")
    if odd := [key for row in rows for key in _keys(row) if not _KEY.fullmatch(str(key))]:
        why = f"{odd[0]!r} is not a key: lower-case letters, digits and '_', a letter first"
        return _broken(entry, why)
    return MetricPlugin(entry, tuple(_guarded_row(row, entry) for row in rows))


def _broken(entry: InstalledEntry, why: str) -> MetricPlugin:
    problem = f"metric {entry.name!r} of {entry.owner} is broken: {why}"
    return MetricPlugin(entry, problem=problem)


def _without_clash(
    each: MetricPlugin, taken: Mapping[str, str], count: Mapping[str, int]
) -> MetricPlugin:
    """Refuse an entry one of whose keys is not its alone."""
    for key in (key for metric in each.metrics for key in _keys(metric)):
        if key in taken:
            return _broken(each.entry, f"{taken[key]} the key {key!r}; it needs another")
        if count[key] > 1:
            return _broken(each.entry, f"several metrics have the key {key!r}; each needs its own")
    return each


def _keys(metric: Metric) -> tuple[str, ...]:
    return (metric.key, *metric.spreads)


def _guarded_row(row: Metric, entry: InstalledEntry) -> Metric:
    """Return a row whose functions neither change what they are given nor stop the scoring."""
    functions = {
        name: _guarded(function, row, entry)
        for name in ("by_image", "mean", "of_set")
        if (function := getattr(row, name)) is not None
    }
    return replace(row, family=entry.name, **functions)


def _guarded(
    function: Callable[..., Any], row: Metric, entry: InstalledEntry
) -> Callable[..., Any]:
    @functools.wraps(function)
    def guarded(*given: Any) -> Any:
        try:
            return _numbers(function(*map(_read_only, given)))
        except ValueError:  # the reason why there is no value
            raise
        except Exception as error:  # a plugin may fail in any way; a training is not lost by it
            why = reason_of_broken(error)
            raise ValueError(f"metric {row.key} of {entry.owner} failed: {why}") from error

    return guarded


def _read_only(given: Any) -> Any:
    """Return an array, or several, that cannot be written to; anything else as it is."""
    if isinstance(given, np.ndarray):
        view = given.view()
        view.flags.writeable = False
        return view
    return [_read_only(each) for each in given] if isinstance(given, list) else given


def _numbers(found: Any) -> Any:
    """Return what a function gave, a number or several, as Python's floats."""
    if isinstance(found, tuple):
        return tuple(float(each) for each in found)
    return [float(each) for each in found] if np.ndim(found) else float(found)
