"""Find a run again, with its task and settings, from its folder, record or name."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from i2i_bench.plugins import registry
from i2i_bench.plugins.source import is_of, source_digest
from i2i_bench.records import record
from i2i_bench.records.folders import (
    RUN_FILE,
    Places,
    find_folder,
    is_unfinished,
    noted_load,
    noted_source,
    noted_task,
    write_run_file,
)
from i2i_bench.records.record import Record
from i2i_bench.records.run import Run
from i2i_bench.runs.job import OFFICIAL, SPLIT, Job
from i2i_bench.runs.plan import full_argument, require_task, started_config
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.hub.name import is_hub_name
from i2i_bench.tasks.task import Task
from i2i_bench.tasks.validation import TEST, scored_on
from i2i_bench.training import checkpoint
from i2i_bench.training.checkpoint_file import read_checkpoint
from i2i_bench.training.settings import require_labels, restore_settings, with_config
from i2i_bench.training.start import Start, start_from

logger = logging.getLogger(__name__)


def find_job(run: str, places: Places, task: str | None = None) -> Job:
    """Rebuild a run from its folder, its record or its name ``task/model+variant/seedK``.

    Args:
        run: Names it.
        places: Where things are.
        task: For imported networks, which have no task: the one to score them on. For others, the
            folder of their task, if it was moved.

    Raises:
        ValueError: If there is no such run, its task cannot be found, or ``task`` is another.
    """
    folder = find_folder(catalogue.recorded_name(run), places)
    content = _newest(folder)
    identity = content["identity"]
    if identity["preset"] == OFFICIAL:
        return _official_job(start_from(str(folder), content), task, places)
    model_class = registry.load_model(identity["model"])
    found, argument = find_task_of_run(folder, task, places)
    found = scored_on(found, identity.get(SPLIT, TEST))
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
    """Make a job of imported networks on a task, with their model's image sizes there."""
    if not task:
        raise ValueError(f"{start.origin} was imported and has no task; name one with --task")
    name = start.identity["model"]
    model_class, found = registry.load_model(name), catalogue.find_task(task, places.data)
    config = started_config(name, model_class, start, OFFICIAL)
    require_task(name, model_class.needs(config), found)
    require_labels(found, config)
    settings = with_config(model_class.settings("published", found), config)
    run = Run(name, start.identity["variant"], found.name, start.identity["seed"])
    argument = full_argument(task, found)
    return Job(run, model_class, found, argument, settings, OFFICIAL, "fp32", start)


def find_start(named: str, places: Places) -> Start:
    """Read the networks of a run, named as for ``find_folder``, or of a checkpoint's file.

    Raises:
        ValueError: If there are none, or they are damaged.
    """
    path = Path(named)
    is_checkpoint = path.is_file() and path.suffix != ".json"
    content = read_checkpoint(path) if is_checkpoint else read_run_checkpoint(named, places)
    return start_from(named, content)


def read_run_checkpoint(run: str, places: Places) -> dict[str, Any]:
    """Read the newest checkpoint of a run, named as for ``find_folder``.

    Raises:
        ValueError: If there is none, or all are damaged.
    """
    content = _newest(find_folder(catalogue.recorded_name(run), places))
    seen = content["position"]["images_seen"]
    budget = content["identity"]["settings"].get("budget")
    if seen != budget and content["identity"]["preset"] != OFFICIAL:
        logger.warning("run %s is not finished: %s of %s images seen", run, seen, budget)
    return content


def _newest(folder: Path) -> dict[str, Any]:
    content = checkpoint.latest_checkpoint(folder)
    if content is None:
        raise ValueError(f"no checkpoint in {folder}; i2i-bench import makes one of authors' files")
    return content


def find_task_of_run(folder: Path, task: str | None, places: Places) -> tuple[Task, str]:
    """Find the task of a run, and the name or folder that finds it.

    Args:
        folder: Of the run.
        task: What the user says it is; None for what is noted.
        places: Where things are.

    Raises:
        ValueError: If no task is noted, or the one given or noted does not exist.
    """
    argument = task or noted_task(folder)
    if argument is None:
        raise ValueError(f"{folder / RUN_FILE} does not say which task the run is of")
    is_folder = os.sep in argument and not is_hub_name(argument)
    if not task and is_folder and not catalogue.split_folder(argument)[0].exists():
        raise ValueError(
            f"{folder} was made with the images in {argument}, which are not there; --task FOLDER "
            "says where they are now"
        )
    found = catalogue.find_task(argument, places.data)
    return found, full_argument(argument, found)


def note_task(job: Job, places: Places) -> None:
    """Note where the task of a finished run is found now, if it was moved."""
    folder = places.runs / job.run.folder
    if (folder / RUN_FILE).exists() and noted_task(folder) != job.task_argument:
        write_run_file(
            folder,
            job.task_argument,
            is_finished=not is_unfinished(folder),
            source=noted_source(folder),
            load=noted_load(folder),
        )


def recorded_already(job: Job, found: Record, places: Places) -> str:
    """Say where a run is recorded, and whether the model's code is another since."""
    where, now = places.results / job.run.file, source_digest(job.model_class)
    if is_of(found.source_sha256, now):
        return f"recorded already in {where}"
    return (
        f"recorded in {where} by other code of {job.run.model} ({found.source_sha256}, now {now}); "
        "--force trains it anew"
    )


def recorded_run(job: Job, places: Places) -> Record | None:
    """Return the record of a run; None if there is none.

    Raises:
        ValueError: If it was made with other settings or another version of the task.
    """
    path = places.results / job.run.file
    if not path.exists():
        return None
    found = record.read_record(path)
    theirs = found.settings | {"task_version": found.task_version}
    ours = job.plain_settings() | {"task_version": job.task.version}
    difference = checkpoint.first_difference(theirs, ours)
    if difference:
        raise ValueError(f"{path} was made with other settings: {difference}; --force replaces it")
    return found
