"""Measure training steps: time, memory and arithmetic, against the published order of work.

On a processor each row is measured in a process of its own. The reference is
``reference_steps.py``: the same networks, every pass on its own, everything kept, in fp32 without
any mode but, on a GPU, cuDNN's choice of the fastest algorithms, which the authors have on. Python,
torch and a checkout are all it needs; nothing is downloaded:

    python benchmarks/step.py                          # every table of this machine's device
    python benchmarks/step.py --plan masks --steps 3   # one of them
    python benchmarks/step.py --only-gradients         # no times: gradients of a first step
    python benchmarks/step.py --in-turn cyclegan       # no table: for differences of a few percent

Tables measured before stay in ``benchmarks/step.json``, and ``benchmarks/step.md`` shows them all.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import json
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[0] / p) for p in (".", "baselines", "plugins/attentiongan")]
sys.path.insert(0, str(HERE))

from reference_steps import REFERENCES  # noqa: E402 - a checkout need not be installed
from step_tables import HEAD, RULE, device_name, render, table_line  # noqa: E402

from i2i_bench.model import Batch, Clock, Model  # noqa: E402
from i2i_bench.plugins.gradients import (  # noqa: E402
    Gradients,
    recorded_gradients,
    relative_difference,
)
from i2i_bench.randomness import Randomness  # noqa: E402
from i2i_bench.training.fast.modes import BEST, Modes, choose_modes, prepared  # noqa: E402
from i2i_bench.training.fast.step import Body, Step, capture  # noqa: E402
from i2i_bench.training.memory import peak_memory, reset_peak_memory  # noqa: E402
from i2i_bench.training.start import place_model  # noqa: E402

WARM_UP = {"cpu": 1, "cuda": 5}  # steps before the measured ones
MODELS = tuple(REFERENCES)
OF_STYLES = {"munit": (128, 1), "drit": (216, 2)}  # their sizes and batches: DRIT needs 212 px
TOLERANCE = 1e-3  # of the losses of a first step in fp32, relative
SAME_GRADIENT = 5e-2  # of the gradients of a first step in fp32, relative: benchmarks/README.md


@dataclass(frozen=True)
class Row:
    """What is measured.

    Attributes:
        model: Name of the model.
        size: Side of the images in pixels.
        batch: Samples a step.
        precision: ``fp32``, ``tf32`` or ``bf16``.
        modes: Names of ``Modes``, by commas; ``reference`` for the published step.
        masks: Attention masks; None for the model's own number.
        is_alone: Whether it is compared with nothing.
    """

    model: str
    size: int
    batch: int = 1
    precision: str = "fp32"
    modes: str = ""
    masks: int | None = None
    is_alone: bool = False

    @property
    def is_reference(self) -> bool:
        """Whether it is the published step."""
        return self.modes == "reference"

    def reference(self) -> Row:
        """Give the row that this one is compared with."""
        return Row(self.model, self.size, self.batch, "fp32", "reference", self.masks)


def cpu_plans() -> dict[str, list[Row]]:
    """Give what is measured on a processor, by table."""
    a = "attentiongan"
    best = ",".join(BEST["cpu"].names())
    ways = (("fp32", ""), ("fp32", best), ("bf16", best))
    others = (("fp32", "channels-last"), ("fp32", "compile,fused"), ("bf16", "channels-last,fused"))
    return {
        "models": [Row(m, 128, 1, p, w) for m in MODELS if m not in OF_STYLES for p, w in ways],
        "styles": [Row(m, *of, p, modes) for m, of in OF_STYLES.items() for p, modes in ways],
        "modes": [Row(a, 128, 1, p, modes) for p, modes in others],
        "resolutions": [Row(a, s, 1, "fp32", best) for s in (64, 128, 256)],
        "batches": [Row(a, 128, b, "fp32", best) for b in (1, 2, 4)],
        "masks": [Row(a, 128, 1, "fp32", best, n, n == 1) for n in (1, 2, 5, 10, 20)],
    }


def gradient_plan(device: torch.device) -> list[Row]:
    """Give what is compared with the published step by its gradients alone, on a device."""
    ways = ["", "channels-last"]
    if device.type == "cuda":
        ways.append(",".join(BEST["cuda"].names()))
    sides = {m: OF_STYLES.get(m, (128, 1))[0] for m in MODELS}
    return [Row(m, sides[m], b, "fp32", modes) for m in MODELS for b in (1, 2) for modes in ways]


def cuda_plans() -> dict[str, list[Row]]:
    """Give what is measured on a GPU, by table."""
    a, c = "attentiongan", "cyclegan"
    best = ",".join(BEST["cuda"].names())
    kinds = ("fp32", "tf32", "bf16")
    models = [Row(m, 256, 1, p, best) for m in MODELS if m not in OF_STYLES for p in kinds]
    models += [Row(m, 256, 4, "bf16", best) for m in (a, c)]
    less = ("", "fused", "fused,capture", "fused,capture,tune", "channels-last,fused,capture,tune")
    return {
        "gpu-models": models,
        "gpu-styles": [Row(m, *of, p, best) for m, of in OF_STYLES.items() for p in kinds],
        "gpu-modes": [Row(a, 256, 1, "bf16", modes) for modes in less],
        "gpu-batches": [Row(m, 256, b, "bf16", best, None, True) for m in (a, c) for b in (8, 16)],
        "gpu-resolutions": [Row(a, s, 1, "bf16", best, None, True) for s in (128, 256, 512)],
        "gpu-masks": [Row(a, 256, 1, "bf16", best, n, True) for n in (1, 2, 5, 10, 20)],
    }


def build(row: Row) -> Model:
    """Make the model of a row with the published networks."""
    torch.manual_seed(0)
    model_class = REFERENCES[row.model][row.is_reference]
    changes: dict[str, Any] = {} if row.masks is None else {"num_masks": row.masks}
    if row.model == "ugatit-light":
        changes |= {"light": True, "image_size": row.size}
    if row.model == "drit":
        changes["content_interval"] = 1  # each step trains all networks
    return model_class(model_class.Config(**changes))


def modes_of(row: Row, device: torch.device) -> Modes:
    """Give the modes of a row; the authors of the reference have cuDNN choose its algorithms."""
    if row.is_reference:
        return Modes(tune=device.type == "cuda")
    return choose_modes(row.modes.split(",") if row.modes else [], device)


def measure(row: Row, device: torch.device, steps: int) -> dict[str, Any]:
    """Take steps; give the median of their seconds, the peak of memory and the operations."""
    set_precision(row.precision)
    before = held(device)
    start = time.perf_counter()
    model = build(row)
    place_model(model, device)
    model.networks.train()
    modes = modes_of(row, device)

    def record(body: Body) -> Body:
        reset_peak_memory(device)  # as a replay takes no memory: all of it is taken now
        return capture(body)

    with prepared(model, modes):
        random = Randomness(0, device=device)
        step = Step(model, random, modes, is_bf16=row.precision == "bf16", record=record)
        first = take(step, row, 0, device)
        losses = {name: float(value) for name, value in first.items()}
        for number in range(1, WARM_UP[device.type]):
            take(step, row, number, device)
        wait(device)
        until = time.perf_counter() - start
        if not modes.capture:
            reset_peak_memory(device)
        seconds = list(timed(step, row, device, steps))
        peak = peak_memory(device) - before
    return asdict(row) | {
        "seconds": statistics.median(seconds),
        "slowest": max(seconds),
        "warm_up_seconds": until,
        "peak_bytes": peak,
        "flops": count(row),
        "losses": losses,
    }


def first_gradients(row: Row, device: torch.device) -> Gradients:
    """Take a row's first step; give what its optimisers get."""
    set_precision(row.precision)
    model = build(row)
    place_model(model, device)
    model.networks.train()
    modes = modes_of(row, device)
    with prepared(model, modes), recorded_gradients(model) as found:
        random = Randomness(0, device=device)
        step = Step(model, random, modes, is_bf16=row.precision == "bf16")
        take(step, row, 0, device)  # a captured step is recorded later
    return found


