"""Write the folder of a study: its plan, image copies with hashes, texts, links and page."""

from __future__ import annotations

import csv
import hashlib
import io
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_bench.records.study import ShownMethod
from i2i_bench.study import plan as plans
from i2i_bench.study.page import write_offline_page
from i2i_bench.study.plan import Session, Study, StudyPlan, write_plan
from i2i_bench.study.procedures import Procedure, StudySettings, changes_of
from i2i_bench.study.texts import write_texts
from i2i_bench.study.trials import Stimuli, plan_sessions
from i2i_bench.system.files import make_folders, put, sync, write_text

Picture = NDArray[np.uint8]  # (height, width, 3)
MOST_CATCH = 12  # test images that are shuffled for catch trials
PIECES = 8  # along a side of a shuffled image


@dataclass(frozen=True, eq=False)
class StudyImages:
    """The images that people may see.

    Attributes:
        items: Names of the test images that were translated.
        sources: These, in that order.
        fakes: By method, their translations in that order.
        reals: Real images of the target; of a paired study the true translations, in that order.
        is_paired: Whether they are.
    """

    items: tuple[str, ...]
    sources: Sequence[Picture]
    fakes: Mapping[str, Sequence[Picture]]
    reals: Sequence[Picture]
    is_paired: bool


@dataclass(frozen=True)
class StudySubject:
    """What a study is about.

    Attributes:
        task: Name of the task.
        task_version: Its version.
        direction: Such as ``a2b``.
        target: What translations are to look like, in words for people.
        methods: Name in the study → record below the folder of records, and model ("" for another
            program's images).
        asked: What people are asked about themselves.
        completion_code: Shown at the end; "" for one of each session.
    """

    task: str
    task_version: int
    direction: str
    target: str
    methods: Mapping[str, tuple[str, str]]
    asked: tuple[str, ...] = ()
    completion_code: str = ""


