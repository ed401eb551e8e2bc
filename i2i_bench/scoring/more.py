"""Add to recorded scores what was measured later, and change nothing that they hold."""

from __future__ import annotations

from typing import Any

from i2i_bench.records.record import Score, Scores, Values

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
