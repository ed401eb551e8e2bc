"""Tasks without data, whose facts checks, cards and imports need."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from i2i_bench.data.needs import lacking_need
from i2i_bench.labels import EVERY
from i2i_bench.model import Model, Preset


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
    num_channels: tuple[int, ...] = ()  # by domain; RGB where empty

    @property
    def channels(self) -> Mapping[str, int]:
        """Channels of the images of each domain."""
        counts = self.num_channels or (3,) * len(self.domains)
        return dict(zip(self.domains, counts, strict=True))


LABELLED = Toy(domains=(EVERY,), num_train={EVERY: 8}, attributes=("dark", "round", "tall"))
NOMINAL = Toy(
    "nominal", kind="folder", image_size=256, num_train={"a": 1000, "b": 1000}
)  # of the field's usual size


CLASSES = dataclasses.replace(LABELLED, exclusive=(LABELLED.attributes,))


def toy(model_class: type[Model]) -> Toy:
    """Return a task small enough for tests, of the kind that a model is for."""
    return fitting_toy(model_class, "tiny", [Toy(), LABELLED, CLASSES])


def generous_toy(model_class: type[Model]) -> Toy | None:
    """Return a task small enough for tests that gives all that a model can use, too.

    Returns:
        None if what the model must have is all that it can use.
    """
    least = toy(model_class)
    needs = model_class.needs(model_class.settings("tiny", least).config)
    given = Toy() if least.attributes == () else least
    if needs.drawn_domains != "no":
        given = CLASSES
    elif needs.labels != "no" and not least.attributes:
        given = LABELLED
    paired, has_masks = needs.pairs != "no", needs.masks != "no"
    given = dataclasses.replace(given, paired=paired, has_masks=has_masks)
    return None if given == least else given


def nominal(model_class: type[Model], num_domains: int) -> Toy:
    """Return a task of the field's usual size: 256 px, and 128 px where domains are labels."""
    names = tuple(f"domain{number}" for number in range(1, num_domains + 1))
    counts = {EVERY: 1000 * num_domains}
    labelled = Toy("nominal", "folder", 128, (EVERY,), counts, names, (names,))
    names = ("a", "b", *(f"domain{number}" for number in range(3, num_domains + 1)))
    pairs = dataclasses.replace(NOMINAL, domains=names, num_train=dict.fromkeys(names, 1000))
    return fitting_toy(model_class, "published", [pairs, labelled])


def fitting_toy(model_class: type[Model], preset: Preset, toys: Iterable[Toy]) -> Toy:
    """Return the first task that gives what a model needs, with pairs and masks only if it must.

    Args:
        model_class: The model.
        preset: Of the settings, on which the needs depend.
        toys: Tasks, without pairs and masks.

    Raises:
        ValueError: If there is none, with the reason why the first one is refused.
    """
    first = None
    for each in toys:
        for paired, has_masks in ((False, False), (True, False), (False, True), (True, True)):
            task = dataclasses.replace(each, paired=paired, has_masks=has_masks)
            try:
                needs = model_class.needs(model_class.settings(preset, task).config)
            except ValueError as error:  # the model does not do such a task
                first = first or error
                continue
            if not lacking_need(needs, task):
                return task
    raise first or ValueError(f"no task gives what {model_class.card.title} needs")
