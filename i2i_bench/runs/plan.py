"""From names and settings to a plan: the runs to carry out, each with every setting."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from i2i_bench.data.store import NoRoomError, Store
from i2i_bench.data.training_images import expected_bytes, make_store
from i2i_bench.model import PRESETS, Model, Preset, Settings
from i2i_bench.plugins import registry
from i2i_bench.records import record
from i2i_bench.records.record import Record, Run
from i2i_bench.scoring import translations
from i2i_bench.system import files
from i2i_bench.system.messages import near
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.task import Task
from i2i_bench.training import checkpoint, memory
from i2i_bench.training.checkpoint import Start
from i2i_bench.training.loop import Precision
from i2i_bench.training.memory import Need
from i2i_bench.training.settings import (
    change_settings,
    differences,
    require_labels,
    require_possible,
    restore_settings,
    with_config,
    without_memory,
)

logger = logging.getLogger(__name__)

RUN_FILE = "run.json"  # how to find the task of a run again, and whether it is finished
OFFICIAL = "official"  # preset of networks that were imported; of no settings, as none are known


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
        precision: ``fp32``, ``tf32`` (of CUDA devices) or ``bf16``.
        start: Networks to begin with, which bring their configuration; None for new ones.
    """

    preset: Preset = "published"
    changes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    budget: int | None = None
    precision: Precision = "fp32"
    start: Start | None = None


@dataclass(frozen=True, eq=False)
class Job:
    """A run with all that is needed to carry it out.

    Attributes:
        run: Its identity.
        model_class: The model.
        task: The task.
        task_argument: What finds it: its name, or the absolute path of a folder.
        settings: Every setting of the model.
        preset: Their starting point, or ``official`` for imported networks.
        precision: Of the training steps.
        start: Networks to begin with; None for new ones, or where only a checkpoint goes on.
        choices: What the user chose; None where the run was found on disk.
    """

    run: Run
    model_class: type[Model]
    task: Task
    task_argument: str
    settings: Settings
    preset: Preset | Literal["official"]
    precision: Precision
    start: Start | None = None
    choices: Choices | None = None

    def identity(self) -> dict[str, Any]:
        """Return what a checkpoint must agree with, as plain values."""
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
        """Return every setting as a plain value, the configuration under ``config``.

        How imported networks were trained is not known: only what bears on a translation is given.
        """
        settings = dataclasses.asdict(self.settings) | {"precision": self.precision}
        if self.preset == OFFICIAL:
            keys = ("config", "crop_size", "precision", "resampling", "resize")
            settings = {key: settings[key] for key in keys}
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
    found = {name: catalogue.find(name, data) for name in tasks}
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
    start, preset, precision = choices.start, choices.preset, choices.precision
    if seed >= 2**64:
        raise ValueError(f"seed is {seed}; it must be below 2**64, as torch takes it")
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; possible: {', '.join(PRESETS)}")
    _require_kind(name, model_class, task)
    before = model_class.settings(preset, task)
    if start:
        before = with_config(before, _started_config(name, model_class, start, preset))
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
    run = Run(name, record.variant_name(preset, changed), task.name, seed)
    argument = _argument(task_argument, task)
    return Job(run, model_class, task, argument, settings, preset, precision, start, choices)


def _argument(typed: str, task: Task) -> str:
    return str(Path(typed).resolve()) if task.kind == "folder" else task.name


def _require_kind(name: str, model_class: type[Model], task: Task) -> None:
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


def _started_config(name: str, model_class: type[Model], start: Start, preset: str) -> Any:
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


def find_job(run: str, places: Places, task: str | None = None) -> Job:
    """Rebuild a run from its folder, its record or its name ``task/model+variant/seedK``.

    Args:
        run: Names it.
        places: Where things are.
        task: For imported networks, which belong to none: what to score them on. For others, where
            the folder of their task is now, if it was moved.

    Raises:
        ValueError: If there is no such run, its task cannot be found, or ``task`` is another.
    """
    folder = find_folder(run, places)
    content = _newest(folder)
    identity = content["identity"]
    if identity["preset"] == OFFICIAL:
        return _official_job(checkpoint.start_from(str(folder), content), task, places)
    model_class = registry.load(identity["model"])
    found, argument = find_task(folder, task, places)
    if (found.name, found.version) != (identity["task"], identity["task_version"]):
        raise ValueError(
            f"{folder} is a run of {identity['task']}, version {identity['task_version']}, and "
            f"{argument} is {found.name}, version {found.version}"
        )
    name = Run(identity["model"], identity["variant"], found.name, identity["seed"])
    if folder.resolve() != (places.runs / name.folder).resolve():
        raise ValueError(f"{folder} is not below {places.runs}; give its place with --runs")
    settings = restore_settings(model_class, identity["settings"])
    precision = identity["settings"]["precision"]
    return Job(name, model_class, found, argument, settings, identity["preset"], precision)


