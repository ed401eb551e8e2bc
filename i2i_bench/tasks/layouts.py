"""Find the images of each split and domain in a folder, however people arranged them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from i2i_bench.tasks.arrangement import Arrangement
from i2i_bench.tasks.folder_names import VALIDATION_FOLDER, read_name
from i2i_bench.tasks.folder_search import (
    PAIR,
    Found,
    Kind,
    canonical_name,
    find_root,
    find_unsplit,
    find_unused,
    kind_of,
    visible_folders,
)
from i2i_bench.tasks.held_out import hold_out
from i2i_bench.tasks.image_folder import gather_images, require_stems
from i2i_bench.tasks.mask_files import MASKS
from i2i_bench.tasks.name_lists import named_rows, read_name_list
from i2i_bench.tasks.side_by_side import require_no_pairs
from i2i_bench.tasks.task import SPLITS
from i2i_bench.tasks.task_file import TASK_FILE, read_stated_arrangement

FOUR = tuple(f"{split}{side}" for split in SPLITS for side in sorted(PAIR))
SHOWN = 8  # places of images in a note

_NEEDED = f"{' '.join(FOUR)}, each with images"
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


@dataclass(frozen=True)
class Layout:
    """Where the images of a task lie, and what is to be said of it.

    Attributes:
        root: The folder of the task.
        stated_in: Folder whose ``task.toml`` counts: that one, or the one on top that was given.
        kind: Two domains, labels, or pairs in one file.
        parts: Name such as ``trainA``, ``train/horse`` or ``train`` → images in order; with the
            folders ``val`` as well where they are used as such.
        names: Of images that are not called by their file's own name.
        places: Name as in ``parts`` → folder or list of its images.
        arrangement: What is stated.
        is_paired: Whether images of the same index are a pair; None where their names tell.
        is_exact: Whether the folders are called as in ``parts``.
        notes: Sentences.
    """

    root: Path
    stated_in: Path
    kind: Kind
    parts: Mapping[str, list[Path]]
    names: Mapping[Path, str] = field(default_factory=dict)
    places: Mapping[str, Path] = field(default_factory=dict)
    arrangement: Arrangement = field(default_factory=Arrangement)
    is_paired: bool | None = None
    is_exact: bool = False
    notes: tuple[str, ...] = ()

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the labels, sorted; empty for another kind."""
        names = {name.partition("/")[2] for name in self.parts}
        return tuple(sorted(names)) if self.kind == "labels" else ()

    @property
    def passed_masks(self) -> tuple[str, ...]:
        """A sentence on folders of masks beside those of images, where they are passed over."""
        beside = [place.with_name(f"{place.name}{MASKS}") for place in self.places.values()]
        names = [folder.name for folder in beside if folder.is_dir()]
        if not names:
            return ()
        return (f"passes over {' '.join(names)}: masks are beside folders that hold images alone",)


def has_layout(path: Path) -> bool:
    """Tell whether a folder holds images of training, as those of a task do."""
    try:
        return exact_kind(path) is not None or find_root(path) is not None
    except ValueError:  # there is something, which is to be refused where it is read
        return True


def exact_kind(root: Path) -> Kind | None:
    """Tell whether a folder has the folders that need no word: trainA … or train/horse …."""
    names = [{path.name for path in visible_folders(root / split)} for split in SPLITS]
    both = names[0] | names[1]
    is_same = names[0] == names[1] and len(both) >= len(PAIR)
    if all(names) and not both <= PAIR and (is_same or any(read_name(n)[1] == n for n in both)):
        return "labels"
    return "domains" if all((root / name).is_dir() for name in FOUR) else None


def find_layout(path: Path) -> Layout:
    """Find the images of a task in a folder, or in the only one below it that has any.

    Raises:
        ValueError: If there is none, or more than one way to read it, with the line of
            ``task.toml`` that settles it.
    """
    if not path.is_dir():
        is_archive = path.is_file() and path.suffix.lower() in _ARCHIVES
        unpack = f"{path} is an archive; unpack it, and give the folder" if is_archive else ""
        raise ValueError(unpack or f"there is no folder {path}; needed are {_NEEDED}")
    stated = read_stated_arrangement(path)
    if (kind := exact_kind(path)) and not stated.is_stated:
        return _with_unused(_exact(path, kind, stated))
    if (found := find_root(path)) is None:
        raise ValueError(_nothing(path))
    root, places, kind = found
    stated_in = path if (path / TASK_FILE).exists() else root
    if root != path and (root / TASK_FILE).exists():
        stated_in, stated = root, read_stated_arrangement(root)
    below = f"reads the folder {_shown(root, path)} in {path}" if root != path else ""
    if exact_kind(root) == kind and not stated.is_stated:
        layout = _noted(_exact(root, kind, stated), below)
    else:
        layout = _arranged(path, _Builder(root, kind, stated, places))
    return _with_unused(replace(layout, stated_in=stated_in))


