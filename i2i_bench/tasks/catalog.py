"""The catalogue of tasks as a table, and the way from a name or a folder to its task."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from i2i_bench.faults import near
from i2i_bench.tasks import attributes, by_hand, labelled, shapes
from i2i_bench.tasks.folders import (
    FOLDERS,
    PUBLISHED_SIZE,
    SUFFIXES,
    FolderReader,
    folder_task,
    pair,
    scan,
    stamp,
)
from i2i_bench.tasks.task import DOMAINS, SPLITS, Kind, Task

State = Literal["ready", "missing", "incomplete", "by hand"]
Counts = tuple[int | None, int | None, int | None, int | None]  # trainA, trainB, testA, testB


@dataclass(frozen=True)
class Archive:
    """The file in which a task is published.

    Attributes:
        name: Of the file, also at a mirror.
        urls: Addresses that serve it; none where a page has to be visited or an account is needed.
        size: In words; "" where the publisher does not state it.
    """

    name: str
    urls: tuple[str, ...] = ()
    size: str = ""


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue.

    Attributes:
        title: Domain a and domain b for people.
        origin: Where the images come from.
        licence: What its publisher says, as far as known.
        counts: Images in trainA, trainB, testA, testB; None where not known for certain.
        archive: In which it is published; None for what can only be obtained by hand.
        paired: Whether images of the same index are a pair.
        by_hand: What must be obtained by hand; images of such a task have labels.
    """

    title: str
    origin: str
    licence: str
    counts: Counts
    archive: Archive | None = None
    paired: bool = False
    by_hand: str = ""


@dataclass(frozen=True)
class Row:
    """One line of ``i2i-bench tasks``.

    Attributes:
        name: As typed after ``--task``.
        kind: Embedded or catalogued.
        title: One line for people.
        image_size: Side in pixels.
        counts: Folder name such as ``trainA`` → images expected in it; None where not known. Of a
            labelled task by split.
        licence: Of the images.
        state: Whether it can be run now.
    """

    name: str
    kind: Kind
    title: str
    image_size: int
    counts: Mapping[str, int | None]
    licence: str
    state: State


VERSION = 1  # of every catalogued task
HEADLINE = "kid"  # ranks models on each of them

_CYCLEGAN = "CycleGAN data sets, https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets/"
_PIX2PIX = "pix2pix data sets, http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/"
_DRIT = "DRIT data sets, https://github.com/HsinYingLee/DRIT"
_IMAGENET = "not stated; images of ImageNet, for non-commercial research"
_PAINTINGS = "not stated; paintings from WikiArt, photos from Flickr"
_FLICKR = "not stated; photos from Flickr"
_UNKNOWN: Counts = (None, None, None, None)


def _unpaired(name: str, size: str) -> Archive:
    """Give an archive of CycleGAN's authors, from the newer and the older of their addresses."""
    return Archive(
        f"{name}.zip",
        (
            f"http://efrosgans.eecs.berkeley.edu/cyclegan/datasets/{name}.zip",
            f"https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets/{name}.zip",
        ),
        size,
    )


def _halved(name: str, size: str) -> Archive:
    """Give an archive of pix2pix's authors."""
    url = f"http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/{name}.tar.gz"
    return Archive(f"{name}.tar.gz", (url,), size)


