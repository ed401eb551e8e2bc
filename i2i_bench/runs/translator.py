"""A model with all it takes to translate files: loaded by name, and told in which direction."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from i2i_bench import official
from i2i_bench.data.needs import test_rule
from i2i_bench.labels import EVERY, Label, Labels
from i2i_bench.model import A2B, B2A, Direction, Model, ResizeRule, Settings
from i2i_bench.plugins import registry
from i2i_bench.pretrained import without_weights
from i2i_bench.records.folders import Places
from i2i_bench.runs import importing
from i2i_bench.runs.find import read_run_checkpoint
from i2i_bench.system.file_kinds import is_archive
from i2i_bench.system.tensors import read_untrusted
from i2i_bench.tasks.pixel_format import RGB, PixelFormat, read_pixels
from i2i_bench.tasks.reading import AS_STORED, Reading, read_reading
from i2i_bench.training import checkpoint
from i2i_bench.training.checkpoint_file import read_checkpoint
from i2i_bench.training.settings import (
    is_rgb,
    restore_settings,
    stated_channels,
    without_memory,
)


@dataclass(frozen=True, eq=False)
class Translator:
    """A model with all it takes to translate files.

    Attributes:
        model: With its weights.
        rule: How images come to their size.
        direction: From which domain to which.
        label: What translations are to have, for a model of labels.
        own_label: What the images have, where a change of that is asked for.
        num_instances: Most instance masks of an image; 0 for a model without.
        pixels: Domain → what its images consist of, where that is not 8-bit RGB.
        reading: What is done to the pixels of a file first, as it was in training.
    """

    model: Model
    rule: ResizeRule
    direction: Direction = A2B
    label: Label | None = None
    own_label: Label | None = None
    num_instances: int = 0
    pixels: Mapping[str, PixelFormat] = field(default_factory=dict)
    reading: Reading = AS_STORED

    @property
    def source_pixels(self) -> PixelFormat:
        """What the images to translate consist of."""
        return self.pixels.get(self.direction.source, RGB)

    @property
    def target_pixels(self) -> PixelFormat:
        """What translations consist of; under labels, the same."""
        domain = self.direction.source if self.label is not None else self.direction.target
        return self.pixels.get(domain, RGB)

    def upright(self) -> Translator:
        """Give one that applies the EXIF orientation of files, however it was trained."""
        reading = dataclasses.replace(self.reading, is_upright=True)
        return dataclasses.replace(self, reading=reading)

    def at(
        self,
        size: int | None,
        direction: str | None,
        *,
        labels: str | None = None,
        to: str | None = None,
    ) -> Translator:
        """Give one for another size and a direction, or for what translations are to have.

        Args:
            size: Side in pixels, of whole images the short one; None for that of the training, of
                whole images their own.
            direction: Such as ``a2b``; for a model of labels ``+blond`` or ``neutral2happy``.
            labels: What the images have, separated by commas, for a change such as ``+blond``.
            to: All that translations are to have.

        Raises:
            ValueError: If these are not possible, or not enough.
        """
        rule = dataclasses.replace(self.rule, size=size or self.rule.size)
        if rule.resize == "whole" and size is None:
            rule = dataclasses.replace(rule, resize="own")
        config = self.model.config
        if self.model.needs(config).labels != "no" and config.attributes:
            labelling = Labels(config.attributes, config.exclusive)
            label = _label(labelling, direction, labels=labels, to=to)
            own = labelling.read(labels) if labels is not None and to is None else None
            way = Direction(EVERY, "target")
            found = {"rule": rule, "direction": way, "label": label, "own_label": own}
            return dataclasses.replace(self, **found)
        if labels is not None or to is not None:
            title = self.model.card.title
            raise ValueError(f"{title} has no labels; leave --labels and --to out")
        return dataclasses.replace(self, rule=rule, direction=_direction(self.model, direction))


def _direction(model: Model, name: str | None) -> Direction:
    """Find a direction by its name; without one the first, unless the model has many domains.

    Raises:
        ValueError: If there is none of the name, or one of many is to be chosen.
    """
    known, title = possible_directions(model), model.card.title
    by_name = {str(way): way for way in known}
    if name in by_name:
        return by_name[name]
    domains = list(dict.fromkeys(way.source for way in known))
    is_many = model.directions is None and len(domains) > 2
    which = ", ".join(by_name)
    if is_many:
        which = f"SOURCE2TARGET of any two of {', '.join(domains)}, such as {known[0]}"
    if name is not None:
        raise ValueError(f"{title} has no direction {name}; possible: {which}")
    if is_many:
        raise ValueError(f"{title} translates between many domains; --direction is needed: {which}")
    return known[0]


def possible_directions(model: Model) -> list[Direction]:
    """Give the directions in which a model without labels translates, as it says itself."""
    if model.directions is not None:
        return sorted(model.directions, key=lambda way: way != A2B)
    if model.needs(model.config).drawn_domains == "no":
        return [A2B, B2A]
    return [Direction(*pair) for pair in itertools.permutations(model.config.domains, 2)]


def _label(
    labelling: Labels, direction: str | None, *, labels: str | None, to: str | None
) -> Label:
    """Find out what translations are to have."""
    if (direction is None) == (to is None):
        domains = [end for _, end in labelling.changes()]
        raise ValueError(
            "either --to, all that translations are to have, or --direction is needed; "
            f"possible directions: {', '.join(domains)}"
        )
    if to is not None:
        return labelling.read(to)
    return _changed(labelling, direction or "", labels)


def _changed(labelling: Labels, direction: str, labels: str | None) -> Label:
    """Give the label to which a change or a pair of domains leads."""
    pairs = {f"{source}2{end}": end for source, end in labelling.pairs()}
    ends = [end for _, end in labelling.changes()]
    ends += labelling.attributes if labelling.is_one_hot else ()
    end = pairs.get(direction, direction)
    if end not in ends:
        raise ValueError(f"no direction {direction}; possible: {', '.join([*ends, *pairs])}")
    if labelling.is_one_hot:
        return labelling.changed((0,) * len(labelling.attributes), end)
    if labels is None:
        raise ValueError(
            f"{direction} keeps all other attributes, which must be known: give what the images "
            f"have with --labels, of {', '.join(labelling.attributes)} (none: --labels '')"
        )
    return labelling.changed(labelling.read(labels), end)


def load_translator(
    places: Places, run: str | None, model: str | None, weights: Path | None
) -> Translator:
    """Load a run, or a model with a checkpoint or the authors' files.

    Raises:
        ValueError: If the weights are damaged, another model's, or not named in one of these ways.
    """
    if run and not (model or weights):
        content = read_run_checkpoint(run, places)
        return _from_checkpoint(content, content["identity"]["model"])
    if not (model and weights) or run:
        raise ValueError("either --run, or --model with --weights, is needed")
    if not _is_of_suite(weights):
        return _translator(*importing.load_official(model, weights))
    is_run = weights.is_dir()
    content = read_run_checkpoint(str(weights), places) if is_run else read_checkpoint(weights)
    return _from_checkpoint(content, model)


def _is_of_suite(weights: Path) -> bool:
    """Tell whether weights are a run's folder or a checkpoint of it, and not of a model's authors.

    What cannot be read is said where it is read as a checkpoint, if it is no archive.
    """
    if weights.is_dir():
        return any(weights.glob("checkpoint-*.pt"))
    if weights.is_file() and is_archive(weights):
        return False
    try:
        content = read_untrusted(weights)
    except ValueError:
        return True
    return not isinstance(content, dict) or "identity" in content


def _from_checkpoint(content: dict, name: str) -> Translator:
    identity = content["identity"]
    if identity["model"] != name:
        raise ValueError(f"the weights are of model {identity['model']!r}, not of {name!r}")
    model_class = registry.load_model(name)
    settings = restore_settings(model_class, identity["settings"])
    blank = without_memory(model_class, settings, content["networks"])
    checkpoint.require_fit(blank, content)
    with without_weights():
        model = model_class(settings.config)
    checkpoint.restore_networks(model, content)
    found = _translator(model, settings, read_pixels(identity.get("pixels", {})))
    return dataclasses.replace(found, reading=read_reading(identity.get("reading", {})))


def _translator(
    model: Model, settings: Settings, pixels: Mapping[str, PixelFormat] | None = None
) -> Translator:
    official.refuse_absent(model)
    if not pixels and not is_rgb(stated_channels(settings.config)):
        raise ValueError(
            f"these networks of {model.card.title} are for images other than RGB, and do not tell "
            "the range of values; translate with a run of this suite"
        )
    rule = test_rule(model.needs(model.config), settings)
    return Translator(model, rule, num_instances=settings.instances, pixels=pixels or {})
