"""Fixtures shared by the tests of all three distributions."""

from __future__ import annotations

import gc
import itertools
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

ROOT = Path(__file__).parent
torch.set_num_threads(1)  # tests are too small to gain from more
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read by Triton when it is first imported


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deal files with slow tests to the processes first, so that none waits for another at the end.

    Each process is given an equal part of the list, and takes from the end of another's when it is
    done. A file stays together, for what its tests share.
    """
    count = getattr(config, "workerinput", {}).get("workercount", 1)
    files = [list(tests) for _, tests in itertools.groupby(items, lambda item: item.path)]
    slow, quick = [], []
    for tests in files:
        is_slow = any(test.get_closest_marker("slow") for test in tests)
        (slow if is_slow else quick).append(tests)
    rest = itertools.chain.from_iterable(quick)
    dealt = []
    for number in range(count):
        hand = [test for tests in slow[number::count] for test in tests]
        room = math.ceil(len(items) / count) - len(hand)
        dealt += [*hand, *itertools.islice(rest, max(room, 0))]
    items[:] = [*dealt, *rest]


def pytest_collection_finish() -> None:
    """Have no collection of garbage look through what was imported and collected."""
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class Golden:
    """Numbers of the authors' code (tests/golden/README.md)."""

    init: dict[str, Tensor]
    io: dict[str, Tensor]
    steps: dict[str, Any]

    def network(self, name: str) -> dict[str, Tensor]:
        """Give one network's official state dict."""
        prefix = f"{name}/"
        return {k.removeprefix(prefix): t for k, t in self.init.items() if k.startswith(prefix)}

    def save(self, folder: Path, files: dict[str, str]) -> Path:
        """Write networks as the authors' files, a name each."""
        for file, network in files.items():
            torch.save(self.network(network), folder / file)
        return folder

    def batch(self, step: int) -> dict[str, Tensor]:
        """Give the real images of a training step in float64."""
        return {d: self.io[f"train/real_{d.upper()}_{step}"].double() for d in ("a", "b")}


@pytest.fixture(scope="session")
def golden():
    """Give a function from the name of a fixture to its numbers."""

    def load(name: str) -> Golden:
        folder = ROOT / "tests" / "golden" / name
        steps = folder / "steps.json"
        return Golden(
            load_file(folder / "init.safetensors"),
            load_file(folder / "io.safetensors"),
            json.loads(steps.read_text()) if steps.exists() else {},
        )

    return load


@pytest.fixture(scope="session")
def real_images() -> Path:
    """Give the folder of the real images, which are not part of the project."""
    folder = Path(os.environ.get("I2I_BENCH_FIXTURES", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"I2I_BENCH_FIXTURES: no real images in {folder}")
    return folder
