"""The plan of a study, its trials, and where they lie in its folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from i2i_bench.records.record import Count, FileSafe, Line, StrictModel, read_as
from i2i_bench.records.study import ShownMethod
from i2i_bench.study.procedures import Kind, StudySettings
from i2i_bench.system.files import read_bounded, write_text

PLAN, TRIALS, LINKS = "plan.json", "trials.json", "links.csv"
PAGE, IMAGES, TEXTS, ANSWERS = "page", "images", "texts", "answers"
REAL, CATCH = "", "catch"  # in the place of a method: a real image, one that is obviously none
LARGEST_TRIALS = 256 * 2**20  # bytes

ImageName = Annotated[str, Field(pattern=r"^[0-9a-f]{20}\.png$")]


class Trial(StrictModel):
    """What is shown at once.

    Attributes:
        kind: ``practice``, ``scored`` or ``catch``.
        item: Name of the test image that was translated.
        options: Images to choose from, in the order of the page.
        methods: Of each option; ``REAL`` for a real image, ``CATCH`` for an obvious one.
        source: Image of the input; None where it is not shown.
        correct: Number of the right answer; None where there is none.
    """

    kind: Literal["practice", "scored", "catch"]
    item: str
    options: list[ImageName]
    methods: list[Line]
    source: ImageName | None = None
    correct: Count | None = None


Session = list[Trial]
_SESSIONS = TypeAdapter(list[Session])


class StudyPlan(StrictModel):
    """What a study is, fixed before anybody is asked.

    Attributes:
        schema_version: Of this file's layout.
        task: Name of the task.
        task_version: Its version.
        direction: Such as ``a2b``.
        target: What translations are to look like, as the page calls it.
        procedure: Name of it.
        kind: See ``Procedure``.
        settings: All of them.
        changed: Those that are not as in the paper: its value, and this one.
        seed: Of images, order, sides and catch trials.
        methods: Whose images are shown.
        images: Hash of each image file, by its name.
        sessions: Number of sessions, one a person.
        trials_sha256: Of the file of trials.
        asked: What people are asked about themselves; nothing else of them is kept.
        completion_code: Shown at the end, as Prolific wants it; "" for one of each session.
    """

    schema_version: Literal[1] = 1
    task: FileSafe
    task_version: int
    direction: Line
    target: Line
    procedure: Line
    kind: Kind
    settings: StudySettings
    changed: dict[str, tuple[Any, Any]]
    seed: Count
    methods: list[ShownMethod]
    images: dict[ImageName, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]
    sessions: Annotated[int, Field(ge=1)]
    trials_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    asked: list[Line] = Field(default_factory=list)
    completion_code: Line = ""


class Study:
    """A study on disk: its plan and trials, which hold what people must not know.

    Args:
        folder: Where it lies.

    Raises:
        ValueError: If there is none, or its files do not fit together.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / PLAN
        if not path.is_file():
            raise ValueError(f"{folder} holds no study: there is no {PLAN}; study new makes one")
        self.folder = folder
        self.plan = read_as(path, StudyPlan)
        self.plan_sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        content = read_bounded(folder / TRIALS, LARGEST_TRIALS)
        if hashlib.sha256(content).hexdigest() != self.plan.trials_sha256:
            raise ValueError(f"{folder / TRIALS} is not the file that the plan was made with")
        self.sessions = _read_sessions(content, folder / TRIALS)
        if len(self.sessions) != self.plan.sessions:
            raise ValueError(f"{folder / TRIALS} has {len(self.sessions)} sessions, not as planned")

    @property
    def id(self) -> str:
        """By which answers say what they belong to."""
        return self.plan_sha256[:16]


def _read_sessions(content: bytes, path: Path) -> list[Session]:
    try:
        return _SESSIONS.validate_json(content)
    except ValidationError as error:
        raise ValueError(f"{path} is damaged: {error.errors()[0]['msg']}") from None


def trials_text(sessions: list[Session]) -> str:
    """Return trials as they are written, a session a line."""
    lines = [
        json.dumps([trial.model_dump(exclude_none=True) for trial in session], ensure_ascii=False)
        for session in sessions
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def write_plan(folder: Path, plan: StudyPlan, sessions: list[Session]) -> None:
    """Write trials, then the plan, which makes the folder a study."""
    write_text(folder / TRIALS, trials_text(sessions))
    content = json.dumps(plan.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
    write_text(folder / PLAN, content + "\n")
