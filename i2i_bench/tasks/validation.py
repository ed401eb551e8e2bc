"""Validation: a tenth of the training images, held out of training and scored like test images.

Settings, budgets and variants are chosen by such scores, so that no choice is made on test images.
Which images are held out follows from the task alone: from its name and version and the names of
its images. Folders that have validation images of their own may state that these are taken.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from i2i_bench.labels import EVERY, Label
from i2i_bench.tasks.task import Reader, Task, TaskImage, TaskMasks

if TYPE_CHECKING:
    from numpy import bool_
    from numpy.typing import NDArray

TEST, VALIDATION = "test", "validation"
SCORED: tuple[str, ...] = (TEST, VALIDATION)  # splits that a run can be scored on
SHARE = 10  # one of so many training images is held out
LEAST = 3  # images of a domain that are held out, if it has twice as many: the KID's error needs 3

_Value = TypeVar("_Value")
_Side = Literal["train", "test"]


def scored_on(task: Task, split: str) -> Task:
    """Return a task whose test images are those of a split, and which is trained without them.

    Args:
        task: With its own test images, or as this function gives it.
        split: ``test`` or ``validation``.

    Raises:
        ValueError: If there is no such split, or the task has too few training images.
    """
    if split not in SCORED:
        raise ValueError(f"unknown split {split!r}; runs are scored on: {', '.join(SCORED)}")
    if split == task.split:
        return task
    if task.split != TEST:
        raise ValueError(f"task {task.name} has {task.split} images in place of its test images")
    if task.validation is not None:
        return replace(task.validation, split=split)
    if task.reader.is_planned and task.attributes:
        raise ValueError(
            f"which images of task {task.name} are held out is known once they are there; plan "
            "without --split, or fetch them first"
        )
    held = held_out(task)
    reader = ValidationReader(task, held, task.has_masks, task.reader.is_planned)
    counts: dict[_Side, dict[str, int]] = {
        side: {domain: len(reader.images(side, domain)) for domain in task.domains}
        for side in ("train", "test")
    }
    return replace(
        task,
        split=split,
        num_train=counts["train"],
        num_test=counts["test"],
        reader=reader,
    )


@dataclass(frozen=True)
class ValidationReader(Reader):
    """Read the training images of a task: ``test`` are those held out, ``train`` all others.

    Attributes:
        whole: The task, as published.
        held: Names of the images that are held out, by domain.
        has_masks: Whether instance masks of every image are known.
        is_planned: Whether the images are not there, but their number is known.
    """

    whole: Task
    held: Mapping[str, frozenset[str]]
    has_masks: bool = False
    is_planned: bool = False

    def images(self, split: str, domain: str) -> list[TaskImage]:
        """List the images of one side and domain, in the order of the task."""
        return self._chosen(split, domain, self.whole.images("train", domain))

    def labels(self, split: str, domain: str) -> list[Label] | None:
        """List their labels; None where images have none."""
        found = self.whole.labels("train", domain)
        return None if found is None else self._chosen(split, domain, found)

    def instance_masks(self, split: str, domain: str) -> list[TaskMasks] | None:
        """List the instance masks of each image; None where the task has none."""
        found = self.whole.instance_masks("train", domain)
        return None if found is None else self._chosen(split, domain, found)

    def subjects(self, split: str, domain: str) -> list[str] | None:
        """List what each image shows, where the task knows it."""
        found = self.whole.reader.subjects("train", domain)
        return None if found is None else self._chosen(split, domain, found)

    def truth(self, source: str, target: str, split: str = "test") -> list[TaskImage] | None:
        """List the true translation of each image, where those of training images are known."""
        found = self.whole.truth(source, target, "train")
        return None if found is None else self._chosen(split, source, found)

    def answers(
        self, source: str, target: str, split: str = "test"
    ) -> list[list[TaskImage]] | None:
        """List all right translations of each image, where the task knows several."""
        found = self.whole.answers(source, target, "train")
        return None if found is None else self._chosen(split, source, found)

    def foreground(
        self, source: str, target: str, split: str = "test"
    ) -> list[NDArray[bool_]] | None:
        """List what a right translation may change, where the task knows it."""
        found = self.whole.foreground(source, target, "train")
        return None if found is None else self._chosen(split, source, found)

    def true_masks(self, source: str, target: str, split: str = "test") -> list[TaskMasks] | None:
        """List the instance masks after a right translation, where the task knows them."""
        found = self.whole.true_masks(source, target, "train")
        return None if found is None else self._chosen(split, source, found)

    @cached_property
    def _rows(self) -> dict[tuple[str, str], list[int]]:
        return {}

    def _chosen(self, split: str, domain: str, values: Sequence[_Value]) -> list[_Value]:
        """Keep the values of the images of one side, of those of a domain of the task."""
        if (split, domain) not in self._rows:
            held = self.held[domain if domain in self.held else EVERY]
            names = [image.name for image in self.whole.images("train", domain)]
            rows = [i for i, name in enumerate(names) if (name in held) == (split == "test")]
            self._rows[split, domain] = rows
        return [values[row] for row in self._rows[split, domain]]


class _Shown(NamedTuple):
    """A training image: where it belongs, and its name there."""

    domain: str
    label: Label
    name: str


def held_out(task: Task) -> dict[str, frozenset[str]]:
    """Name the training images of each domain that are held out.

    What belongs together is held out together: a pair, all images of a person, images of one name.
    Of what has the same labels about a tenth is held out, and of every domain ``LEAST`` images or,
    where there are fewer than twice as many, half.

    Raises:
        ValueError: If a domain has too few training images to hold one out.
    """
    groups = _groups(task)

    def place(key: str) -> tuple[list[tuple[str, Label]], str]:
        return sorted((image.domain, image.label) for image in groups[key]), _digest(task, key)

    order = sorted(groups, key=place)  # of the same labels side by side, in an order by chance
    count, total = len(order) // SHARE, len(order)
    chosen = {key for i, key in enumerate(order) if (i + 1) * count // total > i * count // total}
    for part, belongs in _parts(task):
        chosen |= _lacking(task, part, {k: sum(map(belongs, groups[k])) for k in order}, chosen)
    for part, belongs in _parts(task):
        left = sum(belongs(image) for key in order if key not in chosen for image in groups[key])
        if not left:
            raise ValueError(_too_few(task, part))
    held: dict[str, set[str]] = {domain: set() for domain in task.domains}
    for image in (image for key in chosen for image in groups[key]):
        held[image.domain].add(image.name)
    return {domain: frozenset(names) for domain, names in held.items()}


def _groups(task: Task) -> dict[str, list[_Shown]]:
    """Gather the training images that are held out together, under a key of their own."""
    groups: defaultdict[str, list[_Shown]] = defaultdict(list)
    first = task.domains[0]
    pairs = (task.reader.subjects("train", first) or _names(task, first)) if task.paired else None
    for domain in task.domains:
        names = _names(task, domain)
        labels = task.labels("train", domain) or [()] * len(names)
        keys = pairs or task.reader.subjects("train", domain) or names
        for key, label, name in zip(keys, labels, names, strict=True):
            groups[key].append(_Shown(domain, label, name))
    return dict(groups)


def _names(task: Task, domain: str) -> list[str]:
    return [image.name for image in task.images("train", domain)]


def _digest(task: Task, key: str) -> str:
    """Give what orders keys by chance, the same for ever."""
    text = f"i2i-bench/{VALIDATION}/{task.name}/{task.version}/{key}"
    return hashlib.sha256(text.encode()).hexdigest()


def _parts(task: Task) -> Iterator[tuple[str, Callable[[_Shown], bool]]]:
    """Give what both sides need images of: each domain and, of a label, with it and without."""
    if not task.attributes:
        for domain in task.domains:
            yield domain, lambda image, domain=domain: image.domain == domain
    for name in task.attributes:
        for sign in "+-":
            part = f"{sign}{name}"
            yield part, lambda image, part=part: task.labelling.chooses(part, image.label)


def _lacking(task: Task, part: str, counts: Mapping[str, int], chosen: set[str]) -> set[str]:
    """Give the keys that must be held out beside those chosen, so that a part has enough images.

    Args:
        task: Whose images.
        part: A domain, or images with or without a label.
        counts: Images of the part by key.
        chosen: Keys that are held out already.

    Raises:
        ValueError: If the part has less than two images.
    """
    wanted = min(LEAST, sum(counts.values()) // 2)
    if not wanted:
        raise ValueError(_too_few(task, part))
    held, more = sum(counts[key] for key in chosen), set[str]()
    others = (key for key in counts if counts[key] and key not in chosen)
    for key in sorted(others, key=lambda key: _digest(task, key)):
        if held >= wanted:
            break
        more.add(key)
        held += counts[key]
    return more


def _too_few(task: Task, part: str) -> str:
    return (
        f"task {task.name} has too few training images of {part} to hold some of them out; train "
        "on all and score on test images, without --split"
    )
