"""Figures of styles: inputs by seeds, and inputs by examples."""

import itertools

import numpy as np
import pytest
from PIL import Image

from i2i_bench.report.figures import style
from i2i_bench.report.figures.mosaic import draw_mosaic
from i2i_bench.report.figures.styles import (
    PER_LINE,
    StyleColumn,
    StyleGrid,
    style_blocks,
)

NAMES = ("test0", "test1", "test2")
SIDE = 32
GREEN = (13, 200, 77)


def picture(*colour):
    return np.full((SIDE, SIDE, 3), colour, np.uint8)


def colour_of(line, column):
    """Give the colour by which a cell is found again."""
    return 40 + 60 * line, 255 - 20 * column, 90


def make(styles=4, *, of="seeds", names=NAMES):
    """Make a grid in which each cell has a colour of its own."""
    columns = [
        StyleColumn(
            str(column) if of == "seeds" else f"e{column}",
            [picture(*colour_of(line, column)) for line in range(len(names))],
            None if of == "seeds" else picture(0, 0, 20 * column),
        )
        for column in range(styles)
    ]
    sources = {name: picture(*GREEN) for name in names}
    return StyleGrid("a to b", sources, columns)


def places(path, colour):
    """Give the pixels of one colour: their rows and columns, at most and at least."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    rows, columns = np.nonzero((pixels == colour).all(axis=-1))
    assert len(rows), colour
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_inputs_are_lines_and_seeds_are_columns():
    (block,) = style_blocks(make())
    assert block.title == "a to b, by seed"
    assert list(block.heads) == ["input", "0", "1", "2", "3"]
    assert [strip.label for strip in block.strips] == list(NAMES)
    for line, strip in enumerate(block.strips):
        first, *others = strip.cells
        assert (first == GREEN).all()
        for column, cell in enumerate(others):
            assert (cell == colour_of(line, column)).all()


def test_examples_stand_above_their_columns_and_none_above_the_inputs():
    (block,) = style_blocks(make(3, of="examples"))
    assert block.title == "a to b, in the style of each example"
    assert list(block.heads) == ["input", "e0", "e1", "e2"]
    above, *lines = block.strips
    assert (above.label, above.cells[0]) == ("example", None)
    found = [cell[0, 0].tolist() for cell in above.cells if cell is not None]
    assert found == [[0, 0, 20 * i] for i in range(3)]
    assert [strip.label for strip in lines] == list(NAMES)
    assert [strip.is_new for strip in lines] == [True, False, False]


def test_names_of_examples_that_are_too_long_are_left_out():
    example = StyleColumn("IMG_20260101_120000", [picture(*GREEN)], picture(*GREEN))
    (block,) = style_blocks(StyleGrid("a to b", {"x": picture(*GREEN)}, [example]))
    assert list(block.heads) == ["input", ""]


def test_many_styles_go_on_below_with_their_inputs():
    blocks = style_blocks(make(2 * PER_LINE + 1))
    assert [len(block.heads) - 1 for block in blocks] == [7, 7, 7]
    assert [head for block in blocks for head in block.heads[1:]] == [
        str(number) for number in range(2 * PER_LINE + 1)
    ]
    assert [block.title.endswith(" (continued)") for block in blocks] == [False, True, True]
    assert all((block.strips[0].cells[0] == GREEN).all() for block in blocks)


@pytest.mark.parametrize("of", ["seeds", "examples"])
def test_every_cell_is_where_its_line_and_column_are(tmp_path, of):
    draw_mosaic(style_blocks(make(4, of=of)), tmp_path / "styles.png", caption="What it is.")
    found = [[places(tmp_path / "styles.png", colour_of(i, k)) for k in range(4)] for i in range(3)]
    for line in found:
        assert len({(top, bottom) for top, bottom, _, _ in line}) == 1
        assert all(one[3] < other[2] for one, other in itertools.pairwise(line))
    for upper, lower in itertools.pairwise(found):
        for one, other in zip(upper, lower, strict=True):
            assert one[1] < other[0] and one[2:] == other[2:]
    inputs = places(tmp_path / "styles.png", GREEN)
    assert inputs[3] < found[0][0][2]
    if of == "examples":
        for column in range(1, 4):
            top, bottom, left, right = places(tmp_path / "styles.png", (0, 0, 20 * column))
            assert bottom < found[0][column][0] and (left, right) == found[0][column][2:]
            assert bottom - top == right - left


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_figure_is_written_in_every_format_and_the_same_twice(tmp_path, suffix):
    paths = [tmp_path / f"{name}.{suffix}" for name in ("one", "two")]
    for path in paths:
        blocks = [*style_blocks(make(2)), *style_blocks(make(2, of="examples"))]
        draw_mosaic(blocks, path, caption="What it is.")
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert len(first) > 1000


def test_figure_is_a_column_wide_at_most(tmp_path):
    draw_mosaic(style_blocks(make(PER_LINE)), tmp_path / "styles.png", caption="What it is.")
    with Image.open(tmp_path / "styles.png") as image:
        assert image.width <= style.COLUMN * style.DPI


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (({}, [StyleColumn("0", [])]), "needs an input and a style at least"),
        (({"x": picture(*GREEN)}, []), "needs an input and a style at least"),
        (
            ({"x": picture(*GREEN)}, [StyleColumn("7", [])]),
            "style 7 has 0 translations of 1 inputs; it needs one of each",
        ),
        (
            (
                {"x": picture(*GREEN)},
                [
                    StyleColumn("0", [picture(*GREEN)]),
                    StyleColumn("e", [picture(*GREEN)], picture(*GREEN)),
                ],
            ),
            "some styles have an example and others none",
        ),
    ],
    ids=["no input", "no style", "a translation is missing", "both kinds"],
)
def test_what_cannot_be_drawn_is_refused(arguments, part):
    with pytest.raises(ValueError, match=part):
        StyleGrid("a to b", *arguments)
