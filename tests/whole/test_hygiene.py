"""A long run takes no more than a short one; benchmarks/hygiene.py shows it over 10,000 steps."""

import json
import sys

import pytest

from i2i_bench.training import loop


@pytest.fixture(scope="module")
def hygiene(load_benchmark):
    return load_benchmark("hygiene")


@pytest.fixture(scope="module")
def watched(hygiene, tmp_path_factory):
    """Train 80 steps, of which every fourth is a line of the log; give states and folder."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "LOG_LINES", 20)
        return hygiene.watch(folder, model="cyclegan", steps=80, seconds=0.5), folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_steps_and_checkpoints_leave_memory_files_and_threads_as_they_were(watched):
    states, folder = watched
    half = states[len(states) // 2 :]
    assert len(half) == 10
    assert len({state.handles for state in half}) == 1
    assert len({state.threads for state in half}) == 1
    assert max(s.resident for s in half) - min(s.resident for s in half) < 8 * 2**20
    assert 1 <= len(list(folder.glob("checkpoint-*.pt"))) <= 2


@pytest.mark.slow
def test_log_of_a_long_run_is_bounded(watched):
    _, folder = watched
    lines = [json.loads(line) for line in (folder / loop.LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(4, 81, 4))


def test_growth_is_what_is_added_a_step(hygiene):
    states = [hygiene.State(step, 1000 + 3 * step, 1, 1, 1, 1) for step in range(0, 100, 10)]
    assert hygiene.growth(states) == pytest.approx(3)
