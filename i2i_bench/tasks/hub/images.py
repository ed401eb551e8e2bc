"""Write the images of parquet rows to files: each once, under their own names where possible."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from i2i_bench.labels import EVERY
from i2i_bench.tasks.archives import ArchiveError, Bounds, remove
from i2i_bench.tasks.hub.layout import SIDES, Part
from i2i_bench.tasks.hub.parquet import ParquetImage, ParquetRow, count_rows, read_rows
from i2i_bench.tasks.image_file import SUFFIXES, read_image_format
from i2i_bench.tasks.mask_files import MASKS
from i2i_bench.tasks.source import FetchProgress

ENDINGS = {"JPEG": ".jpg", "TIFF": ".tif", "DIB": ".bmp"}  # others are the format's name
LONGEST_NAME = 120  # bytes of a file's name
LONGEST_LABEL = 56  # letters of a label's folder

_DRAFTS = ".rows"  # folder of images before they have their names

_Key = tuple[bytes, ...]  # sha256 of the images of a row


@dataclass
class Omissions:
    """What was left out of a data set, and what is odd in it.

    Attributes:
        repeated: Folder → rows that hold an image a second time.
        empty: Folder → rows without an image or a label.
        shared: Folder of test images → how many of them are training images, too.
    """

    repeated: Counter[str] = field(default_factory=Counter)
    empty: Counter[str] = field(default_factory=Counter)
    shared: Counter[str] = field(default_factory=Counter)

    def sentences(self) -> list[str]:
        """Say it, one sentence a kind."""
        kinds = (
            (self.repeated, "rows hold an image that an earlier row holds; each is kept once"),
            (self.empty, "rows are empty and left out"),
            (self.shared, "test images are training images as well"),
        )
        return [
            f"{words}: {', '.join(f'{count} of {folder}' for folder, count in sorted(of.items()))}"
            for of, words in kinds
            if of
        ]


@dataclass
class _Folder:
    """Images of one folder, or of the two of pairs, before they have their names.

    Attributes:
        names: Of the folders.
        keys: Contents of each row.
        paths: What each row says that its first image was called.
        files: Contents → one file of each folder.
    """

    names: tuple[str, ...]
    keys: list[_Key] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    files: dict[_Key, list[Path]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What the folders are called together."""
        return " and ".join(self.names)