# Sizes: TensorFlow Datasets (cycle_gan) and affinelayer/pix2pix-tensorflow list them.
CATALOGUE: dict[str, Entry] = {
    "selfie2anime": Entry(
        "Selfies and anime faces",
        "U-GAT-IT data set, https://github.com/taki0112/UGATIT",
        "not stated; selfies of the UCF selfie data set, anime faces from Anime-Planet",
        (3400, 3400, 100, 100),
        Archive("selfie2anime.zip"),
    ),
    "horse2zebra": Entry(
        "Horses and zebras",
        f"{_CYCLEGAN}horse2zebra.zip",
        _IMAGENET,
        (1067, 1334, 120, 140),
        _unpaired("horse2zebra", "about 111 MiB"),
    ),
    "apple2orange": Entry(
        "Apples and oranges",
        f"{_CYCLEGAN}apple2orange.zip",
        _IMAGENET,
        (995, 1019, 266, 248),
        _unpaired("apple2orange", "about 75 MiB"),
    ),
    "maps": Entry(
        "Aerial photos and maps",
        f"{_CYCLEGAN}maps.zip",
        "not stated; images from Google Maps",
        (1096, 1096, 1098, 1098),
        _unpaired("maps", "about 1.4 GiB"),
        paired=True,
    ),
    "facades": Entry(
        "Facades and their labels",
        f"{_CYCLEGAN}facades.zip",
        "not stated; images of the CMP Facade Database",
        (400, 400, 106, 106),
        _unpaired("facades", "about 34 MiB"),
        paired=True,
    ),
    "cezanne2photo": Entry(
        "Paintings of Cezanne and photos",
        f"{_CYCLEGAN}cezanne2photo.zip",
        _PAINTINGS,
        (525, 6287, 58, 751),
        _unpaired("cezanne2photo", "about 267 MiB"),
    ),
    "monet2photo": Entry(
        "Paintings of Monet and photos",
        f"{_CYCLEGAN}monet2photo.zip",
        _PAINTINGS,
        (1072, 6287, 121, 751),
        _unpaired("monet2photo", "about 291 MiB"),
    ),
    "vangogh2photo": Entry(
        "Paintings of van Gogh and photos",
        f"{_CYCLEGAN}vangogh2photo.zip",
        _PAINTINGS,
        (400, 6287, 400, 751),
        _unpaired("vangogh2photo", "about 292 MiB"),
    ),
    "ukiyoe2photo": Entry(
        "Ukiyo-e prints and photos",
        f"{_CYCLEGAN}ukiyoe2photo.zip",
        _PAINTINGS,
        (562, 6287, 263, 751),
        _unpaired("ukiyoe2photo", "about 279 MiB"),
    ),
    "summer2winter_yosemite": Entry(
        "Yosemite in summer and winter",
        f"{_CYCLEGAN}summer2winter_yosemite.zip",
        _FLICKR,
        (1231, 962, 309, 238),
        _unpaired("summer2winter_yosemite", "about 127 MiB"),
    ),
    "iphone2dslr_flower": Entry(
        "Flowers by telephone and by camera",
        f"{_CYCLEGAN}iphone2dslr_flower.zip",
        _FLICKR,
        (None, None, 569, 480),
        _unpaired("iphone2dslr_flower", "about 324 MiB"),
    ),
    "cityscapes": Entry(
        "Street photos and their labels",
        "https://www.cityscapes-dataset.com, prepared as CycleGAN's authors do",
        "Cityscapes terms of use: non-commercial research, after registration",
        (2975, 2975, 500, 500),
        Archive("cityscapes.zip"),
        paired=True,
    ),
    "cat2dog": Entry(
        "Faces of cats and of dogs",
        _DRIT,
        "not stated",
        (771, 1264, 100, 100),
        Archive("cat2dog.zip"),
    ),
    "photo2portrait": Entry(
        "Portrait photos and painted portraits",
        _DRIT,
        "not stated; photos of CelebA (non-commercial research), paintings from WikiArt",
        _UNKNOWN,
        Archive("portrait.zip"),
    ),
    "edges2shoes": Entry(
        "Edges and photos of shoes",
        f"{_PIX2PIX}edges2shoes.tar.gz (each file cut into its two halves; val is the test split)",
        "not stated; photos of UT Zappos50K, for academic non-commercial use",
        (49825, 49825, 200, 200),
        _halved("edges2shoes", "about 2.2 GB"),
        paired=True,
    ),
    "edges2handbags": Entry(
        "Edges and photos of handbags",
        f"{_PIX2PIX}edges2handbags.tar.gz (each file cut into its two halves; val is the test "
        "split)",
        "not stated; photos from Amazon, collected by the authors of iGAN",
        (138567, 138567, 200, 200),
        _halved("edges2handbags", "about 8.6 GB"),
        paired=True,
    ),
    "celeba": Entry(
        "Faces of CelebA by attribute",
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        "CelebA agreement: non-commercial research",
        _UNKNOWN,
        by_hand="the aligned images and the attribute list, after accepting the CelebA agreement",
    ),
    "rafd": Entry(
        "Expressions of the Radboud Faces Database",
        "https://rafd.socsci.ru.nl",
        "RaFD terms: non-commercial research, on request",
        _UNKNOWN,
        by_hand="the images of the Radboud Faces Database, on request of a researcher",
    ),
    "ar-face": Entry(
        "Expressions of the AR Face Database",
        "AR Face Database, A. M. Martinez and R. Benavente",
        "AR Face terms: academic research, on request",
        _UNKNOWN,
        by_hand="the images of the AR Face Database, on request of a researcher",
    ),
}
EMBEDDED: dict[str, Task] = shapes.tasks() | attributes.tasks()


