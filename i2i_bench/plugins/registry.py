"""Names of models and the installed entry points behind them; there is no other list."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING

from i2i_bench.system.installed import (
    InstalledEntry,
    find_installed,
    naming_problem,
    reason_of_unloaded,
)
from i2i_bench.system.messages import near

if TYPE_CHECKING:
    from i2i_bench.model import Model

GROUP = "i2i_bench.models"


class BrokenModel(ValueError):
    """An installed model that cannot be used, with the reason."""


def find_entries() -> list[InstalledEntry]:
    """List installed models by name, importing none of them.

    A distribution whose metadata cannot be read is skipped with a warning.
    """
    return find_installed(GROUP)


def entry_problem(entry: InstalledEntry, among: list[InstalledEntry]) -> str | None:
    """Say why a model cannot be used, as far as metadata tells; None if nothing is known."""
    return naming_problem(entry, among, "model")


def available_models() -> list[str]:
    """Name the installed models whose metadata is sound."""
    found = find_entries()
    return [entry.name for entry in found if entry_problem(entry, found) is None]


def find_entry(name: str) -> InstalledEntry:
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
    where = f"model {name!r} of {entry.owner} is broken"
    try:
        found = entry.point.load()
    except (Exception, SystemExit) as error:  # a plugin may fail in any way; the others go on
        raise BrokenModel(f"{where}: {reason_of_unloaded(entry, error)}") from error
    reason = _unfit(found)
    if reason:
        raise BrokenModel(f"{where}: {entry.point.value} {reason}")
    return found


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
