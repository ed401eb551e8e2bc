"""Count what a data set of the hub holds by the ends of its files, before any is downloaded."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from i2i_bench.labels import EVERY
from i2i_bench.system.ask import ask_server
from i2i_bench.tasks.hub.access import cached_file, hub_headers
from i2i_bench.tasks.hub.fetch import HubOffer
from i2i_bench.tasks.hub.images import folder_of_label
from i2i_bench.tasks.hub.layout import find_parts
from i2i_bench.tasks.hub.listing import HubFile
from i2i_bench.tasks.hub.parquet import ParquetOrigin, count_rows, read_columns


@dataclass(frozen=True)
class HubCounts:
    """How many rows a data set has.

    Attributes:
        counts: Folder such as ``trainA``, or split where there are labels → rows.
        attributes: What labels say; empty for two domains.
    """

    counts: dict[str, int]
    attributes: tuple[str, ...]


class _RemoteFile(io.RawIOBase):
    """A file on a server, of which parts are asked for."""

    def __init__(self, url: str, size: int) -> None:
        self._url, self._size, self._position = url, size, 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read anywhere."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to another position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = min(max(0, start + offset), self._size)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Ask for what comes next.

        Raises:
            ValueError: If the server does not send that part.
        """
        first, last = self._position, min(self._position + len(buffer), self._size)
        if first == last:
            return 0
        part = {"Range": f"bytes={first}-{last - 1}"}
        answer = ask_server(self._url, headers=hub_headers() | part)
        content = answer.content[first:last] if answer.status == 200 else answer.content
        if answer.status not in (200, 206) or len(content) != last - first:
            raise ValueError(f"the server answers {answer.status} about a part of the file")
        buffer[: len(content)] = content
        self._position = last
        return len(content)


def count_hub_rows(offer: HubOffer) -> HubCounts:
    """Count the rows of a data set by the ends of its files.

    Raises:
        ValueError: If a file cannot be read in parts, or its columns do not tell what is which.
    """
    chosen, listing = offer.chosen, offer.listing
    seen = {}
    for config in chosen.configs:
        first = chosen.files[config, "train"][0]
        seen[config] = read_columns(_origin(offer, first), first.path)
    places = {file: Path(file.path) for file in chosen.every}
    files = {Path(file.path): file for file in chosen.every}
    name, paired = listing.name.repository, listing.name.is_paired
    counts: dict[str, int] = {}
    parts = find_parts(name, chosen, places, seen, paired=paired)
    for part in parts:
        origins = [(_origin(offer, files[path]), str(path)) for path in part.files]
        rows = sum(count_rows(*origin) for origin in origins)
        counts |= dict.fromkeys(part.folders or (part.split,), rows)
    if not parts[0].label:
        return HubCounts(counts, ())
    label = parts[0].label
    classes = seen[chosen.configs[0]].labels[label] or listing.classes.get(label, ())
    names = [folder_of_label(text) or f"class-{i}" for i, text in enumerate(classes)]
    if len(set(names)) < 2 or EVERY in names:
        raise ValueError(f"the labels of data set {name} are known once it is fetched")
    return HubCounts(counts, tuple(sorted(names)))


def lacks_columns(offer: HubOffer) -> bool:
    """Tell whether columns that were typed are not in the first file, so that something else is.

    A server that gives no parts of files leaves that open until the file is there.
    """
    if not offer.chosen.columns:
        return False
    first = offer.chosen.files[offer.chosen.configs[0], "train"][0]
    try:
        found = read_columns(_origin(offer, first), first.path)
    except ValueError:
        return False
    return not set(offer.chosen.columns) & set(found.all)


def _origin(offer: HubOffer, file: HubFile) -> ParquetOrigin:
    """Return what a file can be read from: the hub's cache, or parts of it from the hub."""
    listing = offer.listing
    if cached := cached_file(listing.name.repository, listing.commit, file.path):
        return cached
    if file.size is None or not file.urls:
        raise ValueError(f"the size of {file.path} is not known; it can be counted once fetched")
    return io.BufferedReader(_RemoteFile(file.urls[0], file.size), 2**16)
