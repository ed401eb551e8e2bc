"""Download the parquet files of a data set, or find them in its cache, and write the images."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

from i2i_bench.system import download
from i2i_bench.system.download import DownloadError, Wanted
from i2i_bench.system.progress import Progress
from i2i_bench.tasks import archives
from i2i_bench.tasks.archives import ArchiveError
from i2i_bench.tasks.hub.access import cached_file, hub_headers
from i2i_bench.tasks.hub.images import ImageWriter, Omissions
from i2i_bench.tasks.hub.layout import Chosen, choose_files, find_parts, sides_of
from i2i_bench.tasks.hub.listing import HubFile, HubListing, list_hub_files, why_refused
from i2i_bench.tasks.hub.name import HubName
from i2i_bench.tasks.hub.parquet import read_columns, require_pyarrow
from i2i_bench.tasks.source import FetchProgress

LARGEST_FILE = 2**35  # bytes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HubOffer:
    """What the hub has of a data set, and what of it is needed.

    Attributes:
        listing: All that it has, at one commit.
        chosen: What is needed.
    """

    listing: HubListing
    chosen: Chosen

    @property
    def origin(self) -> str:
        """What names the set at its commit, whatever is selected of its labels."""
        return replace(self.listing.name, revision=self.listing.commit, selected="").typed


@dataclass(frozen=True)
class Wish:
    """How the images of a data set are wanted.

    Attributes:
        expected: Folder → images in it; None where that is not known. Empty where not even the
            folders are.
        paired: Whether the two images of a row are a pair.
        archives: Folder of downloads.
        keep: Whether to keep what was downloaded.
    """

    expected: Mapping[str, int | None]
    paired: bool
    archives: Path
    keep: bool


def find_offer(name: HubName) -> HubOffer:
    """Ask what the hub has.

    Raises:
        ValueError: If pyarrow is not installed, or the hub does not have it in a form that is read.
    """
    require_pyarrow()
    listing = list_hub_files(name)
    return HubOffer(listing, choose_files(listing))


def write_hub_images(
    offer: HubOffer, draft: Path, wish: Wish, report: FetchProgress
) -> tuple[str, ...]:
    """Download the files of an offer and write their images into an empty folder.

    Returns:
        What domain a and domain b are called in the data set; nothing for labels.

    Raises:
        ArchiveError: If a file is damaged, or holds something else than images.
        ValueError: If a file cannot be had; what was downloaded of the set stays.
    """
    folder = wish.archives / f"{offer.listing.name.folder}@{quote(offer.listing.commit, safe='')}"
    try:
        places = _obtain(offer, folder, report)
        omissions, sides = _write(offer, places, draft, wish, report)
    except ArchiveError:
        archives.remove(folder)  # it would be refused again
        raise
    finally:
        for place in (folder, folder.parent):
            with contextlib.suppress(OSError):  # that it is not there, or not empty
                place.rmdir()
    if not wish.keep:
        archives.remove(folder)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()
    for sentence in omissions.sentences():
        logger.warning("%s: %s", offer.listing.name.typed, sentence)
    return sides


def _obtain(offer: HubOffer, folder: Path, report: FetchProgress) -> dict[HubFile, Path]:
    """Give each file a place on disk; those in the hub's cache stay there."""
    name, total = offer.listing.name, offer.chosen.size or 0
    places, before = {}, 0
    for file in offer.chosen.every:
        cached = cached_file(name.repository, offer.listing.commit, file.path)
        if cached is None or not _is_whole(file, cached):
            cached = folder / quote(file.path, safe="")
            _download(file, cached, name, partial(_show, report, before, total))
        places[file] = cached
        before += cached.stat().st_size
        report("fetch", before, max(before, total))
    return places


def _show(report: FetchProgress, before: int, total: int, done: int, of: int) -> None:
    report("fetch", before + done, total or before + of)


def _download(file: HubFile, target: Path, name: HubName, progress: Progress) -> None:
    def accept(path: Path, sha256: str) -> None:
        del sha256
        if file.size is not None and path.stat().st_size != file.size:
            raise ValueError(f"it has {path.stat().st_size} bytes, and the hub states {file.size}")

    def explain(status: int) -> str:
        return why_refused(status, name) if status in (401, 403) else ""

    target.parent.mkdir(parents=True, exist_ok=True)
    wanted = Wanted(
        f"{file.path} of data set {name.repository}",
        file.urls,
        LARGEST_FILE,
        file.sha256,
        accept,
        hub_headers(),
        explain,
    )
    try:
        download.download_file(wanted, target, progress=progress)
    except DownloadError as error:
        reason = str(error).partition("; the same command")[0]
        raise DownloadError(f"{reason}; the same command tries again") from None


def _is_whole(file: HubFile, path: Path) -> bool:
    """Tell whether a file in the cache is the one that the hub states."""
    if file.size is not None and path.stat().st_size != file.size:
        return False
    return not file.sha256 or download.sha256_of(path) == file.sha256


def _write(
    offer: HubOffer, places: Mapping[HubFile, Path], draft: Path, wish: Wish, report: FetchProgress
) -> tuple[Omissions, tuple[str, ...]]:
    """Write the images of files that are there; give also the names of a and b."""
    chosen, name = offer.chosen, offer.listing.name.repository
    seen = {}
    for config in chosen.configs:
        first = chosen.files[config, "train"][0]
        seen[config] = read_columns(places[first], first.path)
    parts = find_parts(name, chosen, places, seen, paired=wish.paired)
    label = parts[0].label
    if label and wish.expected:
        raise ArchiveError(f"data set {name} has labels, and the task is of two domains")
    classes = seen[chosen.configs[0]].labels.get(label, ()) if label else ()
    classes = classes or offer.listing.classes.get(label, ())
    shown = {path: file.path for file, path in places.items()}
    omissions = ImageWriter(draft, wish.expected, classes, shown, report).write(parts)
    return omissions, sides_of(chosen, parts)
