"""Settings of a process that no result may depend on: gradients off, NumPy set to raise, a fork without its threads.

Default dtype and device need nothing here: whatever makes a tensor names both, and a user's own functions see the user's.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import isgeneratorfunction
from typing import ParamSpec, TypeVar

__all__ = ["in_own_modes", "own_modes"]

#: The process that imported flowplane; any other that runs this is a fork of it.
PROCESS = os.getpid()

_own = threading.local()

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def own_modes() -> Iterator[None]:
    """Inside, gradients are computed where they are asked for, and NumPy treats overflow as it does by default.

    A library that has not been imported yet still has its defaults, so nothing is imported here.

    Example:
        >>> import numpy as np, torch
        >>> with np.errstate(all="raise"), torch.inference_mode(), own_modes():
        ...     (torch.ones(1, requires_grad=True) * float(np.exp(-1000.0))).requires_grad
        True
    """
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is None or numpy is None:
        yield
        return
    errors = numpy.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
    with torch.inference_mode(False), torch.enable_grad(), errors, _threads_that_live():
        yield


@contextmanager
def _threads_that_live() -> Iterator[None]:
    """One thread in a fork: OpenMP would wait for ever for threads that it started before, which only the parent has."""
    if os.getpid() == PROCESS or getattr(_own, "alone", False):
        yield
        return
    from threadpoolctl import threadpool_limits

    from flowplane.core.threads import one_thread

    _own.alone = True
    try:
        with one_thread(), threadpool_limits(1):
            yield
    finally:
        _own.alone = False


def in_own_modes(function: Callable[P, R]) -> Callable[P, R]:
    """The function, wrapped to run in `own_modes`; one that already is stays as it is.

    Example:
        >>> import numpy as np
        >>> exp = in_own_modes(lambda x: float(np.exp(x)))
        >>> with np.errstate(all="raise"):
        ...     exp(-1000.0)
        0.0
        >>> in_own_modes(exp) is exp
        True
    """
    if hasattr(function, "_own_modes"):
        return function
    assert not isgeneratorfunction(function)  # it would run in the modes of the code that asks for the next item

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with own_modes():
            return function(*args, **kwargs)

    call._own_modes = True  # type: ignore[attr-defined]
    return call
