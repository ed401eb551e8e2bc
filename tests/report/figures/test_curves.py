"""The figure of an ablation: no text is clipped or on another, however many points there are."""

import itertools
from typing import Any

import pytest
from matplotlib.transforms import Bbox

from i2i_bench.metric import Column
from i2i_bench.report.figures import curves, style
from i2i_bench.report.rows import Group, Row, Stat, Table

KEYS = ("num_masks", "weight")
COLUMNS = (
    Column("psnr_foreground", "PSNR fg", unit="dB", better="higher"),
    Column("mask_iou", "mask IoU", better="higher"),
)


def table(values, direction):
    blank: dict[str, Any] = dict.fromkeys(Group._fields, "")
    blank |= {"direction": direction, "protocol": "i2i"}
    stats = [
        {"psnr_foreground": Stat(10.0 + i % 7, 0.5, 3), "mask_iou": Stat(0.1 * (i % 7), 0.05, 3)}
        for i in range(len(values))
    ]
    rows = [
        Row("x", "model", 3, each, values=value) for each, value in zip(stats, values, strict=True)
    ]
    return Table(Group(**blank), COLUMNS, (), tuple(rows), (), KEYS[: len(values[0])])


def draw(firsts, seconds, monkeypatch, tmp_path):
    """Draw the figure of two directions; give it laid out."""
    kept = []
    monkeypatch.setattr(style, "save_figure", lambda figure, output: kept.append(figure))
    values = [(f, *s) for f in firsts for s in ([(c,) for c in seconds] or [()])]
    curves.draw_curves([table(values, "a2b"), table(values, "b2a")], tmp_path / "unused.png")
    (figure,) = kept
    figure.draw_without_rendering()
    return figure


def shrunk(box):
    """Give a box without the margin that every text has around its letters."""
    return Bbox.from_extents(box.x0 + 1, box.y0 + 1, box.x1 - 1, box.y1 - 1)


LONG = [f"a setting of a long name, number {i}" for i in range(40)]


@pytest.mark.parametrize(
    ("firsts", "seconds"),
    [
        (["1", "2", "4"], []),
        ([str(i) for i in range(1, 41)], []),
        (["0.0001", "0.001", "0.01", "0.1", "1", "10", "100"], ["0", "1"]),
        (["no", "one", "both", "neither", "all of them"], []),
        (LONG[:2], LONG[:14]),
        (LONG[:5], [f"{name}, which goes on and on for longer than a line" for name in LONG[:3]]),
        pytest.param(LONG, [], marks=pytest.mark.slow),
    ],
)
def test_no_text_is_clipped_or_lies_on_another(firsts, seconds, monkeypatch, tmp_path):
    figure = draw(firsts, seconds, monkeypatch, tmp_path)
    page = figure.bbox
    panels = [axes.get_window_extent() for axes in figure.axes]
    assert min(panel.height for panel in panels) > 0.4 * figure.dpi
    legends = [legend.get_window_extent() for legend in figure.legends]
    texts = [label for axes in figure.axes[-2:] for label in axes.get_xticklabels()]
    ticks = [text.get_window_extent() for text in texts if text.get_text()]
    titles = [axes.title.get_window_extent() for axes in figure.axes[:2]]
    for box in (*legends, *ticks, *titles):
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1, "beside the page"
        assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1, "above or below the page"
    apart = ticks if not any(text.get_rotation() == 35 for text in texts) else []
    for one, other in itertools.combinations([*apart, *legends, *titles, *panels], 2):
        assert not shrunk(one).overlaps(shrunk(other))


def test_points_of_every_curve_are_inside_of_the_panels(monkeypatch, tmp_path):
    figure = draw(LONG[:2], LONG[:14], monkeypatch, tmp_path)
    for axes in figure.axes:
        low, high = axes.get_xlim()
        points = [x for line in axes.lines for x in line.get_xdata()]
        assert low < min(points) and max(points) < high


def test_curves_beyond_the_colours_look_different(monkeypatch, tmp_path):
    figure = draw(["1", "2"], LONG[:14], monkeypatch, tmp_path)
    lines = [container[0] for container in figure.axes[0].containers]
    looks = {(line.get_color(), line.get_marker(), line.get_fillstyle()) for line in lines}
    assert len(looks) == len(lines) == 14
