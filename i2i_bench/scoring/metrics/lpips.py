"""LPIPS to truth and source, and of reconstructions; its network is in ``features``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from i2i_bench.metric import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def lpips(
    images: Sequence[NDArray[np.uint8]], others: Sequence[NDArray[np.uint8]], device: str
) -> list[float]:
    """Return the LPIPS of each pair of images, as ``lpips.lpips_distance``.

    Raises:
        ValueError: If images or weights are unfit, or there are no weights.
    """
    from i2i_bench.scoring.features.lpips import lpips_distance

    return lpips_distance(images, others, device)


LPIPS = Metric(
    "lpips",
    "LPIPS",
    digits=3,
    better="lower",
    needs=("fake", "truth", "device"),
    by_image=lpips,
    bounds=(0.0, math.inf),
    weights_field="lpips_sha256",
    place=70,
    is_required=True,
)
LPIPS_SOURCE = Metric(
    "lpips_source",
    "LPIPS src",
    digits=3,
    meaning="between source and translation",
    needs=("fake", "source", "device"),
    by_image=lpips,
    bounds=(0.0, math.inf),
    of_identity=(0.0, 1e-6),
    weights_field="lpips_sha256",
    place=120,
    is_required=True,
)
LPIPS_CYCLE = Metric(
    "lpips_cycle",
    "LPIPS cycle",
    digits=3,
    meaning="between source and reconstruction",
    needs=("reconstruction", "source", "device"),
    by_image=lpips,
    bounds=(0.0, math.inf),
    weights_field="lpips_sha256",
    place=130,
)
