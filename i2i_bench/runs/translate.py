"""Translate image files of the user's own with a finished run or the authors' weights."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from i2i_bench import official
from i2i_bench.data.decode import decode_one, to_float, to_uint8
from i2i_bench.data.directions import LabelArray, lacking_direction
from i2i_bench.data.png import write_png
from i2i_bench.data.requests import Request, attention_of, translate_images
from i2i_bench.labels import EVERY, Label, Labels
from i2i_bench.model import A2B, Direction, Model, ResizeRule, Settings
from i2i_bench.plugins import registry
from i2i_bench.pretrained import without_weights
from i2i_bench.randomness import Randomness
from i2i_bench.records.folders import Places
from i2i_bench.runs import importing
from i2i_bench.runs.find import read_run_checkpoint
from i2i_bench.scoring.translations import BATCH_SIZE
from i2i_bench.system.files import require_no_dead_link, sync
from i2i_bench.system.prefetch import WRITERS, images_per_part, prefetch
from i2i_bench.system.progress import Report
from i2i_bench.tasks.image_file import SUFFIXES, read_image
from i2i_bench.tasks.task import TaskImage
from i2i_bench.training import checkpoint
from i2i_bench.training.checkpoint_file import read_checkpoint
from i2i_bench.training.settings import restore_settings, without_memory

LONGEST_NAME = 255  # bytes, in most file systems


@dataclass(frozen=True, eq=False)
class Translator:
    """A model with all it takes to translate files.

    Attributes:
        model: With its weights.
        rule: How images come to their size.
        direction: From which domain to which.
        label: What translations are to have, for a model of labels.
    """

    model: Model
    rule: ResizeRule
    direction: Direction = A2B
    label: Label | None = None

    def at(
        self,
        size: int | None,
        direction: str | None,
        *,
        labels: str | None = None,
        to: str | None = None,
    ) -> Translator:
        """Give one for another size and a direction, or for what translations are to have.

        Args:
            size: Side in pixels; None for that of the training.
            direction: Such as ``a2b``; for a model of labels ``+blond`` or ``neutral2happy``.
            labels: What the images have, separated by commas, for a change such as ``+blond``.
            to: All that translations are to have.

        Raises:
            ValueError: If these are not possible, or not enough.
        """
        rule = dataclasses.replace(self.rule, size=size or self.rule.size)
        config = self.model.config
        if self.model.needs(config).labels == "required":
            labelling = Labels(config.attributes, config.exclusive)
            label = _label(labelling, direction, labels=labels, to=to)
            way = Direction(EVERY, "target")
            return dataclasses.replace(self, rule=rule, direction=way, label=label)
        if labels is not None or to is not None:
            title = self.model.card.title
            raise ValueError(f"{title} is for two domains; leave --labels and --to out")
        source, separator, end = (direction or self._first_direction()).partition("2")
        if not (source and separator and end) or source == end:
            raise ValueError(f"direction {direction!r}; needed is source2target, such as a2b")
        way = Direction(source, end)
        if reason := lacking_direction(self.model, way):
            raise ValueError(reason)
        return dataclasses.replace(self, rule=rule, direction=way)

    def _first_direction(self) -> str:
        """Name the direction of a user who names none: a to b, if the model translates in it."""
        own = self.model.directions
        return str(A2B if own is None or A2B in own else own[0])


def _label(
    labelling: Labels, direction: str | None, *, labels: str | None, to: str | None
) -> Label:
    """Find out what translations are to have."""
    if (direction is None) == (to is None):
        domains = [end for _, end in labelling.changes()]
        raise ValueError(
            "either --to, all that translations are to have, or --direction is needed; "
            f"possible directions: {', '.join(domains)}"
        )
    if to is not None:
        return labelling.read(to)
    return _changed(labelling, direction or "", labels)


def _changed(labelling: Labels, direction: str, labels: str | None) -> Label:
    """Give the label to which a change or a pair of domains leads."""
    pairs = {f"{source}2{end}": end for source, end in labelling.pairs()}
    ends = [end for _, end in labelling.changes()]
    ends += labelling.attributes if labelling.is_one_hot else ()
    end = pairs.get(direction, direction)
    if end not in ends:
        raise ValueError(f"no direction {direction}; possible: {', '.join([*ends, *pairs])}")
    if labelling.is_one_hot:
        return labelling.changed((0,) * len(labelling.attributes), end)
    if labels is None:
        raise ValueError(
            f"{direction} keeps all other attributes, which must be known: give what the images "
            f"have with --labels, of {', '.join(labelling.attributes)} (none: --labels '')"
        )
    return labelling.changed(labelling.read(labels), end)


def load_translator(
    places: Places, run: str | None, model: str | None, weights: Path | None
) -> Translator:
    """Load a run, or a model with a checkpoint or a folder of the authors' files.

    Raises:
        ValueError: If the weights are damaged, another model's, or not named in one of these ways.
    """
    if run and not (model or weights):
        content = read_run_checkpoint(run, places)
        return _translator(*_from_checkpoint(content, content["identity"]["model"]))
    if not (model and weights) or run:
        raise ValueError("either --run, or --model with --weights, is needed")
    if weights.is_dir() and not any(weights.glob("checkpoint-*.pt")):
        return _translator(*importing.load_official(model, weights))
    is_run = weights.is_dir()
    content = read_run_checkpoint(str(weights), places) if is_run else read_checkpoint(weights)
    return _translator(*_from_checkpoint(content, model))


def _from_checkpoint(content: dict, name: str) -> tuple[Model, Settings]:
    identity = content["identity"]
    if identity["model"] != name:
        raise ValueError(f"the weights are of model {identity['model']!r}, not of {name!r}")
    model_class = registry.load_model(name)
    settings = restore_settings(model_class, identity["settings"])
    blank = without_memory(model_class, settings, content["networks"])
    checkpoint.require_fit(blank, content)
    with without_weights():
        model = model_class(settings.config)
    checkpoint.restore_networks(model, content)
    return model, settings


def _translator(model: Model, settings: Settings) -> Translator:
    official.refuse_absent(model)
    return Translator(model, settings.resize_rule)


def translate_files(
    translator: Translator,
    source: Path,
    target: Path,
    *,
    device: torch.device,
    with_masks: bool,
    report: Report,
) -> int:
    """Translate an image, or every image of a folder, into PNG files of the same stem.

    Images are read and written on all cores while the networks work. Each file is written whole or
    not at all; where one cannot be read, the batches before it are written.

    With masks, ``<stem>_attention<k>.png`` shows the k-th mask, 0 as black and 1 as white.

    Returns:
        Number of images.

    Raises:
        ValueError: If there is no image, one cannot be read, the model has no masks, or two files
            of the same name would be written, or images overwritten by their translations.
    """
    files = _files(source)
    if with_masks:
        _require_names_for_masks(files)
    require_no_dead_link(target)
    folders = {path.parent for path in files}
    folders |= {path.resolve().parent for path in files if path.is_symlink()}
    if target.resolve() in {folder.resolve() for folder in folders}:
        raise ValueError(f"{target} holds the images to translate; give another folder")
    translator.model.networks.to(device).eval()
    with contextlib.ExitStack() as stack:  # which ends the threads before it is left
        read = partial(_read, translator)
        part = images_per_part(translator.rule.size, len(files))
        images = prefetch(read, files, depth=2 * BATCH_SIZE, part_size=part)
        stack.enter_context(contextlib.closing(images))
        translated = _translated(translator, files, images, device=device, with_masks=with_masks)
        write = partial(_write, target)
        part = images_per_part(translator.rule.size, len(files), WRITERS)
        written = prefetch(write, translated, depth=WRITERS, workers=WRITERS, part_size=part)
        stack.enter_context(contextlib.closing(written))
        for done, _ in enumerate(written, start=1):
            report("translate", done, len(files), {})
    sync(target)
    return len(files)


def _read(translator: Translator, path: Path) -> Tensor:
    return decode_one(TaskImage(path.name, partial(read_image, path)), translator.rule)


@dataclass(frozen=True, eq=False)
class _Translation:
    """The translation of one file, perhaps still on its way from a CUDA device.

    Attributes:
        path: Of the file.
        image: (height, width, 3), uint8.
        finite: (), whether the network gave nothing but finite values for it.
        attention: (n, height, width), uint8, or None.
        arrived: To wait for before these are read; None where they are there.
    """

    path: Path
    image: NDArray[np.uint8]
    finite: NDArray[np.bool_]
    attention: NDArray[np.uint8] | None
    arrived: torch.cuda.Event | None


def _translated(
    translator: Translator,
    files: list[Path],
    images: Iterator[Tensor],
    *,
    device: torch.device,
    with_masks: bool,
) -> Iterator[_Translation]:
    """Translate in batches; a CUDA device starts on one before the previous one has arrived."""
    before: list[_Translation] = []
    for start in range(0, len(files), BATCH_SIZE):
        part = files[start : start + BATCH_SIZE]
        try:
            whole = torch.stack(list(itertools.islice(images, len(part))))
            if device.type == "cuda":  # or the copy would wait for the batch before
                whole = whole.pin_memory()
            sources = whole.to(device, non_blocking=True)
            found = _translate(translator, sources, start, with_masks=with_masks)
            now = _bring(part, *found)
        except Exception:  # what was done before is written all the same
            yield from before
            raise
        yield from before
        before = now
    yield from before


def _bring(files: list[Path], fakes: Tensor, attention: Tensor | None) -> list[_Translation]:
    """Start copying a batch from the device, in the layout of files, without waiting."""
    arrived = torch.cuda.Event() if fakes.is_cuda else None
    channels_last = to_uint8(fakes).permute(0, 2, 3, 1).contiguous()
    finite = fakes.isfinite().flatten(1).all(dim=1).to("cpu", non_blocking=True).numpy()
    images = channels_last.to("cpu", non_blocking=True).numpy()
    masks = [None] * len(files)
    if attention is not None:
        masks = attention.to("cpu", non_blocking=True).numpy()
    if arrived is not None:
        arrived.record()
    parts = zip(files, images, finite, masks, strict=True)
    return [_Translation(*each, arrived) for each in parts]


def _translate(
    translator: Translator, images: Tensor, first: int, *, with_masks: bool
) -> tuple[Tensor, Tensor | None]:
    """Translate uint8 images into [-1, 1]; give their attention, uint8, too if asked for."""
    model, direction = translator.model, translator.direction
    request = Request(direction, to_float(images), _rows(translator.label, len(images)))
    random = Randomness(0, first, images.device)
    with torch.no_grad():
        try:
            fakes = translate_images(model, request, random)
        except KeyError as error:
            title = model.card.title
            raise ValueError(f"{title} has no direction {direction}; possible: a2b, b2a") from error
        masks = attention_of(model, request, random) if with_masks else None
    if not with_masks:
        return fakes, None
    if masks is None:
        raise ValueError(f"{model.card.title} has no attention masks; leave --masks out")
    return fakes, (masks.attention.float() * 255).round().to(torch.uint8)


def _rows(label: Label | None, count: int) -> tuple[LabelArray, LabelArray] | None:
    """Give every image of a batch the same target label, whatever its own."""
    if label is None:
        return None
    rows = np.tile(np.array(label, np.int8), (count, 1))
    return rows, rows


def _files(source: Path) -> list[Path]:
    if source.is_dir():
        visible = (path for path in source.iterdir() if not path.name.startswith("."))
        files = sorted(path for path in visible if path.suffix.lower() in SUFFIXES)
        times = Counter(path.stem for path in files)
        twice = next((stem for stem in times if times[stem] > 1), None)
        if twice is not None:
            raise ValueError(f"files of {source} differ by suffix alone: {twice}.*")
        if not files:
            raise ValueError(f"no images in {source}; possible: {' '.join(SUFFIXES)}")
        return files
    if not source.is_file():
        raise ValueError(f"there is no image or folder {source}")
    return [source]


def _require_names_for_masks(files: list[Path]) -> None:
    stems = {path.stem for path in files}
    for path in files:
        if len(os.fsencode(f"{path.stem}_attention10.png")) > LONGEST_NAME:
            raise ValueError(
                f"{path.name} is too long for the names of its masks, of at most {LONGEST_NAME} "
                "bytes; rename it, or leave --masks out"
            )
        of, _, number = path.stem.rpartition("_attention")
        if number.isdecimal() and of in stems:
            raise ValueError(
                f"{path.name} has the name of a mask of {of}; rename it, or leave --masks out"
            )


def _write(target: Path, found: _Translation) -> None:
    if found.arrived is not None:
        found.arrived.synchronize()
    if not found.finite:
        raise ValueError(f"the translation of {found.path.name} is not finite, and not written")
    stem = found.path.stem
    write_png(target / f"{stem}.png", found.image)
    if found.attention is None:
        return
    for k, picture in enumerate(found.attention, start=1):
        write_png(target / f"{stem}_attention{k}.png", picture)
