import json

import numpy as np
import pytest
from PIL import Image

from i2i_bench.report.figures import losses, samples
from i2i_bench.report.figures.losses import loss_curves
from i2i_bench.report.figures.samples import sample_grid

NAMES = ("adversarial_a2b", "adversarial_b2a", "cycle_a", "cycle_b", "kl_cycle_a", "classification")


def write_log(path, steps, end="", names=NAMES):
    lines = [
        {"step": i, "images_seen": 4 * i, "seconds": 0.1, "losses": dict.fromkeys(names, 1.0 / i)}
        for i in range(1, steps + 1)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + end)
    return path


def picture(size, value=0):
    return np.full((size, size, 3), value, np.uint8)


def mask(size, value=0.0):
    return np.full((size, size), value, np.float32)


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("steps", [1, 30, 450])
def test_loss_curves_are_a_png_of_sensible_size(tmp_path, steps):
    loss_curves(write_log(tmp_path / "losses.jsonl", steps), tmp_path / "losses.png")
    height, width = pixels(tmp_path / "losses.png").shape[:2]
    assert 1000 < width < 3000
    assert 500 < height < 2000
    assert not list(tmp_path.glob(".*"))


def test_losses_are_sorted_by_term_and_suffix(tmp_path):
    families = losses._families(losses._read_log(write_log(tmp_path / "log", 2)))
    assert {family: list(curves) for family, curves in families.items()} == {
        "adversarial": ["a2b", "b2a"],
        "cycle": ["a", "b"],
        "kl_cycle": ["a"],
        "classification": [""],
    }
    assert families["cycle"]["a"] == ([4, 8], [1.0, 0.5])


CLASSES = ("cold", "plain", "square", "striped")


def sorted_names(path, *names):
    """Give the suffixes of each term."""
    families = losses._families(losses._read_log(write_log(path, 1, names=names)))
    return {term: list(curves) for term, curves in families.items()}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["patch_nce_a2b", "patch_nce_b2a"], {"patch_nce": ["a2b", "b2a"]}),
        (["patch_nce", "top_k", "adversarial_a2b"], {"patch_nce": [""], "top_k": [""]}),
        (["patch_nce_cold", "cycle_cold"], {"patch_nce": ["cold"], "cycle": ["cold"]}),
        (["nce_cold2plain", "pixel_cold2plain"], {"nce": ["cold2plain"]}),
        (["spread_of_+cold", "adversarial_+cold"], {"spread_of": ["+cold"]}),
        (
            ["classification_real", "classification"],
            {"classification_real": [""], "classification": [""]},
        ),
        (["kl_cycle_a", "kl_a"], {"kl_cycle": ["a"], "kl": ["a"]}),
        (["feature_matching_a2b"], {"feature_matching": ["a2b"]}),
        (["adversarial_a2b", "pixel_a2b"], {"adversarial": ["a2b"], "pixel": ["a2b"]}),
    ],
)
def test_terms_of_a_models_own_have_panels_of_their_own(tmp_path, names, expected):
    found = sorted_names(tmp_path / "log", *names)
    assert {term: found[term] for term in expected} == expected
    assert sum(map(len, found.values())) == len(names)


def drawn(monkeypatch, path, names):
    """Give the figure of a log."""
    seen = []
    monkeypatch.setattr(losses, "save_figure", lambda figure, output: seen.append(figure))
    loss_curves(write_log(path, 3, names=names), path.with_suffix(".png"))
    return seen[0]


def test_every_loss_is_drawn_in_the_panel_of_its_term(tmp_path, monkeypatch):
    names = ("adversarial_a2b", "patch_nce_a2b", "patch_nce_b2a", "discriminator_b")
    figure = drawn(monkeypatch, tmp_path / "log", names)
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert {title: len(axes.lines) for title, axes in panels.items()} == {
        "adversarial": 1,
        "patch nce": 2,
        "discriminator": 1,
    }
    legend = panels["patch nce"].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a to b", "b to a"]
    assert not figure.legends


def test_many_directions_are_named_once_below_the_panels(tmp_path, monkeypatch):
    pairs = [f"{one}2{other}" for one in CLASSES for other in CLASSES if one != other]
    names = [*(f"adversarial_{pair}" for pair in pairs), *(f"cycle_{name}" for name in CLASSES)]
    figure = drawn(monkeypatch, tmp_path / "log", [*names, "discriminator"])
    assert all(axes.get_legend() is None for axes in figure.axes)
    (legend,) = figure.legends
    said = [text.get_text() for text in legend.get_texts()]
    assert sorted(said) == sorted([*(pair.replace("2", " to ") for pair in pairs), *CLASSES])


