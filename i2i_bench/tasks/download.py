"""Put the images of a catalogued task where they belong, and verify what is there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from i2i_bench import download, ledger
from i2i_bench.download import Seen, Wanted, alone
from i2i_bench.overlap import ahead
from i2i_bench.tasks import archives, by_hand, catalog
from i2i_bench.tasks.archives import ArchiveError, Bounds
from i2i_bench.tasks.folders import (
    FOLDERS,
    SUFFIXES,
    Key,
    contents_hash,
    pair,
    read_image,
    scan,
)
from i2i_bench.tasks.task import DOMAINS

LARGEST_ARCHIVE = 2**35  # bytes; edges2handbags, the largest, has about a quarter
ARCHIVES = ".archives"  # below the folder of data

_DEEPEST = 4  # folders an archive may put around trainA and the others
_HALVES = {"train": "train", "test": "test", "val": "test"}  # of pix2pix; test goes before val

Report = Callable[[str, int, int], None]  # what is done, how far, of how much


@dataclass(frozen=True)
class Offer:
    """What is about to be fetched, for the user to agree to.

    Attributes:
        name: Of the task.
        archive: File name of the archive.
        urls: Where it is, in the order in which they are tried.
        source: A file of the user's instead.
        target: Folder of the task.
        size: Of the archive, in words.
    """

    name: str
    archive: str
    urls: tuple[str, ...]
    source: Path | None
    target: Path
    size: str

    def lines(self) -> list[str]:
        """Say what will be fetched, from where, under which licence, and how large it is."""
        entry = catalog.CATALOGUE[self.name]
        counts = zip(FOLDERS.values(), entry.counts, strict=True)
        where = [str(self.source)] if self.source else [download.shown(url) for url in self.urls]
        return [
            f"{self.name}: {entry.title}",
            f"  licence: {entry.licence}",
            f"  origin: {entry.origin}",
            f"  archive: {' or '.join(where)}",
            f"  size: {self.size}",
            "  images: " + ", ".join(f"{folder} {n or 'any number'}" for folder, n in counts),
            f"  goes to: {self.target}",
        ]


def offer(name: str, data: Path, *, urls: Sequence[str] = (), source: Path | None = None) -> Offer:
    """Find out what to fetch for a task; a server is asked for the size.

    Args:
        name: Of a catalogued task.
        data: Folder of all of them.
        urls: Where to get its archive, instead of the mirror and the publisher.
        source: The archive itself, instead.

    Raises:
        ValueError: If there is nothing to fetch, with what to do instead.
    """
    entry = _entry(name)
    if entry.archive is None:
        raise ValueError(
            f"task {name!r} cannot be fetched by program (licence: {entry.licence}): get "
            f"{entry.by_hand}, from {entry.origin}; {by_hand.instructions(name, data / name)}"
        )
    where = tuple(urls) or download.with_mirror("data", entry.archive.name, entry.archive.urls)
    for url in where:
        download.check_url(url)
    if source is None and not where:
        raise ValueError(
            f"task {name!r} has no address to fetch it from: {catalog.how_to_get(name)}; --url URL "
            f"takes an address you know, and {download.MIRROR} names a mirror of yours"
        )
    if source is not None and not source.is_file():
        raise ValueError(f"there is no file {source}")
    stated = source.stat().st_size if source else download.remote_size(where)
    size = f"{stated / 1e6:.1f} MB" if stated else catalog.size(entry)
    return Offer(name, entry.archive.name, where, source, data / name, size)


def _entry(name: str) -> catalog.Entry:
    """Give the line of the catalogue for a name."""
    if name in catalog.EMBEDDED:
        raise ValueError(f"task {name!r} is made by this package and needs no files")
    if name not in catalog.CATALOGUE and Path(name).is_dir():
        raise ValueError(
            f"{name} is a folder of your own: it needs no fetching; i2i-bench run checks it"
        )
    if name not in catalog.CATALOGUE:
        catalog.find(name, Path())  # raises, with the nearest names
    return catalog.CATALOGUE[name]


def present(name: str, data: Path) -> dict[str, int] | None:
    """Count the images in each folder of a task; None if it is not there.

    Without opening any: that they are as large in all as those seen first is looked at too.

    Raises:
        ValueError: If something else is there, or there is no such task.
    """
    path = data / name
    if _entry(name).archive is None or not path.exists():
        return None
    try:
        files = catalog.published_files(name, path)
        first = ledger.read(data / ledger.NAME).get(name)
        if first and first.size != (size := _num_bytes(files)):
            raise ValueError(
                f"task {name!r} needs the images seen first, of {first.size:,} bytes in all, and "
                f"there are {size:,}; {catalog.how_to_replace(name)} gets the former ones again, "
                f"and i2i-bench data verify {name} --force takes these"
            )
    except ValueError as error:
        raise ValueError(f"{path} is there and not as it must be: {error}") from None
    return _counts(files)


def fetch(
    wanted: Offer, *, report: Report, force: bool = False, keep: bool = False
) -> dict[str, int]:
    """Fetch, unpack and verify a task; its folder appears complete or not at all.

    Args:
        wanted: What to fetch.
        report: Told of progress.
        force: Whether to replace what is there, and images that are not those seen first.
        keep: Whether to keep the archive.

    Returns:
        Images in each folder.

    Raises:
        ValueError: If the archive cannot be had, is refused, or does not hold what was published.
    """
    with alone(wanted.target):
        if not force and (there := present(wanted.name, wanted.target.parent)):
            return there  # of another process, which had the lock
        if wanted.source is not None:
            return _install(wanted, wanted.source, report, force=force)
        archive = wanted.target.parent / ARCHIVES / wanted.archive
        try:
            _download(wanted, archive, report)
            counts = _install(wanted, archive, report, force=force)
        except ArchiveError:
            archive.unlink(missing_ok=True)  # it would be refused again
            raise
        else:
            if not keep:
                archive.unlink(missing_ok=True)
            return counts
        finally:
            with contextlib.suppress(OSError):  # that it is not there, or not empty
                archive.parent.rmdir()


def _download(wanted: Offer, target: Path, report: Report) -> None:
    """Download an archive, unless it was kept."""
    download.fetch(
        Wanted(f"archive {wanted.archive}", wanted.urls, LARGEST_ARCHIVE),
        target,
        progress=lambda done, total: report("fetch", done, total),
    )


def _install(wanted: Offer, archive: Path, report: Report, *, force: bool) -> dict[str, int]:
    """Put the images of an archive into the task's folder; count them."""
    draft = wanted.target.with_name(f".{wanted.name}.part")
    archives.remove(draft)  # of a process that was killed
    try:
        files = _unpack(wanted, archive, draft, report, force=force)
        counts = _counts(files)
        _replace(_root_of(files), wanted.target)
    finally:
        archives.remove(draft)
    return counts


