"""The images of one folder: list them by name, hash them, notice when one is replaced."""

from __future__ import annotations

import hashlib
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from i2i_bench.system.leftovers import is_left_by_system
from i2i_bench.tasks.image_file import MINIMUM_SIZE, SUFFIXES, read_image, read_image_size
from i2i_bench.tasks.task import TaskImage

if TYPE_CHECKING:
    from PIL import Image

Stamp = tuple[int, int]  # bytes, nanoseconds of the last change
LOOKED_AT = 3  # images of a folder from which the size of a task is told
PUBLISHED_SIZE = 256  # to which the field resizes larger images
DEEPEST = 8  # folders below one of images


def list_images(folder: Path, layout: str) -> list[Path]:
    """List the images in one folder by name.

    Args:
        folder: Of images alone, beside what systems leave there.
        layout: What it has to hold, for messages.

    Raises:
        ValueError: If it cannot be listed, is empty, something in it is no image, or two differ by
            suffix alone.
    """
    files = sorted_entries(folder)
    for path in files:
        _check_file(path)
    require_stems({path: path.name for path in files})
    if not files:
        raise ValueError(f"folder {folder} is empty; {layout} of {_suffixes()}")
    return files


def gather_images(folder: Path, layout: str, subfolders: bool | None = None) -> dict[Path, str]:
    """List the images of a folder, and of those below it, by name.

    Folders below are read where the folder has nothing else, as one for each label below
    ``trainA``; their names then begin those of the images, as in ``cat-1.jpg``.

    Args:
        folder: Of images.
        layout: What it has to hold, for messages.
        subfolders: Whether images in folders below are taken, too, or passed over, where there are
            both; refused where None.

    Returns:
        Image → its name, in the order of the names.

    Raises:
        ValueError: As of ``list_images``.
    """
    entries = sorted_entries(folder)
    deep = [path for path in entries if path.is_dir()]
    if not deep:
        return {path: path.name for path in list_images(folder, layout)}
    if subfolders is None and len(deep) < len(entries):
        raise ValueError(
            f"{deep[0]} is a folder; put the images into {folder} itself, or write into task.toml "
            "subfolders = true to take them from there, or false to pass them over"
        )
    files = [path for path in entries if path not in deep]
    if subfolders is not False:
        files += [path for below in deep for path in _below(below, DEEPEST)]
    for path in files:
        _check_file(path)
    if not files:
        raise ValueError(f"folder {folder} is empty; {layout} of {_suffixes()}")
    names = flat_names(files)
    require_stems(names)
    return names


def flat_names(files: Sequence[Path]) -> dict[Path, str]:
    """Name files of several folders by what tells these apart, and order them by name.

    Raises:
        ValueError: If two come to one name.
    """
    common = os.path.commonpath([file.parent for file in files])
    names = {file: "-".join(file.relative_to(common).parts) for file in files}
    return dict(sorted(names.items(), key=lambda named: named[1]))


def _below(folder: Path, deepest: int) -> list[Path]:
    """List what is in a folder and those below it, beside what systems leave there."""
    if not deepest:
        raise ValueError(f"{folder} lies too deep, or in a loop of links; put the images higher up")
    found = []
    for path in sorted_entries(folder):
        found += _below(path, deepest - 1) if path.is_dir() else [path]
    return found


def require_stems(names: Mapping[Path, str]) -> None:
    """Refuse images of one part of a task whose names are one but for the suffix.

    Raises:
        ValueError: If two are, naming them.
    """
    stems: dict[str, Path] = {}
    for path, name in names.items():
        stem = Path(name).stem
        if stem in stems and path.parent != stems[stem].parent:
            raise ValueError(f"{stems[stem]} and {path} come to one name, {stem}; rename one")
        if stem in stems:
            raise ValueError(
                f"{path} and {stems[stem].name} differ by suffix alone; remove one of the two"
            )
        stems[stem] = path


def sorted_entries(folder: Path) -> list[Path]:
    """List what is in a folder by name, beside what systems leave there.

    Raises:
        ValueError: If it cannot be listed.
    """
    try:
        found = (path for path in folder.iterdir() if not is_left_by_system(path.name))
        return sorted(found, key=lambda path: path.name)
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


def hash_folders(
    folders: Iterable[tuple[str, Sequence[Path]]], names: Mapping[Path, str] | None = None
) -> str:
    """Return the sha256 of folders by name, and of the names and bytes of their files.

    Args:
        folders: Name of each, and its files.
        names: Of files that are not called by their own.
    """
    total, known = hashlib.sha256(), names or {}
    for folder, files in folders:
        named = {file: known.get(file, file.name) for file in files}
        for file in sorted(named, key=lambda file: named[file]):
            total.update(f"{folder}/{named[file]}".encode(errors="surrogateescape") + b"\0")
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
