"""Gradient flows by weighted particles with a Gaussian around each.

The blob method of Carrillo, Craig and Patacchini, Calc. Var. 58 (2019), arXiv 1709.09195.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.streams import CARRIED, generator
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density
from flowplane.transport.densities.smoothing import LOG_2PI, in_chunks
from flowplane.transport.flows.functionals import Functional, KullbackLeibler
from flowplane.transport.flows.running import quadrature_nodes
from flowplane.transport.maps.ode import ODEMap
from flowplane.transport.maps.state import State

__all__ = ["BlobFlow"]

BLOBS = 2000
#: Blobs whose density is below exp(−NEGLIGIBLE) of the largest are left out.
NEGLIGIBLE = 18.0
#: Where the density is below exp(−FELT) of the largest among the blobs, their pressure dies away.
FELT = 60.0
#: Variance of a blob as a part of the least variance of the density, in one and in two dimensions.
PARTS = {1: 1 / 100, 2: 1 / 11}
KNOTS = 129
#: Neighbours on either side that a blob on the line is taken to feel.
BAND = 24
RTOL, ATOL = 1e-5, 1e-6


class BlobFlow(ODEMap):
    """v = −∇(δF/δp) of F_ε = ∫f(p * K)p, K = N(0, εI), p = Σ w_j δ(x_j).

    v(x) = drift(x) − φ(ρ)∇ρ − Σ_j w_j φ(ρ_j)∇K(x − x_j), with ρ = p * K and φ the functional's pressure. The blobs are moved
    once; every other particle then follows the field they make, interpolated in time between 129 knots by cubic splines.
    """

    def __init__(
        self, functional: Functional, density: Density, time: float, kernel: float | None, max_step: float | None = None
    ) -> None:
        super().__init__(
            self.field, density.dimension, time=time, source=density, rtol=RTOL, atol=ATOL * density.scale, max_step=max_step
        )
        self.functional = functional
        points, self.weights, self.kernel = _blobs(functional, density, kernel)
        self.description = f"{len(points)} blobs of variance {self.kernel:.3g}"
        self.knots = np.linspace(0.0, time, KNOTS)
        self._paths = self._moved(points)
        self._speeds = torch.stack([self._velocity(x, x) for x in self._paths])

    def _moved(self, points: Tensor) -> Float[Tensor, "time blob feature"]:
        """The blobs at the knots. They diffuse at the scale of the kernel, which is stiff: on the line, where only
        neighbours meet, an implicit method with a banded Jacobian takes far fewer steps."""
        if self.dimension > 1:
            return self._integrate(points, lambda _, x: self._velocity(x, x), self.knots)
        from scipy.integrate import solve_ivp

        def rate(_: float, x: np.ndarray) -> np.ndarray:
            blobs = torch.from_numpy(x.copy()).to(points).unsqueeze(1)
            return self._velocity(blobs, blobs)[:, 0].cpu().numpy()

        band = min(BAND, len(points) - 1)
        found = solve_ivp(
            rate,
            (0.0, self.time),
            points[:, 0].cpu().numpy(),
            "LSODA",
            self.knots,
            rtol=self.rtol,
            atol=self.atol,
            lband=band,
            uband=band,
            max_step=math.inf if self.max_step is None else self.max_step,
        )
        if not found.success:
            expected = "a time at which the flow is not over yet"
            raise InputError("time", Text(f"{self.time:g}, but the blobs stop at {found.t[-1]:.4g}"), expected)
        return torch.from_numpy(found.y.T.copy()).to(points).unsqueeze(2)

    def blobs_at(self, t: float) -> Float[Tensor, "blob feature"]:
        """Where the blobs are."""
        place = min(max(int(np.searchsorted(self.knots, t, side="right")) - 1, 0), KNOTS - 2)
        step = float(self.knots[place + 1] - self.knots[place])
        s = (t - float(self.knots[place])) / step
        before, after = self._paths[place], self._paths[place + 1]
        leaving, arriving = step * self._speeds[place], step * self._speeds[place + 1]
        return (
            (1 + 2 * s) * (1 - s) ** 2 * before
            + s * (1 - s) ** 2 * leaving
            + s**2 * (3 - 2 * s) * after
            + s**2 * (s - 1) * arriving
        )

    def field(self, t: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """v_t(x)."""
        return self._velocity(x, self.blobs_at(t))

    def energy(self, t: float) -> tuple[float, float]:
        """F_ε and Σ w_j|v_j|² = −dF_ε/dt."""
        blobs = self.blobs_at(t)
        log_density = self._sums(blobs, blobs, self.weights.unsqueeze(1))[:, 0].log()
        mean = (self.weights * self.functional.integrand(blobs.clone(), log_density)).sum()
        speed = self._velocity(blobs, blobs).square().sum(1)
        return float(self.functional.value(mean)), float((self.weights * speed).sum())

    def source_states(self, x: Float[Tensor, "sample feature"], times: np.ndarray) -> list[State]:
        """Positions on the particles' paths; log p and the score are those of the smoothed density ρ."""
        states = []
        for t, position in zip(times, self.path(x, times), strict=True):
            blobs = self.blobs_at(float(t))
            parts = [self._state(chunk, blobs, float(t)) for chunk in position.split(max(1, (1 << 22) // len(blobs)))]
            states.append(State(*(torch.cat(column) for column in zip(*parts, strict=True))))
        return states

    def _state(self, x: Tensor, blobs: Tensor, t: float) -> State:
        columns = torch.cat([self.weights.unsqueeze(1), self.weights.unsqueeze(1) * blobs], 1)
        sums = self._sums(x, blobs, columns)
        density = sums[:, 0].clamp_min(torch.finfo(x.dtype).tiny)
        score = (sums[:, 1:] / density.unsqueeze(1) - x) / self.kernel
        return State(x, density.log(), score, *self.field_and_divergence(t, x))

    def _velocity(self, x: Tensor, blobs: Tensor) -> Tensor:
        weights = self.weights
        among = self._kernel(blobs, blobs)
        mine = among @ weights
        pushed = weights * self._pressure(mine, weights)
        columns = torch.cat(
            [weights.unsqueeze(1), weights.unsqueeze(1) * blobs, pushed.unsqueeze(1), pushed.unsqueeze(1) * blobs], 1
        )
        d = self.dimension
        sums = among @ columns if x is blobs else in_chunks(lambda rows: self._sums(rows, blobs, columns), x, len(blobs))
        density, mean = sums[:, :1], sums[:, 1 : d + 1]
        total, shifted = sums[:, d + 1 : d + 2], sums[:, d + 2 :]
        slope = (mean - density * x) / self.kernel
        # far from all blobs nothing is left of them, and the drift alone moves what is there
        felt = density[:, 0].clamp_min(float(mine.max()) * math.exp(-FELT))
        own = self._own_pressure(felt, weights, mine).unsqueeze(1) * slope
        return self.functional.drift(x.clone()) - own - (shifted - total * x) / self.kernel

    def _own_pressure(self, density: Tensor, weights: Tensor, blobs_density: Tensor) -> Tensor:
        """φ at particles, with whatever integral it needs taken over the blobs."""
        everywhere = torch.cat([density, blobs_density])
        measure = torch.cat([torch.zeros_like(density), weights])
        return self._pressure(everywhere, measure)[: len(density)]

    def _pressure(self, density: Tensor, weights: Tensor) -> Tensor:
        """φ, from copies: a functional of the user's may write into its arguments."""
        return self.functional.pressure(density.clone(), weights.clone())

    def _sums(self, x: Tensor, blobs: Tensor, columns: Tensor) -> Tensor:
        """Σ_j K(x − x_j) c_j."""
        return self._kernel(x, blobs) @ columns

    def _kernel(self, x: Tensor, blobs: Tensor) -> Tensor:
        constant = -0.5 * self.dimension * (LOG_2PI + math.log(self.kernel))
        squares = x.square().sum(1, keepdim=True) + blobs.square().sum(1) - 2 * x @ blobs.T
        return (constant - squares / (2 * self.kernel)).exp()


def _blobs(functional: Functional, density: Density, kernel: float | None) -> tuple[Tensor, Tensor, float]:
    """Blobs, their weights and the variance around each."""
    d, least = density.dimension, density.smoothing.least_variance
    if isinstance(functional, KullbackLeibler):
        least = min(least, functional.target.smoothing.least_variance)
    if d in PARTS:
        width = PARTS[d] * least if kernel is None else float(kernel)
        points, log_weights, _ = quadrature_nodes(density, width, most=BLOBS, negligible=NEGLIGIBLE)
        return points, log_weights.exp(), width
    points = density.draw(BLOBS, generator(0, CARRIED))
    silverman = float(points.var(0).mean()) * (4 / ((d + 2) * BLOBS)) ** (2 / (d + 4))
    return points, torch.full_like(points[:, 0], 1 / BLOBS), silverman if kernel is None else float(kernel)
