"""Compare two models, or images of other programs, over the same test images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from i2i_bench.data.decode import Images, decode_images, recorded_rule
from i2i_bench.data.directions import find_direction
from i2i_bench.data.test_set import TestSet
from i2i_bench.data.window import windowed
from i2i_bench.metric import Metric, Need
from i2i_bench.model import Direction, ResizeRule
from i2i_bench.records.folders import Places, find_record, noted_task
from i2i_bench.records.record import (
    AnyRecord,
    External,
    Record,
    Score,
    read_external_record,
    read_record,
)
from i2i_bench.records.run import EXTERNAL
from i2i_bench.report.differences import Comparison, Difference
from i2i_bench.scoring import external
from i2i_bench.scoring.features import extract
from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.scoring.metrics import distances
from i2i_bench.scoring.metrics.distances import KID
from i2i_bench.scoring.protocols import Protocol
from i2i_bench.scoring.sample import Meter, reason_of_missing, sample_of
from i2i_bench.system.messages import near
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.hub.name import is_hub_name
from i2i_bench.tasks.image_file import read_image
from i2i_bench.tasks.pixel_format import PixelFormat
from i2i_bench.tasks.task import Task, TaskImage
from i2i_bench.tasks.validation import TEST, scored_on

AGAIN = "compare again"  # once weights that are missing are there
SAME = ("task_version", "image_size", "n_real", "n_fake", "recipe")


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two sets of translations to compare.

    Attributes:
        record: Its scores.
        images: Folder of its runs, or folder or archive of another program's images.
    """

    record: AnyRecord
    images: Path

    @property
    def label(self) -> str:
        """Name it without its task."""
        if isinstance(self.record, External):
            return f"{self.record.name} ({EXTERNAL})"
        return f"{self.record.run.label}, seed {self.record.seed}"


def find_side(name: str, images: Path | None, places: Places) -> Side:
    """Find one side by its record, its run or its name.

    Args:
        name: Record, folder of a run, ``task/model+variant/seedK`` or ``task/external/name``.
        images: Where another program's images are, which a record does not say.
        places: Where things are.

    Raises:
        ValueError: If there is no such record, or images are given or missing where they must not.
    """
    found = _find_record(catalogue.recorded_name(name), places)
    if isinstance(found, External):
        if images is None:
            raise ValueError(
                f"{found} is of images of another program; say where they are with --images-a or "
                "--images-b, a folder or zip archive"
            )
        return Side(found, images)
    if images is not None:
        raise ValueError(f"{found.run} is a run, whose images are in {places.runs}; give no others")
    return Side(found, places.runs / found.run.folder)


def _find_record(name: str, places: Places) -> AnyRecord:
    for path in (Path(name), places.results / name, places.results / f"{name}.json"):
        if path.suffix == ".json" and path.is_file():
            is_external = path.resolve().parent.name == EXTERNAL
            return read_external_record(path) if is_external else read_record(path)
    if Path(name).parent.name == EXTERNAL:
        known = [
            path.relative_to(places.results).with_suffix("").as_posix()
            for path in places.results.glob(f"*/{EXTERNAL}/*.json")
        ]
        hint = near(name, known) or "i2i-bench score makes one"
        raise ValueError(f"no record {name} in {places.results}; {hint.rstrip('; ')}")
    return find_record(name, places)[1]


def differing_code(sides: Sequence[Side]) -> str:
    """Say that two runs of one model are of different code; "" where that is not known."""
    one, other = (side.record for side in sides)
    if not isinstance(one, Record) or not isinstance(other, Record) or one.model != other.model:
        return ""
    codes = [one.source_sha256, other.source_sha256]
    if not all(codes) or codes[0] == codes[1]:
        return ""
    return f"A and B were made by different code of {one.model}: A by {codes[0]}, B by {codes[1]}"


def find_task_of_sides(sides: Sequence[Side], typed: str | None, places: Places) -> Task:
    """Find the task of two sides.

    Raises:
        ValueError: If they are of different tasks, or the task is not to be found.
    """
    names = [side.record.task for side in sides]
    if names[0] != names[1]:
        raise ValueError(f"A is of task {names[0]} and B of {names[1]}; compare on the same task")
    splits = [_split(side) for side in sides]
    if splits[0] != splits[1]:
        raise ValueError(
            f"A is scored on {splits[0]} images and B on {splits[1]} images; compare runs of the "
            "same --split"
        )
    runs = [side.images for side in sides if isinstance(side.record, Record)]
    noted = [task for folder in runs if (task := noted_task(folder))]
    argument = next(iter([*([typed] if typed else []), *noted]), names[0])
    is_named = is_hub_name(argument) or catalogue.find_named(argument)
    if not is_named and not catalogue.split_folder(argument)[0].is_dir():
        raise ValueError(f"where task {names[0]} lies is not known; name its folder with --task")
    task = catalogue.find_task(argument, places.data)
    if task.name != names[0]:
        raise ValueError(f"{argument} is task {task.name}, but A and B are of {names[0]}")
    return scored_on(task, splits[0])


def _split(side: Side) -> str:
    """Name the images on which a side was scored."""
    return side.record.split or TEST if isinstance(side.record, Record) else TEST


