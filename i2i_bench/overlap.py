"""Work on all cores ahead of whoever takes its results."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 64  # results that may wait; few enough to be no matter in memory
WRITERS = 32  # threads that write files: each waits for the disk most of its time


def ahead(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    depth: int = AHEAD,
    workers: int | None = None,
) -> Generator[Result]:
    """Give the results of work in the order of its items, begun a little ahead on all cores.

    Where an item cannot be had or work fails, what was begun is finished first; where results are
    no longer asked for, it is not.

    Args:
        work: Called in threads.
        items: Taken in the thread of the caller.
        depth: Results that wait or are in work while another item is taken.
        workers: Threads; one for each core unless given.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except GeneratorExit:
            pool.shutdown(cancel_futures=True)
            raise
