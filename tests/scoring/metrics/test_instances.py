"""IoU of instance masks after translation, by counts of pixels and on true masks."""

import numpy as np
import pytest

from i2i_bench.scoring.metric_set import known_metrics
from i2i_bench.scoring.metrics.instances import INSTANCE_IOU, instance_iou
from i2i_bench.scoring.sample import Meter, Sample
from i2i_bench.tasks import catalogue


def columns(*ranges):
    """Make masks of 10x10 pixels, each of the columns from one number to another."""
    masks = np.zeros((len(ranges), 10, 10), np.float32)
    for mask, (first, last) in zip(masks, ranges, strict=True):
        mask[:, first:last] = 1
    return masks


@pytest.mark.parametrize(
    ("found", "true", "ratio"),
    [
        (columns((0, 4)), columns((0, 4)), 1),
        (columns((0, 4)), columns((6, 10)), 0),
        (columns((0, 4)), columns((2, 6)), 1 / 3),
        (columns((6, 10), (0, 4)), columns((0, 4), (6, 10)), 1),  # in any order
        (columns((0, 2), (2, 4), (0, 0)), columns((0, 4)), 1),  # whatever shares an object
        (columns((0, 4)), columns((0, 4), (5, 9)), 0.5),  # an object that is left out
        (columns((0, 4)) * 0.5, columns((0, 4)), 0),  # not above 0.5
        (columns((0, 4)) * 0.51, columns((0, 4)), 1),
        (columns((0, 0)), columns((0, 0)), 1),
        (columns(), columns(), 1),
    ],
)
def test_ratio_of_known_masks(found, true, ratio):
    assert instance_iou(found, true.astype(bool)) == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("found", "true", "why"),
    [
        (columns((0, 4))[0], columns((0, 4)) > 0, "must have shape"),
        (columns((0, 4)), columns((0, 4)), "the true ones be boolean"),
        (columns((0, 4))[:, :9], columns((0, 4)) > 0, "are not of one image"),
        (
            2 * columns((0, 4)),
            columns((0, 4)) > 0,
            r"must lie in \[0, 1\]; given: 0 \.\.\. 2",
        ),
        (columns((0, 4)) * np.nan, columns((0, 4)) > 0, "must lie in"),
    ],
)
def test_what_are_not_masks_of_one_image_is_refused(found, true, why):
    with pytest.raises(ValueError, match=why):
        instance_iou(found, true)


def test_row_is_1_for_true_masks_and_less_for_those_of_the_source():
    task = catalogue.EMBEDDED["morph"]
    before = [each.read() for each in task.instance_masks("test", "a") or []]
    after = [each.read() for each in task.true_masks("a", "b") or []]
    for instances, low, high in ((after, 1, 1), (before, 0.3, 0.7)):
        masks = [each.astype(np.float32) for each in instances]
        sample = Sample({"instances": masks, "true_instances": after})
        found = Meter().values([INSTANCE_IOU], sample)
        value = found["instance_iou"]
        assert isinstance(value, float) and low <= value <= high


def test_model_without_masks_has_the_reason_and_a_task_without_them_no_row():
    true = [columns((0, 4)) > 0]
    sample = Sample({"instances": "the model translates no masks", "true_instances": true})
    assert Meter().values([INSTANCE_IOU], sample) == {
        "instance_iou": "the model translates no masks"
    }
    images = np.zeros((1, 16, 16, 3), np.uint8)
    assert "instance_iou" not in Meter().values(known_metrics(), Sample({"source": images}))
