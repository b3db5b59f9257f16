"""Weights of integrals: over given points, over directions, radii and offsets."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.errors import InputError, Text

__all__ = ["cell_volumes", "even_offsets", "half_sphere", "signed_radii"]

PASS = "weights of the points' quadrature, (n,); for points drawn from a density p: 1/(n p(x))"


def cell_volumes(points: Float[Tensor, "sample feature"]) -> Float[Tensor, " sample"]:
    """The trapezoid rule: of sorted points on a line, of a full grid (in any order) in higher dimension.

    Raises:
        InputError: other points; the message says what to pass instead.

    Example:
        >>> cell_volumes(torch.tensor([[0.0], [1.0], [3.0]]).double()).tolist()
        [0.5, 1.5, 1.0]
    """
    n, m = points.shape
    if m == 1:
        steps = points[:, 0].diff()
        if n < 2 or not bool((steps > 0).all() | (steps < 0).all()):
            found = Text(f"None, for {n} points on a line that are not sorted" if n > 1 else "None, for one point")
            raise InputError("weights", found, f"points sorted without repeats (the trapezoid rule), or {PASS}")
        return _trapezoid(points[:, 0])
    volumes, size, number = torch.ones_like(points[:, 0]), 1, torch.zeros(n, dtype=torch.long, device=points.device)
    for axis in range(m):
        places, index = torch.unique(points[:, axis], return_inverse=True)
        if len(places) < 2:
            raise InputError("weights", Text(f"None, for points with one value of x_{axis + 1}"), PASS)
        volumes = volumes * _trapezoid(places)[index]
        number, size = number * len(places) + index, size * len(places)
    if size != n or len(torch.unique(number)) != n:
        found = Text(f"None, for {n} points in {m} dimensions that are not a full grid")
        raise InputError("weights", found, f"every combination of coordinates once (np.meshgrid), or {PASS}")
    return volumes


def _trapezoid(x: Tensor) -> Tensor:
    steps = x.diff().abs() / 2
    zero = steps.new_zeros(1)
    return torch.cat([zero, steps]) + torch.cat([steps, zero])


def half_sphere(
    dimension: int, directions: int, device: torch.device | None = None
) -> tuple[Float[Tensor, "direction feature"], Float[Tensor, " direction"]]:
    """Unit vectors, one of each pair ±u, and their share of half the sphere's area.

    m = 1: the one direction; m = 2: even angles; m = 3: Gauss–Legendre in the height times even longitudes, an even number
    p of heights on the whole sphere, p² directions on the half, p² the least square of an even number ≥ `directions`.

    Example:
        >>> u, weights = half_sphere(3, 16)
        >>> float((weights * u[:, 0] ** 2).sum())  # 2π/3
        2.09439510239...
    """
    if dimension == 1:
        nodes, weights = np.ones((1, 1)), np.ones(1)
    elif dimension == 2:
        angles = np.pi * np.arange(directions) / directions
        nodes, weights = np.stack([np.cos(angles), np.sin(angles)], 1), np.full(directions, np.pi / directions)
    else:
        heights = 2 * math.ceil(math.sqrt(directions) / 2)
        height, part = np.polynomial.legendre.leggauss(heights)
        height, part = height[heights // 2 :], part[heights // 2 :]
        longitude = np.pi * np.arange(2 * heights) / heights
        radius = np.sqrt(1 - height**2)
        around = np.stack([np.cos(longitude), np.sin(longitude)], 1)
        flat = radius[:, None, None] * around
        upward = np.broadcast_to(height[:, None, None], (*flat.shape[:2], 1))
        nodes = np.concatenate([flat, upward], 2).reshape(-1, 3)
        weights = np.repeat(part * np.pi / heights, 2 * heights)
    return torch.from_numpy(nodes).to(device), torch.from_numpy(weights).to(device)


def signed_radii(
    dimension: int, largest: float, count: int, device: torch.device | None = None
) -> tuple[Float[Tensor, " radius"], Float[Tensor, " radius"]]:
    """Gauss–Legendre nodes on [0, A] and mirrored on [−A, 0], `count` (even) in all, ascending, with |r|^{m−1} dr."""
    nodes, weights = np.polynomial.legendre.leggauss(count // 2)
    radii = (nodes + 1) * largest / 2
    parts = weights * largest / 2 * radii ** (dimension - 1)
    both = np.concatenate([-radii[::-1], radii]), np.concatenate([parts[::-1], parts])
    return torch.from_numpy(both[0]).to(device), torch.from_numpy(both[1]).to(device)


def even_offsets(
    largest: float, count: int, device: torch.device | None = None
) -> tuple[Float[Tensor, " offset"], Float[Tensor, " offset"]]:
    """`count` even nodes on [−B, B], the trapezoid rule."""
    offsets = torch.linspace(-largest, largest, count, dtype=torch.float64, device=device)
    return offsets, _trapezoid(offsets)