def _official_job(start: Start, task: str | None, places: Places) -> Job:
    """Put imported networks to a task, at the sizes at which their model is scored on it."""
    if not task:
        raise ValueError(f"{start.origin} was imported and has no task; name one with --task")
    name = start.identity["model"]
    model_class, found = registry.load(name), catalogue.find(task, places.data)
    _require_kind(name, model_class, found)
    config = _started_config(name, model_class, start, OFFICIAL)
    require_labels(found, config)
    settings = with_config(model_class.settings("published", found), config)
    run = Run(name, start.identity["variant"], found.name, start.identity["seed"])
    argument = _argument(task, found)
    return Job(run, model_class, found, argument, settings, OFFICIAL, "fp32", start)


def find_start(named: str, places: Places) -> Start:
    """Read the networks of a run, named as for ``find_folder``, or of a checkpoint's file.

    Raises:
        ValueError: If there are none, or they are damaged.
    """
    path = Path(named)
    is_checkpoint = path.is_file() and path.suffix != ".json"
    content = checkpoint.read(path) if is_checkpoint else read_run(named, places)
    return checkpoint.start_from(named, content)


def read_run(run: str, places: Places) -> dict[str, Any]:
    """Read the newest checkpoint of a run, named as for ``find_folder``.

    Raises:
        ValueError: If there is none, or all are damaged.
    """
    content = _newest(find_folder(run, places))
    seen = content["position"]["images_seen"]
    budget = content["identity"]["settings"].get("budget")
    if seen != budget and content["identity"]["preset"] != OFFICIAL:
        logger.warning("run %s is not finished: %s of %s images seen", run, seen, budget)
    return content


def _newest(folder: Path) -> dict[str, Any]:
    content = checkpoint.latest(folder)
    if content is None:
        raise ValueError(f"no checkpoint in {folder}; i2i-bench import makes one of authors' files")
    return content


def write_run_file(folder: Path, task_argument: str, *, is_finished: bool) -> None:
    """Note in a run's folder what finds its task, and whether its record is written."""
    content = {"task": task_argument, "finished": is_finished}
    files.write_text(folder / RUN_FILE, json.dumps(content) + "\n")


def write_import_file(folder: Path, source: Path) -> None:
    """Note in a folder that its networks were imported, and from where."""
    content = {"imported": str(source.resolve()), "finished": True}
    files.write_text(folder / RUN_FILE, json.dumps(content) + "\n")


def is_unfinished(folder: Path) -> bool:
    """Tell whether a run was begun here, perhaps to replace a record, and not finished."""
    return _note(folder, "finished") is False


def is_imported(folder: Path) -> bool:
    """Tell whether networks were imported here."""
    return isinstance(_note(folder, "imported"), str)


def _note(folder: Path, key: str) -> Any:
    """Give what the file of a run says; None where there is no such file, or it is damaged."""
    try:
        return files.read_json(folder / RUN_FILE)[key]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def noted_task(folder: Path) -> str | None:
    """Return the task noted for a run, its name or an absolute path; None where none is noted."""
    task = _note(folder, "task")
    return task if isinstance(task, str) else None


def find_task(folder: Path, task: str | None, places: Places) -> tuple[Task, str]:
    """Find the task of a run, and what finds it.

    Args:
        folder: Of the run.
        task: What the user says it is; None for what is noted.
        places: Where things are.

    Raises:
        ValueError: If nothing is noted, or what is said or noted is not there.
    """
    argument = task or noted_task(folder)
    if argument is None:
        raise ValueError(f"{folder / RUN_FILE} does not say which task the run is of")
    if not task and os.sep in argument and not Path(argument).exists():
        raise ValueError(
            f"{folder} was made with the images in {argument}, which are not there; --task FOLDER "
            "says where they are now"
        )
    found = catalogue.find(argument, places.data)
    return found, _argument(argument, found)


def note_task(job: Job, places: Places) -> None:
    """Note where the task of a finished run is found now, if it was moved."""
    folder = places.runs / job.run.folder
    if (folder / RUN_FILE).exists() and noted_task(folder) != job.task_argument:
        write_run_file(folder, job.task_argument, is_finished=not is_unfinished(folder))


