"""When snapshots are due, and what they will cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from flowplane.core.schedule import log_spaced

__all__ = ["Cost", "Schedule"]

#: Where the number of epochs is not known, from one snapshot to the next.
FACTOR = 1.1


@dataclass(frozen=True)
class Cost:
    """What a recording will take: bytes before compression, and seconds of training time; and seconds that its information
    plane, its transport and a report of it take afterwards, NaN where there are none."""

    snapshots: int
    bytes: int
    seconds: float
    plane: float = math.nan
    transport: float = math.nan
    report: float = math.nan

    def __str__(self) -> str:
        size = self.bytes / 2**20
        text = f"{size / 1024:.1f} GiB" if size >= 1024 else f"{size:.1f} MiB"
        later = {"the plane": self.plane, "the transport": self.transport, "a report": self.report}
        known = [f"{name} {seconds:.0f} s" for name, seconds in later.items() if math.isfinite(seconds)]
        said = f"; afterwards, about: {', '.join(known)}" if known else ""
        return f"{self.snapshots} snapshots, {text} before compression, about {self.seconds:.1f} s in all{said}"


class Schedule:
    """Which epochs are recorded: `snapshots` of them spread evenly over log(epoch) up to `epochs`; after it, or without one,
    each is at least 1.1 times the one before.

    Example:
        >>> table = Schedule(epochs=100, snapshots=5)
        >>> [epoch for epoch in range(1, 111) if table.due(epoch)]
        [1, 5, 22, 100, 110]
    """

    def __init__(self, epochs: int | None, snapshots: int) -> None:
        self._planned = [] if epochs is None else log_spaced(epochs, snapshots)[1:].tolist()
        self._last = 0
        self._next = self._planned[0] if self._planned else 1

    @property
    def next(self) -> int:
        """The first epoch that is due."""
        return self._next

    def due(self, epoch: int) -> bool:
        """Whether this epoch is to be recorded; it then counts as recorded. Epochs may be left out: the next one that is
        reported is recorded instead."""
        if epoch < self._next:
            return False
        self.passed(epoch)
        return True

    def passed(self, epoch: int) -> None:
        """An epoch was recorded."""
        self._last = epoch
        ahead = [planned for planned in self._planned if planned > epoch]
        self._next = ahead[0] if ahead else max(epoch + 1, math.ceil(round(epoch * FACTOR, 9)))
