"""The figure of an ablation: each metric against the settings that vary."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2i_bench.metric import Column
from i2i_bench.report.figures import style
from i2i_bench.report.rows import Table
from i2i_bench.report.targets import in_words
from i2i_bench.scoring.metrics.masks import BACKGROUND_SHARE, EFFECTIVE_MASKS, MASK_IOU
from i2i_bench.scoring.metrics.pixels import PSNR_BACKGROUND

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EQUAL = 100.0  # dB, the PSNR of equal images
PANEL = 1.0  # inches, the height of a panel
HEAD = 0.75  # inches, of titles, legend and the labels below
CLOSEST = 0.04  # of the range of numbers: closer ones are spread evenly
DODGE = 0.12  # of the distance of two names, between points that would lie on each other
MOST_DODGE = 0.6  # of all that share a name
BESIDE = (PSNR_BACKGROUND, MASK_IOU, BACKGROUND_SHARE, EFFECTIVE_MASKS)  # the headline
MOST_LETTERS = 20  # of all tick labels that still lie side by side
SLANTED = 8, 12  # labels of so many letters, so many of which still lie side by side when slanted
LINE, LETTER = 0.12, 0.055  # inches, at the size of tick labels and legend
UPRIGHT_LETTERS = 24  # of a line of an upright tick label
ROOM = 0.55  # inches, of the labels of the vertical axis
LEGEND_LETTERS = 60  # of a line of the legend
SOURCE = "source unchanged"
FILLS = ("full", "none", "left", "top")  # of markers, once colours and lines are used up


def draw_curves(tables: Sequence[Table], output: Path) -> None:
    """Draw a panel for each metric and direction, under the protocol of the first table.

    What else varies than the first key has a curve for each of its values. Bars reach one standard
    deviation over seeds up and down.

    Args:
        tables: Of an ablation, at least one.
        output: PNG, SVG or PDF to write.
    """
    shown = [t for t in tables if t.group.protocol == tables[0].group.protocol]
    metrics = _metrics(shown)
    values = [row.values for table in shown for row in table.rows if row.kind == "model"]
    places = _places(list(dict.fromkeys(first for first, *_ in values)))
    curves = {each[1:]: _label(shown, metrics[0], each[1:]) for each in values}
    ticks, labels = _ticks(places), list(curves.values())
    with style.figure_style():
        height = HEAD + PANEL * len(metrics) + ticks.height + LINE * _more_lines(labels)
        width = max(style.COLUMN, ROOM + len(shown) * ticks.width)
        figure = style.new_figure(width, height)
        grid = figure.subplots(len(metrics), len(shown), squeeze=False, sharex=True, sharey="row")
        for line, column in zip(grid, metrics, strict=True):
            line[0].set_ylabel(column.header, parse_math=False)
            for axes, table in zip(line, shown, strict=True):
                _panel(axes, table, column, places=places, curves=curves)
                ticks.draw(axes)
            _cut(line, shown, column)
        for axes, table in zip(grid[0], shown, strict=True):
            axes.set_title(in_words(table.group.direction), parse_math=False)
        for axes in grid[-1]:
            axes.set_xlabel(tables[0].keys[0], parse_math=False)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        if any(labels):
            columns = _legend_columns(labels)
            labels = [textwrap.fill(label, LEGEND_LETTERS) for label in labels]
            figure.legend(handles, labels, loc="outside upper center", ncols=columns)
        figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02)
        style.save_figure(figure, output)


def _metrics(tables: Sequence[Table]) -> list[Column]:
    """Choose the headline, and what beside it tells whether the right thing was translated."""
    columns = {column.key: column for table in tables for column in table.columns}
    first = next(iter(columns))
    chosen = dict.fromkeys([first, *(metric.key for metric in BESIDE)])
    return [columns[key] for key in chosen if key in columns]


def _panel(
    axes: Axes,
    table: Table,
    column: Column,
    *,
    places: Mapping[str, float],
    curves: Mapping[tuple[str, ...], str],
) -> None:
    """Draw one metric of one table, at the places and in the looks that all panels share.

    A table may lack points, such as those of models that translate the other way only.
    """
    from matplotlib import rcParams

    is_curve, dodge = _are_numbers(list(places)), min(DODGE, MOST_DODGE / len(curves))
    for number, (rest, label) in enumerate(curves.items()):
        rows = [r for r in table.rows if r.kind == "model" and r.values[1:] == rest]
        rows = [row for row in rows if column.key in row.stats]
        shift = 0.0 if is_curve else dodge * (number - (len(curves) - 1) / 2)
        stats = [row.stats[column.key] for row in rows]
        has_spread = any(stat.sd is not None for stat in stats)
        axes.errorbar(
            [places[row.values[0]] + shift for row in rows],
            [stat.mean * column.scale for stat in stats],
            [(stat.sd or 0) * column.scale for stat in stats] if has_spread else None,
            label=label,
            linestyle=None if is_curve else "none",
            elinewidth=0.8,
            fillstyle=FILLS[number // len(rcParams["axes.prop_cycle"]) % len(FILLS)],
        )
    if column.key == table.columns[0].key:
        draw_identity(axes, table, column)


def _legend_columns(labels: Sequence[str]) -> int:
    return max(1, min(len(labels), LEGEND_LETTERS // max(map(len, labels))))


def _more_lines(labels: Sequence[str]) -> int:
    """Count the lines of a legend beyond the first, with one for the unchanged source."""
    every = [*labels, SOURCE]
    lines = max(len(textwrap.wrap(label, LEGEND_LETTERS)) for label in every)
    return lines * -(-len(every) // _legend_columns(every)) - 1


def _label(tables: Sequence[Table], column: Column, rest: tuple[str, ...]) -> str:
    """Name a curve by what else varies, or say what its bars are in any of the tables."""
    named = ", ".join(f"{k} = {v}" for k, v in zip(tables[0].keys[1:], rest, strict=True))
    stats = [r.stats.get(column.key) for t in tables for r in t.rows if r.values[1:] == rest]
    has_spread = any(stat is not None and stat.sd is not None for stat in stats)
    return named or ("mean ± standard deviation over seeds" if has_spread else "one seed")


def draw_identity(axes: Axes, table: Table, column: Column) -> None:
    """Show where the unchanged source stands."""
    for row in table.rows:
        if row.kind == "identity" and column.key in row.stats:
            value = row.stats[column.key].mean * column.scale
            look = {"color": "0.4", "linewidth": 0.8, "linestyle": (0, (1, 1)), "marker": ""}
            axes.axhline(value, label=SOURCE, **look)


def _cut(line: Sequence[Axes], tables: Sequence[Table], column: Column) -> None:
    """Limit the axis, as the PSNR of equal images, 100 by convention, would flatten the rest."""
    import numpy as np

    if column.unit != "dB":
        return
    stats = [r.stats[column.key] for t in tables for r in t.rows if column.key in r.stats]
    others = [stat for stat in stats if stat.mean < EQUAL]
    if not others or len(others) == len(stats):
        return
    low = min(stat.mean - (stat.sd or 0) for stat in others)
    high = max(stat.mean + (stat.sd or 0) for stat in others)
    margin = 0.1 * (high - low) + 0.5
    for axes in line:
        axes.set_ylim(low - margin, high + margin)
        beyond = set()
        for curve in axes.lines:
            x, y = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata(), dtype=float)
            beyond |= set(x[y >= EQUAL].tolist())
            curve.set_data(x, np.where(y < EQUAL, y, np.nan))
        for x in beyond:
            side = -1 if x > sum(axes.get_xlim()) / 2 else 1  # stay inside of the panel
            look: dict[str, Any] = {
                "ha": "left" if side > 0 else "right",
                "va": "top",
                "fontsize": 6,
            }
            axes.annotate(
                "100 ↑", (x, high + margin), (2 * side, 0), textcoords="offset points", **look
            )


def _are_numbers(values: Sequence[str]) -> bool:
    try:
        return all(math.isfinite(float(value)) for value in values)
    except ValueError:
        return False


def _places(values: Sequence[str]) -> dict[str, float]:
    """Put numbers where they belong, unless some would lie on each other; the rest evenly."""
    if _are_numbers(values) and len(values) > 1:
        numbers = sorted(float(value) for value in values)
        span = numbers[-1] - numbers[0]
        if min(b - a for a, b in itertools.pairwise(numbers)) >= CLOSEST * span > 0:
            return {value: float(value) for value in values}
        values = sorted(values, key=float)
    return {value: float(i) for i, value in enumerate(values)}


@dataclass(frozen=True)
class _Ticks:
    """Labels below a panel, in the way in which they do not lie on each other.

    Attributes:
        places: Of each label.
        labels: Those that are shown, by place.
        look: How they are turned.
        height: Inches that they take beyond a line.
        width: Inches that a panel must have.
    """

    places: Mapping[str, float]
    labels: Mapping[float, str]
    look: Mapping[str, Any]
    height: float = 0.0
    width: float = 0.0

    def draw(self, axes: Axes) -> None:
        """Write them below a panel."""
        axes.set_xticks(list(self.labels), list(self.labels.values()), parse_math=False)
        axes.tick_params("x", rotation=self.look.get("rotation", 0))
        for label in axes.get_xticklabels():
            label.update(dict(self.look))
        ends = min(self.places.values()), max(self.places.values())
        margin = 0.08 * (ends[1] - ends[0])
        margin += 0.2 if len(self.places) == 1 and _are_numbers(list(self.places)) else 0.0
        margin += 0.0 if _are_numbers(list(self.places)) else 0.35
        axes.set_xlim(ends[0] - margin, ends[1] + margin)


def _ticks(places: Mapping[str, float]) -> _Ticks:
    """Lay labels side by side, slanted if they are few and short, or upright.

    Of upright numbers those are left out that would lie on the one before; names make the panel
    wider.
    """
    labels = {place: name for name, place in places.items()}
    longest = max(map(len, places))
    if sum(map(len, places)) <= MOST_LETTERS:
        return _Ticks(places, labels, {})
    slanted = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    if len(places) <= SLANTED[0] and longest <= SLANTED[1]:
        return _Ticks(places, labels, slanted)
    upright = {"rotation": 90, "ha": "right", "va": "center", "rotation_mode": "anchor"}
    if _are_numbers(list(places)):
        return _Ticks(places, _spread(labels), upright, LETTER * longest)
    wrapped = {place: textwrap.fill(name, UPRIGHT_LETTERS) for place, name in labels.items()}
    lines = max(text.count("\n") + 1 for text in wrapped.values())
    height = LETTER * max(len(line) for text in wrapped.values() for line in text.splitlines())
    return _Ticks(places, wrapped, upright, height, LINE * (lines + 0.5) * (len(places) + 1))


def _spread(labels: Mapping[float, str]) -> dict[float, str]:
    """Keep labels that are a line apart in the narrowest panel, the first among them."""
    panel = (style.COLUMN - ROOM) / 2 - LINE
    least = LINE / panel * (max(labels) - min(labels))
    kept: dict[float, str] = {}
    for place in sorted(labels):
        if not kept or place - max(kept) >= least:
            kept[place] = labels[place]
    return kept
