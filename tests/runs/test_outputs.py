"""Several outputs of an image, and translations in the style of an example."""

import pytest
import torch
from photo_files import (
    COUNT,
    SIDE,
    contents,
    draw,
    image_of,
    make,
    picture_of,
    pixels,
    put_photos,
    translate,
)
from style_models import Dropping, Exemplary, Plain, Styled

from i2i_bench.data.decode import to_float
from i2i_bench.model import A2B, Batch
from i2i_bench.plugins import contract
from i2i_bench.randomness import Randomness
from i2i_bench.runs import translate as runs_translate
from i2i_bench.scoring.translations import BATCH_SIZE


@pytest.fixture
def photos(tmp_path):
    return put_photos(tmp_path / "photos")


@pytest.mark.parametrize("model_class", [Styled, Dropping, Exemplary])
def test_models_of_these_tests_keep_the_contract(model_class):
    found = contract.check_model(model_class, "toy")
    assert [result for result in found if result.reason] == []


# --- several outputs


@pytest.mark.parametrize("model_class", [Styled, Dropping])
def test_outputs_are_the_same_to_the_bit_in_every_call(photos, tmp_path, model_class, monkeypatch):
    assert translate(make(model_class), photos, tmp_path / "one", outputs=3) == 3 * COUNT
    monkeypatch.setattr(runs_translate, "BATCH_SIZE", 3)
    translate(make(model_class), photos, tmp_path / "two", outputs=3)
    found = contents(tmp_path / "one")
    assert found == contents(tmp_path / "two")
    assert list(found) == [f"{i:02}_{k}.png" for i in range(COUNT) for k in range(3)]
    assert len(set(found.values())) == 3 * COUNT


@pytest.mark.parametrize("model_class", [Styled, Dropping])
def test_first_output_is_what_is_written_without_a_number(photos, tmp_path, model_class):
    translate(make(model_class), photos, tmp_path / "plain")
    translate(make(model_class), photos, tmp_path / "out", outputs=2)
    numbered = contents(tmp_path / "out")
    for name, content in contents(tmp_path / "plain").items():
        assert numbered[name.replace(".png", "_0.png")] == content


def test_outputs_do_not_depend_on_how_many_are_wanted(photos, tmp_path):
    translate(make(Styled), photos, tmp_path / "few", outputs=2)
    translate(make(Styled), photos, tmp_path / "many", outputs=4)
    assert contents(tmp_path / "few").items() < contents(tmp_path / "many").items()


@pytest.mark.parametrize("model_class", [Styled, Dropping])
def test_output_is_drawn_from_its_number_and_the_place_of_the_image(photos, tmp_path, model_class):
    translator, place, seed = make(model_class), BATCH_SIZE + 1, 2
    translate(translator, photos, tmp_path / "out", outputs=seed + 1)
    batch = Batch({"a": image_of(photos / f"{place:02}.png")})
    with torch.no_grad():
        fake = translator.model.translate(batch, A2B, Randomness(seed, place))
    assert (pixels(tmp_path / "out" / f"{place:02}_{seed}.png") == picture_of(fake)).all()


def test_each_output_has_masks_of_its_own(photos, tmp_path):
    translate(make(Styled), photos / "00.png", tmp_path / "out", outputs=2, masks=True)
    found = contents(tmp_path / "out")
    masks = [f"00_{k}_attention{m}.png" for k in range(2) for m in (1, 2)]
    assert sorted(found) == sorted(["00_0.png", "00_1.png", *masks])
    assert found["00_0_attention1.png"] != found["00_1_attention1.png"]


def test_model_without_chance_has_one_output(photos, tmp_path):
    with pytest.raises(ValueError, match="Plain makes one output of an image; leave --outputs out"):
        translate(make(Plain), photos, tmp_path / "out", outputs=2)
    assert not (tmp_path / "out").exists()
    translate(make(Plain), photos, tmp_path / "out", outputs=1)
    assert (tmp_path / "out" / "00_0.png").is_file()


