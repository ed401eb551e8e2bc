"""What of a data set becomes what of a task: configurations, columns and splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i_bench.tasks.archives import ArchiveError
from i2i_bench.tasks.hub.card import DEFAULT
from i2i_bench.tasks.hub.listing import HubFile, HubListing
from i2i_bench.tasks.hub.parquet import Columns
from i2i_bench.tasks.task import DOMAINS, SPLITS

SIDES = tuple(domain.upper() for domain in DOMAINS)


@dataclass(frozen=True)
class Chosen:
    """What is to be fetched.

    Attributes:
        configs: One configuration, or those of domain a and domain b.
        columns: Columns of domain a and b where they are named; empty where the file tells.
        files: (configuration, split) → its files, in their order; the split is train or test.
    """

    configs: tuple[str, ...]
    columns: tuple[str, ...]
    files: Mapping[tuple[str, str], tuple[HubFile, ...]]

    @property
    def size(self) -> int | None:
        """Bytes of all files; None where the hub does not state them."""
        sizes = [file.size for files in self.files.values() for file in files]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def every(self) -> list[HubFile]:
        """All files."""
        return [file for files in self.files.values() for file in files]


@dataclass(frozen=True)
class Part:
    """Images of a split that are read together.

    Attributes:
        split: Of the images.
        files: That hold them.
        columns: Of the images: one, or those of a pair.
        folders: Where the images of each column go; none where the labels tell.
        label: Column of labels; "" for none.
    """

    split: str
    files: tuple[Path, ...]
    columns: tuple[str, ...]
    folders: tuple[str, ...] = ()
    label: str = ""


def choose_files(listing: HubListing) -> Chosen:
    """Settle which files are needed for what was typed.

    Raises:
        ValueError: If that is not unambiguous, or lacks a split, with what is possible.
    """
    known, choice = listing.configs, listing.name.choice
    pair = tuple(part.strip() for part in choice.split(",")) if "," in choice else ()
    columns: tuple[str, ...] = ()
    if choice in known:
        configs: tuple[str, ...] = (choice,)
    elif pair and set(pair) <= set(known):
        configs = _two(listing, pair)
    elif choice and not pair:
        raise ValueError(
            f"data set {listing.name.repository} has no configuration {choice!r}; "
            f"possible: {', '.join(known)}"
        )
    else:
        configs, columns = _usual(listing), pair
    columns = _two(listing, columns) if columns else ()
    files = {
        (config, split): _files(listing, config, split) for config in configs for split in SPLITS
    }
    return Chosen(configs, columns, files)


def _two(listing: HubListing, names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) != 2 or names[0] == names[1]:
        raise ValueError(
            f"{','.join(names)} of data set {listing.name.repository} are {len(set(names))}; "
            "domain a and domain b are two"
        )
    return names


def _usual(listing: HubListing) -> tuple[str, ...]:
    """Return the configurations where none is typed: the only one, or the only two."""
    known, name = listing.configs, listing.name
    if DEFAULT in known:
        return (DEFAULT,)
    if len(known) > 2:
        raise ValueError(
            f"data set {name.repository} has the configurations {', '.join(known)}; name one, or "
            f"those of domain a and b: hf:{name.repository}:{known[0]} or "
            f"hf:{name.repository}:{known[0]},{known[1]}"
        )
    return known


def _files(listing: HubListing, config: str, split: str) -> tuple[HubFile, ...]:
    """Return the files of a split; images for validation are the test images where no others are.

    Raises:
        ValueError: If there are none.
    """
    of_config = [file for file in listing.files if file.config == config]
    for kind in (split, "validation") if split == "test" else (split,):
        if found := tuple(file for file in of_config if file.split == kind):
            return found
    there = ", ".join(dict.fromkeys(file.split for file in of_config)) or "none"
    raise ValueError(
        f"data set {listing.name.repository} has no {split} split (configuration {config}; there: "
        f"{there}), and a task needs training and test images; download it, split it, and name "
        "the folder"
    )


def find_parts(
    name: str,
    chosen: Chosen,
    places: Mapping[HubFile, Path],
    seen: Mapping[str, Columns],
    *,
    paired: bool,
) -> list[Part]:
    """Settle which columns are which domain, or the labels.

    Args:
        name: Of the data set.
        chosen: Configurations and files.
        places: Where each file is.
        seen: Columns of the first file of each configuration.
        paired: Whether the two images of a row are a pair.

    Raises:
        ArchiveError: If columns do not tell, with what is possible.
    """

    def part(config: str, split: str, columns: Sequence[str], sides: str) -> Part:
        files = tuple(places[file] for file in chosen.files[config, split])
        return Part(split, files, tuple(columns), tuple(f"{split}{side}" for side in sides))

    if len(chosen.configs) == 2:
        sides = [(config, _only(name, config, seen[config])) for config in chosen.configs]
        return [
            part(config, split, [column], side)
            for split in SPLITS
            for (config, column), side in zip(sides, SIDES, strict=True)
        ]
    config, found = chosen.configs[0], seen[chosen.configs[0]]
    if chosen.columns or len(found.images) == 2:
        pair = _named(name, chosen.columns, found) if chosen.columns else _in_order(found.images)
        if paired:
            return [part(config, split, pair, "AB") for split in SPLITS]
        return [
            part(config, split, [column], side)
            for split in SPLITS
            for column, side in zip(pair, SIDES, strict=True)
        ]
    image, label = _only(name, config, found), _label(name, found)
    return [
        Part(split, tuple(places[f] for f in chosen.files[config, split]), (image,), label=label)
        for split in SPLITS
    ]


def _in_order(images: tuple[str, ...]) -> tuple[str, ...]:
    """Return two columns in the order of the file, but imageA before imageB."""
    stems = {column[:-1] for column in images}
    ends = sorted(column[-1:].upper() for column in images)
    return tuple(sorted(images)) if len(stems) == 1 and tuple(ends) == SIDES else images


def sides_of(chosen: Chosen, parts: Sequence[Part]) -> tuple[str, ...]:
    """Say what domain a and domain b are called in the data set; nothing for labels."""
    if parts[0].label:
        return ()
    if len(chosen.configs) == 2:
        return chosen.configs
    return tuple(dict.fromkeys(column for part in parts for column in part.columns))


def _only(name: str, config: str, found: Columns) -> str:
    """Return the only column of images."""
    if len(found.images) == 1:
        return found.images[0]
    has = f"has the columns {', '.join(found.images)} of images" if found.images else "has none"
    more = f"; hf:{name}:{','.join(found.images[:2])} names two" if found.images else ""
    raise ArchiveError(
        f"data set {name}, configuration {config}, {has} among {', '.join(found.all)}; needed are "
        f"two columns of images, or one and a label{more}"
    )


def _named(name: str, columns: Sequence[str], found: Columns) -> tuple[str, ...]:
    for column in columns:
        if column not in found.images:
            raise ArchiveError(
                f"data set {name} has no column {column!r} of images; "
                f"possible: {', '.join(found.images) or 'none'}"
            )
    return tuple(columns)


def _label(name: str, found: Columns) -> str:
    """Return the only column of labels."""
    if len(found.labels) == 1:
        return next(iter(found.labels))
    has = f"several labels: {', '.join(found.labels)}" if found.labels else "no label"
    raise ArchiveError(
        f"data set {name} has one column of images, {found.images[0]}, and {has} (columns "
        f"{', '.join(found.all)}); needed are two columns of images, two configurations, or one "
        "column and one label"
    )
