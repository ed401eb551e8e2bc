"""Mosaics of pictures and masks, as wide as a column of a page, or as two."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2i_bench.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

GAP = 5  # this and every measure below is in pixels of a PNG
WIDE_GAP = 18  # beside the first cell of a line, and between lines of different images
POINTS = 6  # of all text
LETTER = 14  # mean width of a letter
TEXT = 30  # height of a line
LARGEST_CELL = 260
LABEL_LETTERS = 14  # a longer label goes on in a second line
NARROWEST = 700  # so that a caption has room
SHARP = 128  # pixels: smaller images are repeated to at least this, as some viewers blur
FRAME = "0.65"
BAR = (300, 24)  # width and height of the colour bar


@dataclass(frozen=True, eq=False)
class Strip:
    """A line of cells.

    Attributes:
        label: Left of it.
        cells: Pictures (height, width, 3) of type uint8, masks (height, width) in [0, 1], or None.
        is_new: Whether another image begins here.
    """

    label: str
    cells: Sequence[NDArray[Any] | None]
    is_new: bool = False


@dataclass(frozen=True)
class Block:
    """Lines under one heading.

    Attributes:
        title: The heading.
        heads: Titles of the columns.
        strips: Lines.
        is_apart: Whether the first column stands apart from the others.
        is_wide: Whether heads are names, written upright, and the figure is two columns wide.
    """

    title: str
    heads: Sequence[str]
    strips: Sequence[Strip] = field(default_factory=tuple)
    is_apart: bool = True
    is_wide: bool = False


def draw_mosaic(blocks: Sequence[Block], output: Path, *, caption: str) -> None:
    """Draw blocks one below the other, with a caption, and a colour bar where there are masks.

    Args:
        blocks: What to draw.
        output: PNG, SVG or PDF to write.
        caption: What a reader must know.

    Raises:
        ValueError: If there is nothing to draw.
    """
    cells = [c for block in blocks for strip in block.strips for c in strip.cells if c is not None]
    if not cells:
        raise ValueError("no images to draw")
    has_masks = any(cell.ndim == 2 for cell in cells)
    page = _Page(blocks, cells)
    words = textwrap.wrap(caption, (page.width - 2 * GAP) // LETTER)
    foot = 2 * GAP + TEXT * len(words) + (BAR[1] + 4 * GAP if has_masks else 0)
    height = sum(map(page.height, blocks)) + foot
    with style.figure_style():
        figure = style.new_figure(page.width / style.DPI, height / style.DPI)
        sheet = _Sheet(figure, page.width, height, output.suffix == ".png")
        top = 0
        for block in blocks:
            top = _draw_block(sheet, page, block, top)
        for line in words:
            sheet.text(GAP, top + TEXT * 0.8, line, ha="left")
            top += TEXT
        if has_masks:
            _draw_bar(sheet, top + 2 * GAP)
        style.save_figure(figure, output)


class _Page:
    """Measures that all blocks of a figure share, in pixels."""

    def __init__(self, blocks: Sequence[Block], cells: Sequence[NDArray[Any]]) -> None:
        labels = [line for b in blocks for s in b.strips for line in _wrapped(s.label)]
        self.left = round(max(map(_text_width, labels))) + 4 * GAP
        self.columns = max(len(block.heads) for block in blocks)
        widest = style.WIDTH if any(block.is_wide for block in blocks) else style.COLUMN
        free = widest * style.DPI - self.left - WIDE_GAP - GAP * self.columns
        largest = max(max(cell.shape[:2]) for cell in cells)
        self.cell = _cell(int(free) // self.columns, largest)
        used = self.place(self.columns - 1, is_apart=True) + self.cell + GAP
        self.width = max(used, NARROWEST)

    def place(self, column: int, *, is_apart: bool) -> int:
        """Give the left edge of a column."""
        return self.left + column * (self.cell + GAP) + (WIDE_GAP if column and is_apart else 0)

    def height(self, block: Block) -> int:
        """Give the height of a block with its headings."""
        inner = sum(self.cell + _gap(i, strip) for i, strip in enumerate(block.strips))
        return _head(block) + inner + WIDE_GAP


def _text_width(text: str) -> float:
    from matplotlib.textpath import TextPath

    points = TextPath((0, 0), text, size=POINTS).get_extents().width if text.strip() else 0.0
    return float(points) * style.DPI / 72


def _cell(free: int, side: int) -> int:
    """Return the side of a cell: a multiple of the images' if possible, so that pixels are even."""
    free = min(free, LARGEST_CELL)
    return max(1, free // side) * side if free >= side else free


def _gap(position: int, strip: Strip) -> int:
    return WIDE_GAP if strip.is_new and position else GAP


def _head(block: Block) -> int:
    if block.is_wide:
        lines = [line for head in block.heads for line in _wrapped(head)]
        return TEXT + round(max(map(_text_width, lines))) + 4 * GAP
    heads = max((head.count("\n") + 1 for head in block.heads if head), default=0)
    return TEXT * (heads + 1) + 2 * GAP


def _wrapped(label: str) -> list[str]:
    """Break a label behind spaces and signs of a variant's name, and within a word at need only."""
    lines = [""]
    for part in re.findall(r"[^ =,+-]*[ =,+-]|[^ =,+-]+", label):
        if len(lines[-1]) + len(part.rstrip()) > LABEL_LETTERS:
            *whole, last = textwrap.wrap(part, LABEL_LETTERS, drop_whitespace=False)
            lines += [*whole, last]
        else:
            lines[-1] += part
    return [line.rstrip() for line in lines if line.strip()] or [""]


@dataclass(frozen=True)
class _Sheet:
    """A figure measured in pixels from the top left."""

    figure: Figure
    width: int
    height: int
    is_raster: bool

    def text(self, x: float, y: float, text: str, **look: Any) -> None:
        """Write a line of text on a baseline."""
        place = x / self.width, 1 - y / self.height
        self.figure.text(*place, text, fontsize=POINTS, parse_math=False, **look)

    def image(self, x: float, y: float, size: tuple[int, int], cell: NDArray[Any]) -> None:
        """Show a picture, or a mask from black to white in a frame."""
        left, bottom = x / self.width, 1 - (y + size[1]) / self.height
        axes = self.figure.add_axes((left, bottom, size[0] / self.width, size[1] / self.height))
        axes.set_axis_off()
        look: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1} if cell.ndim == 2 else {}
        shown = cell if self.is_raster else _enlarged(cell)
        smaller = max(cell.shape[:2]) > max(size)
        how = ("antialiased" if smaller else "nearest") if self.is_raster else "none"
        axes.imshow(shown, interpolation=how, aspect="auto", **look)
        if cell.ndim == 2:  # a white mask must not melt into the page
            frame = {"fill": False, "edgecolor": FRAME, "linewidth": 0.4, "clip_on": False}
            axes.add_patch(_rectangle(shown.shape, frame))


