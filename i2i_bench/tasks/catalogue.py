"""Embedded and catalogued tasks by name, and how a name or folder becomes a task."""

from __future__ import annotations

import importlib
import itertools
import os
import pkgutil
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from i2i_bench.system.messages import near
from i2i_bench.tasks import embedded, faces, many_domains
from i2i_bench.tasks.hub.name import is_hub_name, near_hub_name, parse_hub_name
from i2i_bench.tasks.hub.source import hub_source
from i2i_bench.tasks.layouts import find_layout, has_layout
from i2i_bench.tasks.pairs import PAIRING
from i2i_bench.tasks.planned import planned_task
from i2i_bench.tasks.published import Published
from i2i_bench.tasks.selection import Selection, select
from i2i_bench.tasks.source import Source, TaskState
from i2i_bench.tasks.task import Kind, Task
from i2i_bench.tasks.two_domains import FOLDERS, two_domain_task

_SEPARATORS = [mark for mark in (os.sep, os.altsep) if mark]
TABLE = Path(__file__).with_name("catalogue.toml")  # of what is published


def embedded_tasks() -> dict[str, Task]:
    """Gather the tasks that the modules of ``tasks.embedded`` define, by name.

    Raises:
        ValueError: If two share a name.
    """
    modules = (
        importlib.import_module(f"{embedded.__name__}.{module.name}")
        for module in pkgutil.iter_modules(embedded.__path__)
    )
    values = (value for module in modules for value in vars(module).values())
    found = {id(value): value for value in values if isinstance(value, Task)}
    tasks = sorted(found.values(), key=lambda task: task.name)
    for one, other in itertools.pairwise(tasks):
        if one.name == other.name:
            raise ValueError(f"two embedded tasks are named {one.name!r}; rename one of them")
    return {task.name: task for task in tasks}


EMBEDDED = embedded_tasks()


@dataclass(frozen=True)
class TaskRow:
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
    state: TaskState


@cache
def sources() -> dict[str, Source]:
    """Give the source of each catalogued task by its name: those of ``catalogue.toml`` first."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    published = {name: _published(name, **entry) for name, entry in table.items()}
    return {**published, **{source.name: source for source in faces.SOURCES}}


def _published(
    name: str, *, counts: Mapping[str, int] | None = None, urls: tuple[str, ...] = (), **entry: Any
) -> Published:
    """Make the source of a table of ``catalogue.toml``."""
    expected = dict.fromkeys(FOLDERS.values()) | dict(counts or {})
    return Published(name=name, counts=expected, urls=tuple(urls), **entry)


def find_named(name: str) -> Task | Source | Selection | None:
    """Return the embedded task, source or selection of a name; None for other names and folders."""
    try:
        return EMBEDDED.get(name) or sources().get(name) or find_selection(name)
    except ValueError:  # no selection of that set
        return None


def find_selection(name: str) -> Selection | None:
    """Return the selection of an embedded or catalogued set; None for a name of another kind.

    Args:
        name: As typed, with a colon, or as in records, with a full stop.

    Raises:
        ValueError: If it is of a set that has no such selection.
    """
    for mark in ":.":
        whole, is_part, text = name.partition(mark)
        if is_part and (found := EMBEDDED.get(whole) or sources().get(whole)):
            try:
                return select(text, found)
            except ValueError:
                if not Path(name).is_dir():  # else a folder of the user's own, such as celeba.small
                    raise
    return None


def typed_name(name: str) -> str:
    """Return what is typed after ``--task`` for the task that records name so."""
    found = find_named(name)
    return found.typed if isinstance(found, Selection) else name


def split_folder(typed: str) -> tuple[Path, str]:
    """Split the path of a folder from what is selected of it, after a last colon; "" is nothing."""
    before, _, after = typed.rpartition(":")
    if not before or any(mark in after for mark in _SEPARATORS) or Path(typed).exists():
        return Path(typed), ""
    return Path(before), after


def find_source(name: str, data: Path = Path()) -> Source:
    """Give the source of a catalogued task, or of a data set of the Hugging Face hub.

    Args:
        name: As typed after ``--task``.
        data: Folder of data, where those of the hub are.

    Raises:
        ValueError: If it is no name of one, with what to do.
    """
    if is_hub_name(name):
        return hub_source(name, data)
    if selection := find_selection(name):
        whole = selection.whole.name
        raise ValueError(f"{name} has no files of its own: they are those of task {whole!r}")
    if name in EMBEDDED:
        raise ValueError(f"task {name!r} is made by this package and needs no files")
    if name not in sources() and Path(name).is_dir():
        raise ValueError(
            f"{name} is a folder of your own: it needs no fetching; i2i-bench run checks it"
        )
    if name not in sources():
        find_task(name, Path())  # raises, with the nearest names
    return sources()[name]


def find_task(name_or_path: str, data: Path) -> Task:
    """Give the task of a name, or of a folder; of either, what is selected after a colon.

    Args:
        name_or_path: An embedded or catalogued name, that of a data set of the Hugging Face hub,
            else the path of a folder of images.
        data: Folder that holds one folder for each catalogued task.

    Raises:
        ValueError: If the name is unknown, or data are missing, incomplete or not readable.
    """
    if name_or_path in EMBEDDED:
        return EMBEDDED[name_or_path]
    if name_or_path in sources():
        return sources()[name_or_path].make_task(data / name_or_path)
    if is_hub_name(name_or_path):
        source = hub_source(name_or_path, data)
        return source.make_task(source.place(data))
    if selection := find_selection(name_or_path):
        whole = selection.whole
        if isinstance(whole, Task):
            return selection.make_task(whole)
        return selection.make_task(whole.make_labelled(data / whole.name, selection.needed))
    path, selected = split_folder(name_or_path)
    if any(mark in name_or_path for mark in _SEPARATORS) or path.exists():
        if not path.exists() and (meant := near_hub_name(name_or_path)):
            raise ValueError(f"there is no folder {path}{meant}")
        if selected in PAIRING:
            return two_domain_task(path, paired=PAIRING[selected])
        whole = _folder_task(path)
        return select(selected, whole).make_task(whole) if selected else whole
    known = [*EMBEDDED, *sources()]
    possible = f"{near(name_or_path.partition(':')[0], known)}known: {', '.join(known)}"
    raise ValueError(f"unknown task {name_or_path!r}; {possible}")


def source_of(typed: str, data: Path) -> Source | None:
    """Return the source of the images of a task; None for embedded tasks, folders and no task.

    Args:
        typed: What is typed after ``--task``.
        data: Folder of data.

    Raises:
        ValueError: If it selects what its set does not have.
    """
    if is_hub_name(typed):
        return hub_source(typed, data)
    found = sources().get(typed) or find_selection(typed)
    whole = found.whole if isinstance(found, Selection) else found
    return whole if isinstance(whole, Source) else None


def plan_task(typed: str, data: Path) -> Task:
    """Give the task of a name or folder; of what is published, where its images are not there.

    Raises:
        ValueError: As of ``find_task``; or if it is not published how many images there are.
    """
    source = source_of(typed, data)
    if source is None or source.state(source.place(data)) not in ("missing", "by hand"):
        return find_task(typed, data)
    known = source.published()
    if not is_hub_name(typed):
        return planned_task(known, find_selection(typed))
    selected = parse_hub_name(typed).readings()[-1].selected
    is_part = known.attributes and selected
    return planned_task(known, select(selected, known) if is_part else None)


def _folder_task(path: Path) -> Task:
    """Make the task of a folder of the user's own, in the layout that it has."""
    layout = find_layout(path)
    if layout.kind == "labels":
        return many_domains.many_domain_task(path, layout=layout)
    return two_domain_task(path, layout=layout)


