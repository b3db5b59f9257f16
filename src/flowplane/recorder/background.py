"""Snapshots written by another thread, one at a time, while training goes on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from weakref import WeakSet

from flowplane.recording import Metrics, ModelSnapshot

__all__ = ["Background", "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What became of a snapshot: of which epoch, what was logged with it, and why it could not be written."""

    epoch: int
    metrics: Metrics
    error: BaseException | None


class Background:
    """A thread that commits one pending snapshot.

    It begins with the first snapshot and ends with `close`. Before the next one is handed over, the outcome of the one
    before is asked for, so that a crash loses no more than one. In a fork, which no thread survives, nothing is pending.
    """

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._given: tuple[int, Metrics, Future[None]] | None = None
        self._process = os.getpid()

    @property
    def here(self) -> bool:
        """Whether this is the process that the thread lives in, not a fork of it."""
        return os.getpid() == self._process

    def give(self, commit: Callable[[ModelSnapshot, Metrics], None], snapshot: ModelSnapshot, metrics: Metrics) -> None:
        """Have a snapshot committed, beginning now."""
        assert self._given is None
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="flowplane-recorder")
        self._given = (snapshot.epoch, metrics, self._thread.submit(commit, snapshot, metrics))
        _used.add(self)

    def wait(self) -> None:
        """Wait until nothing is being written."""
        if self._given is not None and self.here:
            wait([self._given[2]])

    @property
    def over(self) -> bool:
        """Whether there is an outcome that needs no waiting."""
        return self._given is not None and self.here and self._given[2].done()

    @property
    def idle(self) -> bool:
        """Whether nothing is being written."""
        return self._given is None or self._given[2].done()

    def outcome(self) -> Outcome | None:
        """What became of the last snapshot, once it is over; said only once. None where there was none."""
        if self._given is None or not self.here:
            return None
        epoch, metrics, future = self._given
        error = future.exception()
        self._given = None
        return Outcome(epoch, metrics, error)

    def close(self, then: Callable[[], object]) -> None:
        """End the thread, then do what may only be done when nothing is being written any more."""
        if not self.here:
            return
        if self._thread is not None:
            # a second Ctrl-C does not wait for the pending snapshot, which would then be written without a lock
            self._thread.shutdown(wait=self.idle)
        if self._given is None:
            then()
        else:
            self._given[2].add_done_callback(lambda _: then())


_used: WeakSet[Background] = WeakSet()


def _wait_for_all() -> None:
    for background in list(_used):
        background.wait()


# What was never closed is waited for while zarr can still start threads; `atexit` and the end of our threads come later.
if hasattr(threading, "_register_atexit"):
    threading._register_atexit(_wait_for_all)
