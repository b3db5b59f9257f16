"""Which tensors of a run were computed from which."""

from __future__ import annotations

from flowplane.recorder.tracing.functions import STATISTICS
from flowplane.recorder.tracing.rules import CARRIED, RESHAPED

__all__ = ["Graph"]

#: Calls after which unit k is still unit k of their first argument: moved as a whole, cast, normalised, clipped.
SAME_UNITS = RESHAPED | {
    *("permute", "transpose", "movedim", "squeeze", "unsqueeze", "to", "type", "float", "half", "double", "bfloat16"),
    *("contiguous", "clone", "type_as", "dropout", "dropout1d", "dropout2d", "dropout3d", "layer_norm", "rms_norm"),
    *("group_norm", "instance_norm", "batch_norm", "relu", "relu6"),
}
SUMS = {"add", "sub"}
#: A layer of torch's own encoder, computed in one call.
FUSED = "transformer_encoder_layer_fwd"


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

    def adds(self, start: int, end: int) -> bool:
        """Whether a node is another one plus what is computed from that: a path leads from one to the other on which numbers
        are only added to, and whatever is added comes from the start too. Norms and ReLU may stand on the path.

        Example:
            >>> graph = Graph()
            >>> x = graph.add(()); branch = graph.add((x,), "linear"); total = graph.add((x, branch), "add")
            >>> graph.adds(x, total), graph.adds(x, branch), graph.adds(x, graph.add((total, graph.add(())), "add"))
            (True, False, False)
        """
        below = {start}
        for node in range(start + 1, end + 1):
            if not below.isdisjoint(self.parents[node]):
                below.add(node)
        reached = {end: False}
        for node in range(end, start, -1):
            if node not in reached:
                continue
            function, parents = self._functions[node], self.parents[node]
            sums = function == FUSED or (function in SUMS and len(parents) > 1 and below.issuperset(parents))
            if sums or function in SAME_UNITS:
                for parent in parents if function in SUMS else parents[:1]:
                    reached[parent] = reached.get(parent, False) or reached[node] or sums
        return reached.get(start, False)
