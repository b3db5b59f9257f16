"""Who does work that can be shared out: this process, or workers elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from flowplane.core.threads import in_order, one_thread_each

__all__ = ["Executor", "Serial", "Threads", "executor_of"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(ABC):
    """Applies one function to many items; the results are the same whatever does the work."""

    @abstractmethod
    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """What the function returns for each item, in their order; raises the error of the first one that failed."""


class Serial(Executor):
    """One after another, in this process.

    Example:
        >>> list(Serial().map(abs, [-1, 2]))
        [1, 2]
    """

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        return map(function, items)


class Threads(Executor):
    """As many at once as there are processors, each on one thread.

    Example:
        >>> list(Threads().map(abs, [-1, 2]))
        [1, 2]
    """

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        with one_thread_each():
            yield from in_order(function, list(items))


@contextmanager
def executor_of(cluster: Any, here: Executor | None = None) -> Iterator[Executor]:
    """What `cluster=` means: an Executor stands for itself, None for `here` (by default `Serial()`), and anything else for
    what `flowplane.cluster` makes of it.

    Raises:
        InputError: it is not a cluster, or no scheduler answers.
        MissingRequirement: Dask is not installed.

    Example:
        >>> with executor_of(None) as executor:
        ...     sum(executor.map(abs, [-1, 2]))
        3
    """
    if isinstance(cluster, Executor):
        yield cluster
    elif cluster is None:
        yield here or Serial()
    else:
        from flowplane.cluster.executing import dask_executor

        with dask_executor(cluster) as executor:
            yield executor
