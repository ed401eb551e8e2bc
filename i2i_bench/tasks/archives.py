"""Take images out of zip and tar archives that nobody has looked at before."""

from __future__ import annotations

import errno
import gzip
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

from i2i_bench.system.leftovers import is_left_by_system
from i2i_bench.system.progress import Progress
from i2i_bench.tasks.image_file import SUFFIXES

_CHUNK = 1 << 20  # bytes
_LARGEST_HEADER = 1 << 22  # bytes that a tar may state for a name and the like
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    gzip.BadGzipFile,
    EOFError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)


class ArchiveError(ValueError):
    """An archive that is damaged, hostile, or not what it should be."""


@dataclass(frozen=True)
class Bounds:
    """What an archive may hold at most.

    Attributes:
        members: Files and folders.
        file_bytes: Of one file, unpacked.
        total_bytes: Of all files, unpacked.
        ratio: Of bytes unpacked to bytes of the archive.
        free_bytes: Bytes unpacked before the ratio counts.
    """

    members: int = 1_000_000
    file_bytes: int = 2**26
    total_bytes: int = 2**36
    ratio: int = 100
    free_bytes: int = 2**28

    def total_for(self, archive_bytes: int) -> int:
        """Return the bytes that an archive of a certain size may unpack to."""
        return min(self.total_bytes, max(self.free_bytes, self.ratio * archive_bytes))


@dataclass(frozen=True)
class _Member:
    """An entry of an archive.

    Attributes:
        name: As the archive has it.
        kind: What it is.
        open: Opens its content.
        position: Bytes of the archive read so far, about.
    """

    name: str
    kind: Literal["file", "folder", "other"]
    open: Callable[[], IO[bytes]]
    position: int


