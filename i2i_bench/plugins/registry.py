"""Names of models and the installed entry points behind them; there is no other list."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import re
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import TYPE_CHECKING

from i2i_bench.system.messages import near

if TYPE_CHECKING:
    from i2i_bench.model import Model

GROUP = "i2i_bench.models"
logger = logging.getLogger(__name__)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class InstalledModel:
    """An installed model, as far as package metadata tells.

    Attributes:
        name: As typed after ``--model``.
        distribution: That brings it.
        version: Of the distribution.
        summary: One line of the distribution.
        point: Where the class is.
    """

    name: str
    distribution: str
    version: str
    summary: str
    point: EntryPoint


class BrokenModel(ValueError):
    """An installed model that cannot be used, with the reason."""


def find_entries() -> list[InstalledModel]:
    """List installed models by name, importing none of them.

    A distribution whose metadata cannot be read is skipped with a warning.
    """
    found: list[InstalledModel] = []
    seen: set[str] = set()  # the first of a name on the path hides the others
    for distribution in distributions():
        try:
            points = distribution.entry_points.select(group=GROUP)
            new = [_entry(point, distribution) for point in points]
        except Exception as error:  # whatever damaged metadata may provoke
            where = getattr(distribution, "_path", "a distribution")
            logger.warning("the metadata in %s cannot be read: %s", where, reason_of_broken(error))
            continue
        names = {re.sub(r"[-_.]+", "-", entry.distribution).lower() for entry in new}
        found += [] if names & seen else new
        seen |= names
    return sorted(found, key=lambda entry: (entry.name, entry.distribution))


def _entry(point: EntryPoint, distribution: Distribution) -> InstalledModel:
    fields = distribution.metadata
    name, version, summary = (
        str(fields[key]) if key in fields else absent
        for key, absent in (("Name", "unknown"), ("Version", "unknown"), ("Summary", ""))
    )
    return InstalledModel(point.name, name, version, summary, point)


def entry_problem(entry: InstalledModel, among: list[InstalledModel]) -> str | None:
    """Say why a model cannot be used, as far as metadata tells; None if nothing is known."""
    if not _NAME.fullmatch(entry.name):
        return f"{entry.name!r} is not a model name: lower-case letters, digits, '.', '_' and '-'"
    owners = defaultdict(list)
    for other in among:
        owners[other.name].append(f"{other.distribution} {other.version}")
    if len(owners[entry.name]) > 1:
        both = " and ".join(owners[entry.name])
        return f"two models are named {entry.name!r}: of {both}; uninstall one"
    return None


def available_models() -> list[str]:
    """Name the installed models whose metadata is sound."""
    found = find_entries()
    return [entry.name for entry in found if entry_problem(entry, found) is None]


def find_entry(name: str) -> InstalledModel:
    """Return the installed model of this name.

    Raises:
        ValueError: If there is none, naming the installed and the nearest.
        BrokenModel: If there are two.
    """
    found = find_entries()
    matching = [entry for entry in found if entry.name == name]
    if not matching:
        names = sorted({entry.name for entry in found})
        installed = f"{near(name, names)}installed: {', '.join(names) or 'none'}"
        raise ValueError(f"unknown model {name!r}; {installed}")
    reason = entry_problem(matching[0], found)
    if reason:
        raise BrokenModel(reason)
    return matching[0]


def load_model(name: str) -> type[Model]:
    """Import the class of a model.

    Raises:
        ValueError: If no such model is installed.
        BrokenModel: If it cannot be imported, or is no model.
    """
    entry = find_entry(name)
    where = f"model {name!r} of {entry.distribution} {entry.version} is broken"
    try:
        found = entry.point.load()
    except (Exception, SystemExit) as error:  # a plugin may fail in any way; the others go on
        raise BrokenModel(f"{where}: {reason_of_broken(error)}") from error
    reason = _unfit(found)
    if reason:
        raise BrokenModel(f"{where}: {entry.point.value} {reason}")
    return found


def reason_of_broken(error: BaseException) -> str:
    """Put what a plugin raised into one line."""
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first}".removesuffix(": ")


def _unfit(found: object) -> str | None:
    from i2i_bench.model import Model, ModelCard

    if not (inspect.isclass(found) and issubclass(found, Model)):
        return "is not a subclass of i2i_bench.model.Model"
    if inspect.isabstract(found):
        return f"lacks {', '.join(sorted(found.__abstractmethods__))}"
    if not isinstance(getattr(found, "card", None), ModelCard):
        return "has no card of type ModelCard"
    config = getattr(found, "Config", None)
    if not (inspect.isclass(config) and dataclasses.is_dataclass(config)):
        return "has no Config that is a dataclass"
    return None
