"""Train a model for 200 steps in every mode and precision of this machine, and compare with fp32.

Networks, images and draws are the same; only how steps are carried out differs. The row ``last
digit`` is fp32 with every weight moved by a part in ten million at the start: a training of a GAN
magnifies any difference, so no mode that moves last digits can come closer than about this.

Run it from the repository: ``.venv/bin/python benchmarks/numerics.py``; it writes
``benchmarks/numerics-cpu.json`` and ``benchmarks/numerics-cpu.md``, or, on a GPU, ``-cuda``.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from i2i_bench.data.directions import directions_of
from i2i_bench.data.test_set import TestSet
from i2i_bench.data.training_images import TrainingImages
from i2i_bench.model import Clock, Model, Preset
from i2i_bench.plugins import registry
from i2i_bench.plugins.gradients import recorded_gradients, relative_difference
from i2i_bench.randomness import Randomness
from i2i_bench.runs import plan
from i2i_bench.runs.job import Choices, Job
from i2i_bench.runs.provenance import device_name
from i2i_bench.scoring import translations
from i2i_bench.scoring.metrics import pixels
from i2i_bench.tasks import catalogue
from i2i_bench.training.fast.modes import choose_modes, prepared, tensor_floats
from i2i_bench.training.fast.step import Step
from i2i_bench.training.loop import Precision
from i2i_bench.training.start import place_model

HERE = Path(__file__).parent
LAST = 50  # steps whose mean losses are compared
WAYS: dict[str, tuple[str, Precision]] = {  # title: modes, precision
    "fp32": ("none", "fp32"),
    "last digit": ("none", "fp32"),
    "fused": ("fused", "fp32"),
    "channels-last": ("channels-last", "fp32"),
    "compile": ("compile", "fp32"),
    "bf16": ("none", "bf16"),
    "bf16, channels-last, fused": ("channels-last,fused", "bf16"),
}
CUDA_WAYS: dict[str, tuple[str, Precision]] = {
    "fp32": ("none", "fp32"),
    "last digit": ("none", "fp32"),
    "auto": ("auto", "fp32"),
    "tf32, auto": ("auto", "tf32"),
    "bf16, auto": ("auto", "bf16"),
}


def ways_of(device: torch.device) -> dict[str, tuple[str, Precision]]:
    """Give the ways that are compared on a device."""
    return CUDA_WAYS if device.type == "cuda" else WAYS


def make_job(model: str, preset: Preset) -> Job:
    """Settle the run on ``stripes``."""
    task = catalogue.find_task("stripes", Path())
    model_class = registry.load_model(model)
    choices = Choices(preset)
    return plan.make_job(model, model_class, ("stripes", task), 0, choices)


def train(job: Job, images: TrainingImages, way: str, steps: int) -> dict[str, Any]:
    """Take steps in one way; give losses of each, gradients of the first, PSNR of the test set."""
    device, size = images.device, job.settings.batch_size
    typed, precision = ways_of(device)[way]
    torch.manual_seed(0)
    model = job.model_class(job.settings.config)
    if way == "last digit":
        _move_last_digits(model)
    place_model(model, device)
    model.networks.train()
    modes = choose_modes(typed.split(","), device)
    found = []
    with (
        tensor_floats(allowed=precision == "tf32"),
        prepared(model, modes),
    ):
        random = Randomness(0, device=device)
        step = Step(model, random, modes, is_bf16=precision == "bf16")
        with recorded_gradients(model) as gradients:
            found.append(step(Clock(1, steps, 0, steps * size), images.batch(0, size)))
        for number in range(1, steps):
            clock = Clock(number + 1, steps, number * size, steps * size)
            found.append(step(clock, images.batch(number * size, size)))
    losses = [{name: float(value) for name, value in each.items()} for each in found]
    return {"losses": losses, "gradients": gradients, "psnr": quality(model, job, device)}


def _move_last_digits(model: Model) -> None:
    with torch.no_grad():
        for parameter in model.networks.parameters():
            parameter.mul_(1 + 1e-7 * torch.randn_like(parameter).sign())


def quality(model: Model, job: Job, device: torch.device) -> float:
    """Give the PSNR of the foreground in dB, mean over the test images of both directions."""
    test_set, found = TestSet(job.task, job.settings.resize_rule), []
    for direction in directions_of(job.task):
        made = translations.translate_test_set(model, test_set, direction, device=device)
        against = translations.reference(test_set, direction)
        assert against.truth is not None
        assert against.foreground is not None
        triples = zip(made.fakes, against.truth, against.foreground, strict=True)
        found += [pixels.psnr(fake, truth, mask) for fake, truth, mask in triples]
    return pixels.mean_psnr(found)


def deviation(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> float:
    """Give the largest relative difference of the mean losses over some steps."""
    names = theirs[0]
    means = [
        {n: statistics.fmean(step[n] for step in run) for n in names} for run in (ours, theirs)
    ]
    return max(abs(means[0][n] - means[1][n]) / max(abs(means[1][n]), 1e-6) for n in names)


def compare(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Compare every way with fp32."""
    exact = found["fp32"]
    return [
        {
            "way": way,
            "first": deviation(each["losses"][:1], exact["losses"][:1]),
            "gradients": relative_difference(each["gradients"], exact["gradients"]),
            "last": deviation(each["losses"][-LAST:], exact["losses"][-LAST:]),
            "psnr": each["psnr"],
        }
        for way, each in found.items()
    ]


