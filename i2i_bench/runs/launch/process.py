"""One run as a process of its own: ``i2i-bench run`` with a single run in its plan."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

# A process ends with the one that started it (Linux: 1 is PR_SET_PDEATHSIG), however that ends.
PROGRAM = """
import ctypes, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
signal.signal(signal.SIGTERM, signal.SIG_DFL)  # even if ignored there: it is told to end by it
from i2i_bench.cli.main import main
main(prog_name="i2i-bench")
"""


@dataclass(frozen=True)
class RunCommand:
    """The command that carries out one run.

    Attributes:
        arguments: After ``i2i-bench run``.
        folder: Where it is started, which relative paths are from.
    """

    arguments: tuple[str, ...]
    folder: str


def execute_command(
    command: RunCommand, variables: Mapping[str, str], is_stopped: Callable[[], bool]
) -> Iterator[str | int]:
    """Start a command as a process; give its lines, then its exit code.

    It is sent a signal to end when the caller stops reading.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "run", *command.arguments],
        cwd=command.folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **variables},  # what is read below
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a terminal's Ctrl-C is for the parent, which tells it once
    )
    told = False
    try:
        for line in _lines(process):
            if is_stopped() and not told:
                told = True
                process.send_signal(signal.SIGTERM)
            if line:
                yield line
        yield process.wait()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate()  # reads on, so that it can save and say so, and closes


def execute_remotely(command: RunCommand, variables: Mapping[str, str]) -> Iterator[str | int]:
    """Do ``execute_command`` on the machine that this is called on, by name and without torch."""
    yield from execute_command(command, variables, lambda: False)


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """Give the lines of a process until it closes its output; an empty one while it is silent."""
    assert process.stdout
    handle, rest = process.stdout.fileno(), b""
    with selectors.DefaultSelector() as ready:
        ready.register(handle, selectors.EVENT_READ)
        while True:
            if not ready.select(timeout=0.2):
                yield ""
                continue
            data = os.read(handle, 65536)
            *whole, rest = (rest + data).split(b"\n")
            yield from (line.decode(errors="replace").rstrip() for line in whole)
            if not data:
                yield rest.decode(errors="replace").rstrip()
                return
