"""What a model's translations and masks must satisfy."""

from __future__ import annotations

import dataclasses
from functools import partial

import torch
from torch import Tensor

from i2i_bench.data.requests import (
    Request,
    attention_of,
    translate_images,
    translate_instances,
)
from i2i_bench.model import Direction, Masks, Model
from i2i_bench.plugins.subject import Check, Subject
from i2i_bench.randomness import Randomness


def translations_keep_shape_and_range(subject: Subject) -> str | None:
    """Check every direction: shape, range, and that the same seed gives the same to the bit."""
    model = subject.build()
    model.networks.eval()
    with torch.no_grad():
        for request in subject.requests(model):
            source, way = request.images, request.direction
            before = torch.get_rng_state()
            fake = translate_images(model, request, Randomness(0))
            if fake.shape != source.shape:
                return f"{way}: {tuple(fake.shape)} made of {tuple(source.shape)}"
            if not bool((fake.abs() <= 1 + 1e-6).all()):
                return f"{way}: values outside [-1, 1], or not numbers"
            if not torch.equal(before, torch.get_rng_state()):
                return f"{way}: a translation draws from torch's generator, not from random"
            if not torch.equal(fake, translate_images(model, request, Randomness(0))):
                return f"{way}: the same image and seed are translated in two ways"
    return None


def whole_images_are_possible(subject: Subject) -> str | None:
    """Check that images need not be square, if their sides are multiples of ``needs.multiple``.

    A model that refuses another shape than the one it is trained on takes that one alone, as one
    with a layer for every pixel does; ``resize=whole`` is refused for it then.
    """
    side, multiple = subject.settings.crop_size, subject.needs.multiple
    if side % multiple:
        return f"needs.multiple is {multiple}, and the settings' crop_size is {side}"
    model = subject.build()
    model.networks.eval()
    with torch.no_grad():
        for request in subject.requests(model):
            try:
                wrong = _misshapen(model, request.at_size(side, 2 * side))
            except Exception:  # a model may refuse in any way
                continue
            sizes = (side + multiple, side), (side, side + 3 * multiple)
            wrong = wrong or next(filter(None, map(partial(_of_size, model, request), sizes)), None)
            if wrong:
                return f"{request.direction}: needs.multiple is {multiple}, and {wrong}"
    return None


def _of_size(model: Model, request: Request, size: tuple[int, int]) -> str | None:
    """Say what is wrong with a translation of this height and width; None for nothing."""
    try:
        return _misshapen(model, request.at_size(*size))
    except Exception as error:  # a model may refuse in any way
        return f"images of {size[1]}x{size[0]} px are refused: {error}"


def _misshapen(model: Model, request: Request) -> str | None:
    """Say which part of a translation has another shape than the image; None for none."""
    source, masks = request.images, attention_of(model, request, Randomness(0))
    parts = {
        "translations": translate_images(model, request, Randomness(0)),
        "attention": masks and masks.attention,
        "contents": masks and masks.content,
        "instance masks": translate_instances(model, request, Randomness(0)),
    }
    for name, made in parts.items():
        if made is not None and made.shape[-2:] != source.shape[-2:]:
            return f"{name} {tuple(made.shape)} are made of images {tuple(source.shape)}"
    return None


def styles_decide_the_translation(subject: Subject) -> str | None:
    """Check that another seed or example gives another translation, if the card says so."""
    model, card = subject.build(), subject.model_class.card
    model.networks.eval()
    if card.is_random:
        requests = subject.requests(model)
        with torch.no_grad():
            made = [[translate_images(model, r, Randomness(k)) for k in (0, 1)] for r in requests]
        if all(torch.equal(*pair) for pair in made):
            return "the card says is_random, and another seed gives the same translation"
    if not card.takes_examples:
        return None
    requests = subject.requests(model)
    with torch.no_grad():
        for request in requests:
            examples = (request.images, -request.images)
            styled = [dataclasses.replace(request, examples=each) for each in examples]
            if not torch.equal(*(translate_images(model, r, Randomness(0)) for r in styled)):
                return None
    return "the card says takes_examples, and another example gives the same translation"


def translations_are_of_single_images(subject: Subject) -> str | None:
    """Check that an image is translated alike whatever else is in its batch."""
    settings = subject.settings
    more = {key: max(2, getattr(settings, key)) for key in ("batch_size", "budget")}
    subject = dataclasses.replace(subject, settings=dataclasses.replace(settings, **more))
    model = subject.build()
    model.networks.eval()
    with torch.no_grad():
        for request in subject.requests(model):
            together = translate_images(model, request, Randomness(0))
            alone = [
                translate_images(model, request.part(i, i + 1), Randomness(0, i))
                for i in range(len(together))
            ]
            if not torch.allclose(together, torch.cat(alone), atol=1e-4):
                return f"{request.direction}: a translation depends on the rest of its batch"
    return None


