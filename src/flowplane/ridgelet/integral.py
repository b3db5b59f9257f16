"""The ridgelet transform R[f;ρ] of a function known at points (A10)."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.core.points import as_points, check_count, check_positive, check_seed
from flowplane.errors import InputError, Text
from flowplane.ridgelet.pairs import Pair
from flowplane.ridgelet.quadrature import cell_volumes, even_offsets, half_sphere, signed_radii
from flowplane.ridgelet.spectrum import BLOCK, Layout, Spectrum, column
from flowplane.ridgelet.spreading import STEP, regular, spread

__all__ = ["monte_carlo_transform", "transform"]

LARGEST_DIMENSION = 3
#: |a| reaches this many times the inverse of f's scale, where f has no frequencies left to miss.
REACH = 10.0
#: Points where |f| times its weight is below this share of the largest are not looked at for the extent.
NEGLIGIBLE = 1e-3
#: Directions beyond A·max|x|, for functions that hardly turn.
SPARE = 16
#: a·x further out than this wants too fine a grid.
WIDEST = 1e5
#: Values of ρ that stand in memory at a time.
KERNEL = 1 << 24


def transform(
    values: Any,
    points: Any,
    pair: Pair | None = None,
    weights: Any = None,
    extent: tuple[float, float] | None = None,
    grid: tuple[int, int] = (200, 200),
    directions: int | None = None,
) -> Spectrum:
    """R[f;ρ](a, b) = ∫ f(x) ρ(a·x − b) dx on a grid of nodes (a, b), for f known at points of R^m, m = 1, 2, 3 (A10).

    Nodes are a = r u: u over half the sphere (m = 1: one; m = 2: even angles; m = 3: Gauss–Legendre heights, even
    longitudes), r by Gauss–Legendre on [0, A] and mirrored, |r|^{m−1} in their weight; b by the trapezoid rule on [−B, B].
    ρ is not evaluated for each point and node: values are spread over a regular grid of a·x with interpolation weights of
    8 nodes, exact to about 1e-8 of max |ρ|, so that n points cost little more than one.

    Arguments:
        values: f(x_i), (n,), or (n, channels).
        points: x_i, (n, m), or (n,) for m = 1. What is far from the origin wants large B: centre them first. ρ(a·x − b) has
            to be sampled: points further apart than about 1/A alias.
        pair: σ and ρ; None is Pair("tanh").
        weights: of ∫dx ≈ Σ_i weight_i, (n,), in units of x^m. None: the trapezoid rule for sorted points on a line, cell
            volumes of a full grid in the plane or in space. For points drawn from a density p: 1/(n p(x_i)).
        extent: (A, B), |a| < A and |b| < B. None: A = 10/scale, scale the standard deviation a coordinate of x weighed by
            |f|; B = A·max |x| over where f is not negligible, and further by the tail of ρ, which is long for odd m.
        grid: nodes along a line of a through the origin, from −A to A (even), and offsets b. A smooth σ wants offsets less
            than 0.8 apart; ReLU, with its kink, leaves an error of about the square of half their distance.
        directions: how many u for m > 1. None: A·max |x| + 16 in the plane, (A·max |x|/2 + 8)² in space, where at x of
            that size all frequencies of σ(a·x − b) that matter are resolved. In space rounded up to (an even number)².

    Returns:
        Spectrum, with `reconstruct(points)`, `to_dataset()`.

    Raises:
        InputError: shapes that do not fit, NaN, m > 3, points that need weights, or an f that is 0 everywhere where
            `extent` is None.

    Example:
        >>> x = torch.linspace(-6, 6, 400, dtype=torch.float64)
        >>> f = torch.exp(-(x**2) / 2)
        >>> spectrum = transform(f, x)
        >>> float((spectrum.reconstruct(x) - f).abs().max()) < 0.002
        True
    """
    pair = Pair() if pair is None else pair
    v, x, scalar = _function(values, points)
    m = x.shape[1]
    if m > LARGEST_DIMENSION:
        raise InputError("points", Text(f"{m} dimensions"), "1 to 3: a grid of nodes in more is too large")
    measured = v * _weights(weights, x).unsqueeze(1)
    a_count, b_count = _grid(grid)
    largest, height = _default_extent(measured, x, pair) if extent is None else _extent(extent)
    if largest * float(x.norm(dim=1).max()) > WIDEST:
        found = Text(f"A = {largest:.3g} and points as far out as {float(x.norm(dim=1).max()):.3g}")
        raise InputError("extent", found, f"A·max|x| below {WIDEST:g}: centre the points, or take a smaller A")
    count = _directions(directions, m, largest * _radius(measured, x))
    u, shares = half_sphere(m, count, x.device)
    radii, radial = signed_radii(m, largest, a_count, x.device)
    offsets, steps = even_offsets(height, b_count, x.device)
    coefficients = _on_grid(measured, x, pair, u, radii[a_count // 2 :], offsets)
    rows = len(u) * a_count
    return Spectrum(
        pair, (radii[:, None] * u[:, None, :]).reshape(rows, m), offsets.expand(rows, -1),
        (shares[:, None] * radial).reshape(rows, 1) * steps, coefficients.reshape(rows, b_count, -1),
        (largest, height), scalar, Layout(u, shares, radii, offsets),
    )  # fmt: skip


def monte_carlo_transform(
    values: Any,
    points: Any,
    units: int | tuple[Any, Any, Any],
    pair: Pair | None = None,
    weights: Any = None,
    extent: tuple[float, float] | None = None,
    seed: int = 0,
) -> Spectrum:
    """R[f;ρ] at N nodes (a, b) drawn uniformly from |a| < A, |b| < B, each with weight 1/(N q), or at given nodes (A10).

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
        >>> spectrum = monte_carlo_transform(torch.exp(-(x**2) / 2), x, 40_000, extent=(5.0, 25.0))
        >>> abs(float(spectrum.reconstruct([0.0])[0]) - 1) < 0.5
        True
    """
    pair = Pair() if pair is None else pair
    v, x, scalar = _function(values, points)
    measured = v * _weights(weights, x).unsqueeze(1)
    if isinstance(units, tuple):
        a, b, w = _given_nodes(units, x)
        largest, height = float(a.norm(dim=1).max()), float(b.abs().max())
    else:
        largest, height = _default_extent(measured, x, pair) if extent is None else _extent(extent)
        a, b, w = _drawn_nodes(check_count("units", units), x.shape[1], largest, height, check_seed(seed))
        a, b, w = (part.to(x.device) for part in (a, b, w))
    coefficients = _direct(measured, x, pair, a, b)
    return Spectrum(
        pair, a, b.unsqueeze(1), w.unsqueeze(1), coefficients.unsqueeze(1), (largest, height), scalar
    )  # fmt: skip


def _default_extent(
    measured: Float[Tensor, "sample channel"], x: Float[Tensor, "sample feature"], pair: Pair
) -> tuple[float, float]:
    """(A, B) for f(x_i)·weight_i at points: see `transform`."""
    mass = measured.norm(dim=1)
    if float(mass.sum()) == 0:
        raise InputError("values", Text("0 everywhere"), "a function that is not 0, or extent=(A, B)")
    mass = mass / mass.sum()
    spread_out = (mass @ (x - mass @ x).square()).mean().sqrt()
    if float(spread_out) == 0:
        raise InputError("points", Text("one point where f is not 0"), "several, or extent=(A, B)")
    largest = REACH / float(spread_out)
    return largest, largest * _radius(measured, x) + pair.tail(x.shape[1])


def _direct(
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


def _on_grid(
    measured: Float[Tensor, "sample channel"],
    x: Float[Tensor, "sample feature"],
    pair: Pair,
    u: Float[Tensor, "direction feature"],
    radii: Float[Tensor, " half"],
    offsets: Float[Tensor, " offset"],
) -> Float[Tensor, "direction radius offset channel"]:
    """The coefficients: values spread over s = u·x once a direction, over z = r s for each radius, times ρ(z_j − b_l)."""
    m, channels, largest = x.shape[1], measured.shape[1], float(radii[-1])
    s = regular(float(x.norm(dim=1).max()), STEP / largest, x.device)
    z = regular(largest * float(s[-1]), STEP, x.device)
    by_channel = measured.T.contiguous()
    lines = torch.cat([spread(by_channel, x @ direction, s) for direction in u])
    half = x.new_empty(len(lines), len(radii), len(offsets))
    step = max(1, KERNEL // len(z))
    for first in range(0, len(offsets), step):
        some = slice(first, first + step)
        rho = pair.ridgelet(z[:, None] - offsets[some], m)
        for k, r in enumerate(radii.tolist()):
            # what lies within r·s only: the middle of the grid
            near = regular(r * float(s[-1]), STEP, x.device)
            edge = (len(z) - len(near)) // 2
            half[:, k, some] = spread(lines, r * s, near) @ rho[edge : edge + len(near)]
    # ρ(−z) = ±ρ(z), so that R(−a, −b) = ±R(a, b)
    both = torch.cat([half.flip(1, 2) * (-1) ** pair.k, half], 1)
    return both.unflatten(0, (len(u), channels)).permute(0, 2, 3, 1).contiguous()


def _function(values: Any, points: Any) -> tuple[Tensor, Tensor, bool]:
    """f as (sample, channel), x as (sample, feature), and whether f has no axis of channels."""
    places = column(points, None)
    x, form = as_points("points", places, None)
    if len(form.batch) != 1:
        raise InputError("points", Text(f"shape {tuple(as_tensor('points', points).shape)}"), "(n, m), or (n,) for m = 1")
    v = as_tensor("values", values)
    if v.ndim not in (1, 2) or v.shape[0] != len(x) or v.numel() == 0:
        raise InputError(
            "values", Text(f"shape {tuple(v.shape)}"), f"({len(x)},) or ({len(x)}, channels), as many as points"
        )
    require_finite("values", v)
    scalar = v.ndim == 1
    v = v.to(x.device, torch.float64)
    return v.unsqueeze(1) if scalar else v, x, scalar


def _weights(weights: Any, x: Tensor) -> Tensor:
    if weights is None:
        return cell_volumes(x)
    w = as_tensor("weights", weights)
    if w.shape != (len(x),):
        raise InputError("weights", Text(f"shape {tuple(w.shape)}"), f"({len(x)},), one a point")
    require_finite("weights", w)
    return w.to(x.device, torch.float64)


def _grid(grid: Any) -> tuple[int, int]:
    if not isinstance(grid, tuple | list) or len(grid) != 2:
        raise InputError("grid", grid, "two counts: nodes along a from −A to A, and offsets b")
    a_count, b_count = check_count("grid", grid[0], 2), check_count("grid", grid[1], 2)
    if a_count % 2:
        raise InputError("grid", grid, "an even number of nodes along a: each has its mirror image")
    return a_count, b_count


def _extent(extent: Any) -> tuple[float, float]:
    if not isinstance(extent, tuple | list) or len(extent) != 2:
        raise InputError("extent", extent, "(A, B): |a| < A, |b| < B")
    return check_positive("extent", extent[0]), check_positive("extent", extent[1])


def _radius(measured: Tensor, x: Tensor) -> float:
    """max |x| over where f is not negligible."""
    mass = measured.norm(dim=1)
    return float(torch.where(mass > NEGLIGIBLE * mass.max(), x.norm(dim=1), 0.0).max())


def _directions(given: int | None, dimension: int, bandwidth: float) -> int:
    if given is not None:
        return check_count("directions", given)
    if dimension == 2:
        return math.ceil(bandwidth) + SPARE
    return 1 if dimension == 1 else math.ceil((bandwidth + SPARE) / 2) ** 2


def _drawn_nodes(count: int, dimension: int, largest: float, height: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Uniform in the ball times the interval; weights are its volume over N."""
    rng = torch.Generator().manual_seed(seed)
    a = torch.randn(count, dimension, generator=rng, dtype=torch.float64)
    radius = largest * torch.rand(count, 1, generator=rng, dtype=torch.float64) ** (1 / dimension)
    a = a / a.norm(dim=1, keepdim=True) * radius
    b = height * (2 * torch.rand(count, generator=rng, dtype=torch.float64) - 1)
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