@pytest.mark.parametrize(
    ("other", "wanted", "reason"),
    [
        ("00_1", {"outputs": 2}, "00_1.png has the name of a translation of 00, 00_1; rename it"),
        (
            "00_0_attention2",
            {"outputs": 1, "masks": True},
            "has the name of a mask of 00_0; rename",
        ),
        ("00_instance1", {"masks": True}, "has the name of a mask of 00; rename it"),
        (
            "n" * 248,
            {"outputs": 101},
            "too long for the names of its outputs, of at most 255 bytes",
        ),
        ("n" * 238, {"outputs": 1, "masks": True}, "too long for the names of its masks"),
    ],
)
def test_names_that_translations_need_are_refused(photos, tmp_path, other, wanted, reason):
    (photos / "01.png").rename(photos / f"{other}.png")
    with pytest.raises(ValueError, match=reason):
        translate(make(Styled), photos, tmp_path / "out", **wanted)
    assert not (tmp_path / "out").exists()


def test_names_that_no_translation_needs_are_taken(photos, tmp_path):
    for name, other in (("00_2", "01"), ("00_01", "02"), ("n" * 247, "03")):
        (photos / f"{other}.png").rename(photos / f"{name}.png")
    translate(make(Styled), photos, tmp_path / "out", outputs=2)
    assert len(contents(tmp_path / "out")) == 2 * COUNT


# --- in the style of an example


@pytest.mark.parametrize("model_class", [Styled, Exemplary])
def test_translation_takes_the_style_of_an_example(photos, tmp_path, model_class):
    translator, colour = make(model_class), (255, 102, 0)
    example = draw(tmp_path / "painting.jpg.png", colour)
    translate(translator, photos, tmp_path / "out", like=example)
    assert len(contents(tmp_path / "out")) == COUNT
    flat = torch.tensor(colour, dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, SIDE, SIDE)
    place = BATCH_SIZE + 1
    batch = Batch({"a": image_of(photos / f"{place:02}.png")}, examples={"b": to_float(flat)})
    with torch.no_grad():
        fake = translator.model.translate(batch, A2B, Randomness(0))
    found = pixels(tmp_path / "out" / f"{place:02}_like_painting.jpg.png")
    assert (found == picture_of(fake)).all()


def test_examples_of_a_folder_give_a_translation_each(photos, tmp_path):
    examples = tmp_path / "examples"
    for name, colour in (("red", (250, 0, 0)), ("blue", (0, 0, 250))):
        draw(examples / f"{name}.png", colour)
    translate(make(Styled), photos, tmp_path / "out", like=examples)
    found = contents(tmp_path / "out")
    names = [f"{i:02}_like_{name}.png" for i in range(COUNT) for name in ("blue", "red")]
    assert list(found) == names
    assert len(set(found.values())) == len(names)
    translate(make(Styled), photos, tmp_path / "alone", like=examples / "red.png")
    assert contents(tmp_path / "alone").items() < found.items()


@pytest.mark.parametrize(
    ("model_class", "wanted", "reason"),
    [
        (Dropping, {}, "Dropping does not take the style of an example; leave --like out"),
        (
            Styled,
            {"outputs": 2},
            "--like gives the styles, and --outputs draws them; leave one out",
        ),
    ],
)
def test_example_of_no_use_is_refused(photos, tmp_path, model_class, wanted, reason):
    example = draw(tmp_path / "painting.png", (255, 0, 0))
    with pytest.raises(ValueError, match=reason):
        translate(make(model_class), photos, tmp_path / "out", like=example, **wanted)
    assert not (tmp_path / "out").exists()


def test_example_that_is_no_image_is_named(photos, tmp_path):
    (tmp_path / "painting.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"painting\.png cannot be read as an image"):
        translate(make(Styled), photos, tmp_path / "out", like=tmp_path / "painting.png")
    with pytest.raises(ValueError, match=r"there is no image or folder .*nothing"):
        translate(make(Styled), photos, tmp_path / "out", like=tmp_path / "nothing")
    assert not (tmp_path / "out").exists()


def test_names_of_examples_count(photos, tmp_path):
    (photos / "01.png").rename(photos / "00_like_red.png")
    example = draw(tmp_path / "red.png", (250, 0, 0))
    reason = "00_like_red.png has the name of a translation of 00"
    with pytest.raises(ValueError, match=reason):
        translate(make(Styled), photos, tmp_path / "out", like=example)
