"""Who does work that can be shared out: this process, or workers elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = ["Executor", "Serial", "executor_of"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(ABC):
    """Does the same with many things; whoever does it, what comes back is the same."""

    @abstractmethod
    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """What the function returns for each item, in their order; the error of the first one that failed."""


class Serial(Executor):
    """One after the other, here.

    Example:
        >>> list(Serial().map(abs, [-1, 2]))
        [1, 2]
    """

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        return map(function, items)


@contextmanager
def executor_of(cluster: Any) -> Iterator[Executor]:
    """What is meant by `cluster=`: None is this process, an Executor itself, all else what `flowplane.cluster` makes of it.

    Raises:
        InputError: no cluster, or no scheduler answers.
        MissingRequirement: Dask is not installed.

    Example:
        >>> with executor_of(None) as executor:
        ...     sum(executor.map(abs, [-1, 2]))
        3
    """
    if isinstance(cluster, Executor):
        yield cluster
    elif cluster is None:
        yield Serial()
    else:
        from flowplane.cluster.executing import dask_executor

        with dask_executor(cluster) as executor:
            yield executor
