"""Figures of finished runs: what they show, their size and formats, and what is refused."""

import shutil
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

from i2i_bench.model import Masks
from i2i_bench.report.figures import mosaic, style
from i2i_bench.report.figures.mosaic import Block, Strip
from i2i_bench.runs import pictures

pytestmark = pytest.mark.slow  # whole runs and commands

TINY = "preset=tiny"


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def task_of(places):
    return next(path.name for path in (places / "runs").glob("folder-*"))


def run(places, model="attentiongan", seed=0):
    return f"{task_of(places)}/{model}+{TINY}/seed{seed}"


# --- the drawing


def test_masks_are_black_at_0_and_white_at_1_and_pictures_keep_their_colours(tmp_path):
    red = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    cells = [red, np.zeros((8, 8), np.float32), np.ones((8, 8), np.float32)]
    block = Block("a to b", ["", "1", "2"], [Strip("x", cells)])
    mosaic.draw_mosaic([block], tmp_path / "out.png", caption="What it is.")
    found = pixels(tmp_path / "out.png").reshape(-1, 3)
    counts = {colour: int((found == colour).all(1).sum()) for colour in ((255, 0, 0), (0, 0, 0))}
    side = 256  # the largest multiple of 8 px that a cell may have
    assert counts[255, 0, 0] == side**2
    assert side**2 * 0.97 < counts[0, 0, 0] < side**2 * 1.1  # text is black too


@pytest.mark.parametrize(
    ("label", "lines"),
    [
        ("attentiongan background=generated", ["attentiongan", "background=", "generated"]),
        ("attentiongan-v1", ["attentiongan-", "v1"]),
        ("step 12 of 40 images", ["step 12 of 40", "images"]),
        ("a" * 20, ["a" * 14, "a" * 6]),
        ("", [""]),
    ],
)
def test_labels_break_behind_words_and_signs(label, lines):
    assert mosaic._wrapped(label) == lines


@pytest.mark.parametrize("columns", [1, 4, 11, 22])
def test_no_figure_is_wider_than_a_column(tmp_path, columns):
    picture = np.zeros((32, 32, 3), np.uint8)
    block = Block("a", [""] * columns, [Strip("a rather long label", [picture] * columns)])
    mosaic.draw_mosaic([block], tmp_path / "out.png", caption="c " * 200)
    assert pixels(tmp_path / "out.png").shape[1] <= style.COLUMN * style.DPI


def test_many_models_stand_side_by_side_over_two_columns(tmp_path):
    cells = [np.full((32, 32, 3), (200, shade, 0), np.uint8) for shade in (10, 20)]
    names = [f"model-{number}" for number in range(19)]
    block = Block("a to b", ["0000", "0001"], [Strip(name, cells) for name in names])
    turned = pictures._turned(block)
    assert list(turned.heads) == names
    assert [strip.label for strip in turned.strips] == ["0000", "0001"]
    assert [len(strip.cells) for strip in turned.strips] == [19, 19]
    mosaic.draw_mosaic([turned], tmp_path / "out.png", caption="What it is.")
    found = pixels(tmp_path / "out.png")
    assert style.COLUMN * style.DPI < found.shape[1] <= style.WIDTH * style.DPI
    assert found.shape[0] < found.shape[1]
    first = (found == (200, 10, 0)).all(2)
    assert first.sum() == 19 * 96**2  # three times the images, in one line
    assert first.any(1).sum() == 96


@pytest.mark.parametrize("suffix", style.FORMATS)
def test_equal_pictures_give_equal_files(tmp_path, suffix):
    block = Block("a", ["$x_"], [Strip("$m_{", [np.eye(8, dtype=np.float32)])])
    paths = [tmp_path / f"{name}.{suffix}" for name in ("one", "two")]
    for path in paths:
        mosaic.draw_mosaic([block], path, caption="$c")
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_nothing_to_draw_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no images"):
        mosaic.draw_mosaic([Block("a", [], [])], tmp_path / "out.png", caption="")


def test_more_masks_than_fit_go_on_in_further_lines():
    attention = torch.full((1, 13, 4, 4), 1 / 13)
    content = torch.zeros(1, 12, 3, 4, 4)
    picture = np.zeros((1, 4, 4, 3), np.uint8)
    strips = list(pictures._mask_strips(Masks(attention, content, 12), picture[0], picture[0]))
    assert [(strip.label, len(strip.cells)) for strip in strips] == [
        *(("attention from 1", 12), ("content from 1", 12)),
        *(("attention from 12", 3), ("content from 12", 3)),
    ]
    *_, last = strips
    assert last.cells[0] is None  # the source stands above
    assert last.cells[2] is None  # what copies the input has no content


