"""Pictures of finished runs: masks and contents, attention over training, models side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from i2i_bench.data.decode import channels_last, recorded_rule, to_rgb, to_tensor
from i2i_bench.data.directions import (
    directions_of,
    find_direction,
)
from i2i_bench.data.requests import Request, attention_of, translate_images
from i2i_bench.data.test_set import TestSet
from i2i_bench.data.window import windowed
from i2i_bench.model import Direction, Masks, Model
from i2i_bench.randomness import Randomness
from i2i_bench.records.folders import Places, find_folder, find_record, noted_task
from i2i_bench.records.record import Record
from i2i_bench.records.run import seed_of
from i2i_bench.report.figures.mosaic import Block, Strip
from i2i_bench.runs.find import find_job, find_task_of_run
from i2i_bench.runs.shown_images import (
    Choice,
    DrawnFigure,
    figure_name,
    in_words,
    load_networks,
    requests_for,
    run_in_words,
    shown_directions,
    shown_rows,
)
from i2i_bench.tasks import catalogue
from i2i_bench.tasks.image_file import read_image
from i2i_bench.tasks.pixel_format import PixelFormat
from i2i_bench.tasks.task import Task
from i2i_bench.tasks.validation import TEST, scored_on
from i2i_bench.training import snapshots
from i2i_bench.training.settings import without_memory
from i2i_bench.training.snapshots import Snapshot

SHORT_NAME = 8  # letters of a file's name that fit above its image
MANY = 8  # models; more of them stand side by side, or the figure would not fit a page
PER_LINE = 11  # masks; more of them go on in a further line


def masks_figure(run: str, task: str | None, choice: Choice, places: Places) -> DrawnFigure:
    """Show attention and content of every mask, as figures 11 and 12 of arXiv 1911.11897 do.

    Where chance has a part in a translation, it is that of output 0 of each image, as in scoring.

    Raises:
        ValueError: If there is no such run, or its model has no attention masks.
    """
    job = find_job(run, places, task)
    folder = find_folder(catalogue.recorded_name(run), places)
    model = load_networks(job, folder)
    test_set = TestSet(job.task, job.resize_rule)
    blocks, copies = [], set()
    for direction in shown_directions(model, job.task, choice):
        rows = shown_rows(job.task, direction, choice)
        requests = requests_for(job, test_set, direction, rows)
        sources = test_set.shown(direction.source, rows)
        seen = [
            _with_masks(model, request, Randomness(0, row))
            for request, row in zip(requests, rows, strict=True)
        ]
        copies |= {found.background for _, found in seen}
        strips = [
            strip
            for source, (fake, found) in zip(sources, seen, strict=True)
            for strip in _mask_strips(found, source, fake)
        ]
        blocks.append(Block(in_words(direction), _heads(seen[0][1]), strips))
    what = _what_is_copied(copies)
    caption = f"Attention and contents of {run_in_words(job)}. {what}"
    return DrawnFigure(blocks, caption, folder, "masks", figure_name(job, "masks"))


def _with_masks(
    model: Model, request: Request, random: Randomness
) -> tuple[NDArray[np.uint8], Masks]:
    """Translate one image; give (height, width, 3), and the attention behind it."""
    with torch.no_grad():
        fake = to_rgb(translate_images(model, request, random))
        found = attention_of(model, request, random)
    if found is None:
        raise ValueError(f"{model.card.title} has no attention masks to show")
    return channels_last(fake)[0], found


def _what_is_copied(backgrounds: set[int | None]) -> str:
    known = sorted(number + 1 for number in backgrounds if number is not None)
    if not known:
        return "No mask copies the input."
    return f"Mask {known[0]} copies the input, so that it has no content."


def _mask_strips(
    found: Masks, source: NDArray[np.uint8], fake: NDArray[np.uint8]
) -> Iterator[Strip]:
    """Give source and attention, then translation and contents, of one image."""
    attention = list(found.attention[0].float().numpy())
    contents = [] if found.content is None else list(channels_last(to_rgb(found.content[0])))
    gap = found.background
    aligned = contents if gap is None else [*contents[:gap], None, *contents[gap:]]
    for start in range(0, len(attention), PER_LINE):
        is_first = start == 0
        part = slice(start, start + PER_LINE)
        first, result = (source, fake) if is_first else (None, None)
        which = "" if len(attention) <= PER_LINE else f" from {start + 1}"
        yield Strip(f"attention{which}", [first, *attention[part]], is_new=is_first)
        yield Strip(f"content{which}", [result, *aligned[part]])


def _heads(found: Masks) -> list[str]:
    count = found.attention.shape[1]
    numbers = [str(k) for k in range(1, count + 1)] if count <= PER_LINE else [""] * PER_LINE
    return ["source,\nresult", *numbers]


def evolution_figure(run: str, task: str | None, choice: Choice, places: Places) -> DrawnFigure:
    """Show translation and attention over the training, as figures 13 and 14 of 1911.11897 do.

    Raises:
        ValueError: If there is no such run, or it has no snapshots.
    """
    folder = find_folder(catalogue.recorded_name(run), places)
    job = find_job(run, places, task)
    blocks = []
    blank = without_memory(job.model_class, job.settings)
    for direction in shown_directions(blank, job.task, choice):
        found = snapshots.read_snapshots(folder, str(direction))
        heads = ["source", *(_short(shot.images_seen) for shot in found)]
        if choice.count > len(found[0].sources):
            raise ValueError(f"snapshots hold {len(found[0].sources)} images of a direction")
        strips = [strip for i in range(choice.count) for strip in _evolution_strips(found, i)]
        blocks.append(Block(in_words(direction), heads, strips))
    caption = (
        f"{run_in_words(job)}, after the number of images seen in training that is above each."
    )
    return DrawnFigure(blocks, caption, folder, "evolution", figure_name(job, "evolution"))


def _evolution_strips(found: Sequence[Snapshot], index: int) -> Iterator[Strip]:
    translations = [shot.fakes[index] for shot in found]
    yield Strip("translation", [found[0].sources[index], *translations], is_new=True)
    first = found[0].attention
    for k in range(0 if first is None else first.shape[1]):
        copied = " (copies)" if k == found[0].background else ""
        masks = [shot.attention[index, k] for shot in found if shot.attention is not None]
        cells = [(mask / 255).astype(np.float32) for mask in masks]
        yield Strip(f"mask {k + 1}{copied}", [None, *cells])


def _short(number: int) -> str:
    """Print a number of images in at most four letters."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return str(number)


