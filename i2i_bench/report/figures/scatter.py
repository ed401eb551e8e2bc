"""The figure of costs: each model's headline against its parameters and the time it trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2i_bench.metric import Column
from i2i_bench.records.record import Record
from i2i_bench.report.columns import COSTS, TIMED
from i2i_bench.report.figures import curves, style
from i2i_bench.report.rows import Group, Row, Table
from i2i_bench.report.targets import MEAN, in_words
from i2i_bench.tasks.validation import TEST

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL, LINE, REST = 1.7, 0.13, 0.6  # inches: a row of panels, a line of the legend, what is beside
LEGEND_COLUMNS = 5
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
SHOWN = tuple(column for column in COSTS if column.key in ("parameters", "seconds"))


def scatter_groups(tables: Sequence[Table]) -> dict[str, list[Table]]:
    """Gather the tables of each figure by its name: those that differ in the direction alone.

    Of a labelled task, the means over all targets stand for the directions.
    """
    found: dict[tuple[str, ...], list[Table]] = {}
    for table in tables:
        group = table.group
        if any(SHOWN[0].key in row.stats for row in _rows(table)):
            key = group._replace(direction="", real_sha256="", n_real=0, spread_kind="")
            found.setdefault(tuple(map(str, key)), []).append(table)
    groups: dict[str, list[Table]] = {}
    for members in found.values():
        means = [table for table in members if table.group.direction.startswith(MEAN)]
        group = members[0].group
        stem = f"scatter-{group.preset}-{group.protocol}"
        later = sum(name == stem or name.startswith(f"{stem}-") for name in groups)
        groups[f"{stem}-{later + 1}" if later else stem] = means or members
    return groups


def draw_scatter(tables: Sequence[Table], output: Path) -> None:
    """Draw the headline against parameters, and against seconds of training, for each direction.

    Each model is a point at its preset; variants are left out. Bars reach one standard deviation
    over seeds up and down. Seconds that were measured beside other work are hollow, and so are
    those of other devices than most of the models had.

    Args:
        tables: Of one of ``scatter_groups``.
        output: PNG, SVG or PDF to write.
    """
    labels = sorted({row.label for table in tables for row in _rows(table)})
    lines = -(-(len(labels) + 1) // LEGEND_COLUMNS)
    with style.figure_style():
        figure = style.new_figure(style.WIDTH, PANEL * len(SHOWN) + LINE * lines + REST)
        shape = len(SHOWN), len(tables)
        grid = figure.subplots(*shape, squeeze=False, sharex="row", sharey="col")
        for line, cost in zip(grid, SHOWN, strict=True):
            for axes, table in zip(line, tables, strict=True):
                _panel(axes, table, cost, labels)
                has_hollow = cost.key in TIMED and any(_apart(table))
                remark = " (hollow: beside other work, or elsewhere)" if has_hollow else ""
                axes.set_xlabel(f"{cost.header}{remark}", parse_math=False)
            line[0].set_ylabel(tables[0].columns[0].header, parse_math=False)
        for axes, table in zip(grid[0], tables, strict=True):
            axes.set_title(in_words(table.group.direction), parse_math=False)
        named: dict[str, Any] = {}
        for axes in grid.flat:  # of the first panels, where no point is hollow
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                named.setdefault(label, handle)
        order = sorted(named, key=lambda label: (label == curves.SOURCE, label))
        handles = [named[label] for label in order]
        figure.suptitle(_title(tables[0].group), fontsize=7, parse_math=False)
        figure.legend(handles, order, loc="outside lower center", ncols=LEGEND_COLUMNS)
        figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03)
        style.save_figure(figure, output)


def _title(group: Group) -> str:
    split = "" if group.split == TEST else f", {group.split} images"
    return (
        f"{group.task}, {group.protocol}, preset {group.preset}, {group.image_size} px{split}; "
        "bars: standard deviation over seeds"
    )


def _rows(table: Table) -> list[Row]:
    """Give the models at their presets, as far as they translated all test images."""
    return [
        row
        for row in table.rows
        if row.kind == "model" and not row.partial and row.label == row.model
    ]


def _apart(table: Table) -> list[bool]:
    """Tell of each row whether its times are not comparable with those of most others."""
    rows = _rows(table)
    devices = [{each.device for each, _ in row.entries if isinstance(each, Record)} for row in rows]
    (most, _), *_ = Counter(map(frozenset, devices)).most_common(1)
    return [bool(row.shared) or device != most for row, device in zip(rows, devices, strict=True)]


def _panel(axes: Axes, table: Table, cost: Column, labels: Sequence[str]) -> None:
    """Draw one cost of one table, in the looks that models have in all panels."""
    from matplotlib import rcParams
    from matplotlib.ticker import LogLocator

    quality = table.columns[0]
    colours = rcParams["axes.prop_cycle"].by_key()["color"]
    for row, is_apart in zip(_rows(table), _apart(table), strict=True):
        if cost.key not in row.stats or quality.key not in row.stats:
            continue
        number, stat = labels.index(row.label), row.stats[quality.key]
        turn, colour = divmod(number, len(colours))
        axes.errorbar(
            row.stats[cost.key].mean * cost.scale,
            stat.mean * quality.scale,
            None if stat.sd is None else stat.sd * quality.scale,
            label=row.label,
            linestyle="none",
            elinewidth=0.6,
            markersize=4,
            color=colours[colour],
            marker=MARKERS[(colour + turn) % len(MARKERS)],
            fillstyle="none" if cost.key in TIMED and is_apart else "full",
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    curves.draw_identity(axes, table, quality)
