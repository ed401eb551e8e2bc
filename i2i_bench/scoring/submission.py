"""Images in a folder or a zip archive, of whatever origin, read in memory."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from i2i_bench.system.leftovers import is_left_by_system

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
LARGEST_FILE = 64 * 2**20  # bytes of one image, as stored and as unpacked from an archive
MOST_FILES = 1_000_000  # of a folder or an archive


@dataclass(frozen=True)
class ImageFile:
    """An image in a folder or an archive.

    Attributes:
        path: Relative to the folder or within the archive.
        content: Gives its bytes; raises ValueError where that is not possible.
        form: Format of the file that it was cut out of; "" where it is a file itself.
    """

    path: PurePosixPath
    content: Callable[[], bytes]
    form: str = ""


@dataclass(frozen=True)
class Listing:
    """What a folder or an archive holds.

    Attributes:
        source: The folder or archive.
        files: Its images by their suffix, by path.
        num_others: Files that are no images; those that systems leave behind do not count.
    """

    source: Path
    files: list[ImageFile]
    num_others: int


@contextlib.contextmanager
def opened(source: Path) -> Iterator[Listing]:
    """List the images in a folder or a zip archive, and in folders in it, by path.

    Hidden files, what systems leave behind and what is no image by its suffix are passed over. An
    archive is read in memory: no path in it is ever one on disk.

    Raises:
        ValueError: If there is neither, or it cannot be read.
    """
    if source.is_dir():
        yield _list_folder(source)
        return
    if not source.is_file():
        raise ValueError(f"there is no folder or zip archive {source}")
    try:
        archive = zipfile.ZipFile(source)
    except Exception as error:  # whatever a hostile file may provoke
        raise ValueError(f"{source} cannot be read as a zip archive: {error}") from error
    with archive:
        yield _list_archive(source, archive)


def _list_folder(folder: Path) -> Listing:
    files, num_others = [], 0
    for path in sorted(folder.rglob("*")):
        name = PurePosixPath(path.relative_to(folder).as_posix())
        if path.is_dir() or _is_ignored(name):
            continue
        if not _is_image(folder, name, len(files) + num_others):
            num_others += 1
            continue
        if not path.is_file():
            raise ValueError(f"{path} is not a file, or is a broken link; remove or fix it")
        files.append(ImageFile(name, partial(_read_file, path)))
    return Listing(folder, files, num_others)


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    return _require_small(content, path)


def _list_archive(source: Path, archive: zipfile.ZipFile) -> Listing:
    files, num_others = [], 0
    for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
        name = PurePosixPath(entry.filename.replace("\\", "/"))  # of old programs for Windows
        if entry.filename.endswith("/") or _is_ignored(name):
            continue
        if not _is_image(source, name, len(files) + num_others):
            num_others += 1
            continue
        files.append(ImageFile(name, partial(_read_entry, archive, entry, name)))
    return Listing(source, files, num_others)


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: PurePosixPath) -> bytes:
    """Unpack one file, no more of it than is allowed, whatever the archive says of its size."""
    try:
        with archive.open(entry) as file:
            content = file.read(LARGEST_FILE + 1)
    except Exception as error:  # encrypted, damaged, or packed in a way that is not known
        raise ValueError(f"{name} cannot be unpacked: {error}") from error
    return _require_small(content, name)


def _require_small(content: bytes, name: object) -> bytes:
    if len(content) > LARGEST_FILE:
        raise ValueError(f"{name} is larger than {LARGEST_FILE >> 20} MiB; no image needs to be")
    return content


def _is_ignored(name: PurePosixPath) -> bool:
    return any(is_left_by_system(part) for part in name.parts if part != "..")


def _is_image(source: Path, name: PurePosixPath, count: int) -> bool:
    """Tell an image by its suffix; refuse hostile names, and more files than any task has."""
    if not str(name).isprintable():
        raise ValueError(f"the name {str(name)!a} in {source} is not printable; rename the file")
    if count >= MOST_FILES:
        raise ValueError(f"{source} has more than {MOST_FILES} files")
    return name.suffix.lower() in SUFFIXES
