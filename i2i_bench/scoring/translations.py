"""Translate the test set of a task, and gather what the translations are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from i2i_bench.data.augment import sample_order
from i2i_bench.data.decode import (
    channels_first,
    channels_last,
    decode_images,
    to_float,
    to_pixels,
    to_rgb,
)
from i2i_bench.data.directions import LabelArray, label_array, labels_of, lacking_direction
from i2i_bench.data.mixed import Images, blank_like, joined, runs_of_shape
from i2i_bench.data.needs import takes_masks
from i2i_bench.data.requests import Request, attention_of, translate_images, translate_instances
from i2i_bench.data.test_set import Instances, TestSet
from i2i_bench.data.window import windowed
from i2i_bench.model import Direction, Masks, Model
from i2i_bench.official import AbsentNetwork
from i2i_bench.randomness import Randomness
from i2i_bench.records.record import WholeImages
from i2i_bench.scoring.health import NO_MASKS, join, measure
from i2i_bench.scoring.metrics.answers import OUTPUTS
from i2i_bench.scoring.metrics.masks import MaskHealth
from i2i_bench.scoring.outputs import repeated_outputs, room_for_outputs
from i2i_bench.system.progress import Progress
from i2i_bench.tasks.pixel_format import RGB, PixelFormat

BATCH_SIZE = 8  # always the same: another one changes the last bits of some networks' images


@dataclass(frozen=True)
class Translations:
    """The test set of one direction, translated.

    Attributes:
        direction: From where to where.
        names: File name of each source.
        sources: (images, height, width, channels), uint8, or uint16 where values have a range.
        fakes: The same size, rounded, in the channels and the range of the target.
        reconstructions: The fakes, as saved, translated back; or the reason why there are none.
        background: (images, height, width), attention of the mask that copies the input; None for a
            model without one.
        health: Of all attention masks; or the reason why it could not be measured.
        checkpoint: ``last``, or which.
        partial: Whether test images are missing.
        labels: Of the sources, and those to which they were translated; None without labels.
        outputs: (images, outputs, height, width, channels), the fakes first, where several were
            asked for or several answers are right; those of a model without chance are the same.
            None where there is one output.
        instances: (images, instances, height, width) in [0, 1], instance masks after translation;
            None for a model without.
        source_instances: Those of the sources.
        pixels: What sources and translations consist of.
        whole: How sources that stay whole came to their size; None for squares. Where whole images
            are not of one shape, they are ``MixedImages``, and so is what belongs to them.
    """

    direction: Direction
    names: list[str]
    sources: Images
    fakes: Images
    reconstructions: Images | str = "not translated back"
    background: Images | None = None
    health: MaskHealth | str = NO_MASKS
    checkpoint: str = "last"
    partial: bool = False
    labels: tuple[LabelArray, LabelArray] | None = None
    outputs: Images | None = None
    instances: Images | None = None
    source_instances: Instances | None = None
    pixels: tuple[PixelFormat, PixelFormat] = (RGB, RGB)
    whole: WholeImages | None = None


@dataclass(frozen=True)
class Reference:
    """What the translations of one direction are compared with.

    Attributes:
        names: File name of each real test image of the target domain.
        real: (images, height, width, channels), uint8, or uint16 where values have a range.
        halves: Two disjoint sets of training images of the target domain, of equal size.
        truth: True translation of each source; None where unknown.
        foreground: (height, width) for each source, True where it may change; None where unknown.
        labels: Of the real test images, (images, attributes); None without labels.
        answers: (images, answers, height, width, channels), all right translations of each source;
            None where only one is, or they are unknown.
        true_instances: (images, instances, height, width), instance masks of each source after a
            right translation; None where unknown.
        pixels: What real images and true translations consist of.
    """

    names: list[str]
    real: Images
    halves: tuple[Images, Images]
    truth: Images | None
    foreground: Sequence[NDArray[np.bool_]] | None
    labels: LabelArray | None = None
    answers: NDArray[Any] | None = None
    true_instances: Instances | None = None
    pixels: PixelFormat = RGB


def translate_test_set(
    model: Model,
    test_set: TestSet,
    direction: Direction,
    *,
    device: torch.device,
    progress: Callable[[str, int, int], None] | None = None,
    num_instances: int = 0,
    num_outputs: int = 0,
) -> Translations:
    """Translate every test image of the source domain, and back where the model can.

    Where several outputs are wanted, a model with chance translates each image as often; where
    several answers are right, ``OUTPUTS`` times at least.

    Args:
        model: On the device.
        test_set: Its images.
        direction: From which domain to which.
        device: Of the model.
        progress: Told of the stage, ``translate a2b`` and then the same with ``back``, and of the
            images translated in it, of all.
        num_instances: Most instance masks of an image, for a model that is given them.
        num_outputs: Outputs of each image that metrics need; 0 where one is enough.

    Raises:
        ValueError: If a translation has another shape than its source, or is not finite.
    """
    task, sources = test_set.task, test_set.images(direction.source)
    has_masks = takes_masks(model.needs(model.config), task, num_instances)
    work = _Work(
        model,
        direction,
        (task.pixel_format(direction.source), task.pixel_format(direction.target)),
        sources,
        labels_of(task, direction),
        test_set.instances(direction.source, num_instances) if has_masks else None,
        device,
    )
    stage, tell = f"translate {direction}", progress or _tell_nobody
    has_answers = task.answers(direction.source, direction.target) is not None
    count = max(num_outputs, OUTPUTS) if has_answers else num_outputs
    model.networks.eval()
    with torch.no_grad():
        there = _translate_there(work, test_set.names(direction.source), partial(tell, stage))
        back = _translate_back(work, there.fakes, there.instances, partial(tell, f"{stage} back"))
        outputs = _outputs(work, there.fakes, count, partial(tell, f"{stage} again"))
    whole = test_set.whole(direction.source)
    return replace(there, reconstructions=back, outputs=outputs, whole=whole)


@dataclass(frozen=True, eq=False)
class _Work:
    """What is to be translated, by which model, where."""

    model: Model
    direction: Direction
    pixels: tuple[PixelFormat, PixelFormat]  # of source and target
    images: Images
    labels: tuple[LabelArray, LabelArray] | None
    instances: Instances | None
    device: torch.device

    def parts(self, seed: int = 0) -> Iterator[tuple[int, Request, Randomness]]:
        """Cut into batches, each with the index of its first image, and the chance of an output."""
        for part in runs_of_shape(self.images, BATCH_SIZE):
            pixels = channels_first(self.images[part]).to(self.device)
            images, masks, labels = to_float(pixels, self.pixels[0]), None, None
            if self.instances is not None:
                masks = torch.from_numpy(self.instances[part]).to(images)
            if self.labels is not None:
                labels = self.labels[0][part], self.labels[1][part]
            random = Randomness(seed, part.start, self.device)
            yield part.start, Request(self.direction, images, labels, masks), random

    def translate(self, request: Request, random: Randomness) -> Images:
        """Translate a batch into pixels of the target, (batch, height, width, channels).

        Raises:
            ValueError: If a translation has another shape, or is not finite.
        """
        made = _checked(self.model, request, random, self.pixels[1].channels)
        return channels_last(to_pixels(made, self.pixels[1]))

    def empty(self) -> Images:
        """Return an array for a translation of each image."""
        return blank_like(self.images, self.pixels[1].channels, self.pixels[1].dtype)


def _tell_nobody(stage: str, done: int, of: int) -> None:
    """Ignore progress."""
    del stage, done, of


def _translate_there(work: _Work, names: list[str], tell: Progress) -> Translations:
    """Translate all images once, and gather attention and instance masks."""
    model, fakes = work.model, work.empty()
    background, healths, instances = [], [], []
    for start, request, random in work.parts():
        stop = start + len(request.images)
        fakes[start:stop] = work.translate(request, random)
        masks = attention_of(model, request, random)
        healths.append(measure(masks))
        if masks is not None and masks.background is not None:
            background.append(masks.attention[:, masks.background].float().cpu().numpy())
        moved = translate_instances(model, request, random)
        if moved is not None:
            instances.append(_checked_instances(model, moved, request))
        tell(stop, len(work.images))
    return Translations(
        work.direction,
        names,
        sources=work.images,
        fakes=fakes,
        background=joined(background) if background else None,
        health=join(healths),
        labels=work.labels,
        instances=joined(instances) if instances else None,
        source_instances=work.instances,
        pixels=work.pixels,
    )


def _translate_back(
    work: _Work, fakes: Images, instances: Images | None, tell: Progress
) -> Images | str:
    """Translate back, as saved; give the reason where there is no way, or no network."""
    way, pixels = work.direction.reverse, work.pixels[::-1]
    if reason := lacking_direction(work.model, way):
        return reason
    swapped = None if work.labels is None else (work.labels[1], work.labels[0])
    given = None if instances is None else instances.round().astype(np.uint8)
    given_back = {"direction": way, "pixels": pixels, "images": fakes}
    returning = replace(work, **given_back, labels=swapped, instances=given)
    back = returning.empty()
    try:
        for start, request, random in returning.parts():
            stop = start + len(request.images)
            back[start:stop] = returning.translate(request, random)
            tell(stop, len(fakes))
    except AbsentNetwork as error:
        return str(error)
    return back


def _outputs(work: _Work, fakes: Images, count: int, tell: Progress) -> Images | None:
    """Gather the outputs of each image, (images, count, height, width, channels), fakes first."""
    if count == 0:
        return None
    if not work.model.card.is_random:
        return repeated_outputs(fakes, count)
    outputs = room_for_outputs(fakes, count)
    for those, fake in zip(outputs, fakes, strict=True):
        those[0] = fake
    for seed in range(1, count):
        for start, request, random in work.parts(seed):
            made = work.translate(request, random)
            for place, fake in enumerate(made, start):
                outputs[place][seed] = fake
            tell((seed - 1) * len(fakes) + start + len(made), (count - 1) * len(fakes))
    return outputs


def _checked(model: Model, request: Request, random: Randomness, channels: int) -> torch.Tensor:
    source = request.images
    fake = translate_images(model, request, random)
    if fake.shape != (len(source), channels, *source.shape[2:]):
        raise ValueError(
            f"{model.card.title} made {tuple(fake.shape)} of images {tuple(source.shape)}; "
            f"a translation keeps the shape, and has the {channels} channels of its domain"
        )
    if not bool(fake.isfinite().all()):
        raise ValueError(f"{model.card.title} made translations that are not finite")
    return fake


def _checked_instances(model: Model, moved: torch.Tensor, request: Request) -> NDArray[np.float32]:
    """Return instance masks after translation; they must be those of the images, in [0, 1]."""
    assert request.masks is not None
    if moved.shape != request.masks.shape:
        raise ValueError(
            f"{model.card.title} made masks {tuple(moved.shape)} of {tuple(request.masks.shape)}; "
            "a translation keeps the number and the size of instance masks"
        )
    if not bool(((moved >= 0) & (moved <= 1)).all()):
        raise ValueError(f"{model.card.title} made instance masks that are not in [0, 1]")
    return moved.float().cpu().numpy()


def reference(test_set: TestSet, direction: Direction, num_instances: int = 0) -> Reference:
    """Gather what the translations of one direction are compared with, at their size.

    The halves of the training images are decoded here, as many as there are test images.

    Args:
        test_set: Of the task.
        direction: Of the translations.
        num_instances: Most instance masks of an image, for a model that is given them.

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
        test_set.answers(direction),
        test_set.true_instances(direction, num_instances) if num_instances else None,
        task.pixel_format(direction.target),
    )


