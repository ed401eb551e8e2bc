"""Distances between images, standardised by those of a training set (DistanceGAN)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

Compared = Literal["pairs", "halves"]

AT_ONCE = 64  # items that one is compared with at a time, for memory


def pair_distances(images: Tensor) -> Tensor:
    """Give the mean absolute difference of every two items (number, ...), in (pairs,)."""
    images = _exact(images)
    found = []
    for number, image in enumerate(images[:-1]):
        for others in images[number + 1 :].split(AT_ONCE):
            found.append((others - image).abs().flatten(1).mean(dim=1))
    return torch.cat(found)


def half_distances(images: Tensor, dimension: int = -2) -> Tensor:
    """Give the mean absolute difference of the halves of each item (number, ...), in (number,).

    Args:
        images: Of which the last two dimensions are height and width.
        dimension: Which is halved: -2 for top and bottom, -1 for left and right.
    """
    size = images.shape[dimension] // 2
    first, second = (_exact(images).narrow(dimension, start, size) for start in (0, size))
    return (first - second).abs().flatten(1).mean(dim=1)


def _exact(images: Tensor) -> Tensor:
    return images.to(torch.promote_types(images.dtype, torch.float32))  # also under autocast


class DistanceStatistics:
    """Mean and standard deviation of the distances in the training set of each domain.

    Until they are measured these are 0 and 1: distances stay as they are.
    """

    def __init__(self, domains: Sequence[str]) -> None:
        self.values = {domain: torch.tensor([0.0, 1.0]) for domain in domains}

    def measure(self, domain: str, items: Tensor, distances: Callable[[Tensor], Tensor]) -> None:
        """Take the distances of a domain's items (number, ...).

        A deviation of 0, as of a single distance, counts as 1: distances are only centred then. Of
        fewer than two items, the mean counts as 0.
        """
        found = distances(items) if len(items) > 1 else items.new_zeros(1)
        deviation, mean = torch.std_mean(found, correction=0)
        deviation = torch.where(deviation > 0, deviation, torch.ones_like(deviation))
        self.values[domain] = torch.stack([mean, deviation])

    def standardise(self, domain: str, distances: Tensor) -> Tensor:
        """Give distances in standard deviations from the mean of a domain."""
        known = self.values[domain]
        if known.device != distances.device:  # just loaded from a checkpoint
            known = self.values[domain] = known.to(distances.device)
        mean, deviation = known.to(distances.dtype)
        return (distances - mean) / deviation

    def state_dict(self) -> dict[str, Any]:
        """Return both values of each domain."""
        return dict(self.values)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back."""
        self.values = {domain: values.clone() for domain, values in state_dict.items()}
