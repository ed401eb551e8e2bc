"""Work on all cores ahead of whoever takes its results."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 64  # results that may wait; few enough to be no matter in memory
WRITERS = 32  # threads that write files: each waits for the disk most of its time
MOST_TOGETHER = 8  # images of a part
MOST_PIXELS = 2**19  # of all images of a part, unless it is one
STARTED_WITHIN = 1.0  # seconds that a thread may take to begin


def prefetch(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    depth: int = AHEAD,
    workers: int | None = None,
    together: int = 1,
) -> Generator[Result]:
    """Give the results of work in the order of its items, begun a little ahead on all cores.

    Where an item cannot be had or work fails, what was begun is finished first; where results are
    no longer asked for, it is not.

    Args:
        work: Called in threads.
        items: Taken in the thread of the caller.
        depth: Items that wait or are in work while another is taken, if that keeps threads busy.
        workers: Threads; one for each core unless given.
        together: Items of a part, which one thread works on: where each takes little, threads
            that hand over one at a time mostly wait for each other.
    """
    waiting: deque[Future[tuple[list[Result], BaseException | None]]] = deque()

    def first() -> Generator[Result]:
        done, error = waiting.popleft().result()
        yield from done
        if error is not None:
            raise error

    workers = workers or _cores()
    most = max(workers, depth // together)
    with _pool(workers) as pool:
        try:
            for part in _parts(items, together):
                waiting.append(pool.submit(_all, work, part))
                if len(waiting) > most:
                    yield from first()
            while waiting:
                yield from first()
        except GeneratorExit:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool all of whose threads have ended afterwards.

    A pool itself does not wait for a thread in whose start a signal was raised.
    """
    name = f"ahead {uuid.uuid4()}"
    pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False)
        for thread in threading.enumerate():
            if thread.name.startswith(name):
                _join(thread)


def _join(thread: threading.Thread) -> None:
    """Wait for a thread to end, even where its start has not come back yet."""
    until = time.monotonic() + STARTED_WITHIN
    while thread.ident is None and time.monotonic() < until:
        time.sleep(0.001)
    with contextlib.suppress(RuntimeError):  # it has never begun
        thread.join()


def images_a_part(side: int, count: int, workers: int | None = None) -> int:
    """Tell how many images make a part: several, unless they are large or few.

    Args:
        side: Of an image, in pixels.
        count: Of all images.
        workers: Threads; one for each core unless given.
    """
    fair = count // (2 * (workers or _cores()))
    return max(1, min(MOST_TOGETHER, MOST_PIXELS // side**2, fair))


def _cores() -> int:
    return os.cpu_count() or 1


def _parts(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Give items in parts; what was taken before one cannot be had is a part of its own."""
    part: list[Item] = []
    try:
        for item in items:
            part.append(item)
            if len(part) == size:
                yield part
                part = []
    except GeneratorExit:
        raise
    except BaseException:
        if part:
            yield part
        raise
    if part:
        yield part


def _all(
    work: Callable[[Item], Result], part: list[Item]
) -> tuple[list[Result], BaseException | None]:
    """Give the results of a part, and what the one after them failed with."""
    done: list[Result] = []
    try:
        done.extend(map(work, part))
    except BaseException as error:
        return done, error
    return done, None
