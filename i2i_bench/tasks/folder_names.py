"""What the names of folders and lists say: of which split their images are, and which domain."""

from __future__ import annotations

import re

from i2i_bench.tasks.mask_files import MASKS

VALIDATION_FOLDER = "val"  # the third split that folders have, beside those of tasks

_SPLITS = {
    **{"train": "train", "training": "train", "test": "test", "testing": "test"},
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION_FOLDER),
}
_SPLIT = "(?P<split>training|train|testing|test|validation|valid|val)"
_GAP = "(?P<gap>[ _.-]*)"
_BEFORE = re.compile(f"{_SPLIT}{_GAP}(?P<rest>.+)", re.IGNORECASE)
_AFTER = re.compile(f"(?P<rest>.+?){_GAP}{_SPLIT}", re.IGNORECASE)
_OF_NO_DOMAIN = {"images", "image", "imgs", "img", "data", "ab"}  # of whatever is in the set
_SIDES = {"a": "A", "b": "B"}


def read_name(name: str) -> tuple[str, str]:
    """Read the name of a folder, or of a list without its suffix.

    Returns:
        The split (``train``, ``test``, ``val``) or "", and the domain: ``A``, ``B``, another name
        as it is written, or "" where it is none.
    """
    if name.lower() in _SPLITS:
        return _SPLITS[name.lower()], ""
    for pattern, is_first in ((_BEFORE, True), (_AFTER, False)):
        match = pattern.fullmatch(name)
        if match and (domain := _domain(match, is_capital_enough=is_first)) is not None:
            return _SPLITS[match["split"].lower()], domain
    return "", "" if name.lower() in _OF_NO_DOMAIN else _SIDES.get(name.lower(), name)


def _domain(match: re.Match[str], *, is_capital_enough: bool) -> str | None:
    """Give the domain in a name beside its split; None if that is no name of both.

    A and B, as in ``trainA``, need nothing between; another name needs a gap or a capital letter,
    as in ``train_horse`` and ``trainHorse``, or ``training`` and ``testimony`` would have some.
    """
    rest = match["rest"]
    if rest.lower() in _SIDES:
        return _SIDES[rest.lower()]
    is_camel = is_capital_enough and match["split"][-1].islower() and rest[0].isupper()
    if not match["gap"] and not is_camel:
        return None
    return "" if rest.lower() in _OF_NO_DOMAIN else rest


def is_masks(name: str) -> bool:
    """Tell by the name of a folder whether it holds the masks of the one beside it."""
    return name.lower().endswith(MASKS)
