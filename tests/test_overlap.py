"""Work ahead of whoever takes its results: in order, bounded, and at rest once nobody does."""

import itertools
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from i2i_bench import overlap
from i2i_bench.overlap import ahead


def test_results_come_in_the_order_of_the_items():
    slower_first = lambda item: time.sleep(0.002 * (9 - item)) or item  # noqa: E731 - a callback
    assert list(ahead(slower_first, range(10), depth=3)) == list(range(10))


def test_no_more_items_are_taken_than_may_wait():
    taken = itertools.count()
    results = ahead(lambda item: item, (next(taken) for _ in range(100)), depth=5)
    assert next(results) == 0
    assert next(taken) == 6
    results.close()


def test_items_are_taken_in_the_thread_of_the_caller():
    threads = set()

    def items():
        threads.add(threading.current_thread())
        yield 1

    assert list(ahead(lambda item: item, items())) == [1]
    assert threads == {threading.current_thread()}


def test_what_was_begun_is_finished_where_an_item_cannot_be_had():
    done = []

    def items():
        yield from range(5)
        raise ValueError("no sixth")

    with pytest.raises(ValueError, match="no sixth"):
        list(ahead(done.append, items()))
    assert sorted(done) == list(range(5))


def test_failure_of_work_comes_at_its_place():
    results = ahead(lambda item: 1 // (2 - item), range(5))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_nothing_more_is_begun_once_results_are_not_asked_for(monkeypatch):
    begun, go_on = [], threading.Event()

    def work(item):
        begun.append(item)
        assert item == 0 or go_on.wait(60)

    class Pool(ThreadPoolExecutor):
        """One whose work in hand goes on once it is known what is not begun any more."""

        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            go_on.set()
            super().shutdown(wait)

    monkeypatch.setattr(overlap, "ThreadPoolExecutor", Pool)
    results = ahead(work, range(1000), depth=500)
    next(results)
    results.close()
    cores = os.cpu_count() or 1
    assert len(begun) <= cores + 1 < 500
