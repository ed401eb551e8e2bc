"""Download, unpack and verify a published archive, and remember the hash of its images."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from i2i_bench.system import download, first_seen
from i2i_bench.system.download import Seen, Wanted
from i2i_bench.system.prefetch import prefetch
from i2i_bench.tasks import archives
from i2i_bench.tasks.archives import ArchiveError, Bounds
from i2i_bench.tasks.halves import find_root
from i2i_bench.tasks.image_file import read_image
from i2i_bench.tasks.source import FetchProgress, Offer, deviations
from i2i_bench.tasks.two_domains import FOLDERS, SplitAndDomain, contents_hash, pair_files, scan

LARGEST_ARCHIVE = 2**35  # bytes; edges2handbags, the largest, has about a quarter
ARCHIVES = ".archives"  # below the folder of data

Files = Mapping[SplitAndDomain, list[Path]]


def fetch_archive(
    offer: Offer, *, report: FetchProgress, force: bool, keep: bool
) -> dict[str, int]:
    """Fetch, unpack and verify a task; its folder appears complete or not at all.

    Args:
        offer: What to fetch.
        report: Told of progress.
        force: Whether to replace images that are not those seen first.
        keep: Whether to keep the archive.

    Returns:
        Images in each folder.

    Raises:
        ValueError: If the archive cannot be had, is refused, or does not hold what was published.
    """
    if offer.file is not None:
        return _install(offer, offer.file, report, force=force)
    archive = offer.target.parent / ARCHIVES / offer.archive
    try:
        _download(offer, archive, report)
        counts = _install(offer, archive, report, force=force)
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


def _download(offer: Offer, target: Path, report: FetchProgress) -> None:
    """Download an archive, unless it was kept."""
    download.download_file(
        Wanted(f"archive {offer.archive}", offer.urls, LARGEST_ARCHIVE),
        target,
        progress=lambda done, total: report("fetch", done, total),
    )


def _install(offer: Offer, archive: Path, report: FetchProgress, *, force: bool) -> dict[str, int]:
    """Put the images of an archive into the task's folder; count them."""
    draft = offer.target.with_name(f".{offer.name}.part")
    archives.remove(draft)  # of a process that was killed
    try:
        files = _unpack(offer, archive, draft, report, force=force)
        counts = count_images(files)
        _replace(_root_of(files), offer.target)
    finally:
        archives.remove(draft)
    return counts


def _unpack(
    offer: Offer, archive: Path, draft: Path, report: FetchProgress, *, force: bool
) -> dict[SplitAndDomain, list[Path]]:
    """Unpack an archive into a draft of the task's folder; list its images."""
    draft.mkdir(parents=True)
    archives.unpack(
        archive, draft, bounds=Bounds(), progress=lambda done, of: report("unpack", done, of)
    )
    try:
        root = find_root(draft, report, paired=offer.paired)
        files = scan(root)
        if wrong := deviations(offer.counts, count_images(files)):
            raise ArchiveError(", ".join(wrong))
        if offer.paired and not pair_files(files)[1]:
            raise ArchiveError("names differ between a and b, which must be pairs")
        require_readable(files, report)
    except ValueError as error:
        reason = str(error).replace(f"{draft}{os.sep}", "")
        raise ArchiveError(
            f"archive {archive.name} does not hold what was published as {offer.name}: {reason}; "
            "nothing of it is kept"
        ) from None
    remember(offer.target, files, origin=archive.name, force=force)
    return files


def require_readable(files: Files, report: FetchProgress) -> None:
    """Raise ValueError for the first image that cannot be read."""

    def read(path: Path) -> None:
        read_image(path)

    images = [file for listed in files.values() for file in listed]
    for done, _ in enumerate(prefetch(read, images), start=1):
        report("verify", done, len(images))


def read_first(folder: Path) -> Seen | None:
    """Return what is remembered of a folder's images since they were first seen, or None."""
    return first_seen.read_first_seen(folder.parent / first_seen.NAME).get(folder.name)


def remember(folder: Path, files: Files, *, origin: str, force: bool) -> str:
    """Compare images with those first seen, or remember them as such; return their sha256.

    Args:
        folder: Of the task, where the images are or belong.
        files: The images.
        origin: Where they come from.
        force: Whether to remember them though others were seen first.

    Raises:
        ValueError: If others were seen first.
    """
    seen = Seen(contents_hash(files), num_bytes(files), origin)
    try:
        first_seen.remember_first(folder.parent / first_seen.NAME, folder.name, seen, replace=force)
    except ValueError as error:
        raise ValueError(f"images of {folder.name} are not those seen first: {error}") from None
    return seen.sha256


def _root_of(files: Files) -> Path:
    return files["train", "a"][0].parent.parent


def count_images(files: Files) -> dict[str, int]:
    """Count the images in each folder."""
    return {folder: len(files[key]) for key, folder in FOLDERS.items()}


def num_bytes(files: Files) -> int:
    """Add up the sizes of images."""
    return sum(file.stat().st_size for listed in files.values() for file in listed)


def _replace(draft: Path, target: Path) -> None:
    """Move a complete folder to its place, after moving away what was there."""
    old = target.with_name(f".{target.name}.old")
    archives.remove(old)
    if target.exists():
        target.rename(old)
    draft.rename(target)
    archives.remove(old)
