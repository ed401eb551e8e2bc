"""Runs of models with styles, from training to outputs and figures, as a user types them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from style_models import install_models

from i2i_bench.records.folders import Places
from i2i_bench.runs.pictures import masks_figure
from i2i_bench.runs.shown_images import Choice

pytestmark = pytest.mark.slow  # whole runs and commands

MODELS = {"styled": "Styled", "dropping": "Dropping", "plain": "Plain"}
TINY = "preset=tiny"
SIDE = 36  # of test images; a cell of a figure is as large or larger


@pytest.fixture(scope="session")
def _done(tmp_path_factory, tiny, cli):
    folder = tmp_path_factory.mktemp("done")
    install_models(folder, **MODELS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        for name in ("results", "runs", "data", "weights", "cache"):
            patch.setenv(f"I2I_BENCH_{name.upper()}", str(folder / name))
        models = [part for name in MODELS for part in ("--model", name)]
        cli("run", *models, "--task", tiny, "--preset", "tiny")
    return folder


@pytest.fixture
def done(_done, places, monkeypatch):
    """Give a copy of the places after a run of each model."""
    shutil.copytree(_done, places, dirs_exist_ok=True)
    monkeypatch.syspath_prepend(places)
    return places


def run_of(model):
    (path,) = Path("runs").glob(f"*/{model}+{TINY}/seed0")
    return path


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("model", ["styled", "dropping"])
def test_first_output_is_the_translation_that_was_scored(done, cli, tiny, model):
    text = cli("translate", "--run", run_of(model), tiny / "testA", "out", "--outputs", 2)
    assert text.splitlines()[-1] == "wrote 4 translations into out at 36x36 px"
    assert sorted(contents("out")) == [f"a{i}_{k}.png" for i in range(2) for k in range(2)]
    for i in range(2):
        scored = pixels(run_of(model) / "translations-a2b" / f"a{i}.png")
        assert (pixels(f"out/a{i}_0.png") == scored).all()


def test_outputs_do_not_depend_on_the_seed_of_the_run(done, cli, tiny):
    (path,) = run_of("styled").glob("checkpoint-*.pt")
    found = torch.load(path, weights_only=True)
    found["identity"]["seed"] = 7
    torch.save(found, "other.pt")
    for weights, target in ((path, "one"), ("other.pt", "two")):
        command = ("translate", "--model", "styled", "--weights", weights, tiny / "testA", target)
        cli(*command, "--outputs", 3)
    assert contents("one") == contents("two")


def test_translations_take_the_style_of_an_example(done, cli, tiny):
    command = ("translate", "--run", run_of("styled"), tiny / "testA" / "a1.png", "out")
    text = cli(*command, "--like", tiny / "testB" / "b0.png")
    assert text.splitlines()[-1] == "wrote 1 translation into out at 36x36 px"
    cli(*command, "--like", tiny / "testB")
    assert list(contents("out")) == ["a1_like_b0.png", "a1_like_b1.png"]


def cells(path, colour):
    """Count the pixels of a colour in a figure."""
    return int((pixels(path) == colour).all(-1).sum())


def test_figure_shows_the_outputs_that_translate_writes(done, cli, tiny):
    cli("translate", "--run", run_of("styled"), tiny / "testA", "out", "--outputs", 3)
    options = ("--outputs", 3, "--direction", "a2b", "--format", "png", "--image", "a1")
    text = cli("figure", "styles", run_of("styled"), *options)
    path = run_of("styled") / "styles.png"
    assert text == f"wrote {path}\n"
    for k in range(3):
        (colour,) = np.unique(pixels(f"out/a1_{k}.png").reshape(-1, 3), axis=0)
        assert cells(path, colour) >= SIDE**2  # as the input is of one colour


def test_figure_shows_examples_of_the_task_or_of_files(done, cli):
    for name, colour in (("one", (1, 254, 3)), ("two", (3, 254, 1))):
        Path(name).mkdir()
        Image.new("RGB", (50, 40), colour).save(f"{name}/green.png")
    options = ("--direction", "a2b", "--format", "png", "--count", 1)
    cli("figure", "styles", run_of("styled"), *options)
    blue = pixels(run_of("styled") / "styles.png")
    assert ((blue == (20, 60, 210)).all(-1)).sum() >= SIDE**2  # the first test image of b
    examples = ("--like", "one/green.png", "--like", "two")
    cli("figure", "styles", run_of("styled"), *options, *examples, "--output", "own")
    (own,) = Path("own").iterdir()
    assert min(cells(own, (1, 254, 3)), cells(own, (3, 254, 1))) >= SIDE**2
    assert cells(own, (20, 60, 210)) == 0


def test_figure_of_a_model_without_examples_has_outputs_alone(done, cli):
    cli("figure", "styles", run_of("dropping"), "--format", "png", "--output", "out")
    (path,) = Path("out").iterdir()
    assert path.name.endswith(f"-dropping+{TINY}-seed0-styles.png")
    assert cells(path, (200, 40, 30)) >= SIDE**2  # an input
    assert cells(path, (20, 61, 210)) >= SIDE**2


@pytest.mark.parametrize(
    ("model", "options", "code", "part"),
    [
        ("plain", (), 1, "Plain makes one output of an image, so it has no styles to show"),
        ("dropping", ("--like", "x.png"), 1, "Dropping does not take the style of an example"),
        ("styled", ("--like", "x.png"), 1, "x.png"),
        ("styled", ("--like", "x.png", "--outputs", 2), 2, "leave one out"),
        ("styled", ("--direction", "a2c"), 1, "has no direction a2c"),
        ("styled", ("--image", "nought"), 1, "no test image nought"),
    ],
)
def test_figure_says_what_is_not_possible(done, cli, model, options, code, part):
    assert part in cli("figure", "styles", run_of(model), *options, code=code)


def test_attention_is_that_of_the_place_of_an_image_among_the_test_images(done):
    places = Places(done / "results", done / "runs", done / "data")
    both, second = (
        masks_figure(str(run_of("styled")), None, Choice(("a2b",), names), places).blocks[0].strips
        for names in ((), ("a1",))
    )
    shown = [[cell for strip in strips for cell in strip.cells] for strips in (both, second)]
    first, again, alone = (
        [np.asarray(cell) for cell in cells if cell is not None]
        for cells in (shown[0][: len(shown[1])], shown[0][len(shown[1]) :], shown[1])
    )
    assert all(np.array_equal(a, b) for a, b in zip(again, alone, strict=True))
    assert not np.array_equal(first[1], alone[1])  # the first image draws another share


def test_outputs_are_for_figures_of_styles(done, cli):
    sentence = cli("figure", "evolution", run_of("styled"), "--outputs", 2, code=2)
    assert "--outputs and --like are for styles, not for evolution" in sentence
