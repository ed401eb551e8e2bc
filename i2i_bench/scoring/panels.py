"""Translations that inputs tell apart: in strips and grids, and in files with other names."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from i2i_bench.model import Direction
from i2i_bench.scoring.input_pictures import match_inputs
from i2i_bench.scoring.result_files import ChosenFiles, by_mark, marks_of
from i2i_bench.scoring.submission import ImageFile, Listing
from i2i_bench.tasks.image_file import FORMATS, read_image
from i2i_bench.tasks.task import Task, TaskImage

# znxlwm/UGATIT-pytorch: input, attention of the next, input as its own domain, attention of the
# next, translation, attention of the next, translation back; one below the other.
STRIP, STRIP_PLACE = 7, 4
# yunjey/stargan: a row for each input: the input, then its translation to each label in turn.
GRID = re.compile(r"\d{1,9}-images")


@dataclass(frozen=True)
class Panel:
    """A translation in a file of several pictures.

    Attributes:
        source: The picture of the input beside it.
        file: The translation as an image of its own.
    """

    source: Image.Image
    file: ImageFile


def cut_panels(listing: Listing, task: Task, direction: Direction) -> ChosenFiles | None:
    """Cut the translations out of U-GAT-IT's strips or StarGAN's grids, or take numbered files.

    Which test image each is of is told by the picture of the input in or beside it.

    Returns:
        None where there are no files of such names and shapes.

    Raises:
        ValueError: If no input is a test image of the source, or two translations are of one.
    """
    for layout in (_strips, _grids, _beside_inputs):
        files, panels, said = layout(listing.files, task, direction)
        if files:
            found = _paired(panels, task, direction)
            if not found:
                raise ValueError(
                    f"{listing.source} holds {said}, and no input in them is a test image of "
                    f"{task.name}, domain {direction.source}"
                )
            passed = len(listing.files) - len(files) + listing.num_others
            return ChosenFiles(found, "", passed, len(files), said)
    return None


Layout = tuple[list[ImageFile], Iterator[Panel], str]


def _strips(files: Iterable[ImageFile], task: Task, direction: Direction) -> Layout:
    """Find U-GAT-IT's ``A2B_1.png``, seven squares high."""
    del task
    name = re.compile(rf"(?i){re.escape(direction.source)}2{re.escape(direction.target)}_\d{{1,9}}")
    chosen = [file for file in files if name.fullmatch(file.path.stem) and _is_strip(file)]

    def panels() -> Iterator[Panel]:
        for file in chosen:
            image, form = _decoded(file)
            side = image.width
            first, translated = (
                image.crop((0, place * side, side, (place + 1) * side))
                for place in (0, STRIP_PLACE)
            )
            yield Panel(first, _cut_file(file, translated, form, ""))

    return chosen, panels(), f"square {STRIP_PLACE + 1} of {STRIP} of U-GAT-IT's strips"


def _is_strip(file: ImageFile) -> bool:
    width, height = _size(file)
    return height == STRIP * width


def _grids(files: Iterable[ImageFile], task: Task, direction: Direction) -> Layout:
    """Find StarGAN's ``1-images.jpg``, a column wider than there are labels."""
    labels = task.attributes or tuple(sorted(task.domains))
    columns, wanted = 1 + len(labels), direction.target.lstrip("+-")
    place = 1 + labels.index(wanted) if wanted in labels else 0
    named = [file for file in files if GRID.fullmatch(file.path.stem)]
    chosen = [file for file in named if place and _is_grid(file, columns)]

    def panels() -> Iterator[Panel]:
        for file in chosen:
            image, form = _decoded(file)
            side = image.width // columns
            for row in range(image.height // side):
                first, translated = (
                    image.crop((at * side, row * side, (at + 1) * side, (row + 1) * side))
                    for at in (0, place)
                )
                yield Panel(first, _cut_file(file, translated, form, f"-{row + 1}"))

    return chosen, panels(), f"column {place + 1} of {columns} of StarGAN's grids"


def _beside_inputs(files: Iterable[ImageFile], task: Task, direction: Direction) -> Layout:
    """Find files such as ``3_fake_B.png`` beside ``3_real_A.png``, by whatever they are named."""
    del task
    source = direction.source.lower()
    known = list(files)
    inputs = by_mark(known, (f"real_{source}", f"real{source}", "real", "input", "inputs"))
    made = by_mark(known, marks_of(direction))
    pairs = [
        (sources[stem][0], file)
        for mark, found in made.items()
        for name, sources in inputs.items()
        if mark and name
        for stem, group in found.items()
        for file in group
        if stem in sources
    ]
    unique = {file.path: (source, file) for source, file in pairs}

    def panels() -> Iterator[Panel]:
        for first, file in unique.values():
            yield Panel(_decoded(first)[0], file)

    return [file for _, file in unique.values()], panels(), "told apart by the inputs beside them"


def _is_grid(file: ImageFile, columns: int) -> bool:
    width, height = _size(file)
    return width % columns == 0 and height % (width // columns or 1) == 0


def _paired(panels: Iterable[Panel], task: Task, direction: Direction) -> dict[int, ImageFile]:
    """Give translations by the index of their source; rows of other domains are left out."""
    cut = list(panels)
    sources = task.images("test", direction.source)
    known = [*sources, *_of_other_domains(task, direction.source)]
    found: dict[int, ImageFile] = {}
    for panel, index in zip(cut, match_inputs([p.source for p in cut], known), strict=True):
        if index is not None and index < len(sources):
            if index in found and found[index].content() != panel.file.content():
                raise ValueError(
                    f"{found[index].path} and {panel.file.path} are both of {sources[index].name}; "
                    "leave the files of other epochs out"
                )
            found[index] = panel.file
    return dict(sorted(found.items()))


def _of_other_domains(task: Task, source: str) -> list[TaskImage]:
    """List the test images of domains apart from the source, of which rows of a grid may be."""
    if task.attributes:
        own = {image.name for image in task.images("test", source)}
        every = [image for each in task.domains for image in task.images("test", each)]
        return [image for image in every if image.name not in own]
    return [i for each in task.domains if each != source for i in task.images("test", each)]


def _decoded(file: ImageFile) -> tuple[Image.Image, str]:
    """Decode a file; give its format, too."""
    image = read_image(Path(file.path), io.BytesIO(file.content()), is_plain=True)
    return image.convert("RGB"), format_of(file)


def _size(file: ImageFile) -> tuple[int, int]:
    """Read width and height from the header; (0, 0) of what is no image."""
    try:
        with Image.open(io.BytesIO(file.content()), formats=FORMATS) as image:
            return image.size
    except Exception:  # whatever a hostile file may provoke; it is refused where it is decoded
        return (0, 0)


def _cut_file(file: ImageFile, image: Image.Image, form: str, more: str) -> ImageFile:
    """Make a file of a part of another, without a loss."""
    content = io.BytesIO()
    image.save(content, "PNG", compress_level=1)
    path = PurePosixPath(f"{file.path.with_suffix('')}{more}{file.path.suffix}")
    held: Callable[[], bytes] = content.getvalue
    return ImageFile(path, held, form)


def format_of(file: ImageFile) -> str:
    """Name the format of an image by its content, which its suffix need not tell."""
    if file.form:
        return file.form
    with Image.open(io.BytesIO(file.content()), formats=FORMATS) as image:
        return "jpeg" if image.format in ("JPEG", "MPO") else str(image.format).lower()
