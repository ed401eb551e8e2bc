"""A plan of a paper's table in words, with the commands that carry it out."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from i2i_bench.report.papers.published import MODELS
from i2i_bench.report.render import markdown_lines, markdown_text
from i2i_bench.runs.capacity_plan import ModelPlan, num_domains
from i2i_bench.runs.table_plan import PlannedTraining, PlanRequest, TablePlan

RUNS = ("runs", "recorded", "memory of a run", "time of a run")
HEADER = ("model", "task", *RUNS, "fills")
OF_MODELS = ("method", "model", "task", "trainings", *RUNS, "models of the table")


def plan_text(plan: TablePlan) -> str:
    """Say what every cell takes: runs, data, weights, people, and the commands for them."""
    parts = [
        _summary(plan),
        "\n".join(markdown_lines([HEADER, *map(_row, plan.trainings)], {0, 1, 6})),
        _part("Data that are missing", _missing(plan.trainings)),
        _part("Weights that are missing", plan.weights),
        _part("Cells that no model fills", _unfillable(plan)),
        _part("People", plan.people),
        _part("Commands", run_commands(plan)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def capacity_plan_text(request: PlanRequest, plans: Sequence[ModelPlan]) -> str:
    """Say that Table V takes no training, and what its models would take."""
    trainings = sum(len(plan.tasks) for plan in plans)
    runs, done = sum(plan.runs for plan in plans), sum(plan.recorded for plan in plans)
    seeds = ", ".join(map(str, request.seeds))
    domains = num_domains()
    parts = [
        "Table V: its cells are numbers of parameters, which i2i-bench table v counts; they take "
        "no training.",
        f"To have the models that it counts for {domains} domains, the expressions of RaFD, preset "
        f"{request.preset}, seed {seeds}, takes {trainings} trainings, {runs} runs; {done} are "
        "recorded.",
        "\n".join(markdown_lines([OF_MODELS, *map(_row_of_models, plans)], {0, 1, 2, 8})),
        _part("Data that are missing", _missing(plans)),
        _part("Commands", _commands_of_models(request, plans)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _row_of_models(each: ModelPlan) -> list[str]:
    first, count = each.first, MODELS[each.formula](num_domains())
    task, *more = each.tasks
    tasks = f"{task} and {len(more)} more" if more else task
    cells = [each.method, first.training.label, tasks, len(each.tasks)]
    cells += [each.runs, each.recorded, first.need, first.time]
    models = each.formula if each.formula == str(count) else f"{each.formula} = {count}"
    return [markdown_text(str(cell)) for cell in (*cells, models)]


def _commands_of_models(request: PlanRequest, plans: Sequence[ModelPlan]) -> list[str]:
    """Give the commands that train the models, one for each set of tasks and settings."""
    groups: dict[tuple[object, ...], list[ModelPlan]] = {}
    for each in plans:
        groups.setdefault((each.tasks, each.first.training.changes), []).append(each)
    return [
        _command(request, [each.first for each in group], group[0].tasks)
        for group in groups.values()
    ]


def _summary(plan: TablePlan) -> str:
    request, trainings = plan.request, plan.trainings
    filled = sum(bool(cell.trainings) for cell in plan.cells)
    runs = sum(each.runs for each in trainings)
    done = sum(len(each.recorded) for each in trainings)
    seeds = ", ".join(map(str, request.seeds))
    return (
        f"Table {request.table.upper()}, preset {request.preset}, seed {seeds}: {filled} of "
        f"{len(plan.cells)} cells have a model, and take {len(trainings)} trainings, {runs} runs; "
        f"{done} are recorded."
    )


def _row(each: PlannedTraining) -> list[str]:
    cells = [each.training.label, each.training.task, each.runs, len(each.recorded)]
    return [markdown_text(str(c)) for c in (*cells, each.need, each.time, "; ".join(each.fills))]


def _part(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)]) if lines else ""


def _missing(trainings: Sequence[PlannedTraining | ModelPlan]) -> list[str]:
    """Say what is missing, each once, and how many trainings wait for it."""
    counts: Counter[str] = Counter()
    for each in trainings:
        planned, count = (each.first, len(each.tasks)) if isinstance(each, ModelPlan) else (each, 1)
        counts.update({planned.missing: count} if planned.missing else {})
    return [f"{why} ({count} training{'s' * (count != 1)})" for why, count in counts.items()]


def unmet(plan: TablePlan) -> list[str]:
    """Say, before runs are carried out, what keeps cells from being filled; [] if nothing does."""
    parts = (
        _part("Data that are missing", _missing(plan.trainings)),
        _part("Weights that are missing, so that values stay empty", plan.weights),
        _part("Cells that no model fills", _unfillable(plan)),
        _part("People", plan.people),
    )
    return [part for part in parts if part]


def _unfillable(plan: TablePlan) -> list[str]:
    found: dict[tuple[str, str], list[str]] = {}
    for cell in plan.cells:
        if cell.reason:
            key = cell.method.name, cell.reason
            found.setdefault(key, []).append(cell.column)
    return [f"{name}, {'; '.join(columns)}: {reason}" for (name, reason), columns in found.items()]


def run_commands(plan: TablePlan) -> list[str]:
    """Give the commands that carry out every run, one for each task, protocols and settings."""
    groups: dict[tuple[object, ...], list[PlannedTraining]] = {}
    for each in plan.trainings:
        key = each.training.task, each.training.changes, each.protocols
        groups.setdefault(key, []).append(each)
    return [_command(plan.request, group, [group[0].training.task]) for group in groups.values()]


def _command(request: PlanRequest, group: Sequence[PlannedTraining], tasks: Sequence[str]) -> str:
    first = group[0]
    words = ["i2i-bench", "run", *_options("--model", (each.training.model for each in group))]
    words += [*_options("--task", tasks), *_options("--seed", map(str, request.seeds))]
    words += [*_options("--protocol", first.protocols), "--preset", request.preset]
    changes = (f"{key}={value}" for key, value in first.training.changes)
    return shlex.join([*words, *_options("--set", changes), *request.options])


def _options(name: str, values: Iterable[str]) -> Iterator[str]:
    for value in values:
        yield from (name, value)
