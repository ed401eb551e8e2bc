"""Several processes take the steps that one takes; when one of them is lost, all end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch.distributed as dist
from PIL import Image

from i2i_bench.plugins import registry
from i2i_bench.plugins.toy import Toy
from i2i_bench.training import checkpoint, parallel
from i2i_bench.training.checkpoint_file import Position

MODELS = ("attentiongan", "cyclegan", "ugatit", "ugatit-light", "unit", "munit")
SCRIPT = """
import contextlib
import os
import time
import torch
from i2i_bench.cli.main import main
from i2i_bench.training import loop as training, parallel

def step(loop, true_step=training._Loop.step):
    true_step(loop)
    if f"{os.environ.get('RANK', 0)}/{loop.images_seen}" == os.environ.get("FAULT"):
        os.kill(os.getpid(), int(os.environ["SIGNAL"]))

training._Loop.step = step
if "SLOW" in os.environ:  # torchrun notices a loss before the others have told it
    stop_signals, speaks_for_all = training.stop_signals, parallel.speaks_for_all

    @contextlib.contextmanager
    def slow_stop_signals():
        try:
            with stop_signals() as received:
                yield received
        except Exception:
            time.sleep(1)
            raise

    def slow_speaks_for_all():
        speaks = speaks_for_all()
        time.sleep(1)
        return speaks

    training.stop_signals, parallel.speaks_for_all = slow_stop_signals, slow_speaks_for_all
if "EXACT" in os.environ:
    torch.set_default_dtype(torch.float64)
