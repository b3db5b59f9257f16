"""Maps one after another: a deep network as the polygon of a flow (§A1, §A4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.errors import InputError, Text
from flowplane.transport.maps.base import TransportMap
from flowplane.transport.maps.state import Motion, State

__all__ = ["Composition"]


def common_metric(maps: Sequence[TransportMap]) -> Float[Tensor, "feature feature"] | None:
    """The metric that all maps have; None, the identity, where they differ."""
    first = maps[0].metric
    if first is None or any(part.metric is None or not torch.equal(part.metric, first) for part in maps):
        return None
    return first


class Composition(TransportMap):
    """The maps one after another, the first one first; `f @ g` is `Composition([g, f])`.

    Raises:
        InputError: no map, or maps of different dimension.
    """

    def __init__(self, maps: Sequence[TransportMap]) -> None:
        parts: list[TransportMap] = []
        for given in maps:
            parts += given.maps if type(given) is Composition else [given]
        if not parts:
            raise InputError("maps", Text("none"), "one map or more")
        if len({part.dimension for part in parts}) > 1:
            found = Text(f"dimensions {[part.dimension for part in parts]}")
            raise InputError("maps", found, "maps of one dimension; `embed` takes points to a common one")
        self.maps: tuple[TransportMap, ...] = tuple(parts)
        first = parts[0]
        self.dimension, self.source, self.dtype, self.device = first.dimension, first.source, first.dtype, first.device
        self.affine = all(part.affine for part in parts)
        self.continuous = all(part.continuous for part in parts)
        self.time_units = first.time_units if len({part.time_units for part in parts}) == 1 else "1"
        self.metric = common_metric(parts)
        self._ends = np.cumsum([part.time for part in parts])
        self.time = float(self._ends[-1])

    @property
    def vertices(self) -> np.ndarray:
        """The times at which one map ends and the next begins, 0 and the last included."""
        return np.concatenate([[0.0], self._ends])

    def made_of(self) -> str:
        """How many maps of which kinds."""
        kinds = Counter(type(part).__name__ for part in self.maps)
        return f"{len(self.maps)}: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())

    def forward(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """Each map in turn."""
        for part in self.maps:
            x = part.forward(x)
        return x

    def backward(
        self, y: Float[Tensor, "sample feature"]
    ) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """Each map's inverse, the last one first."""
        origin, total = y.clone(), torch.zeros_like(y[:, 0])
        for part in reversed(self.maps):
            reached = ~torch.isnan(origin).any(1)
            if not reached.any():
                break
            before, log_det = part.backward(origin[reached])
            origin[reached] = before
            total[reached] += log_det
        return origin, total

    def log_det(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """The sum of the maps' logarithms, each where the points are when its turn comes."""
        total = torch.zeros_like(x[:, 0])
        for part in self.maps:
            total = total + part.log_det(x)
            x = part.forward(x)
        return total

    def path(self, x: Float[Tensor, "sample feature"], times: np.ndarray) -> Float[Tensor, "time sample feature"]:
        """The paths, end to end."""
        pieces = []
        for part, local, rest in self._turns(times):
            if len(local):
                pieces.append(part.path(x, local))
            if rest:
                x = part.forward(x)
        return torch.cat(pieces)

    def field(self, t: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """That of the map whose turn it is; at a vertex, of the next one."""
        part, local = self._turn(t)
        return part.field(local, x)

    def current(self, t: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """That of the map whose turn it is."""
        part, local = self._turn(t)
        return part.current(local, x)

    def kinetic(
        self, x: Float[Tensor, "sample feature"], times: np.ndarray, metric: Float[Tensor, "feature feature"] | None = None
    ) -> Float[Tensor, "time sample"]:
        """The maps' energies, added up."""
        pieces, spent = [], torch.zeros_like(x[:, 0])
        for part, local, rest in self._turns(times):
            reached = part.kinetic(x, np.append(local, part.time) if rest else local, metric)
            pieces.append(spent + reached[: len(local)])
            if rest:
                spent = spent + reached[-1]
                x = part.forward(x)
        return torch.cat(pieces)

    def motion(
        self, x: Float[Tensor, "sample feature"], times: np.ndarray, metric: Float[Tensor, "feature feature"] | None = None
    ) -> Motion:
        """The maps' paths, end to end."""
        pieces, spent = [], torch.zeros_like(x[:, 0])
        for part, local, rest in self._turns(times):
            found = part.motion(x, _with_ends(local, part.time if rest else None), metric)
            kept = slice(int(len(local) == 0 or local[0] > 0), int(len(local) == 0 or local[0] > 0) + len(local))
            pieces.append(Motion(found.position[kept], found.speed[kept], spent + found.energy[kept]))
            x, spent = found.position[-1], spent + found.energy[-1]
        return Motion(*(torch.cat(column) for column in zip(*pieces, strict=True)))

    def pieces(self, x: Float[Tensor, "sample feature"]) -> np.ndarray:
        """Those of all maps."""
        found = [np.zeros(1)]
        for part, began in zip(self.maps, self.vertices, strict=False):
            found.append(began + part.pieces(x)[1:])
            x = part.forward(x)
        return np.concatenate(found)

    def until(self, t: float) -> TransportMap:
        """The maps that are over by time t, and the part of the next one."""
        turn = min(int(np.searchsorted(self._ends, t, side="left")), len(self.maps) - 1)
        left = float(t - self.vertices[turn])
        last = self.maps[turn] if left >= self.maps[turn].time else self.maps[turn].until(left)
        return Composition([*self.maps[:turn], last])

    def evolve(self, start: State, times: np.ndarray) -> list[State]:
        """Each map's states, the next one beginning where the last one ended."""
        states: list[State] = []
        for part, local, rest in self._turns(times):
            found = part.evolve(start, np.append(local, part.time) if rest else local)
            states += found[: len(local)]
            start = found[-1] if found else start
        return states

    def _turn(self, t: float) -> tuple[TransportMap, float]:
        """The map whose turn it is at time t, and the time since it began."""
        turn = min(int(np.searchsorted(self._ends, t, side="right")), len(self.maps) - 1)
        return self.maps[turn], float(t - self.vertices[turn])

    def _turns(self, times: np.ndarray) -> Iterator[tuple[TransportMap, np.ndarray, bool]]:
        """Each map with the times of its turn, counted from its start, and whether another one follows that matters."""
        turns = np.searchsorted(self._ends, times, side="right").clip(max=len(self.maps) - 1)
        for turn, part in enumerate(self.maps):
            local = (times[turns == turn] - self.vertices[turn]).clip(0.0, part.time)
            rest = bool((turns > turn).any())
            yield part, local, rest
            if not rest:
                return


def _with_ends(times: np.ndarray, end: float | None) -> np.ndarray:
    """Times from 0 on, and to `end` where there is one."""
    return np.unique(np.concatenate([[0.0], times, [] if end is None else [end]]))
