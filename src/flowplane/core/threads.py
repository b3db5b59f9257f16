"""Work shared out over the processors, and work that is better kept on one."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from threading import Condition, Lock
from typing import Any, TypeVar

import torch
from threadpoolctl import threadpool_limits

from flowplane.core.compiled import cores

__all__ = ["in_order", "one_thread", "one_thread_each", "shared"]

#: Nanoseconds of work that are worth a second thread.
WORTH = 300_000

Item = TypeVar("Item")
Result = TypeVar("Result")


@cache
def _helpers(count: int) -> ThreadPoolExecutor:
    """Kept, because a new thread waits for a processor: milliseconds on a busy machine."""
    return ThreadPoolExecutor(count, thread_name_prefix="flowplane")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.cache_clear)  # threads do not live on in a fork


def shared(work: Callable[[int, int], None], count: int, nanoseconds: float) -> None:
    """Calls `work` with the first and last + 1 of runs of `count` items, which take about this long altogether.

    The runs are shared out as in `in_order`.

    Example:
        >>> seen = [0] * 5000
        >>> def fill(first, last):
        ...     seen[first:last] = [n + 1 for n in seen[first:last]]
        >>> shared(fill, 5000, 1e9)
        >>> set(seen)
        {1}
    """
    workers = min(cores(), count)
    if workers <= 1 or nanoseconds < WORTH:
        work(0, count)
        return
    runs = min(8 * workers, count)
    ends = [count * run // runs for run in range(runs + 1)]
    deque(in_order(lambda run: work(*run), list(pairwise(ends))), maxlen=0)


def in_order(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """What the function returns for each item, in their order, each as soon as those before it are done.

    The items are shared out over the processors. The calling thread takes part, and waits for no helper that has not begun.

    Example:
        >>> list(in_order(abs, [-1, 2, -3]))
        [1, 2, 3]
    """
    left = deque(enumerate(items))
    found: dict[int, tuple[Any, BaseException | None]] = {}
    more = Condition()

    def take_one() -> bool:
        try:
            place, item = left.popleft()
        except IndexError:  # all are taken
            return False
        try:
            outcome: tuple[Any, BaseException | None] = function(item), None
        except BaseException as error:
            outcome = None, error
            left.clear()  # those after it will not be asked for
        with more:
            found[place] = outcome
            more.notify_all()
        return True

    def help_out() -> None:
        if _inside.threads:  # OpenMP's threads are counted thread by thread
            torch.set_num_threads(1)
        while take_one():
            pass

    count = min(cores(), len(items)) - 1
    helpers = [_helpers(count).submit(help_out) for _ in range(count)]
    try:
        for place in range(len(items)):
            while place not in found:
                if not take_one():
                    with more:
                        more.wait_for(lambda: place in found)  # noqa: B023 -- asked in this round only
            result, error = found.pop(place)
            if error is not None:
                raise error
            yield result
    finally:
        left.clear()
        for helper in helpers:
            if not helper.cancel():
                helper.result()


class _Inside:
    """How many blocks of `one_thread` the process is in, and what it was set to before the first of them."""

    limits: threadpool_limits | None

    def __init__(self) -> None:
        self.lock, self.threads, self.before = Lock(), 0, 0
        self.each, self.limits = 0, None  # blocks of `one_thread_each`

    def forked(self) -> None:
        """Of the threads that were inside, only the one that forked lives on."""
        self.lock = Lock()


_inside = _Inside()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_inside.forked)


@contextmanager
def one_thread(only: bool = True) -> Iterator[None]:
    """Torch on one thread inside, if `only`.

    On operations of microseconds more threads gain nothing; where other processes are busy they wait for one another, and
    the curve of the reference task then takes 20 times as long.

    Example:
        >>> with one_thread():
        ...     torch.get_num_threads()
        1
    """
    if not only:
        yield
        return
    with _inside.lock:
        if _inside.threads == 0:
            _inside.before = torch.get_num_threads()
        _inside.threads += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _inside.lock:
            _inside.threads -= 1
            if _inside.threads == 0:  # the last one out; those that came in later found 1
                torch.set_num_threads(_inside.before)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Inside, torch and all libraries that have threads of their own (BLAS, OpenMP) compute on one, so that `shared` alone
    says how many processors are busy, and none of them spins while it waits.

    Example:
        >>> from threadpoolctl import threadpool_info
        >>> with one_thread_each():
        ...     {library["num_threads"] for library in threadpool_info()}
        {1}
    """
    import scipy.linalg  # noqa: F401 -- only what is loaded can be limited, and SciPy has a BLAS of its own

    with _inside.lock:
        if _inside.each == 0:
            _inside.limits = threadpool_limits(1)
        _inside.each += 1
    try:
        with one_thread():
            yield
    finally:
        with _inside.lock:
            _inside.each -= 1
            if _inside.each == 0 and _inside.limits is not None:
                _inside.limits.restore_original_limits()
