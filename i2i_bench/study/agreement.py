"""How far people agree on what they were shown: Krippendorff's alpha for names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from i2i_bench.study.judgements import Judgements


def nominal_alpha(unit: NDArray[np.int64], value: NDArray[np.int64]) -> float | str:
    """Give Krippendorff's alpha: 1 if people agree, 0 if as by chance, below if they oppose.

    Args:
        unit: (answers,), number of what was judged; it counts with two answers or more.
        value: (answers,), number of what was answered.

    Returns:
        Alpha for nominal values; or why there is none.
    """
    table = np.zeros((int(unit.max()) + 1, int(value.max()) + 1))
    np.add.at(table, (unit, value), 1)
    numbers = table.sum(axis=1)
    table, numbers = table[numbers > 1], numbers[numbers > 1]
    if not len(table):
        return "nobody judged what another judged"
    pairs = np.einsum("ui,uj,u->ij", table, table, 1 / (numbers - 1))
    pairs -= np.diag((table / (numbers - 1)[:, None]).sum(axis=0))  # an answer with itself
    totals = pairs.sum(axis=1)
    total = totals.sum()
    expected = total**2 - totals @ totals
    if expected == 0:
        return "all answers are alike"
    return float(1 - (total - 1) * (total - np.trace(pairs)) / expected)


def agreement_of(found: Judgements) -> float | str:
    """Give Krippendorff's alpha of answers: which method was chosen, or whether one was fooled."""
    if found.unit is None:
        return "which images were judged is not known"
    value = found.points.argmax(axis=1) if found.is_choice else found.points.max(axis=1)
    return nominal_alpha(found.unit, value)
