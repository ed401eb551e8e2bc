"""The plan of an ablation, as it lies beside the records."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from i2i_bench.records.record import FileSafe, Line

FOLDER = "ablations"  # below that of the records


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AblationPoint(_Strict):
    """A point of an ablation, compared with the others over all seeds.

    Attributes:
        values: One for each key of the ablation.
        run: Folder of its runs below ``runs/``, without the seed.
    """

    values: tuple[Line, ...] = Field(min_length=1)
    run: Line


class AblationPlan(_Strict):
    """The plan of an ablation on one task, which with the records gives its tables and figure.

    Attributes:
        name: Of its files.
        title: One line for people.
        command: What makes it.
        task: Name of the task.
        keys: What varies.
        points: In the order of the table.
        seeds: Of each point.
        protocols: Names of those that score it, the figure's first.
    """

    name: FileSafe
    title: Line
    command: str
    task: FileSafe
    keys: tuple[Line, ...]
    points: tuple[AblationPoint, ...]
    seeds: tuple[int, ...]
    protocols: tuple[Line, ...]


def read_ablations(results: Path) -> list[AblationPlan]:
    """Read the plans of all ablations below a folder of records, in the order of their names.

    Raises:
        ValueError: Naming the file that is not the plan of an ablation, or not in its place.
    """
    plans = []
    for path in sorted((results / FOLDER).glob("*.json")):
        try:
            plan = AblationPlan.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            raise ValueError(
                f"{path} is not the plan of an ablation: {place}: {first['msg']}"
            ) from None
        if path.stem != plan.name:
            raise ValueError(f"{path} is the plan of {plan.name}; rename it")
        plans.append(plan)
    return plans
