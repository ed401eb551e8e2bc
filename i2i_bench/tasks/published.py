"""Tasks in an archive that is published: read, fetched and verified by program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i_bench.system.leftovers import is_left_by_system
from i2i_bench.tasks.hub.name import is_hub_name, parse_hub_name
from i2i_bench.tasks.image_file import SUFFIXES
from i2i_bench.tasks.image_folder import PUBLISHED_SIZE, stamp
from i2i_bench.tasks.pairs import SplitAndDomain, pair_files
from i2i_bench.tasks.source import FetchProgress, Offer, Source, TaskState, deviations
from i2i_bench.tasks.task import DOMAINS, Task
from i2i_bench.tasks.task_file import TaskFile
from i2i_bench.tasks.two_domains import (
    FOLDERS,
    FolderReader,
    scan,
)


@dataclass(frozen=True, kw_only=True)
class Published(Source):
    """A task of two domains whose images are published in an archive.

    Attributes:
        archive: Name of the file, also at a mirror.
        urls: Addresses that serve it, and names of data sets of the Hugging Face hub that hold the
            same; none where a page has to be visited or an account is needed.
        size: Of the archive, in words; "" where the publisher does not state it.
    """

    archive: str
    urls: tuple[str, ...] = ()
    size: str = ""

    @property
    def image_size(self) -> int:
        """Side in pixels, to which the field resizes."""
        return PUBLISHED_SIZE

    def state(self, folder: Path) -> TaskState:
        """Tell by counting files, without opening any, whether the task can be run."""
        if _missing(folder):
            return "missing"
        found = {name: _count_images(folder / name) for name in FOLDERS.values()}
        return "incomplete" if deviations(self.counts, found) else "ready"

    def instructions(self, folder: Path, state: TaskState) -> str:
        """Name the command that gets the images, or those that tell and mend what is wrong."""
        del folder
        if state == "missing":
            return f"i2i-bench data fetch {self.name} ({self._size_in_words()})"
        if state == "ready":
            return ""
        return f"i2i-bench data verify {self.name} says why; {self._how_to_replace()} replaces it"

    def make_task(self, folder: Path) -> Task:
        """Make the task of its folder.

        Raises:
            ValueError: If the images are not as their publisher released them.
        """
        files = self._files(folder)
        return Task(
            name=self.name,
            kind="catalogued",
            domains=DOMAINS,
            image_size=self.image_size,
            num_train={domain: len(files["train", domain]) for domain in DOMAINS},
            num_test={domain: len(files["test", domain]) for domain in DOMAINS},
            paired=self.paired,
            **self.facts(),
            reader=FolderReader(
                files, self.paired, stamp(files.values()), TaskFile(folder, False, DOMAINS)
            ),
        )

    def count_present(self, folder: Path) -> dict[str, int] | None:
        """Count the images in each folder of the task; None if it is not there.

        No image is opened; their total size is compared with that of those first seen.

        Raises:
            ValueError: If something else is there.
        """
        from i2i_bench.tasks.fetch import count_images, num_bytes, read_first

        if not folder.exists():
            return None
        try:
            files = self._files(folder)
            first = read_first(folder)
            if first and first.size != (size := num_bytes(files)):
                raise ValueError(
                    f"task {self.name!r} needs the images seen first, of {first.size:,} bytes in "
                    f"all, and there are {size:,}; {self._how_to_replace()} gets the former ones "
                    f"again, and i2i-bench data verify {self.name} --force takes these"
                )
        except ValueError as error:
            raise ValueError(f"{folder} is there and not as it must be: {error}") from None
        return count_images(files)

    def offer(self, folder: Path, *, urls: Sequence[str] = (), file: Path | None = None) -> Offer:
        """Find out what to fetch; a server is asked for the size.

        Raises:
            ValueError: If no address is known, or there is no such file.
        """
        from i2i_bench.system import download

        where = tuple(urls) or download.with_mirror("data", self.archive, self.urls)
        hub = tuple(parse_hub_name(url).typed for url in where if is_hub_name(url))
        addresses = tuple(download.check_url(url) for url in where if not is_hub_name(url))
        if file is None and not where:
            raise ValueError(
                f"task {self.name!r} has no address to fetch it from: {self.how_to_get()}; --url "
                f"URL takes an address you know, and {download.MIRROR} names a mirror of yours"
            )
        if file is not None and not file.is_file():
            raise ValueError(f"there is no file {file}")
        stated = file.stat().st_size if file else download.remote_size(addresses)
        if not (file or stated):
            stated = _size_on_hub(hub, is_needed=not addresses)
        return Offer(
            name=self.name,
            title=self.title,
            licence=self.licence,
            origin=self.origin,
            counts=self.counts,
            paired=self.paired,
            archive=self.archive,
            urls=addresses,
            hub=hub,
            file=file,
            target=folder,
            size=f"{stated / 1e6:.1f} MB" if stated else self._size_in_words(),
        )

    def fetch(
        self, offer: Offer, *, report: FetchProgress, force: bool = False, keep: bool = False
    ) -> dict[str, int]:
        """Fetch, unpack and verify what was offered, unless another process just did.

        Raises:
            ValueError: If the archive cannot be had, is refused, or does not hold what was
                published.
        """
        from i2i_bench.system.download import alone
        from i2i_bench.tasks.fetch import fetch_archive

        with alone(offer.target):
            if not force and (there := self.count_present(offer.target)):
                return there  # of another process, which had the lock
            return fetch_archive(offer, report=report, force=force, keep=keep)

    def verify(self, folder: Path, report: FetchProgress, *, force: bool = False) -> list[str]:
        """Check that the images are there, as published, sound, and those seen first.

        Raises:
            ValueError: If anything is not as it must be.
        """
        from i2i_bench.tasks.fetch import count_images, remember, require_readable

        files = self._files(folder)
        require_readable(files, report)
        try:
            sha256 = remember(folder, files, origin=self.name, force=force)
        except ValueError as error:
            again = self._how_to_replace()
            raise ValueError(f"{error}, and {again} gets the former ones again") from None
        counts = ", ".join(f"{name} {number}" for name, number in count_images(files).items())
        return [f"{self.name}: {counts}", f"  sha256 of names and contents: {sha256}"]

    def how_to_get(self) -> str:
        """Say what to do for the images: from where, under which licence, how large they are."""
        terms = f"licence: {self.licence}; size: {self._size_in_words()}"
        if self.urls:
            via = [url for url in self.urls if is_hub_name(url)]
            by_way = f" or by way of {' or '.join(via)}" if via else ""
            return f"{self._fetch_command()} gets them from {self.origin}{by_way} ({terms})"
        return (
            f"get {self.archive} by hand from {self.origin} ({terms}), then "
            f"{self._fetch_command()} puts them there"
        )

    def _how_to_replace(self) -> str:
        """Give the command that puts the published images where others are."""
        return f"{self._fetch_command()} --force"

    def _fetch_command(self) -> str:
        """Give the command that fetches the task, from a file where nobody serves it."""
        file = "" if self.urls else f" --file {self.archive}"
        return f"i2i-bench data fetch {self.name}{file}"

    def _size_in_words(self) -> str:
        return self.size or "not stated by the publisher"

    def _files(self, folder: Path) -> dict[SplitAndDomain, list[Path]]:
        """List the images of the task.

        Raises:
            ValueError: If they are not as their publisher released them.
        """
        if missing := _missing(folder):
            raise ValueError(
                f"task {self.name!r} needs the folders {' '.join(missing)} in {folder}; "
                f"{self.how_to_get()}"
            )
        files = scan(folder)
        found = {name: len(files[key]) for key, name in FOLDERS.items()}
        if wrong := deviations(self.counts, found):
            raise ValueError(
                f"task {self.name!r} in {folder} is not what was published: {', '.join(wrong)}; "
                f"get it again from {self.origin}; {self._how_to_replace()} puts it there"
            )
        if not self.paired:
            return files
        files, is_paired = pair_files(files)
        if not is_paired:
            raise ValueError(
                f"task {self.name!r} in {folder} is paired, but names differ between a and b"
            )
        return files


def _size_on_hub(names: Sequence[str], *, is_needed: bool) -> int | None:
    """Ask the hub for the size of the first data set that it has; None where it states none.

    Args:
        names: Of the data sets.
        is_needed: Whether there is no other source, so that a refusal is one of the whole.

    Raises:
        ValueError: If none can be had, and that is needed.
    """
    from i2i_bench.tasks.hub.fetch import find_offer

    refusals = []
    for name in names:
        try:
            return find_offer(parse_hub_name(name)).chosen.size
        except ValueError as error:
            refusals.append(str(error))
    if refusals and is_needed:
        raise ValueError("; ".join(refusals))
    return None


def _missing(folder: Path) -> list[str]:
    return [name for name in FOLDERS.values() if not (folder / name).is_dir()]


def _count_images(folder: Path) -> int:
    with os.scandir(folder) as files:
        return sum(
            file.name.lower().endswith(SUFFIXES) and not is_left_by_system(file.name)
            for file in files
        )
