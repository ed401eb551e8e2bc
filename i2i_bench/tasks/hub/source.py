"""A data set of the Hugging Face hub as a task: fetched once, then a folder of images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from i2i_bench.system.files import read_json, write_text
from i2i_bench.system.messages import shown_bytes
from i2i_bench.tasks.hub.access import HUB
from i2i_bench.tasks.hub.folder import NOTE, count_images, hub_task
from i2i_bench.tasks.hub.name import HubName, parse_hub_name
from i2i_bench.tasks.image_folder import PUBLISHED_SIZE
from i2i_bench.tasks.source import FetchProgress, Offer, Source, TaskState
from i2i_bench.tasks.task import Task

if TYPE_CHECKING:
    from i2i_bench.tasks.hub.fetch import HubOffer

FOLDER = "hub"  # in the folder of data
DOWNLOADS = ".downloads"  # below the folder of a data set


@dataclass(frozen=True, kw_only=True)
class HubSource(Source):
    """A data set of the hub, which the user names.

    Attributes:
        hub: Its name.
        root: Folder of all its revisions.
    """

    hub: HubName
    root: Path

    @property
    def image_size(self) -> int:
        """Side in pixels, to which the field resizes; its task knows better."""
        return PUBLISHED_SIZE

    def place(self, data: Path) -> Path:
        """Return the folder of the images; of what is not fetched, that of the whole set."""
        del data
        found = self._fetched()
        return found[1] if found else self.root

    def state(self, folder: Path) -> TaskState:
        """Tell whether the set was fetched."""
        del folder
        return "ready" if self._fetched() else "missing"

    def instructions(self, folder: Path, state: TaskState) -> str:
        """Name the command that gets the images."""
        del folder
        return "" if state == "ready" else self._fetch_command()

    def make_task(self, folder: Path) -> Task:
        """Make the task of the fetched images.

        Raises:
            ValueError: If they are not there, with the command that fetches them.
        """
        del folder
        found = self._fetched()
        if not found:
            raise ValueError(
                f"data set {self.name} is not there yet; {self._fetch_command()} shows its size "
                "and licence and fetches it"
            )
        return hub_task(*found)

    def count_present(self, folder: Path) -> dict[str, int] | None:
        """Count the images in each folder of what was fetched; None if nothing was."""
        del folder
        found = self._fetched()
        return count_images(found[1]) if found else None

    def offer(self, folder: Path, *, urls: Sequence[str] = (), file: Path | None = None) -> Offer:
        """Ask the hub for the size and the licence of the set.

        Raises:
            ValueError: If the hub does not have it or does not show it, or its files do not tell
                what is which domain.
        """
        del folder
        if urls or file is not None:
            raise ValueError(f"{self.name} comes from the hub; --url and --file are for archives")
        found = self._find_offer()
        listing, size = found.listing, found.chosen.size
        return Offer(
            name=self.name,
            title=f"Images of the data set {self.hub.repository} of the Hugging Face hub",
            licence=listing.licence,
            origin=f"{HUB}/datasets/{self.hub.repository} at {listing.commit}",
            counts={},
            paired=listing.name.is_paired,
            archive="",
            urls=(),
            hub=(found.origin,),
            found=found,
            file=None,
            target=self.root / quote(listing.commit, safe="") / listing.name.choice_folder,
            size=shown_bytes(size) if size else "not stated by the hub",
        )

    def fetch(
        self, offer: Offer, *, report: FetchProgress, force: bool = False, keep: bool = False
    ) -> dict[str, int]:
        """Fetch what was offered, unless another process just did.

        Raises:
            ValueError: If it cannot be had, or is no task.
        """
        from i2i_bench.system.download import alone
        from i2i_bench.tasks.hub.install import install_set

        with alone(offer.target):
            if force or not (offer.target / NOTE).exists():
                downloads = self.root / DOWNLOADS
                install_set(offer, downloads, report, force=force, keep=keep)
        write_text(self._reference, json.dumps(offer.target.parent.name) + "\n")
        return count_images(offer.target)

    def published(self) -> HubSource:
        """Return the same with its rows counted on the hub; repeated ones are not known there.

        Raises:
            ValueError: If the hub does not have it, or its files do not tell what is which.
        """
        from i2i_bench.tasks.hub.counting import count_hub_rows

        found = self._find_offer()
        rows, name = count_hub_rows(found), self.hub
        return replace(
            self,
            name=f"hf-{name.owner}-{name.name}-{found.listing.commit[:7]}",
            counts=rows.counts,
            paired=found.listing.name.is_paired,
            attributes=rows.attributes,
            exclusive=(rows.attributes,) if rows.attributes else (),
        )

    def verify(self, folder: Path, report: FetchProgress, *, force: bool = False) -> list[str]:
        """Check that all images can be read and are those seen first.

        Raises:
            ValueError: If anything is not as it must be.
        """
        from i2i_bench.tasks.hub.install import check_images

        task, place = self.make_task(folder), self.place(folder)
        sha256 = check_images(place, place, task.origin, report, force=force)
        counts = ", ".join(f"{name} {number}" for name, number in count_images(place).items())
        return [f"{self.name}: {counts}", f"  sha256 of names and contents: {sha256}"]

    def _find_offer(self) -> HubOffer:
        """Ask the hub for what may be meant, the first that it has.

        Raises:
            ValueError: If it has none.
        """
        from i2i_bench.tasks.hub.counting import lacks_columns
        from i2i_bench.tasks.hub.fetch import find_offer

        refusals = []
        readings = self.hub.readings()
        for reading in readings:
            try:
                found = find_offer(reading)
            except ValueError as error:
                refusals.append(error)
                continue
            if reading is readings[-1] or not lacks_columns(found):
                return found
        raise refusals[0]

    @property
    def _reference(self) -> Path:
        """The file that says at which commit a revision was fetched."""
        return self.root / "revisions" / f"{quote(self.hub.revision, safe='')}.json"

    def _fetched(self) -> tuple[HubName, Path] | None:
        """Return what was fetched under this name, and its folder."""
        try:
            commit = str(read_json(self._reference))
        except (OSError, ValueError):
            commit = quote(self.hub.revision, safe="")
        for reading in self.hub.readings():
            folder = self.root / commit / reading.choice_folder
            if (folder / NOTE).is_file():
                return reading, folder
        return None

    def _fetch_command(self) -> str:
        return f"i2i-bench data fetch {self.name}"


def hub_source(typed: str, data: Path) -> HubSource:
    """Give the source of a data set of the hub.

    Raises:
        ValueError: If the text is not the name of one.
    """
    name = parse_hub_name(typed)
    return HubSource(
        name=name.typed,
        title=f"Data set {name.repository} of the Hugging Face hub",
        origin=f"{HUB}/datasets/{name.repository}",
        licence="see its page",
        counts={},
        hub=name,
        root=data / FOLDER / name.folder,
    )
