"""The one list of metrics: of the modules of ``scoring.metrics``, and of installed plugins."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import ModuleType

from i2i_bench.metric import Metric
from i2i_bench.scoring.metric_plugins import MetricPlugin, load_metric_plugins
from i2i_bench.system.installed import InstalledEntry
from i2i_bench.system.messages import near
from i2i_bench.tasks.task import Task

logger = logging.getLogger(__name__)
SUITE = (
    "i2i_bench.scoring.metrics"  # package of the modules in which the suite's own metrics are rows
)


class MetricSet:
    """Metrics in the order of their columns; iterating gives all.

    Args:
        found: In any order.
        owners: By key, where a metric of a plugin is from.
        problems: By name, why a plugin cannot be used.

    Raises:
        ValueError: If two share a key, or one has the key of another's spread.
    """

    def __init__(
        self,
        found: Iterable[Metric],
        owners: Mapping[str, InstalledEntry] | None = None,
        problems: Mapping[str, str] | None = None,
    ) -> None:
        self.owners, self.problems = dict(owners or {}), dict(problems or {})
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
    def of_suite(self) -> tuple[Metric, ...]:
        """The suite's own, without those of plugins."""
        return tuple(metric for metric in self._ordered if metric.key not in self.owners)

    def asked(self, names: Iterable[str]) -> MetricSet:
        """Return those that are on by default, and those of the names that ``--metric`` takes.

        Raises:
            ValueError: If there is none of a name, or it is broken, saying why.
        """
        wanted, known = set(names), {metric.name for metric in self._ordered}
        for name in sorted(wanted - known):
            if name in self.problems:
                raise ValueError(self.problems[name])
            others = sorted({metric.name for metric in self._ordered if not metric.is_default})
            text = f"{near(name, known)}not on by default: {', '.join(others) or 'none'}"
            raise ValueError(f"unknown metric {name!r}; {text}")
        chosen = (each for each in self._ordered if each.is_default or each.name in wanted)
        return MetricSet(chosen, self.owners)

    def num_outputs(self, *, has_answers: bool) -> int:
        """Return how many outputs of each image are needed; 0 where one is enough.

        Args:
            has_answers: Whether the task knows several right translations of each image.
        """
        several = [each for each in self._ordered if "outputs" in each.needs]
        counts = [m.num_outputs for m in several if has_answers or "answers" not in m.needs]
        return max(counts, default=0)

    @property
    def hidden(self) -> frozenset[str]:
        """Keys that are in records and in CSV, but in no column: spreads, and what alarms tell."""
        return frozenset([*self.of_spread, *(m.key for m in self._ordered if not m.is_shown)])

    def spreads(self, key: str) -> tuple[str, ...]:
        """Return the keys under which a score may hold the spread of a metric; () for none."""
        return self.by_key[key].spreads if key in self.by_key else ()


@cache
def known_metrics() -> MetricSet:
    """Return the metrics of the suite, every row in the modules of ``SUITE``, and of plugins.

    A plugin that cannot be used is left out with a warning.

    Raises:
        ValueError: If two of the suite share a key.
    """
    plugins = metric_plugins()
    problems = {each.entry.name: each.problem for each in plugins if each.problem}
    for problem in problems.values():
        logger.warning("%s; i2i-bench goes on without it", problem)
    owners = {row.key: each.entry for each in plugins if not each.problem for row in each.metrics}
    rows = (row for each in plugins if not each.problem for row in each.metrics)
    return MetricSet([*_suite(), *rows], owners, problems)


def _suite() -> MetricSet:
    found = {id(row): row for module in _modules(SUITE) for row in vars(module).values()}
    return MetricSet(row for row in found.values() if isinstance(row, Metric))


def metric_plugins() -> list[MetricPlugin]:
    """Import the installed plugins of metrics, with what is wrong with those that are broken."""
    return load_metric_plugins(_suite(), _reserved)


def chosen_metrics(names: Iterable[str] = ()) -> MetricSet:
    """Return the metrics of a run: those on by default, and those of these names.

    Raises:
        ValueError: If there is none of a name, or it is broken.
    """
    return known_metrics().asked(names)


def require_headline(task: Task) -> None:
    """Refuse a headline that a folder states and that cannot rank models in all its directions.

    Raises:
        ValueError: With those that can.
    """
    from i2i_bench.scoring.metrics.distances import FID, KID

    given = {"fake", "source", "outputs", "device"} | ({"truth"} if task.paired else set())
    given |= {"recognised", "labels", "target", "kept"} if task.attributes else set()
    possible = [
        metric.key
        for metric in known_metrics().shown
        if metric.better and set(metric.needs) <= given
        if metric.needs or metric.key in (FID.key, KID.key)
    ]
    if task.kind == "folder" and task.headline not in possible:
        others = f"{near(task.headline, possible)}possible: {', '.join(possible)}"
        raise ValueError(
            f"headline {task.headline!r} is no metric that ranks models in every direction of "
            f"{task.name}; {others}"
        )


def _reserved() -> frozenset[str]:
    """Give the fields of records, which stand beside metrics in tables and frames."""
    from i2i_bench.records.record import Record, Score

    return frozenset([*Record.model_fields, *Score.model_fields])


def _modules(package: str) -> Iterator[ModuleType]:
    """Import the modules of a package."""
    path = importlib.import_module(package).__path__
    for module in pkgutil.iter_modules(path, f"{package}."):
        yield importlib.import_module(module.name)
