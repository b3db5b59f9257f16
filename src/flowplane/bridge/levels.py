"""The noise levels at which denoisers are evaluated, and information as an integral over them (§C1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.bridge.gaussian import linear_bound

__all__ = ["TOP", "Levels"]

#: Times the total variance: above it only the covariance counts, and the integral has a closed form.
TOP = 1000.0
#: Nodes for each factor e of noise, where the integrand bends and above the total variance, where it hardly does.
DENSITY, ABOVE = 3.5, 1.7
FEWEST = 4


@dataclass(frozen=True)
class Levels:
    """Gauss–Legendre nodes in log τ between each of several noise variances t and the next, and up to the top.

    I(t) = ½ ∫_t^∞ e(τ)/τ² dτ, e an error [squared units], is then a weighted sum of e at the nodes above t, and a tail.

    Example:
        >>> levels = Levels.between([0.1, 1.0], 1.0)
        >>> one = levels.integral(levels.tau)  # ∫ dτ/2τ up to the top, 1000
        >>> [round(float(bits), 6) for bits in one] == [round(math.log(1e4) / 2, 6), round(math.log(1e3) / 2, 6)]
        True
    """

    #: Variances t in increasing order, and τ_max.
    starts: tuple[float, ...]
    top: float
    tau: Float[Tensor, " node"]
    #: Of each node in the integral from each start; 0 below it.
    weights: Float[Tensor, "start node"]

    @classmethod
    def between(
        cls, starts: Sequence[float], total: float, device: torch.device | str = "cpu", density: float = DENSITY
    ) -> Levels:
        """Levels from each t on, for samples of total variance `total`.

        Arguments:
            starts: increasing; those beyond the top have no nodes.
            density: nodes for each factor e.
        """
        top = TOP * total
        edges = [start for start in starts if start < top]
        marks = sorted({*edges, top} | ({total} if edges and edges[0] < total < top else set()))
        nodes: list[np.ndarray] = [np.empty(0)]
        weights: list[np.ndarray] = [np.empty((len(starts), 0))]
        for low, high in pairwise(marks):
            length = math.log(high / low)
            thin = density if high <= total else min(density, ABOVE)
            places, shares = np.polynomial.legendre.leggauss(max(FEWEST, math.ceil(thin * length)))
            tau = low * np.exp(length * (places + 1) / 2)
            above = np.array([start <= low for start in starts])
            nodes.append(tau)
            weights.append(above[:, None] * (length * shares / 4 / tau))  # ½ dτ/τ² = ½ d(log τ)/τ
        made = (torch.from_numpy(np.concatenate(each, -1)).to(device) for each in (nodes, weights))
        return cls(tuple(starts), top, *made)

    @property
    def with_starts(self) -> Levels:
        """The same, and the variances t themselves as further nodes at the end, with weight 0 in the integrals."""
        starts = torch.tensor(self.starts, dtype=torch.float64, device=self.tau.device)
        weights = torch.cat([self.weights, starts.new_zeros(len(starts), len(starts))], 1)
        return replace(self, tau=torch.cat([self.tau, starts]), weights=weights)

    def integral(self, errors: Float[Tensor, "*batch node"]) -> Float[Tensor, "*batch start"]:
        """½ ∫ e(τ)/τ² dτ from each t to the top, in nats."""
        return errors @ self.weights.T

    def tail(self, variances: Float[Tensor, "*batch direction"]) -> Float[Tensor, "*batch start"]:
        """What a normal of these variances has above the top, or above t where that is higher: ½ Σ ln(1 + λ/τ), in nats."""
        ends = torch.tensor([max(start, self.top) for start in self.starts], dtype=torch.float64, device=variances.device)
        return linear_bound(variances, ends)