main(prog_name="i2i-bench")
"""
BATCH, BUDGET = 4, 13  # the tiny image pool is full in the second step; one sample is left at last
TOLERANCE = 1e-9  # of float64: Adam divides by gradients that may be as small as a rounding

pytestmark = [
    pytest.mark.skipif(not dist.is_available(), reason="torch without it"),
    pytest.mark.usefixtures("default_signals"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("num_processes", [1, 2, 3, 8])
def test_shares_of_a_batch_are_its_rows_once(size, num_processes):
    shares = parallel.split(size, num_processes)
    owned = [i for s in shares if s.weight for i in range(s.start, s.start + s.count)]
    assert owned == list(range(size))
    assert all(share.count >= 1 and share.start < size for share in shares)
    assert sum(share.weight for share in shares) == pytest.approx(1)


def run(processes, *arguments, code=0, fault=None, exact=True, slow=False):
    """Run the command as so many processes; give what they print and the sentences they fail with.

    A fault is a signal that a process sends itself after so many images: ``(signal, "1/8")``. Slow
    ones take seconds to tell a failure.
    """
    Path("script.py").write_text(SCRIPT)
    several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(several if processes > 1 else ()), "script.py", "run"]
    variables = {"OMP_NUM_THREADS": "1"} | ({"EXACT": "1"} if exact else {})
    variables |= {"SLOW": "1"} if slow else {}
    if fault:
        variables |= {"SIGNAL": str(int(fault[0])), "FAULT": fault[1]}
    done = subprocess.run(
        [*command, *map(str, arguments)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert (done.returncode != 0) == (code != 0), done.stderr
    return done.stdout, [x for x in done.stderr.splitlines() if x.startswith("Error: ")]


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Give a task of a few images of noise."""
    folder, pixels = tmp_path_factory.mktemp("task") / "noise", np.random.RandomState(0)
    for name in ("trainA", "trainB", "testA", "testB"):
        (folder / name).mkdir(parents=True)
        for i in range(8 if name.startswith("train") else 2):
            image = pixels.randint(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(image).save(folder / name / f"{name[-1]}{i}.png")
    return folder


@pytest.fixture
def plan(noise, places):
    """Give a function that gives options for a plan of models."""

    def options(*models, batch=BATCH):
        named = [word for name in models for word in ("--model", name)]
        same = ("--preset", "tiny", "--budget", BUDGET, "--set", f"batch_size={batch}")
        return (*named, "--task", noise, *same)

    return options


def found(runs):
    """Give the networks and the losses of each run."""
    networks, losses = {}, {}
    for folder in sorted(Path(runs).glob("*/*/seed0")):
        content = checkpoint.latest_checkpoint(folder)
        assert content is not None
        networks[folder.parent.name] = content["networks"]
        lines = (folder / "losses.jsonl").read_text().splitlines()
        losses[folder.parent.name] = [json.loads(line)["losses"] for line in lines]
    return networks, losses


def difference(one, other):
    """Give the largest difference of networks, and of losses."""
    networks = max(
        float((tensor - other[0][name][key]).abs().max())
        for name, tensors in one[0].items()
        for key, tensor in tensors.items()
    )
    losses = max(
        abs(value - other[1][name][step][key])
        for name, steps in one[1].items()
        for step, values in enumerate(steps)
        for key, value in values.items()
    )
    return networks, losses


@pytest.fixture(scope="module")
def _single(noise, tmp_path_factory):
    """Give the folder in which one process trained every model."""
    folder = tmp_path_factory.mktemp("single")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("results", "runs"):
            patch.setenv(f"I2I_BENCH_{name.upper()}", str(folder / name))
        named = [word for name in MODELS for word in ("--model", name)]
        same = ("--preset", "tiny", "--budget", BUDGET, "--set", f"batch_size={BATCH}")
        run(1, *named, "--task", noise, *same)
    return folder


@pytest.fixture
def single(_single):
    """Give networks and losses of one process."""
    return found(_single / "runs")


@pytest.mark.slow
def test_two_processes_train_what_one_trains(plan, single):
    said, _ = run(2, *plan(*MODELS))
    both = found("runs")
    assert set(both[0]) == set(single[0])
    assert len(both[0]) == len(MODELS)
    largest = difference(both, single)
    print(f"largest difference of networks and losses: {largest}")
    assert max(largest) < TOLERANCE
    assert len(said.splitlines()) == 2 * len(MODELS)  # each run says what it needs, and its record
    records = [json.loads(path.read_text()) for path in Path("results").glob("*/*/seed0.json")]
    for content in records:
        assert content["device"].endswith(", 2 processes")
        assert content["settings"]["batch_size"] == BATCH
        assert content["images_seen"] == BUDGET
    assert len(records) == len(MODELS)


@pytest.mark.slow
def test_stopped_and_killed_trainings_go_on_with_fewer_processes(plan, single):
    """Any process may be told to stop, and any may be lost."""
    _, told = run(2, *plan("cyclegan"), fault=(signal.SIGTERM, "1/4"), code=1)
    assert len(told) == 1
    assert "stopped by SIGTERM after 4 of 13 images; saved in" in told[0]
    (saved,) = Path("runs").rglob("checkpoint-*")
    for lost, slow in (("1/8", False), ("1/8", True), ("0/8", True)):
        fault = (signal.SIGKILL, lost)
        _, told = run(2, *plan("cyclegan"), fault=fault, code=1, slow=slow)
        assert told == [f"Error: {parallel.GONE}"]
        assert [saved] == list(Path("runs").rglob("checkpoint-*"))
    run(1, *plan("cyclegan"))
    assert max(difference(found("runs"), single)) < TOLERANCE


@pytest.mark.slow
def test_training_goes_on_with_more_processes(plan, single):
    run(1, *plan("cyclegan"), fault=(signal.SIGTERM, "0/8"), code=1)
    run(3, *plan("cyclegan"))
    assert max(difference(found("runs"), single)) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "batch", "reason"),
    [
        ("attentiongan-v1", 4, "samples of a batch influence each other in "),
        ("cyclegan", 1, "--set batch_size=2 or more"),
        ("nothing", 4, "unknown model 'nothing'"),
    ],
)
def test_what_several_processes_cannot_train_is_refused_once(plan, model, batch, reason):
    said, told = run(2, *plan(model, batch=batch), code=1)
    assert said == ""
    assert len(told) == 1
    assert reason in told[0]
    assert not list(Path("runs").rglob("checkpoint-*"))


@pytest.mark.slow
def test_half_precision_is_shared_too(plan):
    run(2, *plan("cyclegan"), "--precision", "bf16", exact=False)
    ((path),) = Path("results").rglob("seed0.json")
    assert json.loads(path.read_text())["settings"]["precision"] == "bf16"


class Memory:
    """A state of which processes do not know how to share it."""

    def state_dict(self):
        return {}

    def load_state_dict(self, state_dict):
        pass


def test_model_with_a_state_of_its_own_kind_is_refused(tmp_path):
    settings = registry.load_model("cyclegan").settings("tiny", Toy())
    model = registry.load_model("cyclegan")(settings.config)
    model.state = {"memory": Memory()}
    dist.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        processes = parallel.Processes(dist.group.WORLD)
        with pytest.raises(ValueError, match="CycleGAN has state 'memory', which cannot be shared"):
            processes.align(model, Position(), {})
    finally:
        dist.destroy_process_group()
