"""How many people a difference needs, before anybody is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Design:
    """What a comparison of two percentages will look like.

    Attributes:
        first: Expected share of the first method, between 0 and 1.
        second: Of the second.
        trials: Answers of a person on each method.
        people_sd: Standard deviation of people's own shares, which one more answer does not lower.
        is_within: Whether everybody judges both methods, so that how easily one is fooled cancels.
        images: Test images a method; None to speak of these images only.
        images_sd: Standard deviation of images' own shares.
    """

    first: float
    second: float
    trials: int
    people_sd: float = 0.1
    is_within: bool = False
    images: int | None = None
    images_sd: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.first < 1 or not 0 < self.second < 1:
            raise ValueError("percentages must lie between 0 and 100, both excluded")
        if self.trials < 1 or (self.images is not None and self.images < 2):
            raise ValueError("a person needs an answer on each method, and a method two images")
        if not 0 <= self.people_sd < 0.5 or not 0 <= self.images_sd < 0.5:
            raise ValueError("deviations of people and images must lie from 0 to below 50")

    @property
    def by_person(self) -> float:
        """Variance of the difference that shrinks with the number of people, times that number."""
        of_people = 0.0 if self.is_within else 2 * self.people_sd**2
        shares = (self.first, self.second)
        within = (max(p * (1 - p) - self.people_sd**2, 0) for p in shares)
        return of_people + sum(within) / self.trials

    @property
    def by_image(self) -> float:
        """Variance of the difference that more people do not lower."""
        return 0.0 if self.images is None else 2 * self.images_sd**2 / self.images


def power_of(design: Design, people: int, level: float = 0.05) -> float:
    """Give the chance that so many people, of each method, find the difference.

    Args:
        design: Of the study.
        people: For each method; if everybody judges both, in all.
        level: Of a two-sided test.
    """
    freedom = max(people - 1 if design.is_within else 2 * people - 2, 1)
    error = math.sqrt(design.by_person / people + design.by_image)
    shift = abs(design.first - design.second) / error
    limit = float(stats.t.ppf(1 - level / 2, freedom))
    found = stats.nct.sf(limit, freedom, shift) + stats.nct.cdf(-limit, freedom, shift)
    return float(found)


def people_needed(design: Design, power: float = 0.8, level: float = 0.05) -> int:
    """Give the least number of people, of each method, that finds the difference so often.

    Raises:
        ValueError: If no number does: both are equal, or there are too few images.
    """
    if design.first == design.second:
        raise ValueError("two equal percentages do not differ, however many people are asked")
    low, high = 1, 2
    while power_of(design, high, level) < power:
        low, high = high, high * 2
        if high > 2**20:
            raise ValueError(
                "no number of people is enough: the images themselves differ too much; take more "
                "images, or speak of these only"
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(design, middle, level) >= power else (middle, high)
    return high
