"""Where the images of a catalogued task come from: one interface, whoever hands them out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from i2i_bench.labels import EVERY, Labels
from i2i_bench.tasks.task import DOMAINS, Task

TaskState = Literal["ready", "missing", "incomplete", "by hand"]
FetchProgress = Callable[[str, int, int], None]  # what is done, how far, of how much


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What would be fetched, shown to the user for consent.

    Attributes:
        name: Of the task.
        title: Domain a and domain b for people.
        licence: Of the images.
        origin: Who publishes them.
        counts: Images expected in each folder; None where any number but 0 is.
        paired: Whether images of the same index must be a pair.
        archive: File name of the archive.
        urls: Where it is, in the order in which they are tried.
        hub: Names of data sets of the Hugging Face hub that hold the same, tried afterwards.
        file: A file of the user's instead.
        target: Folder of the task.
        size: Of the download, in words.
        found: What the source has found out, for its own use.
    """

    name: str
    title: str
    licence: str
    origin: str
    counts: Mapping[str, int | None]
    paired: bool
    archive: str
    urls: tuple[str, ...]
    file: Path | None
    target: Path
    size: str
    hub: tuple[str, ...] = ()
    found: object = None

    def lines(self) -> list[str]:
        """Say what will be fetched, from where, under which licence, and how large it is."""
        from i2i_bench.system.download import shown

        where = [str(self.file)] if self.file else [*map(shown, self.urls), *self.hub]
        what = "archive" if self.file or self.urls else "data set"
        counts = [f"{folder} {number or 'any number'}" for folder, number in self.counts.items()]
        return [
            f"{self.name}: {self.title}",
            f"  licence: {self.licence}",
            f"  origin: {self.origin}",
            f"  {what}: {' or '.join(where)}",
            f"  size: {self.size}",
            f"  images: {', '.join(counts) or 'any number'}",
            f"  goes to: {self.target}",
        ]


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """A catalogued task, and how its folder becomes a task.

    In all methods ``folder`` is the folder of the task.

    Attributes:
        name: As typed after ``--task``.
        title: One line for people.
        origin: Where the images come from.
        licence: What their publisher says, as far as known.
        counts: Images expected by folder such as ``trainA``, or by split where images have labels;
            None where not known for certain.
        paired: Whether images of the same index are a pair.
        attributes: What labels say; empty where images have none.
        exclusive: Groups of attributes of which an image has one at most.
        every: All that labels of its files say, where that is more than ``attributes``.
        has_views: Whether files tell person and pose, so that two labels of a view are a pair.
        version: Of the task.
        headline: Key of the metric that ranks models on it.
    """

    version: ClassVar[int] = 1
    headline: ClassVar[str] = "kid"

    name: str
    title: str
    origin: str
    licence: str
    counts: Mapping[str, int | None]
    paired: bool = False
    attributes: tuple[str, ...] = ()
    exclusive: tuple[tuple[str, ...], ...] = ()
    every: Labels | None = None
    has_views: bool = False

    @property
    def labelling(self) -> Labels:
        """What labels say by which images can be selected; without attributes where none do."""
        return self.every or Labels(self.attributes, self.exclusive)

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains, as those of its task."""
        return (EVERY,) if self.attributes else DOMAINS

    @property
    def channels(self) -> Mapping[str, int]:
        """Channels of the images of each domain: all of RGB."""
        return dict.fromkeys(self.domains, 3)

    @property
    def has_masks(self) -> bool:
        """Whether the instance masks of every image are known."""
        return False

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Side in pixels."""

    def place(self, data: Path) -> Path:
        """Return the folder of the task in the folder of data."""
        return data / self.name

    @abstractmethod
    def state(self, folder: Path) -> TaskState:
        """Tell by names of files, without opening any, whether the task can be run."""

    @abstractmethod
    def instructions(self, folder: Path, state: TaskState) -> str:
        """Say what to do about a state; "" about ``ready``."""

    @abstractmethod
    def make_task(self, folder: Path) -> Task:
        """Make the task of its folder.

        Raises:
            ValueError: If the images are not there, or not as they must be; with what to do.
        """

    def published(self) -> Source:
        """Return the same with all that is published of it, which may have to be asked for.

        Raises:
            ValueError: If that cannot be had.
        """
        return self

    def make_labelled(self, folder: Path, attributes: Sequence[str]) -> Task:
        """Make the task of some of the attributes of ``labelling``, under the name of the set.

        Raises:
            ValueError: As of ``make_task``; or if no labels of the set are known.
        """
        del folder, attributes
        raise ValueError(f"task {self.name!r} has no labels to select images by")

    @abstractmethod
    def count_present(self, folder: Path) -> dict[str, int] | None:
        """Count the images in each folder of what was fetched; None if nothing was.

        No image is opened; their total size is compared with that of those first seen.

        Raises:
            ValueError: If something else is there.
        """

    @abstractmethod
    def offer(self, folder: Path, *, urls: Sequence[str] = (), file: Path | None = None) -> Offer:
        """Find out what to fetch; a server is asked for the size.

        Args:
            folder: Of the task.
            urls: Where to get the archive, instead of the mirror and the publisher; or data sets of
                the Hugging Face hub.
            file: The archive itself, instead.

        Raises:
            ValueError: If there is nothing to fetch, with what to do instead.
        """

    @abstractmethod
    def fetch(
        self, offer: Offer, *, report: FetchProgress, force: bool = False, keep: bool = False
    ) -> dict[str, int]:
        """Fetch, unpack and verify what was offered; its folder appears complete or not at all.

        Args:
            offer: What to fetch.
            report: Told of progress.
            force: Whether to replace what is there, and images that are not those seen first.
            keep: Whether to keep the archive.

        Returns:
            Images in each folder.

        Raises:
            ValueError: If the archive cannot be had, is refused, or holds something else.
        """

    @abstractmethod
    def verify(self, folder: Path, report: FetchProgress, *, force: bool = False) -> list[str]:
        """Check that the images are there, as published, sound, and those seen first.

        Args:
            folder: Of the task.
            report: Told of progress.
            force: Whether to take images that are not those seen first.

        Returns:
            Lines that say what is there.

        Raises:
            ValueError: If anything is not as it must be.
        """

    def facts(self) -> dict[str, Any]:
        """Give what the task says of itself wherever its images lie."""
        words = {"title": self.title, "licence": self.licence, "origin": self.origin}
        return {"version": self.version, "headline": self.headline, **words}


def deviations(expected: Mapping[str, int | None], found: Mapping[str, int]) -> list[str]:
    """Say which folders hold another number of images than expected, or none."""
    return [
        f"{folder} has {found[folder]} images ({number or 'at least 1'} expected)"
        for folder, number in expected.items()
        if found[folder] != number and (number is not None or not found[folder])
    ]
