"""The ridgelet transform at nodes that were drawn or given (§A10)."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.core.points import as_points, check_count, check_seed
from flowplane.core.streams import UNITS, torch_generator
from flowplane.errors import InputError, Text
from flowplane.ridgelet.arguments import default_extent, read_extent, read_function, read_pair, read_weights
from flowplane.ridgelet.pairs import Pair
from flowplane.ridgelet.spectrum import BLOCK, Spectrum, column

__all__ = ["direct", "monte_carlo_transform"]


def monte_carlo_transform(
    values: Any,
    points: Any,
    *,
    units: int | tuple[Any, Any, Any],
    pair: Pair | None = None,
    weights: Any = None,
    extent: tuple[float, float] | None = None,
    seed: Any = 0,
) -> Spectrum:
    """R[f;ρ] at N nodes (a, b) drawn uniformly from |a| < A, |b| < B, each with weight 1/(N q), or at given nodes (§A10).

    Arguments:
        values, points, pair, weights, extent: as for `transform`, in any dimension.
        units: N; or nodes (a, b, weights) of shapes (N, m), (N,) and (N,), a weight for each in ∫da db (1/(N q(a, b)) if
            they were drawn from q).
        seed: of the draw.

    Returns:
        Spectrum; S[R]/K of it differs from that of a grid by O(N^{−1/2}).

    Raises:
        InputError: as `transform`.

    Example:
        >>> x = torch.linspace(-6, 6, 400, dtype=torch.float64)
        >>> spectrum = monte_carlo_transform(torch.exp(-(x**2) / 2), x, units=40_000, extent=(5.0, 25.0))
        >>> abs(float(spectrum.reconstruct([0.0])[0]) - 1) < 0.5
        True
    """
    pair = read_pair(pair)
    v, x, scalar = read_function(values, points)
    measured = v * read_weights(weights, x).unsqueeze(1)
    if isinstance(units, tuple):
        a, b, w = _given_nodes(units, x)
        largest, height = float(a.norm(dim=1).max()), float(b.abs().max())
    else:
        largest, height = default_extent(measured, x, pair) if extent is None else read_extent(extent)
        rng = torch_generator(check_seed(seed), UNITS)
        a, b, w = _drawn_nodes(check_count("units", units), x.shape[1], largest, height, rng)
        a, b, w = (part.to(x.device) for part in (a, b, w))
    coefficients = direct(measured, x, pair, a, b)
    return Spectrum(
        pair=pair,
        hidden=a,
        offsets=b.unsqueeze(1),
        weights=w.unsqueeze(1),
        coefficients=coefficients.unsqueeze(1),
        extent=(largest, height),
        scalar=scalar,
    )


def direct(
    measured: Float[Tensor, "sample channel"],
    x: Float[Tensor, "sample feature"],
    pair: Pair,
    a: Float[Tensor, "node feature"],
    b: Float[Tensor, " node"],
) -> Float[Tensor, "node channel"]:
    """Σ_i f(x_i) weight_i ρ(a·x_i − b) at any nodes, as it stands."""
    out = x.new_zeros(len(a), measured.shape[1])
    step = max(1, BLOCK // len(x))
    for first in range(0, len(a), step):
        rows = slice(first, first + step)
        out[rows] = pair.ridgelet(a[rows] @ x.T - b[rows, None], x.shape[1]) @ measured
    return out


def _drawn_nodes(
    count: int, dimension: int, largest: float, height: float, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Uniform in the ball times the interval; weights are its volume over N."""
    a = torch.randn(count, dimension, generator=rng, dtype=torch.float64, device="cpu")
    radius = largest * torch.rand(count, 1, generator=rng, dtype=torch.float64, device="cpu") ** (1 / dimension)
    a = a / a.norm(dim=1, keepdim=True) * radius
    b = height * (2 * torch.rand(count, generator=rng, dtype=torch.float64, device="cpu") - 1)
    ball = math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1) * largest**dimension
    return a, b, torch.full_like(b, ball * 2 * height / count)


def _given_nodes(units: tuple[Any, Any, Any], x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if len(units) != 3:
        raise InputError("units", Text(f"{len(units)} arrays"), "a number, or three arrays: a, b and their weights")
    m = x.shape[1]
    a, _ = as_points("units", column(units[0], m), m, device=x.device)
    b, w = (as_tensor("units", part).to(x.device, torch.float64) for part in units[1:])
    if b.shape != (len(a),) or w.shape != (len(a),):
        found = Text(f"a, b and weights of shapes {tuple(a.shape)}, {tuple(b.shape)}, {tuple(w.shape)}")
        raise InputError("units", found, f"(N, {m}), (N,) and (N,)")
    require_finite("units", torch.stack([b, w]))
    return a, b, w