def _unpack(
    wanted: Offer, archive: Path, draft: Path, report: Report, *, force: bool
) -> dict[Key, list[Path]]:
    """Unpack an archive into a draft of the task's folder; list its images."""
    draft.mkdir(parents=True)
    archives.unpack(
        archive, draft, bounds=Bounds(), progress=lambda done, of: report("unpack", done, of)
    )
    entry = catalog.CATALOGUE[wanted.name]
    try:
        root = _find_root(draft, report, paired=entry.paired)
        files = scan(root)
        if wrong := catalog.deviations(entry, _counts(files)):
            raise ArchiveError(", ".join(wrong))
        if entry.paired and not pair(files)[1]:
            raise ArchiveError("names differ between a and b, which must be pairs")
        _require_readable(files, report)
    except ValueError as error:
        reason = str(error).replace(f"{draft}{os.sep}", "")
        raise ArchiveError(
            f"archive {archive.name} does not hold what was published as {wanted.name}: {reason}; "
            "nothing of it is kept"
        ) from None
    _remember(wanted.name, files, wanted.target.parent, archive.name, force=force)
    return files


def _require_readable(files: dict[Key, list[Path]], report: Report) -> None:
    """Raise ValueError for the first image that cannot be read."""

    def read(path: Path) -> None:
        read_image(path)

    images = [file for listed in files.values() for file in listed]
    for done, _ in enumerate(ahead(read, images), start=1):
        report("verify", done, len(images))


