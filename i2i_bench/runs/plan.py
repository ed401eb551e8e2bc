"""From names and settings to a plan: the runs to carry out, each with every setting."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from i2i_bench import pretrained
from i2i_bench.data.needs import lacking_need
from i2i_bench.model import PRESETS, Model, Needs, Preset, Settings
from i2i_bench.plugins import registry
from i2i_bench.plugins.cost import why_not_whole
from i2i_bench.plugins.toy import toy
from i2i_bench.records.run import Run, variant_name
from i2i_bench.runs.fitted_task import fitted_tasks, two_named_domains
from i2i_bench.runs.job import OFFICIAL, SPLIT, Choices, Job
from i2i_bench.scoring.metric_set import require_headline
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.pixel_format import RGB
from i2i_bench.tasks.selection import Selection, two_domains_of
from i2i_bench.tasks.task import Task
from i2i_bench.tasks.two_domains import split_partner_name
from i2i_bench.tasks.validation import TEST
from i2i_bench.training.settings import (
    change_settings,
    differences,
    require_possible,
    restore_settings,
    shown_channels,
    with_config,
    without_memory,
)
from i2i_bench.training.start import Start

NAMED_TASKS = 8  # in a refusal
ALL, EMBEDDED = "all", "embedded"  # in place of the names of models, and of tasks

logger = logging.getLogger(__name__)


def plan_runs(
    models: Sequence[str],
    tasks: Sequence[str],
    seeds: Sequence[int],
    choices: Choices,
    data: Path,
    *,
    is_preview: bool = False,
) -> list[Job]:
    """Make the product of models, tasks and seeds.

    ``all`` are the installed models, ``embedded`` the tasks of this package. Of a product with
    either, the runs are left out that a model cannot do; what is named on both sides must fit.

    Args:
        models: Names.
        tasks: Names and folders.
        seeds: Of each.
        choices: Of the user.
        data: Folder of data.
        is_preview: Whether images need not be there, as their published number will do.

    Raises:
        ValueError: For an unknown or broken model or task, a headline that cannot rank, a setting
            that is not possible, or a model that can do none of the tasks.
    """
    require_preset(choices.preset)
    find = catalogue.plan_task if is_preview else catalogue.find_task
    every = list(catalogue.EMBEDDED)
    named = [name for task in tasks for name in (every if task == EMBEDDED else [task])]
    found = {name: find(name, data) for name in named}
    for task in found.values():
        require_headline(task)
    is_every = ALL in models
    names = [*(name for name in models if name != ALL), *registry.available_models() * is_every]
    classes = {name: registry.load_model(name) for name in names}
    jobs = []
    for argument, task in found.items():
        fitted = fitted_tasks(classes, argument, task, choices.split)
        if is_every or argument not in tasks:
            fitted = _only_able(fitted, classes, task, choices.preset)
        jobs += [
            make_job(name, classes[name], own, seed, choices)
            for name, own in fitted.items()
            for seed in dict.fromkeys(seeds)
        ]
    planned = {job.run.model for job in jobs}
    if idle := [name for name in models if name not in planned and name != ALL]:
        raise ValueError(f"model {idle[0]!r} can do none of the tasks: {', '.join(found)}")
    return jobs


def _only_able(
    fitted: Mapping[str, tuple[str, Task]],
    classes: Mapping[str, type[Model]],
    task: Task,
    preset: Preset,
) -> dict[str, tuple[str, Task]]:
    """Keep the models that can do a task, and say which cannot."""
    able = {n: own for n, own in fitted.items() if can_do(n, classes[n], own[1], preset)}
    if unfit := [name for name in fitted if name not in able]:
        logger.warning("cannot do task %s, and left out: %s", task.name, ", ".join(unfit))
    return able


def can_do(name: str, model_class: type[Model], task: Task, preset: Preset) -> bool:
    """Tell whether a model, as a preset has it, is for tasks such as this one."""
    try:
        require_taken_channels(name, model_class, task)
        settings = settings_for(name, model_class, preset, task)
        require_task(name, model_class.needs(settings.config), task)
    except ValueError:
        return False
    return True


def require_preset(preset: str) -> None:
    """Raise ValueError for a name that is no preset."""
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; possible: {', '.join(PRESETS)}")


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
    require_preset(preset)
    require_taken_channels(name, model_class, task)
    before = settings_for(name, model_class, preset, task)
    if start:
        before = with_config(before, started_config(name, model_class, start, preset))
    settings = change_settings(name, before, choices.changes)
    if choices.budget is not None:
        settings = dataclasses.replace(settings, budget=choices.budget)
    require_needs(name, model_class.needs(settings.config), settings, task)
    require_possible(task, settings)
    if settings.resize == "whole":
        require_whole(name, model_class, settings, task)
    changed = differences(before, settings)
    if precision != "fp32":
        changed["precision"] = precision
    if start:
        start.require_fit(without_memory(model_class, settings, start.networks))
        changed["start"] = start.digest
        require_unseen(start, task)
    if task.split != TEST:
        changed[SPLIT] = task.split
    run = Run(name, variant_name(preset, changed), task.name, seed)
    argument = full_argument(task_argument, task)
    return Job(run, model_class, task, argument, settings, preset, precision, start, choices)


def full_argument(typed: str, task: Task) -> str:
    """Return what finds a task from anywhere: its name, or the absolute path of a folder."""
    return str(Path(typed).resolve()) if task.kind == "folder" else task.argument or task.name


def settings_for(name: str, model_class: type[Model], preset: Preset, task: Task) -> Settings:
    """Return the settings of a model for a task, which may wish how its images are resized.

    Raises:
        ValueError: If the model does not do the task: with the tasks that give what it needs, if
            that is why.
    """
    try:
        settings = model_class.settings(preset, task)
        return dataclasses.replace(settings, resize=task.resize) if task.resize else settings
    except ValueError:
        kind = toy(model_class)
        require_task(name, model_class.needs(model_class.settings("tiny", kind).config), task)
        raise


def require_task(name: str, needs: Needs, task: Task) -> None:
    """Refuse a task that does not give what a model needs.

    Raises:
        ValueError: With the tasks that give it.
    """
    lacking = lacking_need(needs, task)
    if not lacking:
        return
    given = f"labels: {', '.join(task.attributes)}" if task.attributes else "two domains"
    has = {"two domains": given, "labels": given, "many domains": given}.get(lacking, "none")
    part = two_domains_of(task) if lacking == "two domains" else ""
    if lacking == "pairs" and (names := two_named_domains(task)):
        line = f'domains = ["{names[0]}", "{names[1]}"]'
        raise ValueError(
            f"model {name!r} needs pairs, and task {task.name} has labels: {' and '.join(names)}; "
            f"if images of one name are pairs, the line {line} in its task.toml says so"
        )
    raise ValueError(
        f"model {name!r} needs {lacking}, and task {task.name} has {has}; "
        f"{part and f'{part} is of two; '}{tasks_that_give(needs)}"
    )


def require_taken_channels(name: str, model_class: type[Model], task: Task) -> None:
    """Refuse a task of other images than RGB for a model that takes no others.

    Raises:
        ValueError: With the installed models that take them.
    """
    if set(task.channels.values()) == {RGB.channels} or _takes_channels(model_class):
        return
    raise ValueError(
        f"model {name!r} takes images of {RGB.channels} channels alone, and task {task.name} has "
        f"images of {shown_channels(task)}; {_models_of_channels()}"
    )


def _takes_channels(model_class: type[Model]) -> bool:
    """Tell whether a model's configuration states channels, one number a domain."""
    hint = typing.get_type_hints(model_class.Config).get("channels")
    return typing.get_origin(hint) is tuple


