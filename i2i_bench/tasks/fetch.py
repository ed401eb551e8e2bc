"""Download, unpack and verify a published archive, and remember the hash of its images."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from i2i_bench.system import download, first_seen
from i2i_bench.system.download import DownloadError, Seen, Wanted
from i2i_bench.system.prefetch import prefetch
from i2i_bench.tasks import archives
from i2i_bench.tasks.archives import ArchiveError, Bounds
from i2i_bench.tasks.halves import find_root
from i2i_bench.tasks.hub.name import is_hub_name
from i2i_bench.tasks.image_file import read_image
from i2i_bench.tasks.pairs import SplitAndDomain, pair_files
from i2i_bench.tasks.source import FetchProgress, Offer, deviations
from i2i_bench.tasks.two_domains import FOLDERS, contents_hash, scan

LARGEST_ARCHIVE = 2**35  # bytes; edges2handbags, the largest, has about a quarter
ARCHIVES = ".archives"  # below the folder of data

logger = logging.getLogger(__name__)

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
        fill = partial(_fill_from_archive, offer.file, report)
        return install(offer, fill, offer.file.name, report, force=force)
    refusals = []
    archive = [(offer.archive, _from_archive)] if offer.urls else []
    for what, fetch in (*archive, *((name, partial(_from_hub, name)) for name in offer.hub)):
        if refusals:
            logger.warning("%s; fetching %s in its place", refusals[-1], what)
        try:
            return fetch(offer, report=report, force=force, keep=keep)
        except DownloadError as error:
            refusals.append(str(error))
    raise DownloadError("; ".join(refusals))


def _from_archive(
    offer: Offer, *, report: FetchProgress, force: bool, keep: bool
) -> dict[str, int]:
    """Download an archive, unless it was kept, and install what it holds."""
    archive = offer.target.parent / ARCHIVES / offer.archive
    try:
        download.download_file(
            Wanted(f"archive {offer.archive}", offer.urls, LARGEST_ARCHIVE),
            archive,
            progress=lambda done, total: report("fetch", done, total),
        )
        fill = partial(_fill_from_archive, archive, report)
        counts = install(offer, fill, archive.name, report, force=force)
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


def _from_hub(
    name: str, offer: Offer, *, report: FetchProgress, force: bool, keep: bool
) -> dict[str, int]:
    """Download a data set of the hub, and install what it holds.

    Raises:
        DownloadError: If it cannot be had, or holds something else.
    """
    from i2i_bench.tasks.hub.fetch import Wish, find_offer, write_hub_images
    from i2i_bench.tasks.hub.name import parse_hub_name

    wish = Wish(offer.counts, offer.paired, offer.target.parent / ARCHIVES, keep)
    try:
        found = find_offer(parse_hub_name(name))
    except ValueError as error:
        raise DownloadError(f"{name}: {error}") from None

    def fill(draft: Path) -> None:
        write_hub_images(found, draft, wish, report)

    try:
        return install(offer, fill, found.origin, report, force=force)
    except (ArchiveError, DownloadError) as error:
        raise DownloadError(f"{name}: {error}") from None


def install(
    offer: Offer,
    fill: Callable[[Path], None],
    origin: str,
    report: FetchProgress,
    *,
    force: bool,
) -> dict[str, int]:
    """Put images into the task's folder, which appears complete or not at all; count them.

    Args:
        offer: Of the images.
        fill: Writes them into an empty folder, or into one below it.
        origin: Where they come from.
        report: Told of progress.
        force: Whether to replace images that are not those seen first.

    Raises:
        ArchiveError: If they are not what was published.
    """
    draft = offer.target.with_name(f".{offer.target.name}.part")
    archives.remove(draft)  # of a process that was killed
    try:
        draft.mkdir(parents=True)
        fill(draft)
        files = _check(offer, draft, origin, report, force=force)
        counts = count_images(files)
        archives.put_folder(_root_of(files), offer.target)
    finally:
        archives.remove(draft)
    return counts


def _fill_from_archive(archive: Path, report: FetchProgress, draft: Path) -> None:
    archives.unpack(
        archive, draft, bounds=Bounds(), progress=lambda done, of: report("unpack", done, of)
    )


def _check(
    offer: Offer, draft: Path, origin: str, report: FetchProgress, *, force: bool
) -> dict[SplitAndDomain, list[Path]]:
    """List the images of a draft, if they are what was published."""
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
            f"{origin if is_hub_name(origin) else f'archive {origin}'} does not hold what was "
            f"published as {offer.name}: {reason}; nothing of it is kept"
        ) from None
    remember(offer.target, files, origin=origin, force=force)
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
