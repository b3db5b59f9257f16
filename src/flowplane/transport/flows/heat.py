"""The heat equation and its reverse as flows of particles: exact for Gaussians, mixtures and smoothed points (§A5, §A6)."""

from __future__ import annotations

import copy

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.errors import InputError
from flowplane.transport.densities import Density
from flowplane.transport.densities.smoothing import MixtureSmoothing
from flowplane.transport.maps.base import TransportMap
from flowplane.transport.maps.ode import ODEMap, accepted_steps
from flowplane.transport.maps.state import State

__all__ = ["GaussianHeatFlow", "HeatFlow", "heat_flow", "singular_time"]

#: The least part of t* to be left before the singularity.
CLOSEST = 1e-8


def singular_time(density: Density) -> float:
    """t* = λ_min/2, where the backward heat flow ends: the least variance of a component or a kernel (§A5)."""
    return density.smoothing.least_variance / 2


def heat_flow(density: Density, time: float, sign: float, max_step: float | None = None) -> TransportMap:
    """dx/dt = sign·∇log p_t(x): +1 is the backward heat equation (the continuous denoiser), −1 the heat equation.

    The equation is linear, so p_t = p_0 * N(0, −2·sign·t·I) exactly. `max_step` is the solver's, where one is needed.

    Raises:
        InputError: a time at which the backward equation is over already.
    """
    last = singular_time(density)
    if sign > 0 and time >= last * (1 - CLOSEST):
        raise InputError("time", time, f"a time below t* = {last:.6g}, where the continuous flow of this density ends")
    smoothing = density.smoothing
    if isinstance(smoothing, MixtureSmoothing) and smoothing.terms == 1:
        return GaussianHeatFlow(density, time, sign)
    return HeatFlow(density, time, sign, max_step=max_step)


class HeatFlow(ODEMap):
    """`heat_flow` of a sum of Gaussians: an ODE whose density, score and divergence are known at every time.

    `atol` is in units of the source's own scale.
    """

    divergence_known = True

    def __init__(
        self,
        density: Density,
        time: float,
        sign: float,
        rtol: float = 1e-8,
        atol: float = 1e-9,
        max_step: float | None = None,
    ) -> None:
        self.smoothing, self.sign = density.smoothing, sign
        if self.smoothing.dtype == torch.float32:
            rtol, atol = max(rtol, 1e-4), max(atol, 1e-5)
        super().__init__(
            self.field,
            density.dimension,
            time=time,
            source=density,
            rtol=rtol,
            atol=atol * density.scale,
            max_step=max_step,
            time_units="variance of noise",
        )
        self.dtype, self.device = self.smoothing.dtype, self.smoothing.device

    def field(self, t: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """±∇log p_t(x)."""
        return self.sign * self.smoothing.score(self._variance(t), x)

    def field_and_divergence(
        self, t: float, x: Float[Tensor, "sample feature"]
    ) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """±∇log p_t(x) and ±Δlog p_t(x)."""
        score, divergence = self.smoothing.score_and_divergence(self._variance(t), x)
        return self.sign * score, self.sign * divergence

    def pushed_log_prob(self, y: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """log p_t(y), known without going back along the flow."""
        return self.smoothing.log_prob(self._variance(self.time), y)

    def source_states(self, x: Float[Tensor, "sample feature"], times: np.ndarray) -> list[State]:
        """log p_t and the score in closed form along the particles' paths."""
        states = []
        for t, position in zip(times, self.path(x, times), strict=True):
            variance = self._variance(float(t))
            score, divergence = self.smoothing.score_and_divergence(variance, position)
            log_prob = self.smoothing.log_prob(variance, position)
            states.append(State(position, log_prob, score, self.sign * score, self.sign * divergence))
        return states

    def variance_change(self, t: float) -> float:
        """−2·sign·td, the trace law (§A5)."""
        return self.dimension * self._variance(t)

    def _variance(self, t: float) -> float:
        return -2.0 * self.sign * t


class GaussianHeatFlow(TransportMap):
    """`heat_flow` of N(μ, Σ) in closed form: x ↦ μ + (I − 2·sign·tΣ⁻¹)^{1/2}(x − μ) (§A6)."""

    affine = True
    continuous = True
    time_units = "variance of noise"

    def __init__(self, density: Density, time: float, sign: float) -> None:
        smoothing = density.smoothing
        assert isinstance(smoothing, MixtureSmoothing)
        self.smoothing = smoothing
        self.dimension, self.time, self.source, self.sign = density.dimension, float(time), density, sign
        self.device = smoothing.device
        self.mean = smoothing.means[0]
        self.variances, self.axes = torch.linalg.eigh(smoothing.covariances[0])

    def forward(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """μ + (I − 2·sign·tΣ⁻¹)^{1/2}(x − μ)."""
        return self._stretched(x, self._factors(self.time))

    def backward(
        self, y: Float[Tensor, "sample feature"]
    ) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """The inverse matrix."""
        return self._stretched(y, 1 / self._factors(self.time)), self.log_det(y)

    def log_det(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """½ log det(I − 2·sign·tΣ⁻¹), everywhere the same."""
        return self._factors(self.time).log().sum().expand(len(x))

    def path(self, x: Float[Tensor, "sample feature"], times: np.ndarray) -> Float[Tensor, "time sample feature"]:
        """The map for each time."""
        return torch.stack([self._stretched(x, self._factors(float(t))) for t in times])

    def field(self, t: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """±∇log p_t(x)."""
        return self.sign * self.smoothing.score(-2 * self.sign * t, x)

    def until(self, t: float) -> GaussianHeatFlow:
        """The same flow, stopped at time t."""
        part = copy.copy(self)
        part.time = t
        return part

    def kinetic(
        self, x: Float[Tensor, "sample feature"], times: np.ndarray, metric: Float[Tensor, "feature feature"] | None = None
    ) -> Float[Tensor, "time sample"]:
        """−sign·Σ (x_i²/λ_i) log f_i in the axes of Σ, f_i² = 1 − 2·sign·t/λ_i; with a metric by integration."""
        if metric is not None:
            assert self.source is not None
            return HeatFlow(self.source, self.time, self.sign).kinetic(x, times, metric)
        squares = ((x - self.mean) @ self.axes).square() / self.variances
        logs = torch.stack([self._factors(float(t)).log() for t in times])
        return -self.sign * logs @ squares.T

    def pieces(self, x: Float[Tensor, "sample feature"]) -> np.ndarray:
        """The steps that a solver would take."""
        return accepted_steps(self.field, x, self.time, 1e-8, 1e-9 * float(self.variances.mean().sqrt()))

    def evolve(self, start: State, times: np.ndarray) -> list[State]:
        """A linear map: the score is stretched by the inverse."""
        states = []
        for t in times:
            factors = self._factors(float(t))
            position = self._stretched(start.position, factors)
            score = (start.score @ self.axes / factors) @ self.axes.T
            divergence = -self.sign * (1 / (self.variances - 2 * self.sign * float(t))).sum()
            states.append(
                State(
                    position,
                    start.log_prob - factors.log().sum(),
                    score,
                    self.field(float(t), position),
                    divergence.expand(len(position)),
                )
            )
        return states

    def _factors(self, t: float) -> Float[Tensor, " feature"]:
        return (1 - 2 * self.sign * t / self.variances).sqrt()

    def _stretched(self, x: Tensor, factors: Tensor) -> Tensor:
        return self.mean + ((x - self.mean) @ self.axes * factors) @ self.axes.T
