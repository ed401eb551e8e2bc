"""Which metrics and costs a leaderboard shows, and how it prints them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

SPREADS = {
    "se_jackknife": "jackknife standard error",
    "se_blocks": "standard error over blocks",
    "sd_subsets": "standard deviation over subsets",
}


@dataclass(frozen=True)
class Column:
    """How a metric or a cost is shown.

    Attributes:
        key: In ``Row.stats``.
        title: Short name for headers and notes.
        unit: Shown in the header.
        digits: After the point; None for three significant ones.
        better: Direction of goodness; "" for what is neither good nor bad.
        scale: From the recorded value to the shown one.
        meaning: For the legend, where the title does not say it.
    """

    key: str
    title: str
    unit: str = ""
    digits: int | None = None
    better: Literal["higher", "lower", ""] = ""
    scale: float = 1.0
    meaning: str = ""

    @property
    def header(self) -> str:
        """Title, unit and an arrow that points to the better side."""
        arrow = {"higher": "↑", "lower": "↓", "": ""}[self.better]
        return " ".join(part for part in (self.title, self.unit, arrow) if part)

    def text(self, value: float) -> str:
        """Print a recorded value."""
        shown = value * self.scale
        digits = self.digits
        if digits is None:
            magnitude = math.floor(math.log10(abs(shown))) if shown else 0
            digits = min(max(0, 2 - magnitude), 6)
        return f"{shown:z.{digits}f}"

    def goodness(self, value: float) -> float:
        """Return what is larger for the better, equal for values that print the same."""
        shown = float(self.text(value))
        return -shown if self.better == "lower" else shown


def summary(values: Mapping[str, float | None]) -> str:
    """Print the values of which something is known, in one line."""
    found = []
    for column in METRICS:
        if (value := values.get(column.key)) is not None:
            before, after = (column.unit, "") if column.scale != 1 else ("", column.unit)
            parts = (column.title, before, column.text(value), after)
            found.append(" ".join(part for part in parts if part))
    return ", ".join(found)


METRICS = (
    Column("psnr_foreground", "PSNR fg", "dB", 2, "higher", meaning="over the true foreground"),
    Column(
        "psnr_background",
        "PSNR bg",
        "dB",
        2,
        "higher",
        meaning="over the true background; 100 where equal",
    ),
    Column("fid", "FID", "", 1, "lower"),
    Column("kid", "KID", "x100", 2, "lower", 100),
    Column("psnr", "PSNR", "dB", 2, "higher"),
    Column("ssim", "SSIM", "", 3, "higher"),
    Column("lpips", "LPIPS", "", 3, "lower"),
    Column(
        "target_share",
        "to target",
        "%",
        1,
        "higher",
        100,
        "share that the suite's classifier takes for the target domain, not a human study",
    ),
    Column(
        "kept_share",
        "kept",
        "%",
        1,
        "higher",
        100,
        "share of the other labels that it still recognises",
    ),
    Column("mask_iou", "mask IoU", "", 3, "higher"),
    Column("background_share", "bg share", "", 3, meaning="mean attention that copies the source"),
    Column("lpips_source", "LPIPS src", "", 3, meaning="between source and translation"),
    Column("lpips_cycle", "LPIPS cycle", "", 3, meaning="between source and reconstruction"),
    Column("psnr_cycle", "PSNR cycle", "dB", 2, meaning="of the reconstruction"),
    Column("fid_target", "FID tgt", "", 1, "lower", meaning="to the target images alone"),
    Column("kid_target", "KID tgt", "x100", 2, "lower", 100, "to the target images alone"),
    Column("fid_source", "FID src", "", 1, meaning="to the source images"),
    Column("kid_source", "KID src", "x100", 2, scale=100, meaning="to the source images"),
    Column(
        "kid_order_mean", "KID orders", "x100", 2, scale=100, meaning="over orders of the files"
    ),
)
EFFECTIVE = Column(  # of ablations alone
    "effective_masks",
    "masks used",
    digits=2,
    meaning="exp of the entropy of the masks' mean attention: 1 where one has all of it",
)
COSTS = (
    Column("parameters", "params", "M", scale=1e-6),
    Column("images_per_second", "images/s"),
    Column("seconds", "training", "s"),
    Column("peak_memory_bytes", "memory", "GiB", scale=2**-30),
)
BASELINES = {"identity": "identity (source unchanged)", "real": "real vs real"}
KNOWN = {column.key: column for column in METRICS}
COST_KEYS = frozenset(column.key for column in COSTS)
LPIPS_KEYS = frozenset(key for key in KNOWN if key.startswith("lpips"))
CLASSIFIER_KEYS = frozenset({"target_share", "kept_share"})
SPREAD_OF = {  # metric → its spread under whatever name a protocol has for it
    "kid": ("kid_se", "kid_sd"),
    "kid_target": ("kid_target_se", "kid_target_sd"),
    "kid_source": ("kid_source_se", "kid_source_sd"),
    "kid_order_mean": ("kid_order_sd",),
}
HIDDEN = frozenset(  # in records and in CSV, but in no column: spreads, and what alarms are made of
    [key for keys in SPREAD_OF.values() for key in keys]
    + ["kid_orders", "attention_entropy", "attention_saturated", "effective_masks"]
    + ["colour_correlation", "colour_correlation_truth"]
)
