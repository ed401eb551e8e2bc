"""The task that a model is given: of two labels, their two domains, for a model of two domains."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from i2i_bench.data.needs import lacking_need
from i2i_bench.model import Model
from i2i_bench.plugins.toy import toy
from i2i_bench.tasks.selection import select
from i2i_bench.tasks.task import Task
from i2i_bench.tasks.validation import scored_on


def fitted_tasks(
    classes: Mapping[str, type[Model]], argument: str, task: Task, split: str
) -> dict[str, tuple[str, Task]]:
    """Give each model the task, or its two domains, scored on a split.

    Args:
        classes: Models by name.
        argument: What was typed to name the task.
        task: As typed.
        split: Whose images are scored.

    Returns:
        Model → what finds its task, and that task: the same object where it is the same.

    Raises:
        ValueError: If images of the split cannot be held out.
    """
    made: dict[str, Task] = {}
    found: dict[str, tuple[str, Task]] = {}
    for name, model_class in classes.items():
        typed, fitting = fitted_task(model_class, argument, task)
        if typed not in made:
            made[typed] = scored_on(fitting, split)
        found[name] = typed, made[typed]
    return found


def common_task(
    classes: Mapping[str, type[Model]], argument: str, task: Task, split: str
) -> tuple[str, Task]:
    """Give what ``fitted_tasks`` gives, if that is one task for all models; else the task itself.

    Raises:
        ValueError: If images of the split cannot be held out.
    """
    found = fitted_tasks(classes, argument, task, split)
    each = {typed: fitted for typed, fitted in found.values()}
    return next(iter(each.items())) if len(each) == 1 else (argument, scored_on(task, split))


def fitted_task(model_class: type[Model], argument: str, task: Task) -> tuple[str, Task]:
    """Give a model of two domains those of a task with two labels that exclude each other.

    Returns:
        What finds the task, and the task; as given for any other model or task.
    """
    names = two_named_domains(task)
    if not names:
        return argument, task
    needs = model_class.needs(model_class.settings("tiny", toy(model_class)).config)
    if lacking_need(needs, task) != "two domains":
        return argument, task
    text = f"{names[0]}2{names[1]}"
    selected = select(text, task).make_task(task)
    note = f"takes {names[0]} for domain a and {names[1]} for b, as --task {argument}:{text} does"
    return f"{argument}:{text}", dataclasses.replace(selected, notes=(*task.notes, note))


def two_named_domains(task: Task) -> tuple[str, ...]:
    """Name the two labels of a task of which each image has one; nothing of another task."""
    is_two = len(task.attributes) == 2 and task.labelling.is_one_hot
    return task.attributes if is_two else ()
