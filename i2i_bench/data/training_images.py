"""Training images: decoded once, ordered and augmented as pure functions of a seed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from i2i_bench.data.decode import counted, naming, resize_image, scale_in_place, to_float, to_tensor
from i2i_bench.data.store import Store, choose_home, find_room
from i2i_bench.model import Batch, Settings
from i2i_bench.randomness import Randomness
from i2i_bench.system.prefetch import images_per_part, prefetch
from i2i_bench.system.progress import Progress
from i2i_bench.tasks.task import Task, TaskImage

Crop = tuple[int, int, int, int]  # index of the image, top and left of its crop, 1 if mirrored

BLOCK = 512  # samples whose draws are made at once: one by one they would take longer than the crop
MOST_CROPS = 16  # made at once on a device
MOST_PIXELS = 2**20  # of all crops made at once, unless it is one
LOOKED_AT = 8  # images of a domain from which the size of all is told, where shapes differ


def _keep_all(
    images: list[TaskImage], store: Store, settings: Settings, progress: Progress | None
) -> list[Tensor]:
    """Decode training images into a store, each (3, height, width), uint8."""
    rule = replace(settings.resize_rule, size=settings.load_size)

    def keep(image: TaskImage) -> Tensor:
        with naming(image):
            resized = resize_image(image.read(), rule)
        return store.keep(to_tensor(resized))

    kept = prefetch(keep, images, part_size=images_per_part(settings.load_size, len(images)))
    return list(counted(kept, len(images), progress))


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
        in_pairs: Whether images of a paired task are to come, cropped and mirrored alike, as pairs.

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
        in_pairs: bool = False,
    ) -> None:
        if settings.crop_size > settings.load_size:
            raise ValueError(
                f"crop_size {settings.crop_size} is larger than load_size {settings.load_size}; "
                "choose a crop that fits into the resized image"
            )
        self.task, self.settings, self.seed = task, settings, seed
        self.device = torch.device(device)
        store = store or make_store(task, settings, self.device)
        self._domains: dict[str, _Domain] = {}
        done, total = 0, sum(task.num_train.values())
        for domain in task.domains:
            images = task.images("train", domain)
            pixels = _keep_all(images, store, settings, _shifted(progress, done, total))
            labels = task.labels("train", domain)
            known = None if labels is None else torch.tensor(labels, dtype=torch.float32)
            stream = "pair" if in_pairs and task.paired else domain
            draws = _Draws(seed, stream, pixels, settings)
            names = [image.name for image in images]
            slab = None
            if store.home == "device" and _lie_side_by_side(pixels):
                slab = _Slab(pixels, draws, settings.crop_size)
            self._domains[domain] = _Domain(names, pixels, draws, known, slab)
            done += len(images)

    def batch(self, first_sample: int, size: int) -> Batch:
        """Make the batch of samples ``first_sample``, ..., ``first_sample + size - 1``.

        Each image of a domain is seen once before any is seen again. Domains have their own order,
        crops and flips, unless they come in pairs. The host never waits for a CUDA device.

        Returns:
            Images (size, 3, crop, crop) in [-1, 1], float32, on the device, their names and, in a
            labelled task, their labels. Images are not to be changed in place: a part of them may
            be given again.
        """
        images: dict[str, Tensor] = {}
        names: dict[str, list[str]] = {}
        labels: dict[str, Tensor] = {}
        for name, domain in self._domains.items():
            chosen = domain.draws.of(first_sample, size)
            if domain.slab is None:
                images[name] = self._cut(domain.pixels, chosen)
            else:
                images[name] = domain.slab.cut(first_sample, size)
            names[name] = [domain.names[index] for index, *_ in chosen]
            if domain.labels is not None:
                rows = torch.stack([domain.labels[index] for index, *_ in chosen])
                labels[name] = rows.to(self.device, non_blocking=True)
        return Batch(images, labels or None, names=names)

    def _cut(self, pixels: list[Tensor], chosen: list[Crop]) -> Tensor:
        """Crop and mirror images, (batch, 3, crop, crop), float in [-1, 1], on the device."""
        crop = self.settings.crop_size
        shape = (len(chosen), 3, crop, crop)
        cut = torch.empty(shape, device=self.device)
        for slot, (index, top, left, is_mirrored) in zip(cut, chosen, strict=True):
            whole = pixels[index].to(self.device, non_blocking=True)
            part = whole[:, top : top + crop, left : left + crop]
            slot.copy_(part.flip(2) if is_mirrored else part)
        return scale_in_place(cut)


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
    """Estimate the bytes of decoded training images, where shapes differ from a few of them."""
    square = 3 * settings.load_size**2
    if settings.resize == "square":
        return square * sum(task.num_train.values())
    return sum(_expected_whole(task.images("train", d), square) for d in task.domains)


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
    pixels: list[Tensor]  # (3, height, width) each, uint8
    draws: _Draws
    labels: Tensor | None  # (images, attributes), float32
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
        pixels: The images, (3, height, width) each.
        draws: Of their samples.
        crop: Side of a crop.
    """

    def __init__(self, pixels: list[Tensor], draws: _Draws, crop: int) -> None:
        first = pixels[0]
        size = first.numel()
        count = first.untyped_storage().nbytes() // size
        self._pixels = first.as_strided((count, *first.shape), (size, *first.stride()), 0)
        self._places = torch.tensor([each.storage_offset() // size for each in pixels])
        self._draws, self._device = draws, first.device
        self._along = torch.arange(crop)
        self._channels = torch.arange(3, device=self._device)[:, None, None]
        self._number, self._block = -1, tuple[Tensor, ...]()
        few = max(1, min(MOST_CROPS, MOST_PIXELS // crop**2))
        self._few = 1 << (few.bit_length() - 1)  # which divides a block
        self._few_number, self._crops = -1, torch.empty(0)

    def cut(self, first_sample: int, size: int) -> Tensor:
        """Crop and mirror images, (size, 3, crop, crop), float in [-1, 1].

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
            self._few_number, self._crops = number, to_float(crops)
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


def sample_order(
    seed: int, stream: str, count: int, first_sample: int, size: int
) -> NDArray[np.int64]:
    """Return the indices of the images at the given sample positions.

    Positions are cut into blocks of ``count``; each block is a permutation of all images that
    depends on seed, stream and block alone.
    """
    if size == 0:
        return np.empty(0, np.int64)
    first_block, last_block = first_sample // count, (first_sample + size - 1) // count
    blocks = [
        _permutation(seed, stream, block, count) for block in range(first_block, last_block + 1)
    ]
    start = first_sample - first_block * count
    return np.concatenate(blocks)[start : start + size]


@lru_cache(maxsize=8)
def _permutation(seed: int, stream: str, block: int, count: int) -> NDArray[np.int64]:
    """Sort raw random words, so that no version of numpy gives another order."""
    digest = hashlib.sha256(f"i2i-bench/order/{seed}/{stream}/{block}".encode()).digest()
    words = np.random.PCG64(int.from_bytes(digest[:8], "big")).random_raw(count)
    return np.argsort(words, kind="stable").astype(np.int64)


def _shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    """Report the progress of a part as progress of the whole."""
    if progress is None:
        return None
    return lambda part, _: progress(done + part, total)
