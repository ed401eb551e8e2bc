"""Describe what a run would do, for ``--dry-run``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from i2i_bench.data.store import NoRoomError
from i2i_bench.data.training_images import expected_bytes
from i2i_bench.plugins.cost import count_macs
from i2i_bench.plugins.source import is_of, source_digest
from i2i_bench.records import record
from i2i_bench.records.folders import Places
from i2i_bench.runs.find import recorded_already, recorded_run
from i2i_bench.runs.job import Job, expect_memory
from i2i_bench.runs.said import said_of_shape, said_of_task
from i2i_bench.system.messages import shown_seconds
from i2i_bench.tasks.validation import TEST
from i2i_bench.training import memory
from i2i_bench.training.settings import without_memory


def describe_job(job: Job, places: Places, device: torch.device) -> str:
    """Say what a run would do: every setting, what is recorded, the memory and time expected."""
    model = without_memory(job.model_class, job.settings)
    macs = count_macs(model, job.settings, job.task, device=torch.device("meta"))
    num_parameters = sum(p.numel() for p in model.networks.parameters())
    lines = [f"{job.run}", *_image_lines(job), *_setting_lines(job), *_split_lines(job)]
    steps = -(-job.settings.budget // job.settings.batch_size)
    lines.append(f"  steps: {steps}")
    lines.append(f"  parameters: {num_parameters:,}")
    lines.append(f"  multiply-adds of a translation: {macs / 1e9:.3f} G")
    lines += _memory_lines(job, places, device)
    lines.append(f"  time: {expected_time(job, places)}")
    lines += [f"  {line}" for line in (*said_of_task(job), *said_of_shape(job))]
    return "\n".join([*lines, f"  recorded: {recorded_where(job, places)}"])


def _memory_lines(job: Job, places: Places, device: torch.device) -> list[str]:
    """Say what memory is expected, also where this machine has too little."""
    try:
        need, store = expect_memory(job, device, places.runs)
        where = str(store)
    except NoRoomError as error:
        need, where = memory.measure_need(job.model_class, job.settings, job.task), str(error)
        need = dataclasses.replace(need, images=expected_bytes(job.task, job.settings))
    return [f"  memory: {need}, plus what libraries use", f"  training images: {where}"]


def recorded_where(job: Job, places: Places) -> str:
    """Say where the record of a run is, or will be."""
    where = places.results / job.run.file
    try:
        found = recorded_run(job, places)
        if found and is_of(found.source_sha256, source_digest(job.model_class)):
            return str(where)
        return recorded_already(job, found, places) if found else f"no; {where} will be written"
    except ValueError as error:
        return str(error)


def _image_lines(job: Job) -> list[str]:
    """Say that images are not there, if so, and of what number the plan is; nothing otherwise."""
    if not job.task.reader.is_planned:
        return []
    counts = "; ".join(
        f"{split} {', '.join(f'{count:,} of {domain}' for domain, count in of.items())}"
        for split, of in (("training", job.task.num_train), (job.task.split, job.task.num_test))
    )
    return [f"  images: not there; planned for those published: {counts}; --fetch gets them"]


def _split_lines(job: Job) -> list[str]:
    """Say which images are held out of training; nothing where test images are scored."""
    if job.task.split == TEST:
        return []
    held, left = (
        ", ".join(f"{count:,} of {domain}" for domain, count in counts.items())
        for counts in (job.task.num_test, job.task.num_train)
    )
    return [
        f"  split: {job.task.split}: {held} are held out of training and scored; {left} are left"
    ]


def _setting_lines(job: Job) -> list[str]:
    settings = job.plain_settings()
    config = settings.pop("config")
    lines = [f"  preset: {job.preset}"]
    if job.start:
        new = f"; new: {', '.join(sorted(job.start.absent))}" if job.start.absent else ""
        lines.append(f"  start: {job.start.digest}, the networks of {job.start.origin}{new}")
    lines += [f"  {key}: {settings[key]}" for key in sorted(settings)]
    return lines + [f"  config.{key}: {value}" for key, value in config.items()]


def said_of_all(jobs: Sequence[Job], places: Places) -> str:
    """Say how many runs are recorded, and what the others take, as far as records tell."""
    left = [job for job in jobs if not _is_recorded(job, places)]
    counts = f"{len(jobs)} runs: {len(jobs) - len(left)} recorded, {len(left)} left"
    known = [time for job in left if (time := _time_of_other_seed(job, places))]
    if not known:
        return counts
    seconds = shown_seconds(sum(seconds for seconds, _ in known))
    return f"{counts}; training of {len(known)} of these takes {seconds}, by records of other seeds"


def _is_recorded(job: Job, places: Places) -> bool:
    try:
        return recorded_run(job, places) is not None
    except ValueError:  # made with other settings, or damaged: the run itself will say
        return False


def expected_time(job: Job, places: Places) -> str:
    """Estimate the time by the speed of another seed of the same run."""
    if found := _time_of_other_seed(job, places):
        seconds, where = found
        return f"{shown_seconds(seconds)} of training, as {where}"
    return "unknown until one seed of this run is recorded"


def _time_of_other_seed(job: Job, places: Places) -> tuple[float, str] | None:
    """Give the seconds by a record with the same settings, and which it is."""
    for path in sorted((places.results / job.run.file).parent.glob("seed*.json")):
        try:
            other = record.read_record(path)
        except ValueError:  # a damaged record is that seed's to mend
            continue
        if other.settings == job.plain_settings() and other.images_per_second:
            seconds = job.settings.budget / other.images_per_second
            return seconds, f"{path.stem} on {other.device}"
    return None
