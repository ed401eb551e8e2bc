"""From names and settings to a plan: the runs to carry out, each with every setting."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2i_bench.model import PRESETS, Model
from i2i_bench.plugins import registry
from i2i_bench.records.run import Run, variant_name
from i2i_bench.runs.job import Choices, Job
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.task import Task
from i2i_bench.training.settings import (
    change_settings,
    differences,
    require_possible,
    restore_settings,
    with_config,
    without_memory,
)
from i2i_bench.training.start import Start


def plan_runs(
    models: Sequence[str],
    tasks: Sequence[str],
    seeds: Sequence[int],
    choices: Choices,
    data: Path,
) -> list[Job]:
    """Make the product of models, tasks and seeds.

    Raises:
        ValueError: For an unknown or broken model or task, or a setting that is not possible.
    """
    found = {name: catalogue.find_task(name, data) for name in tasks}
    classes = {name: registry.load_model(name) for name in models}
    return [
        make_job(name, model_class, (argument, task), seed, choices)
        for argument, task in found.items()
        for name, model_class in classes.items()
        for seed in dict.fromkeys(seeds)
    ]


def make_job(
    name: str,
    model_class: type[Model],
    named_task: tuple[str, Task],
    seed: int,
    choices: Choices,
) -> Job:
    """Settle every setting of one run; the task comes with what the user typed to name it.

    Raises:
        ValueError: If the model cannot do the task, or a setting is not possible.
    """
    task_argument, task = named_task
    start, preset, precision = choices.start, choices.preset, choices.precision
    if seed >= 2**64:
        raise ValueError(f"seed is {seed}; it must be below 2**64, as torch takes it")
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; possible: {', '.join(PRESETS)}")
    require_kind(name, model_class, task)
    before = model_class.settings(preset, task)
    if start:
        before = with_config(before, started_config(name, model_class, start, preset))
    settings = change_settings(name, before, choices.changes)
    if choices.budget is not None:
        settings = dataclasses.replace(settings, budget=choices.budget)
    require_possible(task, settings)
    changed = differences(before, settings)
    if precision != "fp32":
        changed["precision"] = precision
    if start:
        start.require_fit(without_memory(model_class, settings, start.networks))
        changed["start"] = start.digest
    run = Run(name, variant_name(preset, changed), task.name, seed)
    argument = full_argument(task_argument, task)
    return Job(run, model_class, task, argument, settings, preset, precision, start, choices)


def full_argument(typed: str, task: Task) -> str:
    """Return what finds a task from anywhere: its name, or the absolute path of a folder."""
    return str(Path(typed).resolve()) if task.kind == "folder" else task.name


def require_kind(name: str, model_class: type[Model], task: Task) -> None:
    """Refuse a model of two domains on a task with labels, the reverse, and pairs of none."""
    if model_class.card.takes_pairs and not task.paired:
        raise ValueError(
            f"model {name!r} is trained on pairs, and the images of task {task.name} are not paired"
        )
    takes_labels = model_class.card.takes_labels
    if takes_labels == bool(task.attributes):
        return
    kind = "labels" if takes_labels else "two domains"
    theirs = f"the labels {', '.join(task.attributes)}" if task.attributes else "two domains"
    raise ValueError(
        f"model {name!r} is for {kind} and task {task.name} has {theirs}; i2i-bench models "
        "--detail says what each model is for"
    )


def started_config(name: str, model_class: type[Model], start: Start, preset: str) -> Any:
    """Give the configuration of the networks to begin with."""
    if start.identity["model"] != name:
        raise ValueError(f"{start.origin} is of model {start.identity['model']!r}, not of {name!r}")
    theirs = start.identity["preset"]
    if theirs in PRESETS and theirs != preset:
        raise ValueError(
            f"{start.origin} has the networks of preset {theirs}, and so must a run that starts "
            f"from it; add --preset {theirs}"
        )
    return restore_settings(model_class, start.identity["settings"]).config
