"""Measure how fast crops of training images are delivered; print a Markdown table.

Run it from a checkout: ``.venv/bin/python benchmarks/data.py``. The set is of noise, decoded before
the clock starts; an image counted is one crop of one domain, in float32 on the device. Rows on a
GPU are there if torch finds one. ``--host`` shows what the host adds to batches that a GPU cuts:
crops of 8 px that the processor cuts in the same way.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from i2i_bench.data.store import Home, Store
from i2i_bench.data.training_images import TrainingImages, expected_bytes
from i2i_bench.model import Settings
from i2i_bench.tasks.task import DOMAINS, Task, TaskImage

LOAD, CROP = 286, 256
BATCHES = (1, 4, 16)
PROCESSOR = "seconds of the processor, for a machine that has other work"

Clock = Callable[[], float]


class Noise:
    """Images that are all alike, so that none has to be made while others are decoded."""

    def __init__(self, count: int, load: int) -> None:
        pixels = np.random.RandomState(0).randint(0, 256, (load, load, 3), dtype=np.uint8)
        self._image, self._count = Image.fromarray(pixels), count

    def images(self, split: str, domain: str) -> list[TaskImage]:
        """List the images."""
        return [TaskImage(f"{i}.png", lambda: self._image) for i in range(self._count)]

    def truth(self, source: str, target: str, split: str = "test") -> None:
        """Know nothing."""

    def foreground(self, source: str, target: str, split: str = "test") -> None:
        """Know nothing."""


def noise_task(count: int, load: int, crop: int) -> Task:
    """Make a task of so many images a domain."""
    counts = dict.fromkeys(DOMAINS, count)
    facts = {"version": 1, "title": "", "kind": "folder", "licence": "", "origin": ""}
    sizes = {"image_size": crop, "num_train": counts, "num_test": counts, "paired": False}
    named = {"name": "noise", "domains": DOMAINS, "headline": "kid", "reader": Noise(count, load)}
    return Task(**named, **facts, **sizes)


def speed(images: TrainingImages, batch: int, seconds: float, clock: Clock) -> float:
    """Give the images a second, both domains counted, over so many seconds."""

    def wait() -> None:
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)

    images.batch(0, batch)
    wait()
    start, seen = clock(), 0
    while clock() - start < seconds:
        for _ in range(20):
            images.batch(seen, batch)
            seen += batch
        wait()
    return len(DOMAINS) * seen / (clock() - start)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000, help="of a domain")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a row")
    parser.add_argument("--host", action="store_true", help="show the part of the host")
    parser.add_argument("--processor", action="store_true", help=PROCESSOR)
    chosen = parser.parse_args()
    clock = time.process_time if chosen.processor else time.perf_counter
    load, crop = (10, 8) if chosen.host else (LOAD, CROP)
    task = noise_task(chosen.images, load, crop)
    homes: dict[str, list[Home]] = {"cpu": ["device"] if chosen.host else ["memory", "file"]}
    if torch.cuda.is_available() and not chosen.host:
        homes["cuda"] = ["device", "memory", "file"]
    batches = " | ".join(f"batch {batch}" for batch in BATCHES)
    threads = torch.get_num_threads()
    print(f"| images/s of {crop} px from {load}, {threads} threads | kept, GiB | {batches} |")
    print("|:--|--:|" + "--:|" * len(BATCHES))
    settings = Settings(None, 1, 1, load, crop)
    expected = expected_bytes(task, settings)
    for device, some in homes.items():
        for home in some:
            with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
                store = Store(home, expected, device=torch.device(device), folder=Path(folder))
                images = TrainingImages(task, settings, 0, device, store=store)
                found = [speed(images, batch, chosen.seconds, clock) for batch in BATCHES]
            cells = " | ".join(f"{each:,.0f}" for each in found)
            print(f"| {device}, images in {home} | {expected / 2**30:.2f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
