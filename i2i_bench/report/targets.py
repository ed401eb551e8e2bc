"""Directions in words, and the mean over the targets of a labelled task as one more."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence

from i2i_bench.records.record import Score, Values

MEAN = "mean over "  # how the direction of a mean starts


def in_words(direction: str) -> str:
    """Write ``a2b`` as "a to b"; a change of a label, a mean and what is ambiguous stay."""
    if direction.startswith(("+", "-", MEAN)):
        return direction
    ends = direction.split("2")
    return " to ".join(ends) if len(ends) == 2 and all(ends) else direction


def means(scores: Iterable[Score]) -> list[Score]:
    """Average the scores of each protocol over the changes of a label, such as ``+blond``.

    Every target counts the same, whatever its number of images. Where one lacks a value, so does
    the mean, with the reason. Only means of the same targets of the same images share a table.
    """
    groups: dict[tuple[str, int], list[Score]] = {}
    for score in scores:
        if score.direction[:1] in ("+", "-"):
            groups.setdefault((score.protocol, score.protocol_version), []).append(score)
    return [_mean(part) for part in groups.values() if len(part) > 1]


def averaged(scores: Iterable[Score], score: Score) -> list[Score]:
    """Return the scores that a mean is over, in the order of their directions; of others itself.

    Args:
        scores: Of the record.
        score: Of one direction, or a mean that ``means`` made of them.
    """
    if not score.direction.startswith(MEAN):
        return [score]
    protocol = (score.protocol, score.protocol_version)
    part = [each for each in scores if (each.protocol, each.protocol_version) == protocol]
    changes = [each for each in part if each.direction[:1] in ("+", "-")]
    return sorted(changes, key=lambda each: each.direction)


def _mean(part: Sequence[Score]) -> Score:
    part = sorted(part, key=lambda score: score.direction)
    names = {key for score in part for key in score.baselines}
    baselines = {
        name: _average([score.baselines[name] for score in part if name in score.baselines])
        for name in sorted(names)
    }
    whole = _average(part)
    new = {
        "direction": f"{MEAN}{len(part)} targets",
        "n_real": min(score.n_real for score in part),
        "n_fake": min(score.n_fake for score in part),
        "files_sha256": _joined([(s.direction, s.files_sha256) for s in part]),
        "pixels_sha256": _joined([(s.direction, s.pixels_sha256) for s in part]),
        "spread_kind": "none",
        "partial": any(score.partial for score in part),
        "baselines": baselines,
        "values": whole.values,
        "reasons": whole.reasons,
    }
    return part[0].model_copy(update=new)


def _joined(hashes: Sequence[tuple[str, dict[str, str]]]) -> dict[str, str]:
    """Hash the hashes of all directions, for ``real`` and ``fake`` each."""
    kinds = dict.fromkeys(kind for _, named in hashes for kind in named)
    texts = {
        kind: "".join(f"{direction} {named.get(kind)}\n" for direction, named in hashes)
        for kind in kinds
    }
    return {kind: hashlib.sha256(text.encode()).hexdigest() for kind, text in texts.items()}


def _average(part: Sequence[Values]) -> Values:
    """Average each value; errors of single targets are not those of a mean, and are left out."""
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for key in dict.fromkeys(key for each in part for key in each.values):
        if key.endswith(("_se", "_sd")):
            continue
        found = [value for each in part if (value := each.values.get(key)) is not None]
        values[key] = math.fsum(found) / len(found) if len(found) == len(part) else None
        if values[key] is None:
            given = [each.reasons[key] for each in part if key in each.reasons]
            reasons[key] = given[0] if given else "a target has no value"
    return Values(values=values, reasons=reasons)