class ImageWriter:
    """Writes the images of a data set below a folder.

    Args:
        draft: The folder, which is empty.
        expected: Folder → images that it is to hold; None where that is not known.
        classes: Names of the labels by their number; none where the labels name themselves.
        shown: File → its name for people.
        report: Told of rows.
    """

    def __init__(
        self,
        draft: Path,
        expected: Mapping[str, int | None],
        classes: Sequence[str],
        shown: Mapping[Path, str],
        report: FetchProgress,
    ) -> None:
        self._draft, self._expected, self._classes = draft, expected, classes
        self._shown, self._report = shown, report
        self._room = Bounds().total_for(sum(path.stat().st_size for path in shown))
        self._omissions, self._count = Omissions(), 0
        self._labels: dict[str, str | int] = {}  # by folder

    def write(self, parts: Sequence[Part]) -> Omissions:
        """Write all parts.

        Raises:
            ArchiveError: If something in a row is no image, or a label cannot name a folder.
        """
        total = sum(count_rows(file, self._shown[file]) for part in parts for file in part.files)
        contents: dict[str, set[_Key]] = {}
        done = 0
        for part in parts:
            folders: dict[tuple[str, ...], _Folder] = {}
            for where, row in self._rows(part):
                done += 1
                self._take(part, row, where, folders)
                self._report("write", done, max(total, done))
            if not folders:
                files = ", ".join(self._shown[file] for file in part.files)
                raise ArchiveError(f"column {', '.join(part.columns)} of {files} holds no image")
            for folder in folders.values():
                self._name(folder)
                contents[folder.names[0]] = set(folder.keys)
        remove(self._draft / _DRAFTS)
        for name, keys in contents.items():
            seen = contents.get(f"train{name.removeprefix('test')}", set())
            if name.startswith("test") and (shared := len(keys & seen)):
                self._omissions.shared[name] = shared
        return self._omissions

    def _rows(self, part: Part) -> Iterator[tuple[str, ParquetRow]]:
        for file in part.files:
            shown = self._shown[file]
            for row in read_rows(file, shown, part.columns, part.label):
                yield f"row {row.number} of {shown}", row

    def _take(
        self, part: Part, row: ParquetRow, where: str, folders: dict[tuple[str, ...], _Folder]
    ) -> None:
        """Write the images of a row, unless an earlier one holds the same."""
        names = part.folders or self._folder_of_label(part, row, where)
        if not names or not all(image.content for image in row.images):
            self._leave_out(part, row, where, names)
            return
        folder = folders.setdefault(names, _Folder(names))
        key = tuple(hashlib.sha256(image.content or b"").digest() for image in row.images)
        folder.keys.append(key)
        folder.paths.append(row.images[0].path)
        if key not in folder.files:
            folder.files[key] = [
                self._write(image, f"{where}, column {column}")
                for column, image in zip(part.columns, row.images, strict=True)
            ]

    def _leave_out(self, part: Part, row: ParquetRow, where: str, names: tuple[str, ...]) -> None:
        """Count a row without an image or a label; refuse half a pair, and a path without image."""
        for column, image in zip(part.columns, row.images, strict=True):
            if not image.content and image.path:
                raise ArchiveError(
                    f"{where} names the file {image.path[:80]!a} in column {column} and does not "
                    "hold it; download the data set's files and name their folder"
                )
        if len(names) > 1:
            raise ArchiveError(f"{where} lacks an image of a pair")
        self._omissions.empty["".join(names) or part.split] += 1

    def _write(self, image: ParquetImage, label: str) -> Path:
        """Write one image into the folder of drafts; return its place."""
        content = image.content or b""
        if len(content) > min(Bounds().file_bytes, self._room):
            raise ArchiveError(f"{label} has {len(content)} bytes, more than there may be")
        self._room -= len(content)
        try:
            kind = read_image_format(Path(label), io.BytesIO(content))
        except ValueError as error:
            raise ArchiveError(str(error)) from None
        folder = self._draft / _DRAFTS
        folder.mkdir(exist_ok=True)
        path = folder / f"{self._count}{ENDINGS.get(kind, f'.{kind.lower()}')}"
        path.write_bytes(content)
        self._count += 1
        return path

    def _folder_of_label(self, part: Part, row: ParquetRow, where: str) -> tuple[str, ...]:
        """Name the folder of a row's label; none where it has none."""
        label = row.label
        if label is None or label == "" or (isinstance(label, int) and label < 0):
            return ()
        if self._classes and isinstance(label, int):
            if label >= len(self._classes):
                raise ArchiveError(
                    f"{where} has the label {label}, and there are {len(self._classes)}: "
                    f"{', '.join(self._classes)[:200]}"
                )
            label = self._classes[label]
        name = folder_of_label(str(label)) or (f"class-{row.label}" if self._classes else "")
        if not name or self._labels.setdefault(name, label) != label:
            raise ArchiveError(
                f"{where} has the label {str(label)[:80]!a}, which cannot be the name of a folder "
                "of its own"
            )
        return (f"{part.split}/{name}",)

    def _name(self, folder: _Folder) -> None:
        """Put the images of a folder in their places, under their own names or numbers."""
        kept = _kept_rows(folder.keys, self._expected.get(folder.names[0]))
        if left_out := len(folder.keys) - len(kept):
            self._omissions.repeated[folder.title] = left_out
        own = [_own_name(folder.paths[row]) for row in kept]
        stems = {Path(name).stem for name in own if name}
        is_named = len(folder.names) == 1 and len(stems) == len(kept)
        for row, name in zip(kept, own, strict=True):
            files = folder.files[folder.keys[row]]
            for number, side in enumerate(folder.names):
                source = files[number]
                target = self._draft / side / (name if is_named else f"{row:06}{source.suffix}")
                target.parent.mkdir(parents=True, exist_ok=True)
                if source.parent.name == _DRAFTS:
                    files[number] = source.rename(target)
                else:  # an image may be published more than once
                    shutil.copyfile(source, target)


def _kept_rows(keys: Sequence[_Key], expected: int | None) -> list[int]:
    """Choose the rows of a folder: one of each content, but as many as were published.

    Columns of different lengths share a table only if the shorter is filled up by repeats. A data
    set may hold an image twice all the same, as it was published.
    """
    first: dict[_Key, int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    if expected is None:
        return list(first.values())
    is_filled_up = len(first) < expected < len(keys)
    if expected == len(keys) or (is_filled_up and max(first.values()) < expected):
        return list(range(expected))
    return list(first.values())


def folder_of_label(label: str) -> str:
    """Return a name for the folder of a label that can be a domain's; "" if none is left of it."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")[:LONGEST_LABEL]
    is_taken = name in (EVERY, *SIDES) or name.endswith(MASKS)  # which mean something else
    return f"class-{name.removesuffix(MASKS)}" if is_taken else name


def _own_name(path: str) -> str:
    """Return the name that a file had, if it can have it again; else ""."""
    name = PurePosixPath(path.replace("\\", "/")).name
    is_fit = name.isprintable() and not name.startswith(".")
    is_fit = is_fit and PurePosixPath(name).suffix.lower() in SUFFIXES
    return name if is_fit and len(name.encode(errors="replace")) <= LONGEST_NAME else ""
