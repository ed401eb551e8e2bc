"""A signal that the program is started with ignored stays so, as ``nohup`` and ``&`` want it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from i2i_bench.cli import group
from i2i_bench.runs.launch.process import RunCommand, execute_command
from i2i_bench.training import parallel
from i2i_bench.training.signals import stop_signals

IGNORED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
RUN = ("--model", "cyclegan", "--preset", "tiny", "--device", "cpu")


@pytest.fixture
def ignore(default_signals):
    """Give a function that has this process ignore a signal, and what it starts from then on."""
    return lambda number: signal.signal(number, signal.SIG_IGN)


@pytest.mark.parametrize("number", IGNORED)
def test_training_leaves_ignored_signals_alone_and_collects_the_others(ignore, number):
    ignore(number)
    other = signal.SIGINT if number != signal.SIGINT else signal.SIGTERM
    with stop_signals() as received:
        signal.raise_signal(number)
        assert signal.getsignal(number) == signal.SIG_IGN
        signal.raise_signal(other)
        assert received == [other]
    assert signal.getsignal(number) == signal.SIG_IGN


def test_process_of_several_that_fails_leaves_an_ignored_signal_alone(ignore, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="fails"), stop_signals():
        raise ValueError("fails")
    assert signal.getsignal(signal.SIGTERM) == parallel.outlive
    ignore(signal.SIGTERM)
    with pytest.raises(ValueError, match="fails"), stop_signals():
        raise ValueError("fails")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


def test_sigterm_ends_a_block_unless_it_is_ignored(ignore):
    with pytest.raises(SystemExit), group.unwinding():
        signal.raise_signal(signal.SIGTERM)
    ignore(signal.SIGTERM)
    with group.unwinding():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


def until(holds):
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_command_that_ignores_signals_is_not_stopped_by_them(places, tiny, ignore, jobs):
    for number in IGNORED:
        ignore(number)
    command = [sys.executable, "-m", "i2i_bench", "run", *RUN, "--task", str(tiny)]
    command += ["--budget", "40", *(word for n in range(jobs) for word in ("--seed", str(n)))]
    command += ["--jobs", str(jobs)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: list(Path("runs").rglob("losses.jsonl")) or process.poll() is not None)
        assert not list(Path("results").rglob("*.json"))  # it trains
        for number in IGNORED:
            process.send_signal(number)
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert len(list(Path("results").rglob("seed*.json"))) == jobs


@pytest.mark.slow
def test_process_of_a_run_is_told_to_end_even_if_its_parent_ignores_that(places, tiny, ignore):
    ignore(signal.SIGTERM)
    arguments = (*RUN, "--task", str(tiny), "--budget", "100000")
    lines = execute_command(
        RunCommand(arguments, str(places)),
        {},
        lambda: bool(list(Path("runs").rglob("losses.jsonl"))),
    )
    *said, code = lines
    assert code == 1
    assert "stopped by SIGTERM after " in str(said[-1])
