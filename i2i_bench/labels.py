"""What the labels of a task say: the images they choose, and the changes they make possible."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from i2i_bench.system.messages import near

EVERY = "all"  # the one domain of a labelled task in training: all its images, told apart by labels

Label = tuple[int, ...]  # 0 or 1 for each attribute
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Labels:
    """The attributes that a label gives, and which of them exclude each other.

    ``+x`` are the images with attribute x, ``-x`` those without; where every image has exactly one
    attribute, x alone names those that have it.

    Attributes:
        attributes: Names, in the order of a label.
        exclusive: Groups of which an image has one at most.

    Raises:
        ValueError: If a name is unfit, there twice or unknown, or two directions had one name.
    """

    attributes: tuple[str, ...]
    exclusive: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        for name in self.attributes:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} is not a name for a domain or attribute: up to 64 letters, digits "
                    "and . _ - are possible, the first of them a letter or digit"
                )
        names = [*self.attributes, *(str(pair) for pair in self._pair_names())]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"two domains or directions would be named {twice}; rename a domain")
        known = set(self.attributes)
        unknown = [name for group in self.exclusive for name in group if name not in known]
        if unknown:
            raise ValueError(f"there is no attribute {unknown[0]}; {self._possible(unknown[0])}")

    @property
    def is_one_hot(self) -> bool:
        """Whether every image has exactly one of the attributes."""
        return is_one_hot(self.attributes, self.exclusive)

    def only(self, attributes: Iterable[str]) -> Labels:
        """Return the labels of some of the attributes; who excludes another still does.

        Raises:
            ValueError: If one is unknown.
        """
        names = tuple(attributes)
        for name in names:
            self._require(name)
        groups = (tuple(name for name in group if name in names) for group in self.exclusive)
        return Labels(names, tuple(group for group in groups if len(group) > 1))

    def changes(self) -> Iterator[tuple[str, str]]:
        """Return source and target of every change of one attribute, as models are scored by.

        An attribute that excludes others is only ever added, and takes their place.
        """
        for name in self.attributes:
            yield f"-{name}", f"+{name}"
            if not self._rivals(name):
                yield f"+{name}", f"-{name}"

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Return every ordered pair of domains; none where images have several attributes."""
        if self.is_one_hot:
            yield from ((s, t) for s in self.attributes for t in self.attributes if s != t)

    def chooses(self, domain: str, label: Label) -> bool:
        """Tell whether an image with this label belongs to a domain.

        Raises:
            ValueError: If there is no such domain.
        """
        return bool(label[self._position(domain)]) != domain.startswith("-")

    def changed(self, label: Label, target: str) -> Label:
        """Return the label that an image gets on the way to a domain.

        Raises:
            ValueError: If there is no such domain.
        """
        position, value = self._position(target), int(not target.startswith("-"))
        rivals = self._rivals(self.attributes[position]) if value else frozenset()
        return tuple(
            value if i == position else 0 if name in rivals else old
            for i, (name, old) in enumerate(zip(self.attributes, label, strict=True))
        )

    def untouched(self, target: str) -> list[int]:
        """Return the positions of the attributes that a change to a domain leaves alone."""
        position = self._position(target)
        changed = self._rivals(self.attributes[position]) | {self.attributes[position]}
        return [i for i, name in enumerate(self.attributes) if name not in changed]

    def read(self, text: str) -> Label:
        """Read the attributes that an image has, separated by commas; none are an empty text.

        Raises:
            ValueError: If one is unknown, or two exclude each other.
        """
        names = [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            self._require(name)
        for group in self.exclusive:
            if len(both := [name for name in group if name in names]) > 1:
                raise ValueError(f"{' and '.join(both)} exclude each other; give one of them")
        if self.is_one_hot and not names:
            raise ValueError(f"an image has one of {', '.join(self.attributes)}; none was given")
        return tuple(int(name in names) for name in self.attributes)

    def _pair_names(self) -> Iterator[str]:
        return (f"{source}2{target}" for source, target in self.pairs())

    def _rivals(self, name: str) -> frozenset[str]:
        groups = [group for group in self.exclusive if name in group]
        return frozenset(other for group in groups for other in group) - {name}

    def _position(self, domain: str) -> int:
        name = domain[1:] if domain[:1] in ("+", "-") else domain
        self._require(name)
        if name == domain and not self.is_one_hot:
            raise ValueError(f"images with {name} are +{name}, those without are -{name}")
        return self.attributes.index(name)

    def _require(self, name: str) -> None:
        if name not in self.attributes:
            raise ValueError(f"there is no attribute {name}; {self._possible(name)}")

    def _possible(self, name: str) -> str:
        return f"{near(name, self.attributes)}possible: {', '.join(self.attributes)}"


def is_one_hot(attributes: Iterable[str], exclusive: Iterable[Iterable[str]]) -> bool:
    """Tell whether every image has exactly one of the attributes: one group is of all of them."""
    return {frozenset(group) for group in exclusive} == {frozenset(attributes)}
