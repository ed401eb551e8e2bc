"""The folder of a fetched data set: which images, and what task they are."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from i2i_bench.system.files import read_json
from i2i_bench.tasks.hub.access import HUB
from i2i_bench.tasks.hub.name import HubName
from i2i_bench.tasks.many_domains import many_domain_task
from i2i_bench.tasks.selection import select
from i2i_bench.tasks.task import DOMAINS, SPLITS, Task
from i2i_bench.tasks.task_file import read_task_file
from i2i_bench.tasks.two_domains import FOLDERS, two_domain_task

NOTE = "hub.json"  # beside the images
LONGEST_NAME = 60  # letters of a data set's name in that of its task


@dataclass(frozen=True)
class HubNote:
    """What is noted of a fetched data set.

    Attributes:
        commit: That it was fetched at.
        licence: As its card stated it.
    """

    commit: str
    licence: str


def write_hub_note(folder: Path, note: HubNote) -> None:
    """Note where the images of a folder come from."""
    text = json.dumps({"commit": note.commit, "licence": note.licence})
    (folder / NOTE).write_text(f"{text}\n", encoding="utf-8")


def read_hub_note(folder: Path) -> HubNote:
    """Read where the images of a folder come from.

    Raises:
        ValueError: If the note is damaged.
    """
    try:
        content = read_json(folder / NOTE)
        return HubNote(str(content["commit"]), str(content["licence"]))
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


def folder_task(folder: Path) -> Task:
    """Make the task of fetched images; rows are pairs only where ``task.toml`` says so.

    Raises:
        ValueError: If they are none.
    """
    if not (folder / FOLDERS["train", "a"]).is_dir():
        return many_domain_task(folder)
    return two_domain_task(folder, paired=bool(read_task_file(folder, DOMAINS).paired))


def hub_task(name: HubName, folder: Path) -> Task:
    """Make the task of a fetched data set, named by commit and content.

    Raises:
        ValueError: If the images are not as they must be.
    """
    task, note = folder_task(folder), read_hub_note(folder)
    digest = task.name.rpartition("-")[2]
    full = replace(name, revision=note.commit, selected="")
    whole = replace(
        task,
        name=f"hf-{name.owner}-{name.name}"[:LONGEST_NAME] + f"-{note.commit[:7]}-{digest}",
        title=f"Images of the data set {name.repository} of the Hugging Face hub",
        kind="hub",
        licence=note.licence,
        origin=f"{HUB}/datasets/{name.repository} at {note.commit}",
        argument=full.typed,
    )
    return select(name.selected, whole).make_task(whole) if name.selected else whole
