"""What of a task's files is not seen in its images, counted; told before any training."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable

from i2i_bench.system.prefetch import prefetch
from i2i_bench.tasks.image_traits import ImageTraits
from i2i_bench.tasks.reading import AS_STORED, Reading
from i2i_bench.tasks.task import SPLITS, Task, TaskImage

TASK_LINES = ("upright = true", 'background = "white"')  # of task.toml


def say_traits_of(task: Task) -> list[str]:
    """Say what of the files of a task, of all domains and splits, is dropped or changed."""
    upright, background = (f"the line {line} in task.toml" for line in TASK_LINES)
    return say_traits(_traits_of(task), task.reading, upright, background)


def say_traits(
    found: Iterable[ImageTraits],
    reading: Reading = AS_STORED,
    upright: str = "",
    background: str = "",
) -> list[str]:
    """Say of how many images something is dropped or changed; one sentence of each kind.

    Args:
        found: Traits of all images.
        reading: What is done to their pixels.
        upright: What has the orientation applied; "" for nothing that can be offered.
        background: What lays them on a background; as above.
    """
    traits = list(found)
    turned = sum(each.orientation != 1 for each in traits)
    clear = sum(each.is_transparent for each in traits)
    frames = sum(each.num_frames > 1 for each in traits)
    lines = []
    if turned:
        done = "applied" if reading.is_upright else "not applied"
        offer = f"; {upright} applies it" if upright and not reading.is_upright else ""
        lines.append(_count(turned, traits, "an EXIF orientation", f"which is {done}{offer}"))
    if clear:
        laid = f"laid on the background {reading.background}"
        offer = f"; {background} lays them on white" if background else ""
        done = laid if reading.background else f"dropped, so that hidden colours are seen{offer}"
        lines.append(_count(clear, traits, "transparent pixels", f"whose transparency is {done}"))
    if frames:
        lines.append(
            _count(frames, traits, "several frames or pages", "of which only the first is read")
        )
    return lines


def _count(number: int, traits: list[ImageTraits], what: str, then: str) -> str:
    verb = "has" if number == 1 else "have"
    return f"{number} of {len(traits)} images {verb} {what}, {then}"


@functools.lru_cache(maxsize=32)
def _traits_of(task: Task) -> list[ImageTraits]:
    splits = [(task, split) for split in SPLITS]
    if task.validation is not None:
        splits.append((task.validation, "test"))
    every = [
        image
        for of, split in splits
        for domain in task.domains
        for image in of.images(split, domain)
    ]
    return list(prefetch(_read, every, part_size=16))


def _read(image: TaskImage) -> ImageTraits:
    if image.traits is not None:
        with contextlib.suppress(ValueError):  # what is damaged is refused where it is decoded
            return image.traits()
    return ImageTraits()
