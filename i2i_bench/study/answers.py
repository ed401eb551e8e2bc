"""What people answered: the log of the server, and files that people sent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from i2i_bench.records.record import Count, StrictModel, read_as
from i2i_bench.study.plan import ANSWERS, Study
from i2i_bench.system.files import read_bounded

LOG = "answers.jsonl"
LARGEST_LOG = 2**30  # bytes
LONGEST_TEXT = 200  # letters of what is asked

Milliseconds = Annotated[int, Field(ge=0, le=10**9)]
Told = dict[Annotated[str, Field(max_length=300)], Annotated[str, Field(max_length=LONGEST_TEXT)]]


class Answer(StrictModel):
    """An answer to a trial.

    Attributes:
        trial: Number of the trial in its session.
        choice: Number of the option, or of a single image 0 for real and 1 for generated.
        ms: Time from the first frame with the images.
        left: Whether the page was hidden meanwhile.
        shown_ms: How long images were shown, by the frame clock; None where until the answer.
    """

    trial: Count
    choice: Annotated[int, Field(ge=0, le=9)]
    ms: Milliseconds
    left: bool = False
    shown_ms: Milliseconds | None = None


class AnswerFile(StrictModel):
    """Answers of one person, as the page gives them as a file."""

    study: str
    session: Count
    language: str
    asked: Told
    answers: list[Answer]
    check: str


class Begun(StrictModel):
    """A line of the log: a person agreed and began."""

    event: Literal["start"] = "start"
    study: str
    session: Count
    language: Annotated[str, Field(pattern="^[a-z]{2,3}$")]
    asked: Told


class Answered(StrictModel):
    """A line of the log: an answer."""

    event: Literal["answer"] = "answer"
    study: str
    session: Count
    answer: Answer


class Handed(StrictModel):
    """A line of the log: a session was given to somebody who came without a link."""

    event: Literal["hand"] = "hand"
    study: str
    session: Count


LogLine = Begun | Answered | Handed
_LINES = TypeAdapter(Annotated[LogLine, Field(discriminator="event")])


@dataclass
class Given:
    """What one person gave.

    Attributes:
        begun: Whether they agreed and began.
        language: Of the page.
        asked: What they told of themselves, by question.
        answers: To the first trials of their session, in order.
    """

    begun: bool = False
    language: str = ""
    asked: dict[str, str] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)


def check_of(study: str, session: int, answers: Sequence[Answer]) -> str:
    """Give the FNV-1a sum of answers, by which a damaged file is noticed; it is no secret."""
    parts = [f"{each.trial}:{each.choice}:{each.ms}" for each in answers]
    found = 0x811C9DC5
    for letter in ";".join([study, str(session), *parts]).encode():
        found = (found ^ letter) * 0x01000193 % 2**32
    return f"{found:08x}"


def read_log(path: Path, study: Study) -> tuple[dict[int, Given], int]:
    """Read the log of the server.

    A last line without its end was never acknowledged, and is passed over.

    Returns:
        What was given, by session, and the number of bytes of whole lines.

    Raises:
        ValueError: If another line is damaged, naming it.
    """
    content = read_bounded(path, LARGEST_LOG) if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    found: dict[int, Given] = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            each = _LINES.validate_json(line)
            apply_line(found, each, study)
        except (ValidationError, ValueError) as error:
            what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise ValueError(f"{path}, line {number}: {what}") from None
    return found, len(whole)


def apply_line(found: dict[int, Given], line: LogLine, study: Study) -> None:
    """Add a line of the log to what was given.

    Raises:
        ValueError: If it cannot follow, such as an answer that was given already.
    """
    require_next(found, line, study)
    given = found.setdefault(line.session, Given())
    if isinstance(line, Begun):
        given.begun, given.language, given.asked = True, line.language, dict(line.asked)
    elif isinstance(line, Answered):
        given.answers.append(line.answer)


def require_next(found: Mapping[int, Given], line: LogLine, study: Study) -> None:
    """Raise ValueError if a line cannot follow what was given."""
    if line.study != study.id:
        raise ValueError("it is of another study")
    if line.session >= len(study.sessions):
        raise ValueError(f"there is no session {line.session}")
    given = found.get(line.session, Given())
    if isinstance(line, Begun):
        if given.begun:
            raise ValueError(f"session {line.session} has begun already")
        if set(line.asked) != set(study.plan.asked):
            raise ValueError("what was asked is not what was told")
    elif isinstance(line, Handed):
        if line.session in found:
            raise ValueError(f"session {line.session} was given to somebody already")
    else:
        _require_next_answer(given, line, study)


def _require_next_answer(given: Given, line: Answered, study: Study) -> None:
    trial, session = line.answer.trial, study.sessions[line.session]
    if not given.begun:
        raise ValueError(f"session {line.session} has not begun")
    if trial != len(given.answers) or trial >= len(session):
        raise ValueError(f"an answer to trial {trial} is not the next one")
    if line.answer.choice >= num_choices(study, line.session, trial):
        raise ValueError(f"trial {trial} has no option {line.answer.choice}")


def num_choices(study: Study, session: int, trial: int) -> int:
    """Count the possible answers to a trial."""
    is_single = study.plan.kind == "single"
    return 2 if is_single else len(study.sessions[session][trial].options)


def log_text(line: LogLine) -> bytes:
    """Return a line of the log as it is written."""
    content: dict[str, Any] = line.model_dump(mode="json", exclude_none=True)
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"


def read_answer_file(path: Path, study: Study) -> tuple[int, Given]:
    """Read a file that a person sent; give the session and what was given.

    Raises:
        ValueError: If it is damaged, was changed, or is of another study.
    """
    content = read_as(path, AnswerFile)
    if content.check != check_of(content.study, content.session, content.answers):
        raise ValueError(f"{path} was changed or damaged since the page wrote it")
    found: dict[int, Given] = {}
    try:
        begun = Begun(
            study=content.study,
            session=content.session,
            language=content.language,
            asked=content.asked,
        )
        apply_line(found, begun, study)
        for answer in content.answers:
            line = Answered(study=content.study, session=content.session, answer=answer)
            apply_line(found, line, study)
    except (ValidationError, ValueError) as error:
        what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise ValueError(f"{path}: {what}") from None
    return content.session, found[content.session]


def collect_answers(study: Study) -> tuple[dict[int, Given], list[int]]:
    """Gather all answers in the folder of a study: the server's, and files that were put there.

    Returns:
        What was given, by session, and sessions that were answered twice in different ways.

    Raises:
        ValueError: For a file that is unfit, naming it.
    """
    folder = study.folder / ANSWERS
    logged, _ = read_log(folder / LOG, study)
    found = {session: given for session, given in logged.items() if given.begun}
    twice = []
    for path in sorted(folder.glob("*.json")):
        session, given = read_answer_file(path, study)
        if found.setdefault(session, given) != given:
            twice.append(session)
    return found, sorted(set(twice))