def _rectangle(shape: tuple[int, ...], look: dict[str, Any]) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((-0.5, -0.5), shape[1], shape[0], **look)


def _enlarged(cell: NDArray[Any]) -> NDArray[Any]:
    factor = max(1, math.ceil(SHARP / max(cell.shape[:2])))
    return cell.repeat(factor, 0).repeat(factor, 1)


def _draw_block(sheet: _Sheet, page: _Page, block: Block, top: int) -> int:
    """Draw a block from ``top``; give where it ends."""
    sheet.text(GAP, top + TEXT * 0.8 + GAP, block.title, ha="left", fontweight="bold")
    top += _head(block)
    for column, head in enumerate(block.heads):
        middle = page.place(column, is_apart=block.is_apart) + page.cell / 2
        shown, look = head, {}
        if block.is_wide:
            shown, look = "\n".join(_wrapped(head)), {"rotation": 90, "va": "bottom", "ma": "left"}
        sheet.text(middle, top - 2 * GAP, shown, ha="center", linespacing=1.0, **look)
    for position, strip in enumerate(block.strips):
        top += _gap(position, strip)
        lines = _wrapped(strip.label)
        look = {"ha": "left", "va": "center", "linespacing": 1.0}
        sheet.text(GAP, top + page.cell / 2, "\n".join(lines), **look)
        for column, cell in enumerate(strip.cells):
            if cell is not None:
                left = page.place(column, is_apart=block.is_apart)
                width, height = _shown_size(cell, page.cell)
                place = left + (page.cell - width) / 2, top + (page.cell - height) / 2
                sheet.image(*place, (width, height), cell)
        top += page.cell
    return top + WIDE_GAP


def _shown_size(cell: NDArray[Any], side: int) -> tuple[int, int]:
    """Give width and height of a picture in a square cell, its proportions kept."""
    longest = max(cell.shape[:2])
    return max(1, side * cell.shape[1] // longest), max(1, side * cell.shape[0] // longest)


def _draw_bar(sheet: _Sheet, top: int) -> None:
    """Draw what a mask's shades mean."""
    import numpy as np

    left = (sheet.width - BAR[0]) // 2
    sheet.image(left, top, BAR, np.linspace(0, 1, 256)[None])
    sheet.text(left - 2 * GAP, top + BAR[1], "attention 0", ha="right")
    sheet.text(left + BAR[0] + 2 * GAP, top + BAR[1], "1", ha="left")
