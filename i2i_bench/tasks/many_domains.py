"""Labelled tasks from files, such as a folder for each domain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from i2i_bench.labels import EVERY, Label, Labels
from i2i_bench.tasks.image_folder import (
    gather_images,
    hash_folders,
    image_size,
    sorted_entries,
    stamp,
)
from i2i_bench.tasks.layouts import Layout, find_layout
from i2i_bench.tasks.mask_files import MASKS, MaskFiles, find_masks, image_masks
from i2i_bench.tasks.task import SPLITS, Reader, Task, TaskImage, TaskMasks
from i2i_bench.tasks.task_file import read_task_file, require_as_stored
from i2i_bench.tasks.two_domains import partner_name

_LAYOUT = "needed are train/DOMAIN and test/DOMAIN with the same two domains or more, each"


@dataclass(frozen=True)
class LabelledImage:
    """An image with its label, and keys of images that show the same.

    Attributes:
        image: To be read when asked for.
        label: Of the image.
        view: Shared by images that differ by their labels alone; "" where that is unknown.
        masks: Of the instances, where the task has any.
        subject: Whom the image shows, shared by images of other views; "" where that is unknown.
    """

    image: TaskImage
    label: Label
    view: str = ""
    masks: TaskMasks | None = None
    subject: str = ""


@dataclass(frozen=True)
class LabelledFilesReader(Reader):
    """Read the images of a labelled task.

    Attributes:
        labelling: What the labels say.
        splits: Images of each split, in the order of the task.
    """

    labelling: Labels
    splits: Mapping[str, Sequence[LabelledImage]]

    def images(self, split: str, domain: str) -> list[TaskImage]:
        """List the images of one split and domain."""
        return [each.image for each in self._chosen(split, domain)]

    def labels(self, split: str, domain: str) -> list[Label]:
        """List their labels."""
        return [each.label for each in self._chosen(split, domain)]

    def subjects(self, split: str, domain: str) -> list[str]:
        """List whom each image shows, or its view; its own name where neither is known."""
        chosen = self._chosen(split, domain)
        return [each.subject or each.view or each.image.name for each in chosen]

    def truth(self, source: str, target: str, split: str = "test") -> list[TaskImage] | None:
        """List the image of the same view with the label that each image is to get."""
        partners = self._partners[split]
        found = [
            partners.get((each.view, self.labelling.changed(each.label, target)))
            for each in self._chosen(split, source)
        ]
        return None if None in found else [image for image in found if image]

    @cached_property
    def _partners(self) -> dict[str, dict[tuple[str, Label], TaskImage]]:
        return {
            split: {(each.view, each.label): each.image for each in images if each.view}
            for split, images in self.splits.items()
        }

    def _chosen(self, split: str, domain: str) -> Sequence[LabelledImage]:
        if domain == EVERY:
            return self.splits[split]
        chooses = self.labelling.chooses
        return [each for each in self.splits[split] if chooses(domain, each.label)]


@dataclass(frozen=True)
class MaskedLabelledReader(LabelledFilesReader):
    """Read the images of a labelled task and their instance masks, which all of them have."""

    has_masks = True

    def instance_masks(self, split: str, domain: str) -> list[TaskMasks]:
        """List the instance masks of each image of one split and domain."""
        return [each.masks for each in self._chosen(split, domain) if each.masks]


def make_task(name: str, reader: LabelledFilesReader, **facts: object) -> Task:
    """Make a task of labelled images; ``facts`` are the other fields of ``Task``.

    Raises:
        ValueError: If two images of a split share a name, or a domain lacks images of one.
    """
    labelling = reader.labelling
    for split, images in reader.splits.items():
        _check(name, split, images, labelling)
    counts = {split: {EVERY: len(images)} for split, images in reader.splits.items()}
    return Task(
        name=name,
        domains=(EVERY,),
        num_train=counts["train"],
        num_test=counts["test"],
        paired=False,
        reader=reader,
        attributes=labelling.attributes,
        exclusive=labelling.exclusive,
        **facts,  # pyright: ignore[reportArgumentType] - Task checks no types either
    )


def _check(name: str, split: str, images: Sequence[LabelledImage], labelling: Labels) -> None:
    stems = Counter(Path(each.image.name).stem for each in images)
    twice = [stem for stem, count in stems.items() if count > 1]
    if twice:
        raise ValueError(f"two {split} images of task {name} have the name {twice[0]}; rename one")
    for source, _ in labelling.changes():
        for domain in (source, f"{'-' if source[0] == '+' else '+'}{source[1:]}"):
            if not any(labelling.chooses(domain, each.label) for each in images):
                raise ValueError(
                    f"task {name} has no {split} image of {domain}; images with and without each "
                    "attribute are needed"
                )


# --- folders


def many_domain_task(path: Path, *, layout: Layout | None = None) -> Task:
    """Make a task of a folder with ``train/<domain>`` and ``test/<domain>``.

    Masks lie in ``train/<domain>_seg`` and ``test/<domain>_seg``.

    Args:
        path: The folder.
        layout: Of it, where it is known.

    Raises:
        ValueError: If the folder has another layout, or anything in it is no image or no mask of
            one.
    """
    layout = layout or find_layout(path)
    path, stated = layout.root, read_task_file(layout.stated_in, (EVERY,))
    domains, files, names = _files(layout)
    labelling = Labels(domains, (domains,))
    masks = find_masks(path, files) if layout.is_exact and not names else MaskFiles()
    require_as_stored(stated, masks)
    stamps = stamp([*files.values(), *masks.folders.values()])

    def labelled(domain: str, file: Path) -> LabelledImage:
        name = f"{domain}-{names.get(file, file.name)}"
        image = stated.image(name, file, EVERY, stamps[file])
        known = image_masks(name, file, masks, stamps) if masks.folders else None
        return LabelledImage(image, _one_hot(domains, domain), masks=known)

    splits = {
        split: [labelled(domain, file) for domain in domains for file in files[f"{split}/{domain}"]]
        for split in SPLITS
    }
    reader = MaskedLabelledReader if masks.folders else LabelledFilesReader
    title = f"Images of the folder {path.resolve().name}: {', '.join(domains)}"
    facts = {"title": title, "headline": "kid"} | stated.facts
    contents = {**files, **masks.folders, **stated.hashed}
    return make_task(
        partner_name(path, hash_folders(contents.items(), names)),
        reader(labelling, splits),
        version=1,
        kind="folder",
        image_size=image_size(files.values(), lambda file: stated.read(file, EVERY)),
        licence="not stated",
        origin="a folder of your own",
        notes=(*layout.notes, *(() if masks.folders else layout.passed_masks)),
        **facts,
    )


def _files(
    layout: Layout,
) -> tuple[tuple[str, ...], dict[str, list[Path]], dict[Path, str]]:
    """Give the domains, the images by ``train/<domain>``, and names that are not files' own."""
    if not layout.is_exact:
        found = {
            f"{split}/{domain}": layout.parts[f"{split}/{domain}"]
            for split in SPLITS
            for domain in _checked(layout.root, layout.domains)
        }
        return layout.domains, found, dict(layout.names)
    domains, files, names = _domains(layout.root), dict[str, list[Path]](), dict[Path, str]()
    for name in (f"{split}/{domain}" for split in SPLITS for domain in domains):
        found = gather_images(layout.root / name, _LAYOUT, layout.arrangement.subfolders)
        files[name] = list(found)
        names |= {file: text for file, text in found.items() if text != file.name}
    return domains, files, names


