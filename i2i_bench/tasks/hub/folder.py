"""The folder of a fetched data set: which images, and what task they are."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from i2i_bench.system.files import read_json
from i2i_bench.tasks.hub.access import HUB
from i2i_bench.tasks.hub.name import PAIRED, UNPAIRED, HubName
from i2i_bench.tasks.many_domains import many_domain_task
from i2i_bench.tasks.selection import select
from i2i_bench.tasks.task import DOMAINS, SPLITS, Task
from i2i_bench.tasks.task_file import read_task_file
from i2i_bench.tasks.two_domains import FOLDERS, two_domain_task

NOTE = "hub.json"  # beside the images
_DIGEST = re.compile(r"-([0-9a-f]{8})(?=\.|$)")  # of the contents, in the name of a folder's task

LONGEST_NAME = 60  # letters of a data set's name in that of its task


@dataclass(frozen=True)
class HubNote:
    """What is noted of a fetched data set.

    Attributes:
        commit: That it was fetched at.
        licence: As its card stated it.
        sides: What domain a and domain b are called in it; empty for labels.
    """

    commit: str
    licence: str
    sides: tuple[str, ...] = ()


def write_hub_note(folder: Path, note: HubNote) -> None:
    """Note where the images of a folder come from."""
    (folder / NOTE).write_text(f"{json.dumps(asdict(note))}\n", encoding="utf-8")


def read_hub_note(folder: Path) -> HubNote:
    """Read where the images of a folder come from.

    Raises:
        ValueError: If the note is damaged.
    """
    try:
        content = read_json(folder / NOTE)
        sides = tuple(str(side) for side in content["sides"])
        return HubNote(str(content["commit"]), str(content["licence"]), sides)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / NOTE} is damaged ({error}); fetch the data set again"
        ) from None


def image_folders(folder: Path) -> list[tuple[str, Path]]:
    """List the folders of images by name: of two domains, or of labels."""
    if (folder / FOLDERS["train", "a"]).is_dir():
        return [(name, folder / name) for name in FOLDERS.values()]
    return [
        (f"{split}/{path.name}", path)
        for split in SPLITS
        for path in (sorted((folder / split).iterdir()) if (folder / split).is_dir() else [])
        if path.is_dir()
    ]


def image_files(folder: Path) -> list[tuple[str, list[Path]]]:
    """List the images of each folder."""
    return [(name, sorted(path.iterdir())) for name, path in image_folders(folder)]


def count_images(folder: Path) -> dict[str, int]:
    """Count the images of each folder, named with what it is in the data set."""
    sides = dict(zip("AB", read_hub_note(folder).sides, strict=False))
    return {
        f"{name} ({sides[name[-1]]})" if name[-1] in sides else name: len(files)
        for name, files in image_files(folder)
    }


def folder_task(folder: Path, name: HubName) -> Task:
    """Make the task of fetched images; rows are pairs only where that is typed or stated.

    Args:
        folder: Of the images; its ``task.toml`` may state it.
        name: As typed.

    Raises:
        ValueError: If they are none.
    """
    if (folder / FOLDERS["train", "a"]).is_dir():
        stated = read_task_file(folder, DOMAINS).paired
        return two_domain_task(folder, paired=name.is_paired or bool(stated))
    if name.is_paired:
        raise ValueError(f"data set {name.repository} has labels, and no pairs")
    return many_domain_task(folder)


def hub_task(name: HubName, folder: Path) -> Task:
    """Make the task of a fetched data set, named by commit and content.

    Raises:
        ValueError: If the images are not as they must be.
    """
    task, note = folder_task(folder, name), read_hub_note(folder)
    selected = "" if name.selected == UNPAIRED else name.selected
    full = replace(name, revision=note.commit, selected=PAIRED if name.is_paired else "")
    digest = _DIGEST.findall(task.name)[-1]
    word = f".{PAIRED}" if name.is_paired else ""
    what = " and ".join(note.sides) or "Images"
    whole = replace(
        task,
        name=f"hf-{name.owner}-{name.name}"[:LONGEST_NAME] + f"-{note.commit[:7]}-{digest}{word}",
        title=f"{what} of {name.repository} of the Hugging Face hub",
        kind="hub",
        licence=note.licence,
        origin=f"{HUB}/datasets/{name.repository} at {note.commit}",
        argument=full.typed,
    )
    return select(selected, whole).make_task(whole) if selected and not word else whole
