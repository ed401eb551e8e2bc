"""How people are asked, by name, as papers did it; every setting can be changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from i2i_bench.records.record import StrictModel
from i2i_bench.study.judgements import Measure
from i2i_bench.system.messages import near

Kind = Literal["realfake", "single", "nway", "pair"]
LARGEST = 10_000  # trials of a person, people, questions
Number = Annotated[int, Field(ge=0, le=LARGEST)]
Positive = Annotated[int, Field(ge=1, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
MEASURES: dict[Kind, Measure] = {
    "realfake": "fooled",
    "single": "error",
    "nway": "votes",
    "pair": "preference",
}


class StudySettings(StrictModel):
    """What a study does; ``--set`` changes it.

    Attributes:
        asks: What is chosen: the ``fake`` or the ``real`` one of two, the ``best`` of several, or
            ``real-or-fake`` of one.
        seconds: How long images are shown before the answer; 0 for until the answer.
        practice: Trials at the beginning, with feedback, that do not count.
        trials: Counted trials of a person, of a single image half of them real.
        catch: Further trials with an obvious answer, mixed among these.
        people: Of each method where a session has one, else in all; 0 for as many as questions
            need.
        sessions: Whether a person sees ``one`` method or ``all``.
        pairing: Whether the real image beside a translation is the true translation of the same
            ``input``, or any: ``none``.
        shows_input: Whether the input is shown, too.
        options: Translations to choose from.
        against: Whether pairs are of the ``first`` method and another, or of ``all`` methods.
        questions: Of each pair; 0 for one of every image.
        answers_each: People who answer each of these questions.
        pixels: Side of an image on the page.
        enlarge: Pixels of the page for one of the image.
        least_catch: Share of right catch trials below which a person is left out.
        fastest_ms: Median of the response times below which a person is left out.
        complete: Whether a person who did not answer everything is left out.
        watched: Whether answers are left out during whose images the page was hidden.
    """

    asks: Literal["fake", "real", "best", "real-or-fake"]
    seconds: Annotated[float, Field(ge=0, le=600)] = 0.0
    practice: Number = 0
    trials: Positive
    catch: Number = 0
    people: Number
    sessions: Literal["one", "all"] = "all"
    pairing: Literal["input", "none"] = "none"
    shows_input: bool = False
    options: Annotated[int, Field(ge=1, le=9)] = 1
    against: Literal["first", "all"] = "first"
    questions: Number = 0
    answers_each: Number = 0
    pixels: Annotated[int, Field(ge=1, le=4096)] = 256
    enlarge: Annotated[int, Field(ge=1, le=16)] = 1
    least_catch: Share = 0.75
    fastest_ms: Number = 200
    complete: bool = True
    watched: bool = True


class Procedure(StrictModel):
    """A way to ask people.

    Attributes:
        name: By which it is chosen.
        kind: ``realfake``: which of two is real; ``single``: is this one real; ``nway``: which is
            best; ``pair``: which of two is better.
        source: Paper or project that it is from.
        note: What a reader must know.
        settings: As there.
    """

    name: str
    kind: Kind
    source: str
    note: str = ""
    settings: StudySettings

    @property
    def measure(self) -> Measure:
        """What a point means."""
        return MEASURES[self.kind]


_PIX2PIX = StudySettings(
    asks="fake",
    seconds=1.0,
    practice=10,
    trials=40,
    people=50,
    sessions="one",
    pairing="input",
)

PROCEDURES = {
    each.name: each
    for each in (
        Procedure(
            name="realfake-pix2pix",
            kind="realfake",
            source="pix2pix, arXiv 1611.07004",
            note="Real and fake are of one input, as its colourisations; of its maps they were not "
            "(--set pairing=none).",
            settings=_PIX2PIX,
        ),
        Procedure(
            name="realfake-cyclegan",
            kind="realfake",
            source="CycleGAN, arXiv 1703.10593",
            note="As realfake-pix2pix, but the real one is clicked.",
            settings=_PIX2PIX.model_copy(update={"asks": "real", "people": 25, "pairing": "none"}),
        ),
        Procedure(
            name="nway-stargan",
            kind="nway",
            source="StarGAN, arXiv 1711.09020",
            note="146 people for single, 100 for multiple attributes; 30 to 40 questions with some "
            "for control.",
            settings=StudySettings(
                asks="best", trials=36, catch=4, people=146, shows_input=True, options=4
            ),
        ),
        Procedure(
            name="nway-ugatit",
            kind="nway",
            source="U-GAT-IT, arXiv 1907.10830",
            note="2,700 answers, as every printed cell is a count of that many.",
            settings=StudySettings(asks="best", trials=20, people=135, shows_input=True, options=5),
        ),
        Procedure(
            name="pref-spade",
            kind="pair",
            source="SPADE, arXiv 1903.07291",
            note="500 questions of each pair, 5 people each; take people with more than "
            "98 % of their work approved. How many questions a person had is not stated.",
            settings=StudySettings(
                asks="best",
                trials=50,
                people=0,
                shows_input=True,
                options=2,
                questions=500,
                answers_each=5,
            ),
        ),
        Procedure(
            name="realism-layer6",
            kind="single",
            source="layer6ai-labs/dgm-eval, arXiv 2306.04675",
            note="100 real and 100 generated images.",
            settings=StudySettings(asks="real-or-fake", trials=200, people=25, sessions="one"),
        ),
    )
}


def find_procedure(name: str) -> Procedure:
    """Return the procedure of this name.

    Raises:
        ValueError: If there is none, naming the nearest.
    """
    if name not in PROCEDURES:
        hint = f"{near(name, PROCEDURES)}possible: {', '.join(PROCEDURES)}"
        raise ValueError(f"no procedure {name!r}; {hint}")
    return PROCEDURES[name]


def changed_settings(procedure: Procedure, typed: Mapping[str, str]) -> StudySettings:
    """Change settings of a procedure as typed.

    Raises:
        ValueError: If there is no such setting, or a value is not possible, alone or with others.
    """
    known = procedure.settings.model_dump()
    for key in typed:
        if key not in known:
            hint = f"{near(key, known)}possible: {', '.join(known)}"
            raise ValueError(f"no setting {key!r} of a study; {hint}")
    try:
        found = StudySettings.model_validate_strings(
            {key: str(v) for key, v in known.items()} | dict(typed)
        )
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        raise ValueError(f"{key}={typed.get(key)}: {first['msg']}") from None
    if reason := _impossible(procedure, found):
        raise ValueError(f"procedure {procedure.name}: {reason}")
    return found


def _impossible(procedure: Procedure, found: StudySettings) -> str:
    """Say why settings do not go with a procedure; "" if they do."""
    kind, own = procedure.kind, procedure.settings.asks
    is_choice = kind in ("nway", "pair")
    reasons = {
        "asks=fake or asks=real is possible": kind == "realfake"
        and found.asks not in ("fake", "real"),
        f"asks={own} only is possible": kind != "realfake" and found.asks != own,
        "practice needs a right answer, which the best of several has not": is_choice
        and found.practice > 0,
        "methods are compared with each other, so that a session has all": is_choice
        and found.sessions != "all",
        "errors on real images belong to one method, so that a session has one": kind == "single"
        and found.sessions != "one",
        "trials must be even: half of the images are real": kind == "single"
        and found.trials % 2 == 1,
        "a pair has 2 options": kind == "pair" and found.options != 2,
        "options must be 2 at least": kind == "nway" and found.options < 2,
        "people must be 1 at least": not found.people
        and not (kind == "pair" and found.questions and found.answers_each),
    }
    return next((reason for reason, is_so in reasons.items() if is_so), "")


def changes_of(procedure: Procedure, found: StudySettings) -> dict[str, tuple[Any, Any]]:
    """Give what is not as in the paper: the procedure's value, and that of the study."""
    own, now = procedure.settings.model_dump(), found.model_dump()
    return {key: (own[key], now[key]) for key in own if own[key] != now[key]}
