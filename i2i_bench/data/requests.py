"""What a model is asked to translate, and its answer, whatever kind of model it is."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from i2i_bench.data.directions import LabelArray
from i2i_bench.model import Batch, Direction, Masks, Model
from i2i_bench.randomness import Randomness

Answer = TypeVar("Answer")


@dataclass(frozen=True, eq=False)
class Request:
    """Images that a model is to translate.

    Attributes:
        direction: From where to where.
        images: (batch, 3, height, width) in [-1, 1].
        labels: What they have and what they are to get, (batch, attributes) each, int8.
        masks: Instance masks of the images, (batch, instances, height, width), 0 or 1.
        examples: Images whose style translations are to take, in the shape of the images.
    """

    direction: Direction
    images: Tensor
    labels: tuple[LabelArray, LabelArray] | None = None
    masks: Tensor | None = None
    examples: Tensor | None = None

    def part(self, start: int, stop: int) -> Request:
        """Return the request for some of the images."""
        labels = None if self.labels is None else tuple(each[start:stop] for each in self.labels)
        others = [None if t is None else t[start:stop] for t in (self.masks, self.examples)]
        return Request(self.direction, self.images[start:stop], labels, *others)  # pyright: ignore[reportArgumentType] - two labels

    def at_size(self, height: int, width: int) -> Request:
        """Return the request for images of another size: repeated beside themselves, and cut."""
        tensors = self.images, self.masks, self.examples
        images, masks, examples = (t if t is None else _tiled(t, height, width) for t in tensors)
        assert images is not None
        return dataclasses.replace(self, images=images, masks=masks, examples=examples)

    def batch(self) -> Batch:
        """Return the batch that a model sees."""
        source, target = self.direction.source, self.direction.target
        labels = None
        if self.labels is not None:
            before, after = (torch.from_numpy(each).to(self.images) for each in self.labels)
            labels = {source: before, target: after}
        masks = None if self.masks is None else {source: self.masks}
        examples = None if self.examples is None else {target: self.examples}
        return Batch({source: self.images}, labels, masks, examples)


def _tiled(images: Tensor, height: int, width: int) -> Tensor:
    """Repeat (..., rows, columns) in both directions up to this size."""
    times = -(-height // images.shape[-2]), -(-width // images.shape[-1])
    tiled = images.repeat(*[1] * (images.ndim - 2), *times)
    return tiled[..., :height, :width].contiguous()


def translate_images(model: Model, request: Request, random: Randomness) -> Tensor:
    """Have a model translate, (batch, 3, height, width) in [-1, 1].

    Args:
        model: In evaluation mode, without gradients.
        request: What to translate.
        random: Its seed is the number of the output, its first sample the index of the first image.
    """
    parts = _asked(model, request, random, model.translate)
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def translate_instances(model: Model, request: Request, random: Randomness) -> Tensor | None:
    """Return the instance masks after a translation, (batch, instances, height, width) in [0, 1].

    They are those of the source where a model leaves them as they are; None where there are none.
    """
    if request.masks is None:
        return None
    parts = _asked(model, request, random, model.translate_masks)
    found = [part for part in parts if part is not None]
    return torch.cat(found) if len(found) == len(parts) else request.masks


def attention_of(model: Model, request: Request, random: Randomness) -> Masks | None:
    """Return the attention behind a translation; None for a model without."""
    parts = _asked(model, request, random, model.masks)
    found = [part for part in parts if part is not None]
    if len(parts) == 1 or not found:
        return parts[0]
    contents = [part.content for part in found if part.content is not None]
    attention = torch.cat([part.attention for part in found])
    return Masks(attention, torch.cat(contents) if contents else None, found[0].background)


def _asked(
    model: Model,
    request: Request,
    random: Randomness,
    ask: Callable[[Batch, Direction, Randomness], Answer],
) -> list[Answer]:
    """Ask for one part of the images after the other."""
    return [
        ask(part.batch(), part.direction, random.at(random.first_sample + start))
        for start, part in _parts(model, request)
    ]


def _parts(model: Model, request: Request) -> Iterator[tuple[int, Request]]:
    """Cut a request into runs of one source domain, for a model that tells domains apart.

    Such a model translates each image from the domain that its label tells.
    """
    if request.labels is None or model.needs(model.config).drawn_domains == "no":
        yield 0, request
        return
    domains = model.config.domains
    ends = zip(*(each.argmax(axis=1).tolist() for each in request.labels), strict=True)
    start = 0
    for (source, target), run in itertools.groupby(ends):
        stop = start + len(list(run))
        way = Direction(domains[source], domains[target])
        yield start, dataclasses.replace(request.part(start, stop), direction=way)
        start = stop