def compare_sides(
    sides: tuple[Side, Side],
    task: Task,
    protocol: Protocol,
    chosen: Sequence[str],
    device: str,
) -> Iterator[Comparison]:
    """Compare two sides in each of some directions, whose test images are decoded once.

    Args:
        sides: A and B.
        task: Whose test images they translated.
        protocol: Whose features the KID is computed on, and under which both are scored.
        chosen: Directions, such as ``a2b``.
        device: Where features are extracted.

    Raises:
        ValueError: If they were not scored on the same images, images are no longer those, or the
            protocol has no error for a difference.
    """
    _require_jackknife(protocol)
    test_sets: dict[ResizeRule, TestSet] = {}
    for direction in chosen:
        scores = [_score_of(side, protocol, direction) for side in sides]
        _require_same(*scores)
        if scores[0].task_version != task.version:
            raise ValueError(
                f"A and B were scored on version {scores[0].task_version} of task {task.name}, "
                f"which is at version {task.version} now; score them again"
            )
        rule = _rule(sides[0], scores[0])
        if rule not in test_sets:
            test_sets[rule] = TestSet(task, rule)
        yield _compare_images(_Data(sides, scores, test_sets[rule]), protocol, device)


def _compare_images(data: _Data, protocol: Protocol, device: str) -> Comparison:
    """Compare the images of two sides in one direction."""
    task = data.task
    found = {KID.key: _kid(data, protocol, device)} | _by_image(data, device)
    keys = dict.fromkeys([task.headline, *found])
    known = {key: value for key in keys if (value := found.get(key)) is not None}
    return Comparison(
        f"{task.name}@{task.version}, {data.direction}, {protocol}, n = {len(data.fakes[0])}"
        + ("" if task.split == TEST else f" {task.split} images"),
        tuple(value for value in known.values() if isinstance(value, Difference)),
        {key: value for key, value in known.items() if isinstance(value, str)},
    )


def directions(sides: Sequence[Side], protocol: Protocol) -> list[str]:
    """Give the directions in which both sides are scored under a protocol.

    Raises:
        ValueError: If there is none, or the protocol has no error for a difference.
    """
    _require_jackknife(protocol)
    scored = [
        [
            s.direction
            for s in side.record.scores.values()
            if f"{s.protocol}@{s.protocol_version}" == str(protocol)
        ]
        for side in sides
    ]
    both = [direction for direction in scored[0] if direction in scored[1]]
    if not both:
        ways = [_ways(side) for side in sides]
        hint = "; ".join(way for way in ways if way) or "i2i-bench evaluate or score does that"
        raise ValueError(f"A and B are not both scored under {protocol} in any direction; {hint}")
    return both


def _ways(side: Side) -> str:
    """Say in which directions alone the model of a side translates; "" where it leaves none out."""
    stated = side.record.directions if isinstance(side.record, Record) else []
    return f"{side.label}, translates {', '.join(stated)} only" if stated else ""


def _require_jackknife(protocol: Protocol) -> None:
    if protocol.spread_kind != "se_jackknife":
        raise ValueError(
            f"protocol {protocol} has no jackknife, by which differences are told from noise; "
            "compare under i2i"
        )


def _score_of(side: Side, protocol: Protocol, direction: str) -> Score:
    key = f"{protocol}/{direction}"
    if key not in side.record.scores:
        known = ", ".join(side.record.scores) or "nothing"
        why = f" ({way})" if (way := _ways(side)) else ""
        raise ValueError(f"{side.label} is not scored under {key}; it is under {known}{why}")
    return side.record.scores[key]


def _require_same(one: Score, other: Score) -> None:
    """Refuse sides that were not scored on the same test images."""
    pairs = {key: (getattr(one, key), getattr(other, key)) for key in SAME}
    pairs["sources"] = (one.files_sha256.get("fake"), other.files_sha256.get("fake"))
    pairs["real images"] = (one.pixels_sha256.get("real"), other.pixels_sha256.get("real"))
    for key, (first, second) in pairs.items():
        if first != second:
            a, b = (str(value)[:12] for value in (first, second))
            what = {
                "sources": "the sources' names differ",
                "real images": "the real images differ, which each model resizes in its own way "
                "(--set resampling=... --set resize=... train it with another's)",
            }.get(key, f"{key.replace('_', ' ')} is {a} for A and {b} for B")
            raise ValueError(f"A and B were not scored on the same test images: {what}")