def name_tasks(is_fit: Callable[[Task | Source], bool]) -> list[str]:
    """Name the embedded and the catalogued tasks that fit, embedded first; no file is opened.

    Args:
        is_fit: Told of a task, or of the source that states the same facts where its images need
            not be there: domains, pairs, labels, masks.
    """
    known: dict[str, Task | Source] = {**EMBEDDED, **sources()}
    return [name for name, each in known.items() if is_fit(each)]


def task_name_of(typed: str, data: Path = Path()) -> str:
    """Return the name of a task in records; a folder's has a hash of its files.

    A folder without images is taken for a name, as folders of records and runs are named so.

    Args:
        typed: What is typed after ``--task``.
        data: Folder of data, where data sets of the Hugging Face hub are.

    Raises:
        ValueError: If it is a folder of images that are no task, or selects what is not there.
    """
    if selection := find_selection(typed):
        return selection.name
    if is_hub_name(typed):
        return find_task(typed, data).name
    path, _ = split_folder(typed)
    is_folder = not find_named(typed) and path.is_dir() and has_layout(path)
    return find_task(typed, Path()).name if is_folder else typed


def recorded_name(run: str) -> str:
    """Return the name ``task/model/seedK`` of a run with its task named as in records.

    Args:
        run: That name with a selection as typed, such as ``celeba:Smiling``, or anything else,
            which stays.

    Raises:
        ValueError: If it is of a set that has no such selection.
    """
    task, slash, rest = run.partition("/")
    selection = find_selection(task) if slash and ":" in task else None
    return f"{selection.name}/{rest}" if selection else run


def labelled_sets() -> list[Task | Source]:
    """List the embedded and the catalogued sets of which parts can be selected."""
    return [each for each in (*EMBEDDED.values(), *sources().values()) if each.attributes]


def list_tasks(data: Path) -> list[TaskRow]:
    """List the embedded and the catalogued tasks, embedded first."""
    rows = [_row(task, "embedded", _counts_of(task), "ready") for task in EMBEDDED.values()]
    for name, source in sources().items():
        rows.append(_row(source, "catalogued", source.counts, source.state(data / name)))
    return rows


def _row(
    each: Task | Source, kind: Kind, counts: Mapping[str, int | None], state: TaskState
) -> TaskRow:
    return TaskRow(each.name, kind, each.title, each.image_size, counts, each.licence, state)


def _counts_of(task: Task) -> dict[str, int | None]:
    """Give the number of images in each folder, or in each split where images have labels."""
    if task.attributes:
        return {"train": sum(task.num_train.values()), "test": sum(task.num_test.values())}
    return {
        folder: (task.num_train if split == "train" else task.num_test)[domain]
        for (split, domain), folder in FOLDERS.items()
    }
