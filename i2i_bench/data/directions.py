"""The directions of a task, and the batches that a model is asked to translate in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from i2i_bench.labels import Label, Labels
from i2i_bench.model import Batch, Direction, TaskFacts
from i2i_bench.tasks.task import Task

LabelArray = NDArray[np.int8]  # (images, attributes), 0 or 1


def directions_of(task: TaskFacts) -> list[Direction]:
    """Give the directions in which a task is scored.

    They are the ordered pairs of its domains; in a labelled task the changes of one attribute.
    """
    if task.attributes:
        return [Direction(*pair) for pair in Labels(task.attributes, task.exclusive).changes()]
    return [Direction(s, t) for s in task.domains for t in task.domains if s != t]


def find_direction(task: Task, name: str) -> Direction:
    """Give the direction of this name, such as ``a2b``, ``+blond`` or ``neutral2happy``.

    Raises:
        ValueError: If the task has none of it.
    """
    pairs = [Direction(*pair) for pair in task.labelling.pairs()]
    known = {str(direction): direction for direction in [*directions_of(task), *pairs]}
    if name not in known:
        raise ValueError(f"task {task.name} has no direction {name}; possible: {', '.join(known)}")
    return known[name]


def labels_of(task: Task, direction: Direction) -> tuple[LabelArray, LabelArray] | None:
    """Give the labels of the test images of a direction's source, and those they are to get.

    Returns:
        (images, attributes) each; None where the task has no labels.
    """
    before = task.labels("test", direction.source)
    if before is None:
        return None
    labelling = task.labelling
    after = [labelling.changed(label, direction.target) for label in before]
    return label_array(task, before), label_array(task, after)


def label_array(task: Task, labels: Sequence[Label]) -> LabelArray:
    """Give labels as an array (images, attributes)."""
    return np.array(labels, np.int8).reshape(len(labels), len(task.attributes))


def request(
    direction: Direction, images: torch.Tensor, labels: tuple[LabelArray, LabelArray] | None
) -> Batch:
    """Make the batch that a model is to translate.

    Args:
        direction: From where to where.
        images: (batch, 3, height, width) in [-1, 1].
        labels: What they have and what they are to get, (batch, attributes) each.
    """
    if labels is None:
        return Batch({direction.source: images})
    source, target = (torch.from_numpy(each).to(images) for each in labels)
    named = {direction.source: source, direction.target: target}
    return Batch({direction.source: images}, labels=named)