@dataclass(frozen=True)
class _Member:
    """A finished run of a comparison: its record, its folder and its task."""

    record: Record
    folder: Path
    task: Task

    def translates(self, direction: Direction) -> bool:
        """Tell whether its model translates in a direction."""
        stated = self.record.directions
        return not stated or str(direction) in stated


def comparison_figures(
    runs: Sequence[str], task: str | None, choice: Choice, places: Places
) -> list[DrawnFigure]:
    """Show what several models make of the same sources, a figure for each task and split.

    Args:
        runs: Which.
        task: Of all of them; None for what each has noted.
        choice: Of directions and images.
        places: Where things are.

    Raises:
        ValueError: If there is no such run, or its record or translations are not there.
    """
    tasks: dict[tuple[str, str], list[_Member]] = {}
    for run in dict.fromkeys(runs):
        member = _member(run, task, places)
        tasks.setdefault((member.task.name, member.task.split), []).append(member)
    return [_compared(found, choice, places) for found in tasks.values()]


def _member(run: str, task: str | None, places: Places) -> _Member:
    folder, found = find_record(catalogue.recorded_name(run), places)
    named = task or (None if noted_task(folder) else found.task)
    now, _ = find_task_of_run(folder, named, places)
    if (now.name, now.version) != (found.task, found.task_version):
        raise ValueError(
            f"{found.run} is of version {found.task_version} of its task, and {named or now.name} "
            f"is {now.name}, version {now.version}"
        )
    return _Member(found, folder, scored_on(now, found.split or TEST))


