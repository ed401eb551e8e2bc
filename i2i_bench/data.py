"""Images of a task as tensors: decoded once, ordered and augmented as pure functions of a seed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from i2i_bench import memory
from i2i_bench.model import Batch, Randomness, Settings
from i2i_bench.tasks.task import Task, TaskImage

Resampling = Literal["bicubic", "bilinear", "lanczos"]
Resize = Literal["square", "short_side"]
Progress = Callable[[int, int], None]  # images done, images in all


def decode(
    images: list[TaskImage],
    *,
    size: int,
    resampling: Resampling,
    resize: Resize = "square",
    progress: Progress | None = None,
) -> Tensor:
    """Decode images and resize them with PIL; an image that has the size already is not resampled.

    Args:
        images: What to decode.
        size: Side in pixels.
        resampling: Filter of the resize.
        resize: ``square`` ignores the aspect ratio; ``short_side`` keeps it and crops the centre.
        progress: Told after each image.

    Returns:
        (images, 3, size, size), uint8.

    Raises:
        ValueError: If an image cannot be decoded, naming it.
    """
    decoded = torch.empty((len(images), 3, size, size), dtype=torch.uint8)

    def store(index: int, image: Image.Image) -> None:
        decoded[index] = _to_tensor(_crop_centre(_resize(image, size, resampling, resize), size))

    _read_all(images, store, progress)
    return decoded


def _decode_whole(
    images: list[TaskImage], *, size: int, resampling: Resampling, progress: Progress | None
) -> list[Tensor]:
    """Decode images to the given short side, each (3, height, width), uint8."""
    decoded: dict[int, Tensor] = {}

    def store(index: int, image: Image.Image) -> None:
        decoded[index] = _to_tensor(_resize(image, size, resampling, "short_side")).contiguous()

    _read_all(images, store, progress)
    return [decoded[index] for index in range(len(images))]


def _read_all(
    images: list[TaskImage],
    store: Callable[[int, Image.Image], None],
    progress: Progress | None,
) -> None:
    """Read images on all cores and hand each with its index to ``store``."""

    def work(index: int) -> None:
        image = images[index]
        try:
            store(index, image.read())
        except MemoryError:
            raise
        except Exception as error:
            if isinstance(error, ValueError) and image.name in str(error):
                raise
            raise ValueError(f"cannot decode image {image.name}: {error}") from error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, _ in enumerate(pool.map(work, range(len(images))), start=1):
            if progress is not None:
                progress(done, len(images))


def _resize(image: Image.Image, size: int, resampling: Resampling, resize: Resize) -> Image.Image:
    width, height = image.size
    if resize == "square":
        target = (size, size)
    else:  # the long side is truncated, as torchvision does
        short = min(width, height)
        target = (size * width // short, size * height // short)
    if target == image.size:
        return image
    return image.resize(target, Image.Resampling[resampling.upper()])


def _crop_centre(image: Image.Image, size: int) -> Image.Image:
    """Crop the central square, rounding as torchvision does."""
    left, top = (round((side - size) / 2) for side in image.size)
    return image.crop((left, top, left + size, top + size))


def _to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


class TrainingImages:
    """The training images of a task, kept decoded in memory, and the batches made of them.

    Every batch is a pure function of (task, settings, seed, index of its first sample): it does not
    depend on the batches before it, nor on the device.

    Args:
        task: Whose images.
        settings: Sizes, resize and flip.
        seed: Seed of the run.
        device: Where batches are wanted.
        progress: Told after each decoded image, over all domains.

    Raises:
        ValueError: If the crop is larger than the image, the images do not fit into memory, or one
            cannot be decoded.
    """

    def __init__(
        self,
        task: Task,
        settings: Settings,
        seed: int,
        device: torch.device | str = "cpu",
        progress: Progress | None = None,
    ) -> None:
        if settings.crop_size > settings.load_size:
            raise ValueError(
                f"crop_size {settings.crop_size} is larger than load_size {settings.load_size}; "
                "choose a crop that fits into the resized image"
            )
        _check_memory(task, settings)
        self.task, self.settings, self.seed = task, settings, seed
        self.device = torch.device(device)
        self._names: dict[str, list[str]] = {}
        self._pixels: dict[str, Tensor | list[Tensor]] = {}
        self._labels: dict[str, Tensor] = {}
        done, total = 0, sum(task.num_train.values())
        for domain in task.domains:
            images = task.images("train", domain)
            self._names[domain] = [image.name for image in images]
            self._pixels[domain] = self._decode(images, _shifted(progress, done, total))
            done += len(images)
            labels = task.labels("train", domain)
            if labels is not None:
                self._labels[domain] = torch.tensor(labels, dtype=torch.float32)

    def batch(self, first_sample: int, size: int) -> Batch:
        """Make the batch of samples ``first_sample``, ..., ``first_sample + size - 1``.

        Each image of a domain is seen once before any is seen again. Domains have their own order,
        crops and flips, unless the task is paired.

        Returns:
            Images (size, 3, crop, crop) in [-1, 1], float32, on the device, their names and, in a
            labelled task, their labels.
        """
        random = Randomness(self.seed, first_sample, self.device)
        images: dict[str, Tensor] = {}
        names: dict[str, list[str]] = {}
        labels: dict[str, Tensor] = {}
        for domain in self.task.domains:
            stream = "pair" if self.task.paired else domain
            count = len(self._names[domain])
            order = sample_order(self.seed, stream, count, first_sample, size)
            whole, sizes = _select(self._pixels[domain], order)
            cropped = self._augment(whole.to(self.device), sizes, random, stream)
            images[domain] = to_float(cropped)
            names[domain] = [self._names[domain][index] for index in order]
            if domain in self._labels:
                labels[domain] = self._labels[domain][torch.from_numpy(order)].to(self.device)
        return Batch(images, labels or None, names=names)

    def _decode(self, images: list[TaskImage], progress: Progress | None) -> Tensor | list[Tensor]:
        size, resampling = self.settings.load_size, self.settings.resampling
        if self.settings.resize == "square":
            return decode(images, size=size, resampling=resampling, progress=progress)
        return _decode_whole(images, size=size, resampling=resampling, progress=progress)

    def _augment(self, whole: Tensor, sizes: Tensor, random: Randomness, stream: str) -> Tensor:
        """Crop and mirror each image by its own draws.

        Args:
            whole: (batch, 3, height, width), uint8, padded where images are smaller.
            sizes: (batch, 2), height and width of each image.
            random: Source of chance of the batch.
            stream: Which draws to use.

        Returns:
            (batch, 3, crop, crop), uint8.
        """
        count, crop = len(whole), self.settings.crop_size
        draws = random.integers(f"crop_{stream}", 1 << 31, (count, 2))
        offsets = draws * (sizes.to(whole.device) - crop + 1) >> 31
        columns = torch.arange(crop, device=whole.device).expand(count, crop)
        rows = columns + offsets[:, :1]
        if self.settings.flip:
            flips = random.integers(f"flip_{stream}", 2, (count, 1))
            columns = torch.where(flips == 1, crop - 1 - columns, columns)
        columns = columns + offsets[:, 1:]
        pixels = rows[:, :, None] * whole.shape[3] + columns[:, None, :]  # (batch, crop, crop)
        flat = pixels.reshape(count, 1, -1).expand(-1, 3, -1)
        return whole.reshape(count, 3, -1).gather(2, flat).reshape(count, 3, crop, crop)


def sample_order(
    seed: int, stream: str, count: int, first_sample: int, size: int
) -> NDArray[np.int64]:
    """Give the indices of the images at the given sample positions.

    Positions are cut into blocks of ``count``; each block is a permutation of all images that
    depends on seed, stream and block alone.
    """
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


def _select(pixels: Tensor | list[Tensor], order: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Give the images of a batch, padded at the bottom and right, and their (height, width)."""
    if isinstance(pixels, Tensor):
        whole = pixels[torch.from_numpy(order)]
        return whole, torch.tensor(whole.shape[2:]).expand(len(order), 2)
    chosen = [pixels[index] for index in order]
    sizes = torch.tensor([image.shape[1:] for image in chosen])
    height, width = (int(side) for side in sizes.amax(dim=0))
    whole = torch.zeros((len(chosen), 3, height, width), dtype=torch.uint8)
    for slot, image in zip(whole, chosen, strict=True):
        slot[:, : image.shape[1], : image.shape[2]] = image
    return whole, sizes