def gradient_difference(row: Row, device: torch.device) -> float:
    """Give how far the gradients of a row's first step are off the published step's, relative."""
    wanted = first_gradients(row.reference(), device)
    return relative_difference(first_gradients(row, device), wanted)


def count(row: Row) -> int:
    """Count the floating-point operations of a step on the meta device; 2 a multiply-add."""
    modes = "reference" if row.is_reference else ""
    return _count(Row(row.model, row.size, row.batch, "fp32", modes, row.masks))


@functools.cache
def _count(row: Row) -> int:
    with torch.device("meta"):
        twin = build(row)
        twin.advance(Clock(1, 1000, 0, 1000))
        images = {d: torch.zeros(row.batch, 3, row.size, row.size) for d in "ab"}
        with FlopCounterMode(display=False) as counter:
            for optimizer in twin.optimizers.values():
                vars(optimizer)["step"] = lambda: None  # it asks for values, and there are none
            twin.training_step(Batch(images), Randomness(0, 0, "meta"))
    return counter.get_total_flops()


def take(step: Step, row: Row, number: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Take one step on images of its own."""
    shape = (row.batch, 3, row.size, row.size)
    random = Randomness(1, number * row.batch, device)
    images = {d: random.uniform(f"images_{d}", shape) * 2 - 1 for d in "ab"}
    return step(Clock(number + 1, 10_000, number * row.batch, 10_000 * row.batch), Batch(images))


def timed(step: Step, row: Row, device: torch.device, steps: int) -> Iterator[float]:
    """Take steps and give the seconds of each; a GPU is waited for at the end only."""
    shape = (row.batch, 3, row.size, row.size)
    images = {d: torch.rand(shape, device=device) * 2 - 1 for d in "ab"}
    clocks = [Clock(i, 10_000, i * row.batch, 10_000 * row.batch) for i in range(20, 20 + steps)]
    if device.type == "cpu":
        for clock in clocks:
            start = time.perf_counter()
            step(clock, Batch(images))
            yield time.perf_counter() - start
        return
    events = [torch.cuda.Event(enable_timing=True) for _ in range(steps + 1)]
    events[0].record()
    for clock, event in zip(clocks, events[1:], strict=True):
        step(clock, Batch(images))
        event.record()
    torch.cuda.synchronize(device)
    yield from (one.elapsed_time(other) / 1000 for one, other in pairwise(events))


def set_precision(precision: str) -> None:
    """Let fp32 be 32 bits and tf32 what the GPU has for it."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def matrix_peak(device: torch.device, precision: str) -> float:
    """Measure the operations a second of one large matrix multiplication, the best of several."""
    set_precision(precision)
    side = 8192 if device.type == "cuda" else 2048
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    one, other = (torch.rand(side, side, device=device).to(kind) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        torch.mm(one, other)
        wait(device)
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def held(device: torch.device) -> int:
    """Give the bytes that are taken before anything is built."""
    if device.type == "cpu":
        return resident()
    gc.collect()
    torch.cuda.empty_cache()
    return torch.cuda.memory_allocated(device)


def wait(device: torch.device) -> None:
    """Wait until a GPU has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def resident() -> int:
    """Give the bytes of this process that are in memory."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


class Bench:
    """Measures rows, each reference and peak once."""

    def __init__(self, device: str, steps: int) -> None:
        self.device, self.steps = device, steps
        self._found: dict[tuple[str, str], dict[str, Any]] = {}

    def row(self, row: Row) -> dict[str, Any]:
        """Measure a row, and what it is compared with."""
        found = self._measure(row)
        reference = None if row.is_alone else self._measure(row.reference())
        if reference and row.precision == "fp32":
            require_same(row, found["losses"], reference["losses"])
            self.gradients(row)
        peak = self._ask("--peak", row.precision)["peak"]
        rate = found["flops"] / found["seconds"]
        return found | {
            "images_per_second": row.batch / found["seconds"],
            "flops_per_second": rate,
            "share_of_peak": rate / peak,
            "speed": reference and reference["seconds"] / found["seconds"],
            "memory": reference and found["peak_bytes"] / reference["peak_bytes"],
        }

    def gradients(self, row: Row) -> float:
        """Compare a row's gradients with the published step's, or stop if they are others."""
        if row.is_reference:
            return 0.0
        off = self._ask("--gradients", json.dumps(asdict(row)))["gradients"]
        require_same_gradients(row, off)
        return off

    def _measure(self, row: Row) -> dict[str, Any]:
        return self._ask("--row", json.dumps(asdict(row)))

    def _ask(self, option: str, what: str) -> dict[str, Any]:
        """Have it done once: on a processor in a process of its own, whose memory is the row's."""
        if (option, what) not in self._found:
            answer = answer_here if self.device == "cuda" else answer_apart
            self._found[option, what] = answer(option, what, self.device, self.steps)
        return self._found[option, what]


def answer_here(option: str, what: str, device: str, steps: int) -> dict[str, Any]:
    """Measure a row, its gradients or a peak."""
    if option == "--row":
        return measure(Row(**json.loads(what)), torch.device(device), steps)
    if option == "--gradients":
        row = Row(**json.loads(what))
        return {"gradients": gradient_difference(row, torch.device(device))}
    return {"peak": matrix_peak(torch.device(device), what)}


def answer_apart(option: str, what: str, device: str, steps: int) -> dict[str, Any]:
    """Have another process measure it, or stop with what that process stopped with."""
    words = [sys.executable, __file__, "--device", device, "--steps", str(steps)]
    done = subprocess.run([*words, option, what], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{what}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def in_turn(name: str, steps: int) -> None:
    """Print times of the reference's steps and of ours, in turn in one process, on a processor.

    A machine that is faster in one minute than in the next is so for all of them.
    """
    best = ",".join(BEST["cpu"].names())
    size, batch = OF_STYLES.get(name, (128, 1))
    rows = [Row(name, size, batch, "fp32", modes) for modes in ("reference", "", best)]
    for row in rows[1:]:
        require_same_gradients(row, gradient_difference(row, torch.device("cpu")))
    found: dict[Row, list[float]] = {row: [] for row in rows}
    losses: list[dict[str, float]] = []
    with contextlib.ExitStack() as stack:
        device, ways = torch.device("cpu"), []
        for row in rows:
            model, modes = build(row), modes_of(row, device)
            model.networks.train()
            stack.enter_context(prepared(model, modes))
            ways.append((row, Step(model, Randomness(0, device=device), modes)))
            first = take(ways[-1][1], row, 0, device)
            losses.append({loss: float(value) for loss, value in first.items()})
            require_same(row, losses[-1], losses[0])
        for _ in range(steps):
            for row, step in ways:
                found[row] += timed(step, row, device, 1)
    print(f"{device_name(device)}, {steps} steps of each\n")
    print(f"| {name}, {size} px, batch {batch}, fp32 | s/step | reference time / time |")
    print("|:--|--:|--:|")
    reference = statistics.median(found[rows[0]])
    for row, seconds in found.items():
        middle = statistics.median(seconds)
        print(f"| {row.modes or 'none'} | {middle:.4g} | {reference / middle:.3f} |")


def require_same(row: Row, ours: dict[str, float], theirs: dict[str, float]) -> None:
    """Stop unless the first step's losses are those of the published step."""
    for name, value in theirs.items():
        if abs(ours[name] - value) > TOLERANCE * max(abs(value), 1e-2):
            sys.exit(f"{row}: {name} is {ours[name]}, and the published step's is {value}")


def require_same_gradients(row: Row, off: float) -> None:
    """Stop unless the first step's gradients are those of the published step."""
    if row.precision == "fp32" and not off < SAME_GRADIENT:
        sys.exit(f"{row}: the gradients of the first step are {off:.1%} off the published step's")


def run(plans: dict[str, list[Row]], bench: Bench, output: Path) -> None:
    """Measure tables, and write them beside those that are there."""
    for name, rows in plans.items():
        print(f"{name}\n{HEAD}\n{RULE}", flush=True)
        found = []
        for row in (each for wanted in rows for each in _with_reference(wanted, rows)):
            found.append(bench.row(row))
            print(table_line(found[-1]), flush=True)
            write_table(name, found, bench, output)


def run_gradients(rows: list[Row], bench: Bench, output: Path) -> None:
    """Compare gradients with those of the published step, and write the table beside the others."""
    found = []
    for row in rows:
        found.append(asdict(row) | {"gradients": bench.gradients(row)})
        print(f"{row}: {found[-1]['gradients']:.1e}", flush=True)
        write_table(f"gradients-{bench.device}", found, bench, output)


def write_table(name: str, rows: list[dict[str, Any]], bench: Bench, output: Path) -> None:
    """Write a table beside those that are there, as JSON and as Markdown."""
    path = output.with_suffix(".json")
    tables = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    tables[name] = {
        "command": shlex.join(["python", "benchmarks/step.py", *sys.argv[1:]]),
        "machine": device_name(torch.device(bench.device)),
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}",
        "rows": rows,
    }
    path.write_text(json.dumps(tables, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    output.with_suffix(".md").write_text(render(tables), encoding="utf-8")


def _with_reference(row: Row, rows: list[Row]) -> list[Row]:
    """Put the reference before the first of the rows that are compared with it."""
    compared = [each for each in rows if not each.is_alone]
    same = [each for each in compared if each.reference() == row.reference()]
    return [row.reference(), row] if same and same[0] is row else [row]


def main() -> None:
    """Measure tables, or in a process of its own one row."""
    every = cpu_plans() | cuda_plans()
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default=auto)
    parser.add_argument("--plan", action="append", choices=list(every), help="Repeats.")
    parser.add_argument("--model", action="append", choices=MODELS, help="Only these. Repeats.")
    parser.add_argument("--in-turn", choices=MODELS, help="On a processor, whatever there is.")
    parser.add_argument("--steps", type=int, help="Measured steps; default: 5, on a GPU 20.")
    parser.add_argument("--output", type=Path, default=HERE / "step", help="Without suffix.")
    parser.add_argument("--only-gradients", action="store_true", help="No times.")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--gradients", help=argparse.SUPPRESS)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    device, steps = torch.device(options.device), options.steps
    steps = steps or (20 if device.type == "cuda" else 5)
    for option in ("row", "gradients", "peak"):
        if what := getattr(options, option):
            print(json.dumps(answer_here(f"--{option}", what, options.device, steps)))
            return
    if options.in_turn:
        in_turn(options.in_turn, options.steps or 5)
        return
    models, bench = options.model or MODELS, Bench(options.device, steps)
    if options.only_gradients:
        rows = [row for row in gradient_plan(device) if row.model in models]
        run_gradients(rows, bench, options.output)
        return
    mine = cuda_plans() if device.type == "cuda" else cpu_plans()
    chosen = {name: every[name] for name in options.plan or mine}
    plans = {name: [r for r in rows if r.model in models] for name, rows in chosen.items()}
    run(plans, bench, options.output)


if __name__ == "__main__":
    main()
