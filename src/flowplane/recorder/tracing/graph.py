"""Which tensors of a run were computed from which."""

from __future__ import annotations

from flowplane.recorder.tracing.functions import STATISTICS
from flowplane.recorder.tracing.rules import CARRIED

__all__ = ["Graph"]


class Graph:
    """Which tensors were computed from which: parents of each node, and the nodes of the inputs."""

    def __init__(self) -> None:
        self.parents: list[tuple[int, ...]] = []
        self.inputs: list[int] = []
        self._functions: list[str] = []

    def add(self, parents: tuple[int, ...], function: str = "") -> int:
        """A new node, that a call of a function made."""
        self.parents.append(tuple(dict.fromkeys(parent for parent in parents if parent >= 0)))
        self._functions.append(function)
        return len(self.parents) - 1

    def input(self) -> int:
        """A new node, of an input."""
        self.inputs.append(self.add(()))
        return self.inputs[-1]

    def reduces(self, start: int, end: int, statistic: str | None) -> bool:
        """Whether a "mean" or "max" over places is all that lies between two nodes.

        Example:
            >>> graph = Graph()
            >>> x = graph.add(()); pooled = graph.add((x,), "adaptive_avg_pool2d"); flat = graph.add((pooled,), "flatten")
            >>> graph.reduces(x, flat, "mean"), graph.reduces(x, flat, "max"), graph.reduces(pooled, flat, "mean")
            (True, False, False)
        """
        met = 0
        while end > start and len(self.parents[end]) == 1:
            function = self._functions[end]
            if statistic is not None and function in STATISTICS[statistic]:
                met += 1
            elif function not in CARRIED:
                return False
            (end,) = self.parents[end]
        return end == start and met > 0
