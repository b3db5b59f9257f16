"""Sums Σ_i v_i φ(z_i − b) for smooth φ and many b: the places z_i are first replaced by those of a regular grid."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["NODES", "STEP", "lagrange", "regular", "spread"]

#: Nodes of the interpolation and their distance, in units of z: 1e-9 of max |ρ| for derivatives of g up to the 7th.
NODES = 8
STEP = 1 / 16


def regular(reach: float, step: float = STEP, device: torch.device | None = None) -> Float[Tensor, " place"]:
    """Places `step` apart around 0, with room for the interpolation of whatever lies within ±reach."""
    count = math.ceil(reach / step) + NODES // 2
    return step * torch.arange(-count, count + 1, dtype=torch.float64, device=device)


def lagrange(
    z: Float[Tensor, " sample"], first: float, step: float
) -> tuple[Int[Tensor, " sample"], Float[Tensor, "node sample"]]:
    """The first of the 8 grid places around each z, and weights with which a function's values there give its value at z.

    Arguments:
        z: where the function is wanted.
        first, step: of the grid.

    Example:
        >>> start, weights = lagrange(torch.tensor([0.5], dtype=torch.float64), -10.0, 1.0)
        >>> places = -10.0 + start + torch.arange(8)
        >>> float(weights[:, 0] @ places.double() ** 3)  # polynomials up to degree 7 are exact
        0.125
    """
    place = (z - first) / step
    start = place.floor()
    away = place - start + NODES // 2 - 1  # from the first of the 8
    distances = [away - k for k in range(NODES)]
    weights = []
    for k in range(NODES):
        others = [distance for j, distance in enumerate(distances) if j != k]
        denominator = math.prod(k - j for j in range(NODES) if j != k)
        weights.append(torch.stack(others).prod(0) / denominator)
    return start.long() - NODES // 2 + 1, torch.stack(weights)


def spread(
    values: Float[Tensor, "row sample"], z: Float[Tensor, " sample"], grid: Float[Tensor, " place"]
) -> Float[Tensor, "row place"]:
    """V on the grid with Σ_j V_j φ(grid_j) ≈ Σ_i values_i φ(z_i) for every φ that is smooth on the scale of the grid."""
    start, weights = lagrange(z, float(grid[0]), float(grid[1] - grid[0]))
    out = values.new_zeros(len(values), len(grid))
    for k in range(NODES):
        out.index_add_(1, start + k, values * weights[k])
    return out
