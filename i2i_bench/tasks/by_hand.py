"""Tasks of labelled images that users have to obtain from the publisher themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from i2i_bench.labels import Labels
from i2i_bench.tasks.image_file import read_image
from i2i_bench.tasks.image_folder import Stamp, read_unchanged, stamp
from i2i_bench.tasks.many_domains import LabelledFilesReader, LabelledImage, make_task
from i2i_bench.tasks.source import FetchProgress, Offer, Source, TaskState
from i2i_bench.tasks.task import SPLITS, Task, TaskImage

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class LabelledFile:
    """An image and what is on it.

    Attributes:
        path: Of the image.
        labels: 0 or 1 for each attribute of the set.
        view: Person and pose, which another image shares but for its labels; "" where unknown.
        person: Whom it shows; "" where unknown.
    """

    path: Path
    labels: tuple[int, ...]
    view: str = ""
    person: str = ""


@dataclass(frozen=True)
class Labelled:
    """A set of images with labels.

    Attributes:
        attributes: Names of what the labels say.
        train: Images to train on.
        test: Images to test on.
        exclusive: Groups of attributes of which an image has one at most.
    """

    attributes: tuple[str, ...]
    train: tuple[LabelledFile, ...]
    test: tuple[LabelledFile, ...]
    exclusive: tuple[tuple[str, ...], ...] = ()

    def only(self, attributes: Sequence[str]) -> Labelled:
        """Return the same images with labels of some of the attributes, in this order."""
        if tuple(attributes) == self.attributes:
            return self
        kept = Labels(self.attributes, self.exclusive).only(attributes)
        columns = [self.attributes.index(name) for name in attributes]
        train, test = (
            tuple(replace(file, labels=tuple(file.labels[i] for i in columns)) for file in files)
            for files in (self.train, self.test)
        )
        return Labelled(kept.attributes, train, test, kept.exclusive)


@dataclass(frozen=True, kw_only=True)
class ByHand(Source):
    """A set of images with labels that no program may fetch.

    Attributes:
        counts: Images expected by split; None where it depends on the publisher.
        needs: What has to be obtained, and how.
        layout: What to put where, below the folder of the task.
        read: Reads the images of that folder with all their labels; raises ValueError if files are
            missing or wrong.
        images: Name of the folder of images in that of the task.
        size: Pixels to which the field resizes the square in the middle of an image.
        crop: Pixels of that square; None for the largest.
    """

    counts: Mapping[str, int | None] = field(default_factory=lambda: dict.fromkeys(SPLITS))
    needs: str
    layout: str
    read: Callable[[Path], Labelled]
    images: str = "images"
    size: int
    crop: int | None = None

    @property
    def image_size(self) -> int:
        """Side in pixels."""
        return self.size

    def state(self, folder: Path) -> TaskState:
        """Tell whether anything of the set was put where it belongs."""
        return "ready" if self._is_there(folder) else "by hand"

    def instructions(self, folder: Path, state: TaskState) -> str:
        """Say exactly what has to be put where."""
        return "" if state == "ready" else self._what_goes_where(folder)

    def make_task(self, folder: Path) -> Task:
        """Make the task of its folder; images are cut to the square in their middle.

        Raises:
            ValueError: If the set is not there, or not as it must be.
        """
        return self.make_labelled(folder, self.attributes)

    def make_labelled(self, folder: Path, attributes: Sequence[str]) -> Task:
        """Make the task of some of the attributes of ``labelling``, under the name of the set.

        Raises:
            ValueError: As of ``make_task``; or if an attribute is of no image, or of all.
        """
        if not self._is_there(folder):
            raise ValueError(
                f"task {self.name!r} cannot be run yet: it needs {self.needs}, from {self.origin} "
                f"(licence: {self.licence}); i2i-bench data fetch {self.name} says what goes where"
            )
        found = self.read(folder).only(attributes)
        stamps = stamp([file.path for file in files] for files in (found.train, found.test))
        splits = {"train": self._images(found.train, stamps)}
        splits["test"] = self._images(found.test, stamps)
        return make_task(
            self.name,
            LabelledFilesReader(Labels(found.attributes, found.exclusive), splits),
            kind="catalogued",
            image_size=self.image_size,
            **self.facts(),
        )

    def count_present(self, folder: Path) -> None:
        """Return None: a set obtained by hand is never fetched."""
        del folder

    def offer(
        self, folder: Path, *, urls: Sequence[str] = (), file: Path | None = None
    ) -> NoReturn:
        """Say what has to be done instead.

        Raises:
            ValueError: Always.
        """
        del urls, file
        self._refuse(folder)

    def fetch(
        self, offer: Offer, *, report: FetchProgress, force: bool = False, keep: bool = False
    ) -> NoReturn:
        """Say what has to be done instead.

        Raises:
            ValueError: Always.
        """
        del report, force, keep
        self._refuse(offer.target)

    def verify(self, folder: Path, report: FetchProgress, *, force: bool = False) -> list[str]:
        """Check the set, down to each image.

        Raises:
            ValueError: If it is not there, or not as it must be.
        """
        del force  # what was seen first is not remembered
        if not self._is_there(folder):
            raise ValueError(f"task {self.name!r} is not there; {self._what_goes_where(folder)}")
        found = self.read(folder)
        files = [*found.train, *found.test]
        for done, file in enumerate(files, start=1):
            read_image(file.path)
            report("verify", done, len(files))
        return [
            f"{self.name}: {len(found.train)} training and {len(found.test)} test images",
            *_count_labels(found),
        ]

    def _is_there(self, folder: Path) -> bool:
        return (folder / self.images).is_dir()

    def _what_goes_where(self, folder: Path) -> str:
        command = f"i2i-bench data verify {self.name}"
        return f"put into {folder}: {self.layout}; {command} checks it"

    def _refuse(self, folder: Path) -> NoReturn:
        raise ValueError(
            f"task {self.name!r} cannot be fetched by program (licence: {self.licence}): get "
            f"{self.needs}, from {self.origin}; {self._what_goes_where(folder)}"
        )

    def _images(
        self, files: Sequence[LabelledFile], stamps: Mapping[Path, Stamp]
    ) -> list[LabelledImage]:
        """Give the images of one split by name."""
        found = [
            LabelledImage(
                TaskImage(
                    file.path.name, partial(_read_square, file.path, stamps[file.path], self.crop)
                ),
                file.labels,
                file.view,
                subject=file.person,
            )
            for file in files
        ]
        return sorted(found, key=lambda each: each.image.name)


def _read_square(path: Path, before: Stamp, side: int | None) -> Image.Image:
    """Read an image and cut out the square in its middle, as large as possible by default."""
    image = read_unchanged(path, before)
    width, height = image.size
    wanted = side or min(width, height)
    if min(width, height) < wanted:
        raise ValueError(f"{path} of {width}x{height} pixels is smaller than {wanted} pixels")
    left, top = (width - wanted) // 2, (height - wanted) // 2
    return image.crop((left, top, left + wanted, top + wanted))


def _count_labels(found: Labelled) -> Iterable[str]:
    for position, attribute in enumerate(found.attributes):
        sides = [sum(file.labels[position] for file in part) for part in (found.train, found.test)]
        yield f"  {attribute}: {sides[0]} of training, {sides[1]} of test"
