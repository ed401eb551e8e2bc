"""Loss terms divided by running means of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

TINY = 1e-10  # added to what a term is divided by


class RunningScales:
    """Running means of loss terms, and the scales that are taken from them now and then.

    All begin at 1. They are part of a checkpoint.

    Args:
        names: Of the terms.
        decay: Share of a running mean that a step keeps.
    """

    def __init__(self, names: Sequence[str], decay: float) -> None:
        self.names, self.decay = tuple(names), decay
        self.values = {kind: torch.ones(len(self.names)) for kind in ("mean", "scale")}

    def divide(self, terms: Mapping[str, Tensor], *, refreshes: bool) -> dict[str, Tensor]:
        """Move the means towards scalar terms, and give each divided by its scale.

        No gradient goes through means and scales.

        Args:
            terms: By all the names.
            refreshes: Whether the scales become the means, those that this step has moved.
        """
        found = torch.stack([terms[name].detach() for name in self.names])
        for kind, held in self.values.items():
            if held.device != found.device or held.dtype != found.dtype:  # new, or just loaded
                self.values[kind] = held.to(found)
        mean, scale = self.values["mean"], self.values["scale"]
        mean.lerp_(found, 1 - self.decay)
        if refreshes:
            scale.copy_(mean)
        divisors = (scale + TINY).unbind()
        return {name: terms[name] / by for name, by in zip(self.names, divisors, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        """Return means and scales, in the order of the names."""
        return dict(self.values)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back."""
        self.values = {kind: values.clone() for kind, values in state_dict.items()}
