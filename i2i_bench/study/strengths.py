"""Strengths of methods from who was chosen among whom: Luce's model, Bradley-Terry for pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse
from scipy.sparse import csgraph

from i2i_bench.study.judgements import Judgements


@dataclass(frozen=True, eq=False)
class Strengths:
    """Strengths on the scale of logarithms, which sum to 0.

    The chance to be chosen among a set is exp(strength) over the sum of that of the set.

    Attributes:
        values: (methods,).
        covariance: (methods, methods), robust to answers of one person hanging together.
    """

    values: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @property
    def errors(self) -> NDArray[np.float64]:
        """Standard error of each, (methods,)."""
        return np.sqrt(np.diag(self.covariance).clip(0))


def fit_strengths(found: Judgements) -> Strengths | str:
    """Fit Luce's model by maximum likelihood.

    With one choice from each set this is the first stage of Plackett and Luce; with pairs it is the
    model of Bradley and Terry.

    Returns:
        The strengths; or why there are none: they are finite only if every method, directly or by
        others, beats every other (Ford, 1957).
    """
    if not found.is_choice or len(found.methods) < 2:
        return "methods were not chosen among each other"
    if reason := _why_unbounded(found):
        return reason
    shown = found.shown
    chosen = found.points.argmax(axis=1)

    def negative(free: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        strengths = np.append(free, -free.sum())
        chances, total = _chances(strengths, shown)
        gradient = chances.sum(axis=0) - np.bincount(chosen, minlength=len(strengths))
        return float(total.sum() - strengths[chosen].sum()), gradient[:-1] - gradient[-1]

    start = np.zeros(len(found.methods) - 1)
    fitted = optimize.minimize(negative, start, jac=True, method="BFGS", options={"gtol": 1e-8})
    values = np.append(fitted.x, -fitted.x.sum())
    return Strengths(values, _robust_covariance(found, values))


def _why_unbounded(found: Judgements) -> str:
    number = len(found.methods)
    beats = np.zeros((number, number))
    for one in range(number):
        beats[one] = found.shown[found.points[:, one] == 1].sum(axis=0)
    np.fill_diagonal(beats, 0)
    parts, part = csgraph.connected_components(
        sparse.csr_array(beats), directed=True, connection="strong"
    )
    if parts == 1:
        return ""
    groups = [
        " and ".join(found.methods[i] for i in np.flatnonzero(part == label))
        for label in range(parts)
    ]
    return f"between {' | '.join(groups)} one side was always or never chosen, or not compared"


def _chances(
    strengths: NDArray[np.float64], shown: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the chance of each method in each answer, and the logarithm of the sums behind it."""
    logits = np.where(shown, strengths, -np.inf)
    highest = logits.max(axis=1, keepdims=True)
    powers = np.exp(logits - highest)
    sums = powers.sum(axis=1, keepdims=True)
    return powers / sums, (highest + np.log(sums))[:, 0]


def _robust_covariance(found: Judgements, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the covariance by the sandwich of the curvature and the gradients summed by person."""
    chances, _ = _chances(values, found.shown)
    gradients = np.zeros((found.num_people, len(values)))
    np.add.at(gradients, found.person, found.points - chances)
    curvature = np.diag(chances.sum(axis=0)) - chances.T @ chances
    # Equal shifts change nothing: the curvature is inverted where strengths sum to 0.
    number = len(values)
    basis = np.eye(number)[:, :-1] - np.eye(number)[:, -1:]
    inverse = basis @ np.linalg.inv(basis.T @ curvature @ basis) @ basis.T
    spread = gradients.T @ gradients * found.num_people / max(found.num_people - 1, 1)
    return inverse @ spread @ inverse
