"""Which trainings fill the cells of the AttentionGAN paper's tables II to IV."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i_bench import pretrained
from i2i_bench.data.directions import directions_of
from i2i_bench.data.needs import lacking_need
from i2i_bench.model import Preset, TaskFacts
from i2i_bench.plugins import registry
from i2i_bench.plugins.toy import Toy
from i2i_bench.report.papers import published
from i2i_bench.report.papers.published import Dataset, Method, Value
from i2i_bench.scoring.metrics.distances import KID
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.selection import Selection
from i2i_bench.tasks.source import Source
from i2i_bench.tasks.two_domains import FOLDERS
from i2i_bench.training.settings import without_memory

PROTOCOLS = {KID.key: ("ugatit-mean", "i2i")}  # of a metric that is not scored by i2i alone
UNCOUNTED = 1000  # training images taken for a domain of which no count is published


@dataclass(frozen=True)
class Training:
    """A model to be trained, whose runs differ by their seeds.

    Attributes:
        model: Name in the registry.
        task: As typed after ``--task``.
        changes: Settings that are not the preset's, as typed.
    """

    model: str
    task: str
    changes: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """Model and settings, for people."""
        return " ".join([self.model, *(f"{key}={value}" for key, value in self.changes)])


@dataclass(frozen=True)
class PlannedCell:
    """A cell of a printed table, and what fills it.

    Attributes:
        value: What is printed.
        method: Whose cell it is.
        trainings: All that it needs.
        reason: Why nothing can fill it; "" where something can.
    """

    value: Value
    method: Method
    trainings: tuple[Training, ...] = ()
    reason: str = ""

    @property
    def column(self) -> str:
        """Data set and metric, as printed."""
        return f"{self.value.dataset}: {self.value.metric}"

    @property
    def measure(self) -> str:
        """Measure of the study with people that the cell needs; "" for one that is computed."""
        metric = published.layout().metrics[self.value.metric]
        return "" if metric.key else metric.measures.get(self.value.table, "")

    @property
    def protocols(self) -> tuple[str, ...]:
        """Protocols by which its runs are scored."""
        return PROTOCOLS.get(published.layout().metrics[self.value.metric].key, ("i2i",))


def planned_cells(
    table: str, preset: Preset, data: Path, *, further: bool = False
) -> list[PlannedCell]:
    """Say what fills each cell of a table.

    Of the models that are a method, the first that does the whole data set is taken; where only
    parts of it are asked for, as in Table II, the first that does these. A model of two domains
    needs a training for each part, and one that translates one way a training for each direction.

    Args:
        table: ``ii``, ``iii`` or ``iv``.
        preset: Of the settings.
        data: Folder of catalogued tasks.
        further: Whether cells that others printed are planned, too.
    """
    values = [v for v in published.values(table) if further or v.origin == "paper"]
    known: dict[tuple[str, str], tuple[tuple[Training, ...], str]] = {}
    cells = []
    for value in values:
        method = published.layout().methods[value.method]
        key = method.name, value.dataset
        if key not in known:
            known[key] = _trainings(method, value.dataset, preset, data)
        trainings, reason = known[key]
        cells.append(PlannedCell(value, method, trainings, reason))
    return cells


def _trainings(
    method: Method, dataset: str, preset: Preset, data: Path
) -> tuple[tuple[Training, ...], str]:
    """Give the trainings of a method on a data set, or why there are none."""
    wanted = published.layout().datasets.get(dataset)
    installed = [name for name in method.installed if name in registry.available_models()]
    if wanted is None:
        return (), f"no task is {dataset}"
    if not installed:
        names = ", ".join(method.installed)
        return (), f"not installed: {names}" if names else f"nobody has written {method.name} here"
    reasons = []
    for tasks in _candidates(wanted):
        for model in installed:
            try:
                found = [t for task in tasks for t in _ways(model, task, wanted, preset, data)]
            except ValueError as error:
                reasons.append(str(error))
            else:
                return tuple(found), ""
    return (), reasons[0]


def _candidates(wanted: Dataset) -> list[tuple[str, ...]]:
    """Give sets of tasks, each of which is the data set; the one that is asked for comes first."""
    whole = catalogue.sources()[wanted.task]
    if not whole.attributes:
        return [(wanted.task,)]
    directions = wanted.selected or wanted.directions
    parts = tuple(dict.fromkeys(_part(whole, direction) for direction in directions))
    labels = (_with_labels(whole, directions),)
    return [parts, labels] if wanted.selected else [labels, parts]


def _part(whole: Source, direction: str) -> str:
    """Give the selection of two domains in which a direction of a labelled set lies."""
    if direction[:1] in ("+", "-"):
        return f"{whole.name}:{direction[1:]}"
    pairs = {f"{a}2{b}": f"{b}2{a}" for a, b in whole.labelling.pairs()}
    first = next(pair for pair in pairs if pair in (direction, pairs[direction]))
    return f"{whole.name}:{first}"


def _with_labels(whole: Source, directions: Sequence[str]) -> str:
    """Give the set with the labels that directions change, besides its own."""
    if whole.labelling.is_one_hot:
        return whole.name
    changed = {direction[1:] for direction in directions}
    labels = [n for n in whole.labelling.attributes if n in changed or n in whole.attributes]
    is_whole = tuple(labels) == whole.attributes
    return whole.name if is_whole else f"{whole.name}:{','.join(labels)}"


def _ways(model: str, task: str, wanted: Dataset, preset: Preset, data: Path) -> Iterator[Training]:
    """Give the trainings of a model on a task: one, or one for each direction.

    Raises:
        ValueError: If it cannot do the task, or not in the directions that are wanted.
    """
    facts, model_class = facts_of(task, data), registry.load_model(model)
    settings = model_class.settings(preset, facts)
    needs = model_class.needs(settings.config)
    if lacking := lacking_need(needs, facts):
        raise ValueError(f"{model} needs {lacking}, and {task} has none")
    with pretrained.without_weights():
        directions = without_memory(model_class, settings).directions
    asked = [str(d) for d in directions_of(facts) if wanted.has_direction(facts.name, str(d))]
    if directions is None or set(asked) <= set(map(str, directions)):
        yield Training(model, task)
    elif "direction" in (each.name for each in dataclasses.fields(settings.config)):
        yield from (Training(model, task, (("direction", each),)) for each in asked)
    else:
        ways = ", ".join(map(str, directions))
        raise ValueError(f"{model} translates {ways} only, and {', '.join(asked)} are asked for")


def facts_of(task: str, data: Path) -> TaskFacts:
    """Give the facts of a task, from what is published where its images are not there.

    Raises:
        ValueError: If there is no such task.
    """
    for find in (catalogue.find_task, catalogue.plan_task):
        with contextlib.suppress(ValueError):
            return find(task, data)
    found = catalogue.find_named(task)
    if found is None:
        return catalogue.find_task(task, data)  # raises, with the nearest names
    return _published_facts(found)


def _published_facts(found: TaskFacts | Source | Selection) -> TaskFacts:
    """Make facts of what is known without images; a selection has no count of its own."""
    if isinstance(found, Selection):
        whole, labels = found.whole, found.labelling
        domains = ("a", "b") if found.ends else whole.domains
        facts = Toy(
            *(found.name, "catalogued", whole.image_size, domains),
            dict.fromkeys(domains, UNCOUNTED),
            *(labels.attributes, labels.exclusive),
        )
        is_paired = bool(found.ends) and isinstance(whole, Source) and whole.has_views
        return dataclasses.replace(facts, paired=is_paired)
    assert isinstance(found, Source)
    folders = ["train" if found.attributes else FOLDERS["train", d] for d in found.domains]
    counts = [found.counts.get(folder) for folder in folders]
    return Toy(
        *(found.name, "catalogued", found.image_size, found.domains),
        {d: n or UNCOUNTED for d, n in zip(found.domains, counts, strict=True)},
        *(found.attributes, found.exclusive, found.paired),
    )
