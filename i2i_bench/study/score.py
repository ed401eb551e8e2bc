"""Score a study: leave out by the rules of its plan, then say what the answers say."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

from pydantic import ValidationError

from i2i_bench.records.study import StudyRecord, StudyResults
from i2i_bench.study.answers import Answer, Given, collect_answers
from i2i_bench.study.judgements import Judgement, gather_judgements
from i2i_bench.study.plan import REAL, Study, Trial
from i2i_bench.study.procedures import find_procedure
from i2i_bench.study.results import results_of
from i2i_bench.study.tables import AmtTrial

TWICE = "session answered twice"
INCOMPLETE, FAST, CAUGHT = "incomplete", "too fast", "catch trials failed"
UNSEEN = "page was hidden while images were shown"


@dataclass
class CountedAnswers:
    """Answers that count, and how many do not, by reason.

    Attributes:
        judgements: Those that count.
        kept: Sessions that do.
        people_left_out: Number of people, by reason.
        answers_left_out: Number of answers of people who are kept, by reason.
    """

    judgements: list[Judgement] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    people_left_out: Counter[str] = field(default_factory=Counter)
    answers_left_out: Counter[str] = field(default_factory=Counter)


def count_answers(
    study: Study, given: Mapping[int, Given], twice: Sequence[int] = ()
) -> CountedAnswers:
    """Apply the rules of the plan.

    Args:
        study: With its plan.
        given: By session.
        twice: Sessions with answers that contradict each other.
    """
    found = CountedAnswers()
    for session in sorted(given):
        trials, answers = study.sessions[session], given[session].answers
        reason = TWICE if session in twice else _why_left_out(study, trials, answers)
        if reason:
            found.people_left_out[reason] += 1
            continue
        found.kept.append(session)
        for trial, answer in zip(trials, answers, strict=False):
            if trial.kind != "scored":
                found.answers_left_out[f"{trial.kind} trial"] += 1
            elif study.plan.settings.watched and answer.left:
                found.answers_left_out[UNSEEN] += 1
            else:
                found.judgements.append(_judgement(study, session, trial, answer))
    return found


def _why_left_out(study: Study, trials: Sequence[Trial], answers: Sequence[Answer]) -> str:
    """Say why a person is left out; "" if they are not."""
    settings = study.plan.settings
    pairs = list(zip(trials, answers, strict=False))
    if (settings.complete and len(answers) < len(trials)) or not pairs:
        return INCOMPLETE
    times = [a.ms - (a.shown_ms or 0) for t, a in pairs if t.kind == "scored"]
    if times and statistics.median(times) < settings.fastest_ms:
        return FAST
    caught = [t.correct == a.choice for t, a in pairs if t.kind == "catch"]
    if caught and sum(caught) < settings.least_catch * len(caught):
        return CAUGHT
    return ""


def _judgement(study: Study, session: int, trial: Trial, answer: Answer) -> Judgement:
    kind, person = study.plan.kind, f"{session:06d}"
    if kind in ("nway", "pair"):
        methods = tuple(trial.methods)
        unit = (trial.item, *sorted(methods))
        return Judgement(person, methods, methods[answer.choice], trial.item, unit)
    method = next((name for name in trial.methods if name != REAL), _method_of(study, session))
    is_wrong = answer.choice != trial.correct
    unit = tuple(sorted(trial.options))
    return Judgement(person, (method,), method if is_wrong else None, trial.item, unit)


def _method_of(study: Study, session: int) -> str:
    """Name the method of a session that has one."""
    shown = (name for trial in study.sessions[session] for name in trial.methods)
    methods = {each.method for each in study.plan.methods}
    return next(name for name in shown if name in methods)


def score_study(study: Study, *, num_draws: int, seed: int) -> StudyResults:
    """Score all answers in the folder of a study.

    Raises:
        ValueError: If a file of answers is unfit, or no answer is left.
    """
    found = count_answers(study, *collect_answers(study))
    if not found.judgements:
        why = ", ".join(f"{number} {reason}" for reason, number in found.people_left_out.items())
        raise ValueError(f"{study.folder} has no answer to score; people left out: {why or 'none'}")
    return results_of(
        gather_judgements(find_procedure(study.plan.procedure).measure, found.judgements),
        people_left_out=found.people_left_out,
        answers_left_out=found.answers_left_out,
        num_draws=num_draws,
        seed=seed,
    )


def study_record(name: str, study: Study, results: StudyResults) -> StudyRecord:
    """Make the record of a study.

    Raises:
        ValueError: If the name cannot be that of a file.
    """
    plan = study.plan
    try:
        return StudyRecord(
            name=name,
            task=plan.task,
            task_version=plan.task_version,
            direction=plan.direction,
            procedure=plan.procedure,
            settings=plan.settings.model_dump(mode="json"),
            changed=plan.changed,
            plan_sha256=study.plan_sha256,
            trials_sha256=plan.trials_sha256,
            shown=plan.methods,
            results=results,
            harness_version=version("i2i-bench"),
        )
    except ValidationError:
        raise ValueError(
            f"{name!r} cannot name a file: up to 100 letters, digits and . , = _ - are "
            "possible, the first of them a letter or digit"
        ) from None


def amt_trials(study: Study) -> list[list[AmtTrial]]:
    """Give the answers of people who are kept as trials of AMT_Real_vs_Fake.

    Raises:
        ValueError: If the study does not ask which of two images is real.
    """
    if study.plan.kind != "realfake":
        raise ValueError(
            f"AMT_Real_vs_Fake asks which of two images is real; {study.plan.procedure} does not"
        )
    given, twice = collect_answers(study)
    kept = count_answers(study, given, twice).kept
    if not kept:
        raise ValueError(f"{study.folder} has no person whose answers count")
    return [_amt_session(study, session, given[session].answers) for session in kept]


def _amt_session(study: Study, session: int, answers: Sequence[Answer]) -> list[AmtTrial]:
    found = []
    for trial, answer in zip(study.sessions[session], answers, strict=False):
        if trial.kind == "catch":
            continue
        paths = [
            f"{name}/{trial.item}" if name != REAL else f"real/{image}"
            for name, image in zip(trial.methods, trial.options, strict=True)
        ]
        is_of_fake = study.plan.settings.asks == "fake"
        taken = answer.choice if is_of_fake else 1 - answer.choice  # for the generated one
        sides = ("left", "right")
        real = sides[trial.methods.index(REAL)]
        found.append(AmtTrial(real, paths[0], paths[1], sides[taken]))
    return found
