"""Translate image files of the user's own with a finished run or the authors' weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from i2i_bench.data.decode import to_float, to_pixels
from i2i_bench.data.directions import LabelArray
from i2i_bench.data.mixed import fitting
from i2i_bench.data.png import write_png
from i2i_bench.data.requests import Request, attention_of, translate_images, translate_instances
from i2i_bench.randomness import Randomness
from i2i_bench.runs.source_files import (
    ATTENTION,
    INSTANCE,
    SourceFile,
    Style,
    Wanted,
    find_sources,
    find_styles,
    require_free_target,
    require_names,
)
from i2i_bench.runs.translator import Translator
from i2i_bench.scoring.translations import BATCH_SIZE
from i2i_bench.system.files import sync
from i2i_bench.system.prefetch import WRITERS, images_per_part, prefetch
from i2i_bench.system.progress import Report

Decoded = tuple[Tensor, Tensor | None]  # an image, and its instance masks
JUST_TRANSLATIONS = Wanted()


def translate_files(
    translator: Translator,
    source: Path,
    target: Path,
    *,
    device: torch.device,
    report: Report,
    wanted: Wanted = JUST_TRANSLATIONS,
) -> int:
    """Translate an image, or every image of a folder, into PNG files of the same stem.

    Images are read and written on all cores while the networks work. Each file is written whole or
    not at all; where one cannot be read, the batches before it are written.

    Output k of an image, in ``<stem>_<k>.png``, is drawn from seed k and from the place of the
    image among all images by name, as the sample that chance asks for; output 0 is also what is
    written under the image's own name when no number of outputs is wanted. In the style of an
    example it is ``<stem>_like_<example>.png``.

    With masks, ``_attention<k>`` after that name shows the k-th mask, 0 as black and 1 as white,
    and ``_instance<k>`` the k-th instance mask after translation, the largest of the source first.

    Returns:
        Number of translations.

    Raises:
        ValueError: If there is no image, one cannot be read, the model lacks what is wanted or is
            not given masks that it needs, or two files of the same name would be written, or files
            that are read overwritten.
    """
    work = _plan(translator, source, target, wanted).on(device)
    count = len(work.sources) * len(work.styles)
    with contextlib.ExitStack() as stack:  # which ends the threads before it is left
        read = partial(SourceFile.read, translator=translator)
        part = images_per_part(translator.rule.size, len(work.sources))
        images = prefetch(read, work.sources, depth=2 * BATCH_SIZE, part_size=part)
        stack.enter_context(contextlib.closing(images))
        translated = _translated(work, images, device)
        write = partial(_write, target)
        part = images_per_part(translator.rule.size, count, WRITERS)
        written = prefetch(write, translated, depth=WRITERS, workers=WRITERS, part_size=part)
        stack.enter_context(contextlib.closing(written))
        for done, _ in enumerate(written, start=1):
            report("translate", done, count, {})
    sync(target)
    return count


@dataclass(frozen=True, eq=False)
class _Work:
    """What is translated, by which model, in which styles, and whether masks are written."""

    translator: Translator
    sources: Sequence[SourceFile]
    styles: Sequence[Style]
    has_masks: bool

    def on(self, device: torch.device) -> _Work:
        """Move the networks and the examples to a device, once for all batches."""
        self.translator.model.networks.to(device).eval()
        moved = [
            style if style.example is None else replace(style, example=_move(style.example, device))
            for style in self.styles
        ]
        return replace(self, styles=moved)


def _plan(translator: Translator, source: Path, target: Path, wanted: Wanted) -> _Work:
    """Find out what is to be translated, and refuse what cannot be done before any work."""
    sources = find_sources(translator, source, wanted)
    styles = find_styles(translator, wanted)
    require_names([each.path for each in sources], styles, has_masks=wanted.masks)
    require_free_target(target, sources, wanted)
    return _Work(translator, sources, styles, wanted.masks)


@dataclass(frozen=True, eq=False)
class _Translation:
    """A translation of one file, perhaps still on its way from a CUDA device.

    Attributes:
        source: The file.
        name: Of the file to write, without suffix.
        image: (height, width, channels), uint8, or uint16 where values have a range.
        finite: (), whether the network gave nothing but finite values for it.
        masks: By the end of their names, (masks, height, width), uint8.
        arrived: To wait for before these are read; None where they are there.
    """

    source: SourceFile
    name: str
    image: NDArray[Any]
    finite: NDArray[np.bool_]
    masks: dict[str, NDArray[np.uint8]]
    arrived: torch.cuda.Event | None


def _translated(
    work: _Work, images: Iterator[Decoded], device: torch.device
) -> Iterator[_Translation]:
    """Translate in batches; a CUDA device starts on one before the previous one has arrived."""
    before: list[_Translation] = []
    try:
        for start, read in _batches(images):
            part = work.sources[start : start + len(read)]
            request = _request(work.translator, read, device)
            for style in work.styles:
                made = _translate(work, request, style, Randomness(style.seed, start, device))
                now = _bring(work, part, style, *made)
                yield from before
                before = now
    except Exception:  # what was done before is written all the same
        yield from before
        raise
    yield from before


def _batches(images: Iterator[Decoded]) -> Iterator[tuple[int, list[Decoded]]]:
    """Cut images into consecutive ones of one shape, each batch with the place of its first."""
    start, part = 0, list[Decoded]()
    for image, masks in images:
        if part and part[0][0].shape != image.shape:
            yield start, part
            start, part = start + len(part), []
        part.append((image, masks))
        if len(part) == fitting(image.shape[1:], BATCH_SIZE):
            yield start, part
            start, part = start + len(part), []
    if part:
        yield start, part


def _request(translator: Translator, read: list[Decoded], device: torch.device) -> Request:
    """Ask for the translation of a batch."""
    pixels = translator.source_pixels
    images = to_float(_move(torch.stack([image for image, _ in read]), device), pixels)
    known = [masks for _, masks in read if masks is not None]
    masks = _move(torch.stack(known), device).to(images) if known else None
    return Request(translator.direction, images, _rows(translator, len(read)), masks)


def _move(whole: Tensor, device: torch.device) -> Tensor:
    """Copy images or masks to the device."""
    if device.type == "cuda":  # or the copy would wait for the batch before
        whole = whole.pin_memory()
    return whole.to(device, non_blocking=True)


def _rows(translator: Translator, count: int) -> tuple[LabelArray, LabelArray] | None:
    """Give every image of a batch the same labels; its own are the target's where none are told."""
    after = translator.label
    if after is None:
        return None
    before = after if translator.own_label is None else translator.own_label
    old, new = (np.tile(np.array(each, np.int8), (count, 1)) for each in (before, after))
    return old, new


