"""Optimal transport: the distance W_2, and how far a map is from optimal (§A7)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import as_points, check_count, check_seed
from flowplane.core.streams import DIRECTIONS, generator
from flowplane.errors import InputError, Text, unknown
from flowplane.transport.densities import Density, GaussianMixture
from flowplane.transport.estimate import Estimate

__all__ = ["METHODS", "ExactPlan", "Pairs", "exact_plan", "gaussian_distance", "optimality", "wasserstein"]

METHODS = ("exact", "sliced", "gaussian")
#: Pairs of points of an exact plan: their distances take 2 GiB.
MOST_PAIRS = 1 << 28


def wasserstein(x: Any, y: Any, method: str = "exact", *, projections: int = 200, seed: Any = 0) -> float:
    """The Wasserstein distance W_2(p, q), not squared, between two clouds of equally likely points (§A7).

    Of the clouds it is exact, but for "sliced". Of the densities that n points each were drawn from it is an estimate, whose
    standard error is of order n^{−1/2} where they differ: the scatter of the distances between tenths of the points, divided
    by √10, tells it. Besides it is too large: between two draws of one density it is not 0 but of order n^{−1/4} at most in
    up to three dimensions and n^{−1/d} in five and more, which the distance between two such draws tells. The directions of
    "sliced" add an error of order projections^{−1/2}, seen by other seeds. Profiles and `path_measures` have a standard
    error beside each distance.

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
    return float(np.sqrt(exact_plan(first, second).squared))


def optimality(x: Any, y: Any) -> Estimate:
    """W_2²(p, g♯p)/E|g(x) − x|² of a map that took points x to y, row by row; 1 for the identity (§A7).

    Arguments:
        x, y: points (n, d) and where the map took them.

    Returns:
        The ratio for these points, with its standard error as an estimate of that of the density which they were drawn from.
        Besides it may be too large: between points that move less than they are apart no plan is better than the map.

    Raises:
        InputError: another number of points or dimension, NaN, too many points.

    Example:
        >>> float(optimality([[0.0], [1.0]], [[2.0], [3.0]])), float(optimality([[0.0], [1.0]], [[3.0], [2.0]]))
        (1.0, 0.8)
    """
    first, second = _clouds(x, y)
    if first.shape != second.shape:
        raise InputError("y", Text(f"{len(second)} points"), f"{len(first)} points, one for each of x")
    return Pairs.of(first, second).optimality


class ExactPlan(NamedTuple):
    """The best plan between two clouds, by its value and its potentials, whose scatter is its value's error."""

    #: W_2².
    squared: float
    #: What each point of x and of y adds to W_2², up to a constant.
    of_x: Float[np.ndarray, " point"]
    of_y: Float[np.ndarray, " other"]

    @property
    def error(self) -> float:
        """The standard error of W_2² for clouds that are independent of each other."""
        return float(np.sqrt(self.of_x.var() / len(self.of_x) + self.of_y.var() / len(self.of_y)))


class Pairs(NamedTuple):
    """Points and where a map took them: W_2², E|g(x) − x|², and what each pair adds to either."""

    squared: float
    cost: float
    distances: Float[np.ndarray, " pair"]
    costs: Float[np.ndarray, " pair"]

    @classmethod
    def of(cls, x: Float[np.ndarray, "pair feature"], y: Float[np.ndarray, "pair feature"]) -> Pairs:
        """Of points row by row."""
        costs = np.square(x - y).sum(1)
        cost = float(costs.mean())
        if cost == 0:
            return cls(0.0, 0.0, costs, costs)
        found = exact_plan(x, y)
        return cls(min(cost, found.squared), cost, found.of_x + found.of_y, costs)

    @property
    def optimality(self) -> Estimate:
        """W_2²/E|g(x) − x|²."""
        ratio = self.squared / self.cost if self.cost > 0 else 1.0
        error = self.error(self.distances - ratio * self.costs) / self.cost if self.cost > 0 else 0.0
        return Estimate(ratio, error, f"exact plan between {len(self.costs)} pairs", "1")

    @property
    def wasserstein(self) -> Estimate:
        """W_2."""
        distance = self.squared**0.5
        error = self.error(self.distances) / (2 * distance) if distance > 0 else 0.0
        return Estimate(distance, error, f"exact plan between {len(self.costs)} pairs", "units of x")

    def error(self, terms: Float[np.ndarray, " pair"]) -> float:
        """The standard error of a mean over the pairs."""
        return float(terms.std()) / len(terms) ** 0.5


