"""Tasks from image folders ``trainA trainB testA testB``: the user's own, and the catalogue's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from i2i_bench.tasks.folder_names import VALIDATION_FOLDER
from i2i_bench.tasks.image_folder import (
    Stamp,
    hash_folders,
    image_size,
    list_images,
    stamp,
)
from i2i_bench.tasks.layouts import Layout, find_layout
from i2i_bench.tasks.mask_files import MaskFiles, find_masks, image_masks
from i2i_bench.tasks.pairs import Pairs, SplitAndDomain, choose_pairs
from i2i_bench.tasks.side_by_side import is_double
from i2i_bench.tasks.task import DOMAINS, SPLITS, Reader, Task, TaskImage, TaskMasks
from i2i_bench.tasks.task_file import TASK_FILE, TaskFile, read_task_file, require_as_stored

FOLDERS: dict[SplitAndDomain, str] = {(s, d): f"{s}{d.upper()}" for s in SPLITS for d in DOMAINS}
_NEEDED = " ".join(FOLDERS.values()) + ", each with images"
_LAYOUT = f"needed are {_NEEDED}"


def two_domain_task(
    path: Path, *, paired: bool | None = None, layout: Layout | None = None
) -> Task:
    """Make a task of a folder with ``trainA trainB testA testB``, and masks in ``trainA_seg`` etc.

    Its ``task.toml``, where there is one, states what the images consist of, and more.

    Args:
        path: The folder.
        paired: Whether images of domains a and b are pairs; None finds out by their names.
        layout: Of the folder, where it is known.

    Raises:
        ValueError: If the folder has another layout, anything in it is no image or no mask of one,
            ``paired`` is asked of files whose names do not pair, or ``task.toml`` states what is
            not possible.
    """
    layout = layout or find_layout(path)
    if layout.kind == "labels":
        raise ValueError(
            f"folder {path} has the labels {', '.join(layout.domains)}, and not a and b"
        )
    stated = read_task_file(layout.stated_in, DOMAINS)
    if layout.kind == "halves":
        layout, stated = _of_halves(layout, stated)
    chosen = choose_pairs(layout, _files(layout), stated.paired, paired)
    task = _make(layout, stated, chosen, "test")
    if not layout.arrangement.validation:
        return task
    return replace(task, validation=_make(layout, stated, chosen, VALIDATION_FOLDER, task.name))


def _of_halves(layout: Layout, stated: TaskFile) -> tuple[Layout, TaskFile]:
    """Tell which half of an image is of which domain, and say so.

    Raises:
        ValueError: If that is not stated, and an image is not twice as wide as high.
    """
    halves = layout.arrangement.halves
    if not halves:
        halves = {"a": "left", "b": "right"}
        images = dict.fromkeys(file for files in layout.parts.values() for file in files)
        wrong = next((file for file in images if not is_double(file)), None)
        if wrong is not None:
            raise ValueError(
                f"{wrong} is not twice as wide as high, as two images side by side are, and there "
                f"are no folders of domains such as trainA in {layout.root}; if all are pairs, the "
                f'line halves.left = "a" in {layout.stated_in / TASK_FILE} says so, with b right'
            )
    note = f"takes the {halves['a']} half of each image for a, and the {halves['b']} one for b"
    other = "" if layout.arrangement.halves else '; halves.left = "b" in task.toml exchanges them'
    layout = replace(layout, notes=(*layout.notes, f"{note}{other}"))
    return layout, replace(stated, halves=halves)


def _files(layout: Layout) -> dict[SplitAndDomain, list[Path]]:
    """Give the images of each split, also of validation, and domain; of halves those of both."""
    splits = (*SPLITS, VALIDATION_FOLDER) if layout.arrangement.validation else SPLITS
    is_halves = layout.kind == "halves"
    return {
        (split, domain): layout.parts[split if is_halves else f"{split}{domain.upper()}"]
        for split in splits
        for domain in DOMAINS
    }


def _make(
    layout: Layout, stated: TaskFile, chosen: Pairs, tests: str, name: str | None = None
) -> Task:
    """Make the task whose test images are those of one split of the folder."""
    files = {
        (split, domain): chosen.files[tests if split == "test" else split, domain]
        for split in SPLITS
        for domain in DOMAINS
    }
    masks = _masks(layout, files) if tests == "test" else MaskFiles()
    require_as_stored(stated, masks)
    stamps = stamp([*files.values(), *masks.folders.values()])
    domain_of = {file: domain for (_, domain), found in files.items() for file in found}
    facts: dict[str, Any] = {
        "title": f"Images of the folder {layout.root.resolve().name}",
        "headline": "psnr" if chosen.paired else "kid",
    }
    contents = {**layout.parts, **masks.folders, **stated.hashed}
    reader = MaskedFolderReader if masks.folders else FolderReader
    digest = hash_folders(contents.items(), layout.names)
    return Task(
        name=name or f"{partner_name(layout.root, digest)}{chosen.word}",
        version=1,
        kind="folder",
        domains=DOMAINS,
        image_size=image_size(files.values(), lambda file: stated.read(file, domain_of[file])),
        num_train={domain: len(files["train", domain]) for domain in DOMAINS},
        num_test={domain: len(files["test", domain]) for domain in DOMAINS},
        paired=chosen.paired,
        licence="not stated",
        origin="a folder of your own",
        reader=reader(
            files,
            chosen.paired,
            stamps,
            stated,
            layout.names,
            *([masks] if masks.folders else []),
        ),
        notes=(*layout.notes, *(() if masks.folders else layout.passed_masks), *chosen.notes),
        **(facts | stated.facts),
    )


def _masks(layout: Layout, files: Mapping[SplitAndDomain, list[Path]]) -> MaskFiles:
    """Find the masks beside the folders of images; none of images that are named anew."""
    if layout.kind == "halves" or layout.names or any(p.is_file() for p in layout.places.values()):
        return MaskFiles()
    folders = {
        layout.places[name].relative_to(layout.root).as_posix(): files[key]
        for key, name in FOLDERS.items()
        if name in layout.places and layout.places[name].is_relative_to(layout.root)
    }
    return find_masks(layout.root, folders) if len(folders) == len(FOLDERS) else MaskFiles()


@dataclass(frozen=True)
class FolderReader(Reader):
    """Read the images of a task from files.

    Attributes:
        files: (split, domain) → files in the order of the task.
        paired: Whether the same index is a pair.
        stamps: Of each file when the task was made; one that changes meanwhile is refused.
        stated: What the images consist of.
        names: Of images that are not called by their file's own name.
    """

    files: Mapping[SplitAndDomain, list[Path]]
    paired: bool
    stamps: Mapping[Path, Stamp]
    stated: TaskFile
    names: Mapping[Path, str] = field(default_factory=dict)

    def images(self, split: str, domain: str) -> list[TaskImage]:
        """List the images of one split and domain."""
        return list(self._images[split, domain])

    @cached_property
    def _images(self) -> dict[SplitAndDomain, list[TaskImage]]:
        """List images, the same objects each time."""
        return {
            (split, domain): [
                self.stated.image(self.names.get(path, path.name), path, domain, self.stamps[path])
                for path in paths
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

    masks: MaskFiles = field(default_factory=MaskFiles)

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
    """List the images of each split and domain of a published task, lexicographic by name.

    Raises:
        ValueError: If a folder is missing or empty, or something in it is not an image file.
    """
    if not path.is_dir():
        raise ValueError(f"there is no folder {path}; {_LAYOUT}")
    if missing := [name for name in FOLDERS.values() if not (path / name).is_dir()]:
        raise ValueError(f"folder {path} has no {' '.join(missing)}; {_LAYOUT}")
    return {key: list_images(path / name, _LAYOUT) for key, name in FOLDERS.items()}


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


def contents_hash(files: Mapping[SplitAndDomain, list[Path]]) -> str:
    """Return the sha256 of the images of a task: of folders, names and bytes."""
    return hash_folders((folder, files[key]) for key, folder in FOLDERS.items())