def _shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    """Report the progress of a part as that of the whole."""
    if progress is None:
        return None
    return lambda part, _: progress(done + part, total)


def test_images(task: Task, domain: str, settings: Settings) -> tuple[Tensor, list[str]]:
    """Decode the test images of a domain at the size of the crop, without crop or flip at random.

    Returns:
        (images, 3, crop, crop), uint8, and their names.
    """
    images = task.images("test", domain)
    decoded = decode(
        images,
        size=settings.crop_size,
        resampling=settings.resampling,
        resize=settings.resize,
    )
    return decoded, [image.name for image in images]


def to_float(images: Tensor) -> Tensor:
    """Map uint8 to [-1, 1] in float32, bit for bit as torchvision's ToTensor and Normalize do."""
    # CUDA multiplies by the reciprocal of a Python number, which is another result than division.
    scale = torch.full((), 255.0, device=images.device)
    return (images / scale).sub_(0.5).div_(0.5)


def to_uint8(images: Tensor) -> Tensor:
    """Map [-1, 1] to uint8, clipped and rounded."""
    return ((images + 1) * 127.5).clamp(0, 255).round().to(torch.uint8)


def _check_memory(task: Task, settings: Settings) -> None:
    """Refuse training images that cannot fit into memory."""
    needed = 3 * settings.load_size**2 * sum(task.num_train.values())
    available = memory.available(torch.device("cpu"))
    if available is not None and needed > available:
        raise ValueError(
            f"the training images of {task.name} take {needed / 2**30:.1f} GiB at load_size "
            f"{settings.load_size}, but {available / 2**30:.1f} GiB of memory are available; "
            "use a smaller load_size or a machine with more memory"
        )
