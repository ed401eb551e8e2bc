"""Look at translations during a training, and warn of what is wrong with them."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping

import numpy as np
from torch import Tensor

from i2i_bench.data.decode import to_uint8
from i2i_bench.data.directions import directions_for, label_array, lacking_direction
from i2i_bench.data.requests import Request, attention_of, translate_images
from i2i_bench.data.training_images import TrainingImages
from i2i_bench.labels import EVERY
from i2i_bench.model import Direction, Model
from i2i_bench.randomness import Randomness
from i2i_bench.scoring.alarms import UNSOUND, alarms_of_values
from i2i_bench.scoring.health import image_values, mask_values, measure
from i2i_bench.scoring.metrics.change import image_variety
from i2i_bench.scoring.metrics.masks import BACKGROUND_SHARE
from i2i_bench.system.progress import Report
from i2i_bench.tasks.task import Task
from i2i_bench.training.snapshots import evaluating

logger = logging.getLogger(__name__)

LOOKS = 20  # in a training, at equal distances
BEGINNING = 4  # looks, at which a model may still copy, or give one picture: many begin so
IMAGES_SEEN = 4  # in a look


class Watch:
    """A ``Report`` that checks translations during training, and warns once for each alarm.

    Args:
        model: In training.
        images: Its training images, of which the same few are always translated.
        report: Called with every report as well.
    """

    def __init__(self, model: Model, images: TrainingImages, report: Report) -> None:
        self._model, self._images, self._report = model, images, report
        self._looks = 0
        self._known: set[tuple[Direction, str]] = set()

    def __call__(self, stage: str, done: int, of: int, values: Mapping[str, float]) -> None:
        """Pass a report on; check translations when another share of the budget is spent."""
        self._report(stage, done, of, values)
        looks = done * LOOKS // of
        if stage == "train" and looks > self._looks:
            self._looks = looks
            self._look(done)

    def _look(self, images_seen: int) -> None:
        for request in _requests(self._model, self._images):
            direction = request.direction
            for key, alarm in _look_at(self._model, request).items():
                is_early = key in UNSOUND and self._looks <= BEGINNING
                if not is_early and (direction, key) not in self._known:
                    self._known.add((direction, key))
                    logger.warning("%s after %d images: %s", direction, images_seen, alarm)


def _requests(model: Model, images: TrainingImages) -> Iterator[Request]:
    """Yield requests of the same few images for every direction, or change of a label."""
    batch, task = images.batch(0, IMAGES_SEEN), images.task
    masks = batch.masks or {}
    if batch.labels is None or EVERY not in batch.labels:  # told apart by their domains
        for domains in itertools.permutations(batch.images, 2):
            way = Direction(*domains)
            if not lacking_direction(model, way):
                yield _request(way, batch.images[way.source], masks.get(way.source), task)
        return
    labelling, known = task.labelling, batch.labels[EVERY].cpu().numpy().astype(np.int8)
    old = [tuple(row) for row in known.tolist()]
    for direction in directions_for(model, task):
        chosen = [i for i, label in enumerate(old) if labelling.chooses(direction.source, label)]
        if chosen:
            new = [labelling.changed(old[i], direction.target) for i in chosen]
            labels = known[chosen], label_array(task, new)
            given = masks[EVERY][chosen] if masks else None
            yield Request(direction, batch.images[EVERY][chosen], labels, given)


def _request(way: Direction, images: Tensor, masks: Tensor | None, task: Task) -> Request:
    """Ask for a translation between two domains, of which a task of many tells by labels."""
    if not task.attributes:
        return Request(way, images, masks=masks)
    label = [
        tuple(int(name == end) for name in task.attributes) for end in (way.source, way.target)
    ]
    before, after = (label_array(task, [each] * len(images)) for each in label)
    return Request(way, images, (before, after), masks)


def _look_at(model: Model, request: Request) -> dict[str, str]:
    """Return the alarms that the translation of a batch raises."""
    random = Randomness(0, device=request.images.device)
    with evaluating(model, request.images.device):
        fake = translate_images(model, request, random)
        masks = attention_of(model, request, random)
    both = (request.images, fake)
    sources, fakes = (to_uint8(images).cpu().permute(0, 2, 3, 1).numpy() for images in both)
    values = image_values(sources, fakes)
    if masks is not None and masks.background is not None:
        values[BACKGROUND_SHARE.key] = float(masks.attention[:, masks.background].float().mean())
    return alarms_of_values(values | mask_values(measure(masks)), image_variety(sources))
