"""Grids of samples of a run."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
from i2i_bench.report.figures.style import figure_style, new_figure, save_figure

DPI = 150  # of grids of samples
CELL = 128  # pixels; smaller images are enlarged to at least this
GAP = 4  # pixels between images
FRAME = 190  # grey around masks
KIND_GAP = 20  # pixels between images and masks
FONT = 7  # points, of captions


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
    with figure_style():
        half = 0.5  # of a pixel, as sizes are rounded down
        figure = new_figure((width + half) / DPI, (height + half) / DPI, DPI)
        figure.figimage(canvas, resize=False)
        look = {"ha": "center", "va": "baseline", "linespacing": 1.1}
        for left, lines in zip(lefts.values(), heads, strict=True):
            place = (left + cell[1] / 2) / width, 1 - (top - 2 * GAP) / height
            figure.text(*place, "\n".join(lines), fontsize=FONT, parse_math=False, **look)
        save_figure(figure, output)


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
