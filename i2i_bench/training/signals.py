"""Stop a training on SIGINT or SIGTERM, after its state was saved."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from i2i_bench.system.processes import several
from i2i_bench.training import parallel


class Stopped(Exception):
    """A signal ended the training, after its state was saved."""


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list; a second one acts as if this were not here.

    A signal that the process ignores, as under ``nohup`` or ``&``, stays ignored. Of several
    processes, one that fails in the block survives to report it: see ``parallel.outlive``.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: each for number, each in before.items() if each != signal.SIG_IGN}

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        received.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield received
    except Exception:
        if several() and signal.SIGTERM in before:
            before[signal.SIGTERM] = parallel.outlive
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