def render(tables: dict[str, Any]) -> str:
    """Show what was found as Markdown."""
    lines = ["# Numerics of the modes", "", f"{tables['command']}, {tables['machine']}."]
    for model, rows in tables["models"].items():
        lines += [
            "",
            f"| {model}, {tables['steps']} steps | losses | gradients | last {LAST} | PSNR, dB |",
        ]
        lines.append("|:--|--:|--:|--:|--:|")
        lines += [
            f"| {r['way']} | {r['first']:.1e} | {r['gradients']:.1e} | {r['last']:.1%} "
            f"| {r['psnr']:.2f} |"
            for r in rows
        ]
    return "\n".join([*lines, ""])


def run(models: Iterable[str], options: argparse.Namespace) -> None:
    """Train and compare; write JSON and Markdown."""
    device = torch.device(options.device)
    ways = ways_of(device)
    if others := set(options.way or ()) - set(ways):
        sys.exit(f"on {device.type} there is no {min(others)!r}; possible: {', '.join(ways)}")
    chosen = [way for way in ways if way == "fp32" or way in (options.way or ways)]
    command = shlex.join(["python", "benchmarks/numerics.py", *sys.argv[1:]])
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    tables: dict[str, Any] = {
        "command": f"`{command}`",
        "machine": f"{device_name(device)}, {versions}",
        "steps": options.steps,
        "models": {},
    }
    for model in models:
        job = make_job(model, options.preset)
        images = TrainingImages(job.task, job.settings, 0, device)
        found = {way: train(job, images, way, options.steps) for way in chosen}
        tables["models"][model] = compare(found)
        print(render(tables), flush=True)
    output = options.output or HERE / f"numerics-{device.type}"
    output.with_suffix(".json").write_text(json.dumps(tables, indent=1) + "\n")
    output.with_suffix(".md").write_text(render(tables), encoding="utf-8")


def main() -> None:
    """Compare on this machine's device."""
    parser = argparse.ArgumentParser(description=__doc__)
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=["cpu", "cuda"], default=auto)
    parser.add_argument("--model", action="append", help="Default: attentiongan. Repeats.")
    parser.add_argument("--way", action="append", choices=list(WAYS | CUDA_WAYS), help="Repeats.")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--output", type=Path, help="Without suffix; by default of the device.")
    options = parser.parse_args()
    run(options.model or ["attentiongan"], options)


if __name__ == "__main__":
    main()
