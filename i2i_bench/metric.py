"""What a metric is: how it is shown, what is known of its values, what it needs, its function.

A metric is one row beside its function, in a module of ``i2i_bench.scoring.metrics``; what scores,
records, checks, compares and shows reads it from there. Importing this module, or one of metrics,
is cheap: what is heavy is imported by the functions, or as ``np = Deferred("numpy")``.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

AFTER_OURS = 1000  # place of a metric that states none

# Images are uint8 (images, height, width, 3), unless the metric ``sees`` levels.
Need = Literal[
    "fake",  # translations: uint8 (images, height, width, 3)
    "source",  # what was translated: the same shape
    "truth",  # true translation of each source: the same shape
    "answers",  # all right translations of each source: uint8 (images, answers, height, width, 3)
    "outputs",  # several translations of each source: uint8 (images, outputs, height, width, 3)
    "reconstruction",  # the translations, as saved, translated back: the same shape
    "foreground",  # for each source bool (height, width), True where it may change
    "instances",  # instance masks after translation, as the model gives them: for each source
    # float32 (instances, height, width) in [0, 1]
    "true_instances",  # those of a right translation: for each source bool (instances, ...)
    "background_attention",  # float32 (images, height, width), of the mask that copies the source
    "attention",  # of all attention masks: a ``metrics.masks.MaskHealth``
    "recognised",  # what the suite's classifier sees in the translations: bool (images, labels)
    "labels",  # what the translations should have: int8 (images, labels)
    "target",  # position of the label that the direction changes
    "kept",  # positions of the labels that it leaves alone
    "device",  # where to compute, as torch names it
]


@dataclass(frozen=True)
class Column:
    """How a number is shown.

    Attributes:
        key: Its name in records.
        title: Short name for headers and notes.
        unit: Shown in the header.
        digits: After the point; None for three significant ones.
        better: Direction of goodness; "" for what is neither good nor bad.
        scale: From the recorded value to the shown one.
        meaning: For the legend, where the title does not say it.
    """

    key: str
    title: str
    unit: str = ""
    digits: int | None = None
    better: Literal["higher", "lower", ""] = ""
    scale: float = 1.0
    meaning: str = ""

    @property
    def header(self) -> str:
        """Title, unit and an arrow that points to the better side."""
        arrow = {"higher": "↑", "lower": "↓", "": ""}[self.better]
        return " ".join(part for part in (self.title, self.unit, arrow) if part)

    def text(self, value: float) -> str:
        """Print a recorded value."""
        shown = value * self.scale
        digits = self.digits
        if digits is None:
            magnitude = math.floor(math.log10(abs(shown))) if shown else 0
            digits = min(max(0, 2 - magnitude), 6)
        return f"{shown:z.{digits}f}"

    def goodness(self, value: float) -> float:
        """Return what is larger for the better, equal for values that print the same."""
        shown = float(self.text(value))
        return -shown if self.better == "lower" else shown


@dataclass(frozen=True, kw_only=True)
class Metric(Column):
    """A number that says something of translations, and the function that computes it.

    Functions are pure. They are given what ``needs`` names, in that order; where something has no
    value they raise a ``ValueError``, whose text becomes the reason in the record. A metric has one
    of ``by_image`` and ``of_set``; one without either is computed from features by a protocol.

    Attributes:
        needs: What the functions are given. Where the task lacks something of it a score does not
            hold the metric; where the model does, it holds the reason.
        by_image: Gives a value for each image, in order; the value of the set is their mean, and
            ``compare`` has the difference of two models by them, so those of a metric that tables
            show must be finite.
        mean: Makes the value of the set from those of the images; None for the arithmetic mean.
        of_set: Gives the value of the set; with ``spreads``, a pair of it and its spread.
        bounds: Smallest and largest possible value.
        of_identity: What the metric gives for translations that are their sources, and by how much
            rounding moves it; None where that depends on the images.
        spreads: Keys under which a score may hold the spread of the value, the first one that of
            ``of_set``.
        weights_field: Field of a score with the hash of the weights that made the value, for values
            of different weights do not compare; "" for none.
        place: Of its column, from the left; of equal places the key decides.
        is_shown: Whether it is a column of the leaderboard; otherwise it is in records and CSV.
        is_required: Whether every score holds it, be it with the reason why the task has none.
        version: Rises when its values change; those of two versions do not compare.
        is_default: Whether every run is scored with it; otherwise ``--metric`` asks for it, and a
            score then holds it, be it with the reason why there is none.
        num_outputs: Outputs of each image that its functions are given, where it needs outputs.
        sees: Images as ``rgb``: 8 bits, three channels, whatever the task's, which are windowed to
            the range of their domain; or as ``levels``: the channels of the task, and values in
            levels of 255, in float64 where they have a range, so that nothing is lost.
        family: What ``--metric`` calls it, together with others of the same; "" for the key with
            hyphens. Those of a plugin have the name of their entry point.
    """

    needs: tuple[Need, ...] = ()
    by_image: Callable[..., Sequence[float]] | None = None
    mean: Callable[[Sequence[float]], float] | None = None
    of_set: Callable[..., float | tuple[float, float]] | None = None
    bounds: tuple[float, float] = (-math.inf, math.inf)
    of_identity: tuple[float, float] | None = None
    spreads: tuple[str, ...] = ()
    weights_field: str = ""
    place: int = AFTER_OURS
    is_shown: bool = True
    is_required: bool = False
    version: int = 1
    is_default: bool = True
    num_outputs: int = 20
    sees: Literal["rgb", "levels"] = "rgb"
    family: str = ""

    @property
    def name(self) -> str:
        """What ``--metric`` calls it."""
        return self.family or self.key.replace("_", "-")

    def __post_init__(self) -> None:
        if self.by_image and self.of_set:
            raise ValueError(f"metric {self.key} needs one of by_image and of_set, not both")
        if self.mean and not self.by_image:
            raise ValueError(f"metric {self.key} has no values by image of which to take the mean")
        if self.spreads and self.by_image:
            raise ValueError(f"metric {self.key}: a spread is given by a function of the set")
        if bool(self.by_image or self.of_set) != bool(self.needs):
            raise ValueError(f"metric {self.key} needs a function, and names of its arguments")


def each(function: Callable[..., float]) -> Callable[..., list[float]]:
    """Turn a function of one image into one of many, which ``Metric.by_image`` is.

    Args:
        function: Given the first of every argument, then the second, and so on.

    Raises:
        ValueError: When called, if its arguments are not of equal length.
    """

    def of_all(*given: Sequence[Any]) -> list[float]:
        return [function(*one) for one in zip(*given, strict=True)]

    return of_all


class Deferred:
    """A module that is imported when something of it is first used.

    Args:
        name: Of the module.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)
