"""Optimal transport: the distance W_2, and how far a map is from optimal (§A7)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import as_points, check_count, check_seed, small_seed
from flowplane.errors import InputError, Text, unknown
from flowplane.transport.densities import Density, GaussianMixture

__all__ = ["METHODS", "gaussian_distance", "optimality", "wasserstein"]

METHODS = ("exact", "sliced", "gaussian")
#: Pairs of points of an exact plan: their distances take 2 GiB.
MOST_PAIRS = 1 << 28


def wasserstein(x: Any, y: Any, method: str = "exact", projections: int = 200, seed: int = 0) -> float:
    """The Wasserstein distance W_2(p, q), not squared, between two clouds of equally likely points (§A7).

    Arguments:
        x, y: points (n, d) and (m, d), n and m may differ; for "gaussian" also `Normal`s.
        method: "exact", the best plan, by the network simplex (POT; sorting in one dimension); "sliced", the mean over
            `projections` random directions, √(E W_2²) of the projected clouds, a lower bound; "gaussian", the closed form
            |μ_0 − μ_1|² + tr(Σ_0 + Σ_1 − 2(Σ_0^{1/2}Σ_1Σ_0^{1/2})^{1/2}) of the clouds' means and covariances.
        projections, seed: of "sliced".

    Raises:
        InputError: an unknown method, points of different dimension, NaN, too many points for "exact".

    Example:
        >>> import flowplane as fp
        >>> fp.wasserstein([[0.0], [1.0]], [[3.0], [2.0]])
        2.0
        >>> round(fp.wasserstein(fp.Normal(0.0, 1.0), fp.Normal(1.0, 4.0), method="gaussian"), 6)
        1.414214
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if method == "gaussian":
        return _gaussian(x, y)
    for name, given in (("x", x), ("y", y)):
        if isinstance(given, Density):
            raise InputError(name, given, f"points for method {method!r}: draw some with .sample(n)")
    first, second = _clouds(x, y)
    if method == "sliced":
        return _sliced(first, second, check_count("projections", projections), check_seed(seed))
    return float(np.sqrt(_exact_squared(first, second)))


def optimality(x: Any, y: Any) -> float:
    """W_2²(p, g♯p)/E|g(x) − x|² of a map that took points x to y, row by row; 1 for the identity (§A7).

    Arguments:
        x, y: points (n, d) and where the map took them.

    Raises:
        InputError: another number of points or dimension, NaN, too many points.

    Example:
        >>> optimality([[0.0], [1.0]], [[2.0], [3.0]]), optimality([[0.0], [1.0]], [[3.0], [2.0]])
        (1.0, 0.8)
    """
    first, second = _clouds(x, y)
    if first.shape != second.shape:
        raise InputError("y", Text(f"{len(second)} points"), f"{len(first)} points, one for each of x")
    cost = float(np.square(first - second).sum(1).mean())
    return 1.0 if cost == 0 else min(1.0, _exact_squared(first, second) / cost)


def gaussian_distance(
    mean: Float[Tensor, " feature"],
    covariance: Float[Tensor, "feature feature"],
    other_mean: Float[Tensor, " feature"],
    other_covariance: Float[Tensor, "feature feature"],
) -> float:
    """W_2² of two Gaussians."""
    root = _root(covariance)
    cross = _root(root @ other_covariance @ root)
    apart = (mean - other_mean).square().sum()
    return max(0.0, float(apart + torch.trace(covariance + other_covariance - 2 * cross)))


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0.0).sqrt()) @ vectors.T


def _clouds(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    rows, form = as_points("x", x, None)
    others, other_form = as_points("y", y, None)
    for name, found, part in (("x", form, rows), ("y", other_form, others)):
        if len(found.batch) != 1:
            raise InputError(name, Text(f"shape {(*found.batch, part.shape[1])}"), "points of shape (n, d), one row a point")
    _same_dimension(rows.shape[1], others.shape[1])
    return rows.cpu().numpy(), others.cpu().numpy()


def _same_dimension(d: int, other: int) -> None:
    if d != other:
        expected = f"{d} dimensions, as x has; `fp.transport.embed(x, y)` takes both to one space"
        raise InputError("y", Text(f"{other} dimensions"), expected)


def _exact_squared(x: np.ndarray, y: np.ndarray) -> float:
    """W_2² splits into that of the means and that of the centred clouds, which are brought to a common scale: the
    simplex' tolerances are absolute, and squared distances far from the origin cancel."""
    import ot

    if x.shape[1] > 1 and len(x) * len(y) > MOST_PAIRS:
        expected = f"at most {MOST_PAIRS:,} pairs for an exact plan: take part of them, or method='sliced'"
        raise InputError("x", Text(f"{len(x)} × {len(y)} points"), expected)
    apart = x.mean(0) - y.mean(0)
    x, y = x - x.mean(0), y - y.mean(0)
    scale = max(float(np.abs(x).max()), float(np.abs(y).max()))
    if scale == 0:
        return float(apart @ apart)
    x, y = x / scale, y / scale
    if x.shape[1] == 1:
        value = float(ot.wasserstein_1d(x[:, 0], y[:, 0], p=2))
    else:
        value, log = ot.emd2([], [], ot.dist(x, y), numItermax=100_000_000, log=True)
        if log["warning"] is not None:
            raise InputError("x", Text("points for which no plan was found"), f"points of moderate size ({log['warning']})")
    return float(apart @ apart + scale**2 * max(0.0, float(value)))


def _sliced(x: np.ndarray, y: np.ndarray, projections: int, seed: int) -> float:
    import ot

    return float(ot.sliced_wasserstein_distance(x, y, n_projections=projections, p=2, seed=small_seed(seed)))


def _gaussian(x: Any, y: Any) -> float:
    parts = [_moments(name, given) for name, given in (("x", x), ("y", y))]
    _same_dimension(len(parts[0][0]), len(parts[1][0]))
    return gaussian_distance(*parts[0], *parts[1]) ** 0.5


def _moments(name: str, given: Any) -> tuple[Tensor, Tensor]:
    if isinstance(given, GaussianMixture) and given.smoothing.terms == 1:
        return given.smoothing.means[0].cpu(), given.smoothing.covariances[0].cpu()
    if isinstance(given, Density):
        raise InputError(name, given, "a Normal or points: this density is not Gaussian")
    rows, form = as_points(name, given, None)
    if len(form.batch) != 1:
        raise InputError(name, Text(f"shape {(*form.batch, rows.shape[1])}"), "points of shape (n, d), one row a point")
    mean = rows.mean(0).cpu()
    apart = rows.cpu() - mean
    return mean, apart.T @ apart / len(apart)
