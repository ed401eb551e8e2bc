"""A long run takes no more than a short one; benchmarks/hygiene.py shows it over 10,000 steps."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from i2i_bench import training

SCRIPT = Path(__file__).parents[1] / "benchmarks/hygiene.py"


@pytest.fixture(scope="module")
def hygiene():
    specification = importlib.util.spec_from_file_location("hygiene", SCRIPT)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules["hygiene"] = module  # as dataclasses want it
    specification.loader.exec_module(module)
    yield module
    del sys.modules["hygiene"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_steps_and_checkpoints_leave_memory_files_and_threads_as_they_were(hygiene, tmp_path):
    states = hygiene.watch(tmp_path, model="cyclegan", steps=160, seconds=0.2)
    half = states[len(states) // 2 :]
    assert len(states) >= 10
    assert len({state.handles for state in half}) == 1
    assert len({state.threads for state in half}) == 1
    assert max(s.resident for s in half) - min(s.resident for s in half) < 8 * 2**20
    assert len(list(tmp_path.glob("checkpoint-*.pt"))) == 2


def test_log_of_a_long_run_is_bounded(hygiene, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "LOG_LINES", 8)
    hygiene.watch(tmp_path, model="cyclegan", steps=40, seconds=1e9)
    lines = [json.loads(line) for line in (tmp_path / training.LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(5, 41, 5))


def test_growth_is_what_is_added_a_step(hygiene):
    states = [hygiene.State(step, 1000 + 3 * step, 1, 1, 1, 1) for step in range(0, 100, 10)]
    assert hygiene.growth(states) == pytest.approx(3)
