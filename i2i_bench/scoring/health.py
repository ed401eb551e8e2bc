"""Measure what may give an alarm: attention masks, colours, and how much translations change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from i2i_bench.data.mixed import Images
from i2i_bench.model import Masks
from i2i_bench.scoring.metrics import masks as mask_metrics
from i2i_bench.scoring.metrics.change import CHANGE, UNCHANGED, VARIETY
from i2i_bench.scoring.metrics.masks import (
    ATTENTION_ENTROPY,
    ATTENTION_SATURATED,
    EFFECTIVE_MASKS,
    MaskHealth,
)
from i2i_bench.scoring.metrics.pixels import COLOUR_CORRELATION
from i2i_bench.scoring.protocols import ValuesOrReasons
from i2i_bench.scoring.sample import Meter, Sample

NO_MASKS = "no attention masks"
IMAGE_METRICS = (COLOUR_CORRELATION, UNCHANGED, CHANGE, VARIETY)
MASK_METRICS = (ATTENTION_ENTROPY, ATTENTION_SATURATED, EFFECTIVE_MASKS)


def measure(masks: Masks | None) -> MaskHealth | str:
    """Measure the attention masks of a batch, or give the reason why that cannot be."""
    if masks is None:
        return NO_MASKS
    attention = masks.attention.float().cpu().numpy()
    single = attention.shape[1] == 1
    try:
        return MaskHealth(
            np.array([mask_metrics.attention_entropy(a) for a in attention if not single]),
            np.array([mask_metrics.saturated_share(a) for a in attention]),
            attention.mean((2, 3), dtype=np.float64),
        )
    except ValueError as error:
        return str(error)


def join(parts: Sequence[MaskHealth | str]) -> MaskHealth | str:
    """Concatenate the measurements of batches, or return the reason why one has none."""
    found = []
    for part in parts:
        if isinstance(part, str):
            return part
        found.append(part)
    return MaskHealth(
        np.concatenate([part.entropy for part in found]),
        np.concatenate([part.saturated for part in found]),
        np.concatenate([part.usage for part in found]),
    )


def mask_values(health: MaskHealth | str) -> ValuesOrReasons:
    """Return the metrics of masks over all images, as records hold them."""
    return Meter().values(MASK_METRICS, Sample({"attention": health}))


def image_values(sources: Images, fakes: Images) -> ValuesOrReasons:
    """Return the metrics of images that may give an alarm, or the reasons why there are none.

    Args:
        sources: uint8 (images, height, width, 3).
        fakes: The same shape.
    """
    return Meter().values(IMAGE_METRICS, Sample({"source": sources, "fake": fakes}))
