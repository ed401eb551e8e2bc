"""Train for many small steps and watch what must not grow: memory, open files, threads, folder."""

from __future__ import annotations

import argparse
import gc
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

import torch

from i2i_bench.data.training_images import TrainingImages
from i2i_bench.runs import plan
from i2i_bench.runs.job import Choices, build_model
from i2i_bench.training import loop
from i2i_bench.training.loop import Schedule

SAMPLES = 20
WIDTHS = {"generator_width": "4", "discriminator_width": "4", "num_blocks": "1"}


@dataclass(frozen=True)
class State:
    """What a process and its run take.

    Attributes:
        step: Steps done.
        resident: Bytes of memory.
        handles: Open files.
        threads: Of Python.
        folder: Bytes of the run's files.
        lines: Of the log.
    """

    step: int
    resident: int
    handles: int
    threads: int
    folder: int
    lines: int


def look(step: int, folder: Path) -> State:
    """Give the state of this process, after what is garbage is gone."""
    gc.collect()
    status = dict(s.split(":", 1) for s in Path("/proc/self/status").read_text().splitlines())
    log = folder / loop.LOG
    return State(
        step,
        int(status["VmRSS"].split()[0]) * 1024,
        len(list(Path("/proc/self/fd").iterdir())),
        threading.active_count(),
        sum(path.stat().st_size for path in folder.iterdir()),
        len(log.read_text().splitlines()) if log.exists() else 0,
    )


def watch(
    folder: Path,
    *,
    model: str,
    steps: int,
    seconds: float,
    told: Callable[[State], None] = lambda state: None,
) -> list[State]:
    """Train, saving every so many seconds; tell and give the states along the way."""
    choices = Choices("tiny", WIDTHS | {"batch_size": "1"}, steps)
    (job,) = plan.plan_runs([model], ["stripes"], [0], choices, Path())
    images = TrainingImages(job.task, job.settings, 0)
    found: list[State] = []

    def report(stage: str, done: int, of: int, values: Mapping[str, float]) -> None:
        if stage == "train" and done >= (len(found) + 1) * of // SAMPLES:
            found.append(look(done, folder))
            told(found[-1])

    loop.train(
        build_model(job),
        images,
        Schedule(0, 1, steps, checkpoint_seconds=seconds),
        folder=folder,
        identity=job.identity(),
        report=report,
    )
    return found


def growth(states: list[State]) -> float:
    """Give the bytes of resident memory that a step adds: least squares over the second half."""
    half = states[len(states) // 2 :]
    steps = torch.tensor([state.step for state in half], dtype=torch.float64)
    sizes = torch.tensor([state.resident for state in half], dtype=torch.float64)
    centred = steps - steps.mean()
    return float((centred * sizes).sum() / centred.square().sum())


def _print(state: State) -> None:
    step, resident, handles, threads, size, lines = astuple(state)
    cells = (step, f"{resident / 2**20:.1f}", handles, threads, f"{size / 2**20:.2f}", lines)
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="cyclegan")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--checkpoint-seconds", type=float, default=5.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| step | resident, MiB | open files | threads | folder, MiB | lines of the log |")
    print("|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        states = watch(
            Path(folder),
            model=options.model,
            steps=options.steps,
            seconds=options.checkpoint_seconds,
            told=_print,
        )
    print(f"growth over the second half: {growth(states):.1f} bytes a step")


if __name__ == "__main__":
    main()
