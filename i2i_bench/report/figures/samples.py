"""Figures from the files of a run: loss curves and grids of samples."""

from __future__ import annotations

import itertools
import json
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2i_bench.records.record import LARGEST_LOG
from i2i_bench.report.figures import style as figures_style
from i2i_bench.report.figures.style import new_figure, save
from i2i_bench.report.targets import in_words
from i2i_bench.system.files import read_bounded

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

DPI = 150  # of grids of samples
PANEL = (1.9, 1.4)  # inches, of a panel of curves
CELL = 128  # pixels; smaller images are enlarged to at least this
GAP = 4  # pixels between images
FRAME = 190  # grey around masks
KIND_GAP = 20  # pixels between images and masks
FONT = 7  # points, of captions
LINES = ("-", "--", "-.", ":")
SMOOTHED = 200  # points; a longer curve gets its running mean, the points faint behind it

Curve = tuple[list[int], list[float]]  # images seen, values


def loss_curves(log: Path, output: Path) -> None:
    """Draw the losses of a training: a panel for each term, a line for each domain or direction.

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
    with figures_style.style():
        figure = new_figure(PANEL[0] * columns, PANEL[1] * lines)
        for place, (family, curves) in enumerate(families.items(), start=1):
            axes = figure.add_subplot(lines, columns, place)
            for suffix, curve in sorted(curves.items()):
                _draw_curve(axes, curve, suffix, suffixes.index(suffix))
            axes.set_title(family.replace("_", " "), parse_math=False)
            is_lowest = place > len(families) - columns
            _dress(axes, has_legend=any(curves), has_label=is_lowest)
        figure.set_layout_engine("constrained", w_pad=0.04, h_pad=0.04)
        save(figure, output)


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
    families: dict[str, dict[str, Curve]] = {}
    for entry in entries:
        for name, value in entry["losses"].items():
            found = re.fullmatch(r"(.+)_([a-z]|[a-z]2[a-z])", name)
            family, suffix = (found[1], found[2]) if found else (name, "")
            seen, values = families.setdefault(family, {}).setdefault(suffix, ([], []))
            seen.append(entry["images_seen"])
            values.append(float("nan") if value is None else value)
    return families


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


def _dress(axes: Axes, *, has_legend: bool, has_label: bool) -> None:
    axes.locator_params(axis="x", nbins=4, integer=True)
    if has_label:
        axes.set_xlabel("images seen")
    if has_legend:
        axes.legend(loc="upper right")


def sample_grid(rows: Sequence[Mapping[str, NDArray[Any]]], output: Path) -> None:
    """Draw test images and what became of them, an image a line, captions on top.

    Args:
        rows: By caption, a picture (height, width, 3) of type uint8, or a mask (height, width) in
            [0, 1], shown from black to white.
        output: PNG to write.

    Raises:
        ValueError: If there is nothing to draw, or a picture has another shape or type.
    """
    captions = list(dict.fromkeys(caption for row in rows for caption in row))
    if not captions:
        raise ValueError("no images to draw")
    images = [{caption: _as_rgb(image, caption) for caption, image in row.items()} for row in rows]
    masks = {caption for row in rows for caption, image in row.items() if image.ndim == 2}
    cell = _cell_size([image for row in images for image in row.values()])
    lefts = dict(zip(captions, _lefts([c in masks for c in captions], cell[1]), strict=True))
    heads = [textwrap.wrap(caption, _letters(cell[1])) for caption in captions]
    top = round(DPI / 72 * FONT * 1.3 * max(map(len, heads))) + 2 * GAP
    canvas = _canvas(images, masks, lefts=lefts, top=top, cell=cell)
    height, width = canvas.shape[:2]
    with figures_style.style():
        half = 0.5  # of a pixel, as sizes are rounded down
        figure = new_figure((width + half) / DPI, (height + half) / DPI, DPI)
        figure.figimage(canvas, resize=False)
        look = {"ha": "center", "va": "baseline", "linespacing": 1.1}
        for left, lines in zip(lefts.values(), heads, strict=True):
            place = (left + cell[1] / 2) / width, 1 - (top - 2 * GAP) / height
            figure.text(*place, "\n".join(lines), fontsize=FONT, parse_math=False, **look)
        save(figure, output)


def _canvas(
    images: list[dict[str, NDArray[np.uint8]]],
    masks: set[str],
    *,
    lefts: Mapping[str, int],
    top: int,
    cell: tuple[int, int],
) -> NDArray[np.uint8]:
    """Put the images on white, each in its column, below the captions."""
    import numpy as np

    height, width = cell
    shape = (top + len(images) * (height + GAP), max(lefts.values()) + width + GAP, 3)
    canvas = np.full(shape, 255, np.uint8)
    for i, row in enumerate(images):
        y = top + i * (height + GAP)
        for caption, image in row.items():
            x = lefts[caption]
            if caption in masks:  # a white mask must not melt into the page
                canvas[y - 1 : y + height + 1, x - 1 : x + width + 1] = FRAME
            _paste(canvas[y : y + height, x : x + width], image)
    return canvas


def _as_rgb(image: NDArray[Any], caption: str) -> NDArray[np.uint8]:
    import numpy as np

    if image.size and image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8:
        return image
    if image.size and image.ndim == 2 and np.issubdtype(image.dtype, np.floating):
        grey = (np.nan_to_num(image).clip(0, 1) * 255).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    raise ValueError(
        f"{caption!r} has type {image.dtype} and shape {image.shape}; a picture is uint8 "
        "(height, width, 3), a mask floating (height, width)"
    )


def _cell_size(images: list[NDArray[np.uint8]]) -> tuple[int, int]:
    """Give height and width for all, a multiple of the largest image's."""
    height = max(image.shape[0] for image in images)
    width = max(image.shape[1] for image in images)
    factor = max(1, math.ceil(CELL / min(height, width)))
    return height * factor, width * factor


def _lefts(are_masks: list[bool], width: int) -> list[int]:
    """Place the columns, with a wider gap between images and masks."""
    lefts = [GAP]
    for before, after in itertools.pairwise(are_masks):
        lefts.append(lefts[-1] + width + (GAP if before == after else KIND_GAP))
    return lefts


def _letters(width: int) -> int:
    """Give how many letters of a caption fit a column."""
    return max(4, int(width / (DPI / 72 * FONT * 0.6)))


def _paste(cell: NDArray[np.uint8], image: NDArray[np.uint8]) -> None:
    """Enlarge an image to its cell by nearest neighbours, its proportions kept, centred."""
    import numpy as np

    factor = min(cell.shape[0] / image.shape[0], cell.shape[1] / image.shape[1])
    sides = [max(1, round(side * factor)) for side in image.shape[:2]]
    picked = [np.arange(new) * old // new for new, old in zip(sides, image.shape[:2], strict=True)]
    top, left = (cell.shape[0] - sides[0]) // 2, (cell.shape[1] - sides[1]) // 2
    cell[top : top + sides[0], left : left + sides[1]] = image[np.ix_(*picked)]
