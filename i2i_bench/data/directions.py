"""The directions of a task, and those of them in which a model translates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from i2i_bench.labels import Label, Labels
from i2i_bench.model import Direction, Model, TaskFacts
from i2i_bench.tasks.task import Task

LabelArray = NDArray[np.int8]  # (images, attributes), 0 or 1


def directions_of(task: TaskFacts) -> list[Direction]:
    """Give the directions in which a task is scored.

    They are the ordered pairs of its domains; in a labelled task the changes of one attribute.
    """
    if task.attributes:
        return [Direction(*pair) for pair in Labels(task.attributes, task.exclusive).changes()]
    return [Direction(s, t) for s in task.domains for t in task.domains if s != t]


def directions_for(model: Model, task: TaskFacts) -> list[Direction]:
    """Give the directions of a task in which a model translates, in the order of the task.

    Raises:
        ValueError: If the model states one that the task does not have, or none.
    """
    every = directions_of(task)
    if model.directions is None:
        return every
    pairs = Labels(task.attributes, task.exclusive).pairs() if task.attributes else ()
    known = [*every, *(Direction(*pair) for pair in pairs)]
    if unknown := [each for each in model.directions if each not in known]:
        raise ValueError(
            f"{model.card.title} translates {unknown[0]}, and task {task.name} has "
            f"{', '.join(map(str, known))}"
        )
    if not model.directions:
        raise ValueError(f"{model.card.title} translates in no direction")
    return [each for each in known if each in model.directions]


def lacking_direction(model: Model, direction: Direction) -> str:
    """Say why a model does not translate in a direction; "" if it does."""
    if model.directions is None or direction in model.directions:
        return ""
    return f"{model.card.title} translates {', '.join(map(str, model.directions))} only"


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
