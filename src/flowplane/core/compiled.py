"""Loops compiled by Numba, and the processors to run them on."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numba

__all__ = ["cores", "kernel", "machine"]


def kernel(fastmath: Iterable[str] = ()) -> Callable[[Callable[..., Any]], Any]:
    """Numba's `njit`, cached on disk where a folder can be written, without the interpreter's lock.

    Numba's cache follows the modification time of a function's own file: kernels that call each other share a file.

    Arguments:
        fastmath: LLVM's flags for floating point; none by default.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        options: dict[str, Any] = {"fastmath": set(fastmath), "nogil": True, "error_model": "numpy"}
        try:
            return numba.njit(function, cache=True, **options)
        except RuntimeError:  # no folder for the cache is writable
            return numba.njit(function, **options)

    return decorate


def cores() -> int:
    """Processors that this process may use, no more than Numba's own limit (NUMBA_NUM_THREADS)."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(there, int(numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]


def machine() -> str:
    """How many processors of which model this process may use, for a table of timings."""
    try:  # only on Linux does it name the model
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return f"{cores()} × {names[0] if names else platform.processor() or platform.machine()}"
