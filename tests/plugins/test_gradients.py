"""Gradients are recorded as optimisers get them, and told apart by their norms."""

import pytest
import torch

from i2i_bench.plugins import contract, registry
from i2i_bench.plugins.gradients import largest_difference, recorded_gradients, relative_difference
from i2i_bench.plugins.toy import Toy


def test_every_parameter_is_recorded_at_each_step_of_its_optimiser():
    model_class = registry.load_model("cyclegan")
    subject = contract.Subject(model_class, model_class.settings("tiny", Toy()))
    model = subject.build()
    with recorded_gradients(model) as found:
        subject.step(model, 0)
        subject.step(model, 1)
    subject.step(model, 2)
    parameters = dict(model.networks.named_parameters())
    assert found.keys() == parameters.keys()
    assert {len(many) for many in found.values()} == {2}
    assert all(many[0].shape == parameters[name].shape for name, many in found.items())


def test_differences_are_of_norms():
    wanted = {"a": [torch.tensor([3.0, 4.0])], "b": [torch.tensor([0.0, 12.0])]}
    found = {"a": [torch.tensor([3.0, 4.0])], "b": [torch.tensor([3.0, 12.0])]}
    assert relative_difference(found, wanted) == pytest.approx(3 / 13)
    worst = largest_difference(found, wanted)
    assert (worst.parameter, worst.relative) == ("b", pytest.approx(3 / 12))


def test_rounding_of_a_gradient_that_is_zero_is_no_difference():
    wanted = {"weight": [torch.tensor([1.0])], "cancelled": [torch.tensor([1e-17])]}
    found = {"weight": [torch.tensor([1.0])], "cancelled": [torch.tensor([-1e-17])]}
    assert largest_difference(found, wanted).relative == pytest.approx(2e-11)


def test_a_gradient_that_is_no_number_is_a_difference():
    wanted, found = {"a": [torch.ones(2)]}, {"a": [torch.tensor([1.0, torch.nan])]}
    assert largest_difference(found, wanted).relative == torch.inf
    assert relative_difference(found, wanted) == torch.inf


def test_a_missing_gradient_is_told_or_counts_as_zeros():
    wanted = {"a": [torch.tensor([3.0])], "b": [torch.tensor([4.0])]}
    with pytest.raises(ValueError, match="b has 0 gradients, and 1 were expected"):
        largest_difference({"a": wanted["a"]}, wanted)
    assert relative_difference({"a": wanted["a"]}, wanted) == pytest.approx(4 / 5)
    for compare in (largest_difference, relative_difference):
        with pytest.raises(ValueError, match="no optimiser got a gradient"):
            compare({}, {})