class _Data:
    """The images of one direction, of which it is certain that they are those that were scored."""

    def __init__(self, sides: Sequence[Side], scores: Sequence[Score], test_set: TestSet) -> None:
        self.task = task = test_set.task
        self.direction = direction = find_direction(task, scores[0].direction)
        source, target = direction.source, direction.target
        self.pixels = task.pixel_format(source), task.pixel_format(target)
        names = test_set.names(source)
        read = [_read(*pair, task, direction) for pair in zip(sides, scores, strict=True)]
        self.indices = read[0][0]
        self.fakes = [fakes for _, fakes in read]
        self.names = [names[i] for i in self.indices]
        for side, score, fakes in zip(sides, scores, self.fakes, strict=True):
            where = f"{side.images}, taken for {direction},"
            _require_scored(self.names, fakes, score.pixels_sha256["fake"], where)
        self.real = test_set.images(target)
        expected, where = scores[0].pixels_sha256["real"], f"task {task.name}, domain {target}"
        _require_scored(test_set.names(target), self.real, expected, where)
        self.sources = test_set.images(source, self.indices)
        self.truth = test_set.truth(direction, self.indices)
        answers = test_set.answers(direction)
        self.answers = None if answers is None else answers[self.indices]
        self.foreground = task.foreground(source, target)
        self._recorded = [score.values.keys() for score in scores]

    def has(self, metric: Metric) -> bool:
        """Tell whether a metric is to be compared: by default, or as both sides were scored."""
        return metric.is_default or all(metric.key in keys for keys in self._recorded)


def _rule(side: Side, score: Score) -> ResizeRule:
    """Give how the references of a side were resized."""
    settings = {} if isinstance(side.record, External) else side.record.settings
    return recorded_rule(settings, score)


def _read(side: Side, score: Score, task: Task, direction: Direction) -> tuple[list[int], Images]:
    """Read the translations of a side; give the indices of their sources, and the images."""
    if isinstance(side.record, External):
        whole, size = score.whole, score.image_size
        shape = None
        if whole is not None:
            size, shape = whole.short_side or None, "whole" if whole.short_side else "own"
        given = external.Submission(side.images, task, direction, size, score.partial, shape)
        read = external.read_submission(given)
        return read.indices, read.fakes
    folder = side.images / f"translations-{direction}"
    if not side.images.is_dir():
        raise ValueError(
            f"{side.record.run} is recorded, but its images are not there: no folder "
            f"{side.images}; --runs names the folder of runs, i2i-bench run --force trains it again"
        )
    names = [f"{Path(image.name).stem}.png" for image in task.images("test", direction.source)]
    lost = [name for name in names if not (folder / name).is_file()]
    if lost:
        raise ValueError(
            f"{folder} lacks {lost[0]}{' and others' if len(lost) > 1 else ''}; "
            f"i2i-bench evaluate {side.record.run} --force translates again"
        )
    pixels = task.pixel_format(direction.target)
    files = [
        TaskImage(name, partial(read_image, folder / name, pixels=pixels), pixels) for name in names
    ]
    as_saved = ResizeRule(score.image_size, resize="own" if score.whole else "square")
    return list(range(len(names))), decode_images(files, as_saved)


def _require_scored(names: list[str], images: Images, expected: str, where: object) -> None:
    if extract.content_hash(names, images).pixels != expected:
        raise ValueError(
            f"the images of {where} are no longer those that were scored; score them again, or "
            "--direction says of which they are"
        )


def _kid(data: _Data, protocol: Protocol, device: str) -> Difference | str:
    """Compare KIDs by the jackknife that leaves the same image out of both."""
    try:
        real, one, other = (
            extract.extract_features(
                windowed(images, data.pixels[1]), protocol.recipe, device=device
            )
            for images in (data.real, *data.fakes)
        )
        difference, error = distances.kid_difference(real, one, other)
        kids = [distances.kid_unbiased(real, side)[0] for side in (one, other)]
    except ValueError as problem:
        return reason_of_missing(problem, AGAIN)
    return Difference(KID.key, kids[0], kids[1], difference, None if math.isnan(error) else error)


def _by_image(data: _Data, device: str) -> dict[str, Difference | str]:
    """Compare the metrics that have a value for each image, by the differences of each."""
    sides = [_per_image(fakes, data, device) for fakes in data.fakes]  # of the same metrics
    return {key: _difference(key, sides[0][key], sides[1][key]) for key in sides[0]}


def _per_image(fakes: Images, data: _Data, device: str) -> dict[str, Sequence[float] | str]:
    """Give each metric for each image, or the reason why there is none."""
    source, target = data.pixels
    images: dict[Need, tuple[Any, PixelFormat]] = {
        "fake": (fakes, target),
        "source": (data.sources, source),
    }
    given: dict[Need, Any] = {"device": device}
    if data.truth is not None:
        images["truth"] = data.truth, target
    if data.answers is not None:
        images["answers"] = data.answers, target
    if data.foreground is not None:
        given["foreground"] = [data.foreground[i] for i in data.indices]
    sample, meter = sample_of(images, given), Meter(AGAIN)
    return {
        metric.key: meter.by_image(metric, sample)
        for metric in known_metrics().shown
        if metric.by_image and sample.is_for(metric) and data.has(metric)
    }


def _difference(
    key: str, one: Sequence[float] | str, other: Sequence[float] | str
) -> Difference | str:
    """Compare means over images by the differences of each."""
    if isinstance(one, str) or isinstance(other, str):
        return one if isinstance(one, str) else str(other)
    first, second = np.array(one), np.array(other)
    found = first - second
    count = len(found)
    error = float(found.std(ddof=1) / math.sqrt(count)) if count > 1 else None
    return Difference(key, float(first.mean()), float(second.mean()), float(found.mean()), error)
