"""Keep decoded training images on the device, in memory, or in an unnamed file."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from i2i_bench.system.memory import available_memory
from i2i_bench.system.messages import shown_bytes

Home = Literal["device", "memory", "file"]
SPARE = 2**29  # bytes of a CUDA device that images leave free, for libraries and fragments
SLAB = 2**26  # bytes taken at once, so that no size has to be known before the last image


class NoRoomError(ValueError):
    """Images fit neither on the device, nor in memory, nor on the disk."""


@dataclass(frozen=True)
class Room:
    """What is free, in bytes.

    Attributes:
        device: Of a device with memory of its own; None where there is none.
        memory: Of the machine; None where the system does not tell.
        disk: In ``folder``; 0 without one.
        folder: Where a file may be.
    """

    device: int | None
    memory: int | None
    disk: int = 0
    folder: Path | None = None


def find_room(device: torch.device, folder: Path | None = None) -> Room:
    """Measure what is free.

    Args:
        device: Of the training.
        folder: Where a file may be; it need not exist yet.
    """
    own = available_memory(device) if device.type == "cuda" else None
    free = available_memory(torch.device("cpu"))
    if folder is None:
        return Room(own, free)
    nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    return Room(own, free, shutil.disk_usage(nearest).free, folder)


def choose_home(images: int, beside: int, free: Room) -> Home:
    """Choose the fastest home that images fit into.

    Args:
        images: Their bytes.
        beside: What else the training needs, on the same device.
        free: What there is.

    Raises:
        NoRoomError: If they fit nowhere.
    """
    if free.device is not None and images + beside + SPARE <= free.device:
        return "device"
    in_memory = images if free.device is not None else images + beside
    if free.memory is None or in_memory <= free.memory:
        return "memory"
    if images + SLAB <= free.disk:
        return "file"
    disk = f" and {shown_bytes(free.disk)} of disk in {free.folder}" if free.folder else ""
    raise NoRoomError(
        f"the training images take {shown_bytes(images)}, but {shown_bytes(free.memory)} of "
        f"memory{disk} are available; use a smaller load_size or a machine with more memory"
    )


class Store:
    """Keeps images as tensors in one home; images may be added from any thread.

    A file has no name, so that it vanishes with the process, however that ends.

    Args:
        home: Where images are to stay.
        expected: About how many bytes come; a file, or a device's memory, is taken in this size at
            once, and in parts if more come.
        device: Of the training; for a CUDA device memory is pinned, so that copies need no waiting.
        folder: Where a file is to be.
    """

    def __init__(
        self,
        home: Home = "memory",
        expected: int = SLAB,
        *,
        device: torch.device | None = None,
        folder: Path | None = None,
    ) -> None:
        self.home: Home = home
        self.expected = expected
        self._device = device or torch.device("cpu")
        self._slab, self._used = torch.empty(0, dtype=torch.uint8), 0
        self._next = min(SLAB, expected) if home == "memory" else expected
        self._lock, self._folder = threading.Lock(), folder or Path()

    def __str__(self) -> str:
        size = shown_bytes(self.expected)
        if self.home != "file":
            return f"{size} {'on the device' if self.home == 'device' else 'in memory'}"
        return f"{size} in a file in {self._folder}, as they do not fit in memory"

    def like_this(self) -> Store:
        """Return an empty store in the same home, for what belongs to the images of this one."""
        return Store(self.home, SLAB, device=self._device, folder=self._folder)

    def keep(self, image: Tensor) -> Tensor:
        """Copy an image, (channels, height, width), uint8 or uint16, and give the copy.

        Raises:
            OSError: If the disk takes no more.
        """
        size = image.numel() * image.element_size()
        with self._lock:
            self._used += -self._used % image.element_size()  # or it could not be seen as its type
            if self._used + size > len(self._slab):
                self._slab = self._take(max(size, self._next))
                self._used, self._next = 0, min(SLAB, self._next)
            place = self._slab[self._used : self._used + size]
            self._used += size
        return place.view(image.dtype).view(image.shape).copy_(image)

    def _take(self, size: int) -> Tensor:
        if self.home == "file":
            return _map_file(self._folder, size)
        if self.home == "device":
            return torch.empty(size, dtype=torch.uint8, device=self._device)
        return torch.empty(size, dtype=torch.uint8, pin_memory=self._device.type == "cuda")


def _map_file(folder: Path, size: int) -> Tensor:
    """Map an unnamed file, which vanishes once its memory is no longer used."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            _reserve(file.fileno(), size)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(folder)) from error
        return torch.frombuffer(mmap.mmap(file.fileno(), size), dtype=torch.uint8)


def _reserve(handle: int, size: int) -> None:
    """Reserve the room now: writing to the map of a full disk would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
        return
    for _ in range(-(-size // SLAB)):
        os.write(handle, bytes(SLAB))
