"""What attention masks and colours tell of a model's health, at its test set and in training."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from i2i_bench.data.training_images import TrainingImages, to_uint8
from i2i_bench.model import Batch, Direction, Masks, Model
from i2i_bench.scoring.metrics import masks as mask_metrics
from i2i_bench.scoring.metrics.masks import (
    ATTENTION_ENTROPY,
    ATTENTION_SATURATED,
    BACKGROUND_SHARE,
    EFFECTIVE_MASKS,
    MaskHealth,
)
from i2i_bench.scoring.metrics.pixels import COLOUR_CORRELATION, COLOUR_CORRELATION_TRUTH
from i2i_bench.scoring.protocols import Found
from i2i_bench.scoring.sample import Meter, Sample
from i2i_bench.tasks.labels import EVERY
from i2i_bench.training.loop import Report
from i2i_bench.training.snapshots import evaluating

logger = logging.getLogger(__name__)

# More attention than this on the mask that copies the source, and nothing is translated: objects as
# small as 5 % of an image, the smallest of the embedded tasks, still need 0.05 of it elsewhere.
COPIES = 0.99
# Fewer masks than this in use, and the others have collapsed: of two masks, one has 99 %.
COLLAPSED = 1.05
# A lower correlation of luminance, and images are negatives rather than translations: images that
# have nothing to do with each other are near 0, what keeps the background is near 1.
INVERTED = -0.5

LOOKS = 20  # in a training, at equal distances
IMAGES_SEEN = 4  # in a look
NO_MASKS = "no attention masks"
MASK_METRICS = (ATTENTION_ENTROPY, ATTENTION_SATURATED, EFFECTIVE_MASKS)


def measure(masks: Masks | None) -> MaskHealth | str:
    """Measure the attention masks of a batch, or give the reason why that cannot be."""
    if masks is None:
        return NO_MASKS
    attention = masks.attention.float().cpu().numpy()
    single = attention.shape[1] == 1
    try:
        return MaskHealth(
            np.array([mask_metrics.attention_entropy(a) for a in attention if not single]),
            np.array([mask_metrics.saturated_share(a) for a in attention]),
            attention.mean((2, 3), dtype=np.float64),
        )
    except ValueError as error:
        return str(error)


def join(parts: Sequence[MaskHealth | str]) -> MaskHealth | str:
    """Put the images of batches together, or give the reason why one could not be measured."""
    found = []
    for part in parts:
        if isinstance(part, str):
            return part
        found.append(part)
    return MaskHealth(
        np.concatenate([part.entropy for part in found]),
        np.concatenate([part.saturated for part in found]),
        np.concatenate([part.usage for part in found]),
    )


def mask_values(health: MaskHealth | str) -> Found:
    """Give what a record says of masks, over all images."""
    return Meter().values(MASK_METRICS, Sample({"attention": health}))


def colour_correlation(sources: NDArray[Any], fakes: NDArray[Any]) -> float | str:
    """Give the mean correlation of luminance over pairs of images that have one, or why not.

    Args:
        sources: uint8 (images, height, width, 3).
        fakes: The same shape.
    """
    sample = Sample({"source": sources, "fake": fakes})
    return Meter().values([COLOUR_CORRELATION], sample)[COLOUR_CORRELATION.key]


def alarms(values: Mapping[str, float | str | None]) -> dict[str, str]:
    """Say what is wrong, a sentence for each value that gives an alarm.

    Args:
        values: As in a record, or some of them; what is no number gives none.
    """
    known = {key: value for key, value in values.items() if isinstance(value, float)}
    share, masks = known.get(BACKGROUND_SHARE.key, 0.0), known.get(EFFECTIVE_MASKS.key, math.inf)
    colour = known.get(COLOUR_CORRELATION.key, 1.0)
    found = {}
    if share > COPIES:
        found[BACKGROUND_SHARE.key] = (
            f"nothing is translated: the mask that copies the source has {share:.1%} of attention"
        )
    elif masks < COLLAPSED:
        found[EFFECTIVE_MASKS.key] = (
            f"the attention masks have collapsed: {masks:.2f} of them are in effect"
        )
    if colour < INVERTED and known.get(COLOUR_CORRELATION_TRUTH.key, 1.0) >= INVERTED:
        found[COLOUR_CORRELATION.key] = (
            f"colours are inverted: the luminance of source and translation correlates by "
            f"{colour:.2f}"
        )
    return found


class Watch:
    """A ``Report`` that now and then looks at translations in training, and warns once an alarm.

    Args:
        model: In training.
        images: Which it sees; always the same few are looked at.
        report: To which every report is handed on.
    """

    def __init__(self, model: Model, images: TrainingImages, report: Report) -> None:
        self._model, self._images, self._report = model, images, report
        self._looks = 0
        self._known: set[tuple[Direction, str]] = set()

    def __call__(self, stage: str, done: int, of: int, values: Mapping[str, float]) -> None:
        """Hand on a report; look when another share of the budget is spent."""
        self._report(stage, done, of, values)
        looks = done * LOOKS // of
        if stage == "train" and looks > self._looks:
            self._looks = looks
            self._look(done)

    def _look(self, images_seen: int) -> None:
        for direction, batch in _requests(self._images):
            for key, alarm in alarms(_look_at(self._model, batch, direction)).items():
                if (direction, key) not in self._known:
                    self._known.add((direction, key))
                    logger.warning("%s after %d images: %s", direction, images_seen, alarm)


def _requests(images: TrainingImages) -> Iterator[tuple[Direction, Batch]]:
    """Give the same few images for every direction; with labels, for every change of one."""
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


def _look_at(model: Model, batch: Batch, direction: Direction) -> Found:
    """Give what may raise an alarm at a batch of real images."""
    with evaluating(model, batch.images[direction.source].device):
        fake = model.translate(batch, direction)
        masks = model.masks(batch, direction)
    both = (batch.images[direction.source], fake)
    sources, fakes = (to_uint8(images).cpu().permute(0, 2, 3, 1).numpy() for images in both)
    values: Found = {COLOUR_CORRELATION.key: colour_correlation(sources, fakes)}
    if masks is not None and masks.background is not None:
        values[BACKGROUND_SHARE.key] = float(masks.attention[:, masks.background].float().mean())
    return values | mask_values(measure(masks))