def unpack(
    path: Path,
    folder: Path,
    *,
    bounds: Bounds | None = None,
    progress: Progress | None = None,
    suffixes: Collection[str] = SUFFIXES,
) -> int:
    """Write the images of an archive into a folder, with the folders they lie in.

    Anything else is left out. An archive is refused as a whole if a member is a link or a device,
    has a name that leads elsewhere or is not plain, comes twice, or exceeds the bounds, which are
    enforced on what is written and not on what the archive states.

    Args:
        path: A zip, tar or tar.gz.
        folder: Where to write; it must be empty, and is left as it is if anything fails.
        bounds: What the archive may hold.
        progress: Called after each member.
        suffixes: In small letters, of the files that are written: images, if nothing else is said.

    Returns:
        Images written.

    Raises:
        ArchiveError: If the archive is refused or damaged.
    """
    bounds = bounds or Bounds()
    num_bytes = path.stat().st_size
    room, places = bounds.total_for(num_bytes), set()
    with _named(path), _members(path, room) as members:
        for number, member in enumerate(members, start=1):
            if number > bounds.members:
                raise ArchiveError(f"it has more than {bounds.members} members")
            place = _place(member)
            if member.kind == "file" and _is_wanted(place, suffixes):
                if place.as_posix().casefold() in places:
                    raise ArchiveError(f"it holds {place} twice")
                places.add(place.as_posix().casefold())
                limit = min(room, bounds.file_bytes)
                room -= _write(member, folder / place, limit)
            if progress is not None:
                progress(min(member.position, num_bytes), num_bytes)
    if progress is not None:
        progress(num_bytes, num_bytes)
    return len(places)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Say in one sentence why an archive cannot be used."""
    try:
        yield
    except ArchiveError as error:
        raise ArchiveError(f"archive {path.name} is refused: {error}") from None
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise ArchiveError(f"archive {path.name} is damaged: {reason}") from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # which is a place before the file's beginning
            raise
        raise ArchiveError(f"archive {path.name} is damaged: {error.strerror}") from error


@contextmanager
def _members(path: Path, room: int) -> Iterator[Iterator[_Member]]:
    """Open an archive by its first bytes, not by its name."""
    with path.open("rb") as file:
        start = file.read(512)
        file.seek(0)
        if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            with zipfile.ZipFile(file) as archive:
                yield _zip_members(archive)
        elif start.startswith(b"\x1f\x8b"):
            with gzip.open(file) as plain:
                yield _tar_members(_Forward(plain, 2 * room), file)  # with headers and padding
        elif start[257:262] == b"ustar":
            yield _tar_members(_Forward(file, 2 * room), file)
        else:
            raise ArchiveError("it is not a zip, tar or tar.gz")


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    position = 0
    for info in archive.infolist():
        kind = info.external_attr >> 28  # of Unix: 8 file, 4 folder, 10 link; 0 if not stated
        if info.flag_bits & 1:
            raise ArchiveError(f"{info.filename!a} is encrypted")
        if info.compress_type not in _PACKINGS:
            raise ArchiveError(f"{info.filename!a} is packed in a way that is not read here")
        position += info.compress_size
        is_known = kind in (0, 4, 8)
        what: Any = "folder" if info.filename.endswith("/") or kind == 4 else "file"
        name = info.orig_filename  # not cut at a zero byte
        yield _Member(name, what if is_known else "other", _opener(archive, info), position)


def _opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(info)


def _tar_members(stream: _Forward, file: IO[bytes]) -> Iterator[_Member]:
    opened: Any = stream
    with tarfile.open(fileobj=opened, mode="r:") as archive:
        for info in archive:
            is_plain = info.isreg() and not info.issparse()
            kind = "file" if is_plain else "folder" if info.isdir() else "other"
            yield _Member(info.name, kind, _extractor(archive, info), file.tell())
    while stream.read(_CHUNK):  # to the end, where gzip has a checksum
        pass


def _extractor(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def extract() -> IO[bytes]:
        content = archive.extractfile(info)
        assert content is not None, "only files are extracted"
        return content

    return extract


class _Forward:
    """A stream for tarfile that only goes forward, up to a limit, in steps of bounded size.

    tarfile steps back by one byte between members. A gzip stream would restart for that, and an
    archive with negative sizes would loop for ever.
    """

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream, self._limit = stream, limit
        self._position, self._last, self._is_back = 0, b"", False

    def read(self, size: int = -1) -> bytes:
        """Read bytes; tarfile asks for as many as a header states."""
        if not 0 <= size <= _LARGEST_HEADER:
            raise ArchiveError(f"a header of {size} bytes is not believed")
        first = self._last if self._is_back and size else b""
        data = first + self._stream.read(size - len(first))
        self._position += len(data)
        self._last, self._is_back = data[-1:] or self._last, self._is_back and not size
        if self._position > self._limit:
            raise ArchiveError("it unpacks to more than such an archive may")
        return data

    def seek(self, position: int) -> int:
        """Move forward, or back by one byte."""
        if position == self._position - 1 and self._last and not self._is_back:
            self._position, self._is_back = position, True
        if position < self._position:
            raise ArchiveError("its members overlap")
        while self._position < position and self.read(min(_CHUNK, position - self._position)):
            pass
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position


def _place(member: _Member) -> PurePosixPath:
    """Give where a member belongs below the folder."""
    name = member.name
    if not name.isprintable() or "\\" in name or not name.strip("/. "):
        if member.kind == "folder" and name.strip("/") in ("", "."):
            return PurePosixPath(".")  # the archive's own folder
        raise ArchiveError(f"{name!a} is not a plain name")
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts:
        raise ArchiveError(f"{name!a} leads out of the folder")
    if any(len(part.encode()) > 255 for part in place.parts) or len(place.parts) > 16:
        raise ArchiveError(f"the name {name[:40]!a}... is too long")
    if member.kind == "other":
        raise ArchiveError(f"{name!a} is a link, a device or the like")
    return place


def _is_wanted(place: PurePosixPath, suffixes: Collection[str]) -> bool:
    is_hidden = any(map(is_left_by_system, place.parts))
    return not is_hidden and place.suffix.lower() in suffixes


def _write(member: _Member, target: Path, limit: int) -> int:
    """Write a member's content; give its size."""
    try:
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True)
        draft = target.open("xb")
    except (FileExistsError, NotADirectoryError):
        raise ArchiveError(f"{member.name!a} is both a file and a folder") from None
    size = 0
    with draft as file, member.open() as content:
        while chunk := content.read(_CHUNK):
            size += len(chunk)
            if size > limit:
                raise ArchiveError(f"{member.name!a} unpacks to more than {limit} bytes")
            file.write(chunk)
    return size


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, if it is there."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def put_folder(draft: Path, target: Path) -> None:
    """Move a complete folder to its place, after moving away what was there."""
    old = target.with_name(f".{target.name}.old")
    remove(old)
    if target.exists():
        target.rename(old)
    draft.rename(target)
    remove(old)
