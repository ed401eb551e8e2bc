"""A task whose images are not there, of the counts that its publisher states: for plans alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from i2i_bench.labels import EVERY
from i2i_bench.tasks.selection import Selection
from i2i_bench.tasks.source import Source
from i2i_bench.tasks.task import SPLITS, Reader, Task, TaskImage
from i2i_bench.tasks.two_domains import FOLDERS

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class PlannedReader(Reader):
    """Name as many images as are published, none of which can be read.

    Attributes:
        name: Of the task.
        counts: (split, domain) → images.
    """

    is_planned = True

    name: str
    counts: Mapping[tuple[str, str], int]

    def images(self, split: str, domain: str) -> list[TaskImage]:
        """List the images of one split and domain, under numbers."""
        count = self.counts[split, domain]
        return [TaskImage(f"{row:06}.png", self._refuse) for row in range(count)]

    def _refuse(self) -> Image.Image:
        _refuse(self.name, "its images cannot be read")


def planned_task(source: Source, selection: Selection | None = None) -> Task:
    """Make the task of what is published of a source.

    Args:
        source: Whose images are not there.
        selection: Of its images; None for all.

    Raises:
        ValueError: If it is not known how many images there are.
    """
    named = selection or source
    attributes = selection.labelling.attributes if selection else source.attributes
    exclusive = selection.labelling.exclusive if selection else source.exclusive
    is_part = selection is not None and (not attributes or selection.labelling.is_one_hot)
    if is_part or not source.counts or None in source.counts.values():
        typed = selection.typed if selection else source.name
        raise ValueError(
            f"images of task {typed!r} are not there, and how many images it has is not published; "
            f"i2i-bench data fetch {source.name} says how to get them"
        )
    if attributes:
        counts = {(split, EVERY): source.counts[split] or 0 for split in SPLITS}
    else:
        counts = {key: source.counts[folder] or 0 for key, folder in FOLDERS.items()}
    facts: dict[str, Any] = source.facts() | {"title": named.title}
    domains = tuple(dict.fromkeys(domain for _, domain in counts))
    return Task(
        name=named.name,
        kind="catalogued",
        domains=domains,
        image_size=source.image_size,
        num_train={domain: counts["train", domain] for domain in domains},
        num_test={domain: counts["test", domain] for domain in domains},
        paired=source.paired,
        **facts,
        reader=PlannedReader(named.name, counts),
        attributes=attributes,
        exclusive=exclusive,
    )


def _refuse(name: str, reason: str) -> NoReturn:
    raise ValueError(
        f"images of task {name!r} are not there, and {reason}; i2i-bench data fetch says how to "
        "get them"
    )
