"""The least of a model that the harness asks for, for test models without a configuration."""

from typing import Any

import torch

from i2i_bench.model import Masks, Needs


class BareModel:
    """Everything that a model need not define, as ``Model`` has it."""

    absent = frozenset()
    config: Any = None
    card: Any = None
    directions: Any = None
    frozen = torch.nn.ModuleDict()

    @classmethod
    def needs(cls, config):
        del config
        return Needs()

    def prepare(self, batches, random):
        """Need nothing of the training set."""

    def advance(self, clock):
        """Have no schedule."""

    def masks(self, batch, direction, random) -> Masks | None:
        """Have no attention."""

    def translate_masks(self, batch, direction, random):
        """Leave instance masks as they are."""
