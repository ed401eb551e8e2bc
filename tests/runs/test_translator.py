"""Directions in which files are translated, as a model states them."""

from types import SimpleNamespace

import pytest
import torch
from bare_model import BareModel
from photo_files import image_of, make, picture_of, pixels, put_photos, translate
from style_models import Plain, Seasons

from i2i_bench.labels import EVERY
from i2i_bench.model import Batch, Direction, Needs, ResizeRule
from i2i_bench.randomness import Randomness
from i2i_bench.runs.translator import Translator, possible_directions


@pytest.fixture
def photos(tmp_path):
    return put_photos(tmp_path / "photos")


def test_model_of_many_domains_translates_between_any_two(photos, tmp_path):
    translator = make(Seasons).at(None, "winter2spring")
    assert translator.direction == Direction("winter", "spring")
    translate(translator, photos, tmp_path / "out")
    batch = Batch({"winter": image_of(photos / "00.png")})
    fake = translator.model.translate(batch, translator.direction, Randomness(0))
    assert (pixels(tmp_path / "out" / "00.png") == picture_of(fake)).all()
    assert len(possible_directions(translator.model)) == 6


@pytest.mark.parametrize("direction", [None, "a2b", "spring2spring"])
def test_direction_of_many_domains_has_to_be_named(direction):
    which = "SOURCE2TARGET of any two of spring, summer, winter, such as spring2summer"
    start = f"no direction {direction}; possible" if direction else "--direction is needed"
    with pytest.raises(ValueError, match=f"{start}: {which}"):
        make(Seasons).at(None, direction)


def test_one_of_two_drawn_domains_is_translated_to_the_other():
    assert make(Seasons, domains=("red", "blue")).at(None, None).direction == Direction(
        "red", "blue"
    )


@pytest.mark.parametrize(("own", "first"), [("a2b", "a2b"), ("b2a", "b2a"), ("b2a a2b", "a2b")])
def test_direction_is_the_first_that_a_model_states(own, first):
    translator = make(Plain)
    translator.model.directions = tuple(Direction(*name.split("2")) for name in own.split())
    assert str(translator.at(None, None).direction) == first
    if own == "a2b":
        with pytest.raises(ValueError, match="Plain has no direction b2a; possible: a2b"):
            translator.at(None, "b2a")


class Recorder(BareModel):
    """A model of labels that keeps what it is asked for, and gives images back."""

    config = SimpleNamespace(attributes=("cold", "striped", "cross"), exclusive=())
    networks = torch.nn.ModuleDict()

    @classmethod
    def needs(cls, config):
        return Needs(labels="required")

    def translate(self, batch, direction, random):
        self.asked = {name: set(map(tuple, rows.tolist())) for name, rows in batch.labels.items()}
        return batch.images[direction.source]


@pytest.mark.parametrize(
    ("direction", "labels", "to", "own"),
    [
        ("+cold", "striped", None, (0, 1, 0)),
        (None, None, "cold,striped", (1, 1, 0)),
        (None, "striped", "cold,striped", (1, 1, 0)),
    ],
    ids=["a change", "all that is wanted", "both"],
)
def test_model_is_told_what_images_have_where_a_change_is_asked_for(
    direction, labels, to, own, photos, tmp_path
):
    model = Recorder()
    translator = Translator(model, ResizeRule(16)).at(None, direction, labels=labels, to=to)  # pyright: ignore[reportArgumentType] - it is all of a model that is used
    translate(translator, photos, tmp_path / "out")
    assert model.asked == {EVERY: {own}, "target": {(1, 1, 0)}}
