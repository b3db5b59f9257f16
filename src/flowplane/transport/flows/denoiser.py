"""The best denoiser of one density for one noise: the shallow autoencoder (§A3)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from flowplane.transport.densities import Density
from flowplane.transport.densities.attention import PointSmoothing
from flowplane.transport.densities.smoothing import MixtureSmoothing, Smoothing
from flowplane.transport.maps.state import THIRD_DIMENSION
from flowplane.transport.maps.straight import StraightMap

__all__ = ["Denoiser"]


class Denoiser(StraightMap):
    """The best denoiser for noise N(0, tI): g(x̃) = E[x | x + ε = x̃] = x̃ + t∇log(p * N(0, tI))(x̃) (§A3).

    Arguments:
        smoothing: of the density p whose points are to be recovered.
        time: t, the variance of the noise.
        source: the density that the map moves, p itself.
    """

    time_units = "variance of noise"

    def __init__(self, smoothing: Smoothing, time: float, *, source: Density | None = None) -> None:
        self.smoothing, self.variance = smoothing, float(time)
        self.dimension, self.time, self.source = smoothing.dimension, float(time), source
        self.dtype, self.device = smoothing.dtype, smoothing.device
        self.affine = isinstance(smoothing, MixtureSmoothing) and smoothing.terms == 1

    def displacement(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """t∇log(p * N(0, tI))."""
        return self.variance * self.smoothing.score(self.variance, x)

    def displacement_jacobian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature"]:
        """Cov[x | x̃]/t − I."""
        return self.variance * self.smoothing.hessian(self.variance, x)

    def reachable(self, y: Float[Tensor, "sample feature"]) -> Bool[Tensor, " sample"]:
        """Atoms are mixed, never left: outside the box around them no point arrives."""
        if not isinstance(self.smoothing, PointSmoothing) or self.smoothing.least_variance > 0 or self.fraction < 1:
            return super().reachable(y)
        points = self.smoothing.points
        return ((y >= points.amin(0)) & (y <= points.amax(0))).all(1)

    def displacement_hessian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature feature"]:
        """t∇³log(p * N(0, tI))."""
        if self.dimension > THIRD_DIMENSION:
            return torch.full((1,) * 4, torch.nan, dtype=x.dtype, device=x.device).expand(len(x), *(self.dimension,) * 3)
        return self.variance * self.smoothing.third_derivative(self.variance, x)
