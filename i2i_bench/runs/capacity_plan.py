"""What it takes to train the models whose networks Table V of the AttentionGAN paper counts."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from i2i_bench.plugins import registry
from i2i_bench.records.folders import Places
from i2i_bench.records.record import Record, read_records
from i2i_bench.report.papers import published
from i2i_bench.report.papers.published import MODELS
from i2i_bench.runs.table_cells import Training
from i2i_bench.runs.table_plan import PlannedTraining, PlanRequest, Speeds, plan_training
from i2i_bench.system.messages import near
from i2i_bench.tasks import catalogue

DATASET = "rafd"  # whose expressions are the domains of the table


class _Wanted(NamedTuple):
    """An installed model that is a method of the table, and how many of it m domains need."""

    method: str
    model: str
    formula: str


@dataclass(frozen=True)
class ModelPlan:
    """The trainings of a model that differ by their tasks alone.

    Attributes:
        method: As the table names it.
        formula: How many models m domains need, a key of ``MODELS``.
        first: One of the trainings, which stands for the others.
        tasks: Of all of them, as typed after ``--task``.
        recorded: How many of their runs are recorded.
    """

    method: str
    formula: str
    first: PlannedTraining
    tasks: tuple[str, ...]
    recorded: int

    @property
    def runs(self) -> int:
        """How many runs they are."""
        return len(self.tasks) * self.first.runs


def plan_capacity(request: PlanRequest, places: Places, device: torch.device) -> list[ModelPlan]:
    """Find what the models of Table V take, if they are trained on the expressions of RaFD.

    A model of two domains needs a training for each pair of expressions, one that translates one
    way a training for each direction of each pair, and a model of labels one.

    Raises:
        ValueError: For models that the table does not have.
    """
    records = read_records(places.results)
    speeds = Speeds(records, device)
    plans = []
    for wanted in _wanted(request):
        for trainings in _trainings(wanted):
            first = PlannedTraining(trainings[0], ("i2i",), (), len(set(request.seeds)))
            first = plan_training(first, request, places, speeds)
            tasks = tuple(training.task for training in trainings)
            recorded = _recorded(first, tasks, request, records)
            plans.append(ModelPlan(wanted.method, wanted.formula, first, tasks, recorded))
    return plans


def num_domains() -> int:
    """Return the number of domains for which the table is printed."""
    return len(_expressions())


def _expressions() -> tuple[str, ...]:
    return catalogue.sources()[DATASET].attributes


def _wanted(request: PlanRequest) -> list[_Wanted]:
    """Give the installed models of the table, or those that are asked for.

    Raises:
        ValueError: If one of these is none of them.
    """
    methods = (published.layout().methods[listed.method] for listed in published.listed())
    installed = registry.available_models()
    known = {
        model: _Wanted(method.name, model, formula)
        for method in methods
        for model, formula in method.installed.items()
        if model in installed
    }
    for name in request.models:
        if name not in known:
            raise ValueError(
                f"table v counts no model {name!r}; {near(name, list(known))}"
                f"possible: {', '.join(known)}"
            )
    return [each for each in known.values() if not request.models or each.model in request.models]


def _trainings(wanted: _Wanted) -> Iterator[tuple[Training, ...]]:
    """Give the trainings that a model needs, apart where their settings differ."""
    pairs = [f"{DATASET}:{a}2{b}" for a, b in itertools.combinations(_expressions(), 2)]
    count = MODELS[wanted.formula](num_domains())
    if count == 1:
        yield (Training(wanted.model, DATASET),)
    elif count == len(pairs):
        yield tuple(Training(wanted.model, pair) for pair in pairs)
    else:
        for direction in ("a2b", "b2a"):
            changes = (("direction", direction),)
            yield tuple(Training(wanted.model, pair, changes) for pair in pairs)


def _recorded(
    first: PlannedTraining, tasks: Sequence[str], request: PlanRequest, records: Sequence[Record]
) -> int:
    """Count the runs that are recorded, by the name that those of the first training have."""
    if not first.jobs:
        return 0
    runs = {
        dataclasses.replace(first.jobs[0].run, task=found.name, seed=seed)
        for found in map(catalogue.find_named, tasks)
        if found
        for seed in request.seeds
    }
    return len(runs & {record.run for record in records})