def _with_unused(layout: Layout) -> Layout:
    """Name the folders and lists of images that are no part of the task."""
    used = {*layout.places.values()} or {layout.root / split for split in SPLITS}
    if any(place.is_file() for place in used):
        used |= {above for files in layout.parts.values() for f in files for above in f.parents}
    unused = find_unused(layout.root, used)
    names = [_shown(place, layout.root) for place in unused]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    note = f"passes over what is in {', '.join(names[:SHOWN])}{more}: no part of the task"
    return replace(layout, notes=(*layout.notes, note)) if names else layout


def _noted(layout: Layout, note: str) -> Layout:
    return replace(layout, notes=(note, *layout.notes)) if note else layout


def _exact(root: Path, kind: Kind, stated: Arrangement) -> Layout:
    """Give the layout of folders that are called as the parts of a task are.

    Those of labels are listed where they are checked.
    """
    if kind == "labels":
        return Layout(root, root, kind, {}, arrangement=stated, is_exact=True)
    found: Found = {(name[:-1], name[-1]): [root / name] for name in FOUR}
    for side in sorted(PAIR):
        if (place := root / f"{VALIDATION_FOLDER}{side}").is_dir():
            found[VALIDATION_FOLDER, side] = [place]
    return _Builder(root, kind, stated, found).build(is_exact=True)


def _arranged(path: Path, builder: _Builder) -> Layout:
    """Give the layout of folders that have to be read as parts of a task, which is said."""
    layout = builder.build(is_exact=False)
    inside = {
        name.partition("/")[2]: layout.parts[name][0]
        for name, place in layout.places.items()
        if name.startswith("train/") and place.is_dir() and not read_name(place.name)[1]
    }  # as horse/train is, which maps/train and facades/train are, too
    require_no_pairs(layout.root, inside, builder.root / TASK_FILE)
    shown = {name: _shown(place, path) for name, place in layout.places.items()}
    read = [f"{place} as {name}" for name, place in shown.items() if place != name]
    more = f" and {len(read) - SHOWN} more" if len(read) > SHOWN else ""
    return _noted(layout, f"reads {', '.join(read[:SHOWN])}{more}" if read else "")


def _shown(place: Path, path: Path) -> str:
    return Path(os.path.relpath(place, path)).as_posix()


def _nothing(path: Path) -> str:
    """Say what a folder without folders of training images has, and what settles it."""
    unsplit = find_unsplit(path)
    kind = kind_of(unsplit)
    there = [folder.name for folder in visible_folders(path)]
    some = f"; there are: {', '.join(there[:SHOWN])}" if there else ""
    if kind in ("domains", "labels") and all(split == "train" for split, _ in unsplit):
        names = ", ".join(sorted(places[0].name for places in unsplit.values())[:SHOWN])
        return (
            f"folder {path} has images in {names}, and none for training and test apart; "
            f"{_share_line(path)}"
        )
    known = {canonical_name("domains", s, d) for s, d in unsplit if s and d in PAIR}
    if known:
        missing = [name for name in FOUR if name not in known]
        return f"folder {path} has no {' '.join(missing)}; needed are {_NEEDED}"
    return (
        f"folder {path} has none of the folders needed: {_NEEDED}{some}; a line such as "
        f'folders.trainA = "PATH" in {path / TASK_FILE} says where images of another name are'
    )


def _share_line(root: Path) -> str:
    return (
        f"the line test_share = 0.1 in {root / TASK_FILE} holds a tenth of each domain out of "
        "training, and tests on it"
    )


