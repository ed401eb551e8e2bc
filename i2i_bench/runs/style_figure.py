"""Pictures of the styles of a finished run: inputs by outputs, and inputs by examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from i2i_bench.data.decode import (
    channels_first,
    channels_last,
    decode_images,
    to_float,
    to_rgb,
)
from i2i_bench.data.mixed import Images, gathered
from i2i_bench.data.requests import Request, translate_images
from i2i_bench.data.test_set import TestSet
from i2i_bench.data.window import windowed
from i2i_bench.model import Direction, Model
from i2i_bench.randomness import Randomness
from i2i_bench.records.folders import Places, find_folder
from i2i_bench.report.figures.styles import StyleColumn, StyleGrid, style_blocks
from i2i_bench.runs.find import find_job
from i2i_bench.runs.shown_images import (
    Choice,
    DrawnFigure,
    figure_name,
    in_words,
    load_networks,
    requests_for,
    run_in_words,
    shown_directions,
    shown_rows,
)
from i2i_bench.runs.source_files import list_image_files, require_styles, task_image
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.pixel_format import PixelFormat

NUM_STYLES = 5


@dataclass(frozen=True)
class StyleChoice:
    """Which styles are shown.

    Attributes:
        outputs: Number of outputs; None for ``NUM_STYLES``, where the model makes several.
        examples: Images, or folders of them, whose styles alone are shown; () for the first
            ``NUM_STYLES`` test images of the target domain, where the model takes examples.
    """

    outputs: int | None = None
    examples: tuple[Path, ...] = ()


def styles_figure(
    run: str, task: str | None, choice: Choice, styles: StyleChoice, places: Places
) -> DrawnFigure:
    """Show test images by outputs, by examples, or by both, as the model has them.

    An output is that of ``run`` and ``evaluate``: its number is the seed, and the place of the
    image among the test images is the sample.

    Raises:
        ValueError: If there is no such run, or its model does not have these styles.
    """
    job = find_job(run, places, task)
    card = job.model_class.card
    if not (card.is_random or card.takes_examples):
        raise ValueError(f"{card.title} makes one output of an image, so it has no styles to show")
    folder = find_folder(catalogue.recorded_name(run), places)
    model = load_networks(job, folder)
    require_styles(model, styles.outputs, has_examples=bool(styles.examples))
    test_set, grids = TestSet(job.task, job.resize_rule), []
    for direction in shown_directions(model, job.task, choice):
        rows = list(dict.fromkeys(shown_rows(job.task, direction, choice)))
        requests = list(requests_for(job, test_set, direction, rows))
        shown = _Shown(model, requests, rows, job.task.pixel_format(direction.target))
        names = test_set.names(direction.source)
        images = test_set.shown(direction.source, rows)
        sources = {Path(names[row]).stem: image for row, image in zip(rows, images, strict=True)}
        found = _columns(shown, test_set, styles)
        grids += [StyleGrid(in_words(direction), sources, columns) for columns in found]
    blocks = [block for grid in grids for block in style_blocks(grid)]
    caption = f"Test images in styles of {run_in_words(job)}."
    if not all(grid.has_examples for grid in grids):
        caption += " Each image draws a style of its own from the seed above."
    return DrawnFigure(blocks, caption, folder, "styles", figure_name(job, "styles"))


@dataclass(frozen=True, eq=False)
class _Shown:
    """Test images of one direction, and which of it they are."""

    model: Model
    requests: Sequence[Request]
    rows: Sequence[int]
    examples: PixelFormat  # what examples consist of

    def fakes(self, seed: int = 0, example: NDArray[Any] | None = None) -> Images:
        """Translate each image with the chance of its place among the test images."""
        made, given = [], None
        if example is not None:
            given = to_float(channels_first(example[None]), self.examples)
        for request, row in zip(self.requests, self.rows, strict=True):
            asked = replace(request, examples=given)
            with torch.no_grad():
                fake = translate_images(self.model, asked, Randomness(seed, row))
            made.append(channels_last(to_rgb(fake))[0])
        return gathered(made)


def _columns(
    shown: _Shown, test_set: TestSet, styles: StyleChoice
) -> Iterator[Sequence[StyleColumn]]:
    """Give the columns by outputs, and those by examples."""
    card, count = shown.model.card, styles.outputs or NUM_STYLES
    if card.is_random and not styles.examples:
        yield [StyleColumn(str(seed), list(shown.fakes(seed))) for seed in range(count)]
    if card.takes_examples:
        yield [
            StyleColumn(name, list(shown.fakes(example=image)), windowed(image, shown.examples))
            for name, image in _examples(test_set, shown.requests[0].direction, styles)
        ]


def _examples(
    test_set: TestSet, direction: Direction, styles: StyleChoice
) -> list[tuple[str, NDArray[Any]]]:
    """Give examples by name: those of the user, or the first test images of the target domain."""
    if styles.examples:
        files = [file for path in styles.examples for file in list_image_files(path)]
        pixels = test_set.task.pixel_format(direction.target)
        images = decode_images([task_image(file, pixels) for file in files], test_set.rule)
        names = [file.name for file in files]
    else:
        names = test_set.names(direction.target)[:NUM_STYLES]
        images = test_set.images(direction.target, range(len(names)))
    return [(Path(name).stem, image) for name, image in zip(names, images, strict=True)]