def require_new_folder(folder: Path) -> None:
    """Raise ValueError if a folder holds something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there already; name a new folder, as a plan never changes")


def settled_settings(
    procedure: Procedure, typed: StudySettings, images: StudyImages, *, is_asked_to_pair: bool
) -> StudySettings:
    """Fit settings to the images that there are; what is then not as in the paper is stated.

    Raises:
        ValueError: If they do not fit.
    """
    num_methods, num_items = len(images.fakes), len(images.items)
    changes: dict[str, object] = {"pixels": min(min(each.shape[:2]) for each in images.sources)}
    if procedure.kind == "nway":
        changes["options"] = min(typed.options, num_methods)
    if procedure.kind in ("nway", "pair") and num_methods < 2:
        raise ValueError(f"{procedure.name} compares methods; give two with --run at least")
    if procedure.kind == "pair":
        changes["questions"] = min(typed.questions or num_items, num_items)
    if typed.pairing == "input" and not images.is_paired:
        if is_asked_to_pair:
            raise ValueError("pairing=input needs true translations, which this task has not")
        changes["pairing"] = "none"
    found = typed.model_copy(update=changes)
    _require_sizes(procedure, found, images)
    return found


def _require_sizes(procedure: Procedure, settings: StudySettings, images: StudyImages) -> None:
    """Refuse sizes that would tell what is real, or that cannot be compared.

    Raises:
        ValueError: Naming two sizes.
    """
    groups = {"sources": images.sources, **images.fakes}
    is_apart = procedure.kind in ("realfake", "single")
    is_paired = procedure.kind == "realfake" and settings.pairing == "input"
    if is_paired:
        groups["real images"] = images.reals
    for number, item in enumerate(images.items):
        _require_one_size((f"{name}, {item}", each[number]) for name, each in groups.items())
    if is_apart and not is_paired:
        every = {"real images": images.reals, **images.fakes}
        _require_one_size((name, each) for name, pictures in every.items() for each in pictures)


def _require_one_size(pictures: Iterable[tuple[str, Picture]]) -> None:
    sizes = {(each.shape[1], each.shape[0]): name for name, each in pictures}
    if len(sizes) > 1:
        shown = " and ".join(f"{w}x{h} ({name})" for (w, h), name in list(sizes.items())[:2])
        raise ValueError(f"people are shown images of one size side by side, not of {shown} pixels")


def make_study(
    folder: Path,
    subject: StudySubject,
    procedure: Procedure,
    settings: StudySettings,
    images: StudyImages,
    seed: int,
) -> Study:
    """Write a study into a new folder.

    Args:
        folder: Where to.
        subject: What it is about.
        procedure: How people are asked.
        settings: As ``settled_settings`` gives them.
        images: What they may see.
        seed: Of everything that is drawn.

    Raises:
        ValueError: If the folder holds something.
    """
    require_new_folder(folder)
    files: dict[str, bytes] = {}
    stimuli = _stimuli(images, settings, files, seed)
    sessions = plan_sessions(procedure.kind, settings, stimuli, seed)
    used = {n for s in sessions for t in s for n in (*t.options, t.source) if n is not None}
    _write_images(folder / plans.PAGE / plans.IMAGES, {name: files[name] for name in used})
    content = plans.trials_text(sessions).encode()
    plan = StudyPlan(
        task=subject.task,
        task_version=subject.task_version,
        direction=subject.direction,
        target=subject.target,
        procedure=procedure.name,
        kind=procedure.kind,
        settings=settings,
        changed=changes_of(procedure, settings),
        seed=seed,
        methods=_shown(subject, stimuli, files),
        images={name: hashlib.sha256(files[name]).hexdigest() for name in sorted(used)},
        sessions=len(sessions),
        trials_sha256=hashlib.sha256(content).hexdigest(),
        asked=list(subject.asked),
        completion_code=subject.completion_code,
    )
    return _write_study(folder, plan, sessions)


def _write_study(folder: Path, plan: StudyPlan, sessions: list[Session]) -> Study:
    """Write what comes beside the images: texts, links, the plan, and the page."""
    write_texts(folder / plans.TEXTS)
    _write_links(folder, len(sessions))
    make_folders(folder / plans.ANSWERS)
    write_plan(folder, plan, sessions)
    study = Study(folder)
    write_offline_page(study)
    return study


def _stimuli(
    images: StudyImages, settings: StudySettings, files: dict[str, bytes], seed: int
) -> Stimuli:
    """Name every image after its content, which tells nobody what it is."""

    def add(picture: Picture) -> str:
        encoded = io.BytesIO()
        Image.fromarray(picture).save(encoded, "PNG", optimize=False, compress_level=6)
        content = encoded.getvalue()
        name = f"{hashlib.sha256(content).hexdigest()[:20]}.png"
        files[name] = content
        return name

    random = np.random.RandomState(seed)
    caught = min(MOST_CATCH, len(images.items)) if settings.catch else 0
    return Stimuli(
        items=images.items,
        sources=tuple(map(add, images.sources)),
        fakes={method: tuple(map(add, fakes)) for method, fakes in images.fakes.items()},
        reals=tuple(map(add, images.reals)),
        scrambled={
            method: tuple(add(scrambled(fake, random)) for fake in fakes[:caught])
            for method, fakes in images.fakes.items()
        },
    )


def scrambled(picture: Picture, random: np.random.RandomState) -> Picture:
    """Shuffle the pieces of an image, so that anybody sees that it is none.

    Args:
        picture: Of at least ``PIECES`` pixels a side.
        random: Order of the pieces.
    """
    height, width = (side // PIECES for side in picture.shape[:2])
    pieces = [
        (slice(i * height, (i + 1) * height), slice(j * width, (j + 1) * width))
        for i in range(PIECES)
        for j in range(PIECES)
    ]
    found = picture.copy()
    for place, other in zip(pieces, random.permutation(len(pieces)), strict=True):
        found[place] = picture[pieces[other]]
    return found


def _shown(
    subject: StudySubject, stimuli: Stimuli, files: Mapping[str, bytes]
) -> list[ShownMethod]:
    found = []
    for method, names in stimuli.fakes.items():
        digest = hashlib.sha256()
        for item, name in zip(stimuli.items, names, strict=True):
            digest.update(f"{item} {hashlib.sha256(files[name]).hexdigest()}\n".encode())
        record, model = subject.methods[method]
        found.append(
            ShownMethod(method=method, record=record, model=model, images_sha256=digest.hexdigest())
        )
    return found


def _write_images(folder: Path, files: Mapping[str, bytes]) -> None:
    make_folders(folder)
    for name, content in files.items():
        put(folder / name, content)
    sync(folder)


def _write_links(folder: Path, number: int) -> None:
    """Write a secret token for each session, which the server knows it by, and its code."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("session", "token", "code"))
    for session in range(1, number + 1):
        writer.writerow((session, secrets.token_urlsafe(16), secrets.token_hex(4)))
    path = folder / plans.LINKS
    write_text(path, text.getvalue())
    path.chmod(0o600)
