"""Detect collapsed attention masks and inverted colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from i2i_bench.model import Masks
from i2i_bench.scoring.metrics import masks as mask_metrics
from i2i_bench.scoring.metrics.masks import (
    ATTENTION_ENTROPY,
    ATTENTION_SATURATED,
    BACKGROUND_SHARE,
    EFFECTIVE_MASKS,
    MaskHealth,
)
from i2i_bench.scoring.metrics.pixels import COLOUR_CORRELATION, COLOUR_CORRELATION_TRUTH
from i2i_bench.scoring.protocols import ValuesOrReasons
from i2i_bench.scoring.sample import Meter, Sample

# More attention than this on the mask that copies the source, and nothing is translated: objects as
# small as 5 % of an image, the smallest of the embedded tasks, still need 0.05 of it elsewhere.
COPIES = 0.99
# Fewer masks than this in use, and the others have collapsed: of two masks, one has 99 %.
COLLAPSED = 1.05
# A lower correlation of luminance, and images are negatives rather than translations: images that
# have nothing to do with each other are near 0, what keeps the background is near 1.
INVERTED = -0.5
NO_MASKS = "no attention masks"
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


def colour_correlation(sources: NDArray[Any], fakes: NDArray[Any]) -> float | str:
    """Give the mean correlation of luminance over pairs of images that have one, or why not.

    Args:
        sources: uint8 (images, height, width, 3).
        fakes: The same shape.
    """
    sample = Sample({"source": sources, "fake": fakes})
    return Meter().values([COLOUR_CORRELATION], sample)[COLOUR_CORRELATION.key]


def alarms_of_values(values: Mapping[str, float | str | None]) -> dict[str, str]:
    """Say what is wrong, a sentence for each value that gives an alarm.

    Args:
        values: As in a record, or some of them; what is no number gives none.
    """
    known = {key: value for key, value in values.items() if isinstance(value, float)}
    share, masks = known.get(BACKGROUND_SHARE.key, 0.0), known.get(EFFECTIVE_MASKS.key, math.inf)
    colour = known.get(COLOUR_CORRELATION.key, 1.0)
    found = {}
    if share > COPIES:
        found[BACKGROUND_SHARE.key] = (
            f"nothing is translated: the mask that copies the source has {share:.1%} of attention"
        )
    elif masks < COLLAPSED:
        found[EFFECTIVE_MASKS.key] = (
            f"the attention masks have collapsed: {masks:.2f} of them are in effect"
        )
    if colour < INVERTED and known.get(COLOUR_CORRELATION_TRUTH.key, 1.0) >= INVERTED:
        found[COLOUR_CORRELATION.key] = (
            f"colours are inverted: the luminance of source and translation correlates by "
            f"{colour:.2f}"
        )
    return found
