"""How well instance masks after translation cover what the objects have become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from i2i_bench.metric import Deferred, Metric, each

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = Deferred("numpy")

_INSIDE = 0.5  # value of a mask above which a pixel is inside


def instance_iou(instances: NDArray[Any], true_instances: NDArray[np.bool_]) -> float:
    """Return the intersection over union of what the masks of one image cover together.

    The instances are not told apart: models order them by size and may have room for fewer than an
    image has, and an absent one is 0 everywhere. So their order, and how many masks share an
    object, do not count; objects that are left out do.

    Args:
        instances: (instances, height, width) in [0, 1], after translation; inside above 0.5.
        true_instances: Boolean (instances, height, width), of a right translation.

    Returns:
        The ratio in [0, 1]; 1 where both cover nothing.

    Raises:
        ValueError: If the masks are not of these shapes and ranges, or of another size.
    """
    if instances.ndim != 3 or true_instances.ndim != 3 or true_instances.dtype != np.bool_:
        raise ValueError(
            "instance masks must have shape (instances, height, width), the true ones be boolean; "
            f"given: shape {instances.shape}, and {true_instances.dtype} of shape "
            f"{true_instances.shape}"
        )
    if instances.shape[1:] != true_instances.shape[1:]:
        raise ValueError(
            f"instance masks of {instances.shape[1:]} pixels and true ones of "
            f"{true_instances.shape[1:]} are not of one image"
        )
    if instances.size and not (instances.min() >= 0 and instances.max() <= 1):
        raise ValueError(
            f"instance masks must lie in [0, 1]; given: {instances.min():.3g} ... "
            f"{instances.max():.3g}"
        )
    found, true = (instances > _INSIDE).any(axis=0), true_instances.any(axis=0)
    union = np.count_nonzero(found | true)
    return np.count_nonzero(found & true) / union if union else 1.0


INSTANCE_IOU = Metric(
    "instance_iou",
    "instance IoU",
    digits=3,
    better="higher",
    meaning="of all instance masks after translation with the true ones",
    needs=("instances", "true_instances"),
    by_image=each(instance_iou),
    bounds=(0.0, 1.0),
    place=105,
)
