"""What a task is: versioned images of domains, and what is known of their translation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from i2i_bench.labels import EVERY, Label, Labels
from i2i_bench.tasks.pixel_format import RGB, PixelFormat, ValueRange
from i2i_bench.tasks.reading import AS_STORED, Reading

if TYPE_CHECKING:
    from numpy import bool_
    from numpy.typing import NDArray
    from PIL import Image

    from i2i_bench.tasks.image_traits import ImageTraits

DOMAINS = ("a", "b")
SPLITS = ("train", "test")
Kind = Literal["embedded", "catalogued", "folder", "hub"]


@dataclass(frozen=True)
class TaskImage:
    """One image of a task, read when asked for.

    Attributes:
        name: File name, unique within its split and domain.
        read: Gives the image in PIL's mode RGB, or L if it is grey, or F if its values have a
            range, in which they lie; raises ValueError naming an unreadable file.
        pixels: What it consists of.
        measure: Gives width and height without decoding; None where that takes reading the image.
        traits: Gives what of its file is not seen in its pixels; None where it has no file.
    """

    name: str
    read: Callable[[], Image.Image]
    pixels: PixelFormat = RGB
    measure: Callable[[], tuple[int, int]] | None = field(default=None, compare=False, kw_only=True)
    traits: Callable[[], ImageTraits] | None = field(default=None, compare=False, kw_only=True)

    def size(self) -> tuple[int, int]:
        """Return width and height in pixels.

        Raises:
            ValueError: If the image cannot be read, naming it.
        """
        return self.measure() if self.measure else self.read().size


@dataclass(frozen=True)
class TaskMasks:
    """The instance masks of one image of a task, read when asked for.

    Attributes:
        name: File name of the image.
        read: Gives bool (instances, height, width), True inside an object, in the size of the image
            and in an order of the task's own; none are (0, height, width). Raises ValueError naming
            an unreadable file.
    """

    name: str
    read: Callable[[], NDArray[bool_]]


class Reader(ABC):
    """Where the images of a task come from, and what is known of them; by default nothing more.

    Domains are those of the task; where images have labels ``EVERY``, and those that
    ``Labels.chooses`` knows.

    Attributes:
        has_masks: Whether instance masks of every image are known.
        is_planned: Whether the images are not there, but their number is known.
    """

    has_masks: bool = False
    is_planned: bool = False

    @abstractmethod
    def images(self, split: str, domain: str) -> list[TaskImage]:
        """List the images of one split and domain, in the order of the task."""

    def labels(self, split: str, domain: str) -> list[Label] | None:
        """List the label of each image of one split and domain; None where images have none."""
        del split, domain
        return None

    def instance_masks(self, split: str, domain: str) -> list[TaskMasks] | None:
        """List the instance masks of each image of one split and domain; None where unknown."""
        del split, domain
        return None

    def subjects(self, split: str, domain: str) -> list[str] | None:
        """List what each image shows, such as a person; None where every image stands alone."""
        del split, domain
        return None

    def truth(self, source: str, target: str, split: str = "test") -> list[TaskImage] | None:
        """List the true translation of each image of ``source``; None where unknown."""
        del source, target, split
        return None

    def answers(
        self, source: str, target: str, split: str = "test"
    ) -> list[list[TaskImage]] | None:
        """List all right translations of each image of ``source``, where there are several."""
        del source, target, split
        return None

    def foreground(
        self, source: str, target: str, split: str = "test"
    ) -> list[NDArray[bool_]] | None:
        """List what a right translation may change, for each image of ``source``."""
        del source, target, split
        return None

    def true_masks(self, source: str, target: str, split: str = "test") -> list[TaskMasks] | None:
        """List the instance masks of each image of ``source`` after a right translation."""
        del source, target, split
        return None


@dataclass(frozen=True, eq=False)
class Task:
    """Data that every model is trained on and scored with alike.

    Attributes:
        name: The folder of its records; what is typed after ``--task`` finds it, and so does it
            itself, but of a folder of the user's own.
        version: Raised when any byte or rule of the task changes.
        title: One line for people.
        kind: Made by this package, listed in the catalogue, a folder of the user's own, or a data
            set of the Hugging Face hub.
        domains: Names of the domains; of a labelled task ``EVERY`` alone.
        image_size: Side of the published images in pixels.
        num_train: Training images of each domain.
        num_test: Test images of each domain.
        paired: Whether the images of the same index are a pair, in every split.
        headline: Key of the metric that ranks models, such as ``psnr_foreground`` or ``kid``; one
            that every direction has.
        licence: Of the images, as stated at their origin.
        origin: Address or description of where the images come from.
        reader: Gives the images.
        attributes: What the labels of a labelled task say; empty where images have none.
        exclusive: Groups of attributes of which an image has one at most.
        pixels: Domain → what its images consist of, where that is not 8-bit RGB.
        split: Which images its test images are: ``test``, or ``validation`` where they are held out
            of those of training (see ``tasks.validation``).
        resize: How its images are to be resized, whatever a model's own choice; "" for that.
        argument: What finds it after ``--task``, where neither its name nor a folder does; else "".
        reading: What is done to the pixels of all its files.
        notes: Sentences for users: how its folder was read, and what follows.
        validation: The task whose test images are validation images of their own, that folders
            have; None where they are held out of those of training.
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
    pixels: Mapping[str, PixelFormat] = field(default_factory=dict)
    split: str = "test"
    resize: Literal["", "square", "short_side", "whole"] = ""
    argument: str = ""
    reading: Reading = AS_STORED
    notes: tuple[str, ...] = ()
    validation: Task | None = None

    @property
    def channels(self) -> Mapping[str, int]:
        """Channels of the images of each domain."""
        return {domain: self.pixel_format(domain).channels for domain in self.domains}

    @property
    def value_range(self) -> Mapping[str, ValueRange | None]:
        """Lowest and highest value of the images of each domain; None for 8 bits."""
        return {domain: self.pixel_format(domain).value_range for domain in self.domains}

    def pixel_format(self, domain: str) -> PixelFormat:
        """Tell what the images of a domain consist of; of a labelled task those of all."""
        return self.pixels.get(domain, self.pixels.get(EVERY, RGB))

    @property
    def has_masks(self) -> bool:
        """Whether the instance masks of every image are known."""
        return self.reader.has_masks

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
        self._check_split(split)
        self._check(domain)
        return self.reader.images(split, domain)

    def labels(self, split: str, domain: str) -> list[Label] | None:
        """List the label of each image, in their order; None where the task has no labels.

        Raises:
            ValueError: If there is no such split or domain.
        """
        if not self.attributes:
            return None
        self._check_split(split)
        self._check(domain)
        return self.reader.labels(split, domain)

    def instance_masks(self, split: str, domain: str) -> list[TaskMasks] | None:
        """List the instance masks of each image, in their order; None where the task has none.

        Raises:
            ValueError: If there is no such split or domain.
        """
        self._check_split(split)
        self._check(domain)
        return self.reader.instance_masks(split, domain)

    def truth(self, source: str, target: str, split: str = "test") -> list[TaskImage] | None:
        """List the true translation of each image of ``source`` in a split, in the same order.

        Returns:
            None where no truth is known, or several translations are right. Images of a paired task
            keep the names of the target.
        """
        self._check_split(split)
        self._check(source, target)
        return self.reader.truth(source, target, split)

    def answers(
        self, source: str, target: str, split: str = "test"
    ) -> list[list[TaskImage]] | None:
        """List all right translations of each image of ``source`` in a split, in the same order.

        Returns:
            As many for each image; None where these are not known, or the task is of one to one.
        """
        self._check_split(split)
        self._check(source, target)
        return self.reader.answers(source, target, split)

    def true_masks(self, source: str, target: str, split: str = "test") -> list[TaskMasks] | None:
        """List the instance masks of each image of ``source`` after a right translation.

        Returns:
            The instances in the order of those of the source; None where they are not known.
        """
        self._check_split(split)
        self._check(source, target)
        return self.reader.true_masks(source, target, split)

    def foreground(
        self, source: str, target: str, split: str = "test"
    ) -> list[NDArray[bool_]] | None:
        """List what a true translation may change in each image of ``source``, in their order.

        Returns:
            Arrays (height, width), True where a pixel belongs to an object; None where unknown.
        """
        self._check_split(split)
        self._check(source, target)
        return self.reader.foreground(source, target, split)

    @staticmethod
    def _check_split(split: str) -> None:
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; possible: {', '.join(SPLITS)}")

    def _check(self, *domains: str) -> None:
        for position, domain in enumerate(domains):
            if self.attributes and domain != EVERY:
                self.labelling.chooses(domain, (0,) * len(self.attributes))  # raises if unknown
            elif domain not in self.domains or domain in domains[:position]:
                raise ValueError(
                    f"task {self.name!r} has the different domains {', '.join(self.domains)}; "
                    f"given: {', '.join(domains)}"
                )
