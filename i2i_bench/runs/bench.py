"""What all runs of a plan share: places, protocols, device, modes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from i2i_bench.records.folders import Places
from i2i_bench.scoring.metric_set import chosen_metrics
from i2i_bench.scoring.protocols import Protocol
from i2i_bench.scoring.scorer import Scorer
from i2i_bench.system.progress import Report
from i2i_bench.training import parallel
from i2i_bench.training.fast.modes import PLAIN, Modes
from i2i_bench.training.parallel import Crew


@dataclass(frozen=True)
class Bench:
    """What every run of a plan shares.

    Attributes:
        places: Where files belong.
        protocols: How to score.
        device: Where to compute.
        report: Told of progress.
        checkpoint_seconds: Time between checkpoints.
        logs: What copies the loss log: ``tensorboard``, or nothing.
        order_replicates: As in ``scorer.Scorer``.
        kid_subset_size: As in ``scorer.Scorer``.
        metrics: Names of what is measured beside what every run is scored with.
        modes: How training steps are carried out.
        crew: The processes that train together; all else is done by the first one.
    """

    places: Places
    protocols: Sequence[Protocol]
    device: torch.device
    report: Report
    checkpoint_seconds: float = 300.0
    logs: Sequence[str] = ()
    order_replicates: int = 0
    kid_subset_size: int | None = None
    metrics: Sequence[str] = ()
    modes: Modes = PLAIN
    crew: Crew = parallel.ALONE

    @property
    def scorer(self) -> Scorer:
        """How to score."""
        return Scorer(
            self.protocols,
            self.device,
            self.report,
            self.order_replicates,
            self.kid_subset_size,
            chosen_metrics(self.metrics),
        )
