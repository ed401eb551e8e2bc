"""A model translates in the directions of a task that it states, by default in all."""

from pathlib import Path
from typing import Any

import pytest
from bare_model import BareModel

from i2i_bench.data.directions import directions_for, lacking_direction
from i2i_bench.model import A2B, B2A, Direction, ModelCard
from i2i_bench.tasks import catalogue

STRIPES, CLASSES = (catalogue.find_task(n, Path()) for n in ("stripes", "shapes-domains"))


def model(*directions) -> Any:
    made = BareModel()
    made.card = ModelCard("Bare")
    made.directions = directions if directions != (None,) else None
    return made


@pytest.mark.parametrize(
    ("task", "stated", "found"),
    [
        (STRIPES, (None,), ["a2b", "b2a"]),
        (STRIPES, (B2A,), ["b2a"]),
        (STRIPES, (B2A, A2B), ["a2b", "b2a"]),
        (CLASSES, (None,), ["+plain", "+cold", "+striped", "+cross"]),
        (CLASSES, (Direction("-cold", "+cold"),), ["+cold"]),
        (CLASSES, (Direction("striped", "plain"),), ["striped2plain"]),
    ],
)
def test_directions_are_those_stated_in_the_order_of_the_task(task, stated, found):
    assert list(map(str, directions_for(model(*stated), task))) == found


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ((), "Bare translates in no direction"),
        ((Direction("a", "c"),), "Bare translates a2c, and task stripes has a2b, b2a"),
    ],
)
def test_directions_of_no_use_are_refused(stated, reason):
    with pytest.raises(ValueError, match=reason):
        directions_for(model(*stated), STRIPES)


def test_there_may_be_no_way_back():
    assert lacking_direction(model(A2B), B2A) == "Bare translates a2b only"
    assert lacking_direction(model(A2B), A2B) == lacking_direction(model(None), B2A) == ""
