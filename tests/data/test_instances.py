"""Instance masks come to the size of their images, the largest first, and stay with them."""

import numpy as np
import pytest
import torch
from few_images import with_few_images

from i2i_bench.data import test_set
from i2i_bench.data.instances import decode_instances
from i2i_bench.data.needs import make_batch
from i2i_bench.data.training_images import TrainingImages
from i2i_bench.model import A2B, Needs, ResizeRule, Settings
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.task import TaskMasks

MORPH = catalogue.find_task("morph", None)  # pyright: ignore[reportArgumentType] - made here
FEW = with_few_images(MORPH, 100)


def squares(*sides, shape=(8, 12)):
    masks = np.zeros((len(sides), *shape), bool)
    for mask, side in zip(masks, sides, strict=True):
        mask[:side, :side] = True
    return TaskMasks("squares.png", lambda: masks)


@pytest.mark.parametrize(
    ("count", "areas"), [(1, [36]), (2, [36, 16]), (4, [36, 16, 4, 0]), (3, [36, 16, 4])]
)
def test_the_largest_come_first_and_what_is_missing_is_empty(count, areas):
    rule = ResizeRule(8, resize="short_side")
    found = decode_instances(squares(4, 2, 6), rule, count, is_cropped=False)
    assert found.dtype == torch.uint8
    assert found.shape == (count, 8, 12)
    assert found.sum((1, 2)).tolist() == areas


def test_no_instance_is_all_empty():
    found = decode_instances(squares(), ResizeRule(4), 2, is_cropped=False)
    assert found.shape == (2, 4, 4)
    assert not found.any()


def test_masks_are_enlarged_without_blending_and_cropped_in_the_middle():
    found = decode_instances(squares(8), ResizeRule(16, resize="short_side"), 1, is_cropped=True)
    assert found.shape == (1, 16, 16)
    assert set(found.unique().tolist()) == {0, 1}
    assert found[0, :, :12].all()  # 8 of 12 columns become 16 of 24, of which 4 are cut on the left
    assert not found[0, :, 12:].any()


def test_masks_after_translation_keep_the_order_of_those_before():
    before, after = squares(2, 6), squares(5, 1)
    found = decode_instances(
        after, ResizeRule(8, resize="short_side"), 2, is_cropped=False, like=before
    )
    assert found.sum((1, 2)).tolist() == [1, 25]
    with pytest.raises(
        ValueError, match=r"squares\.png has 2 instances before translation, 1 after"
    ):
        decode_instances(squares(3), ResizeRule(8), 2, is_cropped=False, like=before)


def test_training_masks_are_cropped_and_mirrored_with_their_images():
    settings = Settings(None, 4, 8, 40, 32, instances=3)
    images = TrainingImages(FEW, settings, 0, needs=Needs(masks="optional"))
    batch = images.batch(0, 200)
    assert batch.masks is not None
    masks = batch.masks["a"]
    assert masks.shape == (200, 3, 32, 32)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    close = 0
    for image, mask in zip(batch.images["a"], masks[:, 0], strict=True):
        inside = image[:, mask == 1]
        if inside.shape[1] > 20:
            middle = inside.median(dim=1, keepdim=True).values
            close += int(((inside - middle).abs().amax(0) < 0.02).float().mean() > 0.5)
    assert close > 150  # a mask beside its object would show the background's pattern


def test_a_model_that_needs_no_masks_gets_none():
    batch = TrainingImages(FEW, Settings(None, 4, 8, 32, 32, instances=3), 0).batch(0, 2)
    assert batch.masks is None


def test_test_masks_and_their_truth_are_of_the_same_instances():
    tests = test_set.TestSet(MORPH, ResizeRule(32))
    before, after = tests.instances("a", 3), tests.true_instances(A2B, 3)
    assert before is not None
    assert after is not None
    before, after = np.asarray(before), np.asarray(after)
    assert before.shape == after.shape == (100, 3, 32, 32)
    areas = before.sum((2, 3))
    assert (areas[:, :-1] >= areas[:, 1:]).all()
    assert ((before & after).sum((2, 3)) > 0).sum() == (areas > 0).sum()  # a cross is on its disc
    one = tests.instances("a", 3, [5])
    assert one is not None
    assert np.array_equal(one, before[5:6])


@pytest.mark.parametrize("instances", [0, 2])
def test_masks_that_are_optional_are_given_if_there_are_to_be_some(instances):
    settings = Settings(None, 2, 8, 32, 32, instances=instances)
    task, needs = FEW, Needs(masks="optional")
    batches = [
        TrainingImages(task, settings, 0, needs=needs).batch(0, 2),
        make_batch(needs, task, settings, lambda what, domain, shape: torch.zeros(shape)),
    ]
    shapes = [batch.masks and tuple(batch.masks["a"].shape) for batch in batches]
    assert shapes == [(2, instances, 32, 32) if instances else None] * 2
