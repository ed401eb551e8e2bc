"""From a seed to what each person is shown: images, order, sides, catch trials."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from i2i_bench.study.plan import CATCH, REAL, Session, Trial
from i2i_bench.study.procedures import Kind, StudySettings


@dataclass(frozen=True)
class Stimuli:
    """The image files of a study.

    Attributes:
        items: Names of the test images that were translated.
        sources: File of each item's input.
        fakes: By method, the file of each item's translation.
        reals: Files of real images; with ``pairing=input`` the truth of each item, in order.
        scrambled: By method, files that are obviously no translation of some items, in the order
            of the first items; empty without catch trials.
    """

    items: tuple[str, ...]
    sources: tuple[str, ...]
    fakes: Mapping[str, tuple[str, ...]]
    reals: tuple[str, ...]
    scrambled: Mapping[str, tuple[str, ...]]


class _Deck:
    """Numbers below a count that are drawn evenly often, none twice at once if that is possible."""

    def __init__(self, count: int, random: np.random.RandomState) -> None:
        self._used = np.zeros(count, int)
        self._random = random

    def draw(self, number: int) -> list[int]:
        """Draw the least used, at random among equals, in random order."""
        found: list[int] = []
        while len(found) < number:
            order = np.lexsort((self._random.random_sample(len(self._used)), self._used))
            chosen = order[: number - len(found)]
            self._used[chosen] += 1
            found += self._random.permutation(chosen).tolist()
        return found


def plan_sessions(
    kind: Kind, settings: StudySettings, stimuli: Stimuli, seed: int
) -> list[Session]:
    """Plan what every person is shown.

    Args:
        kind: Of the procedure.
        settings: Of the study.
        stimuli: Its images.
        seed: Gives the same sessions again.
    """
    random = np.random.RandomState(seed)
    if kind == "pair":
        return _pair_sessions(settings, stimuli, random)
    if kind == "nway":
        return _choice_sessions(settings, stimuli, random)
    return _judging_sessions(kind, settings, stimuli, random)


def number_of_people(kind: Kind, settings: StudySettings, num_methods: int, num_items: int) -> int:
    """Count the sessions of a study."""
    if kind == "pair" and not settings.people:
        pairs = len(_pairs(settings, [str(k) for k in range(num_methods)]))
        answers = pairs * (settings.questions or num_items) * settings.answers_each
        return math.ceil(answers / settings.trials)
    return settings.people * (num_methods if settings.sessions == "one" else 1)


def _judging_sessions(
    kind: Kind, settings: StudySettings, stimuli: Stimuli, random: np.random.RandomState
) -> list[Session]:
    """Plan sessions in which methods are judged one by one, beside or among real images."""
    methods = list(stimuli.fakes)
    decks = {method: _Deck(len(stimuli.items), random) for method in methods}
    reals = _Deck(len(stimuli.reals), random)
    make = _realfake_trials if kind == "realfake" else _single_trials
    sessions = []
    for number in range(number_of_people(kind, settings, len(methods), len(stimuli.items))):
        total = settings.practice + settings.trials
        shown = [methods[number % len(methods)]] * total
        if settings.sessions == "all":
            shown = [methods[k] for k in _Deck(len(methods), random).draw(total)]
        trials = make(settings, stimuli, shown, (decks, reals), random)
        practice = [t.model_copy(update={"kind": "practice"}) for t in trials[: settings.practice]]
        scored = trials[settings.practice :]
        caught = _catch_trials(kind, settings, stimuli, random)
        sessions.append([*practice, *_mixed(scored, caught, random)])
    return sessions


_Decks = tuple[Mapping[str, _Deck], _Deck]


def _items_of(shown: Sequence[str], decks: Mapping[str, _Deck]) -> list[int]:
    """Draw an item for each trial, of its method's deck."""
    drawn = {
        method: decks[method].draw(list(shown).count(method)) for method in dict.fromkeys(shown)
    }
    return [drawn[method].pop() for method in shown]


def _realfake_trials(
    settings: StudySettings,
    stimuli: Stimuli,
    shown: Sequence[str],
    decks: _Decks,
    random: np.random.RandomState,
) -> list[Trial]:
    items = _items_of(shown, decks[0])
    is_paired = settings.pairing == "input"
    reals = items if is_paired else decks[1].draw(len(items))
    sides = random.permutation(np.arange(len(items)) % 2)
    return [
        _side_by_side(
            settings,
            stimuli,
            (method, item),
            (REAL, stimuli.reals[real]),
            int(side),
        )
        for method, item, real, side in zip(shown, items, reals, sides, strict=True)
    ]


def _side_by_side(
    settings: StudySettings,
    stimuli: Stimuli,
    fake: tuple[str, int],
    real: tuple[str, str],
    side: int,
) -> Trial:
    """Put a translation and a real image side by side; ``side`` is where the real one is."""
    method, item = fake
    both = [(method, stimuli.fakes[method][item]), real]
    both = both[::-1] if side == 0 else both
    return Trial(
        kind="scored",
        item=stimuli.items[item],
        options=[image for _, image in both],
        methods=[name for name, _ in both],
        source=stimuli.sources[item] if settings.shows_input else None,
        correct=side if settings.asks == "real" else 1 - side,
    )


