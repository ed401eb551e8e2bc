"""Table V of the AttentionGAN paper: listed parameters beside those of code, old and installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from i2i_bench.plugins import registry
from i2i_bench.report.papers import layers, published
from i2i_bench.report.papers.layers import Configuration, ParameterCount
from i2i_bench.report.papers.published import MODELS, Listed, Method
from i2i_bench.report.papers.tables import PaperTable, Section

LONGEST_REASON = 100  # characters in a cell; CSV has the whole
Counter = Callable[[str, int], int]  # name in the registry, number of domains → parameters


class _Counted(NamedTuple):
    """A configuration for the number of domains asked for.

    Attributes:
        kinds: ``as listed``, ``as implemented``, both, or ``other``.
        configuration: Its networks.
        parameters: Of each network, and in total.
        fits: Whether they round to the listed figure, for the domains of the paper.
    """

    kinds: tuple[str, ...]
    configuration: Configuration
    parameters: ParameterCount
    fits: bool


class _Own(NamedTuple):
    """An installed model that is the method; without ``parameters`` the reason says why."""

    name: str
    formula: str
    models: int
    parameters: int | None
    reason: str


class _Entry(NamedTuple):
    """A row of the table: what is listed, and what was counted by configuration and model."""

    listed: Listed
    method: Method
    models: int
    counted: Mapping[str, _Counted]
    own: tuple[_Own, ...]


def capacity_table(num_domains: int, count: Counter) -> PaperTable:
    """Make Table V for a number of domains.

    Args:
        num_domains: At least 2; the paper has 8.
        count: Counts an installed model for a number of domains; where it raises ValueError, its
            reason is shown.
    """
    entries = [_entry(listed, num_domains, count) for listed in published.listed()]
    sections = (
        _main_section(entries, num_domains),
        _own_section(entries),
        _configuration_section(entries),
    )
    lines = [line for entry in entries for line in _lines(entry, num_domains)]
    return PaperTable(sections, TIDY, tuple(lines))


def _entry(listed: Listed, num_domains: int, count: Counter) -> _Entry:
    method = published.layout().methods[listed.method]
    counted = {name: _counted(name, method, listed, num_domains) for name in method.configurations}
    own = tuple(
        _own(name, formula, num_domains, count) for name, formula in method.installed.items()
    )
    models = MODELS[listed.models_formula](num_domains)
    return _Entry(listed, method, models, counted, own)


def _counted(name: str, method: Method, listed: Listed, num_domains: int) -> _Counted:
    chosen = {"as listed": method.as_listed, "as implemented": method.as_implemented}
    kinds = tuple(kind for kind, configuration in chosen.items() if configuration == name)
    descriptions = layers.read_descriptions()
    printed = descriptions.count(name, listed.domains).total
    return _Counted(
        kinds or ("other",),
        descriptions.configurations[name],
        descriptions.count(name, num_domains),
        fits=f"{printed / 1e6:.1f}" == listed.millions,
    )


def _own(name: str, formula: str, num_domains: int, count: Counter) -> _Own:
    """Count an installed model; one that translates between all domains is needed once."""
    models = MODELS[formula](num_domains)
    if name not in {entry.name for entry in registry.find_entries()}:
        return _Own(name, formula, models, None, "not installed")
    try:
        return _Own(name, formula, models, count(name, num_domains if formula == "1" else 2), "")
    except ValueError as error:
        return _Own(name, formula, models, None, str(error))


def _main_section(entries: list[_Entry], num_domains: int) -> Section:
    header = ("method", "models", "listed M", "total M", "as listed", "fits", "total")
    return Section(
        f"Table V, RaFD: parameters of the models that {num_domains} domains need",
        (*header, "as implemented", "total"),
        tuple(_main_cells(entry) for entry in entries),
        left=frozenset({0, 5}),
        notes=tuple(_main_notes(entries, num_domains)),
    )


def _main_cells(entry: _Entry) -> tuple[str, ...]:
    listed, counted = entry.listed, entry.counted
    total = f"{entry.models * float(listed.millions):,.1f}"
    theirs, published_code = counted[entry.method.as_listed], entry.method.as_implemented
    cells = [listed.method, str(entry.models), listed.millions, total]
    cells += [f"{theirs.parameters.total:,}", _fits(theirs), _times(entry, theirs)]
    if not published_code:
        return (*cells, "", "")
    code = counted[published_code]
    return (*cells, f"{code.parameters.total:,}", _times(entry, code))


def _times(entry: _Entry, counted: _Counted) -> str:
    return f"{entry.models * counted.parameters.total:,}"


def _fits(counted: _Counted) -> str:
    return "yes" if counted.fits else "no"


def _count(formula: str, num_domains: int) -> str:
    number = str(MODELS[formula](num_domains))
    return formula if formula == number else f"{formula} = {number}"


def _main_notes(entries: list[_Entry], num_domains: int) -> list[str]:
    formulas: dict[str, list[str]] = {}
    for entry in entries:
        formulas.setdefault(entry.listed.models_formula, []).append(entry.listed.method)
    without = [entry.listed.method for entry in entries if not entry.method.as_implemented]
    sources = dict.fromkeys(entry.listed.source for entry in entries)
    notes = [
        "Totals are over all models needed. "
        + "; ".join(
            f"{_count(formula, num_domains)}: {', '.join(names)}"
            for formula, names in formulas.items()
        )
        + "."
    ]
    notes.append(
        "listed: printed for one model, in millions; as listed: the networks that give this figure "
        "(fits: to its last digit), found by arithmetic, which does not prove what was counted; "
        "as implemented: the networks of the authors' latest published code."
    )
    notes.append(
        "Where both directions share a model, as listed may hold one generator and one "
        "discriminator; as implemented holds those of both."
    )
    if num_domains != entries[0].listed.domains:
        notes.append(f"fits is told for {entries[0].listed.domains} domains, as printed.")
    notes += [f"No published code was found: {', '.join(without)}."] if without else []
    return notes + [f"Printed in: {source}." for source in sources]


def _own_section(entries: list[_Entry]) -> Section:
    rows = [
        (entry.listed.method, entry.listed.millions, *_own_cells(own))
        for entry in entries
        for own in entry.own
    ]
    return Section(
        "Table V, installed models at their published settings, 256 px; of labels 128 px",
        ("method", "listed M", "installed", "parameters", "models", "total"),
        tuple(rows),
        left=frozenset({0, 2}),
        notes=tuple(_own_notes(entries)),
    )


def _own_notes(entries: list[_Entry]) -> list[str]:
    """Say how many models of two domains m domains need."""
    notes = ["A model of two domains translates both ways, so that m domains need m(m-1)/2."]
    counted = [own for entry in entries for own in entry.own if own.parameters is not None]
    if one_way := [own.name for own in counted if own.formula == "m(m-1)"]:
        notes.append(f"One way only, so that m domains need m(m-1): {', '.join(one_way)}.")
    return notes


def _own_cells(own: _Own) -> tuple[str, ...]:
    if own.parameters is None:
        reason = own.reason
        if len(reason) > LONGEST_REASON:
            reason = f"{reason[: LONGEST_REASON - 3]}..."
        return (f"{own.name}: {reason}", "", "", "")
    total = own.models * own.parameters
    return (own.name, f"{own.parameters:,}", str(own.models), f"{total:,}")


def _configuration_section(entries: list[_Entry]) -> Section:
    """List configurations; methods with the same ones share their lines."""
    groups: dict[tuple[str, ...], list[_Entry]] = {}
    for entry in entries:
        key = (*entry.method.configurations, entry.method.as_implemented)
        groups.setdefault(key, []).append(entry)
    names = {key: [entry.listed.method for entry in group] for key, group in groups.items()}
    labels = {key: f"{n[0]} x{len(n)}" if len(n) > 1 else n[0] for key, n in names.items()}
    rows = [
        (labels[key], *_configuration_cells(counted))
        for key, group in groups.items()
        for counted in group[0].counted.values()
    ]
    shared = [f"{labels[key]} are {', '.join(n)}" for key, n in names.items() if len(n) > 1]
    return Section(
        "Table V, configurations",
        ("method", "networks", "parameters", "sum", "fits"),
        tuple(rows),
        left=frozenset({0, 1, 2, 4}),
        notes=(*shared, "Sources are in the CSV, layers in i2i_bench/report/papers/networks.toml."),
    )


def _configuration_cells(counted: _Counted) -> tuple[str, ...]:
    parameters = counted.parameters
    title = counted.configuration.title
    return (title, str(parameters), f"{parameters.total:,}", _fits(counted))


TIDY = (
    *("method", "venue", "domains", "listed_millions", "listed_for_domains", "kind", "name"),
    *("parameters", "fits_listed", "models_formula", "models", "total", "networks", "sum"),
    *("detail", "source", "reason", "listed_source"),
)


def _lines(entry: _Entry, num_domains: int) -> list[tuple[object, ...]]:
    """Give lines for programs: each configuration under each of its kinds, each installed model."""
    listed = entry.listed
    shared: dict[str, object] = {
        "method": listed.method,
        "venue": listed.venue,
        "domains": num_domains,
        "listed_millions": listed.millions,
        "listed_for_domains": listed.domains,
        "listed_source": listed.source,
    }
    cells = [
        shared | {"kind": kind} | _tidy_configuration(entry, name)
        for name, counted in entry.counted.items()
        for kind in counted.kinds
    ]
    cells += [shared | {"kind": "installed"} | _tidy_own(own) for own in entry.own]
    return [tuple(line.get(key) for key in TIDY) for line in cells]


def _tidy_configuration(entry: _Entry, name: str) -> dict[str, object]:
    counted = entry.counted[name]
    chosen = counted.configuration
    return {
        "name": name,
        "parameters": counted.parameters.total,
        "fits_listed": _fits(counted),
        "models_formula": entry.listed.models_formula,
        "models": entry.models,
        "total": entry.models * counted.parameters.total,
        "networks": chosen.title,
        "sum": str(counted.parameters),
        "detail": chosen.detail,
        "source": chosen.source,
    }


def _tidy_own(own: _Own) -> dict[str, object]:
    return {
        "name": own.name,
        "parameters": own.parameters,
        "models_formula": own.formula,
        "models": own.models,
        "total": None if own.parameters is None else own.models * own.parameters,
        "reason": own.reason,
    }