def find_folder(run: str, places: Places) -> Path:
    """Return the folder of a run named by itself, its record or ``task/model+variant/seedK``.

    Raises:
        ValueError: If there is none, naming the nearest.
    """
    typed = Path(run)
    if typed.suffix == ".json" and typed.is_file():
        typed = record.read(typed).run.folder
    for folder in (typed, places.runs / typed):
        if folder.is_dir():
            return folder
    found = (path for path in places.runs.glob("*/*/seed*") if record.seed_of(path) is not None)
    known = [path.relative_to(places.runs).as_posix() for path in found]
    hint = near(run, known) or "i2i-bench leaderboard shows those that are recorded"
    raise ValueError(f"no run {run} in {places.runs}; {hint.rstrip()}")


def find_record(run: str, places: Places) -> tuple[Path, Record]:
    """Return the folder of a run, named as for ``find_folder``, and its record.

    Raises:
        ValueError: If there is no such run, or no readable record of it.
    """
    folder = find_folder(run, places)
    try:
        name = folder.resolve().relative_to(places.runs.resolve())
    except ValueError:
        hint = "give its place with --runs"
        raise ValueError(f"{folder} is not below {places.runs}; {hint}") from None
    return folder, read_record(name, places)


def read_record(run: Path, places: Places) -> Record:
    """Read the record of a run, given as its folder below ``places.runs``.

    Raises:
        ValueError: If there is none, or it cannot be read.
    """
    path = places.results / record.file_of(run)
    if not path.exists() and (places.runs / run).is_dir():
        raise ValueError(
            f"{run.as_posix()} is not finished: there is no record {path}; the same run command "
            "resumes it, or --results says where records are"
        )
    return record.read(path)


def recorded(job: Job, places: Places) -> Record | None:
    """Return the record of a run; None if there is none.

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


def expect_memory(job: Job, device: torch.device, runs: Path) -> tuple[Need, Store]:
    """Return what memory a run needs, and where its training images are to stay.

    Args:
        job: The run.
        device: Of the training.
        runs: Folder of the runs, where a file of images may be.

    Raises:
        ValueError: If the images fit nowhere, or the model refuses their size.
    """
    need = memory.expect(job.model_class, job.settings, job.task)
    store = make_store(job.task, job.settings, device, beside=need.beside, folder=runs)
    return dataclasses.replace(need, images=store.expected), store


def describe(job: Job, places: Places, device: torch.device) -> str:
    """Say what a run would do: every setting, what is recorded, the memory and time expected."""
    model = without_memory(job.model_class, job.settings)
    macs = translations.count_macs(model, job.settings, job.task, device=torch.device("meta"))
    num_parameters = sum(p.numel() for p in model.networks.parameters())
    lines = [f"{job.run}", *_setting_lines(job)]
    steps = -(-job.settings.budget // job.settings.batch_size)
    lines.append(f"  steps: {steps}")
    lines.append(f"  parameters: {num_parameters:,}")
    lines.append(f"  multiply-adds of a translation: {macs / 1e9:.3f} G")
    lines += _memory_lines(job, places, device)
    lines.append(f"  time: {expected_time(job, places)}")
    return "\n".join([*lines, f"  recorded: {recorded_where(job, places)}"])


def _memory_lines(job: Job, places: Places, device: torch.device) -> list[str]:
    """Say what memory is expected, also of a run that has no room on this machine."""
    try:
        need, store = expect_memory(job, device, places.runs)
        where = str(store)
    except NoRoomError as error:
        need, where = memory.expect(job.model_class, job.settings, job.task), str(error)
        need = dataclasses.replace(need, images=expected_bytes(job.task, job.settings))
    return [f"  memory: {need}, plus what libraries use", f"  training images: {where}"]


def recorded_where(job: Job, places: Places) -> str:
    """Say where the record of a run is, or will be."""
    where = places.results / job.run.file
    try:
        return str(where) if recorded(job, places) else f"no; {where} will be written"
    except ValueError as error:
        return str(error)


def _setting_lines(job: Job) -> list[str]:
    settings = job.plain_settings()
    config = settings.pop("config")
    lines = [f"  preset: {job.preset}"]
    if job.start:
        new = f"; new: {', '.join(sorted(job.start.absent))}" if job.start.absent else ""
        lines.append(f"  start: {job.start.digest}, the networks of {job.start.origin}{new}")
    lines += [f"  {key}: {settings[key]}" for key in sorted(settings)]
    return lines + [f"  config.{key}: {value}" for key, value in config.items()]


def expected_time(job: Job, places: Places) -> str:
    """Expect the speed that another seed of the same run had."""
    for path in sorted((places.results / job.run.file).parent.glob("seed*.json")):
        try:
            other = record.read(path)
        except ValueError:  # a damaged record is that seed's to mend
            continue
        if other.settings == job.plain_settings() and other.images_per_second:
            seconds = job.settings.budget / other.images_per_second
            return f"{seconds:.0f} s of training, as {path.stem} on {other.device}"
    return "unknown until one seed of this run is recorded"
