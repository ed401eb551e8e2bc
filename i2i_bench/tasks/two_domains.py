"""Tasks from image folders ``trainA trainB testA testB``: the user's own, and the catalogue's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from i2i_bench.tasks.image_folder import (
    Stamp,
    hash_folders,
    image_size,
    list_images,
    stamp,
)
from i2i_bench.tasks.mask_files import MaskFiles, find_masks, image_masks
from i2i_bench.tasks.task import DOMAINS, SPLITS, Reader, Task, TaskImage, TaskMasks
from i2i_bench.tasks.task_file import TaskFile, read_task_file

SplitAndDomain = tuple[str, str]  # split, domain
FOLDERS: dict[SplitAndDomain, str] = {(s, d): f"{s}{d.upper()}" for s in SPLITS for d in DOMAINS}

_NEEDED = " ".join(FOLDERS.values()) + ", each with images"
_LAYOUT = f"needed are {_NEEDED}"


def two_domain_task(path: Path, *, paired: bool | None = None) -> Task:
    """Make a task of a folder with ``trainA trainB testA testB``, and masks in ``trainA_seg`` etc.

    Its ``task.toml``, where there is one, states what the images consist of, and more.

    Args:
        path: The folder.
        paired: Whether images of domains a and b are pairs; None finds out by their names.

    Raises:
        ValueError: If the folder has another layout, anything in it is no image or no mask of one,
            ``paired`` is asked of files whose names do not pair, or ``task.toml`` states what is
            not possible.
    """
    files, stated = scan(path), read_task_file(path, DOMAINS)
    masks = find_masks(path, {folder: files[key] for key, folder in FOLDERS.items()})
    stamps = stamp([*files.values(), *masks.folders.values()])
    paired = stated.paired if paired is None else paired
    if paired is not False:
        files, found = pair_files(files)
        if paired and not found:
            raise ValueError(f"images of {path} do not pair: names differ between a and b")
        paired = found
    facts: dict[str, Any] = {
        "title": f"Images of the folder {path.resolve().name}",
        "headline": "psnr" if paired else "kid",
    }
    domain_of = {file.parent: domain for (_, domain), found in files.items() for file in found}
    return Task(
        name=partner_name(path, contents_hash(files, masks, stated)),
        version=1,
        kind="folder",
        domains=DOMAINS,
        image_size=image_size(
            files.values(), lambda file: stated.read(file, domain_of[file.parent])
        ),
        num_train={domain: len(files["train", domain]) for domain in DOMAINS},
        num_test={domain: len(files["test", domain]) for domain in DOMAINS},
        paired=paired,
        licence="not stated",
        origin="a folder of your own",
        reader=(
            MaskedFolderReader(files, paired, stamps, stated, masks)
            if masks.folders
            else FolderReader(files, paired, stamps, stated)
        ),
        **(facts | stated.facts),
    )


@dataclass(frozen=True)
class FolderReader(Reader):
    """Read the images of a task from files.

    Attributes:
        files: (split, domain) → files in the order of the task.
        paired: Whether the same index is a pair.
        stamps: Of each file when the task was made; one that changes meanwhile is refused.
        stated: What the images consist of.
    """

    files: Mapping[SplitAndDomain, list[Path]]
    paired: bool
    stamps: Mapping[Path, Stamp]
    stated: TaskFile

    def images(self, split: str, domain: str) -> list[TaskImage]:
        """List the images of one split and domain."""
        return list(self._images[split, domain])

    @cached_property
    def _images(self) -> dict[SplitAndDomain, list[TaskImage]]:
        """List images, the same objects each time."""
        return {
            (split, domain): [
                self.stated.image(path.name, path, domain, self.stamps[path]) for path in paths
            ]
            for (split, domain), paths in self.files.items()
        }

    def truth(self, source: str, target: str, split: str = "test") -> list[TaskImage] | None:
        """List the partner of each image of ``source``; None unless paired."""
        del source
        return self.images(split, target) if self.paired else None


@dataclass(frozen=True)
class MaskedFolderReader(FolderReader):
    """Read the images of a task and their instance masks from files.

    Attributes:
        masks: Files of the masks, whose ``stamps`` are among those of the images.
    """

    has_masks = True

    masks: MaskFiles

    def instance_masks(self, split: str, domain: str) -> list[TaskMasks]:
        """List the instance masks of each image of one split and domain."""
        return [
            image_masks(path.name, path, self.masks, self.stamps)
            for path in self.files[split, domain]
        ]

    def true_masks(self, source: str, target: str, split: str = "test") -> list[TaskMasks] | None:
        """List the masks of the partner of each image of ``source``, number by number.

        Returns:
            None unless paired, or where two partners have not as many masks.
        """
        sides = [[self.masks.of_image[p] for p in self.files[split, d]] for d in (source, target)]
        if not self.paired or any(len(a) != len(b) for a, b in zip(*sides, strict=True)):
            return None
        return self.instance_masks(split, target)


def scan(path: Path) -> dict[SplitAndDomain, list[Path]]:
    """List the images of each split and domain, lexicographic by name.

    Raises:
        ValueError: If a folder is missing or empty, or something in it is not an image file.
    """
    if not path.is_dir():
        raise ValueError(f"there is no folder {path}; {_LAYOUT}")
    missing = [name for name in FOLDERS.values() if not (path / name).is_dir()]
    if len(missing) == len(FOLDERS):
        raise ValueError(f"folder {path} {_reason(path)}has none of the folders needed: {_NEEDED}")
    if missing:
        raise ValueError(f"folder {path} {_reason(path)}has no {' '.join(missing)}; {_LAYOUT}")
    return {key: list_images(path / name, _LAYOUT) for key, name in FOLDERS.items()}


def _reason(path: Path) -> str:
    """Say which other known layout a folder has, if any."""
    if any((path / split / side).is_dir() for split in ("train", "test") for side in "AB"):
        return (
            "has folders such as train/A, which must be renamed to trainA and the like or, if they "
            "are labels, to other names than A and B; it "
        )
    written = {each.name.lower(): each.name for each in path.iterdir() if each.is_dir()}
    other = [written[n.lower()] for n in FOLDERS.values() if n.lower() in written]
    if other and not set(other) & set(FOLDERS.values()):
        return f"has {' '.join(other)}, whose last letter must be a capital and no other; it "
    if any((path / split).is_dir() for split in ("train", "test", "val")):
        return (
            "has the layout of pix2pix, one file for both images of a pair, which must be cut into "
            "its two halves first; it "
        )
    return ""


def pair_files(
    files: Mapping[SplitAndDomain, list[Path]],
) -> tuple[dict[SplitAndDomain, list[Path]], bool]:
    """Find out by name whether images of a and b are pairs, in every split.

    Names pair when their stems are the same, also without a trailing ``_A`` and ``_B``.

    Returns:
        The files, where paired with domain b in the order of domain a; and whether they are paired.
    """
    ordered = dict(files)
    for split in SPLITS:
        keys = [re.sub("_A$", "", path.stem) for path in files[split, "a"]]
        partners = {re.sub("_B$", "", path.stem): path for path in files[split, "b"]}
        if sorted(keys) != sorted(partners) or len(partners) != len(files[split, "b"]):
            return dict(files), False
        ordered[split, "b"] = [partners[key] for key in keys]
    return ordered, True


def partner_name(path: Path, digest: str) -> str:
    """Return the name of a task, which two folders of different contents never share."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", path.resolve().name)[:60].strip("-.")
    return f"folder-{safe or 'images'}-{digest[:8]}"


def split_partner_name(name: str) -> tuple[str, str]:
    """Split the name of a folder's task from what it selects, which is "" for the whole folder.

    So is that of a data set of the Hugging Face hub.
    """
    found = re.fullmatch(r"((?:folder|hf)-.+-[0-9a-f]{8})\.(.+)", name)
    return (found[1], found[2]) if found else (name, "")


def contents_hash(
    files: Mapping[SplitAndDomain, list[Path]],
    masks: MaskFiles | None = None,
    stated: TaskFile | None = None,
) -> str:
    """Return the sha256 of the images of a task, their masks and what is stated of them.

    It is of folders, names and bytes.
    """
    folders = {folder: files[key] for key, folder in FOLDERS.items()}
    more = {**(masks.folders if masks else {}), **(stated.hashed if stated else {})}
    return hash_folders({**folders, **more}.items())
