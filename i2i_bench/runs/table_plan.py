"""What it takes to fill a paper's table: runs, data, weights, people, memory and time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from i2i_bench import pretrained
from i2i_bench.data.training_images import expected_bytes
from i2i_bench.model import Preset
from i2i_bench.plugins import registry
from i2i_bench.records.folders import Places
from i2i_bench.records.record import Record, read_records
from i2i_bench.records.study import StudyRecord
from i2i_bench.report.papers import published
from i2i_bench.runs.find import recorded_run
from i2i_bench.runs.job import Choices, Job
from i2i_bench.runs.plan import plan_runs, require_preset
from i2i_bench.runs.provenance import device_name
from i2i_bench.runs.table_cells import PlannedCell, Training, facts_of, planned_cells
from i2i_bench.scoring.features.inception import RECIPES
from i2i_bench.scoring.protocols import DISTANCE_KEYS, find_protocol
from i2i_bench.system.messages import near, shown_bytes, shown_seconds
from i2i_bench.training import memory
from i2i_bench.training.loop import Precision

UNKNOWN = "not known"
PROCEDURES = {"fooled": "realfake-cyclegan", "votes": "nway-stargan"}  # measure → how to ask


@dataclass(frozen=True)
class PlanRequest:
    """What a table is to be filled with.

    Attributes:
        table: ``ii``, ``iii``, ``iv`` or ``v``.
        preset: Of the settings.
        seeds: Of every training.
        models: Names of those to plan; () for all.
        further: Whether cells that others printed are planned, too.
        precision: Of the training steps.
        options: Further words of the commands, such as places.

    Raises:
        ValueError: For an unknown preset.
    """

    table: str
    preset: Preset
    seeds: Sequence[int]
    models: Sequence[str] = ()
    further: bool = False
    precision: Precision = "fp32"
    options: Sequence[str] = ()

    def __post_init__(self) -> None:
        require_preset(self.preset)


@dataclass(frozen=True)
class PlannedTraining:
    """A training, and how far it is.

    Attributes:
        training: The model, task and settings.
        protocols: By which its runs are to be scored.
        fills: Columns that it has a cell of.
        jobs: Its runs, one for each seed; () where the data are missing.
        recorded: Those of their seeds that are recorded and scored.
        runs: How many, one for each seed.
        missing: Why it cannot be carried out, with what to do; "" where it can.
        need: Memory that a run takes, in words.
        time: Of one run on this device, in words.
    """

    training: Training
    protocols: tuple[str, ...]
    fills: tuple[str, ...]
    runs: int
    jobs: tuple[Job, ...] = ()
    recorded: tuple[int, ...] = ()
    missing: str = ""
    need: str = UNKNOWN
    time: str = UNKNOWN

    @property
    def left(self) -> tuple[Job, ...]:
        """Runs to carry out."""
        return tuple(job for job in self.jobs if job.run.seed not in self.recorded)


@dataclass(frozen=True)
class TablePlan:
    """What fills the cells of a table.

    Attributes:
        request: What was asked for.
        cells: Every cell of the table.
        trainings: What the cells need, each once.
        people: Lines about studies with people.
        weights: Sentences about missing weights.
    """

    request: PlanRequest
    cells: Sequence[PlannedCell]
    trainings: Sequence[PlannedTraining]
    people: Sequence[str] = ()
    weights: Sequence[str] = ()


def plan_table(
    request: PlanRequest, places: Places, device: torch.device, studies: Sequence[StudyRecord]
) -> TablePlan:
    """Find what the empty cells of a table take.

    Raises:
        ValueError: For models that the table does not have.
    """
    cells = planned_cells(request.table, request.preset, places.data, further=request.further)
    if request.models:
        cells = _only_of(request, cells)
    wanted: dict[Training, list[PlannedCell]] = {}
    for cell in cells:
        for training in cell.trainings:
            wanted.setdefault(training, []).append(cell)
    speeds = Speeds(read_records(places.results), device)
    trainings = [
        plan_training(_unplanned(training, its_cells, request), request, places, speeds)
        for training, its_cells in wanted.items()
    ]
    return TablePlan(request, cells, trainings, _people(cells, studies), _missing_weights(cells))


def _only_of(request: PlanRequest, cells: Sequence[PlannedCell]) -> list[PlannedCell]:
    """Keep the cells of some models.

    Raises:
        ValueError: If the table has none of one of them.
    """
    known = list(dict.fromkeys(t.model for cell in cells for t in cell.trainings))
    for name in request.models:
        if name not in known:
            raise ValueError(
                f"no cell of table {request.table} is of model {name!r}; "
                f"{near(name, known)}possible: {', '.join(known)}"
            )
    wanted = set(request.models)
    return [cell for cell in cells if wanted & {t.model for t in cell.trainings}]


def _unplanned(
    training: Training, cells: Sequence[PlannedCell], request: PlanRequest
) -> PlannedTraining:
    protocols = tuple(dict.fromkeys(name for cell in cells for name in cell.protocols))
    columns = tuple(dict.fromkeys(cell.column for cell in cells))
    return PlannedTraining(training, protocols, columns, len(set(request.seeds)))


def plan_training(
    wanted: PlannedTraining, request: PlanRequest, places: Places, speeds: Speeds
) -> PlannedTraining:
    """Find the runs of a training, which of them are recorded, and what the others take."""
    training = wanted.training
    changes = dict(training.changes)
    choices = Choices(preset=request.preset, changes=changes, precision=request.precision)
    try:
        jobs = plan_runs([training.model], [training.task], request.seeds, choices, places.data)
    except ValueError as error:
        return _without_data(replace(wanted, missing=str(error)), choices, places, speeds)
    recorded = tuple(job.run.seed for job in jobs if _is_scored(job, wanted.protocols, places))
    need = memory.measure_need(jobs[0].model_class, jobs[0].settings, jobs[0].task)
    return replace(
        wanted,
        jobs=tuple(jobs),
        recorded=recorded,
        need=shown_bytes(need.total),
        time=speeds.time(jobs[0]),
    )


def _without_data(
    found: PlannedTraining, choices: Choices, places: Places, speeds: Speeds
) -> PlannedTraining:
    """Say what a run takes by what is published of its task, as far as that tells."""
    training = found.training
    model_class = registry.load_model(training.model)
    with pretrained.without_weights():
        try:
            (job,) = plan_runs(
                [training.model], [training.task], [0], choices, places.data, is_preview=True
            )
        except ValueError:  # how many images there are is not published, or what it needs is wrong
            facts = facts_of(training.task, places.data)
            settings = model_class.settings(choices.preset, facts)
            need = memory.measure_need(model_class, settings, facts)
            return replace(found, need=f"{shown_bytes(need.beside)} and the images")
        need = memory.measure_need(model_class, job.settings, job.task)
        images = expected_bytes(job.task, job.settings)
    return replace(found, need=shown_bytes(need.beside + images), time=speeds.time(job))


def _is_scored(job: Job, protocols: Iterable[str], places: Places) -> bool:
    """Tell whether a run is recorded and scored by protocols."""
    try:
        found = recorded_run(job, places)
    except ValueError:  # made with other settings, which the run itself will say
        return False
    scored = {key.partition("@")[0] for key in found.scores} if found else set()
    return set(protocols) <= scored


class Speeds:
    """How fast runs were on this device, by records.

    Args:
        records: Of any devices.
        device: This one.
    """

    def __init__(self, records: Sequence[Record], device: torch.device) -> None:
        name = device_name(device)
        self._records = [r for r in records if r.device == name and r.images_per_second]

    def time(self, job: Job) -> str:
        """Say how long a run takes by one with the same settings, of any task and budget."""
        wanted = _speed_settings(job.plain_settings())
        for record in self._records:
            if record.model == job.run.model and _speed_settings(record.settings) == wanted:
                assert record.images_per_second
                return shown_seconds(job.settings.budget / record.images_per_second)
        return UNKNOWN


def _speed_settings(settings: Mapping[str, object]) -> dict[str, object]:
    """Keep the settings on which the speed depends."""
    return {key: value for key, value in settings.items() if key != "budget"}


def _missing_weights(cells: Sequence[PlannedCell]) -> list[str]:
    """Say which weights of the protocols are missing, and how to get them."""
    names = dict.fromkeys(
        RECIPES[find_protocol(protocol).recipe].weights
        for cell in cells
        if cell.trainings and published.layout().metrics[cell.value.metric].key in DISTANCE_KEYS
        for protocol in cell.protocols
    )
    return [
        f"{name} is missing from {pretrained.weights_folder()}: i2i-bench weights fetch {name}"
        for name in names
        if not pretrained.weights_path(name).is_file()
    ]


def _people(cells: Sequence[PlannedCell], studies: Sequence[StudyRecord]) -> list[str]:
    """Say which studies with people the columns have or need."""
    lines = []
    asked = {cell.column: cell for cell in cells if cell.measure and cell.trainings}
    for column, cell in asked.items():
        wanted = published.layout().datasets[cell.value.dataset]
        done = [
            study.name
            for study in studies
            if study.results.measure == cell.measure
            and wanted.has_direction(study.task, study.direction)
        ]
        if done:
            lines.append(f"{column}: asked in {', '.join(done)}")
        else:
            lines.append(
                f"{column}: no study is recorded; i2i-bench study new, once runs are done,"
            )
            lines.append(f"  --procedure {PROCEDURES[cell.measure]}, for each of its directions")
    return lines
