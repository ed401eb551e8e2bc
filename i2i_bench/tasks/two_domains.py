"""Tasks from image folders ``trainA trainB testA testB``: the user's own, and the catalogue's."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from i2i_bench.tasks.task import DOMAINS, SPLITS, Task, TaskImage

if TYPE_CHECKING:
    from PIL import Image

Key = tuple[str, str]  # split, domain
Stamp = tuple[int, int]  # bytes, nanoseconds of the last change
FOLDERS: dict[Key, str] = {(s, d): f"{s}{d.upper()}" for s in SPLITS for d in DOMAINS}
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF")  # PIL starts programs for others
AT_ONCE = 2**24  # bytes of a file that is read at once
MINIMUM_SIZE = 4
LOOKED_AT = 3  # images of a folder from which the size of a task is told
PUBLISHED_SIZE = 256  # to which the field resizes larger images

_IGNORED = {"thumbs.db", "desktop.ini"}  # beside hidden files
PLAIN_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")  # of PIL, for grey and RGB
_DEEP_MODES = ("I", "F")  # with their variants such as I;16
_NEEDED = " ".join(FOLDERS.values()) + ", each with images"
_LAYOUT = f"needed are {_NEEDED}"


def folder_task(path: Path, *, paired: bool | None = None) -> Task:
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
        files, found = pair(files)
        if paired and not found:
            raise ValueError(f"images of {path} do not pair: names differ between a and b")
        paired = found
    return Task(
        name=name_of(path, contents_hash(files)),
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
class FolderReader:
    """Read the images of a task from files.

    Attributes:
        files: (split, domain) → files in the order of the task.
        paired: Whether the same index is a pair.
        stamps: Of each file when the task was made; one that changes meanwhile is refused.
    """

    files: Mapping[Key, list[Path]]
    paired: bool
    stamps: Mapping[Path, Stamp]

    def images(self, split: str, domain: str) -> list[TaskImage]:
        """List the images of one split and domain."""
        return list(self._images[split, domain])

    @cached_property
    def _images(self) -> dict[Key, list[TaskImage]]:
        """List each image once, so that it is known again."""
        return {
            key: [TaskImage(p.name, partial(read_unchanged, p, self.stamps[p])) for p in paths]
            for key, paths in self.files.items()
        }

    def truth(self, source: str, target: str) -> list[TaskImage] | None:
        """List the partner of each test image of ``source``; None unless paired."""
        del source
        return self.images("test", target) if self.paired else None

    def foreground(self, source: str, target: str) -> None:
        """Know nothing of objects."""
        del source, target


def stamp(folders: Iterable[Sequence[Path]]) -> dict[Path, Stamp]:
    """Note how the files of folders are, to notice when they are replaced.

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
    """Read an image, provided that the file is still the one of which the task was made."""
    image = read_image(path)
    if _stamp(path) != before:
        raise ValueError(f"{path} was changed since this command began; put the first one back")
    return image


def scan(path: Path) -> dict[Key, list[Path]]:
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


def pair(files: Mapping[Key, list[Path]]) -> tuple[dict[Key, list[Path]], bool]:
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


def name_of(path: Path, digest: str) -> str:
    """Return the name of a task, which two folders of different contents never share."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", path.resolve().name)[:60].strip("-.")
    return f"folder-{safe or 'images'}-{digest[:8]}"


def contents_hash(files: Mapping[Key, list[Path]]) -> str:
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


def read_image(path: Path, file: BinaryIO | None = None, *, is_plain: bool = False) -> Image.Image:
    """Read an image file as 8-bit RGB.

    Transparency is dropped and the EXIF orientation is not applied, as in the authors' loaders. Of
    an animation, the first frame is read.

    Args:
        path: Of the file.
        file: Its content, where that is not to be read from the path.
        is_plain: Whether what this would change is refused instead: transparency, other colours
            than grey and RGB, and animations.

    Raises:
        ValueError: If the file is damaged, no image, not of 8 bits, too small or too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file or _content(path), formats=FORMATS) as image:
            _check_image(path, image)
            image.load()
            if is_plain and (fault := _fault(image)):
                raise _RefusedImageError(f"{path} {fault}; save it as plain RGB")
            image.info.pop(
                "transparency", None
            )  # PIL warns of some kinds that convert drops anyway
            return image.convert("RGB")
    except (_RefusedImageError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{path} is too large to be decoded safely; make it smaller") from error
    except UnidentifiedImageError as error:
        raise ValueError(
            f"{path} cannot be read as an image: its content is none of {', '.join(FORMATS)}"
        ) from error
    except Exception as error:  # on damaged files PIL's decoders raise almost anything
        reason = getattr(error, "strerror", None) or str(error).replace(str(path), "")
        reason = reason.replace("''", "").strip() or type(error).__name__
        raise ValueError(f"{path} cannot be read as an image: {reason}") from error


def _content(path: Path) -> BinaryIO | Path:
    """Give what PIL is to read: the bytes, by few calls to the system, or a large file's path."""
    status = path.stat()
    size = status.st_size
    if not stat.S_ISREG(status.st_mode):
        raise _RefusedImageError(f"{path} is not a file but a folder, a device or a pipe")
    if size > AT_ONCE:
        return path
    handle = os.open(path, os.O_RDONLY)
    try:
        content = os.read(handle, size)
        while len(content) < size and (more := os.read(handle, size - len(content))):
            content += more
        return io.BytesIO(content)
    finally:
        os.close(handle)


class _RefusedImageError(ValueError):
    """A file that is refused in a sentence of its own."""


def _check_image(path: Path, image: Image.Image) -> None:
    """Refuse by the header what is too large, too small or not of 8 bits."""
    from PIL.Image import MAX_IMAGE_PIXELS

    width, height = image.size
    if MAX_IMAGE_PIXELS and width * height > MAX_IMAGE_PIXELS:
        raise _RefusedImageError(
            f"{path} of {width}x{height} pixels is too large to be decoded safely; make it smaller"
        )
    if min(width, height) < MINIMUM_SIZE:
        raise _RefusedImageError(
            f"{path} of {width}x{height} pixels is too small; each side needs {MINIMUM_SIZE} pixels"
        )
    if image.mode.startswith(_DEEP_MODES) or _is_deep(image):
        raise _RefusedImageError(
            f"{path} has 16-bit, 32-bit or floating pixels (mode {image.mode}); "
            "scale it to 8 bits a channel first"
        )


def _fault(image: Image.Image) -> str:
    """Say what reading an image as RGB would change of it; "" if nothing."""
    if _is_transparent(image):
        return "has transparent pixels"
    if image.mode not in PLAIN_MODES:
        return f"has other colours than grey or RGB (mode {image.mode})"
    frames = getattr(image, "n_frames", 1)
    is_animated = frames > 1 and image.format != "MPO"  # a photo and its preview
    return f"is an animation of {frames} frames" if is_animated else ""


def _is_transparent(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    lowest, _ = image.convert("RGBA").getchannel("A").getextrema()
    return lowest != 255


def _is_deep(image: Image.Image) -> bool:
    """Tell whether PIL would cut 16 bits a channel to 8, from how it is about to decode."""
    arguments = [tile[3] for tile in getattr(image, "tile", [])]
    names = [a if isinstance(a, tuple) else (a,) for a in arguments]
    return any(isinstance(name, str) and ";16" in name for part in names for name in part)