# --- the command


@pytest.mark.parametrize("kind", ["masks", "evolution"])
def test_figures_of_a_run_lie_in_its_folder(finished, cli, kind):
    name = run(finished)
    output = cli("figure", kind, name)
    for suffix, start in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        path = finished / "runs" / name / f"{kind}.{suffix}"
        assert f"wrote {path}" in output
        assert path.read_bytes().startswith(start)


def test_comparison_is_a_figure_for_each_task_and_takes_all_runs_of_one(finished, cli):
    task = task_of(finished)
    cli("figure", "comparison", "--task", task, "--format", "svg")
    path = finished / "runs" / task / "comparison.svg"
    assert path.read_text().startswith("<?xml")
    output = cli(
        *("figure", "comparison", run(finished), run(finished, "cyclegan"), "--format", "png"),
        *("--output", finished / "out", "--direction", "b2a", "--image", "b1"),
    )
    assert output == f"wrote {finished / 'out' / task}-comparison.png\n"


def test_comparison_passes_over_copies_of_runs(finished, cli):
    folder = finished / "runs" / run(finished)
    shutil.copytree(folder, folder.with_name("seed0.bak"))
    cli("figure", "comparison", "--task", task_of(finished), "--format", "svg")


def test_comparison_needs_no_checkpoints(finished, cli):
    for path in (finished / "runs").rglob("*.pt"):
        path.unlink()
    output = cli("figure", "comparison", "--task", task_of(finished), "--format", "png")
    assert output.endswith("comparison.png\n")


def test_comparison_shows_what_was_saved(finished, cli):
    task = task_of(finished)
    folder = finished / "runs" / task / f"cyclegan+{TINY}" / "seed0" / "translations-a2b"
    for path in folder.glob("*.png"):
        height, width, _ = pixels(path).shape
        Image.new("RGB", (width, height), (1, 254, 3)).save(path)
    cli("figure", "comparison", "--task", task, "--format", "png", "--direction", "a2b")
    found = pixels(finished / "runs" / task / "comparison.png").reshape(-1, 3)
    assert (found == (1, 254, 3)).all(1).sum() > 10_000


def test_evolution_of_a_model_without_masks_shows_its_translations(finished, cli):
    output = cli("figure", "evolution", run(finished, "cyclegan"), "--format", "png")
    assert output.endswith("evolution.png\n")


def test_figure_says_what_is_not_possible(finished, cli):
    name = run(finished)
    assert "CycleGAN has no attention masks" in cli(
        "figure", "masks", run(finished, "cyclegan"), code=1
    )
    assert "no test image nought of domain a" in cli(
        "figure", "masks", name, "--image", "nought", code=1
    )
    assert "no run nowhere" in cli("figure", "masks", "nowhere", code=1)
    assert "no finished run of stripes" in cli("figure", "comparison", "--task", "stripes", code=1)
    assert "a RUN is needed" in cli("figure", "masks", code=2)
    assert "snapshots hold 2 images" in cli("figure", "evolution", name, "--count", 3, code=1)
    assert "leave --image out" in cli("figure", "evolution", name, "--image", "a1", code=2)
    translation = finished / "runs" / name / "translations-a2b" / "a0.png"
    translation.unlink()
    assert f"no translation {translation}" in cli("figure", "comparison", name, code=1)


def member(model, preset, variant=""):
    """Make one of a comparison: all that its name depends on."""
    named = f"preset={preset}{variant}"
    found = SimpleNamespace(model=model, preset=preset, variant=named, seed=0)
    return cast(Any, SimpleNamespace(record=found))


def test_runs_of_several_presets_are_told_apart_by_name():
    one, other = member("cyclegan", "small"), member("cyclegan", "tiny", ",budget=8")
    assert pictures._distinct(one, [one, other]) == "cyclegan small"
    assert pictures._distinct(other, [one, other]) == "cyclegan tiny budget=8"
    same = member("unit", "small")
    assert [pictures._distinct(each, [one, same]) for each in (one, same)] == ["cyclegan", "unit"]
