"""Samples for the page: recorded translations still in runs/, beside their sources."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from i2i_bench.records.record import Record, Score
from i2i_bench.scoring.metrics.masks import ATTENTION_ENTROPY, BACKGROUND_SHARE, EFFECTIVE_MASKS
from i2i_bench.system.files import replacing
from i2i_bench.tasks.catalogue import EMBEDDED
from i2i_bench.tasks.image_file import SUFFIXES

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from i2i_bench.data.decode import Images
    from i2i_bench.data.test_set import TestSet
    from i2i_bench.model import ResizeRule
    from i2i_bench.tasks.task import Task

LARGE = 128  # pixels of a side
COUNT = 6  # test images shown of a direction, the first by name
OF_MASKS = (ATTENTION_ENTROPY, EFFECTIVE_MASKS, BACKGROUND_SHARE)  # of models with masks

logger = logging.getLogger(__name__)


class File(NamedTuple):
    """A PNG: its bytes, width and height."""

    content: bytes
    size: tuple[int, int]


class Picture(NamedTuple):
    """An image of the page.

    Attributes:
        file: Relative to the page.
        width: In pixels.
        height: In pixels.
    """

    file: str
    width: int
    height: int


class Cell(NamedTuple):
    """A translation, and the source at the same size; None where that is not at hand."""

    translation: Picture
    source: Picture | None


@dataclass(frozen=True)
class SampleColumn:
    """A run in the gallery.

    Attributes:
        record: Of the run.
        cells: By the stem of the test image's name.
        figure: Samples as the run drew them, with masks where the model has some.
        has_masks: Whether it has.
    """

    record: Record
    cells: Mapping[str, Cell]
    figure: Picture | None
    has_masks: bool


@dataclass(frozen=True)
class Gallery:
    """Samples of one direction.

    Attributes:
        columns: Runs with translations.
        names: Stems of the test images, a line each.
        sources: By stem; empty where the task's images are not at hand.
        truths: By stem; empty where there is no truth.
        notes: Sentences on what is missing, and on whose images these are.
    """

    columns: tuple[SampleColumn, ...] = ()
    names: tuple[str, ...] = ()
    sources: Mapping[str, Picture] = field(default_factory=dict)
    truths: Mapping[str, Picture] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_large(self) -> bool:
        """Whether images need no enlargement to be seen."""
        cells = (cell for column in self.columns for cell in column.cells.values())
        return any(cell.translation.width >= LARGE for cell in cells)


class SampleStore:
    """The folder ``images`` beside the page; files are named after their content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: set[str] = set()

    def add(self, content: bytes, size: tuple[int, int]) -> Picture:
        """Keep a PNG."""
        name = f"{hashlib.sha256(content).hexdigest()[:16]}.png"
        path = self.folder / "images" / name
        if name not in self.names and (not path.is_file() or path.read_bytes() != content):
            with replacing(path) as partial:
                partial.write_bytes(content)
        self.names.add(name)
        return Picture(f"images/{name}", *size)

    def remove_others(self) -> None:
        """Delete the images of an earlier page; files of other names are left alone."""
        for path in (self.folder / "images").glob("[0-9a-f]" * 16 + ".png"):
            if path.name not in self.names:
                path.unlink()


class Folders(NamedTuple):
    """Where images come from."""

    runs: Path
    data: Path


class _Found(NamedTuple):
    """The files of a run: translations by stem, and the figure of its samples."""

    translations: Mapping[str, File]
    figure: File | None


class _Known(NamedTuple):
    """Sources and truths by stem, and what to say of them."""

    sources: Mapping[str, Picture]
    truths: Mapping[str, Picture]
    note: str


