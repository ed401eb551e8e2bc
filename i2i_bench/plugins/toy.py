"""Tasks without data, whose facts checks, cards and imports need."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from i2i_bench.labels import EVERY
from i2i_bench.model import Model


@dataclass(frozen=True)
class Toy:
    """The facts of a task without data; by default one small enough for tests."""

    name: str = "toy"
    kind: str = "embedded"
    image_size: int = 32
    domains: tuple[str, ...] = ("a", "b")
    num_train: Mapping[str, int] = field(default_factory=lambda: {"a": 8, "b": 8})
    attributes: tuple[str, ...] = ()
    exclusive: tuple[tuple[str, ...], ...] = ()
    paired: bool = False
    has_masks: bool = False


def toy(model_class: type[Model]) -> Toy:
    """Return a task small enough for tests, of the kind that a model is for."""
    if not model_class.card.takes_labels:
        return Toy()
    names = ("dark", "round", "tall")
    return Toy(domains=(EVERY,), num_train={EVERY: 8}, attributes=names)


NOMINAL = Toy(
    "nominal", kind="folder", image_size=256, num_train={"a": 1000, "b": 1000}
)  # of the field's usual size


def nominal(model_class: type[Model], num_domains: int) -> Toy:
    """Return a task of the field's usual size: 256 px, and 128 px where domains are labels."""
    if model_class.card.takes_labels:
        names = tuple(f"domain{number}" for number in range(1, num_domains + 1))
        counts = {EVERY: 1000 * num_domains}
        return Toy("nominal", "folder", 128, (EVERY,), counts, names, (names,))
    names = ("a", "b", *(f"domain{number}" for number in range(3, num_domains + 1)))
    return dataclasses.replace(NOMINAL, domains=names, num_train=dict.fromkeys(names, 1000))
