"""From names and settings to a plan: the runs to carry out, each with every setting."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError

from i2i_bench import checkpoint, evaluation, record, registry
from i2i_bench.model import PRESETS, Model, Preset, Settings
from i2i_bench.record import Record, Run
from i2i_bench.tasks import catalog
from i2i_bench.tasks.task import Task
from i2i_bench.training import Precision

RUN_FILE = "run.json"  # how to find the task of a run again, and whether it is finished
SETTINGS_KEYS = ("batch_size", "crop_size", "flip", "load_size", "resampling", "resize")


@dataclass(frozen=True)
class Places:
    """Where things are.

    Attributes:
        results: Records.
        runs: Checkpoints, logs, translations, figures.
        data: Folders of the catalogued tasks.
    """

    results: Path
    runs: Path
    data: Path


@dataclass(frozen=True)
class Choices:
    """What the user chose for every run of a plan.

    Attributes:
        preset: Starting point of the settings.
        changes: Settings to change, as typed: key to value.
        budget: Images seen; None for the preset's.
        precision: ``fp32`` or ``bf16``.
    """

    preset: Preset = "published"
    changes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    budget: int | None = None
    precision: Precision = "fp32"


@dataclass(frozen=True, eq=False)
class Job:
    """A run with all that is needed to carry it out.

    Attributes:
        run: Its identity.
        model_class: The model.
        task: The task.
        task_argument: What finds it: its name, or the absolute path of a folder.
        settings: Every setting of the model.
        preset: Their starting point.
        precision: Of the training steps.
    """

    run: Run
    model_class: type[Model]
    task: Task
    task_argument: str
    settings: Settings
    preset: Preset
    precision: Precision

    def identity(self) -> dict[str, Any]:
        """Give what a checkpoint must agree with, as plain values."""
        return {
            "model": self.run.model,
            "task": self.task.name,
            "task_version": self.task.version,
            "seed": self.run.seed,
            "preset": self.preset,
            "variant": self.run.variant,
            "settings": self.plain_settings(),
        }

    def plain_settings(self) -> dict[str, Any]:
        """Give every setting as a plain value, the configuration under ``config``."""
        settings = dataclasses.asdict(self.settings) | {"precision": self.precision}
        return json.loads(json.dumps(settings))  # tuples become lists, as in a record


def plan(
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
    found = {name: catalog.find(name, data) for name in tasks}
    classes = {name: registry.load(name) for name in models}
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
    if choices.preset not in PRESETS:
        raise ValueError(f"unknown preset {choices.preset!r}; possible: {', '.join(PRESETS)}")
    before = model_class.settings(choices.preset, task)
    settings = change_settings(name, before, choices.changes)
    if choices.budget is not None:
        settings = dataclasses.replace(settings, budget=choices.budget)
    _require_possible(task, settings)
    changed = _differences(before, settings)
    if choices.precision != "fp32":
        changed["precision"] = choices.precision
    variant = record.variant_name(choices.preset, changed)
    run = Run(name, variant, task.name, seed)
    argument = str(Path(task_argument).resolve()) if task.kind == "folder" else task.name
    return Job(run, model_class, task, argument, settings, choices.preset, choices.precision)


def change_settings(model: str, settings: Settings, changes: Mapping[str, str]) -> Settings:
    """Change settings by key and typed value; keys of the configuration come first.

    Raises:
        ValueError: For an unknown key, with the nearest, or a value of the wrong type.
    """
    hints = typing.get_type_hints(type(settings.config))
    own = [field.name for field in dataclasses.fields(settings.config)]
    general = typing.get_type_hints(Settings)
    config, others = {}, {}
    for key, text in changes.items():
        if key in own:
            config[key] = _parse(key, text, hints[key])
        elif key in SETTINGS_KEYS:
            others[key] = _parse(key, text, general[key])
        else:
            known = sorted([*own, *SETTINGS_KEYS])
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"model {model!r} has no setting {key!r}; {hint}possible: {', '.join(known)}"
            )
    changed = dataclasses.replace(settings.config, **config)
    return dataclasses.replace(settings, config=changed, **others)


def _parse(key: str, text: str, hint: Any) -> Any:
    adapter = TypeAdapter(hint)
    try:
        value = adapter.validate_strings(text)
    except ValidationError as error:
        raise ValueError(f"{key}={text}: {error.errors()[0]['msg']}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{key}={text}: a finite number is needed")
    return value


def _require_possible(task: Task, settings: Settings) -> None:
    for key in ("batch_size", "budget", "load_size", "crop_size"):
        if getattr(settings, key) < 1:
            raise ValueError(f"{key} is {getattr(settings, key)}; at least 1 is needed")
    if settings.crop_size > settings.load_size:
        raise ValueError(
            f"crop_size {settings.crop_size} does not fit into load_size {settings.load_size}"
        )
    exact = task.image_size
    if task.kind == "embedded" and (settings.load_size, settings.crop_size) != (exact, exact):
        raise ValueError(
            f"task {task.name} is exact in pixels: load_size and crop_size must both be {exact}"
        )


def _differences(before: Settings, after: Settings) -> dict[str, Any]:
    """Give the settings that were changed, those of the configuration by their own names."""
    pairs = [(before.config, after.config), (before, after)]
    return {
        field.name: getattr(new, field.name)
        for old, new in pairs
        for field in dataclasses.fields(new)
        if field.name != "config" and getattr(old, field.name) != getattr(new, field.name)
    }


def find_job(run: str, places: Places) -> Job:
    """Rebuild a run from its folder, its record or its name ``task/model+variant/seedK``.

    Raises:
        ValueError: If there is no such run, or its task cannot be found.
    """
    folder = find_folder(run, places)
    content = checkpoint.latest(folder)
    if content is None:
        raise ValueError(f"no checkpoint in {folder}")
    identity = content["identity"]
    model_class = registry.load(identity["model"])
    argument = _task_argument(folder / RUN_FILE)
    task = catalog.find(argument, places.data)
    if (task.name, task.version) != (identity["task"], identity["task_version"]):
        raise ValueError(f"{argument} is {task.name} now, but {folder} was made with another task")
    name = Run(identity["model"], identity["variant"], task.name, identity["seed"])
    if folder.resolve() != (places.runs / name.folder).resolve():
        raise ValueError(f"{folder} is not below {places.runs}; give its place with --runs")
    settings = restore_settings(model_class, identity["settings"])
    precision = identity["settings"]["precision"]
    return Job(name, model_class, task, argument, settings, identity["preset"], precision)


def write_run_file(folder: Path, task_argument: str, *, is_finished: bool) -> None:
    """Note in a run's folder what finds its task, and whether its record is written."""
    content = {"task": task_argument, "finished": is_finished}
    record.write_text(folder / RUN_FILE, json.dumps(content) + "\n")


