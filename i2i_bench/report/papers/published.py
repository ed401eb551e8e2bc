"""What the papers print (papers/*.csv), and what it is called here (papers/layout.toml)."""

from __future__ import annotations

import csv
import functools
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

from i2i_bench.tasks import catalogue
from i2i_bench.tasks.selection import Selection

MODELS: dict[str, Callable[[int], int]] = {  # formula → models that m domains need
    "m(m-1)": lambda m: m * (m - 1),
    "m(m-1)/2": lambda m: m * (m - 1) // 2,
    "m": lambda m: m,
    "1": lambda m: 1,
}


@dataclass(frozen=True)
class Method:
    """A method of the papers.

    Attributes:
        name: As shown here.
        aliases: Other names that tables print.
        installed: Models that are it, by name in the registry → formula of how many m domains need.
        as_listed: Configuration of ``networks.toml`` that gives the listed parameters.
        as_implemented: The one the authors' latest published code builds; "" where there is none.
        others: More configurations that were tried.
    """

    name: str
    aliases: Sequence[str] = ()
    installed: Mapping[str, str] = field(default_factory=dict)
    as_listed: str = ""
    as_implemented: str = ""
    others: Sequence[str] = ()

    @property
    def configurations(self) -> tuple[str, ...]:
        """Every configuration, the one that gives the listed parameters first, each once."""
        names = (self.as_listed, self.as_implemented, *self.others)
        return tuple(dict.fromkeys(name for name in names if name))


@dataclass(frozen=True)
class Value:
    """A cell of a printed table.

    Attributes:
        table: ``ii``, ``iii`` or ``iv``.
        origin: ``paper`` for a cell of that table, ``further`` for one that others printed.
        method: As printed.
        venue: Where the method was published.
        metric: As in ``layout.toml``.
        dataset: As printed.
        value: With its own decimals; "" for a dash.
        spread: What is printed after ±, or "".
        protocol: How it was computed: a protocol, ``human study`` or ``unknown``.
        evidence: ``presumed`` where the source does not name the protocol.
        source: Where it is printed.
        note: What a reader must know.
    """

    table: str
    origin: Literal["paper", "further"]
    method: str
    venue: str
    metric: str
    dataset: str
    value: str
    spread: str
    protocol: str
    evidence: str
    source: str
    note: str

    @property
    def text(self) -> str:
        """The value as printed."""
        spread = f" ± {self.spread}" if self.spread else ""
        return f"{self.value or '-'}{spread}"


@dataclass(frozen=True)
class PrintedDiversity:
    """A diversity that a paper prints.

    Attributes:
        method: As printed.
        dataset: As printed; the name of a task where there is one.
        styles: ``drawn``, or ``of examples``.
        metric: Key of the recipe by which it was computed.
        value: With its own decimals.
        source: Where it is printed.
        note: What a reader must know.
    """

    method: str
    dataset: str
    styles: str
    metric: str
    value: str
    source: str
    note: str


@dataclass(frozen=True)
class Listed:
    """A row of Table V as printed.

    Attributes:
        method: As printed.
        venue: Where the method was published.
        domains: Number of domains that the table is for.
        models_formula: A key of ``MODELS``.
        millions: Parameters of one model, in millions, with its own decimals.
        source: Where it is printed.
    """

    method: str
    venue: str
    domains: int
    models_formula: str
    millions: str
    source: str


@dataclass(frozen=True)
class Dataset:
    """A data set of the papers.

    Attributes:
        task: The task that it is.
        directions: Of that task, those it is of; () for any, with a mean over them for all.
        selected: Those that selections of the task have in the same place; () for ``directions``.
    """

    task: str
    directions: Sequence[str] = ()
    selected: Sequence[str] = ()

    def has_direction(self, task: str, direction: str) -> bool:
        """Tell whether a direction of a task, or of a selection of it, is one of the data set.

        Selections call domains a and b where the set calls them ``-x`` and ``+x``, or by classes.
        """
        if task == self.task:
            return direction in self.directions if self.directions else True
        found = catalogue.find_named(task)
        if not isinstance(found, Selection) or found.whole.name != self.task:
            return False
        wanted = self.selected or self.directions
        return found.direction_in_whole(direction) in wanted


@dataclass(frozen=True)
class PrintedMetric:
    """A metric of the papers: its key in a record, or a header where people judged.

    Attributes:
        key: In a record; "" where people judged.
        header: Where they did.
        note: What a reader must know.
        measures: Table → measure of the studies with people that may stand in it.
    """

    key: str = ""
    header: str = ""
    note: str = ""
    measures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PaperLayout:
    """What the papers' words are here.

    Attributes:
        methods: By each name that a table prints.
        datasets: Those that a record may have.
        metrics: By name.
        protocols: Name of a protocol → what a reader must know of it.
    """

    methods: Mapping[str, Method]
    datasets: Mapping[str, Dataset]
    metrics: Mapping[str, PrintedMetric]
    protocols: Mapping[str, str]


def _text(name: str) -> str:
    path = files("i2i_bench.report") / "papers" / name
    return path.read_text(encoding="utf-8")


def _lines(name: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(_text(name).splitlines()))


@functools.cache
def layout() -> PaperLayout:
    """Read ``layout.toml``."""
    content = tomllib.loads(_text("layout.toml"))
    methods = [Method(**entry) for entry in content["methods"]]
    return PaperLayout(
        {name: method for method in methods for name in (method.name, *method.aliases)},
        {name: Dataset(**entry) for name, entry in content["datasets"].items()},
        {name: PrintedMetric(**entry) for name, entry in content["metrics"].items()},
        content["protocols"],
    )


def values(table: str) -> list[Value]:
    """Read what is printed for a table, in its order."""
    return [Value(**line) for line in _lines("values.csv") if line["table"] == table]


def printed_diversities() -> list[PrintedDiversity]:
    """Read what papers print of diversity, in the order of ``diversity.csv``."""
    return [PrintedDiversity(**line) for line in _lines("diversity.csv")]


def listed() -> list[Listed]:
    """Read Table V, in its order."""
    lines = _lines("capacity.csv")
    for line in lines:
        line["domains"] = int(line["domains"])
    return [Listed(**line) for line in lines]
