"""Look at translations during a training, and warn of what is wrong with them."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping

from i2i_bench.data.decode import to_uint8
from i2i_bench.data.training_images import TrainingImages
from i2i_bench.labels import EVERY
from i2i_bench.model import Batch, Direction, Model
from i2i_bench.scoring.health import alarms_of_values, colour_correlation, mask_values, measure
from i2i_bench.scoring.metrics.masks import BACKGROUND_SHARE
from i2i_bench.scoring.metrics.pixels import COLOUR_CORRELATION
from i2i_bench.scoring.protocols import ValuesOrReasons
from i2i_bench.system.progress import Report
from i2i_bench.training.snapshots import evaluating

logger = logging.getLogger(__name__)

LOOKS = 20  # in a training, at equal distances
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
        for direction, batch in _requests(self._images):
            for key, alarm in alarms_of_values(_look_at(self._model, batch, direction)).items():
                if (direction, key) not in self._known:
                    self._known.add((direction, key))
                    logger.warning("%s after %d images: %s", direction, images_seen, alarm)


def _requests(images: TrainingImages) -> Iterator[tuple[Direction, Batch]]:
    """Yield batches of the same few images for every direction, or change of a label."""
    batch, task = images.batch(0, IMAGES_SEEN), images.task
    for domains in itertools.permutations(task.domains, 2):
        yield Direction(*domains), batch
    if batch.labels is None:
        return
    labelling, known = task.labelling, batch.labels[EVERY]
    old = [tuple(int(value) for value in row) for row in known.tolist()]
    for direction in (Direction(*pair) for pair in labelling.changes()):
        chosen = [i for i, label in enumerate(old) if labelling.chooses(direction.source, label)]
        if chosen:
            new = known.new_tensor([labelling.changed(old[i], direction.target) for i in chosen])
            labels = {direction.source: known[chosen], direction.target: new}
            yield direction, Batch({direction.source: batch.images[EVERY][chosen]}, labels)


def _look_at(model: Model, batch: Batch, direction: Direction) -> ValuesOrReasons:
    """Return the values that may raise an alarm, of the translation of a batch."""
    with evaluating(model, batch.images[direction.source].device):
        fake = model.translate(batch, direction)
        masks = model.masks(batch, direction)
    both = (batch.images[direction.source], fake)
    sources, fakes = (to_uint8(images).cpu().permute(0, 2, 3, 1).numpy() for images in both)
    values: ValuesOrReasons = {COLOUR_CORRELATION.key: colour_correlation(sources, fakes)}
    if masks is not None and masks.background is not None:
        values[BACKGROUND_SHARE.key] = float(masks.attention[:, masks.background].float().mean())
    return values | mask_values(measure(masks))
