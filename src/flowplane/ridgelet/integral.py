"""The ridgelet transform R[f;ρ] of a function known at points (§A10)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import check_count
from flowplane.errors import InputError, Text
from flowplane.ridgelet.arguments import default_extent, radius_of, read_extent, read_function, read_pair, read_weights
from flowplane.ridgelet.pairs import Pair
from flowplane.ridgelet.quadrature import even_offsets, half_sphere, signed_radii
from flowplane.ridgelet.spectrum import Layout, Spectrum
from flowplane.ridgelet.spreading import STEP, regular, spread

__all__ = ["read_grid", "spectrum_on_grid", "transform"]

LARGEST_DIMENSION = 3
#: Directions beyond A·max|x|, for functions that hardly turn.
SPARE = 16
#: a·x further out than this needs too fine a grid.
WIDEST = 1e5
#: Values of ρ that stand in memory at a time.
KERNEL = 1 << 24
#: Relative error of the reconstruction that is good enough, how many other extents are tried, and coefficients beyond
#: which no larger one is.
GOOD, TRIES, LARGE = 0.01, 4, 4_000_000
#: Values of σ that measuring the error may take.
CHECKED = 20_000_000


def transform(
    values: Any,
    points: Any,
    *,
    pair: Pair | None = None,
    weights: Any = None,
    extent: tuple[float, float] | None = None,
    grid: tuple[int, int] = (200, 200),
    directions: int | None = None,
) -> Spectrum:
    """R[f;ρ](a, b) = ∫ f(x) ρ(a·x − b) dx on a grid of nodes (a, b), for f known at points of R^m, m = 1, 2, 3 (§A10).

    Nodes are a = r u: u over half the sphere (m = 1: one; m = 2: even angles; m = 3: Gauss–Legendre heights, even
    longitudes), r by Gauss–Legendre on [0, A] and mirrored, |r|^{m−1} in their weight; b by the trapezoid rule on [−B, B].
    ρ is not evaluated for each point and node: values are spread over a regular grid of a·x with interpolation weights of
    8 nodes, exact to about 1e-8 of max |ρ|, so that n points cost little more than one.

    Arguments:
        values: f(x_i), (n,), or (n, channels).
        points: x_i, (n, m), or (n,) for m = 1. Points far from the origin need a large B: centre them first. ρ(a·x − b) has
            to be sampled: points further apart than about 1/A alias.
        pair: σ and ρ; None is Pair("tanh").
        weights: of ∫dx ≈ Σ_i weight_i, (n,), in units of x^m. None: the trapezoid rule for sorted points on a line, cell
            volumes of a full grid in the plane or in space. For points drawn from a density p: 1/(n p(x_i)).
        extent: (A, B), |a| < A and |b| < B. None: A = 10/scale, scale the standard deviation per coordinate of x weighted
            by |f|; B = A·max |x| over where f is not negligible, and further by the tail of ρ, which is long for odd m.
            Where that does not reconstruct f to 1 %, A is doubled, or halved, as long as the error falls.
        grid: nodes along a line of a through the origin, from −A to A (even), and offsets b. A smooth σ needs offsets less
            than 0.8 apart; ReLU, with its kink, leaves an error of about the square of half their distance.
        directions: how many u for m > 1. None: A·max |x| + 16 in the plane, (A·max |x|/2 + 8)² in space, where at x of
            that size all frequencies of σ(a·x − b) that matter are resolved. In space rounded up to (an even number)².

    Returns:
        Spectrum, with `reconstruct(points)`, `to_dataset()` and `error`, how well f is reconstructed at the points:
        functions that oscillate many times need an extent and a grid of their own.

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
    pair = read_pair(pair)
    v, x, scalar = read_function(values, points)
    m = x.shape[1]
    if m > LARGEST_DIMENSION:
        raise InputError("points", Text(f"{m} dimensions"), "1 to 3: a grid of nodes in more is too large")
    measured = v * read_weights(weights, x).unsqueeze(1)
    counts = read_grid(grid)

    def made(extent: tuple[float, float]) -> Spectrum:
        found = spectrum_on_grid(measured, x, pair, extent, counts, directions, scalar)
        return replace(found, error=_error(found, v, x))

    if extent is not None:
        return made(read_extent(extent))
    return _best(made, default_extent(measured, x, pair), pair.tail(m), float(x.norm(dim=1).max()))


