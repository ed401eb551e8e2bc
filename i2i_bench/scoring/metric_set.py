"""The one list of metrics, gathered from the modules of ``scoring.metrics``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from functools import cache
from types import ModuleType

from i2i_bench.metric import Metric

SUITE = (
    "i2i_bench.scoring.metrics"  # package of the modules in which the suite's own metrics are rows
)


class MetricSet:
    """Metrics in the order of their columns; iterating gives all.

    Args:
        found: In any order.

    Raises:
        ValueError: If two share a key, or one has the key of another's spread.
    """

    def __init__(self, found: Iterable[Metric]) -> None:
        self._ordered = tuple(sorted(found, key=lambda metric: (metric.place, metric.key)))
        self.by_key = {metric.key: metric for metric in self._ordered}
        self.of_spread = {key: metric for metric in self._ordered for key in metric.spreads}
        keys = [key for metric in self._ordered for key in (metric.key, *metric.spreads)]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"several metrics have the key {twice[0]!r}; each needs its own")

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._ordered)

    @property
    def shown(self) -> tuple[Metric, ...]:
        """Those that are columns of a leaderboard."""
        return tuple(metric for metric in self._ordered if metric.is_shown)

    @property
    def hidden(self) -> frozenset[str]:
        """Keys that are in records and in CSV, but in no column: spreads, and what alarms tell."""
        return frozenset([*self.of_spread, *(m.key for m in self._ordered if not m.is_shown)])

    def spreads(self, key: str) -> tuple[str, ...]:
        """Return the keys under which a score may hold the spread of a metric; () for none."""
        return self.by_key[key].spreads if key in self.by_key else ()


@cache
def known_metrics() -> MetricSet:
    """Return the metrics of the suite: every row in the modules of ``SUITE``.

    Raises:
        ValueError: If two share a key.
    """
    found = {id(row): row for module in _modules(SUITE) for row in vars(module).values()}
    return MetricSet(row for row in found.values() if isinstance(row, Metric))


def _modules(package: str) -> Iterator[ModuleType]:
    """Import the modules of a package."""
    path = importlib.import_module(package).__path__
    for module in pkgutil.iter_modules(path, f"{package}."):
        yield importlib.import_module(module.name)