@dataclass(frozen=True)
class _Builder:
    """Lists the images of each part, and gathers what is to be said."""

    root: Path
    kind: Kind
    stated: Arrangement
    found: Found

    def build(self, *, is_exact: bool) -> Layout:
        """Give the layout."""
        domains = sorted({d for s, d in self.found if s == "train" and self._is_of_kind(d)})
        test, notes = self._tests(domains)
        sources = {"train": "train"} | ({"test": test} if test else {})
        if self.stated.validation:
            sources[VALIDATION_FOLDER] = VALIDATION_FOLDER
        places = {
            canonical_name(self.kind, split, domain): self._place(source, split, domain)
            for split, source in sources.items()
            for domain in domains
        }
        parts, names, is_listed_pairs = self._images(places)
        if deep := [name for name, place in places.items() if _is_deep(place, parts.get(name, []))]:
            notes = (*notes, f"takes the images of folders below {', '.join(deep)}")
        if not test and is_listed_pairs:
            raise ValueError(
                f"test_share is not for lists of pairs; name some of {self.root} in test.txt"
            )
        if not test:
            parts = hold_out(parts, self.stated.test_share or 0)
        is_paired = True if self.kind == "halves" or is_listed_pairs else None
        kind = "domains" if is_listed_pairs else self.kind
        return Layout(
            self.root,
            self.root,
            kind,
            parts,
            names,
            places,
            self.stated,
            is_paired,
            is_exact,
            notes,
        )

    def _is_of_kind(self, domain: str) -> bool:
        return {"domains": domain in PAIR, "labels": domain != "", "halves": domain == ""}[
            self.kind
        ]

    def _tests(self, domains: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """Give the split whose images are those of tests, and what is to be said of it."""
        val = [
            _shown(place, self.root)
            for (split, _), places in self.found.items()
            for place in places
            if split == VALIDATION_FOLDER
        ]
        is_there = {
            split: any((split, domain) in self.found for domain in domains)
            for split in ("test", VALIDATION_FOLDER)
        }
        if self.stated.test_share and any(is_there.values()):
            raise ValueError(f"task.toml states test_share, and {self.root} has images for tests")
        if is_there["test"]:
            if not is_there[VALIDATION_FOLDER] or self.stated.validation:
                return "test", ()
            return "test", (
                f"passes over {' '.join(val)}; the line validation = true in task.toml has --split "
                "validation take them",
            )
        if is_there[VALIDATION_FOLDER]:
            return VALIDATION_FOLDER, ("tests on the images of val, as there are none of test",)
        if self.stated.test_share:
            return "", (f"tests on {self.stated.test_share:.0%} of the images, held out",)
        missing = " ".join(canonical_name(self.kind, "test", domain) for domain in domains)
        raise ValueError(
            f"folder {self.root} has no {missing}, nor val in place of test; "
            f"{_share_line(self.root)}"
        )

    def _place(self, source: str, split: str, domain: str) -> Path:
        """Give the one folder or list of a part."""
        name = canonical_name(self.kind, split, domain)
        places = self.found.get((source, domain), [])
        if not places:
            raise ValueError(f"folder {self.root} has no {name}; {self._needed()}")
        if len(places) > 1:
            both = [_shown(place, self.root) for place in places[:2]]
            key = f'"{name}"' if "/" in name else name
            raise ValueError(
                f"{places[0]} and {places[1]} could both be {name}; the line folders.{key} = "
                f'"{both[0]}" in {self.root / TASK_FILE} takes the first'
            )
        return places[0]

    def _needed(self) -> str:
        if self.kind == "labels":
            return "needed are train/DOMAIN and test/DOMAIN with the same two domains or more"
        return f"needed are {_NEEDED}" if self.kind == "domains" else "needed are train and test"

    def _images(
        self, places: Mapping[str, Path]
    ) -> tuple[dict[str, list[Path]], dict[Path, str], bool]:
        """List the images of each part, their names, and tell whether lists are of pairs."""
        parts: dict[str, list[Path]] = {}
        names: dict[Path, str] = {}
        widths = set()
        for name, place in places.items():
            if place.is_dir():
                found = [gather_images(place, self._needed(), self.stated.subfolders)]
            else:
                has_labels = self.kind != "halves"  # else they would tell the domains
                folders = self._list_folders(place)
                found = named_rows(read_name_list(place, folders, may_have_labels=has_labels))
            widths.add(len(found))
            sides = [name] if len(found) == 1 else [f"{name}{side}" for side in sorted(PAIR)]
            for side, images in zip(sides, found, strict=True):
                require_stems(images)
                parts[side] = list(images)
                names |= {path: text for path, text in images.items() if text != path.name}
        is_pairs = widths == {len(PAIR)} and self.kind == "halves"
        if len(widths) > 1 or (widths == {len(PAIR)} and not is_pairs):
            raise ValueError(f"lists of {self.root} name one image a line and two; make them alike")
        if is_pairs:
            parts = {name: parts[name] for name in sorted(parts, key=_order)}
        return parts, names, is_pairs

    def _list_folders(self, place: Path) -> list[Path]:
        """Give the folders to which the names in a list may be relative."""
        if self.stated.root is not None:
            return [self.stated.root]
        return [place.parent, self.root, *visible_folders(self.root)]


def _is_deep(place: Path, files: Sequence[Path]) -> bool:
    return place.is_dir() and any(file.parent != place for file in files)


def _order(name: str) -> int:
    return (*FOUR, *(f"{VALIDATION_FOLDER}{side}" for side in sorted(PAIR))).index(name)