def instances_keep_their_number(subject: Subject) -> str | None:
    """Check that translated instance masks are as many, as large, and in [0, 1]."""
    model = subject.build()
    model.networks.eval()
    with torch.no_grad():
        for request in subject.requests(model):
            moved = translate_instances(model, request, Randomness(0))
            if moved is None or request.masks is None:
                continue
            if moved.shape != request.masks.shape:
                before = tuple(request.masks.shape)
                return f"{request.direction}: masks {tuple(moved.shape)} made of {before}"
            if not bool(((moved >= 0) & (moved <= 1)).all()):
                return f"{request.direction}: masks outside [0, 1], or not numbers"
    return None


def labels_decide_the_translation(subject: Subject) -> str | None:
    """Check that a model of labels translates an image to each label in another way."""
    if subject.needs.labels == "no" or not subject.task.attributes:
        return None
    model = subject.build()
    model.networks.eval()
    with torch.no_grad():
        for request in subject.requests(model):
            assert request.labels is not None
            before, after = request.labels
            other = dataclasses.replace(request, labels=(1 - before, 1 - after))
            fakes = [translate_images(model, each, Randomness(0)) for each in (request, other)]
            if torch.equal(*fakes):
                return f"{request.direction}: all labels give the same translation"
    return None


def _masked(subject: Subject) -> list[tuple[Direction, Masks, Tensor, Tensor]]:
    """Give masks, source and translation of every direction that has masks."""
    model, found = subject.build(), []
    model.networks.eval()
    with torch.no_grad():
        for request in subject.requests(model):
            masks = attention_of(model, request, Randomness(0))
            if masks is not None:
                fake = translate_images(model, request, Randomness(0))
                found.append((request.direction, masks, request.images, fake))
    return found


def masks_share_each_pixel(subject: Subject) -> str | None:
    """Check the shape of masks, that they sum to 1, and the index of the background."""
    for _, masks, source, _ in _masked(subject):
        shape, (count, _, height, width) = masks.attention.shape, source.shape
        if (shape[0], *shape[2:]) != (count, height, width):
            return f"attention is {tuple(shape)} for images of {height}x{width}"
        if not bool(((masks.attention >= 0) & (masks.attention <= 1 + 1e-6)).all()):
            return "attention lies outside [0, 1], or is not numbers"
        if not torch.allclose(masks.attention.sum(1), torch.ones(count, height, width), atol=1e-4):
            return "attention does not sum to 1"
        if masks.background is not None and masks.background not in range(shape[1]):
            return f"background is mask {masks.background} of {shape[1]}"
    return None


def contents_keep_shape_and_range(subject: Subject) -> str | None:
    """Check the shape of contents, and that they lie in [-1, 1]."""
    for direction, masks, source, _ in _masked(subject):
        if masks.content is None:
            continue
        shape = tuple(masks.content.shape)
        if len(shape) != 5 or (shape[0], *shape[2:]) != tuple(source.shape):
            return f"{direction}: content is {shape} for images {tuple(source.shape)}"
        if not bool((masks.content.abs() <= 1 + 1e-6).all()):
            return f"{direction}: content lies outside [-1, 1], or is not numbers"
    return None


def background_copies_the_input(subject: Subject) -> str | None:
    """Check that contents and input, blended by their masks, give the translation.

    Contents beyond [-1, 1] are clipped in ``Masks``, so such pixels are left out. A model that does
    not return all of its contents is not checked.
    """
    for direction, masks, source, fake in _masked(subject):
        contents, count = masks.content, masks.attention.shape[1]
        if masks.background is None or (0 if contents is None else contents.shape[1]) != count - 1:
            continue
        others = [k for k in range(count) if k != masks.background]
        blend = masks.attention[:, masks.background, None] * source
        is_clipped = torch.zeros_like(source, dtype=torch.bool)
        if contents is not None:
            blend = blend + (masks.attention[:, others, None] * contents).sum(dim=1)
            is_clipped = (contents.abs() >= 1).any(dim=1)
        distance = (fake - blend.clamp(-1, 1)).abs()
        if bool((distance[~is_clipped] > 1e-4).any()):
            return (
                f"{direction}: mask {masks.background} of {count} does not copy the input: the "
                "translation is another than that and the contents, each behind its mask"
            )
    return None


TRANSLATION_CHECKS: dict[str, Check] = {
    "translations keep shape and range": translations_keep_shape_and_range,
    "translations are of single images": translations_are_of_single_images,
    "whole images are possible": whole_images_are_possible,
    "labels decide the translation": labels_decide_the_translation,
    "styles decide the translation": styles_decide_the_translation,
    "instances keep their number": instances_keep_their_number,
    "masks share each pixel": masks_share_each_pixel,
    "contents keep shape and range": contents_keep_shape_and_range,
    "the background copies the input": background_copies_the_input,
}