def _models_of_channels() -> str:
    """Name the installed models that take images of any channels."""
    able = []
    for name in registry.available_models():
        with contextlib.suppress(registry.BrokenModel):  # that is said where it is asked for
            able += [name] if _takes_channels(registry.load_model(name)) else []
    return f"models that take them: {', '.join(able)}" if able else "no installed model takes them"


def require_needs(name: str, needs: Needs, settings: Settings, task: Task) -> None:
    """Refuse what a task or the user does not give for a configuration of a model.

    Raises:
        ValueError: With the tasks that give it, or what to do about missing weights.
    """
    require_task(name, needs, task)
    if needs.masks == "required" and not settings.instances:
        raise ValueError(f"model {name!r} needs instance masks, and instances is 0; set it to 1 up")
    for weights in needs.weights:
        pretrained.require_sound_weights(weights)


def require_unseen(start: Start, task: Task) -> None:
    """Refuse networks to start from that were trained on images which are held out.

    Raises:
        ValueError: If they are of a run on this set that was trained on all or other images of it.
    """
    if task.split == TEST:
        return
    if start.identity["preset"] == OFFICIAL:
        logger.warning(
            "%s was imported: if its authors trained it on images of %s, these %s scores are not "
            "of unseen images",
            *(start.origin, task.name, task.split),
        )
        return
    theirs, their_split = start.identity["task"], start.identity.get(SPLIT, TEST)
    if (theirs, their_split) != (task.name, task.split) and _set_of(theirs) == _set_of(task.name):
        raise ValueError(
            f"{start.origin} was trained on images of {theirs} that are held out here; start from "
            f"a run on {task.name} with --split {task.split}, or on another set"
        )


def _set_of(task: str) -> str:
    """Give the name of the set whose images a task has."""
    found = catalogue.find_named(task)
    return found.whole.name if isinstance(found, Selection) else split_partner_name(task)[0]


def require_whole(name: str, model_class: type[Model], settings: Settings, task: Task) -> None:
    """Refuse whole images for a model that cannot translate them.

    Raises:
        ValueError: With what the model says of an image that is not square.
    """
    with pretrained.without_weights():
        model = without_memory(model_class, settings)
    if reason := why_not_whole(model, settings, task):
        raise ValueError(
            f"model {name!r} cannot translate whole images with these settings: {reason}; "
            "leave resize=whole out, or set resize=square"
        )


def tasks_that_give(needs: Needs) -> str:
    """Name tasks that give what a model needs."""
    able = catalogue.name_tasks(lambda task: not lacking_need(needs, task))
    more = f" and {len(able) - NAMED_TASKS} more" if len(able) > NAMED_TASKS else ""
    shown = ", ".join(able[:NAMED_TASKS])
    return f"tasks that can: {shown}{more}" if able else "no task of the catalogue can"


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
