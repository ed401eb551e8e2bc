"""What values tell is wrong with translations, and which of them are no translations to rank."""

from __future__ import annotations

import math
from collections.abc import Mapping

from i2i_bench.records.record import Score, Scores, Values
from i2i_bench.scoring.metrics.change import CHANGE, CHANGE_TRUTH, UNCHANGED, VARIETY
from i2i_bench.scoring.metrics.masks import BACKGROUND_SHARE, EFFECTIVE_MASKS
from i2i_bench.scoring.metrics.pixels import COLOUR_CORRELATION, COLOUR_CORRELATION_TRUTH

# More attention than this on the mask that copies the source, and nothing is translated: objects as
# small as 5 % of an image, the smallest of the embedded tasks, still need 0.05 of it elsewhere.
COPIES = 0.99
# With this share of it there, and luminance that correlates so with the source's, what the other
# masks add is hardly seen, unless the most changed pixels change by this many levels or more, as
# where a small part of a photograph is translated. Of the committed records, those that correlate
# by more than 0.92 are of collapsed masks.
MOSTLY_COPIES, SAME_LUMINANCE, SMALL_PART = 0.8, 0.995, 25.0
# Fewer masks than this in use, and the others have collapsed: of two masks, one has 99 %.
COLLAPSED = 1.05
# A lower correlation of luminance, and images are negatives rather than translations: images that
# have nothing to do with each other are near 0, what keeps the background is near 1.
INVERTED = -0.5
# From this share of sources on, returned to within rounding, nearly all of them are.
RETURNED = 0.9
# Levels of 255 by which the most changed 5 % of the pixels change at least, on average over images.
# Saving a photograph as JPEG of quality 75 changes them by 14, a right answer of any embedded task
# by 86 or more on average (docs/scoring.md).
LEAST_CHANGE = 16.0
# Translations vary less than this from image to image, as a share of what sources and real images
# do, whichever vary less: they are one picture. Sets that are alike have alike sources.
SAME = 0.1
# Levels of 255 that sources and real images must vary by, or nothing can be told: rounding is 0.5.
ALIKE = 4.0

UNSOUND = (UNCHANGED.key, CHANGE.key, VARIETY.key)  # alarms of what is no translation to rank

Known = Mapping[str, float | str | None]


def alarms_of_values(
    values: Known, source_variety: float = 0.0, real_variety: float = math.inf
) -> dict[str, str]:
    """Say what is wrong, a sentence for each value that gives an alarm, by its key.

    Args:
        values: As in a record, or some of them; what is no number gives none.
        source_variety: How much the sources differ from each other.
        real_variety: How much the real images of the target do.
    """
    known = {key: value for key, value in values.items() if isinstance(value, float)}
    least = min(source_variety, real_variety)
    return _of_masks(known) | _of_colours(known) | _of_change(known) | _of_variety(known, least)


def _of_masks(known: Mapping[str, float]) -> dict[str, str]:
    share, masks = known.get(BACKGROUND_SHARE.key, 0.0), known.get(EFFECTIVE_MASKS.key, math.inf)
    if share > COPIES:
        return {
            BACKGROUND_SHARE.key: (
                f"nothing is translated: the mask that copies the source has {share:.1%} of "
                "attention"
            )
        }
    if share >= MOSTLY_COPIES and _is_hardly_seen(known):
        return {
            BACKGROUND_SHARE.key: (
                f"hardly anything is translated: the mask that copies the source has {share:.1%} "
                "of attention, and the luminance of source and translation correlates by "
                f"{known[COLOUR_CORRELATION.key]:.3f}"
            )
        }
    if masks < COLLAPSED:
        collapsed = f"the attention masks have collapsed: {masks:.2f} of them are in effect"
        return {EFFECTIVE_MASKS.key: collapsed}
    return {}


def _is_hardly_seen(known: Mapping[str, float]) -> bool:
    """Tell whether luminance stays the source's, as the truth's does not, and no part changes."""
    if known.get(COLOUR_CORRELATION_TRUTH.key, -1.0) >= SAME_LUMINANCE:
        return False
    is_same = known.get(COLOUR_CORRELATION.key, 0.0) >= SAME_LUMINANCE
    return is_same and known.get(CHANGE.key, 0.0) < SMALL_PART


def _of_colours(known: Mapping[str, float]) -> dict[str, str]:
    colour = known.get(COLOUR_CORRELATION.key, 1.0)
    if colour >= INVERTED or known.get(COLOUR_CORRELATION_TRUTH.key, 1.0) < INVERTED:
        return {}
    return {
        COLOUR_CORRELATION.key: (
            f"colours are inverted: the luminance of source and translation correlates by "
            f"{colour:.2f}"
        )
    }


def _of_change(known: Mapping[str, float]) -> dict[str, str]:
    """Find what was not translated; where the truth changes as little, that is right."""
    returned, change = known.get(UNCHANGED.key, 0.0), known.get(CHANGE.key, math.inf)
    if known.get(CHANGE_TRUTH.key, math.inf) < LEAST_CHANGE:
        return {}
    if returned >= RETURNED:
        return {
            UNCHANGED.key: (
                f"sources are returned unchanged: {returned:.0%} of the translations are their "
                "source to within rounding"
            )
        }
    if change < LEAST_CHANGE:
        return {
            CHANGE.key: (
                f"translations hardly differ from their sources: the 5 % of the pixels that change "
                f"most change by {change:.1f} of 255 levels"
            )
        }
    return {}


def _of_variety(known: Mapping[str, float], least: float) -> dict[str, str]:
    variety = known.get(VARIETY.key, math.inf)
    if least < ALIKE or variety >= SAME * least:
        return {}
    return {
        VARIETY.key: (
            f"all translations are nearly the same: they differ from each other by {variety:.1f} "
            f"of 255 levels, sources and real images by {least:.1f} or more"
        )
    }


def alarms_of_score(score: Score) -> dict[str, str]:
    """Say what is wrong with one score, a sentence for each value that gives an alarm, by key."""
    sources, real = (_variety(score, name) for name in ("identity", "real"))
    found = alarms_of_values(
        score.values,
        0.0 if sources is None else sources,
        math.inf if real is None else real,
    )
    if UNCHANGED.key not in score.values and equals_identity(score):  # an older record
        found[UNCHANGED.key] = "sources are returned unchanged: every value is that of the sources"
    return found


def _variety(score: Score, baseline: str) -> float | None:
    found = score.baselines.get(baseline)
    return found.values.get(VARIETY.key) if found else None


def equals_identity(score: Score) -> bool:
    """Tell whether all values of translations are those of their sources, but what is of cycles."""
    untouched = score.baselines.get("identity", Values(values={})).values
    keys = [k for k, value in untouched.items() if value is not None and not k.endswith("_cycle")]
    return bool(keys) and all(score.values.get(key) == untouched[key] for key in keys)


def why_unsound(score: Score) -> str:
    """Say why a score must not be ranked, whatever its values: "" where it may be.

    A copy of the source has the best background there is, and one picture may be near to all.
    """
    found = alarms_of_score(score)
    return "; ".join(found[key] for key in UNSOUND if key in found)


def alarms_of_scores(scores: Scores) -> list[str]:
    """Say what the scores of a model tell is wrong with it, a sentence each, direction first."""
    by_direction = {score.direction: score for score in scores.values()}
    return [
        f"{direction}: {sentence}"
        for direction in sorted(by_direction)
        for sentence in alarms_of_score(by_direction[direction]).values()
    ]
