"""How often the suite's classifier of labels sees in translations what they should show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from i2i_bench.metric import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NOTHING_ELSE = "the labels say nothing besides the target"


def target_share(recognised: NDArray[np.bool_], labels: NDArray[np.int8], target: int) -> float:
    """Return the share of images in which the label that was to change is seen as it should be.

    Args:
        recognised: (images, labels), what the classifier sees.
        labels: (images, labels), what should be there.
        target: Position of the label that was to change.
    """
    return float((recognised == labels.astype(bool))[:, target].mean())


def kept_share(
    recognised: NDArray[np.bool_], labels: NDArray[np.int8], kept: Sequence[int]
) -> float:
    """Return the share of the labels to be left alone that are seen as they should be.

    Args:
        recognised: (images, labels), what the classifier sees.
        labels: (images, labels), what should be there.
        kept: Positions of the labels that the change leaves alone.

    Raises:
        ValueError: If there is none.
    """
    if not kept:
        raise ValueError(NOTHING_ELSE)
    return float((recognised == labels.astype(bool))[:, kept].mean())


TARGET_SHARE = Metric(
    "target_share",
    "to target",
    unit="%",
    digits=1,
    better="higher",
    scale=100,
    meaning="share that the suite's classifier takes for the target domain, not a human study",
    needs=("recognised", "labels", "target"),
    of_set=target_share,
    bounds=(0.0, 1.0),
    weights_field="classifier_sha256",
    place=80,
)
KEPT_SHARE = Metric(
    "kept_share",
    "kept",
    unit="%",
    digits=1,
    better="higher",
    scale=100,
    meaning="share of the other labels that it still recognises",
    needs=("recognised", "labels", "kept"),
    of_set=kept_share,
    bounds=(0.0, 1.0),
    weights_field="classifier_sha256",
    place=90,
)