def find(name_or_path: str, data: Path) -> Task:
    """Give the task of a name, or of a folder.

    Args:
        name_or_path: An embedded or catalogued name, else the path of a folder of images.
        data: Folder that holds one folder for each catalogued task.

    Raises:
        ValueError: If the name is unknown, or data are missing, incomplete or not readable.
    """
    if name_or_path in EMBEDDED:
        return EMBEDDED[name_or_path]
    if name_or_path in CATALOGUE:
        return _catalogued(name_or_path, data / name_or_path)
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    if any(separator in name_or_path for separator in separators) or Path(name_or_path).exists():
        path = Path(name_or_path)
        return labelled.folder_task(path) if labelled.is_layout(path) else folder_task(path)
    known = [*EMBEDDED, *CATALOGUE]
    possible = f"{near(name_or_path, known)}known: {', '.join(known)}"
    raise ValueError(f"unknown task {name_or_path!r}; {possible}")


def name_of(typed: str) -> str:
    """Give the name under which the records of a task stand, of a folder with a hash of its files.

    A folder of no images is taken for a name: those of records and runs are named so.

    Raises:
        ValueError: If it is a folder of images that are no task.
    """
    path = Path(typed)
    is_folder = any((path / name).is_dir() for name in (*FOLDERS.values(), *SPLITS))
    is_known = typed in EMBEDDED or typed in CATALOGUE
    return find(typed, Path()).name if is_folder and not is_known else typed


def listing(data: Path) -> list[Row]:
    """List the embedded and the catalogued tasks, embedded first."""
    rows = [
        Row(
            name=task.name,
            kind=task.kind,
            title=task.title,
            image_size=task.image_size,
            counts=_counts_of(task),
            licence=task.licence,
            state="ready",
        )
        for task in EMBEDDED.values()
    ]
    for name, entry in CATALOGUE.items():
        state = _state(name, entry, data / name)
        expected = by_hand.expected(name) if entry.by_hand else _expected(entry)
        size = labelled.FACE_SIZE if entry.by_hand else PUBLISHED_SIZE
        rows.append(Row(name, "catalogued", entry.title, size, expected, entry.licence, state))
    return rows


def _counts_of(task: Task) -> dict[str, int | None]:
    """Give the number of images in each folder, or in each split where images have labels."""
    if task.attributes:
        return {"train": sum(task.num_train.values()), "test": sum(task.num_test.values())}
    return {
        folder: (task.num_train if split == "train" else task.num_test)[domain]
        for (split, domain), folder in FOLDERS.items()
    }


def how_to_get(name: str) -> str:
    """Say what to do for the images of a catalogued task: from where, which licence, how large."""
    entry = CATALOGUE[name]
    terms = f"licence: {entry.licence}; size: {size(entry)}"
    if entry.archive is None:
        return f"get {entry.by_hand}, from {entry.origin} ({terms})"
    if entry.archive.urls:
        return f"{_fetch(name)} gets them from {entry.origin} ({terms})"
    return (
        f"get {entry.archive.name} by hand from {entry.origin} ({terms}), then "
        f"{_fetch(name)} puts them there"
    )


