"""Which images of two domains are pairs: told by their names, or stated."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i_bench.tasks.layouts import Layout

SplitAndDomain = tuple[str, str]  # split, domain
PAIRED, UNPAIRED = "paired", "unpaired"  # typed after the folder of a task and a colon
PAIRING = {PAIRED: True, UNPAIRED: False}

_Files = Mapping[SplitAndDomain, list[Path]]
_Keys = Callable[[Sequence[Path], str], list[str]]  # of files of a domain


@dataclass(frozen=True)
class Pairs:
    """The images of a task, in pairs or not.

    Attributes:
        files: Where they are paired with those of domain b in the order of domain a.
        paired: Whether they are.
        word: What is added to the name of the task, as the user chose otherwise than names tell.
        notes: Sentences.
    """

    files: dict[SplitAndDomain, list[Path]]
    paired: bool
    word: str = ""
    notes: tuple[str, ...] = ()


def choose_pairs(layout: Layout, files: _Files, stated: bool | None, asked: bool | None) -> Pairs:
    """Find out whether images are pairs, and put them in order.

    Args:
        layout: Of the folder.
        files: Its images.
        stated: What ``task.toml`` says.
        asked: What the user says of this run.

    Raises:
        ValueError: If pairs are stated or asked for, and cannot be found.
    """
    if layout.is_paired:  # by their file, or by the line of a list
        default = stated is not False
        ordered, by_name = dict(files), True
    else:
        ordered, by_name = pair_files(files, layout.names)
        default = by_name if stated is None else stated
    wanted = default if asked is None else asked
    word = "" if wanted == default else f".{PAIRED if wanted else UNPAIRED}"
    if not wanted:
        return Pairs(dict(files), False, word)
    if not by_name:
        ordered = _pair_by_parts(layout, files)
    is_told = layout.is_paired or stated is not None or asked is not None
    return Pairs(ordered, True, word, () if is_told else (_said(layout, ordered),))


def _said(layout: Layout, files: _Files) -> str:
    """Say that names were taken for pairs, what follows, and how to decline."""
    first, partner = files["train", "a"][0], files["train", "b"][0]
    typed = shlex.quote(f"{layout.root}:{UNPAIRED}")
    return (
        f"takes images of a and b for pairs, as their names are alike (such as {first.name} and "
        f"{partner.name}), and ranks by PSNR between them; if they only happen to be, "
        f"--task {typed} or the line paired = false in task.toml says so"
    )


def pair_files(
    files: _Files, names: Mapping[Path, str] | None = None
) -> tuple[dict[SplitAndDomain, list[Path]], bool]:
    """Find out by name whether images of a and b are pairs, in every split.

    Names pair when their stems are the same, also without a trailing ``_A`` and ``_B``.

    Returns:
        The files, where paired with domain b in the order of domain a; and whether they are paired.
    """

    def keys(paths: Sequence[Path], domain: str) -> list[str]:
        stems = [_stem(path, names or {}) for path in paths]
        return [re.sub(f"_{domain.upper()}$", "", stem) for stem in stems]

    ordered = dict(files)
    for split in dict.fromkeys(split for split, _ in files):
        partners = _partners(files[split, "a"], files[split, "b"], keys)
        if partners is None:
            return dict(files), False
        ordered[split, "b"] = partners
    return ordered, True


def _pair_by_parts(layout: Layout, files: _Files) -> dict[SplitAndDomain, list[Path]]:
    """Pair files by what is left of names without what all of a domain begin and end with.

    Raises:
        ValueError: If they do not pair so either.
    """

    def keys(paths: Sequence[Path], domain: str) -> list[str]:
        del domain
        backward = _without_prefix([_stem(path, layout.names)[::-1] for path in paths])
        return _without_prefix([stem[::-1] for stem in backward])

    ordered = dict(files)
    for split in dict.fromkeys(split for split, _ in files):
        found = files[split, "a"], files[split, "b"]
        partners = _partners(*found, keys)
        if partners is None:
            raise ValueError(_unmatched(layout.root, split, *found))
        ordered[split, "b"] = partners
    return ordered


def _partners(a: Sequence[Path], b: Sequence[Path], keys: _Keys) -> list[Path] | None:
    """Give the partner of each image of a; None unless each has one and all are one's."""
    wanted, partners = keys(a, "a"), dict(zip(keys(b, "b"), b, strict=True))
    if sorted(wanted) != sorted(partners) or len(partners) != len(b):
        return None
    return [partners[key] for key in wanted]


def _without_prefix(stems: list[str]) -> list[str]:
    start = len(os.path.commonprefix(stems))  # noqa: RUF071 - of letters, not of folders
    return [stem[start:] for stem in stems]


def _unmatched(root: Path, split: str, a: Sequence[Path], b: Sequence[Path]) -> str:
    counts = f"{split} has {len(a)} of a and {len(b)} of b"
    what = counts if len(a) != len(b) else f"as {a[0].name} and {b[0].name}"
    return f"images of {root} do not pair: names differ between a and b, {what}"


def _stem(path: Path, names: Mapping[Path, str]) -> str:
    return Path(names.get(path, path.name)).stem