def _translate(
    work: _Work, request: Request, style: Style, random: Randomness
) -> tuple[Tensor, dict[str, Tensor]]:
    """Translate a batch into [-1, 1]; give its masks, in [0, 1], too if asked for."""
    model = work.translator.model
    if style.example is not None:
        example = to_float(style.example, work.translator.target_pixels)
        rows = example.repeat(len(request.images), 1, 1, 1)
        request = replace(request, examples=rows)
    with torch.no_grad():
        fakes = translate_images(model, request, random)
        if not work.has_masks:
            return fakes, {}
        attention = attention_of(model, request, random)
        instances = translate_instances(model, request, random)
    masks = {} if attention is None else {ATTENTION: attention.attention}
    masks |= {} if instances is None else {INSTANCE: instances}
    if not masks:
        given = (
            "" if model.needs(model.config).masks == "no" else " and was given no instance masks"
        )
        raise ValueError(f"{model.card.title} has no attention masks{given}; leave --masks out")
    return fakes, masks


def _bring(
    work: _Work,
    sources: Sequence[SourceFile],
    style: Style,
    fakes: Tensor,
    masks: dict[str, Tensor],
) -> list[_Translation]:
    """Start copying a batch from the device, in the layout of files, without waiting."""
    arrived = torch.cuda.Event() if fakes.is_cuda else None
    made = to_pixels(fakes, work.translator.target_pixels)
    channels_last = made.permute(0, 2, 3, 1).contiguous()
    finite = fakes.isfinite().flatten(1).all(dim=1).to("cpu", non_blocking=True).numpy()
    images = channels_last.to("cpu", non_blocking=True).numpy()
    grey = {key: (mask.float() * 255).round().to(torch.uint8) for key, mask in masks.items()}
    shown = {key: mask.to("cpu", non_blocking=True).numpy() for key, mask in grey.items()}
    if arrived is not None:
        arrived.record()
    return [
        _Translation(
            source,
            f"{source.path.stem}{style.suffix}",
            images[row],
            finite[row],
            {key: mask[row] for key, mask in shown.items()},
            arrived,
        )
        for row, source in enumerate(sources)
    ]


def _write(target: Path, found: _Translation) -> None:
    if found.arrived is not None:
        found.arrived.synchronize()
    if not found.finite:
        raise ValueError(
            f"the translation of {found.source.path.name} is not finite, and not written"
        )
    write_png(target / f"{found.name}.png", found.image)
    for key, masks in found.masks.items():
        shown = masks[: found.source.num_masks] if key == INSTANCE else masks
        for k, picture in enumerate(shown, start=1):
            write_png(target / f"{found.name}{key}{k}.png", picture)
