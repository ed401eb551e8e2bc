"""Add to recorded scores what was measured later, and change nothing that they hold."""

from __future__ import annotations

from typing import Any

from i2i_bench.records.record import Score, Scores, Values
from i2i_bench.scoring.metric_set import MetricSet

HASHES = ("lpips_sha256", "classifier_sha256")


def added_scores(before: Scores, new: Scores) -> Scores:
    """Return new scores; those that there are already keep what they hold.

    Raises:
        ValueError: If such a score is of other images, or of other weights.
    """
    return {
        key: _added(key, before[key], score) if key in before else score
        for key, score in new.items()
    }


def kept_scores(before: Scores, new: Scores, known: MetricSet) -> tuple[Scores, list[str]]:
    """Return new scores with what the former hold of metrics that are not installed now.

    Of other translations than the former ones such values would be false; they are left out.

    Args:
        before: As recorded.
        new: To replace them.
        known: The metrics that are installed.

    Returns:
        The scores, and sentences about what was kept or left out.
    """
    made, said = dict(new), []
    for key in before.keys() & new.keys():
        foreign = {name for name in before[key].metrics if name not in known.by_key}
        if not foreign:
            continue
        owners = ", ".join(sorted({before[key].metrics[name].distribution for name in foreign}))
        names = f"{', '.join(sorted(foreign))} of {owners}, which is not installed"
        if before[key].pixels_sha256 == new[key].pixels_sha256:
            made[key] = _with_foreign(before[key], new[key], known)
            said.append(f"{key} keeps its values of {names}")
        else:
            said.append(f"{key} loses its values of {names}: they were of other translations")
    return made, sorted(said)


def _with_foreign(before: Score, new: Score, known: MetricSet) -> Score:
    """Give a score what another holds under keys that no installed metric has."""
    ours = {*known.by_key, *known.of_spread}
    rest = _only_foreign(before, ours)
    changed: dict[str, Any] = _both(rest, new).model_dump()
    changed["baselines"] = {
        name: _both(_only_foreign(before.baselines.get(name, Values(values={})), ours), each)
        for name, each in new.baselines.items()
    }
    found = {key: origin for key, origin in before.metrics.items() if key not in ours}
    changed["metrics"] = new.metrics | found
    return new.model_copy(update=changed)


def _only_foreign(part: Values, ours: set[str]) -> Values:
    values = {key: value for key, value in part.values.items() if key not in ours}
    reasons = {key: why for key, why in part.reasons.items() if key not in ours}
    return Values(values=values, reasons=reasons)


def _added(key: str, before: Score, new: Score) -> Score:
    """Give a score the values that it lacked."""
    if before.pixels_sha256 != new.pixels_sha256:
        raise ValueError(
            f"{key} was scored on other images than are translated now, so nothing can be added; "
            "evaluate --force scores all anew"
        )
    changed: dict[str, Any] = {}
    for name in HASHES:
        one, other = getattr(before, name), getattr(new, name)
        if one and other and one != other:
            raise ValueError(
                f"{key} was scored with other weights ({name} {one[:8]}, now {other[:8]}), so "
                "nothing can be added; evaluate --force scores all anew"
            )
        changed[name] = one or other
    changed |= _both(before, new).model_dump()
    changed["baselines"] = {
        name: _both(before.baselines.get(name, each), each) for name, each in new.baselines.items()
    }
    changed["metrics"] = new.metrics | before.metrics
    return before.model_copy(update=changed)


def _both(before: Values, new: Values) -> Values:
    values, reasons = new.values | before.values, new.reasons | before.reasons
    reasons = {key: why for key, why in reasons.items() if values.get(key) is None}
    return Values(values=values, reasons=reasons)
