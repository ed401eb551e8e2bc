"""Two domains a step, drawn out of many as a pure function of seed and step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from i2i_bench.randomness import Randomness

BLOCK = 512  # steps whose domains are drawn at once


class DrawnDomains:
    """The domains of each step: an ordered pair of different ones, all pairs equally likely.

    Args:
        seed: Of the run.
        names: Of the domains, at least two.
    """

    def __init__(self, seed: int, names: Sequence[str]) -> None:
        self._seed, self._names = seed, list(names)
        self._before = [torch.zeros(len(names), dtype=torch.int64)]  # at the start of each block
        self._number, self._pairs = -1, torch.empty(0)  # the block that was drawn last

    def at(self, step: int) -> dict[str, int]:
        """Return the domains of a 0-based step, each with the number of steps that had it before.

        It does not depend on what was asked before.
        """
        number, place = divmod(step, BLOCK)
        while len(self._before) <= number:
            self._before.append(self._before[-1] + self._count(self._block(len(self._before) - 1)))
        pairs = self._block(number)
        counts = self._before[number] + self._count(pairs[:place])
        return {self._names[i]: int(counts[i]) for i in pairs[place].tolist()}

    def _block(self, number: int) -> Tensor:
        """Draw the domains of a block of steps, (BLOCK, 2)."""
        if number != self._number:
            random, others = Randomness(self._seed, number * BLOCK), len(self._names) - 1
            draws = random.integers("drawn_domains", len(self._names) * others, (BLOCK, 1))[:, 0]
            first, second = draws // others, draws % others
            self._pairs = torch.stack([first, second + (second >= first)], dim=1)
            self._number = number
        return self._pairs

    def _count(self, pairs: Tensor) -> Tensor:
        return pairs.flatten().bincount(minlength=len(self._names))