def _best(
    made: Callable[[tuple[float, float]], Spectrum], extent: tuple[float, float], tail: float, radius: float
) -> Spectrum:
    """The spectrum of an extent, or of twice or half of it, and so on, as long as f is reconstructed better."""
    found = made(extent)
    for factor in (2.0, 0.5):
        best = found
        for _ in range(TRIES):
            if best.error <= GOOD:
                return best
            largest = best.extent[0] * factor
            if largest * radius > WIDEST or (factor > 1 and best.coefficients.numel() > LARGE):
                break
            other = made((largest, (best.extent[1] - tail) * factor + tail))
            if not other.error < best.error:
                break
            best = other
        if best is not found:
            return best
    return found


def _error(found: Spectrum, v: Tensor, x: Tensor) -> float:
    """Of the reconstruction, relative, at some of the points."""
    count = min(len(x), max(8, min(64, CHECKED // found.weights.expand(found.offsets.shape).numel())))
    chosen = torch.linspace(0, len(x) - 1, count, device=x.device, dtype=torch.float64).round().long()
    given = found.reconstruct(x[chosen])
    exact = v[chosen, 0] if found.scalar else v[chosen]
    size = float(exact.square().mean().sqrt())
    return float((given - exact).square().mean().sqrt()) / size if size > 0 else math.nan


def spectrum_on_grid(
    measured: Float[Tensor, "sample channel"],
    x: Float[Tensor, "sample feature"],
    pair: Pair,
    extent: tuple[float, float],
    grid: tuple[int, int],
    directions: int | None = None,
    scalar: bool = False,
) -> Spectrum:
    """`transform` of what has its weights already, (f(x_i)·weight_i), without measuring how well f is reconstructed."""
    m, (a_count, b_count), (largest, height) = x.shape[1], grid, extent
    if largest * float(x.norm(dim=1).max()) > WIDEST:
        found = Text(f"A = {largest:.3g} and points as far out as {float(x.norm(dim=1).max()):.3g}")
        raise InputError("extent", found, f"A·max|x| below {WIDEST:g}: centre the points, or take a smaller A")
    count = _directions(directions, m, largest * radius_of(measured, x))
    u, shares = half_sphere(m, count, x.device)
    radii, radial = signed_radii(m, largest, a_count, x.device)
    offsets, steps = even_offsets(height, b_count, x.device)
    coefficients = _on_grid(measured, x, pair, u, radii[a_count // 2 :], offsets)
    rows = len(u) * a_count
    return Spectrum(
        pair=pair,
        hidden=(radii[:, None] * u[:, None, :]).reshape(rows, m),
        offsets=offsets.expand(rows, -1),
        weights=(shares[:, None] * radial).reshape(rows, 1) * steps,
        coefficients=coefficients.reshape(rows, b_count, -1),
        extent=(largest, height),
        scalar=scalar,
        layout=Layout(u, shares, radii, offsets),
    )


def _on_grid(
    measured: Float[Tensor, "sample channel"],
    x: Float[Tensor, "sample feature"],
    pair: Pair,
    u: Float[Tensor, "direction feature"],
    radii: Float[Tensor, " half"],
    offsets: Float[Tensor, " offset"],
) -> Float[Tensor, "direction radius offset channel"]:
    """The coefficients: values spread over s = u·x once per direction, over z = r s for each radius, times ρ(z_j − b_l)."""
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


def read_grid(grid: Any) -> tuple[int, int]:
    """Nodes along a, an even number, and offsets. Raises InputError for anything else."""
    if not isinstance(grid, tuple | list) or len(grid) != 2:
        raise InputError("grid", grid, "two counts: nodes along a from −A to A, and offsets b")
    a_count, b_count = check_count("grid", grid[0], 2), check_count("grid", grid[1], 2)
    if a_count % 2:
        raise InputError("grid", grid, "an even number of nodes along a: each has its mirror image")
    return a_count, b_count


def _directions(given: int | None, dimension: int, bandwidth: float) -> int:
    if given is not None:
        return check_count("directions", given)
    if dimension == 2:
        return math.ceil(bandwidth) + SPARE
    return 1 if dimension == 1 else math.ceil((bandwidth + SPARE) / 2) ** 2