def is_unfinished(folder: Path) -> bool:
    """Tell whether a run was begun here, perhaps to replace a record, and not finished."""
    path = folder / RUN_FILE
    try:
        return json.loads(path.read_text(encoding="utf-8"))["finished"] is False
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _task_argument(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["task"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} does not say which task the run is of: {error}") from None


def restore_settings(model_class: type[Model], plain: Mapping[str, Any]) -> Settings:
    """Turn the plain settings of a checkpoint back into settings of this model.

    Raises:
        ValueError: If they are not this model's.
    """
    general = {key: value for key, value in plain.items() if key not in ("config", "precision")}
    try:
        config = TypeAdapter(model_class.Config).validate_python(plain["config"])
        return Settings(config=config, **general)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = f"{place}: {first['msg']}"
    except TypeError as error:
        reason = str(error)
    raise ValueError(f"the checkpoint's settings do not fit {model_class.card.title}: {reason}")


def find_folder(run: str, places: Places) -> Path:
    """Give the folder of a run named by itself, its record or ``task/model+variant/seedK``.

    Raises:
        ValueError: If there is none, naming the nearest.
    """
    typed = Path(run)
    if typed.suffix == ".json" and typed.is_file():
        typed = record.read(typed).run.folder
    for folder in (typed, places.runs / typed):
        if folder.is_dir():
            return folder
    known = [p.relative_to(places.runs).as_posix() for p in places.runs.glob("*/*/seed*")]
    near = difflib.get_close_matches(run, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(f"no run {run} in {places.runs}{hint}")


def recorded(job: Job, places: Places) -> Record | None:
    """Give the record of a run; None if there is none.

    Raises:
        ValueError: If it was made with other settings or another version of the task.
    """
    path = places.results / job.run.file
    if not path.exists():
        return None
    found = record.read(path)
    theirs = found.settings | {"task_version": found.task_version}
    ours = job.plain_settings() | {"task_version": job.task.version}
    difference = checkpoint.first_difference(theirs, ours)
    if difference:
        raise ValueError(f"{path} was made with other settings: {difference}; --force replaces it")
    return found


def describe(job: Job, places: Places) -> str:
    """Say what a run would do: every setting, what is recorded, the memory and time expected."""
    with torch.device("meta"):
        model = job.model_class(job.settings.config)
    macs = evaluation.count_macs(model, job.settings, torch.device("meta"))
    num_parameters = sum(p.numel() for p in model.networks.parameters())
    lines = [f"{job.run}", *_setting_lines(job)]
    steps = -(-job.settings.budget // job.settings.batch_size)
    lines.append(f"  steps: {steps}")
    lines.append(f"  parameters: {num_parameters:,}")
    lines.append(f"  multiply-adds of a translation: {macs / 1e9:.3f} G")
    lines.append(f"  memory: {_memory(job, num_parameters)}")
    lines.append(f"  time: {_time(job, places)}")
    return "\n".join([*lines, f"  recorded: {_recorded(job, places)}"])


def _recorded(job: Job, places: Places) -> str:
    where = places.results / job.run.file
    try:
        return str(where) if recorded(job, places) else f"no; {where} will be written"
    except ValueError as error:
        return str(error)


def _setting_lines(job: Job) -> list[str]:
    settings = job.plain_settings()
    config = settings.pop("config")
    lines = [f"  preset: {job.preset}"]
    lines += [f"  {key}: {settings[key]}" for key in sorted(settings)]
    return lines + [f"  config.{key}: {value}" for key, value in config.items()]


def _memory(job: Job, num_parameters: int) -> str:
    """Count what can be counted without running: weights, gradients, two moments of Adam, data."""
    states = 4 * 4 * num_parameters
    images = 3 * job.settings.load_size**2 * sum(job.task.num_train.values())
    return (
        f"{states / 2**30:.2f} GiB for weights, gradients and optimiser, {images / 2**30:.2f} GiB "
        "for training images; activations and libraries come on top"
    )


def _time(job: Job, places: Places) -> str:
    """Expect the speed that another seed of the same run had."""
    for path in sorted((places.results / job.run.file).parent.glob("seed*.json")):
        other = record.read(path)
        if other.settings == job.plain_settings():
            seconds = job.settings.budget / other.images_per_second
            return f"{seconds:.0f} s of training, as {path.stem} on {other.device}"
    return "unknown until one seed of this run is recorded"
