"""From what an ablation varies to its runs, and to the plan that its tables are made from."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import logging
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from i2i_bench.model import Ablation
from i2i_bench.plugins import registry
from i2i_bench.records.ablation import AblationPlan, AblationPoint
from i2i_bench.records.run import variant_name
from i2i_bench.runs import plan
from i2i_bench.runs.fitted_task import common_task
from i2i_bench.runs.job import Choices, Job
from i2i_bench.system.messages import near
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.task import Task
from i2i_bench.tasks.validation import TEST

logger = logging.getLogger(__name__)

BUDGET = "budget"  # can be varied too, though it is no key of --set
LONGEST_NAME = 100  # letters, without suffix


@dataclass(frozen=True)
class Variant:
    """A point of an ablation, without task and seed.

    Attributes:
        label: Shown in the table; None to show the values of what varies.
        model: Name in the registry.
        choices: Of all of its runs.
    """

    label: str | None
    model: str
    choices: Choices


@dataclass(frozen=True)
class Theme:
    """The subject of an ablation, whatever the task.

    Attributes:
        name: Of its files, behind the task's.
        title: One line for people.
        keys: What varies.
        variants: In the order of the table.
        command: What makes it, but for the task.
        protocols: Names of those that score it.
        split: Which images are scored, as in ``Choices``.
    """

    name: str
    title: str
    keys: tuple[str, ...]
    variants: tuple[Variant, ...]
    command: tuple[str, ...]
    protocols: tuple[str, ...]
    split: str = TEST


def product(model: str, axes: Mapping[str, Sequence[str]], choices: Choices) -> list[Variant]:
    """Make the product of the values of each key.

    Raises:
        ValueError: If a value is no number of images, or a key has a fixed value already.
    """
    _require_free(axes, choices)
    variants = []
    for values in itertools.product(*axes.values()):
        changes = dict(zip(axes, values, strict=True))
        budget = changes.pop(BUDGET, None)
        given = _changed(choices, changes)
        if budget is not None:
            given = dataclasses.replace(given, budget=_images(budget))
        variants.append(Variant(None, model, given))
    return variants


def _require_free(keys: Mapping[str, Any], choices: Choices) -> None:
    fixed = [*choices.changes, *([BUDGET] if choices.budget is not None else [])]
    both = [key for key in keys if key in fixed]
    if both:
        raise ValueError(f"{both[0]} is varied, so it cannot be set as well; leave one out")


def _changed(choices: Choices, changes: Mapping[str, str]) -> Choices:
    return dataclasses.replace(choices, changes={**choices.changes, **changes})


def _images(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{BUDGET}={text}: a number of images, at least 1, is needed")
    return int(text)


def declared(model: str, name: str, choices: Choices) -> tuple[Ablation, list[Variant]]:
    """Return an ablation that a model declares, and its points.

    Raises:
        ValueError: If there is none of this name, or a key that it varies has a fixed value.
    """
    known = registry.load_model(model).ablations
    if name not in known:
        hint = f"{near(name, known)}possible: {', '.join(known) or 'none; use --vary'}"
        raise ValueError(f"model {model!r} has no ablation {name!r}; {hint}")
    found = known[name]
    _require_free({key: None for point in found.points for key in point.changes}, choices)
    variants = [
        Variant(point.label, point.model or model, _changed(choices, point.changes))
        for point in found.points
    ]
    return found, variants


def declared_ablations() -> Iterator[tuple[str, str, Ablation]]:
    """Return every ablation that an installed model declares, with the names of both."""
    for model in registry.available_models():
        try:
            found = registry.load_model(model).ablations
        except registry.BrokenModel as error:  # the others are listed
            logger.warning("%s", error)
            continue
        for name, each in found.items():
            yield model, name, each


def default_name(model: str, what: Sequence[str], choices: Choices) -> str:
    """Name the files after model, what varies, and what differs from the published settings."""
    fixed: dict[str, object] = dict(choices.changes)
    if choices.budget is not None:
        fixed[BUDGET] = choices.budget
    if choices.precision != "fp32":
        fixed["precision"] = choices.precision
    variant = variant_name(choices.preset, fixed)
    return "-".join([model, *what, *([variant] if variant else [])])


def plan_ablation(
    theme: Theme, task: str, seeds: Sequence[int], data: Path, *, is_preview: bool = False
) -> tuple[AblationPlan, list[Job]]:
    """Settle the runs of an ablation on one task, point by point.

    Args:
        theme: What is varied.
        task: Name or folder.
        seeds: Of each point.
        data: Folder of data.
        is_preview: Whether images need not be there, as their published number will do.

    Raises:
        ValueError: For a task, model or setting that is not possible, or if two points are one run.
    """
    find = catalogue.plan_task if is_preview else catalogue.find_task
    classes = {each.model: registry.load_model(each.model) for each in theme.variants}
    typed, found = common_task(classes, task, find(task, data), theme.split)
    is_test = theme.split == TEST
    suffix, where = ("", "") if is_test else (f"-{theme.split}", f", on {theme.split} images")
    chosen = tuple(dict.fromkeys(seeds))
    points: dict[str, AblationPoint] = {}
    jobs: list[Job] = []
    for variant in theme.variants:
        of_point = _jobs(variant, (typed, found), chosen)
        run = of_point[0].run.folder.parent.as_posix()
        values = (variant.label,) if variant.label else _values(of_point[0], theme.keys)
        if run in points:
            both = " and ".join(", ".join(v) for v in (points[run].values, values))
            raise ValueError(f"{both} are the same run, {run}; leave one out")
        points[run] = AblationPoint(values=values, run=run)
        jobs += of_point
    made = AblationPlan(
        name=_file_name(f"{found.name}-{theme.name}{suffix}"),
        title=f"{theme.title}: {found.name}{where}",
        command=shlex.join([*theme.command, "--task", task]),
        task=found.name,
        keys=theme.keys,
        points=tuple(points.values()),
        seeds=chosen,
        protocols=theme.protocols,
    )
    return made, jobs


def _file_name(name: str) -> str:
    """Give a name that files can have, hashed when long.

    Raises:
        ValueError: If it has characters that are not safe.
    """
    if not re.fullmatch(r"[A-Za-z0-9.,=_-]+", name):
        raise ValueError(
            f"no files can be named {name!r}: letters, digits, '.', ',', '=', '_', '-'"
        )
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _jobs(variant: Variant, named_task: tuple[str, Task], seeds: Sequence[int]) -> list[Job]:
    model_class = registry.load_model(variant.model)
    return [
        plan.make_job(variant.model, model_class, named_task, seed, variant.choices)
        for seed in seeds
    ]


def _values(job: Job, keys: Sequence[str]) -> tuple[str, ...]:
    """Give the settled value of each key, which may have been typed in several ways."""
    settings = job.plain_settings()
    return tuple(str(settings["config"].get(key, settings.get(key))) for key in keys)
