"""Small studies for tests, and people who answer them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from i2i_bench.study.answers import Answer, Answered, Begun, check_of, log_text
from i2i_bench.study.make import StudyImages, StudySubject, make_study, settled_settings
from i2i_bench.study.plan import ANSWERS, Study, Trial
from i2i_bench.study.procedures import changed_settings, find_procedure

SIDE = 16  # pixels

Person = Callable[[Trial], int]


def images(
    methods: tuple[str, ...] = ("one", "two"), count: int = 12, **changes: Any
) -> StudyImages:
    """Give images of noise, all different."""
    random = np.random.RandomState(0)

    def some() -> list[Any]:
        return [random.randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8) for _ in range(count)]

    fields = {
        "items": tuple(f"{k:02d}.png" for k in range(count)),
        "sources": some(),
        "fakes": {method: some() for method in methods},
        "reals": some(),
        "is_paired": True,
    }
    return StudyImages(**(fields | changes))


def small_study(
    folder: Path,
    procedure: str = "realfake-pix2pix",
    methods: tuple[str, ...] = ("one", "two"),
    seed: int = 0,
    **settings: object,
) -> Study:
    """Make a study of noise."""
    found = find_procedure(procedure)
    asked = tuple(settings.pop("asked", ()))  # pyright: ignore[reportArgumentType]
    typed = changed_settings(found, {key: str(value) for key, value in settings.items()})
    shown = images(methods)
    fitted = settled_settings(found, typed, shown, is_asked_to_pair=False)
    records = {method: ("", "") for method in methods}
    subject = StudySubject("stripes", 1, "a2b", "stripes", records, asked)
    return make_study(folder, subject, found, fitted, shown, seed)


def answer_session(study: Study, session: int, person: Person, **changes: Any) -> list[Answer]:
    """Have a person answer a session."""
    fields: dict[str, Any] = {"ms": 1500, "shown_ms": 1000} | changes
    return [
        Answer(trial=number, choice=person(trial), **fields)
        for number, trial in enumerate(study.sessions[session])
    ]


def write_log(study: Study, answers: dict[int, list[Answer]]) -> Path:
    """Write answers as the server does."""
    lines = []
    for session, given in answers.items():
        asked = dict.fromkeys(study.plan.asked, "something")
        lines.append(Begun(study=study.id, session=session, language="en", asked=asked))
        lines += [Answered(study=study.id, session=session, answer=each) for each in given]
    path = study.folder / ANSWERS / "answers.jsonl"
    path.write_bytes(b"".join(map(log_text, lines)))
    return path


def write_file(study: Study, session: int, answers: list[Answer], name: str = "sent") -> Path:
    """Write answers as the page gives them to a person."""
    content = {
        "study": study.id,
        "session": session,
        "language": "en",
        "asked": dict.fromkeys(study.plan.asked, "something"),
        "answers": [each.model_dump(exclude_none=True) for each in answers],
        "check": check_of(study.id, session, answers),
    }
    path = study.folder / ANSWERS / f"{name}.json"
    path.write_text(json.dumps(content))
    return path


def right(trial: Trial) -> int:
    """Answer rightly; the first where nothing is right."""
    return 0 if trial.correct is None else trial.correct


def wrong(trial: Trial) -> int:
    """Answer wrongly, but for obvious trials."""
    return right(trial) if trial.kind != "scored" else 1 - right(trial)
