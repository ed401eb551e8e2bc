"""Instance masks as tensors: decoded as their images are, the largest first."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from i2i_bench.data.decode import cut_image, resize_image
from i2i_bench.model import ResizeRule
from i2i_bench.tasks.task import TaskMasks


def decode_instances(
    masks: TaskMasks,
    rule: ResizeRule,
    count: int,
    *,
    is_cropped: bool,
    like: TaskMasks | None = None,
) -> Tensor:
    """Read the instance masks of an image and bring them to its size, without blending pixels.

    Args:
        masks: Of the image.
        rule: How the image comes to its size.
        count: Most instances; those that cover the most pixels of the resized image come first.
        is_cropped: Whether what the rule cuts off is, as of test images.
        like: Masks whose instances decide which are chosen, in their order; by default the same.

    Returns:
        (count, height, width), uint8, 0 or 1; 0 where there are fewer instances.

    Raises:
        ValueError: If a mask cannot be read, naming it.
    """
    resized = _resize(masks, rule, is_cropped=is_cropped)
    leading = resized if like is None else _resize(like, rule, is_cropped=is_cropped)
    if len(leading) != len(resized):
        raise ValueError(
            f"{masks.name} has {len(leading)} instances before translation, {len(resized)} after"
        )
    order = np.argsort(-leading.sum((1, 2)), kind="stable")[:count]
    found = np.zeros((count, *resized.shape[1:]), np.uint8)
    found[: len(order)] = resized[order]
    return torch.from_numpy(found)


def _resize(masks: TaskMasks, rule: ResizeRule, *, is_cropped: bool) -> NDArray[np.int64]:
    """Resize all masks of an image, (instances, height, width), 0 or 1."""
    nearest, whole = dataclasses.replace(rule, resampling="nearest"), masks.read()
    parts = []
    for mask in whole if len(whole) else np.zeros((1, *whole.shape[1:]), bool):  # one for the shape
        image = resize_image(Image.fromarray(mask.astype(np.uint8)), nearest)
        parts.append(np.asarray(cut_image(image, rule) if is_cropped else image, np.int64))
    return np.stack(parts)[: len(whole)]