def gaussian_distance(
    mean: Float[Tensor, " feature"],
    covariance: Float[Tensor, "feature feature"],
    other_mean: Float[Tensor, " feature"],
    other_covariance: Float[Tensor, "feature feature"],
) -> float:
    """W_2² of two Gaussians: the squared distance of the means, and of the covariances' roots turned as near as they come.

    The Bures distance tr(A + B − 2(√A B √A)^½) is min_U |√A − √B U|² over orthogonal U, where nothing cancels.
    """
    root, other = _root(covariance), _root(other_covariance)
    left, _, right = torch.linalg.svd(other.T @ root)
    return float((mean - other_mean).square().sum() + (root - other @ left @ right).square().sum())


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


def exact_plan(x: Float[np.ndarray, "point feature"], y: Float[np.ndarray, "other feature"]) -> ExactPlan:
    """The best plan between two clouds of equally likely points.

    W_2² splits into that of the means and that of the centred clouds, which are brought to a common scale: the simplex'
    tolerances are absolute, and squared distances far from the origin cancel. The potentials u(x_i), v(y_j) are what W_2²
    changes by with the points' weights, so that their variances are its own (del Barrio and Loubes, Ann. Probab. 47 (2019)).

    Raises:
        InputError: too many points, or points of a size for which no plan is found.
    """
    import ot

    if x.shape[1] > 1 and len(x) * len(y) > MOST_PAIRS:
        expected = f"at most {MOST_PAIRS:,} pairs for an exact plan: take part of them, or method='sliced'"
        raise InputError("x", Text(f"{len(x)} × {len(y)} points"), expected)
    apart = x.mean(0) - y.mean(0)
    x, y = x - x.mean(0), y - y.mean(0)
    scale = max(float(np.abs(x).max()), float(np.abs(y).max()))
    if scale == 0:
        return ExactPlan(float(apart @ apart), np.zeros(len(x)), np.zeros(len(y)))
    x, y = x / scale, y / scale
    if x.shape[1] == 1:
        value = float(ot.wasserstein_1d(x[:, 0], y[:, 0], p=2))
        of_x, of_y = _potential(x[:, 0], y[:, 0]), _potential(y[:, 0], x[:, 0])
    else:
        value, log = ot.emd2([], [], ot.dist(x, y), numItermax=100_000_000, log=True)
        if log["warning"] is not None:
            raise InputError("x", Text("points for which no plan was found"), f"points of moderate size ({log['warning']})")
        of_x, of_y = log["u"], log["v"]
    squared = float(apart @ apart + scale**2 * max(0.0, float(value)))
    return ExactPlan(squared, scale**2 * of_x + 2 * scale * (x @ apart), scale**2 * of_y - 2 * scale * (y @ apart))


def _potential(x: Float[np.ndarray, " point"], y: Float[np.ndarray, " other"]) -> Float[np.ndarray, " point"]:
    """∫2(x − T(x))dx on the line, T the monotone map from x to y."""
    order, n = np.argsort(x), len(x)
    # y's quantiles, integrated over each point's share
    filled = np.interp(np.linspace(0, 1, n + 1), np.linspace(0, 1, len(y) + 1), np.r_[0, np.cumsum(np.sort(y)) / len(y)])
    away = x[order] - n * np.diff(filled)
    found = np.empty(n)
    found[order] = np.r_[0, np.cumsum((away[1:] + away[:-1]) * np.diff(x[order]))]
    return found


def _sliced(x: np.ndarray, y: np.ndarray, projections: int, seed: int) -> float:
    import ot

    own = int(generator(seed, DIRECTIONS).integers(1 << 32))
    return float(ot.sliced_wasserstein_distance(x, y, n_projections=projections, p=2, seed=own))


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
