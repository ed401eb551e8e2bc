"""Search a folder, and those below it, for the folders and lists of a task's images."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import Literal

from i2i_bench.system.leftovers import is_left_by_system
from i2i_bench.tasks.arrangement import Arrangement
from i2i_bench.tasks.folder_names import VALIDATION_FOLDER, is_masks, read_name
from i2i_bench.tasks.image_file import SUFFIXES
from i2i_bench.tasks.image_folder import sorted_entries
from i2i_bench.tasks.name_lists import LIST_SUFFIXES
from i2i_bench.tasks.task_file import TASK_FILE, read_stated_arrangement

Kind = Literal["domains", "labels", "halves"]  # trainA trainB, train/horse train/zebra, train
Found = dict[tuple[str, str], list[Path]]  # split ("" where none) and domain → folders or lists

DEEPEST = 3  # folders on top of those of a task
MOST_FOLDERS = 1000  # that are looked into at one depth
PAIR = {"A", "B"}

_LIST_WORDS = re.compile(r"^(f?list|files?)[ _.-]?|[ _.-]?(f?list|files?)$", re.IGNORECASE)


def find_root(path: Path) -> tuple[Path, Found, Kind] | None:
    """Find the folder whose folders or lists are those of a task: this one, or the only one below.

    Returns:
        The folder, its folders and lists by what they hold, and what kind of task they make; None
        where there is none.

    Raises:
        ValueError: If there are several, or a ``task.toml`` states what is not possible.
    """
    level, outer = [path], read_stated_arrangement(path)
    for _ in range(1 + DEEPEST):
        able: list[tuple[Path, Found, Kind]] = []
        for folder in level:
            found, kind = _search(folder, outer if folder == path else replace(outer, folders={}))
            if kind:
                able.append((folder, found, kind))
        if len(able) > 1:
            names = ", ".join(str(folder) for folder, *_ in able[:4])
            more = f" and {len(able) - 4} more" if len(able) > 4 else ""
            raise ValueError(f"{path} holds several tasks; give one of {names}{more}")
        if able:
            return able[0]
        level = [child for folder in level for child in visible_folders(folder)][:MOST_FOLDERS]
    return None


def _search(root: Path, outer: Arrangement) -> tuple[Found, Kind | None]:
    """Look for folders and lists with a split; folders go first, unless only lists have tests.

    What is stated on top, ``outer``, is of a folder below as well that states nothing itself.
    """
    arrangement = read_stated_arrangement(root) if (root / TASK_FILE).exists() else outer
    folders = as_training(_settle(_find_folders(root), arrangement), arrangement)
    known = folders, kind_of(folders)
    if has_tests(folders) or arrangement.is_stated:
        return known
    lists = _find_lists(root)
    return (lists, kind_of(lists)) if has_tests(lists) and kind_of(lists) else known


def find_unsplit(path: Path) -> Found:
    """Find the folders of domains in a folder without any of training and test images."""
    return as_training(_find_folders(path), Arrangement(test_share=0.1))


def find_unused(root: Path, used: AbstractSet[Path]) -> list[Path]:
    """Find the folders and lists of images that are none of those which are used."""
    found = [*_find_folders(root).items(), *_find_lists(root).items()]
    others = (places for (split, _), places in found if split != VALIDATION_FOLDER)
    places = dict.fromkeys(place for each in others for place in each)
    return [place for place in places if place not in used and used.isdisjoint(place.parents)]


def as_training(found: Found, arrangement: Arrangement) -> Found:
    """Take folders of no split for training images, where there are no others.

    They need test images of the same domains, or the statement that some are held out.
    """
    splits = {split for split, _ in found}
    if "train" in splits or not (has_tests(found) or (arrangement.test_share and splits == {""})):
        return found
    tested = {domain for split, domain in found if split}
    return {
        ("train" if not split and (not tested or domain in tested) else split, domain): places
        for (split, domain), places in found.items()
    }


def kind_of(found: Found) -> Kind | None:
    """Tell what kind of task the training images make; None if none."""
    train = {domain for split, domain in found if split == "train"}
    if train >= PAIR:
        return "domains"
    if len(train - {""}) >= len(PAIR):
        return "labels"
    return "halves" if "" in train else None


def has_tests(found: Found) -> bool:
    """Tell whether there are test or validation images."""
    return any(split in ("test", VALIDATION_FOLDER) for split, _ in found)


def canonical_name(kind: Kind, split: str, domain: str) -> str:
    """Name a part of a task as its folder is called when nothing needs to be said of it."""
    return {"domains": f"{split}{domain}", "labels": f"{split}/{domain}", "halves": split}[kind]


def visible_folders(folder: Path) -> list[Path]:
    """List the folders in a folder by name, but for masks and what systems leave there."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except OSError:  # such as one that may not be listed: it holds nothing then
        return []
    return [folder / n for n in sorted(names) if not (is_left_by_system(n) or is_masks(n))]


