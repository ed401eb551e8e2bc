"""Gather the images of a study with people: translations of runs and of any other program."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from i2i_bench.data.decode import recorded_rule
from i2i_bench.data.directions import find_direction
from i2i_bench.data.test_set import TestSet
from i2i_bench.model import Direction, ResizeRule
from i2i_bench.records.folders import Places, find_record
from i2i_bench.records.record import Record
from i2i_bench.records.run import EXTERNAL
from i2i_bench.scoring.features.extract import content_hash
from i2i_bench.scoring.submission import opened
from i2i_bench.study.make import Picture, StudyImages, StudySubject
from i2i_bench.system.messages import near
from i2i_bench.tasks.catalogue import find_task
from i2i_bench.tasks.image_file import read_image
from i2i_bench.tasks.task import Task


@dataclass(frozen=True)
class StudyRequest:
    """Whose images people are to see.

    Attributes:
        task: Name of the task, or its folder.
        direction: Such as ``a2b``.
        runs: Folders, records or names ``task/model+variant/seedK``.
        external: Name → folder or zip archive, of other programs' images.
        names: Test images to show; empty for those that ``count`` draws.
        count: How many test images; None for all.
        seed: Of the draw.
    """

    task: str
    direction: str
    runs: Sequence[str] = ()
    external: Mapping[str, Path] | None = None
    names: Sequence[str] = ()
    count: int | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class _Source:
    """Where translations of one method come from, and what they are called."""

    label: str
    record: str
    model: str
    pictures: Sequence[Picture]
    rule: ResizeRule | None


def gather_study(
    wanted: StudyRequest, places: Places
) -> tuple[StudyImages, Task, dict[str, tuple[str, str]]]:
    """Read the images that a study shows.

    Returns:
        The images; the task; by method, its record below the folder of records and its model, as
        ``StudySubject`` has them.

    Raises:
        ValueError: If a run is not there or of another task, or its translations are no longer
            those that were scored.
    """
    task = find_task(wanted.task, places.data)
    direction = find_direction(task, wanted.direction)
    rows = _rows(task, direction, wanted)
    sources = [_of_run(run, task, direction, rows, places) for run in dict.fromkeys(wanted.runs)]
    for name, folder in (wanted.external or {}).items():
        sources.append(_of_program(name, folder, task, direction, rows, places))
    if not sources:
        raise ValueError("a study needs a method at least; name one with --run or --external")
    labels = _labels(sources)
    side = sources[0].pictures[0].shape[0]
    rule = next((each.rule for each in sources if each.rule is not None), ResizeRule(side))
    test_set = TestSet(task, rule)
    truth = test_set.truth(direction, rows)
    images = StudyImages(
        items=tuple(test_set.names(direction.source)[row] for row in rows),
        sources=_plain(test_set.images(direction.source, rows)),
        fakes={label: each.pictures for label, each in zip(labels, sources, strict=True)},
        reals=_plain(test_set.images(direction.target) if truth is None else truth),
        is_paired=truth is not None,
    )
    methods = {
        label: (each.record, each.model) for label, each in zip(labels, sources, strict=True)
    }
    return images, task, methods


def subject_of(
    task: Task, direction: str, target: str, methods: Mapping[str, tuple[str, str]]
) -> StudySubject:
    """Say what a study is about; the target is named by its domain unless a name is given."""
    named = target or find_direction(task, direction).target
    return StudySubject(task.name, task.version, direction, named, methods)


def _rows(task: Task, direction: Direction, wanted: StudyRequest) -> list[int]:
    """Give the test images to show, in the order of the task."""
    names = [image.name for image in task.images("test", direction.source)]
    if wanted.names:
        known = {key: i for i, name in enumerate(names) for key in (name, Path(name).stem)}
        for name in wanted.names:
            if name not in known:
                hint = near(name, known) or f"the first is {names[0]}"
                raise ValueError(f"no test image {name} of domain {direction.source}; {hint}")
        return sorted({known[name] for name in wanted.names})
    if wanted.count is None:
        return list(range(len(names)))
    if wanted.count > len(names):
        raise ValueError(f"{wanted.count} test images are wanted, and there are {len(names)}")
    drawn = np.random.RandomState(wanted.seed).permutation(len(names))[: wanted.count]
    return sorted(drawn.tolist())


def _labels(sources: Sequence[_Source]) -> list[str]:
    """Name methods so that they differ: by model and variant, and the seed where it must be."""
    plain = [each.label.rpartition(" seed ")[0] or each.label for each in sources]
    is_clear = len(set(plain)) == len(plain)
    found = plain if is_clear else [each.label for each in sources]
    if len(set(found)) != len(found):
        raise ValueError(f"two methods have the name {max(found, key=found.count)}; leave one out")
    return found


def _of_run(
    run: str, task: Task, direction: Direction, rows: Sequence[int], places: Places
) -> _Source:
    """Read the translations of a run, which must be those that were scored."""
    folder, found = find_record(run, places)
    if (found.task, found.task_version) != (task.name, task.version):
        raise ValueError(
            f"{found.run} is of task {found.task}, version {found.task_version}, and the study of "
            f"{task.name}, version {task.version}"
        )
    if found.split:
        raise ValueError(
            f"{found.run} translated {found.split} images; people are shown test images"
        )
    scored = next((s for s in found.scores.values() if s.direction == str(direction)), None)
    if scored is None:
        raise ValueError(f"{found.run} has no score of {direction}, so no translations of it")
    names = [image.name for image in task.images("test", direction.source)]
    inside = folder / f"translations-{direction}"
    pictures = [_picture(inside / f"{Path(name).stem}.png", found) for name in names]
    if content_hash(names, pictures).pixels != scored.pixels_sha256["fake"]:
        raise ValueError(
            f"the images in {inside} are no longer those that were scored; i2i-bench evaluate "
            f"{found.run} --force translates again"
        )
    rule = recorded_rule(found.settings, scored)
    label = f"{found.run.label} seed {found.seed}"
    chosen = [pictures[row] for row in rows]
    return _Source(label, found.run.file.as_posix(), found.model, chosen, rule)


def _picture(path: Path, found: Record) -> Picture:
    if not path.is_file():
        raise ValueError(
            f"there is no translation {path}; i2i-bench evaluate {found.run} --force makes it again"
        )
    return np.asarray(read_image(path).convert("RGB"))


def _of_program(
    name: str, folder: Path, task: Task, direction: Direction, rows: Sequence[int], places: Places
) -> _Source:
    """Read another program's images: one for each test image, by the stem of its name."""
    names = [image.name for image in task.images("test", direction.source)]
    with opened(folder) as listing:
        by_stem = {file.path.stem: file for file in listing.files}
        pictures = []
        for row in rows:
            file = by_stem.get(Path(names[row]).stem)
            if file is None:
                raise ValueError(f"{folder} has no translation of {names[row]}")
            read = read_image(Path(file.path), io.BytesIO(file.content()), is_plain=True)
            pictures.append(np.asarray(read.convert("RGB")))
    record = Path(task.name) / EXTERNAL / f"{name}.json"
    known = record.as_posix() if (places.results / record).is_file() else ""
    return _Source(name, known, "", pictures, None)


def _plain(images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> list[Picture]:
    """Give images as 8-bit RGB, as people see them.

    Raises:
        ValueError: If they are of more than 8 bits, or have other than one or three channels.
    """
    found = []
    for image in images:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
            raise ValueError(
                "people are shown grey or RGB images of 8 bits; the images of this task are others"
            )
        found.append(np.repeat(image, 3, axis=2) if image.shape[2] == 1 else np.asarray(image))
    return found
