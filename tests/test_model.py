"""The randomness of a step, and the small types of the contract."""

import hashlib

import numpy as np
import pytest
import torch
from scipy import stats

from i2i_bench.model import A2B, B2A, Clock, named_networks
from i2i_bench.randomness import Randomness, _mix


def test_directions_print_and_reverse():
    assert (str(A2B), A2B.reverse) == ("a2b", B2A)


def test_epochs_divide_the_budget():
    epochs = [Clock(1, 1, seen, 30).epoch(10) for seen in range(30)]
    assert epochs == [seen // 3 for seen in range(30)]


def test_scrambling_is_splitmix64():
    # First outputs of SplitMix64 from seed 0, as in Vigna's splitmix64.c
    counter = torch.arange(1, 4) * -0x61C8864680B583EB
    found = [value & (2**64 - 1) for value in _mix(counter).tolist()]
    assert found == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def mixed(value):
    """Give the finaliser of Vigna's splitmix64.c, in unsigned integers."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


def test_draws_are_the_stream_of_seed_and_name_on_any_machine():
    # SplitMix64 from the first 8 bytes, least first, of sha256("0/crop_a"); of its k-th output, the
    # k-th sample's own stream; of each output there, the upper half
    key = int.from_bytes(reversed(bytes.fromhex(hashlib.sha256(b"0/crop_a").hexdigest()[:16])))
    golden = 0x9E3779B97F4A7C15
    streams = [mixed((key + golden * k) % 2**64) for k in (1, 2)]
    words = [[mixed((own + golden * i) % 2**64) >> 32 for i in (1, 2, 3)] for own in streams]
    found = Randomness(0).integers("crop_a", 1000, (2, 3)).tolist()
    assert found == [[word * 1000 >> 32 for word in row] for row in words]


@pytest.mark.parametrize("draw", ["normal", "uniform", "integers"])
def test_draws_depend_on_seed_name_and_sample_alone(draw):
    def rows(random, name, count):
        arguments = (name, 1000) if draw == "integers" else (name,)
        return getattr(random, draw)(*arguments, (count, 5))

    random = Randomness(3)
    whole = rows(random, "x", 8)
    assert torch.equal(rows(random.at(5), "x", 3), whole[5:])
    assert torch.equal(rows(random.at(torch.tensor(5)), "x", 3), whole[5:])
    assert torch.equal(rows(random, "x", 8), whole)
    assert not torch.equal(rows(random, "y", 8), whole)
    assert not torch.equal(rows(Randomness(4), "x", 8), whole)


def test_draws_have_their_distributions():
    random = Randomness(0)
    normal = random.normal("n", (400, 50)).numpy().ravel()
    uniform = random.uniform("u", (400, 50)).numpy().ravel()
    assert stats.kstest(normal, "norm").pvalue > 1e-3
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(normal[:-1], normal[1:])[0, 1]) < 4 / len(normal) ** 0.5
    counts = np.bincount(random.integers("i", 7, (70_000,)).numpy(), minlength=7)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_uniform_is_the_same_in_every_precision():
    single = Randomness(0).uniform("u", (100, 3))
    double = Randomness(0, dtype=torch.float64).uniform("u", (100, 3))
    assert torch.equal(single.double(), double)
    assert 0 <= single.min() <= single.max() < 1


def test_nested_networks_have_dotted_names():
    inner = torch.nn.ModuleDict({"a2b": torch.nn.Linear(1, 1)})
    networks = torch.nn.ModuleDict({"generators": inner, "critic": torch.nn.Linear(1, 1)})
    assert [name for name, _ in named_networks(networks)] == ["generators.a2b", "critic"]