def has_images(folder: Path, depth: int = 0) -> bool:
    """Tell by their names whether there are images in a folder, or so deep below it."""
    try:
        with os.scandir(folder) as entries:
            if any(_is_image(entry) for entry in entries):
                return True
    except OSError:  # such as one that may not be listed: it holds nothing then
        return False
    return depth > 0 and any(has_images(below, depth - 1) for below in visible_folders(folder))


def _is_image(entry: os.DirEntry[str]) -> bool:
    is_named = entry.name.lower().endswith(SUFFIXES) and not is_left_by_system(entry.name)
    return is_named and not entry.is_dir()


def _find_folders(root: Path) -> Found:
    found: Found = defaultdict(list)
    for folder in visible_folders(root):
        for key, place in _read_folder(folder):
            found[key].append(place)
    return dict(found)


def _read_folder(folder: Path) -> Iterator[tuple[tuple[str, str], Path]]:
    """Give what a folder holds: images, those of each domain of a split, or each split of one."""
    split, domain = read_name(folder.name)
    if split and domain:
        if has_images(folder, DEEPEST):
            yield (split, domain), folder
    elif split:
        yield from _read_split(folder, split)
    else:
        name = domain if domain in PAIR else folder.name
        inner = [(read_name(below.name), below) for below in visible_folders(folder)]
        splits = [(split, below) for (split, of), below in inner if split and not of]
        for split, below in splits:
            if has_images(below):
                yield (split, name), below
        if not splits and has_images(folder, DEEPEST if domain in PAIR else 0):
            yield ("", name), folder


def _read_split(folder: Path, split: str) -> Iterator[tuple[tuple[str, str], Path]]:
    """Give the domains of a split, and the split itself where it holds images."""
    if has_images(folder):
        yield (split, ""), folder
    for below in visible_folders(folder):
        of_split, domain = read_name(below.name)
        if has_images(below, DEEPEST):
            named = domain if of_split or domain in PAIR or not domain else below.name
            yield (split, named), below


def _find_lists(root: Path) -> Found:
    """Find text files that name the images of a split and domain, also in a folder of lists."""
    found: Found = defaultdict(list)
    beside = [f for f in visible_folders(root) if f.name.lower() in ("list", "lists", "splits")]
    for folder in (root, *beside):
        for path in sorted_entries(folder):
            is_list = path.suffix.lower() in LIST_SUFFIXES and path.is_file()
            if is_list:
                key = read_name(_LIST_WORDS.sub("", path.stem))
                if key[0]:
                    found[key].append(path)
    return dict(found)


def _settle(found: Found, arrangement: Arrangement) -> Found:
    """Change what was found to what ``task.toml`` states."""
    for name, place in arrangement.folders.items():
        split, slash, domain = name.partition("/")
        key = (read_name(split)[0], domain) if slash else read_name(name)
        if not key[0]:
            raise ValueError(
                f"task.toml states folders.{name}, which names no split as trainA does"
            )
        if not place.exists():
            raise ValueError(f"task.toml states folders.{name}, and there is no {place}")
        found[key] = [place]
    if not arrangement.domains or not found:
        return found
    sides = dict(zip(arrangement.domains, sorted(PAIR), strict=True))
    lacking = [name for name in sides if all(domain != name for _, domain in found)]
    if lacking:
        possible = ", ".join(sorted({d for _, d in found if d})) or "none"
        raise ValueError(
            f"task.toml states the domain {lacking[0]!r}, of which there is no folder; there are: "
            f"{possible}"
        )
    return {(s, sides[domain]): p for (s, domain), p in found.items() if domain in sides}