def _single_trials(
    settings: StudySettings,
    stimuli: Stimuli,
    shown: Sequence[str],
    decks: _Decks,
    random: np.random.RandomState,
) -> list[Trial]:
    """Plan single images, half of them real, in practice, too."""
    trials: list[Trial] = []
    for part in (shown[: settings.practice], shown[settings.practice :]):
        is_real = random.permutation(np.arange(len(part)) % 2).astype(bool).tolist()
        fakes = _items_of([m for m, real in zip(part, is_real, strict=True) if not real], decks[0])
        reals = decks[1].draw(sum(is_real))
        for method, real in zip(part, is_real, strict=True):
            item = reals.pop() if real else fakes.pop(0)
            image = stimuli.reals[item] if real else stimuli.fakes[method][item]
            trials.append(
                Trial(
                    kind="scored",
                    item=f"real {item}" if real else stimuli.items[item],
                    options=[image],
                    methods=[REAL if real else method],
                    correct=0 if real else 1,
                )
            )
    return trials


def _choice_sessions(
    settings: StudySettings, stimuli: Stimuli, random: np.random.RandomState
) -> list[Session]:
    """Plan sessions in which the best of several methods is chosen."""
    methods = list(stimuli.fakes)
    items, sets = _Deck(len(stimuli.items), random), _Deck(len(methods), random)
    sessions = []
    for _ in range(settings.people):
        scored = [
            _choice(settings, stimuli, item, [methods[k] for k in sets.draw(settings.options)])
            for item in items.draw(settings.trials)
        ]
        caught = _catch_trials("nway", settings, stimuli, random)
        sessions.append(_mixed(scored, caught, random))
    return sessions


def _choice(settings: StudySettings, stimuli: Stimuli, item: int, methods: Sequence[str]) -> Trial:
    return Trial(
        kind="scored",
        item=stimuli.items[item],
        options=[stimuli.fakes[method][item] for method in methods],
        methods=list(methods),
        source=stimuli.sources[item] if settings.shows_input else None,
    )


def _pairs(settings: StudySettings, methods: Sequence[str]) -> list[tuple[str, str]]:
    every = itertools.combinations(methods, 2)
    return [pair for pair in every if settings.against == "all" or methods[0] in pair]


def _pair_sessions(
    settings: StudySettings, stimuli: Stimuli, random: np.random.RandomState
) -> list[Session]:
    """Plan sessions of pairs, so that each question is answered by as many people."""
    pairs = _pairs(settings, list(stimuli.fakes))
    number = settings.questions or len(stimuli.items)
    questions = [
        (pair, item) for pair in pairs for item in random.permutation(len(stimuli.items))[:number]
    ]
    deck = _Deck(len(questions), random)
    people = number_of_people("pair", settings, len(stimuli.fakes), len(stimuli.items))
    sessions = []
    for _ in range(people):
        scored = []
        for (one, other), item in (questions[k] for k in deck.draw(settings.trials)):
            order = (one, other) if random.randint(2) else (other, one)
            scored.append(_choice(settings, stimuli, int(item), order))
        caught = _catch_trials("pair", settings, stimuli, random)
        sessions.append(_mixed(scored, caught, random))
    return sessions


def _catch_trials(
    kind: Kind, settings: StudySettings, stimuli: Stimuli, random: np.random.RandomState
) -> list[Trial]:
    """Plan trials with an obvious answer: what is put together from shuffled pieces is no image."""
    if not settings.catch:
        return []
    makers: dict[Kind, Callable[..., Trial]] = {"realfake": _catch_pair, "single": _catch_single}
    make = makers.get(kind, _catch_choice)
    count = len(next(iter(stimuli.scrambled.values())))
    drawn = _Deck(count, random).draw(settings.catch)
    return [make(settings, stimuli, item, random) for item in drawn]


def _a_method(stimuli: Stimuli, random: np.random.RandomState) -> str:
    return list(stimuli.fakes)[random.randint(len(stimuli.fakes))]


def _catch_pair(
    settings: StudySettings, stimuli: Stimuli, item: int, random: np.random.RandomState
) -> Trial:
    side = int(random.randint(2))  # of the real image
    method = _a_method(stimuli, random)
    both = [stimuli.scrambled[method][item], stimuli.reals[random.randint(len(stimuli.reals))]]
    return Trial(
        kind="catch",
        item=stimuli.items[item],
        options=both if side else both[::-1],
        methods=[CATCH, REAL] if side else [REAL, CATCH],
        source=stimuli.sources[item] if settings.shows_input else None,
        correct=side if settings.asks == "real" else 1 - side,
    )


def _catch_single(
    settings: StudySettings, stimuli: Stimuli, item: int, random: np.random.RandomState
) -> Trial:
    del settings
    image = stimuli.scrambled[_a_method(stimuli, random)][item]
    return Trial(
        kind="catch", item=stimuli.items[item], options=[image], methods=[CATCH], correct=1
    )


def _catch_choice(
    settings: StudySettings, stimuli: Stimuli, item: int, random: np.random.RandomState
) -> Trial:
    """Put one translation among shuffled ones."""
    methods = [str(m) for m in random.permutation(list(stimuli.fakes))[: settings.options]]
    correct = int(random.randint(len(methods)))
    options = [
        (stimuli.fakes if place == correct else stimuli.scrambled)[method][item]
        for place, method in enumerate(methods)
    ]
    return Trial(
        kind="catch",
        item=stimuli.items[item],
        options=options,
        methods=[CATCH] * len(options),
        source=stimuli.sources[item] if settings.shows_input else None,
        correct=correct,
    )


def _mixed(
    scored: Sequence[Trial], caught: Sequence[Trial], random: np.random.RandomState
) -> Session:
    """Put catch trials among the others, none first."""
    mixed = list(scored)
    for trial in caught:
        mixed.insert(1 + random.randint(len(mixed)), trial)
    return mixed
