"""From answers to what they say: percentages, differences, strengths and agreement."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from i2i_bench.records.study import (
    INTERVALS,
    MethodResult,
    PairResult,
    StrengthResult,
    StudyResults,
    Uncertain,
)
from i2i_bench.study import intervals
from i2i_bench.study.agreement import agreement_of
from i2i_bench.study.intervals import Interval
from i2i_bench.study.judgements import Judgements
from i2i_bench.study.strengths import fit_strengths

NO_IMAGES = "which test images were shown is not known"
NO_BINOMIAL = "two percentages have no exact binomial interval of their difference"
BINOMIAL, PEOPLE, TWO_WAY = INTERVALS


class _Resampled:
    """The bootstraps of a study."""

    def __init__(self, found: Judgements, num_draws: int, seed: int) -> None:
        self.found = found
        self.compatible = intervals.compatible_bootstrap(found, num_draws, seed)
        self.people = intervals.people_bootstrap(found, num_draws, seed)
        has_images = found.image is not None
        self.two_way = intervals.two_way_bootstrap(found, num_draws, seed) if has_images else None

    def intervals(self, contrast: NDArray[np.float64], binomial: Interval | str) -> dict[str, Any]:
        """Give the fields ``intervals`` and ``reasons`` of a sum of shares."""
        limits: dict[str, Interval | str] = {BINOMIAL: binomial, TWO_WAY: NO_IMAGES}
        limits[PEOPLE] = intervals.cluster_interval(self.found, self.people, contrast, "people")
        if self.two_way is not None:
            limits[TWO_WAY] = intervals.cluster_interval(
                self.found, self.two_way, contrast, "people and images"
            )
        return {
            "intervals": {
                name: None if isinstance(each, str) else (100 * each.low, 100 * each.high)
                for name, each in limits.items()
            },
            "reasons": {name: each for name, each in limits.items() if isinstance(each, str)},
        }


def results_of(
    found: Judgements,
    *,
    people_left_out: Mapping[str, int] | None = None,
    answers_left_out: Mapping[str, int] | None = None,
    num_draws: int = intervals.DRAWS,
    seed: int = 0,
) -> StudyResults:
    """Compute all that a study says.

    Args:
        found: Answers that count.
        people_left_out: Number of people whose answers do not, by reason.
        answers_left_out: Number of single answers that do not, by reason.
        num_draws: Of each bootstrap.
        seed: Of the bootstraps.
    """
    resampled = _Resampled(found, num_draws, seed)
    strengths, reasons = _strengths(found)
    alpha = agreement_of(found)
    reasons |= {"alpha": alpha} if isinstance(alpha, str) else {}
    return StudyResults(
        measure=found.measure,
        people=found.num_people,
        answers=len(found.person),
        people_left_out=dict(people_left_out or {}),
        answers_left_out=dict(answers_left_out or {}),
        methods=[_method(resampled, number) for number in range(len(found.methods))],
        pairs=_pairs(resampled),
        strengths=strengths,
        alpha=None if isinstance(alpha, str) else alpha,
        reasons=reasons,
        draws=num_draws,
        seed=seed,
    )


def _method(resampled: _Resampled, number: int) -> MethodResult:
    found = resampled.found
    points, answers = int(found.counts[number]), int(found.answers[number])
    binomial = intervals.binomial_interval(points, answers)
    contrast = np.eye(len(found.methods))[number]
    return MethodResult(
        method=found.methods[number],
        percent=100 * points / answers,
        points=points,
        answers=answers,
        people=found.people_of(number),
        images=found.images_of(number),
        compatible_sd=100 * float(np.nanstd(resampled.compatible[:, number])),
        **resampled.intervals(contrast, binomial),
    )


def _pairs(resampled: _Resampled) -> list[PairResult]:
    found = resampled.found
    higher = intervals.probability_higher(resampled.compatible)
    pairs = []
    for one, other in itertools.combinations(range(len(found.methods)), 2):
        contrast = np.zeros(len(found.methods))
        contrast[[one, other]] = 1, -1
        pairs.append(
            PairResult(
                first=found.methods[one],
                second=found.methods[other],
                percent=100 * float(found.shares[one] - found.shares[other]),
                probability=float(higher[one, other]),
                **_chosen(found, one, other),
                **resampled.intervals(contrast, NO_BINOMIAL),
            )
        )
    return pairs


def _chosen(found: Judgements, one: int, other: int) -> dict[str, Any]:
    """Count who was chosen where both were shown, and test it against a fair coin."""
    if not found.is_choice:
        return {}
    both = found.shown[:, one] & found.shown[:, other]
    first, second = (int(found.points[both, each].sum()) for each in (one, other))
    number = first + second
    p_value = float(stats.binomtest(first, number).pvalue) if number else None
    return {"questions": number, "chosen": first, "p_value": p_value}


def _strengths(found: Judgements) -> tuple[list[StrengthResult], dict[str, str]]:
    fitted = fit_strengths(found)
    if isinstance(fitted, str):
        return [], {"strengths": fitted}
    rows = zip(found.methods, fitted.values, fitted.errors, strict=True)
    return [
        StrengthResult(method=method, strength=float(value), error=float(error))
        for method, value, error in rows
    ], {}


Rows = list[tuple[str, ...]]  # the first is the header


def method_rows(found: StudyResults) -> Rows:
    """Give what was found of each method as cells for people, in percent."""
    header = ("method", "%", "±", "people and images", "people", "exact binomial", "points")
    rows = [
        (
            each.method,
            f"{each.percent:.2f}",
            f"{each.compatible_sd:.2f}",
            *(_limits(each, name) for name in (TWO_WAY, PEOPLE, BINOMIAL)),
            f"{each.points} of {each.answers}",
        )
        for each in found.methods
    ]
    return [header, *rows]


def pair_rows(found: StudyResults) -> Rows:
    """Give how methods differ as cells for people, in points."""
    is_choice = any(each.questions is not None for each in found.pairs)
    header = ("A - B", "points", "people and images", "people", "P(A > B)")
    rows = []
    for each in found.pairs:
        row = (
            f"{each.first} - {each.second}",
            f"{each.percent:+.2f}",
            *(_limits(each, name) for name in (TWO_WAY, PEOPLE)),
            f"{each.probability:.3f}",
        )
        rows.append((*row, *_direct(each)) if is_choice else row)
    return [(*header, "A chosen", "exact p") if is_choice else header, *rows]


def _direct(each: PairResult) -> tuple[str, str]:
    p_value = "none" if each.p_value is None else f"{each.p_value:.2g}"
    return f"{each.chosen} of {each.questions}", p_value


def _limits(found: Uncertain, name: str) -> str:
    limits = found.intervals[name]
    return "none" if limits is None else f"[{limits[0]:.2f}, {limits[1]:.2f}]"


def result_notes(found: StudyResults) -> list[str]:
    """Say what the rows do not, a sentence each: who was counted, strengths, agreement, reasons."""
    notes = [_counted(found)]
    named = [*found.methods, *found.pairs]
    reasons = dict.fromkeys(
        f"{name}: {why}"
        for each in named
        for name, why in each.reasons.items()
        if why != NO_BINOMIAL
    )
    notes += [f"No interval over {reason}." for reason in reasons]
    if found.strengths:
        model = "Bradley-Terry" if found.measure == "preference" else "Luce"
        shown = (f"{s.method} {s.strength:+.3f} ± {s.error:.3f}" for s in found.strengths)
        notes.append(f"Strengths ({model}, logarithms, ± standard error): {', '.join(shown)}.")
    elif found.measure in ("votes", "preference"):
        notes.append(f"No strengths: {found.reasons['strengths']}.")
    if found.alpha is None:
        notes.append(f"No agreement (Krippendorff's alpha): {found.reasons['alpha']}.")
    else:
        notes.append(f"Agreement (Krippendorff's alpha): {found.alpha:.3f}.")
    notes.append(
        f"[ ] are intervals of 95 %; ± is the deviation over {found.draws} bootstraps, and P of "
        "them, as in AMT_Real_vs_Fake (people, then trials)."
    )
    return notes


def _counted(found: StudyResults) -> str:
    parts = [f"{found.people} people, {found.answers} answers"]
    for what, left_out in (("people", found.people_left_out), ("answers", found.answers_left_out)):
        parts += [f"left out {number} {what}: {why}" for why, number in left_out.items() if number]
    return f"{'; '.join(parts)}."