class Samples:
    """What the page takes from runs and tasks.

    Args:
        folders: Where they are.
        store: Takes the images.
    """

    def __init__(self, folders: Folders, store: SampleStore) -> None:
        self._folders, self._store = folders, store
        self._tasks: dict[tuple[str, str], Task] = {}
        self._test_sets: dict[tuple[Task, ResizeRule], TestSet] = {}

    def has_any(self, record: Record, direction: str) -> bool:
        """Tell at no cost whether there may be translations of a run."""
        return (self._folder(record) / f"translations-{direction}").is_dir()

    def gather(self, entries: Iterable[tuple[Record, Score]]) -> Gallery:
        """Collect samples of one task and direction; runs without any are named in the notes.

        Args:
            entries: Runs, each with a score of the direction, in the order in which to show them.
        """
        columns, notes = [], []
        sources: dict[str, Picture] = {}
        truths: dict[str, Picture] = {}
        for record, score in entries:
            try:
                found = self._seen(record, score, _find(self._folder(record), score))
            except ValueError as error:
                notes.append(f"No samples of {record.run.label}, seed {record.seed}: {error}.")
                continue
            known = self._known(record, score, list(found.translations))
            notes.append(known.note)
            sources, truths = {**known.sources, **sources}, {**known.truths, **truths}
            columns.append(self._column(record, score, found=found, sources=known.sources))
        names = sorted({name for column in columns for name in column.cells})
        said = tuple(dict.fromkeys(note for note in notes if note))
        return Gallery(tuple(columns), tuple(names), sources, truths, said)

    def _seen(self, record: Record, score: Score, found: _Found) -> _Found:
        """Give translations as people see them, 16-bit ones windowed to the range of their task.

        Raises:
            ValueError: If the task of such translations is not at hand.
        """
        images = {stem: _decoded(file.content) for stem, file in found.translations.items()}
        if not any(image.mode.startswith("I") for image in images.values()):
            return found
        import numpy as np

        from i2i_bench.data.directions import find_direction
        from i2i_bench.data.window import windowed

        task = self._task(record, score)
        pixels = task.pixel_format(find_direction(task, score.direction).target)
        seen = {s: _png(windowed(np.asarray(i)[..., None], pixels)) for s, i in images.items()}
        return found._replace(translations=seen)

    def _folder(self, record: Record) -> Path:
        return self._folders.runs / record.run.folder

    def _column(
        self, record: Record, score: Score, *, found: _Found, sources: Mapping[str, Picture]
    ) -> SampleColumn:
        cells = {
            stem: Cell(self._store.add(*file), sources.get(stem))
            for stem, file in found.translations.items()
        }
        figure = self._store.add(*found.figure) if found.figure else None
        has_masks = any(score.values.get(metric.key) is not None for metric in OF_MASKS)
        return SampleColumn(record, cells, figure, has_masks)

    def _known(self, record: Record, score: Score, stems: Sequence[str]) -> _Known:
        """Give sources and truths of test images at the size of a run's translations."""
        try:
            from i2i_bench.data.directions import find_direction

            test_set = self._test_set(record, score)
            task = test_set.task
            direction = find_direction(task, score.direction)
            names = test_set.names(direction.source)
            rows = {Path(name).stem: row for row, name in enumerate(names)}
            rows = {stem: rows[stem] for stem in stems if stem in rows}
            chosen = list(rows.values())
            sources = self._keep(rows, test_set.shown(direction.source, chosen))
            truth = test_set.shown_truth(direction, chosen)
            truths = {} if truth is None else self._keep(rows, truth)
        except ValueError as error:  # it may name files, which are nobody else's business
            logger.warning("the page shows no sources of %s: %s", record.run, error)
            note = f"No sources: the images of {record.task} that were translated are not at hand."
            return _Known({}, {}, f"{note} {_owned(record.task)}".rstrip())
        return _Known(sources, truths, _owned(record.task, task.licence))

    def _task(self, record: Record, score: Score) -> Task:
        """Give the task of a run as it was when scored.

        Raises:
            ValueError: If it is not at hand.
        """
        from i2i_bench.records.folders import noted_task
        from i2i_bench.tasks import catalogue
        from i2i_bench.tasks.validation import TEST, scored_on

        argument = noted_task(self._folder(record)) or record.task
        split = record.split or TEST
        if (argument, split) not in self._tasks:
            found = catalogue.find_task(argument, self._folders.data)
            self._tasks[argument, split] = scored_on(found, split)
        task = self._tasks[argument, split]
        if (task.name, task.version) != (record.task, score.task_version):
            raise ValueError(f"{argument} is {task.name}@{task.version} now")
        return task

    def _test_set(self, record: Record, score: Score) -> TestSet:
        """Give the test images of a run's task, as its model was given them.

        Raises:
            ValueError: If they are not at hand.
        """
        from i2i_bench.data.decode import recorded_rule
        from i2i_bench.data.test_set import TestSet

        task, rule = self._task(record, score), recorded_rule(record.settings, score)
        if (task, rule) not in self._test_sets:
            self._test_sets[task, rule] = TestSet(task, rule)
        return self._test_sets[task, rule]

    def _keep(self, stems: Iterable[str], images: Images) -> dict[str, Picture]:
        """Keep images beside the page."""
        named = zip(stems, images, strict=True)
        return {stem: self._store.add(*_png(pixels)) for stem, pixels in named}


