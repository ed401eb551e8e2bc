"""Measure how long commands take from a fresh process; print Markdown tables.

Run it from a checkout, on a quiet machine: ``.venv/bin/python benchmarks/startup.py``. The second
table is about ``run`` until its first training step is done: the whole command as a user sees it,
and where the time goes, in a process that does the same things one after the other.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REPETITIONS, RUNS = 5, 3  # of a listing, and of a run
LIMITS = {  # seconds, of design.md section 3
    "--help": 0.3,
    "models": 0.3,
    "tasks": 0.3,
    "protocols": 0.3,
    "leaderboard": 1.0,
    "table ii": 1.0,
    "table iii": 1.0,
    "table iv": 1.0,
}
MODELS = ("cyclegan", "attentiongan")
TASK, PRESET = "stripes", "tiny"
FIRST_STEP_LIMIT = 10.0  # seconds on the CPU
PROCESSOR = "seconds of the processor, for a machine that has other work"

Clock = Callable[[], float]
STAGES = """
import json, sys, time
clock = time.process_time if sys.argv[1] == "0" else time.time
marks = {"interpreter": clock()}
def mark(name):
    marks[name] = clock()
import torch
mark("import torch")
from pathlib import Path
from i2i_bench.cli import carry_out, progress
from i2i_bench.data import test_set, training_images
from i2i_bench.plugins import cost
from i2i_bench.records.folders import Places
from i2i_bench.runs import job as jobs, one_by_one, plan
from i2i_bench.training import loop
mark("other imports")
model_name, task, preset, folder = sys.argv[2:]
places = Places(Path(folder), Path(folder), Path(folder))
(job,) = plan.plan_runs([model_name], [task], [0], jobs.Choices(preset), places.data)
mark("task and plan")
device = torch.device("cpu")
need, store = jobs.expect_memory(job, device, places.runs)
mark("memory expected")
model = jobs.build_model(job)
cost.count_macs(model, job.settings, job.task, device=device)
mark("networks built")
shown = test_set.TestSet(job.task, job.settings.resize_rule)
shown.decode_all()
mark("test images decoded")
images = training_images.TrainingImages(job.task, job.settings, 0, device, store=store)
mark("training images decoded")
class Done(Exception):
    pass
def report(stage, done, of, values):
    mark("first step")
    raise Done
settings = job.settings
schedule = loop.Schedule(0, settings.batch_size, settings.batch_size)
try:
    loop.train(model, images, schedule, folder=Path(folder) / "run",
                   identity=job.identity(), report=report, test_set=shown)
except Done:
    pass
before = float(sys.argv[1])
found = {}
for name, moment in marks.items():
    found[name], before = moment - before, moment
print(json.dumps(found))
"""


def processor() -> float:
    """Give the seconds of the processor that ended programs took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(command: str, clock: Clock) -> float:
    """Give the median wall time of a command in seconds."""
    seconds = []
    for _ in range(REPETITIONS):
        start = clock()
        program = [sys.executable, "-m", "i2i_bench", *command.split()]
        subprocess.run(program, check=True, stdout=subprocess.DEVNULL)
        seconds.append(clock() - start)
    return statistics.median(seconds)


def first_step(model: str, folder: str, clock: Clock) -> float:
    """Give the seconds until ``run`` reports its first training step, and stop it there."""
    chosen = ["--model", model, "--task", TASK, "--preset", PRESET, "--device", "cpu"]
    places = [f"--{name}={folder}/{name}" for name in ("results", "runs", "data")]
    program = [sys.executable, "-m", "i2i_bench", "run", *chosen, *places, "--force"]
    start = clock()
    with subprocess.Popen(program, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stderr
        reached = any(line.startswith(b"train ") for line in process.stderr)
        elapsed = clock() - start
        process.kill()
    if not reached:
        raise RuntimeError(f"{model} took no training step")
    return clock() - start if clock is processor else elapsed


def stages(model: str, folder: str, clock: Clock) -> dict[str, float]:
    """Give the seconds of each stage until the first training step is done."""
    start = "0" if clock is processor else repr(time.time())
    program = [sys.executable, "-c", STAGES, start, model, TASK, PRESET, folder]
    done = subprocess.run(program, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def print_listings(clock: Clock) -> None:
    """Print how long help and listings take."""
    print(f"| command | seconds, median of {REPETITIONS} | limit |")
    print("|:--|--:|--:|")
    for command, limit in LIMITS.items():
        print(f"| `i2i-bench {command}` | {measure(command, clock):.3f} | {limit} |")


def print_first_steps(clock: Clock) -> None:
    """Print how long a run takes to its first step, and where the time goes."""
    whole: dict[str, float] = {}
    parts: dict[str, dict[str, float]] = {}
    for model in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            runs = [first_step(model, folder, clock) for _ in range(RUNS)]
            found = [stages(model, str(Path(folder) / str(i)), clock) for i in range(RUNS)]
        whole[model] = statistics.median(runs)
        parts[model] = {n: statistics.median(each[n] for each in found) for n in found[0]}
    print(f"\n| seconds, median of {RUNS} | " + " | ".join(MODELS) + " |")
    print("|:--|" + "--:|" * len(MODELS))
    for name in parts[MODELS[0]]:
        print(f"| {name} | " + " | ".join(f"{parts[m][name]:.2f}" for m in MODELS) + " |")
    totals = " | ".join(f"{whole[model]:.2f}" for model in MODELS)
    print(f"| `run` to its first step (limit {FIRST_STEP_LIMIT:.0f}) | {totals} |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processor", action="store_true", help=PROCESSOR)
    clock = processor if parser.parse_args().processor else time.perf_counter
    print_listings(clock)
    print_first_steps(clock)


if __name__ == "__main__":
    main()
