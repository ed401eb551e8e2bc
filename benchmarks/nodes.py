"""Kill one of two nodes of a Ray cluster in mid-run; its run must go on on the other, once.

Both nodes are on this machine, a processor each, so that each has one of two runs. When the first
checkpoints are there, one node is killed. In the end both records must be there, and networks and
losses must be those of the same runs in one process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from kills import make_task

from i2i_bench.training import checkpoint

OPTIONS = ("--model", "cyclegan", "--seed", "0", "--seed", "1", "--task", "task")
BUDGET = 200  # images: long enough to be killed at


def command(*options: str) -> list[str]:
    """Give what carries out the plan."""
    same = ("--preset", "tiny", "--budget", str(BUDGET), "--device", "cpu")
    return [sys.executable, "-m", "i2i_bench", "run", *OPTIONS, *same, *options]


def survive(folder: Path, told: Callable[[str], None]) -> dict[str, Any]:
    """Carry out a plan, losing a node; give what was seen, with the seconds that it took.

    Raises:
        AssertionError: If a run is lost, doubled or ends in something else.
    """
    from ray.cluster_utils import Cluster

    make_task(folder / "task")
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - its name in Ray; else other work starves them
    one = os.environ | {"OMP_NUM_THREADS": "1"}  # threads change last digits
    alone = command("--runs", "alone", "--results", "alone-results")
    subprocess.run(alone, cwd=folder, env=one, check=True)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        cluster.wait_for_nodes()
        told(f"two nodes at {cluster.address}")
        began = time.monotonic()
        process = subprocess.Popen(
            command("--launcher", "ray", "--checkpoint-seconds", "0.1"),
            cwd=folder,
            env=one | {"RAY_ADDRESS": str(cluster.address)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        _await_checkpoints(folder / "runs", process)
        killed = time.monotonic() - began
        cluster.remove_node(nodes[0], allow_graceful=False)
        told(f"killed a node after {killed:.0f} s")
        output, _ = process.communicate(timeout=1500)
        seconds = time.monotonic() - began
    finally:
        cluster.shutdown()
    assert process.returncode == 0, output
    losses = output.count("resuming elsewhere")
    assert losses == 1, output
    _require_equal(folder)
    return {"killed_after": round(killed, 1), "seconds": round(seconds, 1), "vanished": losses}


def _await_checkpoints(runs: Path, process: subprocess.Popen[str]) -> None:
    while len({path.parent for path in runs.glob("*/*/seed*/checkpoint-*")}) < 2:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


def _require_equal(folder: Path) -> None:
    """Hold networks, losses and records of both ways against each other."""
    for seed in (0, 1):
        (alone,) = folder.glob(f"alone/*/*/seed{seed}")
        (other,) = folder.glob(f"runs/*/*/seed{seed}")
        both = [checkpoint.latest_checkpoint(each) for each in (alone, other)]
        assert both[0] is not None
        assert both[1] is not None
        first, second = (content["networks"] for content in both if content)
        assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
        assert _losses(alone) == _losses(other)
    records = [path.name for path in (folder / "results").rglob("seed*.json")]
    assert sorted(records) == ["seed0.json", "seed1.json"], records


def _losses(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]
    return [{"step": line["step"], "losses": line["losses"]} for line in lines]


def main() -> None:
    """Print what was survived."""
    with tempfile.TemporaryDirectory() as folder:
        print(survive(Path(folder), lambda line: print(line, flush=True)))


if __name__ == "__main__":
    main()
