"""The only source of chance: numbers as pure functions of seed, name and sample."""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor


class Randomness:
    """The only source of chance in a training step.

    Every value is a pure function of (seed, name, global sample index, position within the sample),
    computed on the device from integer arithmetic: it depends neither on how many processes share a
    batch nor on what was drawn before, needs no host synchronisation, and a test can replay it.
    Row i of a draw belongs to the i-th sample of the batch, so the first dimension of every shape
    is the batch. Drawing one name twice in a step gives the same numbers.

    Args:
        seed: Seed of the run.
        first_sample: Global index of the first sample of the batch; a 0-d int64 tensor on the
            device when a step is captured.
        device: Where values are drawn.
        dtype: Floating type of ``normal`` and ``uniform``.
    """

    def __init__(
        self,
        seed: int,
        first_sample: int | Tensor = 0,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.seed = seed
        self.first_sample = first_sample
        self.device = torch.device(device)
        self.dtype = dtype

    def at(self, first_sample: int | Tensor) -> Randomness:
        """Return the source for the batch that starts at this global sample index."""
        return Randomness(self.seed, first_sample, self.device, self.dtype)

    def normal(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Draw from N(0, 1) by the Box-Muller transform."""
        radius, angle = self._bits(name, (*shape, 2)).unbind(-1)
        uniform = (_shift(radius, 11) + 1).double() * 2.0**-53  # (0, 1], so that its log is finite
        turn = _shift(angle, 11).double() * 2.0**-53
        return ((-2 * uniform.log()).sqrt() * (2 * math.pi * turn).cos()).to(self.dtype)

    def uniform(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Draw multiples of 2^-24 from [0, 1), exact in float32 and float64 alike."""
        return (_shift(self._bits(name, shape), 40).double() * 2.0**-24).to(self.dtype)

    def integers(self, name: str, high: int, shape: tuple[int, ...]) -> Tensor:
        """Draw int64 from 0, ..., high - 1, with high at most 2^31."""
        return (_shift(self._bits(name, shape), 32) * high) >> 32

    def _bits(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Give 64 random bits an element as int64, by SplitMix64 (Steele et al., 2014)."""
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        key = int.from_bytes(digest[:8], "little", signed=True)
        samples = torch.arange(shape[0], device=self.device) + self.first_sample
        positions = torch.arange(math.prod(shape[1:]), device=self.device)
        seeds = _mix(key + _GOLDEN * (samples + 1))
        return _mix(seeds[:, None] + _GOLDEN * (positions + 1)).view(shape)


_GOLDEN, _MIX1, _MIX2 = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15  # as int64


def _shift(bits: Tensor, places: int) -> Tensor:
    """Shift int64 right, filling with zeros."""
    return (bits >> places) & ((1 << (64 - places)) - 1)


def _mix(bits: Tensor) -> Tensor:
    """Scramble int64 by SplitMix64's finaliser."""
    bits = (bits ^ _shift(bits, 30)) * _MIX1
    bits = (bits ^ _shift(bits, 27)) * _MIX2
    return bits ^ _shift(bits, 31)
