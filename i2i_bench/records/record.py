"""What a run produced: one JSON file, validated both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from i2i_bench.records.run import APART, EXTERNAL, Run
from i2i_bench.system.files import read_bounded, require_no_dead_link, write_text

SCHEMA_VERSION = 1
LARGEST_RECORD = 16 * 2**20  # bytes; a real one has a few thousand
SHARED_LOAD = 0.5  # beyond a training's own threads: its seconds are not those of a free machine
LARGEST_LOG = 64 * 2**20  # bytes of the log of a training; a real one has some hundred thousand

Line = Annotated[
    str, Field(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=300)
]  # no control characters
FileSafe = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.,=_-]*$", max_length=100)]
Positive = Annotated[float, Field(allow_inf_nan=False, gt=0, le=1e30)]
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e30, le=1e30)]  # sums stay finite
Count = Annotated[int, Field(ge=0, lt=2**63)]


def _estimator(content: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(content.get("distances", []), list):
        raise ValueError("distances are a list")
    return content


def _settings(content: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(content.get("config", {}), dict):
        raise ValueError("config is an object")
    return content


AnySchema = TypeVar("AnySchema", bound=BaseModel)


class StrictModel(BaseModel):
    """A part of a record: nothing but what it states, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Values(StrictModel):
    """Metrics by name, and why those that are None could not be computed.

    ``kid``, ``kid_se`` and ``fid`` are raw (tables show the KID times 100), PSNR is in dB.
    """

    values: dict[str, Finite | None]
    reasons: dict[str, str] = {}


class MetricOrigin(StrictModel):
    """Where a metric is from that not every run is scored with.

    Attributes:
        version: Of the metric.
        distribution: That brought it.
        distribution_version: Its version.
    """

    version: int
    distribution: Line
    distribution_version: Line


class WholeImages(StrictModel):
    """How images that were compared whole, not as squares, came to their size.

    Attributes:
        short_side: Pixels to which the short side was resized; 0 for images of their own size.
        multiple: Of which both sides are multiples once they are trimmed.
        num_trimmed: Sources of which something was trimmed.
        most_trimmed: Pixels that were cut off a side at most, at both ends together.
    """

    short_side: Count
    multiple: Count
    num_trimmed: Count
    most_trimmed: Count


class Reshaped(StrictModel):
    """How many images of a task were made squares that are not, of training and test together.

    Attributes:
        how: Whether they were ``squashed``, or ``cut`` around the middle.
        num_images: That are not square, by more than 1 %.
        num_all: All images.
        most: Largest ratio of the longer to the shorter side.
        median: Of the ratios of those that are not square.
    """

    how: Literal["squashed", "cut"]
    num_images: Count
    num_all: Count
    most: Positive
    median: Positive

    def __str__(self) -> str:
        known = f"{self.how} to squares: {self.num_images} of {self.num_all} images"
        if self.how == "squashed":
            return f"{known}, aspect ratio {self.most:.2f} at most (median {self.median:.2f})"
        most, median = (f"{1 - 1 / ratio:.0%}" for ratio in (self.most, self.median))
        return f"{known}, which lose {most} at most (median {median})"


class MachineLoad(StrictModel):
    """How much else ran beside a training: the machine's load in the minute before.

    Attributes:
        start: As the training began.
        end: As it ended, what it kept busy itself included.
        threads: Of the training, over its processes.
    """

    start: Annotated[Finite, Field(ge=0)]
    end: Annotated[Finite, Field(ge=0)]
    threads: Annotated[Count, Field(ge=1)]

    @property
    def is_shared(self) -> bool:
        """Whether others kept half a processor busy or more."""
        return max(self.start, self.end) >= self.threads + SHARED_LOAD

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        return f"load {self.start:.1f} to {self.end:.1f} with {threads}"


