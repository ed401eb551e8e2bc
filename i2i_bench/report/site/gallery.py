"""Samples for the page: what runs/ still has of the recorded translations, beside their sources."""

from __future__ import annotations

import functools
import hashlib
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from i2i_bench.record import Record, Score, replacing
from i2i_bench.tasks.folders import SUFFIXES

if TYPE_CHECKING:
    from PIL import Image

    from i2i_bench.tasks.task import Task, TaskImage

COUNT = 6  # test images shown of a direction, the first by name
MASK_KEYS = ("attention_entropy", "effective_masks", "background_share")  # of models with masks

logger = logging.getLogger(__name__)


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
class Column:
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

    columns: tuple[Column, ...] = ()
    names: tuple[str, ...] = ()
    sources: Mapping[str, Picture] = field(default_factory=dict)
    truths: Mapping[str, Picture] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Store:
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
        """Delete what an earlier page had; files of other names are not ours."""
        for path in (self.folder / "images").glob("[0-9a-f]" * 16 + ".png"):
            if path.name not in self.names:
                path.unlink()


class Folders(NamedTuple):
    """Where images come from."""

    runs: Path
    data: Path


class _Known(NamedTuple):
    """The sources of one direction at one size, and their truths, by stem."""

    sources: Mapping[str, Picture]
    truths: Mapping[str, Picture]
    note: str = ""


def has_any(record: Record, direction: str, runs: Path) -> bool:
    """Tell at no cost whether there may be translations of a run."""
    return _folder(record, direction, runs).is_dir()


def _folder(record: Record, direction: str, runs: Path) -> Path:
    return runs / record.run.folder / f"translations-{direction}"


def gather(entries: Iterable[tuple[Record, Score]], folders: Folders, store: Store) -> Gallery:
    """Collect samples of one task and direction; runs without any are named in the notes.

    Args:
        entries: Runs, each with a score of the direction, in the order in which to show them.
        folders: Where runs and tasks are.
        store: Takes the images.
    """
    columns, notes = [], []
    sources: dict[str, Picture] = {}
    truths: dict[str, Picture] = {}
    for record, score in entries:
        try:
            files = _translations(record, score, folders.runs)
        except ValueError as error:
            notes.append(f"No samples of {record.run.label}, seed {record.seed}: {error}.")
            continue
        known = _known(record, score, list(files), folders, store)
        notes.append(known.note)
        sources, truths = {**known.sources, **sources}, {**known.truths, **truths}
        cells = {
            stem: Cell(store.add(content, size), known.sources.get(stem))
            for stem, (content, size) in files.items()
        }
        columns.append(_column(record, score, cells, folders.runs, store))
    names = sorted({name for column in columns for name in column.cells})
    found = tuple(dict.fromkeys(note for note in notes if note))
    return Gallery(tuple(columns), tuple(names), sources, truths, found)


def _column(
    record: Record, score: Score, cells: Mapping[str, Cell], runs: Path, store: Store
) -> Column:
    drawn = runs / record.run.folder / f"samples-{score.direction}.png"
    figure = None
    if drawn.is_file():
        content, image = _read(drawn)
        figure = store.add(content, image.size)
    has_masks = any(score.values.get(key) is not None for key in MASK_KEYS)
    return Column(record, cells, figure, has_masks)


def _translations(
    record: Record, score: Score, runs: Path
) -> dict[str, tuple[bytes, tuple[int, int]]]:
    """Read the first translations of a run by stem, if all are those that were scored.

    Raises:
        ValueError: If there are none, one cannot be read, or they are not those.
    """
    folder = _folder(record, score.direction, runs)
    stems = [path.stem for path in folder.glob("*.png") if not path.name.startswith(".")]
    if not stems:
        raise ValueError("its translations are not where this page was made")
    if not any(
        _pixels(folder, order) == score.pixels_sha256.get("fake") for order in _orders(stems)
    ):
        raise ValueError("the translations where this page was made are not those that were scored")
    found = {}
    for stem in sorted(stems)[:COUNT]:
        content, image = _read(folder / f"{stem}.png")
        found[stem] = (content, image.size)
    return found


def _orders(stems: Sequence[str]) -> set[tuple[str, ...]]:
    """Sort by the names of the sources, whose suffix is not known; it rarely matters."""
    return {tuple(sorted(stems, key=lambda stem: stem + suffix)) for suffix in SUFFIXES}


def _pixels(folder: Path, stems: Iterable[str]) -> str:
    """Give the sha256 of all pixels in this order, as it is recorded."""
    digest = hashlib.sha256()
    for stem in stems:
        digest.update(_read(folder / f"{stem}.png")[1].convert("RGB").tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[bytes, Image.Image]:
    """Read a PNG.

    Raises:
        ValueError: If it is none, or damaged.
    """
    from PIL import Image

    try:
        content = path.read_bytes()
        image = Image.open(io.BytesIO(content), formats=["PNG"])
        image.load()
    except Exception as error:  # whatever a damaged file may provoke
        raise ValueError(f"{path.name} is no PNG that can be read") from error
    return content, image


def _known(
    record: Record, score: Score, stems: Sequence[str], folders: Folders, store: Store
) -> _Known:
    """Give sources and truths of test images at the size of a run's translations."""
    task = _find_task(record, score, folders)
    if task is None:
        note = f"No sources: the images of {record.task} are not where this page was made."
        return _Known({}, {}, f"{note} {_owned(record.task)}")
    source, target = score.direction.split("2")
    images = {Path(image.name).stem: i for i, image in enumerate(task.images("test", source))}
    indices = {stem: images[stem] for stem in stems if stem in images}

    def decoded(of: list[TaskImage] | None) -> dict[str, Picture]:
        chosen = {stem: of[i] for stem, i in indices.items()} if of else {}
        return _decode(chosen, record.settings, store)

    return _Known(
        decoded(task.images("test", source)),
        decoded(task.truth(source, target)),
        "" if task.kind == "embedded" else _owned(record.task, task.licence),
    )


def _owned(name: str, licence: str = "") -> str:
    known = f" ({licence})" if licence else ""
    return (
        f"The samples are made from images of {name}, copied beside this page: publish it only "
        f"where their licence{known} allows that."
    )


def _find_task(record: Record, score: Score, folders: Folders) -> Task | None:
    """Give the task of a run as it was when scored; None where it is not at hand."""
    from i2i_bench.plan import noted_task

    argument = noted_task(folders.runs / record.run.folder) or record.task
    task = _task(argument, folders.data)
    wanted = (record.task, score.task_version)
    return task if task and (task.name, task.version) == wanted else None


@functools.cache
def _task(argument: str, data: Path) -> Task | None:
    from i2i_bench.tasks import catalog

    try:
        return catalog.find(argument, data)
    except ValueError as error:
        logger.warning("the page shows no sources: %s", error)
        return None


def _decode(
    images: Mapping[str, TaskImage], settings: Mapping[str, Any], store: Store
) -> dict[str, Picture]:
    """Keep images as a model was given them."""
    from PIL import Image

    from i2i_bench.data import decode

    if not images:
        return {}
    whole = decode(
        list(images.values()),
        size=settings["crop_size"],
        resampling=settings["resampling"],
        resize=settings["resize"],
    )
    pictures = {}
    for stem, pixels in zip(images, whole.permute(0, 2, 3, 1).numpy(), strict=True):
        image, output = Image.fromarray(pixels), io.BytesIO()
        image.save(output, format="PNG")
        pictures[stem] = store.add(output.getvalue(), image.size)
    return pictures
