"""Put the images of a data set that the user names into its folder, complete or not at all."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from i2i_bench.system import first_seen
from i2i_bench.system.download import Seen
from i2i_bench.system.messages import printable
from i2i_bench.system.prefetch import prefetch
from i2i_bench.tasks import archives
from i2i_bench.tasks.hub.fetch import HubOffer, Wish, find_offer, write_hub_images
from i2i_bench.tasks.hub.folder import HubNote, folder_task, image_files, write_hub_note
from i2i_bench.tasks.hub.name import PAIRED, parse_hub_name
from i2i_bench.tasks.image_file import read_image
from i2i_bench.tasks.image_folder import hash_folders
from i2i_bench.tasks.source import FetchProgress, Offer

LONGEST_SIDE = 60  # letters of the name of a column or configuration


def install_set(
    offer: Offer, downloads: Path, report: FetchProgress, *, force: bool, keep: bool
) -> None:
    """Fetch and check the images of a data set.

    Args:
        offer: Of the set.
        downloads: Folder of parquet files.
        report: Told of progress.
        force: Whether to replace images that are not those seen first.
        keep: Whether to keep the parquet files.

    Raises:
        ValueError: If they cannot be had, or are no task.
    """
    target = offer.target
    draft = target.with_name(f".{target.name}.part")
    archives.remove(draft)  # of a process that was killed
    try:
        draft.mkdir(parents=True)
        found = offer.found
        if not isinstance(found, HubOffer):
            found = find_offer(parse_hub_name(offer.hub[0]))
        name = replace(found.listing.name, selected=PAIRED if offer.paired else "")
        wish = Wish({}, offer.paired, downloads, keep)
        sides = [printable(s, LONGEST_SIDE) for s in write_hub_images(found, draft, wish, report)]
        write_hub_note(draft, HubNote(found.listing.commit, offer.licence, tuple(sides)))
        folder_task(draft, name)
        check_images(draft, target, found.origin, report, force=force)
        archives.put_folder(draft, target)
    except ValueError as error:
        reason = str(error).replace(f"{draft}{os.sep}", "").replace(str(draft), offer.name)
        raise ValueError(reason) from None
    finally:
        archives.remove(draft)


def check_images(
    folder: Path, place: Path, origin: str, report: FetchProgress, *, force: bool
) -> str:
    """Read all images, and compare them with those first seen; return their sha256.

    Args:
        folder: Where they are.
        place: Where they belong.
        origin: Where they come from.
        report: Told of progress.
        force: Whether to take others than those seen first.

    Raises:
        ValueError: If one cannot be read, or others were seen first.
    """

    def read(path: Path) -> None:
        read_image(path)

    folders = image_files(folder)
    files = [file for _, found in folders for file in found]
    for done, _ in enumerate(prefetch(read, files), start=1):
        report("verify", done, len(files))
    seen = Seen(hash_folders(folders), sum(file.stat().st_size for file in files), origin)
    known = place.parent / first_seen.NAME
    try:
        first_seen.remember_first(known, place.name, seen, replace=force)
    except ValueError as error:
        raise ValueError(f"images of {origin} are not those seen first: {error}") from None
    return seen.sha256
