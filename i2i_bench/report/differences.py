"""Differences between two sets of translations of the same images, in numbers and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from i2i_bench.metric import Column
from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.scoring.metrics.distances import KID

# A difference of so many standard errors has an error of 5 % if there is none in truth (normal
# distribution, 1.96). The jackknife's are too large by 10 to 40 % rather than too small.
CLEAR = 1.96


@dataclass(frozen=True)
class Difference:
    """How two sets of translations differ in one metric, as recorded: not scaled.

    Attributes:
        key: Of the metric.
        one: Value of the first.
        other: Value of the second.
        difference: First less second, over the same images.
        error: Its standard error; None for too few images.
    """

    key: str
    one: float
    other: float
    difference: float
    error: float | None

    @property
    def column(self) -> Column:
        """How the metric is shown."""
        return known_metrics().by_key[self.key]

    @property
    def _fine(self) -> Column:
        """The column, with as many digits as the error needs to be more than zero."""
        column = self.column
        if not self.error or column.digits is None:
            return column
        needed = -math.floor(math.log10(self.error * column.scale))
        return replace(column, digits=min(max(column.digits, needed), 6))

    @property
    def is_clear(self) -> bool:
        """Whether the difference is beyond the noise of the test images."""
        return self.error is not None and abs(self.difference) > CLEAR * self.error

    def text(self) -> str:
        """Print the difference with its error."""
        shown = self._fine.text(self.difference)
        signed = shown if shown.startswith("-") else f"+{shown}"
        return signed if self.error is None else f"{signed} ± {self._fine.text(self.error)}"

    def verdict(self) -> str:
        """Say in a few words who is better."""
        if self.error is None:
            return "too few images to tell"
        if not self.is_clear:
            return "cannot be told apart"
        if not self.column.better:
            return "differ"
        first = (self.difference > 0) == (self.column.better == "higher")
        return f"{'A' if first else 'B'} is better"

    def sentence(self) -> str:
        """Say in words what the difference means."""
        name = " ".join(part for part in (self.column.title, self.column.unit) if part)
        if not self.is_clear:
            return f"{name}: A and B {self.verdict()} by these test images ({self.text()})."
        by = f"{self._fine.text(abs(self.difference))} ± {self._fine.text(self.error or 0)}"
        better = self.verdict()
        if better == "differ":
            return f"{name}: A and B differ by {by}, beyond the noise of the test images."
        than = "than B" if better.startswith("A") else "than A"
        return (
            f"{name}: {better} {than} by {by}: beyond the noise of the test images; "
            "training seeds are a noise of their own."
        )


@dataclass(frozen=True)
class Comparison:
    """What was found in one direction.

    Attributes:
        heading: Task, direction, protocol and number of images.
        differences: By metric, the task's headline first.
        reasons: Why others are missing.
    """

    heading: str
    differences: tuple[Difference, ...]
    reasons: dict[str, str]

    def sentences(self) -> list[str]:
        """Say in words what the headline and the KID tell, and why values are missing."""
        shown = [d for i, d in enumerate(self.differences) if i == 0 or d.key == KID.key]
        missing: dict[str, list[str]] = {}
        for key, reason in self.reasons.items():
            missing.setdefault(reason, []).append(known_metrics().by_key[key].title)
        said = [f"No {', '.join(titles)}: {reason}" for reason, titles in missing.items()]
        return [difference.sentence() for difference in shown] + said
