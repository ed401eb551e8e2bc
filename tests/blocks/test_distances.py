"""Distances of images, by arithmetic that can be followed by hand."""

import pytest
import torch

from i2i_bench.blocks.distances import DistanceStatistics, half_distances, pair_distances


def test_distances_are_of_every_two_and_of_two_halves():
    images = torch.tensor([[0.0, 0.0], [1.0, 3.0], [4.0, -4.0]]).view(3, 1, 2, 1)
    assert pair_distances(images).tolist() == [2.0, 4.0, 5.0]
    assert half_distances(images).tolist() == [0.0, 2.0, 8.0]
    assert half_distances(images.mT, dimension=-1).tolist() == [0.0, 2.0, 8.0]


def test_many_items_are_compared_as_few():
    images = torch.rand(150, 2, dtype=torch.float64)
    rows = [(images[i] - images[j]).abs().mean() for i in range(150) for j in range(i + 1, 150)]
    torch.testing.assert_close(pair_distances(images), torch.stack(rows))


@pytest.mark.parametrize(("count", "mean"), [(1, 0.0), (2, 4.0)])
def test_distances_that_do_not_vary_are_only_centred(count, mean):
    statistics = DistanceStatistics("ab")
    statistics.measure("b", torch.arange(count * 4.0).view(count, 1, 2, 2), pair_distances)
    assert statistics.standardise("b", torch.tensor([5.0])).tolist() == [5.0 - mean]
