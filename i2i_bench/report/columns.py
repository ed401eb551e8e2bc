"""The columns of costs in a leaderboard, and the names of rows and spreads."""

from __future__ import annotations

from collections.abc import Mapping

from i2i_bench.metric import Column
from i2i_bench.scoring.metric_set import known_metrics

SPREADS = {
    "se_jackknife": "jackknife standard error",
    "se_blocks": "standard error over blocks",
    "sd_subsets": "standard deviation over subsets",
}


COSTS = (
    Column("parameters", "params", "M", scale=1e-6),
    Column("images_per_second", "images/s"),
    Column("seconds", "training", "s"),
    Column("peak_memory_bytes", "memory", "GiB", scale=2**-30),
)
BASELINES = {"identity": "identity (source unchanged)", "real": "real vs real"}
TIMED = frozenset({"images_per_second", "seconds"})  # which others on the machine change
SHARED = "†"  # behind values that were measured beside other work
COST_KEYS = frozenset(column.key for column in COSTS)


def summary(values: Mapping[str, float | None]) -> str:
    """Print the known values in one line."""
    found = []
    for column in known_metrics().shown:
        if (value := values.get(column.key)) is not None:
            before, after = (column.unit, "") if column.scale != 1 else ("", column.unit)
            parts = (column.title, before, column.text(value), after)
            found.append(" ".join(part for part in parts if part))
    return ", ".join(found)