def how_to_replace(name: str) -> str:
    """Give the command that puts a fetched task's images where others are."""
    return f"{_fetch(name)} --force"


def _fetch(name: str) -> str:
    """Give the command that fetches a task, from a file where nobody serves it."""
    archive = CATALOGUE[name].archive
    file = f" --file {archive.name}" if archive and not archive.urls else ""
    return f"i2i-bench data fetch {name}{file}"


def size(entry: Entry) -> str:
    """Give the size of a task's download in words."""
    stated = entry.archive.size if entry.archive else ""
    return stated or "not stated by the publisher"


def _expected(entry: Entry) -> dict[str, int | None]:
    return dict(zip(FOLDERS.values(), entry.counts, strict=True))


def _state(name: str, entry: Entry, path: Path) -> State:
    """Tell by counting files, without opening any, whether a task can be run."""
    if entry.by_hand:
        return "ready" if by_hand.is_there(name, path) else "by hand"
    if _missing(path):
        return "missing"
    found = {name: _count(path / name) for name in FOLDERS.values()}
    return "incomplete" if deviations(entry, found) else "ready"


def _missing(path: Path) -> list[str]:
    return [name for name in FOLDERS.values() if not (path / name).is_dir()]


def _count(folder: Path) -> int:
    with os.scandir(folder) as files:
        return sum(
            not file.name.startswith(".") and file.name.lower().endswith(SUFFIXES) for file in files
        )


def deviations(entry: Entry, found: Mapping[str, int]) -> list[str]:
    """Say which folders hold another number of images than expected, or none."""
    return [
        f"{folder} has {found[folder]} images ({expected or 'at least 1'} expected)"
        for folder, expected in _expected(entry).items()
        if found[folder] != expected and (expected is not None or not found[folder])
    ]


def _catalogued(name: str, path: Path) -> Task:
    """Make a catalogued task of its folder."""
    entry = CATALOGUE[name]
    if entry.by_hand and by_hand.is_there(name, path):
        return labelled.obtained_task(name, path, **_facts(entry))
    if entry.by_hand:
        raise ValueError(
            f"task {name!r} cannot be run yet: it needs {entry.by_hand}, from {entry.origin} "
            f"(licence: {entry.licence}); i2i-bench data fetch {name} says what goes where"
        )
    files = published_files(name, path)
    return Task(
        name=name,
        kind="catalogued",
        domains=DOMAINS,
        image_size=PUBLISHED_SIZE,
        num_train={domain: len(files["train", domain]) for domain in DOMAINS},
        num_test={domain: len(files["test", domain]) for domain in DOMAINS},
        paired=entry.paired,
        **_facts(entry),
        reader=FolderReader(files, entry.paired, stamp(files.values())),
    )


def _facts(entry: Entry) -> dict[str, Any]:
    """Give what a task says of itself wherever its images lie."""
    words = {"title": entry.title, "licence": entry.licence, "origin": entry.origin}
    return {"version": VERSION, "headline": HEADLINE, **words}


def published_files(name: str, path: Path) -> dict[tuple[str, str], list[Path]]:
    """List the images of a catalogued task in its folder.

    Raises:
        ValueError: If they are not as their publisher released them.
    """
    entry = CATALOGUE[name]
    if missing := _missing(path):
        raise ValueError(
            f"task {name!r} needs the folders {' '.join(missing)} in {path}; {how_to_get(name)}"
        )
    files = scan(path)
    found = {folder: len(files[key]) for key, folder in FOLDERS.items()}
    if wrong := deviations(entry, found):
        raise ValueError(
            f"task {name!r} in {path} is not what was published: {', '.join(wrong)}; get it again "
            f"from {entry.origin}; {how_to_replace(name)} puts it there"
        )
    if not entry.paired:
        return files
    files, is_paired = pair(files)
    if not is_paired:
        raise ValueError(f"task {name!r} in {path} is paired, but names differ between a and b")
    return files
