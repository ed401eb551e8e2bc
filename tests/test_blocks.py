"""Shared blocks against the authors' numbers."""

import dataclasses
import json
import random as python_random
from pathlib import Path

import pytest
import torch

from i2i_bench import blocks
from i2i_bench.model import Clock, Randomness

AUX = json.loads((Path(__file__).parent / "golden/aux/pool_and_lr.json").read_text())


class OfficialDraws(Randomness):
    """The authors' draws: once the pool is full, and an index only for an exchanged image."""

    def __init__(self, seed: int, pool_size: int) -> None:
        super().__init__(seed)
        self.python = python_random.Random(seed)
        self.pool_size, self.seen, self.slots = pool_size, 0, []

    def uniform(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        chances, self.slots = [], []
        for _ in range(shape[0]):
            full = self.seen >= self.pool_size
            chances.append(self.python.uniform(0, 1) if full else 0.0)
            swap = full and chances[-1] > 0.5
            self.slots.append(self.python.randint(0, self.pool_size - 1) if swap else 0)
            self.seen += 1
        return torch.tensor(chances)

    def integers(self, name: str, high: int, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.tensor(self.slots)


@pytest.mark.parametrize("case", AUX["image_pool"])
def test_image_pool_is_the_authors(case):
    pool, shown, number = blocks.ImagePool(case["pool_size"]), [], 0
    draws = OfficialDraws(case["python_random_seed"], case["pool_size"])
    for size in case["batch_sizes"]:
        images = torch.arange(number, number + size).float().view(size, 1, 1, 1)
        number += size
        shown.append(pool.query(images, draws, "pool").flatten().int().tolist())
    assert shown == case["out"]
    assert pool.images is not None
    assert pool.images.flatten().int().tolist() == case["final_pool"]


def test_image_pool_continues_from_its_state():
    images = torch.randn(30, 3, 2, 2)
    whole, first, second = (blocks.ImagePool(4) for _ in range(3))
    random = Randomness(1)
    expected = [whole.query(images[i : i + 2], random.at(i), "p") for i in range(0, 30, 2)]
    for i in range(0, 14, 2):
        first.query(images[i : i + 2], random.at(i), "p")
    second.load_state_dict(first.state_dict())
    got = [second.query(images[i : i + 2], random.at(i), "p") for i in range(14, 30, 2)]
    assert torch.equal(torch.cat(got), torch.cat(expected[7:]))


def test_empty_pool_shows_what_it_is_given():
    images = torch.randn(2, 3, 2, 2)
    assert blocks.ImagePool(0).query(images, Randomness(0), "p") is images


SCHEDULES = [key for key in AUX["lr_per_epoch"] if key.startswith("niter")]


@pytest.mark.parametrize("name", SCHEDULES)
def test_learning_rate_is_the_authors_in_every_epoch(name):
    constant, decay = (int(part) for part in name.removeprefix("niter").split("_decay"))
    images = 7
    budget = (constant + decay) * images
    for epoch, expected in enumerate(AUX["lr_per_epoch"][name]):
        for seen in (epoch * images, epoch * images + images - 1):
            clock = Clock(1, 1, seen, budget)
            factor = blocks.decay_after(clock.epoch(constant + decay), constant, decay)
            assert 2e-4 * factor == pytest.approx(expected, rel=1e-8)


def test_patch_discriminator_states_its_smallest_image():
    discriminator = blocks.PatchDiscriminator(2, 3)
    assert discriminator(torch.zeros(1, 3, 24, 24)).shape == (1, 1, 1, 1)
    with pytest.raises(ValueError, match="at least 24 px, not 20x24"):
        discriminator(torch.zeros(1, 3, 24, 20))


def test_frozen_spares_weight_gradients_and_gives_them_back():
    network = torch.nn.Linear(2, 2)
    x = torch.ones(1, 2, requires_grad=True)
    with blocks.frozen(network):
        network(x).sum().backward()
    assert network.weight.grad is None
    assert x.grad is not None
    assert all(p.requires_grad for p in network.parameters())


def test_least_squares_are_exact_in_half_precision_too():
    logits = torch.tensor([1.0, 2.0], dtype=torch.bfloat16)
    loss = blocks.least_squares(logits, 0.999)  # 1 in bfloat16
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx((0.001**2 + 1.001**2) / 2)


@dataclasses.dataclass(frozen=True)
class Limited:
    width: int = blocks.at_least(1, 64)
    weight: float = blocks.at_least(0, 10.0)
    rate: float = 2e-4

    def __post_init__(self):
        blocks.check_limits(self)


def test_a_field_has_its_default_and_its_least_value():
    assert dataclasses.astuple(Limited()) == (64, 10.0, 2e-4)
    assert dataclasses.astuple(Limited(1, 0.0, -1.0)) == (1, 0.0, -1.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"width": 0}, "width is 0; at least 1 is needed"),
        ({"width": 0, "weight": -1.0}, "width is 0; at least 1 is needed"),
        ({"weight": float("nan")}, "weight is nan; at least 0 is needed"),
    ],
)
def test_the_first_field_below_its_least_value_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        Limited(**given)
