"""Translate the test set of a task, and gather what the translations are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from i2i_bench.data.decode import (
    Images,
    channels_first,
    channels_last,
    decode_images,
    to_float,
    to_uint8,
)
from i2i_bench.data.directions import LabelArray, label_array, labels_of, request
from i2i_bench.data.test_set import TestSet
from i2i_bench.data.training_images import sample_order
from i2i_bench.model import Batch, Direction, Model
from i2i_bench.official import AbsentNetwork
from i2i_bench.scoring.health import NO_MASKS, join, measure
from i2i_bench.scoring.metrics.masks import MaskHealth
from i2i_bench.system.progress import Progress

BATCH_SIZE = 8  # always the same: another one changes the last bits of some networks' images


@dataclass(frozen=True)
class Translations:
    """The test set of one direction, translated.

    Attributes:
        direction: From where to where.
        names: File name of each source.
        sources: (images, height, width, 3), uint8.
        fakes: The same shape, rounded to 8 bits.
        reconstructions: The fakes, as saved, translated back; or the reason why there are none.
        background: (images, height, width), attention of the mask that copies the input; None for a
            model without one.
        health: Of all attention masks; or the reason why it could not be measured.
        checkpoint: ``last``, or which.
        partial: Whether test images are missing.
        labels: Of the sources, and those to which they were translated; None without labels.
    """

    direction: Direction
    names: list[str]
    sources: Images
    fakes: Images
    reconstructions: Images | str = "not translated back"
    background: NDArray[np.float32] | None = None
    health: MaskHealth | str = NO_MASKS
    checkpoint: str = "last"
    partial: bool = False
    labels: tuple[LabelArray, LabelArray] | None = None


@dataclass(frozen=True)
class Reference:
    """What the translations of one direction are compared with.

    Attributes:
        names: File name of each real test image of the target domain.
        real: (images, height, width, 3), uint8.
        halves: Two disjoint sets of training images of the target domain, of equal size.
        truth: True translation of each source; None where unknown.
        foreground: (height, width) for each source, True where it may change; None where unknown.
        labels: Of the real test images, (images, attributes); None without labels.
    """

    names: list[str]
    real: Images
    halves: tuple[Images, Images]
    truth: Images | None
    foreground: Sequence[NDArray[np.bool_]] | None
    labels: LabelArray | None = None


def translate_test_set(
    model: Model,
    test_set: TestSet,
    direction: Direction,
    *,
    device: torch.device,
    progress: Callable[[str, int, int], None] | None = None,
) -> Translations:
    """Translate every test image of the source domain, and back.

    Args:
        model: On the device.
        test_set: Its images.
        direction: From which domain to which.
        device: Of the model.
        progress: Told of the stage, ``translate a2b`` and then the same with ``back``, and of the
            images translated in it, of all.

    Raises:
        ValueError: If a translation has another shape than its source, or is not finite.
    """
    sources, labels = test_set.images(direction.source), labels_of(test_set.task, direction)
    fakes, background, healths = np.empty_like(sources), [], []
    tell = partial(progress or _tell_nobody, f"translate {direction}")
    model.networks.eval()
    with torch.no_grad():
        for start, part in _parts(sources):
            batch = request(direction, to_float(part.to(device)), _rows(labels, start, len(part)))
            made = to_uint8(_checked(model, batch, direction))
            fakes[start : start + len(part)] = channels_last(made)
            masks = model.masks(batch, direction)
            healths.append(measure(masks))
            if masks is not None and masks.background is not None:
                background.append(masks.attention[:, masks.background].float().cpu().numpy())
            tell(start + len(part), len(sources))
        tell = partial(progress or _tell_nobody, f"translate {direction} back")
        back = _translate_back(model, fakes, direction, labels, device=device, tell=tell)
    return Translations(
        direction,
        test_set.names(direction.source),
        sources=sources,
        fakes=fakes,
        reconstructions=back,
        background=np.concatenate(background) if background else None,
        health=join(healths),
        labels=labels,
    )


def _tell_nobody(stage: str, done: int, of: int) -> None:
    """Ignore progress."""
    del stage, done, of


def _parts(images: Images) -> Iterator[tuple[int, torch.Tensor]]:
    """Cut images into batches (batch, 3, height, width), each with the index of its first."""
    for start in range(0, len(images), BATCH_SIZE):
        yield start, channels_first(images[start : start + BATCH_SIZE])


def _rows(
    labels: tuple[LabelArray, LabelArray] | None, start: int, count: int
) -> tuple[LabelArray, LabelArray] | None:
    if labels is None:
        return None
    before, after = (each[start : start + count] for each in labels)
    return before, after


def _translate_back(
    model: Model,
    fakes: Images,
    direction: Direction,
    labels: tuple[LabelArray, LabelArray] | None,
    *,
    device: torch.device,
    tell: Progress,
) -> Images | str:
    """Translate 8-bit translations back; give the reason where networks are missing."""
    way, back = direction.reverse, np.empty_like(fakes)
    swapped = None if labels is None else (labels[1], labels[0])
    try:
        for start, part in _parts(fakes):
            batch = request(way, to_float(part.to(device)), _rows(swapped, start, len(part)))
            made = to_uint8(_checked(model, batch, way))
            back[start : start + len(part)] = channels_last(made)
            tell(start + len(part), len(fakes))
    except AbsentNetwork as error:
        return str(error)
    return back


def _checked(model: Model, batch: Batch, direction: Direction) -> torch.Tensor:
    source = batch.images[direction.source]
    fake = model.translate(batch, direction)
    if fake.shape != source.shape:
        raise ValueError(
            f"{model.card.title} made {tuple(fake.shape)} of images {tuple(source.shape)}; "
            "a translation keeps the shape"
        )
    if not bool(fake.isfinite().all()):
        raise ValueError(f"{model.card.title} made translations that are not finite")
    return fake


def reference(test_set: TestSet, direction: Direction) -> Reference:
    """Gather what the translations of one direction are compared with, at their size.

    The halves of the training images are decoded here, as many as there are test images.

    Raises:
        ValueError: If an image cannot be decoded.
    """
    task, names = test_set.task, test_set.names(direction.target)
    training = task.images("train", direction.target)
    half = min(len(names), len(training) // 2)
    order = sample_order(0, f"halves/{direction.target}", len(training), 0, 2 * half)
    first, second = (
        decode_images([training[i] for i in part], test_set.rule)
        for part in (order[:half], order[half:])
    )
    labels = task.labels("test", direction.target)
    return Reference(
        names,
        test_set.images(direction.target),
        (first, second),
        test_set.truth(direction),
        task.foreground(direction.source, direction.target),
        None if labels is None else label_array(task, labels),
    )


def sample_rows(
    model: Model, found: Translations, against: Reference, *, device: torch.device, count: int = 4
) -> Iterator[dict[str, NDArray[np.generic]]]:
    """Return captioned pictures of the first test images: source, translation, masks."""
    direction = found.direction
    sources = to_float(torch.from_numpy(found.sources[:count]).permute(0, 3, 1, 2).to(device))
    model.networks.eval()
    with torch.no_grad():
        batch = request(direction, sources, _rows(found.labels, 0, count))
        masks = model.masks(batch, direction)
    for i in range(len(sources)):
        row: dict[str, NDArray[np.generic]] = {
            "source": found.sources[i],
            "translation": found.fakes[i],
        }
        if not isinstance(found.reconstructions, str):
            row["reconstruction"] = found.reconstructions[i]
        if against.truth is not None:
            row["truth"] = against.truth[i]
        if masks is not None:
            for k, attention in enumerate(masks.attention[i].float().cpu().numpy()):
                copied = " (background)" if k == masks.background else ""
                row[f"attention {k + 1}{copied}"] = attention
            if masks.content is not None:
                contents = channels_last(to_uint8(masks.content[i]))
                row |= {f"content {k + 1}": image for k, image in enumerate(contents)}
        yield row
