"""Prefetch: threads work ahead of the caller, who takes results in order."""

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

DEPTH = 64  # results that may wait; few enough to take little memory
WRITERS = 32  # threads that write files: each waits for the disk most of its time
MOST_IMAGES = 8  # of a part
MOST_PIXELS = 2**19  # of all images of a part, unless it is one
STARTED_WITHIN = 1.0  # seconds that a thread may take to begin


def prefetch(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    depth: int = DEPTH,
    workers: int | None = None,
    part_size: int = 1,
) -> Generator[Result]:
    """Yield the results of work in the order of its items, which threads prefetch.

    Where taking an item or the work on it fails, all work that was begun is finished before the
    error is raised. Where the caller stops taking results, work that has not begun is cancelled.

    Args:
        work: Called in threads.
        items: Taken in the thread of the caller.
        depth: Results that wait or are in work while the caller uses one; more if there are more
            threads.
        workers: Threads; one for each core unless given.
        part_size: Consecutive items that one thread works on. Where each takes little, threads
            that hand over one at a time mostly wait for each other.
    """
    waiting: deque[Future[tuple[list[Result], BaseException | None]]] = deque()

    def next_results() -> Generator[Result]:
        done, error = waiting.popleft().result()
        yield from done
        if error is not None:
            raise error

    workers = workers or _cores()
    most = max(workers, depth // part_size)
    with _pool(workers) as pool:
        try:
            for part in _parts(items, part_size):
                waiting.append(pool.submit(_work_on_part, work, part))
                if len(waiting) > most:
                    yield from next_results()
            while waiting:
                yield from next_results()
        except GeneratorExit:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool, and wait afterwards until all its threads have ended.

    The pool itself does not wait for a thread in whose start a signal was raised.
    """
    name = f"prefetch {uuid.uuid4()}"
    pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False)
        for thread in threading.enumerate():
            if thread.name.startswith(name):
                _join_thread(thread)


def _join_thread(thread: threading.Thread) -> None:
    """Wait for a thread to end, even if ``start`` has not returned yet."""
    until = time.monotonic() + STARTED_WITHIN
    while thread.ident is None and time.monotonic() < until:
        time.sleep(0.001)
    with contextlib.suppress(RuntimeError):  # it was never started
        thread.join()


def images_per_part(side: int, count: int, workers: int | None = None) -> int:
    """Tell how many images make a part: several, unless they are large or few.

    Args:
        side: Of an image, in pixels.
        count: Of all images.
        workers: Threads; one for each core unless given.
    """
    fair = count // (2 * (workers or _cores()))
    return max(1, min(MOST_IMAGES, MOST_PIXELS // side**2, fair))


def _cores() -> int:
    return os.cpu_count() or 1


def _parts(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield items in parts; the items before a failure are a part of their own."""
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


def _work_on_part(
    work: Callable[[Item], Result], part: list[Item]
) -> tuple[list[Result], BaseException | None]:
    """Return the results of a part up to the first failure, and that failure."""
    done: list[Result] = []
    try:
        done.extend(map(work, part))
    except BaseException as error:
        return done, error
    return done, None
