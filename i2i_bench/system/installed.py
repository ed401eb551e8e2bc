"""Entry points of installed distributions, read from their metadata: nothing is imported."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions

logger = logging.getLogger(__name__)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class InstalledEntry:
    """An installed model or metric, as far as package metadata tells.

    Attributes:
        name: As typed in commands.
        distribution: That brings it.
        version: Of the distribution.
        summary: One line of the distribution.
        point: Where the object is.
    """

    name: str
    distribution: str
    version: str
    summary: str
    point: EntryPoint

    @property
    def owner(self) -> str:
        """The distribution and its version."""
        return f"{self.distribution} {self.version}"


def find_installed(group: str) -> list[InstalledEntry]:
    """List the entry points of a group by name, importing none of them.

    A distribution whose metadata cannot be read is skipped with a warning.
    """
    found: list[InstalledEntry] = []
    seen: set[str] = set()  # the first of a name on the path hides the others
    for distribution in distributions():
        try:
            points = distribution.entry_points.select(group=group)
            new = [_entry(point, distribution) for point in points]
        except Exception as error:  # whatever damaged metadata may provoke
            where = getattr(distribution, "_path", "a distribution")
            logger.warning("the metadata in %s cannot be read: %s", where, reason_of_broken(error))
            continue
        names = {re.sub(r"[-_.]+", "-", entry.distribution).lower() for entry in new}
        found += [] if names & seen else new
        seen |= names
    return sorted(found, key=lambda entry: (entry.name, entry.distribution))


def _entry(point: EntryPoint, distribution: Distribution) -> InstalledEntry:
    fields = distribution.metadata
    name, version, summary = (
        str(fields[key]) if key in fields else absent
        for key, absent in (("Name", "unknown"), ("Version", "unknown"), ("Summary", ""))
    )
    return InstalledEntry(point.name, name, version, summary, point)


def naming_problem(entry: InstalledEntry, among: Iterable[InstalledEntry], kind: str) -> str | None:
    """Say why the name of an entry cannot be used; None if it can.

    Args:
        entry: Of a group.
        among: All entries of the group.
        kind: What they are, such as ``model``.
    """
    if not _NAME.fullmatch(entry.name):
        return f"{entry.name!r} is not a {kind} name: lower-case letters, digits, '.', '_' and '-'"
    owners = defaultdict(list)
    for other in among:
        owners[other.name].append(other.owner)
    if len(owners[entry.name]) > 1:
        both = " and ".join(owners[entry.name])
        return f"two {kind}s are named {entry.name!r}: of {both}; uninstall one"
    return None


def reason_of_unloaded(entry: InstalledEntry, error: BaseException) -> str:
    """Put into one line why an entry could not be imported; one that was renamed is reinstalled."""
    parts = entry.point.module.split(".")
    modules = {".".join(parts[: i + 1]) for i in range(len(parts))}
    is_gone = isinstance(error, ModuleNotFoundError) and error.name in modules
    is_other = isinstance(error, AttributeError) and error.name in entry.point.attr.split(".")
    if not (is_gone or is_other):
        return reason_of_broken(error)
    return (
        f"{reason_of_broken(error)}; if it was renamed, reinstall {entry.distribution}, whose "
        f"entry point has been {entry.point.value} since it was installed"
    )


def reason_of_broken(error: BaseException) -> str:
    """Put what a plugin raised into one line."""
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first}".removesuffix(": ")
