"""What is to be said of a run before it begins: how its images were found, and what is lost."""

from __future__ import annotations

from i2i_bench.data.shapes import reshaped
from i2i_bench.data.traits import say_traits_of
from i2i_bench.runs.job import Job

KEEPS_SHAPE = "; --set resize=whole keeps their shape"


def said_of_task(job: Job) -> list[str]:
    """Say how the images of the task were found and are read; the same for every model."""
    return [*job.task.notes, *say_traits_of(job.task)]


def said_of_shape(job: Job) -> list[str]:
    """Say how many images are squashed or cut to squares, if any is."""
    found = reshaped(job.task, job.settings.resize)
    return [f"{found}{KEEPS_SHAPE}"] if found else []
