"""One thread for many small operations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["one_thread"]


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
    before = torch.get_num_threads()
    if only:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
