"""Measure translations of files, and how time and memory grow with test images; print tables.

Run it from a checkout: ``.venv/bin/python benchmarks/translate.py``. Weights are random, images are
photographs' worth of detail (noise over gradients) as PNG. ``--part files`` compares the network
alone with files from disk to disk; ``--part growth`` translates test sets of several sizes, each in
a process of its own; ``--part png --folder FOLDER`` writes photographs at two levels of
compression; ``--part disk`` shows what is left of reading and writing where a disk takes long to
say that it has a file, ``--part small`` what the threads of files take from a network's.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image

from i2i_bench.data.decode import decode_one, to_float, to_uint8
from i2i_bench.data.png import PNG_LEVEL, save_images
from i2i_bench.data.requests import Request, translate_images
from i2i_bench.data.test_set import TestSet
from i2i_bench.model import A2B, Batch, Direction, Model, ResizeRule
from i2i_bench.plugins import registry
from i2i_bench.plugins.toy import toy
from i2i_bench.randomness import Randomness
from i2i_bench.runs.job import Choices
from i2i_bench.runs.plan import plan_runs
from i2i_bench.runs.translate import translate_files
from i2i_bench.runs.translator import Translator
from i2i_bench.scoring import translations
from i2i_bench.scoring.translations import BATCH_SIZE
from i2i_bench.system import prefetch
from i2i_bench.system.prefetch import WRITERS
from i2i_bench.tasks.image_file import read_image
from i2i_bench.tasks.task import TaskImage
from i2i_bench.training import memory
from i2i_bench.training.start import place_model

MODELS = ("cyclegan", "attentiongan")
GROWTH_MODEL, GROWTH_SIZE = "cyclegan", 64
SMALL = 32
PROCESSOR = "seconds of the processor, for a machine that has other work"

Clock = Callable[[], float]


def write_images(folder: Path, count: int, size: int) -> list[Path]:
    """Write PNG files that take about as long to decode and encode as photographs."""
    folder.mkdir(parents=True)
    random = np.random.RandomState(0)
    ramp = np.linspace(0, 200, size)[:, None, None]
    paths = [folder / f"{index:04}.png" for index in range(count)]
    for path in paths:
        noise = random.randint(0, 24, (size, size, 3))
        Image.fromarray((ramp + noise).astype(np.uint8)).save(path)
    return paths


def published(name: str) -> Model:
    """Build a model at its published configuration, with random weights."""
    model_class = registry.load_model(name)
    torch.manual_seed(0)
    model = model_class(model_class.settings("published", toy(model_class)).config)
    model.networks.eval()
    return model


def wait(device: torch.device) -> None:
    """Wait until a CUDA device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def network_alone(
    model: Model, paths: list[Path], size: int, *, device: torch.device, clock: Clock
) -> float:
    """Give the seconds of translating images that lie decoded on the device."""
    images = [TaskImage(path.name, lambda path=path: read_image(path)) for path in paths]
    decoded = [decode_one(each, ResizeRule(size)) for each in images]
    batches = [each.to(device) for each in torch.stack(decoded).split(BATCH_SIZE)]
    wait(device)
    start = clock()
    with torch.no_grad():
        for batch in batches:
            to_uint8(translate_images(model, Request(A2B, to_float(batch)), Randomness(0)))
    wait(device)
    return clock() - start


def from_files(
    model: Model, folder: Path, size: int, *, device: torch.device, clock: Clock
) -> float:
    """Give the seconds of translating the files of a folder's folder ``in``, to ``out``."""
    translator = Translator(model, ResizeRule(size))
    start = clock()
    translate_files(
        translator,
        folder / "in",
        folder / "out",
        device=device,
        report=lambda *_: None,
    )
    return clock() - start


def files(count: int, size: int, device: torch.device, clock: Clock) -> None:
    """Print the network's own throughput and that of files."""
    print(
        f"| {count} files of {size} px, {device.type}, {torch.get_num_threads()} threads ", end=""
    )
    print("| network, images/s | `translate`, images/s | share |\n|:--|--:|--:|--:|")
    for name in MODELS:
        model = published(name)
        place_model(model, device)
        with tempfile.TemporaryDirectory() as folder:
            paths = write_images(Path(folder) / "in", count, size)
            network_alone(
                model, paths[:BATCH_SIZE], size, device=device, clock=clock
            )  # what is done once
            alone = network_alone(model, paths, size, device=device, clock=clock)
            whole = from_files(model, Path(folder), size, device=device, clock=clock)
        shown = f"{count / alone:.2f} | {count / whole:.2f} | {alone / whole:.3f}"
        print(f"| {name} | {shown} |", flush=True)


def levels(folder: Path, size: int) -> None:
    """Print what the images of a folder cost as PNG at the usual level and at ours."""
    paths = sorted(folder.iterdir())
    images = [read_image(path).resize((size, size), Image.Resampling.BICUBIC) for path in paths]
    print(f"| {len(images)} photographs of {size} px | ms | bytes |\n|:--|--:|--:|")
    for level in (6, PNG_LEVEL):
        written = [io.BytesIO() for _ in images]
        start = time.process_time()
        for image, file in zip(images, written, strict=True):
            image.save(file, "PNG", compress_level=level)
        each = (time.process_time() - start) / len(images)
        length = sum(file.tell() for file in written) // len(images)
        print(f"| level {level} | {each * 1000:.2f} | {length:,} |")


