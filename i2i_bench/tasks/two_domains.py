"""Tasks from image folders ``trainA trainB testA testB``: the user's own, and the catalogue's."""

from __future__ import annotations

import hashlib
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image
from i2i_bench.tasks.image_file import MINIMUM_SIZE, SUFFIXES, read_image
from i2i_bench.tasks.task import DOMAINS, SPLITS, Reader, Task, TaskImage

SplitAndDomain = tuple[str, str]  # split, domain
Stamp = tuple[int, int]  # bytes, nanoseconds of the last change
FOLDERS: dict[SplitAndDomain, str] = {(s, d): f"{s}{d.upper()}" for s in SPLITS for d in DOMAINS}
LOOKED_AT = 3  # images of a folder from which the size of a task is told
PUBLISHED_SIZE = 256  # to which the field resizes larger images

_IGNORED = {"thumbs.db", "desktop.ini"}  # beside hidden files
_NEEDED = " ".join(FOLDERS.values()) + ", each with images"
_LAYOUT = f"needed are {_NEEDED}"


def two_domain_task(path: Path, *, paired: bool | None = None) -> Task:
    """Make a task of a folder with ``trainA trainB testA testB``.

    Args:
        path: The folder.
        paired: Whether images of domains a and b are pairs; None finds out by their names.

    Raises:
        ValueError: If the folder has another layout, anything in it is no image, or ``paired`` is
            asked of files whose names do not pair.
    """
    files = scan(path)
    stamps = stamp(files.values())
    if paired is not False:
        files, found = pair_files(files)
        if paired and not found:
            raise ValueError(f"images of {path} do not pair: names differ between a and b")
        paired = found
    return Task(
        name=partner_name(path, contents_hash(files)),
        version=1,
        title=f"Images of the folder {path.resolve().name}",
        kind="folder",
        domains=DOMAINS,
        image_size=image_size(files.values()),
        num_train={domain: len(files["train", domain]) for domain in DOMAINS},
        num_test={domain: len(files["test", domain]) for domain in DOMAINS},
        paired=paired,
        headline="psnr" if paired else "kid",
        licence="not stated",
        origin="a folder of your own",
        reader=FolderReader(files, paired, stamps),
    )


@dataclass(frozen=True)
class FolderReader(Reader):
    """Read the images of a task from files.

    Attributes:
        files: (split, domain) → files in the order of the task.
        paired: Whether the same index is a pair.
        stamps: Of each file when the task was made; one that changes meanwhile is refused.
    """

    files: Mapping[SplitAndDomain, list[Path]]
    paired: bool
    stamps: Mapping[Path, Stamp]

    def images(self, split: str, domain: str) -> list[TaskImage]:
        """List the images of one split and domain."""
        return list(self._images[split, domain])

    @cached_property
    def _images(self) -> dict[SplitAndDomain, list[TaskImage]]:
        """List images, the same objects each time."""
        return {
            key: [TaskImage(p.name, partial(read_unchanged, p, self.stamps[p])) for p in paths]
            for key, paths in self.files.items()
        }

    def truth(self, source: str, target: str) -> list[TaskImage] | None:
        """List the partner of each test image of ``source``; None unless paired."""
        del source
        return self.images("test", target) if self.paired else None


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
    if _stamp(path) != before:
        raise ValueError(f"{path} was changed since this command began; put the first one back")
    return image


def scan(path: Path) -> dict[SplitAndDomain, list[Path]]:
    """List the images of each split and domain, lexicographic by name.

    Raises:
        ValueError: If a folder is missing or empty, or something in it is not an image file.
    """
    if not path.is_dir():
        raise ValueError(f"there is no folder {path}; {_LAYOUT}")
    missing = [name for name in FOLDERS.values() if not (path / name).is_dir()]
    if len(missing) == len(FOLDERS):
        raise ValueError(f"folder {path} {_reason(path)}has none of the folders needed: {_NEEDED}")
    if missing:
        raise ValueError(f"folder {path} {_reason(path)}has no {' '.join(missing)}; {_LAYOUT}")
    try:
        return {key: list_images(path / name) for key, name in FOLDERS.items()}
    except OSError as error:
        raise ValueError(f"cannot list {error.filename}: {error.strerror or error}") from error


def _reason(path: Path) -> str:
    """Say which other known layout a folder has, if any."""
    if any((path / split / side).is_dir() for split in ("train", "test") for side in "AB"):
        return (
            "has folders such as train/A, which must be renamed to trainA and the like or, if they "
            "are labels, to other names than A and B; it "
        )
    written = {each.name.lower(): each.name for each in path.iterdir() if each.is_dir()}
    other = [written[n.lower()] for n in FOLDERS.values() if n.lower() in written]
    if other and not set(other) & set(FOLDERS.values()):
        return f"has {' '.join(other)}, whose last letter must be a capital and no other; it "
    if any((path / split).is_dir() for split in ("train", "test", "val")):
        return (
            "has the layout of pix2pix, one file for both images of a pair, which must be cut into "
            "its two halves first; it "
        )
    return ""


def list_images(folder: Path, layout: str = _LAYOUT) -> list[Path]:
    """List the images in one folder by name.

    Args:
        folder: Of images alone.
        layout: What it belongs to, for messages.

    Raises:
        ValueError: If it is empty, something in it is no image, or two differ by suffix alone.
    """
    files: list[Path] = []
    stems: dict[str, str] = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
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


def pair_files(
    files: Mapping[SplitAndDomain, list[Path]],
) -> tuple[dict[SplitAndDomain, list[Path]], bool]:
    """Find out by name whether images of a and b are pairs, in every split.

    Names pair when their stems are the same, also without a trailing ``_A`` and ``_B``.

    Returns:
        The files, where paired with domain b in the order of domain a; and whether they are paired.
    """
    ordered = dict(files)
    for split in SPLITS:
        keys = [re.sub("_A$", "", path.stem) for path in files[split, "a"]]
        partners = {re.sub("_B$", "", path.stem): path for path in files[split, "b"]}
        if sorted(keys) != sorted(partners) or len(partners) != len(files[split, "b"]):
            return dict(files), False
        ordered[split, "b"] = [partners[key] for key in keys]
    return ordered, True


def partner_name(path: Path, digest: str) -> str:
    """Return the name of a task, which two folders of different contents never share."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", path.resolve().name)[:60].strip("-.")
    return f"folder-{safe or 'images'}-{digest[:8]}"


def contents_hash(files: Mapping[SplitAndDomain, list[Path]]) -> str:
    """Return the sha256 of the images of a task: of their folders, names and bytes."""
    return hash_folders((folder, files[key]) for key, folder in FOLDERS.items())


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


def image_size(folders: Iterable[Sequence[Path]]) -> int:
    """Return the side in pixels for a task: the median of the shorter sides of a few images.

    It is at most the field's usual one.

    Args:
        folders: All images, folder by folder.
    """
    few = [path for files in folders for path in files[:: -(-len(files) // LOOKED_AT)]]
    side = statistics.median_low(min(read_image(path).size) for path in few)
    return PUBLISHED_SIZE if side >= PUBLISHED_SIZE else side - side % MINIMUM_SIZE
