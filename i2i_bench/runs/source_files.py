"""Files to translate: which images, in which styles, with which masks, and what is written."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from i2i_bench.data.decode import decode_one
from i2i_bench.data.instances import decode_instances
from i2i_bench.model import Model
from i2i_bench.runs.translator import Translator
from i2i_bench.system.files import require_no_dead_link
from i2i_bench.system.messages import printable
from i2i_bench.tasks.image_file import SUFFIXES, read_image
from i2i_bench.tasks.image_folder import sorted_entries, stamp
from i2i_bench.tasks.mask_files import MASKS, find_masks_in, image_masks
from i2i_bench.tasks.pixel_format import RGB, PixelFormat
from i2i_bench.tasks.reading import AS_STORED, Reading
from i2i_bench.tasks.task import TaskImage, TaskMasks

LONGEST_NAME = 255  # bytes, in most file systems
ATTENTION, INSTANCE = "_attention", "_instance"  # and a number, at the end of the name of a mask


@dataclass(frozen=True)
class Wanted:
    """What is to be made of each image.

    Attributes:
        outputs: How many outputs, drawn from seeds 0, 1 and so on; None for the first alone, under
            the name of the image.
        like: An image, or a folder of them, whose styles translations are to take.
        instances: Folder of the instance masks of the images; None for the one beside them.
        masks: Whether attention masks, and instance masks after translation, are written, too.
    """

    outputs: int | None = None
    like: Path | None = None
    instances: Path | None = None
    masks: bool = False


@dataclass(frozen=True, eq=False)
class Style:
    """What tells one translation of an image from its others.

    Attributes:
        suffix: After the stem of the image, in the name of the file.
        seed: From which chance is drawn.
        example: (channels, height, width), uint8 or uint16, whose style it takes; None without.
    """

    suffix: str = ""
    seed: int = 0
    example: Tensor | None = None


@dataclass(frozen=True)
class SourceFile:
    """An image file to translate.

    Attributes:
        path: Of the file.
        masks: Its instance masks; None for a model without.
        num_masks: How many of them the model is given.
    """

    path: Path
    masks: TaskMasks | None = None
    num_masks: int = 0

    def read(self, translator: Translator) -> tuple[Tensor, Tensor | None]:
        """Give image, (channels, height, width), and masks, (instances, height, width), uint8.

        Values of a range are uint16.

        Raises:
            ValueError: If one cannot be decoded, naming it.
        """
        rule = translator.rule
        pixels, reading = translator.source_pixels, translator.reading
        image = decode_one(task_image(self.path, pixels, reading), rule)
        if self.masks is None:
            return image, None
        count = translator.num_instances
        return image, decode_instances(self.masks, rule, count, is_cropped=True)


def task_image(path: Path, pixels: PixelFormat = RGB, reading: Reading = AS_STORED) -> TaskImage:
    """Give a file as an image of a task, by default of 8-bit RGB as it is stored."""
    return TaskImage(path.name, partial(read_image, path, pixels=pixels, reading=reading), pixels)


def find_sources(translator: Translator, source: Path, wanted: Wanted) -> list[SourceFile]:
    """Find an image, or every image of a folder by name, with the instance masks it needs.

    Raises:
        ValueError: If there is no image, two differ by suffix alone, or masks are lacking or not
            for this model.
    """
    files, model = list_image_files(source), translator.model
    need = model.needs(model.config).masks
    if need == "no":
        if wanted.instances is not None:
            raise ValueError(f"{model.card.title} takes no instance masks; leave --instances out")
        return [SourceFile(path) for path in files]
    folder = _masks_folder(model, source, wanted.instances)
    if folder is None:
        return [SourceFile(path) for path in files]
    if translator.reading.is_upright:
        raise ValueError("images with instance masks are read as stored; save both upright first")
    found = find_masks_in(folder, files, is_every=source.is_dir())
    stamps = stamp([files, *found.folders.values()])
    return [
        SourceFile(
            path,
            image_masks(path.name, path, found, stamps),
            min(len(found.of_image[path]), translator.num_instances),
        )
        for path in files
    ]


def _masks_folder(model: Model, source: Path, given: Path | None) -> Path | None:
    """Find the folder of instance masks; None where there is none and the model can do without."""
    folder = given or masks_beside(source)
    if folder.is_dir():
        return folder
    if given is not None:
        raise ValueError(f"there is no folder {given} of instance masks")
    if model.needs(model.config).masks == "optional":
        return None
    raise ValueError(
        f"{model.card.title} needs instance masks of the images: for each NAME of an image, "
        f"NAME_0.png, NAME_1.png and so on in {folder}, or in another folder after --instances"
    )


def masks_beside(source: Path) -> Path:
    """Name the folder of the instance masks of an image or a folder: ``photos_seg`` of photos."""
    folder = source if source.is_dir() else source.parent
    whole = folder.resolve() if folder.name in ("", "..") else folder
    return whole.with_name(f"{whole.name}{MASKS}")


def list_image_files(source: Path) -> list[Path]:
    """List an image, or every image of a folder by name.

    Raises:
        ValueError: If there is none, or two differ by suffix alone.
    """
    if source.is_dir():
        files = [path for path in sorted_entries(source) if _is_image(path)]
        times = Counter(path.stem for path in files)
        twice = next((stem for stem in times if times[stem] > 1), None)
        if twice is not None:
            raise ValueError(f"files of {source} differ by suffix alone: {twice}.*")
        if not files:
            others = passed_over(source)
            there = f"; there are {len(others)} others, such as {others[0]}" if others else ""
            raise ValueError(f"no images in {source}; possible: {' '.join(SUFFIXES)}{there}")
        return files
    if not source.is_file():
        raise ValueError(f"there is no image or folder {source}")
    return [source]


def passed_over(source: Path) -> list[str]:
    """Name what a folder of images has besides, folders with a slash; nothing of one image.

    What systems leave there does not count.
    """
    if not source.is_dir():
        return []
    others = [path for path in sorted_entries(source) if not _is_image(path)]
    return [f"{printable(path.name)}{'/' * path.is_dir()}" for path in others]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def find_styles(translator: Translator, wanted: Wanted) -> list[Style]:
    """Give the styles in which each image is translated.

    Raises:
        ValueError: If the model has no such styles, or an example cannot be decoded.
    """
    pixels, reading = translator.target_pixels, translator.reading
    require_styles(translator.model, wanted.outputs, has_examples=wanted.like is not None)
    if wanted.like is not None:
        if wanted.outputs is not None:
            raise ValueError("--like gives the styles, and --outputs draws them; leave one out")
        files = list_image_files(wanted.like)
        images = [task_image(path, pixels, reading) for path in files]
        examples = [decode_one(image, translator.rule).contiguous() for image in images]
        named = zip(files, examples, strict=True)
        return [Style(f"_like_{path.stem}", example=image) for path, image in named]
    if wanted.outputs is None:
        return [Style()]
    return [Style(f"_{seed}", seed) for seed in range(wanted.outputs)]


def require_styles(model: Model, outputs: int | None, *, has_examples: bool) -> None:
    """Refuse what the card of a model does not promise.

    Args:
        model: The model.
        outputs: How many of an image; None if nothing is said of them.
        has_examples: Whether they are to take the style of examples.

    Raises:
        ValueError: If it makes one output of an image, or takes no examples.
    """
    card = model.card
    if has_examples and not card.takes_examples:
        raise ValueError(f"{card.title} does not take the style of an example; leave --like out")
    if outputs is not None and outputs > 1 and not card.is_random:
        raise ValueError(f"{card.title} makes one output of an image; leave --outputs out")


def require_free_target(target: Path, sources: Sequence[SourceFile], wanted: Wanted) -> None:
    """Refuse a folder for translations that has files which are read.

    Raises:
        ValueError: If it holds images, masks or examples, or is a link that leads nowhere.
    """
    require_no_dead_link(target)
    paths = [each.path for each in sources]
    used = {"the images to translate": _folders(paths)}
    if wanted.like is not None:
        used["the examples"] = _folders(list_image_files(wanted.like))
    if any(each.masks for each in sources):
        used["the instance masks"] = {(wanted.instances or masks_beside(paths[0])).resolve()}
    for what, folders in used.items():
        if target.resolve() in folders:
            raise ValueError(f"{target} holds {what}; give another folder")


def _folders(files: Iterable[Path]) -> set[Path]:
    """Give the folders in which files are, and those in which what they link to is."""
    return {each.parent.resolve() for path in files for each in (path, path.resolve())}


def require_names(files: Sequence[Path], styles: Sequence[Style], *, has_masks: bool) -> None:
    """Refuse images whose translations or masks would have the name of another's, or none.

    Raises:
        ValueError: If there is one, naming it.
    """
    owners = {path.stem: path for path in files}
    translations: dict[str, Path] = {}
    for path in files:
        _require_short(path, styles, has_masks=has_masks)
        for style in styles:
            name = f"{path.stem}{style.suffix}"
            other = translations.get(name) or owners.get(name, path)
            if other != path:
                raise ValueError(
                    f"{other.name} has the name of a translation of {path.stem}, {name}; rename it"
                )
            translations[name] = path
    for name, path in (owners | translations).items() if has_masks else ():
        if of := next((each for each in _masked(name) if each in translations), None):
            raise ValueError(
                f"{path.name} has the name of a mask of {of}; rename it, or leave --masks out"
            )


def _masked(name: str) -> Iterator[str]:
    """Give the translations of which a name would be that of a mask."""
    for kind in (ATTENTION, INSTANCE):
        of, _, number = name.rpartition(kind)
        if number.isdecimal():
            yield of


def _require_short(path: Path, styles: Sequence[Style], *, has_masks: bool) -> None:
    """Refuse an image whose longest name of an output is too long."""
    mask = f"{ATTENTION}10" if has_masks else ""
    longest = max((f"{style.suffix}{mask}" for style in styles), key=_bytes)
    if longest and _bytes(f"{path.stem}{longest}.png") > LONGEST_NAME:
        what, option = ("masks", "--masks") if has_masks else ("outputs", "--outputs or --like")
        raise ValueError(
            f"{path.name} is too long for the names of its {what}, of at most {LONGEST_NAME} "
            f"bytes; rename it, or leave {option} out"
        )


def _bytes(name: str) -> int:
    return len(os.fsencode(name))
