"""Work on all cores ahead of whoever takes its results."""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 64  # parts that may wait; few enough to be no matter in memory
WRITERS = 32  # threads that write files: each waits for the disk most of its time
PART = 8, 2**19  # images of a part at most, and pixels of them all unless it is one image


def ahead(
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
        depth: Parts that wait or are in work while another item is taken.
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

    with _pool(workers or os.cpu_count()) as pool:
        try:
            for part in _parts(items, together):
                waiting.append(pool.submit(_all, work, part))
                if len(waiting) > depth:
                    yield from first()
            while waiting:
                yield from first()
        except GeneratorExit:
            pool.shutdown(cancel_futures=True)
            raise


@contextlib.contextmanager
def _pool(workers: int | None) -> Iterator[ThreadPoolExecutor]:
    """Give a pool all of whose threads are at rest afterwards.

    A pool itself does not wait for a thread in whose start a signal was raised.
    """
    name = f"ahead {uuid.uuid4()}"
    try:
        with ThreadPoolExecutor(workers, thread_name_prefix=name) as pool:
            yield pool
    finally:
        for thread in threading.enumerate():
            if thread.name.startswith(name):
                thread.join()


def together(side: int, limits: tuple[int, int] = PART) -> int:
    """Tell how many images of a side in pixels make a part: several, unless they are large.

    Args:
        side: In pixels.
        limits: Images of a part at most, and pixels of them all unless it is one image.
    """
    most, pixels = limits
    return max(1, min(most, pixels // side**2))


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