def _owned(task: str, licence: str = "") -> str:
    """Say whose images a task shows; those of an embedded task are the suite's."""
    if task in EMBEDDED:
        return ""
    known = f" ({licence})" if licence else ""
    return (
        f"The samples are made from images of {task}, copied beside this page: publish it only "
        f"where their licence{known} allows that."
    )


def _find(run: Path, score: Score) -> _Found:
    """Read the first translations of a run, if all of them are those that were scored.

    Raises:
        ValueError: If there are none, a file cannot be read, or they are others.
    """
    folder = run / f"translations-{score.direction}"
    stems = [path.stem for path in folder.glob("*.png") if not path.name.startswith(".")]
    if not stems:
        raise ValueError("its translations are not where this page was made")
    if not any(
        _pixels(folder, order) == score.pixels_sha256.get("fake") for order in _orders(stems)
    ):
        raise ValueError("the translations where this page was made are not those that were scored")
    files = {stem: _read(folder / f"{stem}.png")[0] for stem in sorted(stems)[:COUNT]}
    drawn = run / f"samples-{score.direction}.png"
    return _Found(files, _read(drawn)[0] if drawn.is_file() else None)


def _orders(stems: Sequence[str]) -> set[tuple[str, ...]]:
    """Sort by the names of the sources, whose suffix is not known; it rarely matters."""
    return {tuple(sorted(stems, key=lambda stem: stem + suffix)) for suffix in SUFFIXES}


def _pixels(folder: Path, stems: Iterable[str]) -> str:
    """Give the sha256 of all pixels in this order, as it is recorded."""
    digest = hashlib.sha256()
    for stem in stems:
        image = _read(folder / f"{stem}.png")[1]
        as_scored = image if image.mode in ("L", "I;16") else image.convert("RGB")
        digest.update(as_scored.tobytes())
    return digest.hexdigest()


def _png(pixels: NDArray[Any]) -> File:
    """Encode 8-bit RGB."""
    from PIL import Image

    image, output = Image.fromarray(pixels), io.BytesIO()
    image.save(output, format="PNG")
    return File(output.getvalue(), image.size)


def _read(path: Path) -> tuple[File, Image.Image]:
    """Read a PNG.

    Raises:
        ValueError: If it is none, or damaged.
    """
    try:
        content = path.read_bytes()
        image = _decoded(content)
    except Exception as error:  # whatever a damaged file may provoke
        raise ValueError(f"{path.name} is not a readable PNG") from error
    return File(content, image.size), image


def _decoded(content: bytes) -> Image.Image:
    from PIL import Image

    image = Image.open(io.BytesIO(content), formats=["PNG"])
    image.load()
    return image
