"""Fokker–Planck towards a Gaussian: the density in closed form at every time (§A2)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.transport.densities import Density, Normal
from flowplane.transport.densities.attention import PointSmoothing
from flowplane.transport.densities.smoothing import MixtureSmoothing, Smoothing, mixture_smoothing
from flowplane.transport.maps.ode import ODEMap
from flowplane.transport.maps.state import State

__all__ = ["FokkerPlanckFlow"]


class FokkerPlanckFlow(ODEMap):
    """dx/dt = ∇log q − ∇log p_t for q = N(m, S): an Ornstein–Uhlenbeck process carries every Gaussian of a sum by itself.

    With E = exp(−tS⁻¹): means go to m + E(μ − m), covariances to S + E(Σ − S)Eᵀ.
    """

    divergence_known = True

    def __init__(self, density: Density, target: Normal, time: float, max_step: float | None = None) -> None:
        self.start, self.target = density.smoothing, target.smoothing
        self.middle = target.smoothing.means[0].to(self.start.device)
        self.limit = target.smoothing.covariances[0].to(self.start.device)
        values, vectors = torch.linalg.eigh(self.limit)
        self._rates, self._axes = 1 / values, vectors
        atol = 1e-9 * density.scale
        super().__init__(self.field, density.dimension, time=time, source=density, atol=atol, max_step=max_step)
        self.dtype = density.smoothing.dtype
        self.affine = isinstance(self.start, MixtureSmoothing) and self.start.terms == 1

    def density_at(self, t: float) -> Smoothing:
        """p_t."""
        fade = ((self._axes * (-t * self._rates).exp()) @ self._axes.T).to(self.start.dtype)
        middle = self.middle.to(self.start.dtype)
        if isinstance(self.start, MixtureSmoothing):
            means = middle + (self.start.means - middle) @ fade
            return mixture_smoothing(self.start.weights, means, self._spread(self.start.covariances, fade))
        assert isinstance(self.start, PointSmoothing)
        return PointSmoothing(middle + (self.start.points - middle) @ fade, None, self._spread(self.start.kernel, fade))

    def field(self, t: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """∇log q − ∇log p_t."""
        return self.target.score(0.0, x) - self.density_at(t).score(0.0, x)

    def field_and_divergence(
        self, t: float, x: Float[Tensor, "sample feature"]
    ) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """Both from the closed forms."""
        pull, gain = self.target.score_and_divergence(0.0, x)
        score, divergence = self.density_at(t).score_and_divergence(0.0, x)
        return pull - score, gain - divergence

    def pushed_log_prob(self, y: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """log p_t(y), known without going back along the flow."""
        return self.density_at(self.time).log_prob(0.0, y)

    def source_states(self, x: Float[Tensor, "sample feature"], times: np.ndarray) -> list[State]:
        """log p_t and the score in closed form along the particles' paths."""
        states = []
        for t, position in zip(times, self.path(x, times), strict=True):
            now = self.density_at(float(t))
            v, divergence = self.field_and_divergence(float(t), position)
            states.append(State(position, now.log_prob(0.0, position), now.score(0.0, position), v, divergence))
        return states

    def _spread(self, covariances: Tensor, fade: Tensor) -> Tensor:
        limit = self.limit.to(fade.dtype)
        moved = limit + fade @ (covariances - limit) @ fade
        return (moved + moved.transpose(-1, -2)) / 2
