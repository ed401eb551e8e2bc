"""Give metrics what they need of one set of translations, and gather their values."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from i2i_bench.data.window import levels, windowed
from i2i_bench.metric import Metric, Need
from i2i_bench.pretrained import NEEDED, MissingWeights, UnfitWeights
from i2i_bench.scoring.outputs import first_outputs
from i2i_bench.scoring.protocols import ValuesOrReasons
from i2i_bench.tasks.pixel_format import RGB, PixelFormat

logger = logging.getLogger(__name__)

AGAIN = "score again with --force"


@dataclass(frozen=True, eq=False)
class Sample:
    """One set of translations, as metrics see it.

    Attributes:
        given: What metrics may need, by name; a text is the reason why the model has none of it.
        levels: Images in levels of 255, for metrics that see them, where the task's are not of
            8-bit RGB.
        absent: What the task lacks, with the reason that metrics state which every score holds, or
            which were asked for.
    """

    given: Mapping[Need, Any]
    absent: Mapping[Need, str] = field(default_factory=dict)
    levels: Mapping[Need, Any] = field(default_factory=dict)

    def more(self, given: Mapping[Need, Any]) -> Sample:
        """Return a sample with more given."""
        return Sample({**self.given, **given}, self.absent, self.levels)

    def is_for(self, metric: Metric) -> bool:
        """Tell whether the task has what a metric needs; never true of one without a function."""
        return bool(metric.needs) and all(need in self.given for need in metric.needs)

    def arguments(self, metric: Metric) -> list[Any]:
        """Return what the functions of a metric are called with.

        Raises:
            ValueError: If the model lacks something of it; the text is the reason.
        """
        found = [self._given(need, metric) for need in metric.needs]
        for need, each in zip(metric.needs, found, strict=True):
            if isinstance(each, str) and need != "device":
                raise ValueError(each)
        return found

    def _given(self, need: Need, metric: Metric) -> Any:
        """Return what a metric is given: images as it sees them, outputs as many as it states."""
        levels = self.levels if metric.sees == "levels" else {}
        given = levels.get(need, self.given[need])
        return first_outputs(given, metric.num_outputs) if need == "outputs" else given


def sample_of(
    images: Mapping[Need, tuple[Any, PixelFormat]],
    given: Mapping[Need, Any],
    absent: Mapping[Need, str] | None = None,
) -> Sample:
    """Return a sample of images of any channels and depth.

    Args:
        images: What metrics may need, and what it consists of; a text is why there is none.
        given: What else they may need.
        absent: As in the sample.
    """
    seen: dict[Need, Any] = {}
    other: dict[Need, Any] = {}
    for need, (whole, pixels) in images.items():
        is_there = not isinstance(whole, str)
        seen[need] = windowed(whole, pixels) if is_there else whole
        if is_there and pixels != RGB:
            other[need] = levels(whole, pixels)
    return Sample({**seen, **given}, absent or {}, other)


class Meter:
    """Computes metrics, calling a function by image once for the same arguments.

    Args:
        again: What to do once weights that are missing are there, for the warning.
    """

    def __init__(self, again: str = AGAIN) -> None:
        self._again = again
        self._known: dict[tuple[object, ...], tuple[list[Any], Sequence[float]]] = {}

    def values(self, metrics: Iterable[Metric], sample: Sample) -> ValuesOrReasons:
        """Return values and spreads of metrics by key, or the reasons why there are none.

        Raises:
            UnfitWeights: If weights are there and unfit.
        """
        found: ValuesOrReasons = {}
        for metric in metrics:
            found |= self._value(metric, sample)
        return found

    def by_image(self, metric: Metric, sample: Sample) -> Sequence[float] | str:
        """Return the value of each image, or the reason why there is none."""
        try:
            return self._by_image(metric, sample)
        except ValueError as error:
            return reason_of_missing(error, self._again)

    def _value(self, metric: Metric, sample: Sample) -> ValuesOrReasons:
        if not sample.is_for(metric):
            missing = [
                sample.absent[need]
                for need in metric.needs
                if need not in sample.given and need in sample.absent
            ]
            is_stated = metric.is_required or not metric.is_default
            return {metric.key: missing[0]} if missing and is_stated else {}
        keys = (metric.key, *metric.spreads[:1])
        try:
            numbers = self._numbers(metric, sample)
            return {key: _finite(number) for key, number in zip(keys, numbers, strict=True)}
        except UnfitWeights:
            raise
        except ValueError as error:
            return dict.fromkeys(keys, reason_of_missing(error, self._again))

    def _numbers(self, metric: Metric, sample: Sample) -> tuple[float, ...]:
        """Give the value, and its spread where the metric has one."""
        if metric.of_set is None:
            values = self._by_image(metric, sample)
            return (float(np.mean(values)) if metric.mean is None else metric.mean(values),)
        found = metric.of_set(*sample.arguments(metric))
        return found if isinstance(found, tuple) else (found,)

    def _by_image(self, metric: Metric, sample: Sample) -> Sequence[float]:
        arguments = sample.arguments(metric)
        key = metric.by_image, *map(id, arguments)
        if key not in self._known:
            assert metric.by_image is not None
            values, count = metric.by_image(*arguments), len(arguments[0])
            if len(values) != count:
                raise ValueError(f"{metric.key} gives values of {len(values)} of {count} images")
            self._known[key] = arguments, values  # arguments are kept, so that their ids last
        return self._known[key][1]


def _finite(number: float) -> float | str:
    return float(number) if math.isfinite(number) else f"the metric gives {number}"


def reason_of_missing(error: ValueError, again: str = AGAIN) -> str:
    """Say why a metric is missing, without folders of this machine; warn of what to do."""
    if not isinstance(error, MissingWeights):
        return str(error)
    warn_of_missing([error.path], again)
    return error.reason


def warn_of_missing(paths: Iterable[Path], again: str = AGAIN) -> None:
    """Warn in one line of files of weights that are not there, once of each.

    Args:
        paths: Where they belong.
        again: What to do once they are there.
    """
    new = [path for path in dict.fromkeys(paths) if path not in _told]
    if new:
        _told.update(new)
        names = [path.name for path in new]
        chosen = "" if names == list(NEEDED) else f" {' '.join(names)}"
        logger.warning(
            "no scores by %s, not found in %s: i2i-bench weights fetch%s, then %s",
            *(" and ".join(names), new[0].parent, chosen, again),
        )


_told: set[Path] = set()  # of which a line was written
