"""Selections of a labelled set: two of its domains, or some of its attributes, as a task."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import is_
from typing import TYPE_CHECKING, TypeVar

from i2i_bench.labels import EVERY, Label, Labels
from i2i_bench.system.messages import near
from i2i_bench.tasks.source import Source
from i2i_bench.tasks.task import DOMAINS, SPLITS, Reader, Task, TaskImage, TaskMasks

if TYPE_CHECKING:
    from numpy import bool_
    from numpy.typing import NDArray

LONGEST_NAME = 100  # characters, as records have it

_CODE = re.compile(r"(?P<count>\d+)-of-(?P<total>\d+)-(?P<bits>[0-9a-f]+)")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Selection:
    """Which images of a labelled set a task is of, and what their labels say in it.

    Attributes:
        whole: The task or source of the whole set.
        text: What is typed after the colon, in the order of the set.
        labelling: What labels of the images say; without attributes in a selection of two domains.
        ends: Domains of the whole that are a and b; empty in a selection with labels.
    """

    whole: Task | Source
    text: str
    labelling: Labels
    ends: tuple[str, ...] = ()

    @property
    def typed(self) -> str:
        """What is typed after ``--task``."""
        return f"{_typed(self.whole)}:{self.text}"

    @property
    def name(self) -> str:
        """Name of the task, safe as one of a file: a full stop for the colon; coded when too long.

        The code gives the numbers of the attributes as bits, so that it can be read back.
        """
        plain = f"{self.whole.name}.{self.text}"
        if len(plain) <= LONGEST_NAME:
            return plain
        known, chosen = self.whole.labelling.attributes, self.labelling.attributes
        bits = sum(1 << known.index(name) for name in chosen)
        return f"{self.whole.name}.{len(chosen)}-of-{len(known)}-{bits:x}"

    @property
    def title(self) -> str:
        """One line for people."""
        return f"{self.whole.title}: {_in_words(self)}"

    @property
    def version(self) -> int:
        """Of the set."""
        return self.whole.version

    @property
    def headline(self) -> str:
        """Key of the metric that ranks models, as on the set."""
        return self.whole.headline

    @property
    def needed(self) -> tuple[str, ...]:
        """Attributes of the set by which the images are chosen and labelled."""
        if self.whole.labelling.is_one_hot:
            return self.whole.labelling.attributes
        return self.labelling.attributes or (self.text,)

    def in_whole(self, domain: str) -> str:
        """Return what a domain is called in the whole set."""
        return self.ends[DOMAINS.index(domain)] if self.ends else domain

    def direction_in_whole(self, direction: str) -> str:
        """Return what a direction, such as ``a2b``, is called in the whole set."""
        source, _, target = direction.partition("2")
        if {source, target} != set(DOMAINS) or not self.ends:
            return direction
        start, end = map(self.in_whole, (source, target))
        return end if end[:1] in ("+", "-") else f"{start}2{end}"

    def of_embedded(self) -> Task | None:
        """Make the task where the set is embedded; None where its files are needed."""
        return self.make_task(self.whole) if isinstance(self.whole, Task) else None

    def make_task(self, whole: Task) -> Task:
        """Make the task.

        Args:
            whole: The set, with the attributes ``needed`` or more.
        """
        reader = SelectionReader(whole, self, whole.has_masks)
        domains = DOMAINS if self.ends else (EVERY,)
        is_paired = bool(self.ends) and all(map(reader.is_in_pairs, SPLITS))
        return replace(
            whole,
            name=self.name,
            title=self.title,
            argument=whole.argument and self.typed,
            domains=domains,
            num_train={domain: len(reader.images("train", domain)) for domain in domains},
            num_test={domain: len(reader.images("test", domain)) for domain in domains},
            paired=is_paired,
            reader=reader,
            attributes=self.labelling.attributes,
            exclusive=self.labelling.exclusive,
            validation=self.make_task(whole.validation) if whole.validation else None,
        )


@dataclass(frozen=True)
class SelectionReader(Reader):
    """Read the images of a selection, and what the whole set knows of them.

    Attributes:
        whole: The set.
        selection: Of its images.
        has_masks: Whether instance masks of every image are known.
    """

    whole: Task
    selection: Selection
    has_masks: bool = False

    def images(self, split: str, domain: str) -> list[TaskImage]:
        """List the images of one split and domain, in the order of the set."""
        named = self.selection.in_whole(domain)
        return self._chosen(split, domain, self.whole.images(split, named))

    def labels(self, split: str, domain: str) -> list[Label] | None:
        """List their labels; None in a selection of two domains."""
        if self.selection.ends:
            return None
        found = self._chosen(split, domain, self._whole_labels(split, domain))
        columns = self._columns
        return [tuple(label[column] for column in columns) for label in found]

    def instance_masks(self, split: str, domain: str) -> list[TaskMasks] | None:
        """List the instance masks of each image; None where the set has none."""
        found = self.whole.instance_masks(split, self.selection.in_whole(domain))
        return None if found is None else self._chosen(split, domain, found)

    def subjects(self, split: str, domain: str) -> list[str] | None:
        """List what each image shows, where the set knows it."""
        found = self.whole.reader.subjects(split, self.selection.in_whole(domain))
        return None if found is None else self._chosen(split, domain, found)

    def truth(self, source: str, target: str, split: str = "test") -> list[TaskImage] | None:
        """List the true translation of each image, where the set knows all of them."""
        found = self.whole.truth(*self._ends(source, target), split)
        return None if found is None else self._chosen(split, source, found)

    def answers(
        self, source: str, target: str, split: str = "test"
    ) -> list[list[TaskImage]] | None:
        """List all right translations of each image, where the set knows several."""
        found = self.whole.answers(*self._ends(source, target), split)
        return None if found is None else self._chosen(split, source, found)

    def foreground(
        self, source: str, target: str, split: str = "test"
    ) -> list[NDArray[bool_]] | None:
        """List what a right translation may change, where the set knows it."""
        found = self.whole.foreground(*self._ends(source, target), split)
        return None if found is None else self._chosen(split, source, found)

    def true_masks(self, source: str, target: str, split: str = "test") -> list[TaskMasks] | None:
        """List the instance masks after a right translation, where the set knows them."""
        found = self.whole.true_masks(*self._ends(source, target), split)
        return None if found is None else self._chosen(split, source, found)

    def is_in_pairs(self, split: str) -> bool:
        """Tell whether images of the same index show the same but for their labels.

        So it is where files are named by person, pose and expression, and none is missing.
        """
        here, there = (self.images(split, domain) for domain in DOMAINS)
        if len(here) != len(there):
            return False
        a, b = DOMAINS
        truths = self.truth(a, b, split), self.truth(b, a, split)
        return all(
            truth is not None and all(map(is_, truth, images))
            for truth, images in zip(truths, (there, here), strict=True)
        )

    def _ends(self, source: str, target: str) -> tuple[str, str]:
        return self.selection.in_whole(source), self.selection.in_whole(target)

    @property
    def _columns(self) -> list[int]:
        """Positions of the labels in those of the set."""
        return [self.whole.attributes.index(name) for name in self.selection.labelling.attributes]

    def _whole_labels(self, split: str, domain: str) -> list[Label]:
        found = self.whole.labels(split, self.selection.in_whole(domain))
        if found is None:
            raise ValueError(f"task {self.whole.name!r} has no labels to select images by")
        return found

    def _chosen(self, split: str, domain: str, values: Sequence[_Value]) -> list[_Value]:
        """Keep the values of images of the selection, of those of a domain of the set.

        Only where some of several classes are labels does the domain hold images of others.
        """
        if self.selection.ends or not self.selection.labelling.is_one_hot:
            return list(values)
        columns, labels = self._columns, self._whole_labels(split, domain)
        return [
            value
            for value, label in zip(values, labels, strict=True)
            if any(label[column] for column in columns)
        ]


def select(text: str, whole: Task | Source) -> Selection:
    """Read what is typed after the colon.

    ``x2y`` are two classes where every image has exactly one of several; ``x`` are the images
    without and with an attribute elsewhere; ``x,y,z`` are labels.

    Raises:
        ValueError: If the set has no labels, or not these; with what is possible.
    """
    known = whole.labelling
    if not known.attributes:
        raise ValueError(f"task {whole.name!r} has no labels; only labelled tasks have selections")
    if pair := _pair(text, known):
        if not known.is_one_hot:
            raise ValueError(
                f"images of {whole.name} have several attributes, so that {text} is no selection; "
                f"those without and with {pair[1]} are {_typed(whole)}:{pair[1]}"
            )
        selection = Selection(whole, text, Labels(()), pair)
    else:
        selection = _select_attributes(_names(text, whole), whole)
    if len(selection.name) > LONGEST_NAME:
        raise ValueError(
            f"{selection.name} is too long a name for files, of {len(selection.name)} characters "
            f"and not {LONGEST_NAME}; rename the folders of its domains"
        )
    return selection


def _select_attributes(names: tuple[str, ...], whole: Task | Source) -> Selection:
    """Select by attributes, which are in the order of the set."""
    known, text = whole.labelling, ",".join(names)
    if names == whole.attributes:
        raise ValueError(f"{text} are all labels of task {whole.name}: that is {_typed(whole)}")
    if len(names) == 1:
        if known.is_one_hot:
            other = next(name for name in known.attributes if name != text)
            raise ValueError(
                f"{text} is one class of {whole.name}, and a task has two or more, as in "
                f"{_typed(whole)}:{other}2{text}"
            )
        return Selection(whole, text, Labels(()), (f"-{text}", f"+{text}"))
    labels = known.only(names)
    if labels.is_one_hot and not known.is_one_hot:
        raise ValueError(
            f"{' and '.join(names)} exclude each other, and an image of {whole.name} may have none "
            f"of them; add another attribute, or select one as {_typed(whole)}:{names[0]}"
        )
    return Selection(whole, text, labels)


def _names(text: str, whole: Task | Source) -> tuple[str, ...]:
    """Read the names of attributes, or their code in a name that was too long."""
    known = whole.labelling.attributes
    code = _CODE.fullmatch(text)
    if code and int(code["total"]) == len(known):
        bits = int(code["bits"], 16)
        chosen = {name for number, name in enumerate(known) if bits >> number & 1}
    else:
        chosen = {name.strip() for name in text.split(",") if name.strip()}
    unknown = [name for name in sorted(chosen) if name not in known]
    if unknown or not chosen:
        pairs = [f"{a}2{b}" for a, b in whole.labelling.pairs()]
        meant = near(unknown[0], [*known, *pairs]) if unknown else ""
        wrong = f"there is no {unknown[0]} in" if unknown else "nothing is selected of"
        raise ValueError(
            f"{wrong} task {whole.name}; {meant}possible: {', '.join(known)}, as in "
            f"{' or '.join(_examples(whole))}"
        )
    return tuple(name for name in known if name in chosen)


def _pair(text: str, known: Labels) -> tuple[str, str] | None:
    """Read two different attributes with a 2 between them; None for anything else."""
    if text in known.attributes:
        return None
    for position, letter in enumerate(text):
        pair = text[:position], text[position + 1 :]
        if letter == "2" and set(pair) <= set(known.attributes) and pair[0] != pair[1]:
            return pair
    return None


def _in_words(selection: Selection) -> str:
    if not selection.ends:
        return ", ".join(selection.labelling.attributes)
    source, target = selection.ends
    return f"without and with {target[1:]}" if target[0] == "+" else f"{source} and {target}"


def two_domains_of(whole: Task | Source) -> str:
    """Give what is typed for one selection of two domains of a labelled set; "" of another task."""
    return _examples(whole)[0] if whole.attributes else ""


def selections_of(whole: Task | Source) -> str:
    """Say how selections of a labelled set are typed, and by which names."""
    known = whole.labelling
    two, some = _examples(whole)
    words = "two classes" if known.is_one_hot else "without and with"
    return f"{two} ({words}), {some} (labels); any of {', '.join(known.attributes)}"


def _examples(whole: Task | Source) -> tuple[str, str]:
    """Give what is typed for two domains, and for labels."""
    names, pairs = whole.attributes, [f"{a}2{b}" for a, b in whole.labelling.pairs()]
    two, some = (pairs[0], names[:2]) if pairs else (names[-1], names[-2:])
    return f"{_typed(whole)}:{two}", f"{_typed(whole)}:{','.join(some)}"


def _typed(whole: Task | Source) -> str:
    """Give what is typed for the whole set."""
    if isinstance(whole, Task) and whole.kind == "folder":
        return "path/to/folder"
    return (isinstance(whole, Task) and whole.argument) or whole.name
