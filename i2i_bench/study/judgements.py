"""Answers of people as arrays, whatever the procedure and wherever they were given."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Measure = Literal["fooled", "error", "votes", "preference"]
MEANINGS: dict[Measure, str] = {
    "fooled": "share of trials in which a translation was taken for the real image",
    "error": "share of images, real and generated alike, that were judged wrongly",
    "votes": "share of the questions in which a method was shown and chosen",
    "preference": "share of the pairs with a method in which it was chosen",
}
Named = TypeVar("Named", bound=Hashable)


@dataclass(frozen=True)
class Judgement:
    """One answer.

    Attributes:
        person: Who gave it.
        shown: Methods that were judged: all that could be chosen, or the one that was to fool.
        chosen: Which of them got the point: the chosen one, or the one that fooled; None if none.
        image: Test image that was shown; None where it is not known.
        unit: What was shown, whoever judged it; None where it is not known.
    """

    person: str
    shown: tuple[str, ...]
    chosen: str | None
    image: str | None = None
    unit: Hashable = None


@dataclass(frozen=True, eq=False)
class Judgements:
    """Answers of people.

    Attributes:
        measure: What a point means.
        methods: Names.
        person: (answers,), number of the person.
        shown: (answers, methods), whether the method could get the point.
        points: (answers, methods), 1 where it got it, else 0.
        image: (answers,), number of the test image; None where images are not known.
        unit: (answers,), number of what was shown; None likewise.
    """

    measure: Measure
    methods: tuple[str, ...]
    person: NDArray[np.int64]
    shown: NDArray[np.bool_]
    points: NDArray[np.int64]
    image: NDArray[np.int64] | None = None
    unit: NDArray[np.int64] | None = None

    @property
    def is_choice(self) -> bool:
        """Whether methods were chosen among each other, not judged one by one."""
        return self.measure in ("votes", "preference")

    @cached_property
    def num_people(self) -> int:
        """People with an answer."""
        return len(np.unique(self.person))

    @cached_property
    def answers(self) -> NDArray[np.int64]:
        """Answers in which each method could get the point, (methods,)."""
        return self.shown.sum(axis=0)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Points of each method, (methods,)."""
        return self.points.sum(axis=0)

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """Points by answers, pooled over people, (methods,), from 0 to 1."""
        return self.counts / self.answers

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Group of each person, (people,): the method, where everybody judged only one."""
        seen = np.zeros((self.num_people, len(self.methods)), bool)
        np.logical_or.at(seen, self.person, self.shown)
        is_apart = bool((seen.sum(axis=1) == 1).all())
        return seen.argmax(axis=1) if is_apart else np.zeros(self.num_people, np.int64)

    def people_of(self, method: int) -> int:
        """Count the people who judged a method."""
        return len(np.unique(self.person[self.shown[:, method]]))

    def images_of(self, method: int) -> int | None:
        """Count the test images with which a method was judged; None where unknown."""
        if self.image is None:
            return None
        return len(np.unique(self.image[self.shown[:, method]]))


def gather_judgements(measure: Measure, answers: Sequence[Judgement]) -> Judgements:
    """Turn answers into arrays; methods, people and images are in the order of their names.

    Raises:
        ValueError: If there is no answer.
    """
    if not answers:
        raise ValueError("there is no answer to score")
    methods = sorted({method for each in answers for method in each.shown})
    place = {method: index for index, method in enumerate(methods)}
    shown = np.zeros((len(answers), len(methods)), bool)
    points = np.zeros((len(answers), len(methods)), np.int64)
    for row, each in enumerate(answers):
        shown[row, [place[method] for method in each.shown]] = True
        if each.chosen is not None:
            points[row, place[each.chosen]] = 1
    return Judgements(
        measure,
        tuple(methods),
        _numbered([each.person for each in answers]),
        shown,
        points,
        _numbered_if_known([each.image for each in answers]),
        _numbered_if_known([each.unit for each in answers]),
    )


def _numbered(names: Sequence[Any]) -> NDArray[np.int64]:
    numbers = {name: index for index, name in enumerate(sorted(set(names), key=repr))}
    return np.array([numbers[name] for name in names], np.int64)


def _numbered_if_known(names: Sequence[Any]) -> NDArray[np.int64] | None:
    return None if any(name is None for name in names) else _numbered(names)