def small(count: int) -> None:
    """Print what files cost beside their pixels, which are few here, alone and beside a network.

    The network is all launches and no arithmetic, as a GPU's thread sees one: CycleGAN's, of one
    channel. Threads are those of a machine with 16 cores.
    """
    device, clock = torch.device("cpu"), time.perf_counter
    torch.set_num_threads(1)
    os.cpu_count = lambda: 16
    model_class = registry.load_model("cyclegan")
    config = model_class.settings("published", toy(model_class)).config
    model = model_class(dataclasses.replace(config, generator_width=1, discriminator_width=1))
    model.networks.eval()
    print(f"| {count} files of {SMALL} px, 16 threads that read, {WRITERS} that write ", end="")
    print("| no network, images/s | network, images/s | both, images/s | share |")
    print("|:--|--:|--:|--:|--:|")
    for number in range(1, 4):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            paths = write_images(folder / "in", count, SMALL)
            without = from_files(_MIRROR, folder, SMALL, device=device, clock=clock)
            alone = network_alone(model, paths, SMALL, device=device, clock=clock)
            both = from_files(model, folder, SMALL, device=device, clock=clock)
        shown = " | ".join(f"{count / each:.0f}" for each in (without, alone, both))
        print(f"| try {number} | {shown} | {alone / both:.2f} |", flush=True)


class _Mirror:
    """A network that takes no time."""

    networks = torch.nn.ModuleDict()

    def translate(self, batch: Batch, direction: Direction, random: Randomness) -> torch.Tensor:
        """Mirror the images."""
        return batch.images[direction.source].flip(3)


_MIRROR = cast("Model", _Mirror())


def disks(count: int, size: int, threads: list[int]) -> None:
    """Print the throughput of files where ``fsync`` takes longer than here."""
    true_sync = os.fsync
    print(f"| {count} files of {size} px, no network, images/s | ", end="")
    print(" | ".join(f"{each} threads that write" for each in threads) + " |")
    print("|:--|" + "--:|" * len(threads))
    for delay in (0, 5, 20, 50):

        def slow_sync(handle: int, seconds: float = delay / 1000) -> None:
            time.sleep(seconds)
            true_sync(handle)

        found = []
        for number in threads:
            prefetch.WRITERS, os.fsync = number, slow_sync
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                write_images(folder / "in", count, size)
                cpu = torch.device("cpu")
                taken = from_files(_MIRROR, folder, size, device=cpu, clock=time.perf_counter)
                found.append(count / taken)
        shown = " | ".join(f"{each:.0f}" for each in found)
        print(f"| {delay} ms more for each file | {shown} |", flush=True)


def grow(counts: list[int], *, is_processor: bool) -> None:
    """Print the time and the memory of test sets, each found in a process of its own."""
    print(f"| test images of {GROWTH_SIZE} px, a to b, {GROWTH_MODEL}, tiny networks ", end="")
    print("| references, s | translation, s | saving, s | more memory at most, MiB |")
    print("|--:|--:|--:|--:|--:|")
    for count in counts:
        program = [sys.executable, __file__, "--part", "one", "--images", str(count)]
        program += ["--processor"] if is_processor else []
        done = subprocess.run(program, check=True, capture_output=True, text=True)
        print(done.stdout.strip(), flush=True)


def one(count: int, clock: Clock) -> None:
    """Print the row of one number of test images."""
    device = torch.device("cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for split, number in (("train", 8), ("test", count)):
            for domain in "AB":
                write_images(folder / "set" / f"{split}{domain}", number, GROWTH_SIZE)
        changes = {"load_size": str(GROWTH_SIZE), "crop_size": str(GROWTH_SIZE)}
        found = plan_runs(
            [GROWTH_MODEL], [str(folder / "set")], [0], Choices("tiny", changes), folder
        )
        (job,) = found
        model = job.model_class(job.settings.config)
        memory.reset_peak_memory(device)
        before, moments = memory.peak_memory(device), [clock()]
        test_set = TestSet(job.task, job.settings.resize_rule)
        against = translations.reference(test_set, A2B)
        moments.append(clock())
        made = translations.translate_test_set(model, test_set, A2B, device=device)
        moments.append(clock())
        save_images(folder / "out", made.names, made.fakes)
        moments.append(clock())
        more = (memory.peak_memory(device) - before) / 2**20
    assert len(against.real) == len(made.fakes) == count
    seconds = [later - earlier for earlier, later in itertools.pairwise(moments)]
    print(f"| {count} | {' | '.join(f'{each:.2f}' for each in seconds)} | {more:.0f} |")


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--part",
        choices=["files", "growth", "png", "disk", "small", "one", "all"],
        default="all",
    )
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--counts", type=int, nargs="+", default=[50, 200, 800])
    parser.add_argument("--folder", type=Path, default=Path(), help="of photographs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--processor", action="store_true", help=PROCESSOR)
    chosen = parser.parse_args()
    clock = time.process_time if chosen.processor else time.perf_counter
    if chosen.part == "png":
        levels(chosen.folder, chosen.size)
        return
    if chosen.part == "disk":
        disks(chosen.images, chosen.size, [os.cpu_count() or 1, WRITERS])
        return
    if chosen.part == "small":
        small(chosen.images)
        return
    if chosen.part == "one":
        one(chosen.images, clock)
        return
    if chosen.part in ("files", "all"):
        files(chosen.images, chosen.size, torch.device(chosen.device), clock)
    if chosen.part in ("growth", "all"):
        grow(chosen.counts, is_processor=chosen.processor)


if __name__ == "__main__":
    main()