def _compared(members: Sequence[_Member], choice: Choice, places: Places) -> DrawnFigure:
    task = members[0].task
    largest = max((m.record for m in members), key=lambda each: each.settings["crop_size"])
    rule = recorded_rule(largest.settings, next(iter(largest.scores.values())))
    test_set, blocks = TestSet(task, rule), []
    every = [find_direction(task, name) for name in choice.directions] or directions_of(task)
    for direction in every:
        able = [member for member in members if member.translates(direction)]
        if not able:
            continue
        rows = shown_rows(task, direction, choice)
        names = test_set.names(direction.source)
        stems = [Path(names[row]).stem for row in rows]
        strips = [Strip("source", list(test_set.shown(direction.source, rows)))]
        pixels = task.pixel_format(direction.target)
        for member in able:
            folder = member.folder / f"translations-{direction}"
            cells = [_saved(folder / f"{stem}.png", pixels) for stem in stems]
            strips.append(Strip(_distinct(member, members), cells))
        truth = test_set.shown_truth(direction, rows)
        if truth is not None:
            strips.append(Strip("truth", list(truth)))
        heads = stems if max(map(len, stems)) <= SHORT_NAME else [""] * len(stems)
        block = Block(in_words(direction), heads, strips, is_apart=False)
        blocks.append(_turned(block) if len(members) > MANY else block)
    if not blocks:
        asked = " and ".join(map(str, every))
        raise ValueError(f"none of these models translates {asked}; leave --direction out")
    shown = sorted({member.record.seed for member in members})
    presets = sorted({member.record.preset for member in members})
    which = f", preset {presets[0]}" if len(presets) == 1 else ""
    which += f", seed {shown[0]}" if len(shown) == 1 else ""
    caption = f"The same {task.split} images of {task.name}, translated by each model{which}."
    kind = "comparison" if task.split == TEST else f"comparison-{task.split}"
    return DrawnFigure(blocks, caption, places.runs / task.name, kind, f"{task.name}-{kind}")


def _turned(block: Block) -> Block:
    """Give the same cells with lines as columns."""
    strips = [
        Strip(head, [strip.cells[column] for strip in block.strips])
        for column, head in enumerate(block.heads)
    ]
    names = [strip.label for strip in block.strips]
    return Block(block.title, names, strips, is_apart=False, is_wide=True)


def _distinct(member: _Member, members: Sequence[_Member]) -> str:
    """Name a run by what tells it from the others."""
    found = member.record
    variants = {each.record.variant for each in members}
    seeds = {each.record.seed for each in members}
    variant = found.variant.removeprefix(f"preset={found.preset}").removeprefix(",")
    presets = {each.record.preset for each in members}
    name = found.model + (f" {found.preset}" if len(presets) > 1 else "")
    name += f" {variant}" if variant and len(variants) > 1 else ""
    return name + (f" seed {found.seed}" if len(seeds) > 1 else "")


def _saved(path: Path, pixels: PixelFormat) -> NDArray[np.uint8]:
    """Read a translation as people see it."""
    if not path.is_file():
        raise ValueError(f"no translation {path}; i2i-bench evaluate --force makes it again")
    image = to_tensor(read_image(path, pixels=pixels), pixels)
    return windowed(image.permute(1, 2, 0).numpy(), pixels)


def finished_runs(task: str, places: Places) -> list[str]:
    """Name the runs of a task whose translations are there, of each the lowest seed.

    Raises:
        ValueError: If there is none.
    """
    folders = sorted((places.runs / task).glob("*/seed*/translations-*"))
    runs: dict[str, Path] = {}
    known = {each.parent for each in folders if seed_of(each.parent) is not None}
    for folder in sorted(known, key=lambda each: (seed_of(each), each)):
        runs.setdefault(folder.parent.name, folder)
    if not runs:
        raise ValueError(f"no finished run of {task} in {places.runs}; i2i-bench run makes one")
    return [str(runs[name]) for name in sorted(runs)]
