"""The figure of a training's losses."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
from i2i_bench.records.record import LARGEST_LOG
from i2i_bench.report.figures.style import figure_style, new_figure, save_figure
from i2i_bench.report.targets import in_words
from i2i_bench.system.files import read_bounded

PANEL = (1.9, 1.4)  # inches, of a panel of curves
ENTRY = 0.17  # inches, the height of a line of the legend below the panels
MOST_NAMED = 4  # lines of a panel that its own legend names
LINES = ("-", "--", "-.", ":")
OF_TWO = {"a", "b", "a2b", "b2a"}  # domains and directions of a task of two
SMOOTHED = 200  # points; a longer curve gets its running mean, the points faint behind it

Curve = tuple[list[int], list[float]]  # images seen, values


def loss_curves(log: Path, output: Path) -> None:
    """Draw the losses of a training: a panel for each term, a line for each domain or direction.

    A model's own terms have panels as those that all models share.

    Args:
        log: JSON lines as the training writes them; a last line cut short is left out.
        output: PNG to write.

    Raises:
        ValueError: If another line is broken, or none holds a loss.
    """
    families = _families(_read_log(log))
    if not families:
        raise ValueError(f"{log} holds no losses; train at least one step first")
    columns = min(3, len(families))
    lines = math.ceil(len(families) / columns)
    suffixes = list(dict.fromkeys(suffix for curves in families.values() for suffix in curves))
    is_shared = max(map(len, families.values())) > MOST_NAMED
    below = ENTRY * math.ceil(len(suffixes) / columns) if is_shared else 0.0
    with figure_style():
        figure = new_figure(PANEL[0] * columns, PANEL[1] * lines + below)
        for place, (family, curves) in enumerate(families.items(), start=1):
            axes = figure.add_subplot(lines, columns, place)
            for suffix, curve in sorted(curves.items()):
                _draw_curve(axes, curve, suffix, suffixes.index(suffix))
            axes.set_title(family.replace("_", " "), parse_math=False)
            is_lowest = place > len(families) - columns
            _dress(axes, has_legend=any(curves) and not is_shared, has_label=is_lowest)
        if is_shared:
            _add_legend(figure, columns)
        figure.set_layout_engine("constrained", w_pad=0.04, h_pad=0.04)
        save_figure(figure, output)


def _read_log(log: Path) -> list[dict[str, Any]]:
    lines = read_bounded(log, LARGEST_LOG).decode(errors="replace").splitlines()
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            entries.append({"images_seen": entry["images_seen"], "losses": dict(entry["losses"])})
        except (ValueError, KeyError, TypeError, RecursionError):
            if number < len(lines):
                raise ValueError(f"{log}, line {number} is not a line of a loss log") from None
    return entries


def _families(entries: list[dict[str, Any]]) -> dict[str, dict[str, Curve]]:
    """Sort losses by term and suffix: ``cycle_a`` is term ``cycle`` of domain ``a``."""
    names = dict.fromkeys(name for entry in entries for name in entry["losses"])
    parts = _parts(names)
    families: dict[str, dict[str, Curve]] = {}
    for entry in entries:
        for name, value in entry["losses"].items():
            family, suffix = parts[name]
            seen, values = families.setdefault(family, {}).setdefault(suffix, ([], []))
            seen.append(entry["images_seen"])
            values.append(float("nan") if value is None else value)
    return families


def _parts(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Split each name into term and suffix.

    Terms that all models share are known, and what follows them is a domain or direction of the
    task. A term of the model's own is what comes before one of these, or else the whole name.
    """
    parts = {name: found for name in names if (found := _of_known_term(name))}
    suffixes = sorted({suffix for _, suffix in parts.values() if suffix} | OF_TWO, key=len)
    for name in names:
        ends = [suffix for suffix in suffixes if name.endswith(f"_{suffix}")]
        own = (name.removesuffix(f"_{ends[-1]}"), ends[-1]) if ends else (name, "")
        parts.setdefault(name, own)
    return parts


def _of_known_term(name: str) -> tuple[str, str] | None:
    """Split a name that begins with a term which all models share; None for another."""
    from i2i_bench.model import TERMS

    terms = [term for term in TERMS if f"{name}_".startswith(f"{term}_")]
    term = max(terms, key=len, default=None)
    return None if term is None else (term, name[len(term) + 1 :])


def _draw_curve(axes: Axes, curve: Curve, suffix: str, style: int) -> None:
    import numpy as np

    look: dict[str, Any] = {"color": f"C{style}", "linestyle": LINES[style % len(LINES)]}
    seen, values = np.asarray(curve[0]), np.asarray(curve[1], dtype=float)
    label = in_words(suffix) if suffix else None
    marker = "o" if len(values) == 1 else ""
    if len(values) <= SMOOTHED:
        axes.plot(seen, values, label=label, marker=marker, **look)
        return
    axes.plot(seen, values, linewidth=0.4, alpha=0.25, color=look["color"], marker="")
    window = len(values) // 50
    mean = np.convolve(values, np.full(window, 1 / window), mode="valid")
    first = (window - 1) // 2
    axes.plot(seen[first : first + len(mean)], mean, label=label, marker="", **look)


def _add_legend(figure: Figure, columns: int) -> None:
    """Name the lines of all panels once, below them."""
    named = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=columns)


def _dress(axes: Axes, *, has_legend: bool, has_label: bool) -> None:
    axes.locator_params(axis="x", nbins=4, integer=True)
    if has_label:
        axes.set_xlabel("images seen")
    if has_legend:
        axes.legend(loc="upper right")
