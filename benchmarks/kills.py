"""Kill trainings, plans, ablations, scorings, evaluations at random; what they end in is equal.

Each trial does a piece of work in a child process, ends the child at a random moment, has the next
child go on, and compares what is on disk in the end with what an uninterrupted child left. Moments
are a time (SIGKILL from outside), an operation on a file (SIGKILL just before it), or a byte of a
file being written (the system's limit on file sizes, whose signal cannot be caught either).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from i2i_bench.cli.main import main as command_line
from i2i_bench.data.directions import directions_of
from i2i_bench.records.folders import Places
from i2i_bench.runs import plan
from i2i_bench.runs.bench import Bench
from i2i_bench.runs.evaluate import evaluate_run
from i2i_bench.runs.find import find_job
from i2i_bench.runs.job import Choices
from i2i_bench.runs.one_by_one import run_one_by_one
from i2i_bench.scoring import external, protocols
from i2i_bench.scoring.scorer import Scorer
from i2i_bench.system.progress import quiet
from i2i_bench.tasks import catalogue
from i2i_bench.training import checkpoint

VARYING = ("load", "seconds", "images_per_second", "peak_memory_bytes")  # measured, not computed
OF_THE_CODE = "commit"  # of the harness, which somebody may change meanwhile
OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.chmod"}
BEGUN = "begun"  # of a file: it may not have been there
KINDS = ("time", "operation", "byte")
KILLS_OF_A_TRIAL = 5  # then it may end
LARGEST_LIMIT = 200_000  # bytes of a file, about the size of a checkpoint here
KILLED = {-signal.SIGKILL, -signal.SIGXFSZ}

Work = Callable[[], None]  # in the folder of a trial, which has task/ and maybe more


def say_nothing(line: str) -> None:
    """Print nothing."""


def bench() -> Bench:
    """Save after every step, so that kills fall into the writing of checkpoints."""
    chosen = [protocols.find_protocol("i2i")]
    here = Path.cwd()
    places = Places(here / "results", here / "runs", here)
    return Bench(places, chosen, torch.device("cpu"), quiet, checkpoint_seconds=0.0)


def carry_out(models: tuple[str, ...], seeds: tuple[int, ...]) -> None:
    """Do what ``i2i-bench run`` does."""
    jobs = plan.plan_runs(
        models, [str(Path("task").resolve())], seeds, Choices("tiny", {}, 8), Path()
    )
    run_one_by_one(jobs, bench(), force=False, say=say_nothing)


def train() -> None:
    """Carry out one run."""
    carry_out(("attentiongan",), (0,))


def carry_out_plan() -> None:
    """Carry out several runs."""
    carry_out(("cyclegan", "attentiongan"), (0, 1))


def vary() -> None:
    """Do what ``i2i-bench ablate`` does, two values and two seeds."""
    words = ["ablate", "--model", "attentiongan", "--task", str(Path("task").resolve())]
    words += ["--vary", "num_masks=2,3", "--seed", "0", "--seed", "1", "--preset", "tiny"]
    words += ["--budget", "4", "--device", "cpu", "--checkpoint-seconds", "0"]
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        command_line(words, standalone_mode=False)


def evaluate() -> None:
    """Score a finished run anew."""
    (folder,) = Path("runs").glob("*/*/seed0")
    job = find_job(str(folder), bench().places)
    evaluate_run(job, bench(), force=True)


def score() -> None:
    """Score images of another program in both directions."""
    task = catalogue.find_task(str(Path("task").resolve()), Path())
    scorer = Scorer([protocols.find_protocol("i2i")], torch.device("cpu"), quiet)
    for direction in directions_of(task):
        folder = Path("task") / f"test{direction.source.upper()}"
        images = external.Submission(folder, task, direction)
        external.score_submission(images, "unchanged", scorer, Path("results"), force=True)


@dataclass(frozen=True)
class Kind:
    """A piece of work.

    Attributes:
        work: What is done and killed.
        before: What must have been done, uninterrupted.
    """

    work: Work
    before: Work | None = None


WORKS = {
    "run": Kind(train),
    "plan": Kind(carry_out_plan),
    "ablate": Kind(vary),
    "evaluate": Kind(evaluate, before=train),
    "score": Kind(score),
}


@dataclass(frozen=True)
class Moment:
    """When a child is ended.

    Attributes:
        kind: ``time``, ``operation`` or ``byte``.
        after: Seconds; or operations on files; of ``byte``, files begun.
        size: Of ``byte``: bytes that a file may have from then on.
    """

    kind: str
    after: float
    size: int = 0


def make_task(folder: Path, count: int = 4, side: int = 32) -> None:
    """Write a task of noise."""
    pixels = np.random.RandomState(0)
    for name in ("trainA", "trainB", "testA", "testB"):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            noise = pixels.randint(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / name / f"{name[-1]}{i}.png")


def child(work: Work, folder: Path, moment: Moment | None, counts: Any = None) -> int:
    """Do work in a fork of this process; give how that ended, negative after a signal."""
    process = multiprocessing.get_context("fork").Process(
        target=_in_child, args=(work, folder, moment, counts)
    )
    process.start()
    process.join(moment.after if moment and moment.kind == "time" else None)
    if process.is_alive():
        process.kill()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _in_child(work: Work, folder: Path, moment: Moment | None, counts: Any) -> None:
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seen: Counter[str] = Counter()
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in OPERATIONS or (event == "open" and _only_reads(arguments)):
            return
        seen[event] += 1
        seen[BEGUN] += event == "open" and bool(arguments[2] & os.O_EXCL)
        if moment is None:
            return
        if moment.kind == "operation" and seen.total() - seen[BEGUN] == moment.after:
            os.kill(os.getpid(), signal.SIGKILL)
        if moment.kind == "byte" and seen[BEGUN] == moment.after:
            resource.setrlimit(resource.RLIMIT_FSIZE, (moment.size, resource.RLIM_INFINITY))

    sys.addaudithook(watch)  # of this process, which ends by it or with it
    work()
    if counts is not None:
        counts.put((seen.total() - seen[BEGUN], seen[BEGUN]))


def _only_reads(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    return not (flags & (os.O_WRONLY | os.O_RDWR) if mode is None else set(mode) & set("wax+"))


def outcome(folder: Path) -> dict[str, str]:
    """Give hashes of all that a user would look at: records, networks, images, logged losses."""
    found = {}
    for path in sorted(folder.glob("results/**/*.json")):
        if path.name[0] == ".":  # a draft, which nothing reads
            continue
        content = json.loads(path.read_text())
        name = path.relative_to(folder)
        found |= {
            f"{name} {k}": _hash(v) for k, v in _without(content, (*VARYING, OF_THE_CODE)).items()
        }
    for path in sorted(folder.glob("runs/*/*/seed*")):
        name = str(path.relative_to(folder))
        content = checkpoint.latest_checkpoint(path)
        assert content is not None, f"{path} has no checkpoint"
        content["position"] = _without(content["position"], ("seconds", "peak_memory"))
        found[name] = _hash(content)
        lines = [json.loads(line) for line in (path / "losses.jsonl").read_text().splitlines()]
        found[f"{name}/losses"] = _hash([_without(line, ("seconds",)) for line in lines])
        images = (p for p in path.rglob("*.png") if p.name[0] != ".")
        found |= {str(p.relative_to(folder)): _hash(p.read_bytes()) for p in images}
    return found


def _without(content: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in keys}


def _hash(content: Any) -> str:
    total = hashlib.sha256()
    _feed(total, content)
    return total.hexdigest()


def _feed(total: Any, content: Any) -> None:
    """Feed plain values and tensors, bit by bit, into a hash."""
    if isinstance(content, torch.Tensor):
        total.update(f"{content.dtype}{tuple(content.shape)}".encode())
        total.update(content.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(content, Mapping):
        for key in sorted(content, key=repr):
            total.update(repr(key).encode())
            _feed(total, content[key])
    elif isinstance(content, list | tuple):
        total.update(f"{len(content)}".encode())
        for each in content:
            _feed(total, each)
    else:
        total.update(content if isinstance(content, bytes) else repr(content).encode())


def survive(name: str, kills: int, seed: int, folder: Path, told: Callable[[str], None]) -> Counter:
    """Kill a piece of work until so many kills were survived.

    Returns:
        Kills by kind of moment.

    Raises:
        AssertionError: If a trial ends in anything else than the uninterrupted work.
    """
    kind, draw = WORKS[name], random.Random(f"{name}/{seed}")
    start = folder / "start"
    make_task(start / "task")
    if kind.before:
        assert child(kind.before, start, None) == 0
    counts = multiprocessing.get_context("fork").Queue()
    whole = _trial(start, folder / "whole")
    began = time.monotonic()
    assert child(kind.work, whole, None, counts) == 0, "the uninterrupted work failed"
    seconds, (operations, files) = time.monotonic() - began, counts.get()
    expected, survived, trials = outcome(whole), Counter(), 0
    while survived.total() < kills:
        trials += 1
        trial = _trial(start, folder / f"trial{trials}")
        for _ in range(min(KILLS_OF_A_TRIAL, kills - survived.total())):
            moment = _draw(draw, seconds, operations, files)
            code = child(kind.work, trial, moment)
            if code == 0:
                break
            assert code in KILLED, f"{moment}: it failed with {code} instead of being killed"
            survived[moment.kind] += 1
        assert child(kind.work, trial, None) == 0, f"trial {trials} cannot go on"
        found = outcome(trial)
        wrong = sorted(k for k in expected | found if expected.get(k) != found.get(k))
        assert not wrong, f"trial {trials} differs in {', '.join(wrong)}"
        shutil.rmtree(trial)
        told(f"{name}: {survived.total()} of {kills} kills survived, {trials} trials")
    return survived


def _trial(start: Path, folder: Path) -> Path:
    """Make the folder of a trial; its task is the very same, for paths are in run.json."""
    shutil.copytree(start, folder, ignore=shutil.ignore_patterns("task"))
    (folder / "task").symlink_to(start / "task")
    return folder


def _draw(draw: random.Random, seconds: float, operations: int, files: int) -> Moment:
    kind = draw.choice(KINDS)
    if kind == "time":
        return Moment(kind, draw.uniform(0, seconds))
    if kind == "operation":
        return Moment(kind, draw.randint(1, operations))
    return Moment(kind, draw.randint(1, files), int(LARGEST_LIMIT ** draw.random()))


def main() -> None:
    """Print how many kills were survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("works", nargs="*", default=list(WORKS), help=", ".join(WORKS))
    parser.add_argument("--kills", type=int, default=50, help="of each work")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable()
    for name in options.works:
        with tempfile.TemporaryDirectory() as folder:
            found = survive(name, options.kills, options.seed, Path(folder), _tell)
            _tell(f"{name}: {found.total()} of {found.total()} kills survived: {dict(found)}")


def _tell(line: str) -> None:
    print(line, flush=True)  # or a child prints it again


if __name__ == "__main__":
    main()
