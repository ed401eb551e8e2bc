"""What a task is: versioned images of domains, and what is known of their translation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from i2i_bench.labels import EVERY, Label, Labels

if TYPE_CHECKING:
    from numpy import bool_
    from numpy.typing import NDArray
    from PIL import Image

DOMAINS = ("a", "b")
SPLITS = ("train", "test")
Kind = Literal["embedded", "catalogued", "folder"]


@dataclass(frozen=True)
class TaskImage:
    """One image of a task, read when asked for.

    Attributes:
        name: File name, unique within its split and domain.
        read: Gives the image in PIL's mode RGB; raises ValueError naming an unreadable file.
    """

    name: str
    read: Callable[[], Image.Image]


class Reader(Protocol):
    """Where the images of a task come from."""

    def images(self, split: str, domain: str) -> list[TaskImage]:
        """List the images of one split and domain, in the order of the task."""
        ...

    def truth(self, source: str, target: str) -> list[TaskImage] | None:
        """List the true translation of each test image of ``source``; None where unknown."""
        ...

    def foreground(self, source: str, target: str) -> list[NDArray[bool_]] | None:
        """List what a true translation may change, for each test image of ``source``."""
        ...


class LabelledReader(Reader, Protocol):
    """Where the images and labels of a labelled task come from.

    Beside all images (``EVERY``), its domains are those that ``Labels.chooses`` knows.
    """

    def labels(self, split: str, domain: str) -> list[Label]:
        """List the label of each image of one split and domain, in their order."""
        ...


@dataclass(frozen=True, eq=False)
class Task:
    """Data that every model is trained on and scored with alike.

    Attributes:
        name: As typed after ``--task``, and the folder of its records.
        version: Raised when any byte or rule of the task changes.
        title: One line for people.
        kind: Made by this package, listed in the catalogue, or a folder of the user's own.
        domains: Names of the domains; of a labelled task ``EVERY`` alone.
        image_size: Side of the published images in pixels.
        num_train: Training images of each domain.
        num_test: Test images of each domain.
        paired: Whether the images of the same index are a pair, in every split.
        headline: Key of the metric that ranks models: ``psnr_foreground``, ``kid`` or ``psnr``.
        licence: Of the images, as stated at their origin.
        origin: Address or description of where the images come from.
        reader: Gives the images.
        attributes: What the labels of a labelled task say; empty where images have none.
        exclusive: Groups of attributes of which an image has one at most.
    """

    name: str
    version: int
    title: str
    kind: Kind
    domains: tuple[str, ...]
    image_size: int
    num_train: Mapping[str, int]
    num_test: Mapping[str, int]
    paired: bool
    headline: str
    licence: str
    origin: str
    reader: Reader
    attributes: tuple[str, ...] = ()
    exclusive: tuple[tuple[str, ...], ...] = ()

    @property
    def labelling(self) -> Labels:
        """What the labels say; without attributes where images have none."""
        return Labels(self.attributes, self.exclusive)

    def images(self, split: str, domain: str) -> list[TaskImage]:
        """List the images of one split (``train`` or ``test``) and domain.

        They are in lexicographic order of their names; a paired task's domain b follows domain a.

        Raises:
            ValueError: If there is no such split or domain.
        """
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; possible: {', '.join(SPLITS)}")
        self._check(domain)
        return self.reader.images(split, domain)

    def labels(self, split: str, domain: str) -> list[Label] | None:
        """List the label of each image, in their order; None where the task has no labels.

        Raises:
            ValueError: If there is no such split or domain.
        """
        if not self.attributes:
            return None
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; possible: {', '.join(SPLITS)}")
        self._check(domain)
        reader: LabelledReader = self.reader  # pyright: ignore[reportAssignmentType] - has labels
        return reader.labels(split, domain)

    def truth(self, source: str, target: str) -> list[TaskImage] | None:
        """List the true translation of each test image of ``source``, in the same order.

        Returns:
            None where no truth is known. Images of a paired task keep the names of the target.
        """
        self._check(source, target)
        return self.reader.truth(source, target)

    def foreground(self, source: str, target: str) -> list[NDArray[bool_]] | None:
        """List what a true translation may change in each test image of ``source``, in their order.

        Returns:
            Arrays (height, width), True where a pixel belongs to an object; None where unknown.
        """
        self._check(source, target)
        return self.reader.foreground(source, target)

    def _check(self, *domains: str) -> None:
        for position, domain in enumerate(domains):
            if self.attributes and domain != EVERY:
                self.labelling.chooses(domain, (0,) * len(self.attributes))  # raises if unknown
            elif domain not in self.domains or domain in domains[:position]:
                raise ValueError(
                    f"task {self.name!r} has the different domains {', '.join(self.domains)}; "
                    f"given: {', '.join(domains)}"
                )
