"""Prefetch: results in order, a bounded number ahead, no thread left at the end."""

import itertools
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from i2i_bench.system import prefetch as threads
from i2i_bench.system.prefetch import images_per_part, prefetch


def test_results_come_in_the_order_of_the_items():
    slower_first = lambda item: time.sleep(0.002 * (9 - item)) or item  # noqa: E731 - a callback
    assert list(prefetch(slower_first, range(10), depth=3)) == list(range(10))


def test_no_more_items_are_taken_than_may_wait():
    taken = itertools.count()
    results = prefetch(lambda item: item, (next(taken) for _ in range(100)), depth=5, workers=2)
    assert next(results) == 0
    assert next(taken) == 6
    results.close()


def test_items_are_taken_in_the_thread_of_the_caller():
    threads = set()

    def items():
        threads.add(threading.current_thread())
        yield 1

    assert list(prefetch(lambda item: item, items())) == [1]
    assert threads == {threading.current_thread()}


def test_what_was_begun_is_finished_where_an_item_cannot_be_had():
    done = []

    def items():
        yield from range(5)
        raise ValueError("no sixth")

    with pytest.raises(ValueError, match="no sixth"):
        list(prefetch(done.append, items()))
    assert sorted(done) == list(range(5))


def test_failure_of_work_comes_at_its_place():
    results = prefetch(lambda item: 1 // (2 - item), range(5))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_parts_are_worked_on_whole_and_come_item_by_item():
    threads: dict[int, threading.Thread] = {}
    all_at_once = threading.Barrier(3, timeout=60)

    def work(item):
        threads[item] = threading.current_thread()
        if item % 4 == 0:
            all_at_once.wait()
        return item

    assert list(prefetch(work, range(10), workers=10, part_size=4)) == list(range(10))
    parts = [range(4), range(4, 8), range(8, 10)]
    assert [len({threads[item] for item in part}) for part in parts] == [1, 1, 1]
    assert len(set(threads.values())) == len(parts)


@pytest.mark.parametrize("part_size", [1, 2, 3, 4, 5, 9])
def test_failure_in_a_part_comes_after_what_preceded_it(part_size):
    results = prefetch(lambda item: 1 // (4 - item), range(9), part_size=part_size)
    assert list(itertools.islice(results, 4)) == [0, 0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("part_size", [2, 3, 5, 9])
def test_what_was_taken_of_a_part_is_done_where_the_rest_cannot_be_had(part_size):
    done = []

    def items():
        yield from range(5)
        raise ValueError("no sixth")

    with pytest.raises(ValueError, match="no sixth"):
        list(prefetch(done.append, items(), part_size=part_size))
    assert sorted(done) == list(range(5))


@pytest.mark.parametrize("has_begun", [True, False])
def test_thread_in_whose_start_a_signal_was_raised_is_waited_for(monkeypatch, has_begun):
    start, started, done = threading.Thread.start, itertools.count(1), []

    def interrupted(thread):
        is_second = next(started) == 2
        if is_second and not has_begun:
            monkeypatch.setattr(thread._started, "wait", interrupt)
        start(thread)
        if is_second:
            interrupt()

    def interrupt():
        raise KeyboardInterrupt

    def work(item):
        time.sleep(0.2 + 0.5 * item)
        done.append(item)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(prefetch(work, range(9), workers=3))
    assert done == [0, 1]


@pytest.mark.parametrize(("workers", "begun"), [(1, 12 // 4), (5, 5)])
def test_no_more_parts_are_begun_than_depth_or_threads_want(workers, begun):
    taken = itertools.count()
    items = (next(taken) for _ in range(100))
    results = prefetch(lambda item: item, items, depth=12, workers=workers, part_size=4)
    assert next(results) == 0
    assert next(taken) == (begun + 1) * 4
    results.close()


def test_large_images_are_parts_of_their_own_and_few_are_dealt_out_to_all_threads():
    sides = (4, 256, 257, 512, 724, 725, 5000)
    assert [images_per_part(side, 1000, 2) for side in sides] == [8, 8, 7, 2, 1, 1, 1]
    counts = (0, 1, 7, 8, 12, 31, 32, 1000)
    assert [images_per_part(256, count, 2) for count in counts] == [1, 1, 1, 2, 3, 7, 8, 8]


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

    monkeypatch.setattr(threads, "ThreadPoolExecutor", Pool)
    results = prefetch(work, range(1000), depth=500)
    next(results)
    results.close()
    cores = os.cpu_count() or 1
    assert len(begun) <= cores + 1 < 500