def sample_rows(
    model: Model, found: Translations, against: Reference, *, device: torch.device, count: int = 4
) -> Iterator[dict[str, NDArray[np.generic]]]:
    """Return captioned pictures of the first test images: source, translation, masks."""
    given, instances = found.source_instances, None
    if given is not None:
        instances = given[:count]
    sources = found.sources[:count]
    work = _Work(model, found.direction, found.pixels, sources, found.labels, instances, device)
    model.networks.eval()
    for start, request, random in work.parts():
        with torch.no_grad():
            masks = attention_of(model, request, random)
        for place in range(len(request.images)):
            yield _sample_row(found, against, start + place) | _mask_cells(masks, place)


def _sample_row(found: Translations, against: Reference, i: int) -> dict[str, NDArray[np.generic]]:
    """Caption the pictures of one test image."""
    source, target = found.pixels
    shown = {"source": (found.sources, source), "translation": (found.fakes, target)}
    if not isinstance(found.reconstructions, str):
        shown["reconstruction"] = found.reconstructions, source
    if against.truth is not None:
        shown["truth"] = against.truth, target
    return {name: windowed(whole[i], pixels) for name, (whole, pixels) in shown.items()}


def _mask_cells(masks: Masks | None, place: int) -> dict[str, NDArray[np.generic]]:
    """Caption the masks and contents of one image of a batch."""
    row: dict[str, NDArray[np.generic]] = {}
    if masks is None:
        return row
    for k, attention in enumerate(masks.attention[place].float().cpu().numpy()):
        copied = " (background)" if k == masks.background else ""
        row[f"attention {k + 1}{copied}"] = attention
    if masks.content is not None:
        contents = channels_last(to_rgb(masks.content[place]))
        row |= {f"content {k + 1}": image for k, image in enumerate(contents)}
    return row