def _remember(
    name: str, files: dict[Key, list[Path]], data: Path, origin: str, *, force: bool
) -> str:
    """Compare images with those seen first, or remember them as those; give their sha256."""
    seen = Seen(contents_hash(files), _num_bytes(files), origin)
    try:
        ledger.remember(data / ledger.NAME, name, seen, replace=force)
    except ValueError as error:
        raise ValueError(f"images of {name} are not those seen first: {error}") from None
    return seen.sha256


def _find_root(draft: Path, report: Report, *, paired: bool) -> Path:
    """Find trainA and the others in what was unpacked, or make them of halves."""
    folders = _folders(draft)
    roots = [path for path in folders if all((path / name).is_dir() for name in FOLDERS.values())]
    if len(roots) == 1:
        return roots[0]
    if roots:
        raise ArchiveError(f"{len(roots)} folders of it hold trainA and the others")
    for path in folders if paired else []:
        splits = {
            _HALVES[name]: path / name
            for name in ("val", "test", "train")
            if (path / name).is_dir()
        }
        if set(splits) == {"train", "test"}:
            return _cut(splits, path / ".cut", report)
    tops = sorted(path.name for path in draft.iterdir())[:5]
    raise ArchiveError(f"it has no {' '.join(FOLDERS.values())}, but {' '.join(tops) or 'nothing'}")


def _folders(draft: Path) -> list[Path]:
    """List a folder and those below it, the outer ones first."""
    found = level = [draft]
    for _ in range(_DEEPEST):
        level = [path for folder in level for path in sorted(folder.iterdir()) if path.is_dir()]
        found = found + level
    return found


def _cut(splits: dict[str, Path], target: Path, report: Report) -> Path:
    """Cut images that hold a pair side by side: the left half is of a, the right one of b."""
    todo = [
        (path, split)
        for split, folder in splits.items()
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES
    ]
    for folder in FOLDERS.values():
        (target / folder).mkdir(parents=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, _ in enumerate(
            pool.map(lambda item: _cut_one(item[0], item[1], target), todo), start=1
        ):
            report("cut", done, len(todo))
    return target


def _cut_one(path: Path, split: str, target: Path) -> None:
    image = read_image(path)
    width, height = image.size
    if width % 2:
        raise ArchiveError(f"{path} of {width}x{height} pixels does not hold two halves")
    for domain, left in zip(DOMAINS, (0, width // 2), strict=True):
        half = image.crop((left, 0, left + width // 2, height))
        half.save(target / FOLDERS[split, domain] / f"{path.stem}.png", compress_level=1)
    path.unlink()  # so that the disk need not hold both


def _root_of(files: dict[Key, list[Path]]) -> Path:
    return files["train", "a"][0].parent.parent


def _counts(files: dict[Key, list[Path]]) -> dict[str, int]:
    return {folder: len(files[key]) for key, folder in FOLDERS.items()}


def _num_bytes(files: dict[Key, list[Path]]) -> int:
    return sum(file.stat().st_size for listed in files.values() for file in listed)


def _replace(draft: Path, target: Path) -> None:
    """Move a complete folder to its place, and what was there out of the way first."""
    old = target.with_name(f".{target.name}.old")
    archives.remove(old)
    if target.exists():
        target.rename(old)
    draft.rename(target)
    archives.remove(old)


def verify(name: str, data: Path, report: Report, *, force: bool = False) -> list[str]:
    """Check that the images of a task are there, as published, sound, and those seen first.

    Args:
        name: Of a catalogued task.
        data: Folder of all of them.
        report: Told of progress.
        force: Whether to take images that are not those seen first.

    Returns:
        Lines that say what is there.

    Raises:
        ValueError: If anything is not as it must be.
    """
    entry = _entry(name)
    if entry.archive is None:
        return by_hand.verify(name, data / name, lambda done, of: report("verify", done, of))
    files = catalog.published_files(name, data / name)
    _require_readable(files, report)
    try:
        sha256 = _remember(name, files, data, name, force=force)
    except ValueError as error:
        again = catalog.how_to_replace(name)
        raise ValueError(f"{error}, and {again} gets the former ones again") from None
    counts = ", ".join(f"{folder} {number}" for folder, number in _counts(files).items())
    return [f"{name}: {counts}", f"  sha256 of names and contents: {sha256}"]