def test_truncated_last_line_is_left_out_and_the_rest_drawn(tmp_path):
    whole = write_log(tmp_path / "whole", 5)
    cut = write_log(tmp_path / "cut", 5, end='{"step": 6, "images_seen": 24, "los')
    loss_curves(whole, tmp_path / "whole.png")
    loss_curves(cut, tmp_path / "cut.png")
    assert (pixels(tmp_path / "whole.png") == pixels(tmp_path / "cut.png")).all()


def test_broken_line_in_the_middle_is_refused(tmp_path):
    log = write_log(tmp_path / "log", 2, end="broken\n{}\n")
    with pytest.raises(ValueError, match="log, line 3 is not a line of a loss log"):
        loss_curves(log, tmp_path / "losses.png")


@pytest.mark.parametrize("end", ["", '{"step": 1'])
def test_log_without_losses_is_refused_and_nothing_written(tmp_path, end):
    with pytest.raises(ValueError, match="holds no losses"):
        loss_curves(write_log(tmp_path / "log", 0, end=end), tmp_path / "losses.png")
    assert not (tmp_path / "losses.png").exists()


def test_same_log_gives_the_same_bytes(tmp_path):
    log = write_log(tmp_path / "log", 3)
    loss_curves(log, tmp_path / "one.png")
    loss_curves(log, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_grid_of_many_columns_is_pixel_exact(tmp_path):
    masks = {f"attention {i} (background)": mask(48, i / 9) for i in range(10)}
    row = {"source": picture(48, 10), "truth": picture(48, 20), **masks, "content": picture(48, 30)}
    sample_grid([row, row, row], tmp_path / "grid.png")
    found = pixels(tmp_path / "grid.png")
    cell, gap, wide = 144, samples.GAP, samples.KIND_GAP  # 48 px enlarged three times
    assert found.shape[1] == gap + 13 * cell + 10 * gap + 2 * wide + gap
    bottom = found[-gap - cell // 2]  # through the last row
    assert (bottom[gap : gap + cell] == 10).all()
    first = gap + 2 * cell + gap + wide
    assert (bottom[first : first + cell] == 0).all()
    assert (bottom[first + 9 * (cell + gap) :][:cell] == 255).all()
    assert (bottom[-gap - cell : -gap] == 30).all()


def test_small_images_are_enlarged_without_blur(tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (32, 32, 3)).astype(np.uint8)
    sample_grid([{"source": image}], tmp_path / "grid.png")
    gap = samples.GAP
    assert (
        pixels(tmp_path / "grid.png")[-gap - 128 : -gap : 4, gap : gap + 128 : 4] == image
    ).all()


def test_large_images_keep_their_pixels(tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (256, 256, 3)).astype(np.uint8)
    sample_grid([{"source": image}], tmp_path / "grid.png")
    gap = samples.GAP
    assert (pixels(tmp_path / "grid.png")[-gap - 256 : -gap, gap : gap + 256] == image).all()


@pytest.mark.parametrize("size", range(128, 160, 3))
def test_no_size_loses_a_pixel_to_rounding(tmp_path, size):
    sample_grid([{"source": picture(size)}], tmp_path / "grid.png")
    assert pixels(tmp_path / "grid.png").shape[1] == size + 2 * samples.GAP


def test_rows_may_differ_in_columns_and_sizes(tmp_path):
    rows = [{"source": picture(64)}, {"source": picture(32), "$mask_{": mask(16)}]
    sample_grid(rows, tmp_path / "grid.png")
    found = pixels(tmp_path / "grid.png")
    gap, wide = samples.GAP, samples.KIND_GAP
    assert found.shape[1] == gap + 128 + wide + 128 + gap
    assert (found[-gap - 1, gap : gap + 128] == 0).all()


@pytest.mark.parametrize(
    "image",
    [mask(8).astype(np.uint8), picture(8).astype(np.float32), picture(0), np.zeros((8, 8, 4))],
    ids=["integer mask", "floating picture", "empty", "four channels"],
)
def test_unfit_image_is_refused_by_its_caption(tmp_path, image):
    with pytest.raises(ValueError, match="'source' has type"):
        sample_grid([{"source": image}], tmp_path / "grid.png")


@pytest.mark.parametrize("rows", [[], [{}]])
def test_nothing_to_draw_is_refused(tmp_path, rows):
    with pytest.raises(ValueError, match="no images"):
        sample_grid(rows, tmp_path / "grid.png")


def test_old_figure_stays_when_drawing_fails(tmp_path):
    output = tmp_path / "grid.png"
    sample_grid([{"source": picture(8)}], output)
    before = output.read_bytes()
    with pytest.raises(ValueError, match="'source'"):
        sample_grid([{"source": picture(0)}], output)
    assert output.read_bytes() == before
