"""Which shape another program's images have: squares, or that of their sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from i2i_bench.data.decode import cut_size, resized_size
from i2i_bench.model import ResizeRule

Shape = Literal["square", "whole", "own"]
MULTIPLES = tuple(2**k for k in range(11))  # to which programs trim sides, 1 for none

Size = tuple[int, int]  # width and height in pixels


def shape_rule(
    sources: Sequence[Size],
    made: Sequence[Size],
    square: int,
    short: int | None,
    shape: Shape | None,
) -> ResizeRule:
    """Tell how sources must be resized to be compared with their translations.

    Translations are squares; or whole, with the short side resized and the aspect ratio kept; or of
    their source's own size. Where both sides of whole ones were trimmed to a power of two, so are
    the sources.

    Args:
        sources: Width and height of each source, in pixels.
        made: Those of its translation.
        square: Side of squares.
        short: Short side of whole images; None for what the translations have.
        shape: Which of these they are; None to tell it from their sizes.

    Raises:
        ValueError: If they are none of these, or may be two that differ.
    """
    if shape is None and len(set(made)) == 1 and made[0][0] == made[0][1]:
        return ResizeRule(square)  # whose size is checked where each is read
    shortest = short or min(map(min, made))
    wanted: list[Shape] = [shape] if shape else ["square", "own", "whole"]
    if shape is None and short:
        wanted.remove("own")
    rules = [ResizeRule(square if each == "square" else shortest, resize=each) for each in wanted]
    fitting = [fit for rule in rules if (fit := _fitting(rule, sources, made))]
    if not fitting:
        raise ValueError(_misfit(rules, sources, made))
    first = fitting[0]
    if any(not _is_same(first, other, sources) for other in fitting[1:]):
        names = " and ".join(f"--resize {rule.resize}" for rule in fitting)
        raise ValueError(
            f"by their sizes the images may be resized in two ways; say in which: {names}"
        )
    return first


def _fitting(rule: ResizeRule, sources: Sequence[Size], made: Sequence[Size]) -> ResizeRule | None:
    """Give a rule with the least multiple that explains the sizes; None if none does."""
    for multiple in MULTIPLES if rule.is_whole else (1,):
        tried = ResizeRule(rule.size, resize=rule.resize, multiple=multiple)
        if all(cut_size(a, tried) == b for a, b in zip(sources, made, strict=True)):
            return tried
    return None


def _is_same(one: ResizeRule, other: ResizeRule, sources: Sequence[Size]) -> bool:
    """Tell whether two rules do the same to every source."""
    return all(resized_size(size, one) == resized_size(size, other) for size in sources)


def _misfit(rules: Sequence[ResizeRule], sources: Sequence[Size], made: Sequence[Size]) -> str:
    """Say which sizes the first image that fits no rule may have."""
    pairs = list(zip(sources, made, strict=True))
    wrong = [p for p in pairs if not any(_fitting(r, [p[0]], [p[1]]) for r in rules)]
    (width, height), given = (wrong or pairs)[0]
    names = {"square": "as squares", "own": "as large as its source", "whole": "with a short side"}
    possible = {names[rule.resize]: cut_size((width, height), rule) for rule in rules}
    listed = ", ".join(f"{name} {size[0]}x{size[1]}" for name, size in possible.items())
    return (
        f"a translation of {given[0]}x{given[1]} pixels is of a source of {width}x{height}; "
        f"possible: {listed}, sides trimmed alike in all; save all at the size of one rule"
    )
