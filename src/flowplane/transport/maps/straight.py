"""Maps that move every point along a straight line, and among them the affine ones."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.errors import InputError, Text
from flowplane.transport.densities import Density
from flowplane.transport.maps.base import TransportMap
from flowplane.transport.maps.state import Motion, State, squared

__all__ = ["AffineMap", "StraightMap"]

NEWTON_STEPS = 50
HALVINGS = 10


class StraightMap(TransportMap):
    """x ↦ x + θ·u(x) for a displacement u, reached at constant speed; θ = 1 is the whole map."""

    fraction: float = 1.0

    @abstractmethod
    def displacement(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """u(x)."""

    @abstractmethod
    def displacement_jacobian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature"]:
        """∇u(x)."""

    @abstractmethod
    def displacement_hessian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature feature"]:
        """∂_k∂_j u_i(x) in place i, j, k; NaN where it is too large to compute."""

    def forward(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """x + θ·u(x)."""
        return x + self.fraction * self.displacement(x)

    def jacobian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature"]:
        """I + θ∇u(x)."""
        return torch.eye(self.dimension, dtype=x.dtype, device=x.device) + self.fraction * self.displacement_jacobian(x)

    def log_det(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
        """log |det(I + θ∇u(x))|."""
        return inverse_and_log_det(self.jacobian(x))[1]

    def path(self, x: Float[Tensor, "sample feature"], times: np.ndarray) -> Float[Tensor, "time sample feature"]:
        """The straight line."""
        move = self.fraction * self.displacement(x)
        return torch.stack([x + float(t / self.time) * move for t in times])

    def field(self, t: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """u(x)/Δt, the same at all times: x is read as a point at the start of the line."""
        return self.displacement(x) * (self.fraction / self.time)

    def current(self, t: float, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """u at the start of the line that passes through x at time t."""
        return self.field(t, x if t == 0 else self.until(t).backward(x)[0])

    def kinetic(
        self, x: Float[Tensor, "sample feature"], times: np.ndarray, metric: Float[Tensor, "feature feature"] | None = None
    ) -> Float[Tensor, "time sample"]:
        """|u/Δt|² t."""
        squares = squared(self.field(0.0, x), metric)
        return torch.stack([float(t) * squares for t in times])

    def motion(
        self, x: Float[Tensor, "sample feature"], times: np.ndarray, metric: Float[Tensor, "feature feature"] | None = None
    ) -> Motion:
        """A straight line at constant speed."""
        squares = squared(self.field(0.0, x), metric)
        spent = torch.stack([float(t) * squares for t in times])
        return Motion(self.path(x, times), squares.sqrt().expand_as(spent), spent)

    def until(self, t: float) -> StraightMap:
        """As far as time t on the same lines."""
        part = copy.copy(self)
        part.fraction = self.fraction * t / self.time
        part.time = t
        return part

    def backward(
        self, y: Float[Tensor, "sample feature"]
    ) -> tuple[Float[Tensor, "sample feature"], Float[Tensor, " sample"]]:
        """Newton's method with halved steps; NaN where it does not arrive."""
        x = y.clone()
        possible = self.reachable(y)
        x[~possible] = torch.nan
        gap = self.forward(x) - y
        size = gap.norm(dim=1)
        scale = torch.finfo(y.dtype).eps ** 0.75 * (1 + y.norm(dim=1))
        for _ in range(NEWTON_STEPS):
            active = (size > scale) & possible
            if not active.any():
                break
            step, info = torch.linalg.solve_ex(self.jacobian(x[active]), gap[active].unsqueeze(2))
            step = torch.where(info.view(-1, 1) == 0, step.squeeze(2), torch.nan)
            x[active], gap[active], size[active], better = self._shortened(x[active], y[active], step, size[active])
            # at the limit of precision no step is better, and none will be
            possible[active] = better
        x[size > 1e3 * scale] = torch.nan
        found = ~torch.isnan(x).any(1)
        log_det = torch.full_like(size, torch.nan)
        if found.any():
            log_det[found] = self.log_det(x[found])
        return x, log_det

    def reachable(self, y: Float[Tensor, "sample feature"]) -> Bool[Tensor, " sample"]:
        """False where no point can be mapped to y."""
        return torch.ones_like(y[:, 0], dtype=torch.bool)

    def _shortened(self, x: Tensor, y: Tensor, step: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Each point's step, halved until it comes nearer: the point, its gap, the gap's size, whether it came nearer."""
        best, best_gap, best_size = x.clone(), torch.zeros_like(x), size.clone()
        waiting = torch.isfinite(step).all(1).nonzero().squeeze(1)
        better = torch.zeros_like(size, dtype=torch.bool)
        factor = 1.0
        for _ in range(HALVINGS):
            if not len(waiting):
                break
            trial = x[waiting] - factor * step[waiting]
            gap = self.forward(trial) - y[waiting]
            length = gap.norm(dim=1)
            nearer = length < size[waiting]
            found = waiting[nearer]
            best[found], best_gap[found], best_size[found] = trial[nearer], gap[nearer], length[nearer]
            better[found] = True
            waiting = waiting[~nearer]
            factor /= 2
        return best, best_gap, best_size, better

    def evolve(self, start: State, times: np.ndarray) -> list[State]:
        """Along the line, J_τ = I + τ∇u: log p falls by log det J_τ, and the score becomes J_τ⁻ᵀ(s − ∇log det J_τ)."""
        x, identity = start.position, torch.eye(self.dimension, dtype=start.position.dtype, device=start.position.device)
        move, bend = self.displacement(x), self.displacement_jacobian(x)
        twist = self.displacement_hessian(x)
        states = []
        for t in times:
            part = self.fraction * float(t / self.time)
            inverse, log_det = inverse_and_log_det(identity + part * bend)
            slope = part * torch.einsum("njk,nkji->ni", inverse, twist)
            states.append(
                State(
                    x + part * move,
                    start.log_prob - log_det,
                    torch.einsum("nji,nj->ni", inverse, start.score - slope),
                    move * (self.fraction / self.time),
                    torch.einsum("nij,nji->n", inverse, bend) * (self.fraction / self.time),
                )
            )
        return states


def inverse_and_log_det(
    matrices: Float[Tensor, "sample feature feature"],
) -> tuple[Float[Tensor, "sample feature feature"], Float[Tensor, " sample"]]:
    """M⁻¹ and log |det M|; written out for one and two dimensions, where one call per matrix would take most of the time."""
    d = matrices.shape[-1]
    if d > 2:
        # atoms that a layer has merged leave singular matrices: those rows become infinite, not an exception
        return torch.linalg.inv_ex(matrices)[0], torch.linalg.slogdet(matrices)[1]
    if d == 1:
        return 1 / matrices, matrices[:, 0, 0].abs().log()
    a, b, c, e = matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 0], matrices[:, 1, 1]
    det = a * e - b * c
    return torch.stack([e, -b, -c, a], 1).reshape(-1, 2, 2) / det[:, None, None], det.abs().log()


class AffineMap(StraightMap):
    """x ↦ Ax + b.

    Arguments:
        matrix: A, (d, d), invertible, of positive determinant so that the line between never folds; or a number for A = aI.
        shift: b, (d,) or a number.
        time: how long it takes.
        source: the density that it moves, where there is one.

    Raises:
        InputError: shapes that do not fit, NaN, a matrix that is not invertible.

    Example:
        >>> f = AffineMap([[2.0, 0.0], [0.0, 0.5]], [1.0, 0.0])
        >>> f([[1.0, 1.0]])
        array([[3. , 0.5]])
        >>> (f @ f).inverse(f(f([[1.0, 1.0]])))
        array([[1., 1.]])
    """

    def __init__(self, matrix: Any, shift: Any, *, time: float = 1.0, source: Density | None = None) -> None:
        offset = as_tensor("shift", shift).to(torch.float64)
        linear = as_tensor("matrix", matrix).to(offset.device, torch.float64)
        for name, part in (("shift", offset), ("matrix", linear)):
            require_finite(name, part)
        if linear.ndim == 0:
            linear = linear * torch.eye(max(1, offset.numel()), dtype=linear.dtype, device=linear.device)
        if linear.ndim != 2 or linear.shape[0] != linear.shape[1]:
            raise InputError("matrix", Text(f"shape {tuple(linear.shape)}"), "a square matrix (d, d), or a number")
        if offset.ndim == 0:
            offset = offset.expand(len(linear))
        if offset.shape != (len(linear),):
            raise InputError("shift", Text(f"shape {tuple(offset.shape)}"), f"shape ({len(linear)},), or a number")
        if torch.linalg.matrix_rank(linear) < len(linear):
            raise InputError("matrix", Text("a singular matrix"), "an invertible matrix")
        if source is not None and source.dimension != len(linear):
            raise InputError("source", source, f"a density in {len(linear)} dimensions")
        self.matrix, self.shift = linear, offset
        self.dimension, self.time, self.source = len(linear), float(time), source
        self.device = linear.device
        self.affine = True

    def displacement(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature"]:
        """(A − I)x + b."""
        return x @ (self.matrix.T - torch.eye(self.dimension, dtype=x.dtype, device=x.device)) + self.shift

    def displacement_jacobian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature"]:
        """A − I."""
        return (self.matrix - torch.eye(self.dimension, dtype=x.dtype, device=x.device)).expand(len(x), -1, -1)

    def displacement_hessian(self, x: Float[Tensor, "sample feature"]) -> Float[Tensor, "sample feature feature feature"]:
        """0."""
        return torch.zeros(1, *(self.dimension,) * 3, dtype=x.dtype, device=x.device).expand(len(x), -1, -1, -1)
