"""Points as a density: atoms, or a kernel density once they are smoothed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.modes import in_own_modes
from flowplane.core.points import Form, as_matrix, as_points
from flowplane.core.renamed import renamed
from flowplane.errors import InputError, Text
from flowplane.transport.densities.attention import PointSmoothing
from flowplane.transport.densities.base import Density

__all__ = ["Empirical"]


@renamed
class Empirical(Density):
    """Data: N atoms of weight 1/N, or their convolution with N(0, H), a kernel density.

    Arguments:
        points: (n, d), two or more; float32 is kept and computed in.
        kernel_covariance: H, a variance in every direction or a covariance matrix; None leaves the atoms bare. Bare atoms
            can be denoised (§A3) but have no log_prob, score or entropy.

    Raises:
        InputError: a single point, NaN, another shape, a kernel that is not a covariance; the density of bare atoms.

    Example:
        >>> p = Empirical([[-1.0], [1.0]], kernel_covariance=0.04)
        >>> p.log_prob([[0.0]]).round(3), p.covariance.round(3)
        (array([-11.81]), array([[1.04]]))
    """

    smoothing: PointSmoothing

    def __init__(self, points: Any, kernel_covariance: Any = None) -> None:
        rows, form = as_points("points", points, None)
        if len(form.batch) != 1 or len(rows) < 2:
            found = Text(f"shape {(*form.batch, rows.shape[1])}")
            raise InputError("points", found, "points of shape (n, d), two or more, one row per point")
        kernel = None
        if kernel_covariance is not None:
            kernel = as_matrix("kernel_covariance", kernel_covariance, rows.shape[1]).to(rows.device)
        single = form.dtype == torch.float32
        self._set(rows.to(torch.float32 if single else rows.dtype, copy=True), kernel, Form(form.dtype, form.device, ()))

    def _set(self, points: Tensor, kernel: Tensor | None, form: Form) -> None:
        self._points, self._kernel, self._form = points, kernel, form
        self.dimension, self.has_density = points.shape[1], kernel is not None
        self.smoothing = PointSmoothing(points, kernel=kernel)

    @property
    def points(self) -> Any:
        """The data, shape (n, d)."""
        return self._rows_given(self._points)

    @property
    def kernel_covariance(self) -> Any:
        """H, shape (d, d); None for bare atoms."""
        return None if self._kernel is None else self._rows_given(self._kernel)

    @property
    @in_own_modes
    def mean(self) -> Any:
        """E x, shape (d,)."""
        return self._rows_given(self._points.mean(0, keepdim=True, dtype=torch.float64))[0]

    @property
    @in_own_modes
    def covariance(self) -> Any:
        """Cov x, shape (d, d): that of the points, and H."""
        centred = self._points.double() - self._points.mean(0, dtype=torch.float64)
        spread = centred.T @ centred / len(centred)
        return self._rows_given(spread if self._kernel is None else spread + self._kernel)

    @in_own_modes
    def smoothed(self, covariance: Any) -> Empirical:
        """p * N(0, C): the kernel H becomes H + C."""
        extra = as_matrix("covariance", covariance, self.dimension).to(self._points.device)
        return self._like(self._points, extra if self._kernel is None else self._kernel + extra)

    def whitened(self, matrix: Float[Tensor, "feature feature"]) -> Empirical:
        """The density of Mx."""
        points = (self._points.double() @ matrix.T).to(self._points.dtype)
        return self._like(points, None if self._kernel is None else matrix @ self._kernel @ matrix.T)

    def draw(self, n: int, rng: np.random.Generator) -> Float[Tensor, "sample feature"]:
        """Points with replacement, and the kernel's noise."""
        chosen = torch.from_numpy(rng.integers(len(self._points), size=n)).to(self._points.device)
        picked = self._points[chosen]
        if self._kernel is None:
            return picked
        noise = torch.from_numpy(rng.standard_normal((n, self.dimension))).to(self._kernel)
        return picked + (noise @ torch.linalg.cholesky(self._kernel).T).to(picked.dtype)

    def _like(self, points: Tensor, kernel: Tensor | None) -> Empirical:
        made = object.__new__(Empirical)
        made._set(points, kernel, self._form)
        return made

    def _rows_given(self, rows: Tensor) -> Any:
        return Form(self._form.dtype, self._form.device, (len(rows),)).points(rows.clone())

    def __repr__(self) -> str:
        kind = "atoms" if self._kernel is None else "points with a Gaussian kernel"
        return f"Empirical({len(self._points)} {kind}, {self.dimension} dimensions)"
