"""Training images: decoded once, ordered and augmented as pure functions of a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from i2i_bench.data.augment import (
    Turn,
    TurnMode,
    draw_turns,
    is_turned,
    sample_order,
    turned_crop,
)
from i2i_bench.data.clipped import read_noting, warn_of_clipped
from i2i_bench.data.decode import counted, naming, resize_image, scale_in_place, to_float, to_tensor
from i2i_bench.data.drawn import DrawnDomains
from i2i_bench.data.instances import decode_instances
from i2i_bench.data.needs import domains_for, draws_domains, takes_labels, takes_masks, takes_pairs
from i2i_bench.data.store import Store, choose_home, find_room
from i2i_bench.model import Batch, Needs, Settings
from i2i_bench.randomness import Randomness
from i2i_bench.system.prefetch import images_per_part, prefetch
from i2i_bench.system.progress import Progress
from i2i_bench.tasks.pixel_format import PixelFormat
from i2i_bench.tasks.task import Task, TaskImage, TaskMasks

Crop = tuple[int, int, int, int]  # index of the image, top and left of its crop, 1 if mirrored

BLOCK = 512  # samples whose draws are made at once: one by one they would take longer than the crop
MOST_CROPS = 16  # made at once on a device
MOST_PIXELS = 2**20  # of all crops made at once, unless it is one
LOOKED_AT = 8  # images of a domain from which the size of all is told, where shapes differ


def _keep_all(
    images: list[TaskImage], store: Store, settings: Settings, progress: Progress | None
) -> list[Tensor]:
    """Decode training images into a store, each (channels, height, width)."""
    rule = replace(settings.resize_rule, size=settings.load_size)

    def keep(image: TaskImage) -> Tensor:
        with naming(image):
            resized = resize_image(read_noting(image), rule)
        return store.keep(to_tensor(resized, image.pixels))

    kept = prefetch(keep, images, part_size=images_per_part(settings.load_size, len(images)))
    found = list(counted(kept, len(images), progress))
    warn_of_clipped(images)
    return found


def _keep_masks(given: list[TaskMasks], store: Store, settings: Settings) -> list[Tensor]:
    """Decode instance masks into a store, each (instances, height, width), uint8, 0 or 1."""
    rule = replace(settings.resize_rule, size=settings.load_size)

    def keep(masks: TaskMasks) -> Tensor:
        return store.keep(decode_instances(masks, rule, settings.instances, is_cropped=False))

    return list(prefetch(keep, given, part_size=images_per_part(settings.load_size, len(given))))


class TrainingImages:
    """The training images of a task, decoded once, and the batches made of them.

    Every batch is a pure function of (task, settings, seed, index of its first sample): it does not
    depend on the batches before it, nor on the device, nor on where the images are kept.

    Args:
        task: Whose images.
        settings: Sizes, resize and flip.
        seed: Seed of the run.
        device: Where batches are wanted.
        progress: Told after each decoded image, over all domains.
        store: Where decoded images stay; by default on the device or in memory.
        needs: What the model needs of the task: pairs, cropped and mirrored alike; instance masks,
            as their images; in each step two domains drawn out of many. By default none of these.

    Raises:
        ValueError: If the crop is larger than the image, the images do not fit, or one cannot be
            decoded.
    """

    def __init__(
        self,
        task: Task,
        settings: Settings,
        seed: int,
        device: torch.device | str = "cpu",
        progress: Progress | None = None,
        *,
        store: Store | None = None,
        needs: Needs | None = None,
    ) -> None:
        if settings.crop_size > settings.load_size:
            raise ValueError(
                f"crop_size {settings.crop_size} is larger than load_size {settings.load_size}; "
                "choose a crop that fits into the resized image"
            )
        self.task, self.settings, self.seed = task, settings, seed
        self.device, self.needs = torch.device(device), needs or Needs()
        store = store or make_store(task, settings, self.device)
        self._domains: dict[str, _Domain] = {}
        names = domains_for(self.needs, task)
        self._drawn = DrawnDomains(seed, names) if draws_domains(self.needs, task) else None
        done, total = 0, sum(task.num_train.values())
        for name in names:
            domain = self._decode(name, store, _shifted(progress, done, total))
            self._domains[name] = domain
            done += len(domain.names)

    def _decode(self, name: str, store: Store, progress: Progress | None) -> _Domain:
        """Decode the images of a domain, and their masks if these are needed."""
        task, settings = self.task, self.settings
        images = task.images("train", name)
        pixels = _keep_all(images, store, settings, progress)
        labels = task.labels("train", name) if takes_labels(self.needs, task) else None
        known = None if labels is None else torch.tensor(labels, dtype=torch.float32)
        stream = "pair" if takes_pairs(self.needs, task) else name
        draws = _Draws(self.seed, stream, pixels, settings)
        masks = None
        if takes_masks(self.needs, task, settings.instances):
            given = task.instance_masks("train", name) or []
            masks = _keep_masks(given, store.like_this(), settings)
        slab = None
        if store.home == "device" and not is_turned(settings) and _lie_side_by_side(pixels):
            slab = _Slab(pixels, draws, settings.crop_size, task.pixel_format(name))
        names = [image.name for image in images]
        return _Domain(names, task.pixel_format(name), pixels, draws, known, masks, slab)

    def batches(self) -> TrainingPass:
        """Return one pass through the training images, in batches as training sees them."""
        return TrainingPass(self)

    def batch(self, first_sample: int, size: int) -> Batch:
        """Make the batch of samples ``first_sample``, ..., ``first_sample + size - 1``.

        Each image of a domain is seen once before any is seen again. Domains have their own order,
        crops and flips, unless they come in pairs. Where domains are drawn, the batch has those of
        the step that its first sample belongs to. The host never waits for a CUDA device.

        Returns:
            Images (size, channels, crop, crop) in [-1, 1], float32, on the device, their names and,
            where the model is given them, their labels and instance masks. Images are not to be
            changed in place: a part of them may be given again.
        """
        images: dict[str, Tensor] = {}
        names: dict[str, list[str]] = {}
        labels: dict[str, Tensor] = {}
        masks: dict[str, Tensor] = {}
        for name, first in self._positions(first_sample).items():
            domain = self._domains[name]
            chosen = domain.draws.of(first, size)
            turns = domain.draws.turns(first, size)
            if domain.slab is None:
                cut = self._cut(domain.pixels, chosen, turns)
                images[name] = scale_in_place(cut, domain.format)
            else:
                images[name] = domain.slab.cut(first, size)
            names[name] = [domain.names[index] for index, *_ in chosen]
            if domain.labels is not None:
                rows = torch.stack([domain.labels[index] for index, *_ in chosen])
                labels[name] = rows.to(self.device, non_blocking=True)
            if domain.masks is not None:
                masks[name] = self._cut(domain.masks, chosen, turns, mode="nearest")
        return Batch(images, labels or None, masks or None, names=names)

    def _positions(self, first_sample: int) -> dict[str, int]:
        """Give, for each domain of a batch, how many samples of it came before."""
        if self._drawn is None:
            return dict.fromkeys(self._domains, first_sample)
        size = self.settings.batch_size
        step, offset = divmod(first_sample, size)
        return {name: steps * size + offset for name, steps in self._drawn.at(step).items()}

    def _cut(
        self,
        pixels: list[Tensor],
        chosen: list[Crop],
        turns: list[Turn] | None,
        mode: TurnMode = "bilinear",
    ) -> Tensor:
        """Crop, turn and mirror images, (batch, channels, crop, crop), as floats, on the device."""
        crop = self.settings.crop_size
        shape = (len(chosen), pixels[0].shape[0], crop, crop)
        cut = torch.empty(shape, device=self.device)
        for place, (index, top, left, is_mirrored) in enumerate(chosen):
            whole = pixels[index].to(self.device, non_blocking=True)
            if turns is None:
                part = whole[:, top : top + crop, left : left + crop]
                if whole.dtype != torch.uint8:  # few operations on a device know others
                    part = part.to(cut.dtype)
            else:
                part = turned_crop(whole, (top, left, crop), turns[place], mode=mode)
            cut[place].copy_(part.flip(2) if is_mirrored else part)
        return cut


class TrainingPass:
    """One pass through the training images, in the batches that training sees first.

    Iterating again gives the same batches.

    Args:
        images: The training images.
    """

    def __init__(self, images: TrainingImages) -> None:
        self._images = images

    def __len__(self) -> int:
        most = max(self._images.task.num_train.values())
        return -(-most // self._images.settings.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        size = self._images.settings.batch_size
        for number in range(len(self)):
            yield self._images.batch(number * size, size)


def make_store(
    task: Task,
    settings: Settings,
    device: torch.device,
    *,
    beside: int = 0,
    folder: Path | None = None,
) -> Store:
    """Choose where the training images of a task are to stay.

    Args:
        task: Whose images.
        settings: Their sizes.
        device: Of the training.
        beside: Bytes that the training needs beside them.
        folder: Where a file may be, should memory not have enough room.

    Raises:
        ValueError: If they fit nowhere.
    """
    expected = expected_bytes(task, settings)
    home = choose_home(expected, beside, find_room(device, folder))
    return Store(home, expected, device=device, folder=folder)


def expected_bytes(task: Task, settings: Settings) -> int:
    """Estimate the bytes of decoded training images, where shapes differ from a few of them.

    Those that are not there are taken for squares.
    """
    area = settings.load_size**2
    square = {d: (task.pixel_format(d).num_bytes + settings.instances) * area for d in task.domains}
    if settings.resize == "square" or task.reader.is_planned:
        return sum(square[domain] * count for domain, count in task.num_train.items())
    return sum(_expected_whole(task.images("train", d), square[d]) for d in task.domains)


def _expected_whole(images: list[TaskImage], square: int) -> int:
    """Estimate the bytes of images that keep their aspect ratios."""
    looked_at = images[:: -(-len(images) // LOOKED_AT)]
    longer = 0.0
    for image in looked_at:
        with naming(image):
            size = image.read().size
        longer += max(size) / min(size) / len(looked_at)
    return math.ceil(square * longer * len(images))


@dataclass(frozen=True, eq=False)
class _Domain:
    names: list[str]
    format: PixelFormat
    pixels: list[Tensor]  # (channels, height, width) each
    draws: _Draws
    labels: Tensor | None  # (images, attributes), float32
    masks: list[Tensor] | None  # (instances, height, width) each, uint8, 0 or 1
    slab: _Slab | None  # the same pixels, where a batch can be cut at once


class _Draws:
    """The image and crop of each sample of a stream, drawn for many samples at once."""

    def __init__(self, seed: int, stream: str, pixels: list[Tensor], settings: Settings) -> None:
        self._seed, self._stream, self._settings = seed, stream, settings
        self._sizes = torch.tensor([image.shape[1:] for image in pixels])
        self._number, self._block = -1, list[Crop]()
        self._rows = torch.empty(0)  # the same

    def of(self, first_sample: int, size: int) -> list[Crop]:
        """Return the draws of ``size`` samples, which do not depend on what was asked before."""
        found: list[Crop] = []
        for number, part in _parts(first_sample, size, BLOCK):
            self.block(number)
            found += self._block[part]
        return found

    def turns(self, first_sample: int, size: int) -> list[Turn] | None:
        """Return angle and factor of each sample; None where images are not turned."""
        if not is_turned(self._settings):
            return None
        return draw_turns(self._settings, Randomness(self._seed, first_sample), self._stream, size)

    def block(self, number: int) -> Tensor:
        """Return the draws of samples ``number * BLOCK``, ..., (BLOCK, 4), as ``Crop``."""
        if number != self._number:
            self._number, self._rows = number, self._draw(number * BLOCK)
            rows = self._rows.tolist()
            self._block = [(index, top, left, flip) for index, top, left, flip in rows]
        return self._rows

    def _draw(self, first: int) -> Tensor:
        settings, random = self._settings, Randomness(self._seed, first)
        chosen = sample_order(self._seed, self._stream, len(self._sizes), first, BLOCK)
        order = torch.from_numpy(chosen)
        draws = random.integers(f"crop_{self._stream}", 1 << 31, (BLOCK, 2))
        offsets = draws * (self._sizes[order] - settings.crop_size + 1) >> 31
        flips = random.integers(f"flip_{self._stream}", 2, (BLOCK, 1)) * settings.flip
        return torch.cat([order[:, None], offsets, flips], dim=1)


def _parts(first_sample: int, size: int, block: int) -> Iterator[tuple[int, slice]]:
    """Yield the blocks that samples lie in, and their places in each."""
    for number in range(first_sample // block, (first_sample + size - 1) // block + 1):
        start, stop = first_sample - number * block, first_sample + size - number * block
        yield number, slice(max(0, start), min(stop, block))


def _lie_side_by_side(pixels: list[Tensor]) -> bool:
    """Tell whether images share a shape and lie in one memory at even distances."""
    first = pixels[0]
    memory, size = first.untyped_storage().data_ptr(), first.numel()
    return all(
        each.shape == first.shape
        and each.untyped_storage().data_ptr() == memory
        and each.storage_offset() % size == 0
        for each in pixels
    )


class _Slab:
    """Images in one tensor on a device, from which one kernel crops the next few batches.

    Args:
        pixels: The images, (channels, height, width) each.
        draws: Of their samples.
        crop: Side of a crop.
        kind: What the images consist of.
    """

    def __init__(self, pixels: list[Tensor], draws: _Draws, crop: int, kind: PixelFormat) -> None:
        first, self._format = pixels[0], kind
        size = first.numel()
        count = first.untyped_storage().nbytes() // (size * first.element_size())
        self._pixels = first.as_strided((count, *first.shape), (size, *first.stride()), 0)
        self._places = torch.tensor([each.storage_offset() // size for each in pixels])
        self._draws, self._device = draws, first.device
        self._along = torch.arange(crop)
        self._channels = torch.arange(len(first), device=self._device)[:, None, None]
        self._number, self._block = -1, tuple[Tensor, ...]()
        few = max(1, min(MOST_CROPS, MOST_PIXELS // crop**2))
        self._few = 1 << (few.bit_length() - 1)  # which divides a block
        self._few_number, self._crops = -1, torch.empty(0)

    def cut(self, first_sample: int, size: int) -> Tensor:
        """Crop and mirror images, (size, channels, crop, crop), float in [-1, 1].

        The result may be a view of memory that other batches share.
        """
        few = _parts(first_sample, size, self._few)
        parts = [self._cut(number)[part] for number, part in few]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _cut(self, number: int) -> Tensor:
        """Crop several samples at once: for single ones, launching kernels would take longest."""
        if number != self._few_number:
            ((block, part),) = _parts(number * self._few, self._few, BLOCK)
            if block != self._number:
                self._number, self._block = block, self._prepare(block)
            places, rows, columns = (each[part] for each in self._block)
            crops = self._pixels[places, self._channels, rows, columns]
            self._few_number, self._crops = number, to_float(crops, self._format)
        return self._crops

    def _prepare(self, number: int) -> tuple[Tensor, ...]:
        """Give image, rows and columns of each sample of a block, on the device."""
        index, top, left, is_mirrored = self._draws.block(number).unbind(dim=1)
        across = self._along.expand(BLOCK, -1)
        across = torch.where(is_mirrored[:, None] == 1, across.flip(1), across)
        found = (
            self._places[index].view(BLOCK, 1, 1, 1),
            (top[:, None] + self._along).view(BLOCK, 1, -1, 1),
            (left[:, None] + across).view(BLOCK, 1, 1, -1),
        )
        if self._device.type == "cuda":  # or the copy would wait for the device
            found = tuple(each.pin_memory() for each in found)
        return tuple(each.to(self._device, non_blocking=True) for each in found)


def _shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    """Report the progress of a part as progress of the whole."""
    if progress is None:
        return None
    return lambda part, _: progress(done + part, total)
