"""Feed files that nobody would write to everything that reads files, and watch what happens.

Whatever is read, the answer is either a value or a ValueError of one sentence: no other exception,
nothing executed, nothing written outside the target's folder, no more memory than the limit, no
second more than the limit. With ``--atheris`` libFuzzer chooses the bytes by the branches they
reach in this package; without, they are mutations of sound files.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzzing import hostile, readers, sound
from fuzzing.guard import Guard, require_sentence, stop_slow

MEMORY = 2 * 2**30  # bytes beyond those at the start

Target = Callable[[bytes, Path], object]


@dataclass(frozen=True)
class Fuzzed:
    """Something that reads files.

    Attributes:
        read: Reads bytes, in a folder of its own.
        seeds: Makes sound files.
        change: Makes a hostile file of a sound one; None for any bytes.
    """

    read: Target
    seeds: Callable[[], list[bytes]]
    change: Callable[[random.Random, bytes], bytes] | None = None


TARGETS = {
    "record": Fuzzed(readers.read_record, sound.sound_records, hostile.change_json),
    "external": Fuzzed(readers.read_external, sound.sound_external, hostile.change_json),
    "notes": Fuzzed(readers.read_notes, sound.sound_notes, hostile.change_json),
    "setting": Fuzzed(readers.read_setting, sound.sound_settings),
    "image": Fuzzed(readers.read_image, sound.sound_images),
    "deep": Fuzzed(readers.read_deep, sound.sound_deep_images),
    "mask": Fuzzed(readers.read_mask, sound.sound_masks),
    "images": Fuzzed(readers.read_images, sound.sound_zips, hostile.change_archive),
    "task-file": Fuzzed(readers.read_task_file, sound.sound_task_files, hostile.change_lines),
    "name-list": Fuzzed(readers.read_name_list, sound.sound_name_lists, hostile.change_lines),
    "results": Fuzzed(readers.read_results, sound.sound_results),
    "archive": Fuzzed(readers.read_archive, sound.sound_archives, hostile.change_archive),
    "parquet": Fuzzed(readers.read_parquet, sound.sound_parquets, hostile.change_parquet),
    "hub": Fuzzed(readers.read_hub_answer, sound.sound_hub_answers, hostile.change_json),
    "checkpoint": Fuzzed(
        readers.read_checkpoint, sound.sound_checkpoints, hostile.change_checkpoint
    ),
    "official": Fuzzed(readers.read_official, sound.sound_officials, hostile.change_checkpoint),
    "weights": Fuzzed(readers.read_weights, sound.sound_weights),
    "metadata": Fuzzed(readers.read_metadata, sound.sound_metadata),
}


def once(guard: Guard, target: Fuzzed, content: bytes) -> str:
    """Read one input; give ``read`` or ``refused``.

    Raises:
        Found: If it ended in anything else.
    """
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name).resolve()
        try:
            with guard.watching(folder):
                target.read(content, folder)
        except ValueError as error:
            require_sentence(error)
            return "refused"
    return "read"


def warm(target: Fuzzed) -> None:
    """Read what is sound, so that imports and their helpers are done before anything is limited.

    Raises:
        Exception: If it cannot be read, as nothing is then known of what is beyond the refusal.
    """
    for content in target.seeds():
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            target.read(content, Path(folder))


def fuzz(name: str, executions: int, seed: int, guard: Guard) -> Counter[str]:
    """Read so many mutations of sound files.

    Raises:
        Exception: The first that is none of the allowed; the input lies in ``fuzz-<name>.bin``.
    """
    target, draw = TARGETS[name], random.Random(f"{name}/{seed}")
    seeds, ended = target.seeds(), Counter[str]()
    change = target.change or hostile.change_bytes
    for _ in range(executions):
        content = change(draw, draw.choice(seeds))
        try:
            ended[once(guard, target, content)] += 1
        except BaseException:
            Path(tempfile.gettempdir(), f"fuzz-{name}.bin").write_bytes(content)
            raise
    return ended


def limit_memory() -> None:
    """Have this process fail rather than grow without bound."""
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    now = int(status["VmData"].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (now + MEMORY, resource.RLIM_INFINITY))


def main() -> None:
    """Print how many inputs were read and refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=list(TARGETS), help=", ".join(TARGETS))
    parser.add_argument("--executions", type=int, default=2000, help="of each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--atheris", type=int, metavar="SECONDS", help="one target, by coverage")
    options = parser.parse_args()
    logging.disable()
    signal.signal(signal.SIGALRM, stop_slow)
    if options.atheris:
        _by_coverage(options.targets[0], options.atheris)
        return
    guard = Guard()
    for name in options.targets:
        warm(TARGETS[name])
        limit_memory()
        began, seeds = time.monotonic(), len(TARGETS[name].seeds())
        ended = fuzz(name, options.executions, options.seed, guard)
        seconds = time.monotonic() - began
        print(
            f"{name}: {ended.total()} of {seeds} seeds in {seconds:.0f} s: {dict(ended)}",
            flush=True,
        )


def _by_coverage(name: str, seconds: int) -> None:
    """Have libFuzzer choose the bytes."""
    atheris: Any = importlib.import_module("atheris")  # typed by nobody
    with atheris.instrument_imports(include=["i2i_bench"]):
        pass

    corpus = Path(tempfile.mkdtemp(prefix=f"corpus-{name}-"))
    for number, content in enumerate(TARGETS[name].seeds()):
        (corpus / str(number)).write_bytes(content)
    warm(TARGETS[name])
    guard = Guard()
    arguments = [f"-max_total_time={seconds}", "-print_final_stats=1", "-rss_limit_mb=4096"]
    atheris.Setup(
        [sys.argv[0], *arguments, str(corpus)],
        lambda content: once(guard, TARGETS[name], content),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
