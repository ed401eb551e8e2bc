"""A plan of a paper's table in words, with the commands that carry it out."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from i2i_bench.report.render import markdown_lines, markdown_text
from i2i_bench.runs.table_plan import PlannedTraining, PlanRequest, TablePlan

HEADER = ("model", "task", "runs", "recorded", "memory of a run", "time of a run", "fills")


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


def _missing(trainings: Sequence[PlannedTraining]) -> list[str]:
    """Say what is missing, each once, and how many trainings wait for it."""
    counts = Counter(each.missing for each in trainings if each.missing)
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
    return [_command(plan.request, group) for group in groups.values()]


def _command(request: PlanRequest, group: Sequence[PlannedTraining]) -> str:
    first = group[0]
    words = ["i2i-bench", "run", *_options("--model", (each.training.model for each in group))]
    words += ["--task", first.training.task, *_options("--seed", map(str, request.seeds))]
    words += [*_options("--protocol", first.protocols), "--preset", request.preset]
    changes = (f"{key}={value}" for key, value in first.training.changes)
    return shlex.join([*words, *_options("--set", changes)])


def _options(name: str, values: Iterable[str]) -> Iterator[str]:
    for value in values:
        yield from (name, value)