class Score(Values):
    """What one protocol found in one direction.

    Attributes:
        protocol: Name of the protocol.
        protocol_version: Its version.
        direction: Such as ``a2b``.
        image_size: Side in pixels at which everything was compared; of whole images the shortest.
        n_real: Images of the reference.
        n_fake: Translations.
        files_sha256: Of the sorted list of file names, by ``real`` and ``fake``.
        pixels_sha256: Of the pixels in that order, by ``real`` and ``fake``.
        recipe: Feature recipe.
        weights_sha256: Of the feature network's file; None when nothing was extracted.
        weights_status: ``unverified`` while no hash is known for that file.
        estimator: Parameters of the estimators.
        spread_kind: What the spread of the KID is.
        checkpoint: ``last``, or which.
        selected_on: Split and metric that chose the checkpoint; None for ``last``.
        task_version: Of the task that was scored.
        libraries: Versions of what computed the numbers.
        partial: Whether test images are missing.
        baselines: ``identity`` (the source as translation) and ``real`` (real against real).
        lpips_sha256: Of the file of weights behind LPIPS; None where there is none.
        classifier_sha256: Of the weights of the suite's own classifier of labels (8 digits); None
            where there is none.
        window: How distances and networks saw images that are not of 8-bit RGB; None where all are.
        metrics: By key, where metrics are from that plugins brought or that were asked for.
        whole: How whole images came to their size; None for squares.
    """

    protocol: Line
    protocol_version: int
    direction: Line
    image_size: Count
    n_real: Count
    n_fake: Count
    files_sha256: dict[str, str]
    pixels_sha256: dict[str, str]
    recipe: Line
    weights_sha256: Line | None
    weights_status: Line | None
    estimator: Annotated[dict[str, Any], AfterValidator(_estimator)]
    spread_kind: Line
    checkpoint: Line
    selected_on: Line | None
    task_version: int
    libraries: dict[str, str]
    partial: bool
    baselines: dict[str, Values]
    lpips_sha256: Line | None = None
    classifier_sha256: Line | None = None
    window: Line | None = None
    metrics: dict[str, MetricOrigin] = {}
    whole: WholeImages | None = None

    @model_serializer(mode="wrap")
    def _as_ever(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        later = ("lpips_sha256", "classifier_sha256", "window", "metrics", "whole")
        return _without_unset(handler(self), later)


Scores = dict[str, Score]  # by ``protocol@version/direction``


class Record(StrictModel):
    """What a run produced; what its training cost is None for networks trained elsewhere.

    Attributes:
        schema_version: Of this file's layout.
        model: Name in the registry.
        distribution: That brought the model.
        distribution_version: Its version.
        variant: See ``variant_name``.
        preset: The settings' starting point.
        task: Name of the task.
        task_version: Its version.
        split: Empty for scores of test images, ``validation`` for those of images that were held
            out of training.
        headline: Key of the metric that ranks models on this task.
        seed: Seed of the run.
        settings: Every setting, the model's configuration under ``config``.
        parameters: Of each network that is there.
        absent: Networks that the authors' files lacked; what needs them is not scored.
        macs: Multiply-adds of the translation of one image as the suite computes it, a to b if that
            is possible.
        images_seen: Batch positions consumed.
        steps: Training steps taken.
        seconds: Of training, without loading and scoring.
        images_per_second: In training.
        peak_memory_bytes: In training.
        peak_memory_of: ``process`` (resident, on the CPU) or ``device``.
        load: What else the machine did as the training began and ended; None where it is not known.
        modes: How training steps were carried out in the last session, beside plainly.
        modes_left_out: Modes that were on for other runs of the session, each with the reason why
            this model's steps were carried out without.
        directions: In which the model translates; empty for every direction of the task.
        frozen: Hash of the tensors of each pretrained network that its losses use (8 digits).
        source_sha256: Of the model's code (8 digits), see ``plugins.source``; of each that worked
            on the run, in order, with "+" between; empty where it is not known.
        device: Name of the device.
        torch_version: Version of torch.
        harness_version: Version of i2i-bench.
        commit: Of the harness's checkout; None outside one.
        checkpoint: ``last``, or which.
        selected_on: Split and metric that chose the checkpoint; None for ``last``.
        scores: By ``protocol@version/direction``.
        alarms: What the scores tell is wrong with the model, a sentence each, direction first.
        artefacts: Files of the run, relative to its folder below ``runs/``.
        reshaped: What became of images that are not square; None where none was changed.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    model: FileSafe
    distribution: Line
    distribution_version: Line
    variant: FileSafe | Literal[""]
    preset: Line
    task: FileSafe
    task_version: int
    split: Literal["", "validation"] = ""
    headline: Line
    seed: Annotated[int, Field(ge=0, lt=2**64)]  # as torch takes it
    settings: Annotated[dict[str, Any], AfterValidator(_settings)]
    parameters: dict[str, Count]
    absent: list[Line] = []
    macs: Count
    images_seen: Count | None
    steps: Count | None
    seconds: Finite | None
    images_per_second: Positive | None
    peak_memory_bytes: Count | None
    peak_memory_of: Line | None
    load: MachineLoad | None = None
    modes: list[Line] = []
    modes_left_out: dict[str, Line] = {}
    directions: list[Line] = []
    frozen: dict[str, Line] = {}
    source_sha256: Line = ""
    device: Line
    torch_version: Line
    harness_version: Line
    commit: Line | None
    checkpoint: Line = "last"
    selected_on: Line | None = None
    scores: Scores
    alarms: list[Line] = []
    artefacts: list[str] = []
    reshaped: Reshaped | None = None

    @model_validator(mode="after")
    def _scores_lie_under_their_names(self) -> Record:
        _check_names(self.scores)
        return self

    @model_serializer(mode="wrap")
    def _as_ever(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        later = ("absent", "alarms", "directions", "frozen", "load", "modes", "modes_left_out")
        return _without_unset(handler(self), (*later, "reshaped", "source_sha256", "split"))

    @property
    def run(self) -> Run:
        """Whose record this is."""
        return Run(self.model, self.variant, self.task, self.seed)


class FilesTaken(StrictModel):
    """Which files of another program's results were scored.

    Attributes:
        taken: Files of translations.
        passed_over: Other files, such as inputs beside them.
        how: How they were found, or what was cut out of them; "" for those of sources' names.
    """

    taken: Count
    passed_over: Count
    how: Line = ""

    def __str__(self) -> str:
        how = f" ({self.how})" if self.how else ""
        return f"{self.taken} files taken{how}, {self.passed_over} passed over"


class External(StrictModel):
    """Scores of images that another program made; how it made them is not known.

    Attributes:
        schema_version: Of this file's layout.
        name: Which the user gave.
        task: Name of the task whose test images were translated.
        headline: Key of the metric that ranks on this task.
        harness_version: Version of i2i-bench.
        formats: Number of files of each format, by direction.
        files: Which files were scored, by direction.
        scores: By ``protocol@version/direction``.
        alarms: What the scores tell is wrong with the images, a sentence each, direction first.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    name: FileSafe
    task: FileSafe
    headline: Line
    harness_version: Line
    formats: dict[str, dict[str, Count]]
    files: dict[str, FilesTaken] = {}
    scores: Scores
    alarms: list[Line] = []

    @model_validator(mode="after")
    def _scores_lie_under_their_names(self) -> External:
        _check_names(self.scores)
        return self

    @model_serializer(mode="wrap")
    def _as_ever(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_unset(handler(self), ("alarms", "files"))

    @property
    def file(self) -> Path:
        """Where it lives below ``results/``."""
        return Path(self.task) / EXTERNAL / f"{self.name}.json"

    def __str__(self) -> str:
        return self.file.with_suffix("").as_posix()


AnyRecord = Record | External


def _check_names(scores: Scores) -> None:
    for key, score in scores.items():
        name = f"{score.protocol}@{score.protocol_version}/{score.direction}"
        if key != name:
            raise ValueError(f"the scores under {key!r} are those of {name!r}")


def _without_unset(content: dict[str, Any], later: tuple[str, ...]) -> dict[str, Any]:
    """Drop fields that came later and are not set: older records stay as they were written."""
    return {key: value for key, value in content.items() if value or key not in later}


def read_record(path: Path) -> Record:
    """Read the record of a run.

    Raises:
        ValueError: Naming the file and the first thing that is wrong with it.
    """
    return read_as(path, Record)


def read_external_record(path: Path) -> External:
    """Read the record of another program's images.

    Raises:
        ValueError: Naming the file and the first thing that is wrong with it.
    """
    return read_as(path, External)


def read_as(path: Path, schema: type[AnySchema]) -> AnySchema:
    """Read a record of some kind.

    Raises:
        ValueError: Naming the file and the first thing that is wrong with it.
    """
    try:
        return schema.model_validate_json(read_bounded(path, LARGEST_RECORD))
    except OSError as error:
        raise ValueError(f"record {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        what = f"{place}: {first['msg']}"
        if place == "schema_version" or first["type"] == "extra_forbidden":
            what += " (written by another version of i2i-bench?)"
        raise ValueError(
            f"{path} is not a valid record: {what}; restore it, or move it away"
        ) from None


def require_results(results: Path) -> None:
    """Raise ValueError if there is no folder of records, which readers take for an empty one."""
    require_no_dead_link(results)
    if not results.is_dir():
        raise ValueError(f"there is no folder of records {results}")


def read_records(results: Path) -> list[Record]:
    """Read the records of runs below a folder, in the order of their paths; it need not exist.

    Raises:
        ValueError: For a file that is no record, or that lies where another run's belongs.
    """
    records = []
    for path in _files(results):
        if path.parent.name in APART or not path.name.startswith("seed"):
            continue
        record = read_record(path)
        if results / record.run.file != path:
            raise ValueError(f"{path} holds the record of {record.run}; move it to its place")
        records.append(record)
    return records


def _files(results: Path) -> list[Path]:
    """List where records lie below a folder, which need not exist, in order.

    Raises:
        OSError: If a folder cannot be listed, whose records would be missing otherwise.
    """
    require_no_dead_link(results)
    found = [results] if results.exists() else []
    for _ in range(2):  # the task's, the model's
        found = [child for folder in found for child in folder.iterdir() if child.is_dir()]
    files = [file for folder in found for file in folder.iterdir()]
    return sorted(file for file in files if file.suffix == ".json")


def read_external_records(results: Path) -> list[External]:
    """Read the records of other programs' images below a folder, in the order of their paths.

    Raises:
        ValueError: For a file that is no such record, or that lies where another's belongs.
    """
    records = []
    for path in _files(results):
        if path.parent.name != EXTERNAL or path.name.startswith("."):  # a killed process's draft
            continue
        record = read_external_record(path)
        if results / record.file != path:
            raise ValueError(f"{path} holds the record of {record}; move it to its place")
        records.append(record)
    return records


def write_record(record: AnyRecord, results: Path) -> Path:
    """Write a record to its place below ``results``, atomically; give that place."""
    path = results / (record.run.file if isinstance(record, Record) else record.file)
    write_text(path, record_text(record))
    return path


def record_text(record: AnyRecord) -> str:
    """Return a record as it is written: keys sorted, one a line."""
    content = record.model_dump(mode="json")
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
