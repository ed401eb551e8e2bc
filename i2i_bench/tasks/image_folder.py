"""The images of one folder: list them by name, hash them, notice when one is replaced."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from i2i_bench.tasks.image_file import MINIMUM_SIZE, SUFFIXES, read_image, read_image_size
from i2i_bench.tasks.task import TaskImage

if TYPE_CHECKING:
    from PIL import Image

Stamp = tuple[int, int]  # bytes, nanoseconds of the last change
LOOKED_AT = 3  # images of a folder from which the size of a task is told
PUBLISHED_SIZE = 256  # to which the field resizes larger images

_IGNORED = {"thumbs.db", "desktop.ini"}  # beside hidden files


def list_images(folder: Path, layout: str) -> list[Path]:
    """List the images in one folder by name.

    Args:
        folder: Of images alone.
        layout: What it has to hold, for messages.

    Raises:
        ValueError: If it cannot be listed, is empty, something in it is no image, or two differ by
            suffix alone.
    """
    files: list[Path] = []
    stems: dict[str, str] = {}
    for path in _sorted_entries(folder):
        if path.name.startswith(".") or path.name.lower() in _IGNORED:
            continue
        _check_file(path)
        if path.stem in stems:
            raise ValueError(
                f"{path} and {stems[path.stem]} differ by suffix alone; remove one of the two"
            )
        stems[path.stem] = path.name
        files.append(path)
    if not files:
        raise ValueError(f"folder {folder} is empty; {layout} of {_suffixes()}")
    return files


def _sorted_entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise ValueError(f"cannot list {folder}: {error.strerror or error}") from error


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; put the images into {path.parent} itself")
    if not path.name.isprintable():  # control characters, or bytes that are no UTF-8
        raise ValueError(f"the name of {str(path)!a} is not printable UTF-8; rename the file")
    if not path.is_file():
        raise ValueError(f"{path} is not a file, or is a broken link; remove or fix it")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path} is not an image this benchmark reads; possible: {_suffixes()}")


def _suffixes() -> str:
    return " ".join(suffix.removeprefix(".") for suffix in SUFFIXES)


def image_size(
    folders: Iterable[Sequence[Path]], read: Callable[[Path], Image.Image] = read_image
) -> int:
    """Return the side in pixels for a task: the median of the shorter sides of a few images.

    It is at most the field's usual one.

    Args:
        folders: All images, folder by folder.
        read: Reads one.
    """
    few = [path for files in folders for path in files[:: -(-len(files) // LOOKED_AT)]]
    side = statistics.median_low(min(read(path).size) for path in few)
    return PUBLISHED_SIZE if side >= PUBLISHED_SIZE else side - side % MINIMUM_SIZE


def hash_folders(folders: Iterable[tuple[str, Sequence[Path]]]) -> str:
    """Return the sha256 of folders by name, and of the names and bytes of their files."""
    total = hashlib.sha256()
    for folder, files in folders:
        for file in sorted(files, key=lambda file: file.name):
            total.update(f"{folder}/{file.name}".encode(errors="surrogateescape") + b"\0")
            total.update(_hash(file))
    return total.hexdigest()


def _hash(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error


def stamp(folders: Iterable[Sequence[Path]]) -> dict[Path, Stamp]:
    """Record size and time of the files of folders, to notice when they are replaced.

    Raises:
        ValueError: If one is not there any more.
    """
    return {path: _stamp(path) for paths in folders for path in paths}


def _stamp(path: Path) -> Stamp:
    try:
        state = path.stat()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}") from error
    return state.st_size, state.st_mtime_ns


def read_unchanged(path: Path, before: Stamp) -> Image.Image:
    """Read an image, provided that its file has not changed since the task was made."""
    image = read_image(path)
    require_unchanged(path, before)
    return image


def file_image(name: str, path: Path, before: Stamp) -> TaskImage:
    """Give a file as an image of a task, read when asked for; its size is read from its header."""
    read, measure = partial(read_unchanged, path, before), partial(read_image_size, path)
    return TaskImage(name, read, measure=measure)


def require_unchanged(path: Path, before: Stamp) -> None:
    """Refuse a file that has changed since the task was made.

    Raises:
        ValueError: If it has.
    """
    if _stamp(path) != before:
        raise ValueError(f"{path} was changed since this command began; put the first one back")