def _visible(folder: Path) -> list[Path]:
    return sorted_entries(folder) if folder.is_dir() else []


def _domains(path: Path) -> tuple[str, ...]:
    """Give the domains of which there are images in both splits."""
    found = {split: [child.name for child in _visible(path / split)] for split in SPLITS}
    files = [path / s / n for s, names in found.items() for n in names if (path / s / n).is_file()]
    if files:
        raise ValueError(f"{files[0]} lies outside the folders of domains; {_LAYOUT} with images")
    for split, names in found.items():
        alone = [n for n in names if n.endswith(MASKS) and n.removesuffix(MASKS) not in names]
        if alone:
            raise ValueError(
                f"{path / split / alone[0]} holds masks by its name, and there is no folder "
                f"{alone[0].removesuffix(MASKS)!r} beside it; rename a domain that ends in {MASKS}"
            )
    train, test = ({n for n in found[split] if not n.endswith(MASKS)} for split in SPLITS)
    if unmatched := sorted(train ^ test):
        where = "train" if unmatched[0] in train else "test"
        raise ValueError(f"{path} has {unmatched[0]} only in {where}; {_LAYOUT} with images")
    if len(train) < 2:
        masks = [name for name in found["train"] if name.endswith(MASKS)]
        beside = f" beside masks in {masks[0]}" if masks else ""
        only = f"{path} has only the domain {', '.join(train)}{beside}"
        raise ValueError(f"{only}; {_LAYOUT} with images")
    return _checked(path, sorted(train))


def _checked(path: Path, domains: Sequence[str]) -> tuple[str, ...]:
    """Refuse a name that domains cannot have."""
    if EVERY in domains:
        raise ValueError(f"{path} has a domain {EVERY!r}, which stands for all; rename the folder")
    return tuple(domains)


def _one_hot(names: Sequence[str], name: str) -> Label:
    return tuple(int(each == name) for each in names)
