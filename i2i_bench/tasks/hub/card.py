"""What the parquet files of a data set are of, by its card and by their names."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

SPLIT_WORDS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("validation", "valid", "val", "dev", "eval", "evaluation"),
}
DEFAULT = "default"  # the configuration of a set that names none
NOT_STATED = "not stated on the hub"
LONGEST_LICENCE = 200  # letters


def list_of(value: Any, kind: type) -> list[Any]:
    """Return the items of a kind in what may be a list; none in anything else."""
    return [each for each in value if isinstance(each, kind)] if isinstance(value, list) else []


def place_files(paths: Sequence[str], card: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Give the configuration and the split of each parquet file that has a split."""
    known = sorted(path for path in paths if path.endswith(".parquet"))
    if stated := dict(_placed_by_card(known, card)):
        return stated
    found = {path: (_config_of(path), split_of(path)) for path in known}
    return {path: place for path, place in found.items() if place[1]}


def _placed_by_card(
    paths: Sequence[str], card: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Place files as the card of the set says."""
    for config in list_of(card.get("configs"), dict):
        name = str(config.get("config_name") or DEFAULT)
        for split, pattern in _patterns(config.get("data_files")):
            for path in fnmatch.filter(paths, pattern):
                if kind := split_of(split or path):
                    yield path, (name, kind)


def _patterns(stated: Any) -> Iterator[tuple[str, str]]:
    """Give split and pattern of each entry of ``data_files``, which is written in many ways."""
    if isinstance(stated, dict):
        stated = [{"split": split, "path": paths} for split, paths in stated.items()]
    for entry in stated if isinstance(stated, list) else [stated]:
        split, paths = "", entry
        if isinstance(entry, dict):
            split, paths = str(entry.get("split") or ""), entry.get("path")
        for path in list_of(paths if isinstance(paths, list) else [paths], str):
            yield split, path


def split_of(path: str) -> str:
    """Tell the split by the words of a file's name, else by those of its folders; "" without."""
    for part in reversed(PurePosixPath(path).parts):
        words = set(re.split(r"[^a-z]+", part.lower()))
        for split, known in SPLIT_WORDS.items():
            if words.intersection(known):
                return split
    return ""


def _config_of(path: str) -> str:
    """Tell the configuration by the folders of a file that are no split."""
    folders = PurePosixPath(path).parts[:-1]
    return "/".join(f for f in folders if f != "data" and not split_of(f)) or DEFAULT


def stated_licence(card: Mapping[str, Any]) -> str:
    """Return the licence that a card states."""
    for key in ("license_name", "license"):
        stated = card.get(key)
        texts = [stated] if isinstance(stated, str) else list_of(stated, str)
        if texts and all(text.isprintable() for text in texts):
            return ", ".join(texts)[:LONGEST_LICENCE]
    return NOT_STATED


def stated_classes(card: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the names of labels that a card states, by column."""
    stated = card.get("dataset_info")
    found: dict[str, tuple[str, ...]] = {}
    for info in list_of(stated if isinstance(stated, list) else [stated], dict):
        for feature in list_of(info.get("features"), dict):
            kind = feature.get("dtype")
            label = kind.get("class_label") if isinstance(kind, dict) else None
            if names := class_names(label):
                found[str(feature.get("name"))] = names
    return found


def class_names(label: Any) -> tuple[str, ...]:
    """Return the names in a description of labels, a list or numbered; none of anything else."""
    names = label.get("names") if isinstance(label, dict) else None
    if isinstance(names, dict):
        keys = [str(number) for number in range(len(names))]
        names = [names[key] for key in keys] if set(keys) == set(names) else None
    is_named = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if names and is_named else ()
