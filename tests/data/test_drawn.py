"""Domains that are drawn depend on seed and step alone, and each image comes before any again."""

from collections import Counter

import pytest
import torch
from few_images import with_few_images

from i2i_bench.data.drawn import BLOCK, DrawnDomains
from i2i_bench.data.training_images import TrainingImages
from i2i_bench.model import Needs, Settings
from i2i_bench.tasks import catalogue

NAMES = ("plain", "cold", "striped", "cross")
NEEDS = Needs(drawn_domains="required")
COUNT = 64  # images of a domain


def test_every_step_has_two_different_domains_and_all_pairs_come_alike():
    drawn = DrawnDomains(0, NAMES)
    pairs = Counter(tuple(drawn.at(step)) for step in range(6000))
    assert len(pairs) == 12
    assert all(len(set(pair)) == 2 for pair in pairs)
    assert all(abs(count - 500) < 5 * 22 for count in pairs.values())  # 5 standard deviations


def test_counts_are_of_the_steps_before():
    drawn, counts = DrawnDomains(3, NAMES), dict.fromkeys(map(str, NAMES), 0)
    for step in range(3 * BLOCK + 7):
        found = drawn.at(step)
        assert found == {name: counts[name] for name in found}
        for name in found:
            counts[name] += 1


@pytest.mark.parametrize("step", [0, 1, BLOCK - 1, BLOCK, 5 * BLOCK + 3])
def test_a_step_does_not_depend_on_what_was_asked_before(step):
    fresh, used = DrawnDomains(1, NAMES), DrawnDomains(1, NAMES)
    for other in (7 * BLOCK, 2, step + 1):
        used.at(other)
    assert list(used.at(step).items()) == list(fresh.at(step).items())


def test_another_seed_draws_other_domains():
    steps = range(50)
    one, other = (DrawnDomains(seed, NAMES) for seed in (0, 1))
    assert [list(one.at(s)) for s in steps] != [list(other.at(s)) for s in steps]


@pytest.fixture(scope="module")
def images():
    task = catalogue.find_task("shapes-domains", None)  # pyright: ignore[reportArgumentType] - made
    task = with_few_images(task, len(NAMES) * COUNT)  # which come in turn
    return TrainingImages(task, Settings(None, 4, 4000, 32, 32), 0, needs=NEEDS)


def test_a_batch_has_the_domains_of_its_step_and_no_labels(images):
    batches = [images.batch(4 * step, 4) for step in range(20)]
    drawn = DrawnDomains(0, NAMES)
    assert [list(b.images) for b in batches] == [list(drawn.at(step)) for step in range(20)]
    assert {b.labels for b in batches} == {None}
    assert {tuple(x.shape) for b in batches for x in b.images.values()} == {(4, 3, 32, 32)}


def test_each_image_of_a_domain_is_seen_once_before_any_is_seen_again(images):
    seen = {name: [] for name in NAMES}
    for step in range(100):  # about 50 steps of 4 images a domain
        batch = images.batch(4 * step, 4)
        assert batch.names is not None
        for name, files in batch.names.items():
            seen[name] += files
    for files in seen.values():
        assert len(files) > 2 * COUNT
        assert len(set(files[:COUNT])) == len(set(files[COUNT : 2 * COUNT])) == COUNT


def test_processes_that_share_a_step_see_the_images_of_one(images):
    whole, parts = images.batch(40, 4), [images.batch(40, 2), images.batch(42, 2)]
    for name, tensor in whole.images.items():
        assert torch.equal(tensor, torch.cat([part.images[name] for part in parts]))
