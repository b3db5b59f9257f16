"""Which start goes with which end: what a velocity is trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import as_points
from flowplane.core.streams import HELD_OUT, STARTS, generator
from flowplane.errors import InputError, Text, unknown
from flowplane.transport.densities import Density
from flowplane.transport.learned.fitting import Data, Plan
from flowplane.transport.profiles.optimal import assignment

__all__ = ["COUPLINGS", "Coupling", "coupled"]

#: x_0 and x_1, row by row.
Pairs: TypeAlias = tuple[Float[Tensor, "pair feature"], Float[Tensor, "pair feature"]]


class Coupling(ABC):
    """Pairs of x_0 and x_1 to train on, batch by batch, and others to judge by."""

    dimension: int
    held_out: Pairs

    @abstractmethod
    def batch(self) -> Pairs:
        """The pairs of the next step."""

    @abstractmethod
    def uniform(self, rows: int) -> Float[Tensor, " pair"]:
        """Uniform numbers, fresh."""

    @abstractmethod
    def fixed(self) -> Float[Tensor, " pair"]:
        """Uniform numbers for the held-out pairs, always the same."""


class Independent(Coupling):
    """Starts and ends drawn independently."""

    def __init__(self, source: Any, target: Any, plan: Plan) -> None:
        own = replace(plan, seed=int(generator(plan.seed, STARTS).integers(1 << 63)))
        self.starts, self.ends = Data(source, own, "source"), Data(target, plan, "target")
        self.dimension = self.ends.dimension
        if self.starts.dimension != self.dimension:
            raise InputError("source", Text(f"{self.starts.dimension} dimensions"), f"{self.dimension}, as the target has")
        start, end = self.starts.held_out, self.ends.held_out
        count = min(len(start), len(end))
        # few points stand there many times over, in the same order
        order = torch.from_numpy(generator(plan.seed, HELD_OUT, 3).permutation(len(end))[:count]).to(end.device)
        self.held_out = self._together(start[:count], end[order])

    def batch(self) -> Pairs:
        """As many of either."""
        return self._together(self.starts.batch(), self.ends.batch())

    def uniform(self, rows: int) -> Float[Tensor, " pair"]:
        """Of the ends' stream."""
        return self.ends.uniform(rows)

    def fixed(self) -> Float[Tensor, " pair"]:
        """Of the ends' stream."""
        return self.ends.fixed()[1][: len(self.held_out[0])]

    def _together(self, start: Tensor, end: Tensor) -> Pairs:
        return start, end


class Optimal(Independent):
    """Starts and ends drawn independently, and joined by the best plan between those of a batch (Pooladian et al., ICML
    2023; Tong et al., TMLR 2024)."""

    def _together(self, start: Tensor, end: Tensor) -> Pairs:
        # what is held out is many batches
        size = self.starts.plan.batch_size
        parts = zip(start.split(size), end.split(size), strict=True)
        return start, torch.cat([other[assignment(one, other)] for one, other in parts])


class Paired(Coupling):
    """Pairs that are there already, row by row."""

    def __init__(self, source: Any, target: Any, plan: Plan) -> None:
        rows = [self._points(name, given, plan) for name, given in (("source", source), ("target", target))]
        if len(source) != len(target):
            raise InputError("target", Text(f"{len(target)} points"), f"{len(source)}, one for each of the source")
        self.pairs = Data(torch.cat(rows, 1), plan, "source and target")
        self.dimension = rows[0].shape[1]
        self.held_out = self._apart(self.pairs.held_out)

    def batch(self) -> Pairs:
        """Pairs with replacement."""
        return self._apart(self.pairs.batch())

    def uniform(self, rows: int) -> Float[Tensor, " pair"]:
        """Of the pairs' stream."""
        return self.pairs.uniform(rows)

    def fixed(self) -> Float[Tensor, " pair"]:
        """Of the pairs' stream."""
        return self.pairs.fixed()[1]

    @staticmethod
    def _points(name: str, given: Any, plan: Plan) -> Tensor:
        if isinstance(given, Density):
            raise InputError(name, given, "an array of points for coupling 'paired'")
        return as_points(name, given, None, device=plan.device)[0]

    def _apart(self, rows: Tensor) -> Pairs:
        return rows[:, : self.dimension], rows[:, self.dimension :]


COUPLINGS = {"independent": Independent, "optimal": Optimal, "paired": Paired}


def coupled(source: Any, target: Any, coupling: str, plan: Plan) -> Coupling:
    """Starts and ends, points (n, d) or densities, coupled as the name says. Raises InputError for another name."""
    if coupling not in COUPLINGS:
        raise unknown("coupling", coupling, COUPLINGS)
    return COUPLINGS[coupling](source, target, plan)
