"""Instance masks from files: ``trainA_seg/NAME_0.png``, ``NAME_1.png`` … of ``trainA/NAME.png``.

This is the layout of InstaGAN (sangwoomo/instagan).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from i2i_bench.tasks.image_file import read_image_size, read_mask
from i2i_bench.tasks.image_folder import Stamp, list_images, require_unchanged
from i2i_bench.tasks.task import TaskMasks

if TYPE_CHECKING:
    from numpy import bool_
    from numpy.typing import NDArray

MASKS = "_seg"  # after the name of a folder of images

_NAME = re.compile(r"(?P<image>.+)_(?P<number>0|[1-9][0-9]*)", re.DOTALL)
_LAYOUT = "masks of the image NAME are NAME_0, NAME_1 and so on"


@dataclass(frozen=True)
class MaskFiles:
    """The files of the masks of a task.

    Attributes:
        folders: Name of the folder, such as ``trainA_seg`` → its files by name; empty where a task
            has no masks.
        of_image: Image → its masks by number, for every image of a task with masks.
    """

    folders: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    of_image: Mapping[Path, tuple[Path, ...]] = field(default_factory=dict)


def find_masks(path: Path, folders: Mapping[str, Sequence[Path]]) -> MaskFiles:
    """Find the masks of a task; those of an image may be none. No mask is opened.

    Args:
        path: Folder of the task.
        folders: Its folders of images, such as ``trainA`` → images.

    Raises:
        ValueError: If only some folders have masks, one of them is empty, or something in it is no
            image file or, by its name, no mask of an image.
    """
    there = [name for name in folders if _has_masks(path / name)]
    lacking = [name for name in folders if name not in there]
    if there and lacking:
        raise ValueError(
            f"{path} has masks in {there[0]}{MASKS} and no folder {lacking[0]}{MASKS}; masks are "
            "for every folder of images or for none"
        )
    found = {f"{name}{MASKS}": list_images(path / f"{name}{MASKS}", _LAYOUT) for name in there}
    of_image: dict[Path, tuple[Path, ...]] = {}
    for name in there:
        of_image |= _assign(folders[name], found[f"{name}{MASKS}"])
    return MaskFiles(found, of_image)


def find_masks_in(folder: Path, images: Sequence[Path], *, is_every: bool) -> MaskFiles:
    """Find the masks of images in a folder of masks, wherever it is. No mask is opened.

    Args:
        folder: Of masks alone.
        images: Whose masks.
        is_every: Whether these are all the images that the folder has masks of; the masks of others
            are refused then, and passed over otherwise.

    Raises:
        ValueError: If the folder is empty, or something in it is no image file or no mask.
    """
    found = list_images(folder, _LAYOUT)
    if not is_every:
        stems = {image.stem for image in images}
        matches = {mask: _NAME.fullmatch(mask.stem) for mask in found}
        found = [mask for mask, match in matches.items() if match and match["image"] in stems]
    return MaskFiles({folder.name: found}, _assign(images, found))


def _has_masks(folder: Path) -> bool:
    """Tell whether a folder of images has one of masks beside it."""
    name = f"{folder.name}{MASKS}"
    for entry in folder.parent.iterdir():
        if entry.name.lower() != name.lower() or entry.name in (name, folder.name):
            continue
        if not (folder.parent / name).exists():
            raise ValueError(f"{entry} is not taken for masks, which lie in {name}; rename it")
    masks = folder.parent / name
    if masks.is_dir():
        return True
    if masks.exists() or masks.is_symlink():
        raise ValueError(f"{masks} is not a folder of masks, or is a broken link; remove or fix it")
    return False


def _assign(images: Sequence[Path], masks: Sequence[Path]) -> dict[Path, tuple[Path, ...]]:
    """Give each image its masks, by their numbers."""
    numbered: dict[str, dict[int, Path]] = {image.stem: {} for image in images}
    for mask in masks:
        match = _NAME.fullmatch(mask.stem)
        if not match:
            raise ValueError(
                f"{mask} is not named as a mask is; {_LAYOUT}, numbers without leading zeros"
            )
        if match["image"] not in numbered:
            raise ValueError(
                f"{mask} is the mask of an image {match['image']}, which is not in "
                f"{images[0].parent}; add the image or remove the mask"
            )
        numbered[match["image"]][int(match["number"])] = mask
    return {image: _in_order(image, numbered[image.stem]) for image in images}


def _in_order(image: Path, masks: Mapping[int, Path]) -> tuple[Path, ...]:
    missing = next((number for number in range(len(masks)) if number not in masks), None)
    if missing is not None:
        last = masks[max(masks)]
        raise ValueError(
            f"{last} is there and {image.stem}_{missing} is not; the masks of an image are "
            "numbered from 0 without a gap"
        )
    return tuple(masks[number] for number in range(len(masks)))


def image_masks(
    name: str, image: Path, masks: MaskFiles, stamps: Mapping[Path, Stamp]
) -> TaskMasks:
    """Give the masks of an image, read when asked for.

    Args:
        name: Of the image in its task.
        image: File of the image.
        masks: Of the task.
        stamps: Of these files when the task was made; one that changes meanwhile is refused.
    """
    before = {path: stamps[path] for path in (image, *masks.of_image[image])}
    return TaskMasks(name, partial(_read_masks, image, masks.of_image[image], before))


def _read_masks(image: Path, masks: Sequence[Path], stamps: Mapping[Path, Stamp]) -> NDArray[bool_]:
    """Read the masks of an image, (masks, height, width)."""
    import numpy as np

    width, height = read_image_size(image)
    require_unchanged(image, stamps[image])
    found = np.empty((len(masks), height, width), np.bool_)
    for slot, path in zip(found, masks, strict=True):
        mask = read_mask(path)
        require_unchanged(path, stamps[path])
        if mask.shape != slot.shape:
            raise ValueError(
                f"{path} of {mask.shape[1]}x{mask.shape[0]} pixels is the mask of {image} of "
                f"{width}x{height} pixels; both must have one size"
            )
        slot[:] = mask
    return found
