"""Optimal transport: the distance W_2, and how far a map is from optimal (§A7)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core.points import as_points, check_count, check_seed
from flowplane.core.streams import DIRECTIONS, generator
from flowplane.errors import InputError, Text, unknown
from flowplane.transport.densities import Density, GaussianMixture
from flowplane.transport.estimate import Estimate

__all__ = [
    "METHODS",
    "ExactPlan",
    "Pairs",
    "assignment",
    "exact_plan",
    "exact_plans",
    "gaussian_distance",
    "optimality",
    "wasserstein",
]

METHODS = ("exact", "sliced", "gaussian")
#: Pairs of points of an exact plan: their distances take 2 GiB.
MOST_PAIRS = 1 << 28
#: Where a squared distance is below this part of the largest, all are taken from differences: products would cancel.
CANCELLED = 1e-6
#: A plan is sought until W_2² and its lower bound differ by at most EXACT of it, this many times; more than KNOWN is
#: refused.
EXACT, KNOWN, ROUNDS = 1e-9, 1e-6, 4
#: Iterations of the network simplex, which ends long before.
ITERATIONS = 100_000_000


def wasserstein(x: Any, y: Any, method: str = "exact", *, projections: int = 200, seed: Any = 0) -> float:
    """The Wasserstein distance W_2(p, q), not squared, between two clouds of equally likely points (§A7).

    For the clouds it is exact, except "sliced". For the densities from which n points each were drawn it is an estimate,
    whose standard error is of order n^{−1/2} where they differ: the scatter of the distances between tenths of the points,
    divided by √10, shows it. It is also too large: between two draws of one density it is not 0 but of order n^{−1/4} at
    most in up to three dimensions and n^{−1/d} in five and more, which the distance between two such draws shows. The
    directions of "sliced" add an error of order projections^{−1/2}, which other seeds show. Profiles and `path_measures`
    have a standard error beside each distance.

    Arguments:
        x, y: points (n, d) and (m, d), n and m may differ; for "gaussian" also `Normal`s.
        method: "exact", the best plan, by the network simplex (POT; sorting in one dimension); "sliced", the mean over
            `projections` random directions, √(E W_2²) of the projected clouds, a lower bound; "gaussian", the closed form
            |μ_0 − μ_1|² + tr(Σ_0 + Σ_1 − 2(Σ_0^{1/2}Σ_1Σ_0^{1/2})^{1/2}) of the clouds' means and covariances.
        projections, seed: of "sliced".

    Raises:
        InputError: an unknown method, points of different dimension, NaN; for "exact" too many points, or points of such
            different scales that rounding hides which plan is the best.

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
        The ratio for these points, with its standard error as an estimate of that of the density from which they were drawn.
        It may also be too large: between points that move less than they are apart no plan is better than the map.

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
            raise InputError(
                name, Text(f"shape {(*found.batch, part.shape[1])}"), "points of shape (n, d), one row per point"
            )
    _same_dimension(rows.shape[1], others.shape[1])
    return rows.cpu().numpy(), others.cpu().numpy()


def _same_dimension(d: int, other: int) -> None:
    if d != other:
        expected = f"{d} dimensions, as x has; `fp.transport.embed(x, y)` takes both to one space"
        raise InputError("y", Text(f"{other} dimensions"), expected)


def exact_plan(x: Float[np.ndarray, "point feature"], y: Float[np.ndarray, "other feature"]) -> ExactPlan:
    """The best plan between two clouds of equally likely points.

    It is found between clouds of equal means, which all plans gain from alike, and W_2² is the mean square of its own
    differences. The potentials u(x_i), v(y_j) are what W_2² changes by with the points' weights, so that their variances are
    its own (del Barrio and Loubes, Ann. Probab. 47 (2019)).

    Raises:
        InputError: too many points, or points for which no plan is found that is known to be the best.
    """
    return next(exact_plans([y, x]))[2]


def exact_plans(clouds: Sequence[Float[np.ndarray, "_ feature"]]) -> Iterator[tuple[int, int, ExactPlan]]:
    """`exact_plan` between every two clouds, their products computed at once: the numbers of x and y, and it."""
    _require_few(clouds)
    # by a power of two nothing is rounded
    power = int(np.frexp(max(np.abs(cloud).max() for cloud in clouds))[1])
    clouds = [np.ldexp(cloud, -power) for cloud in clouds]
    means = [cloud.mean(0) for cloud in clouds]
    centred = [cloud - mean for cloud, mean in zip(clouds, means, strict=True)]
    line = clouds[0].shape[1] == 1
    products = None if line else _Products(centred)
    for a in range(1, len(clouds)):
        for b in range(a):
            best = _on_a_line(clouds[a][:, 0], clouds[b][:, 0]) if products is None else _best(products.costs(a, b))
            rows, columns, shares, of_x, of_y = best
            moves = clouds[a][rows] - clouds[b][columns]
            squared = float(shares @ np.einsum("ij,ij->i", moves, moves))
            apart = means[a] - means[b]
            of_x, of_y = of_x + 2 * centred[a] @ apart, of_y - 2 * centred[b] @ apart
            yield a, b, ExactPlan(float(np.ldexp(squared, 2 * power)), np.ldexp(of_x, 2 * power), np.ldexp(of_y, 2 * power))


def _require_few(clouds: Sequence[np.ndarray]) -> None:
    n, m = sorted(map(len, clouds))[-2:]
    if clouds[0].shape[1] > 1 and n * m > MOST_PAIRS:
        expected = f"at most {MOST_PAIRS:,} pairs for an exact plan: take part of them, or method='sliced'"
        raise InputError("x", Text(f"{n} × {m} points"), expected)


def assignment(x: Float[Tensor, "point feature"], y: Float[Tensor, "point feature"]) -> Int[Tensor, " point"]:
    """The place in y of each point's partner by the best plan between clouds of as many points, which splits none."""
    clouds = [points.detach().double().cpu().numpy() for points in (y, x)]
    if x.shape[1] == 1:
        rows, columns, *_ = _on_a_line(clouds[1][:, 0], clouds[0][:, 0])
    else:
        rows, columns, *_ = _best(_Products([cloud - cloud.mean(0) for cloud in clouds]).costs(1, 0))
    return torch.from_numpy(columns[rows.argsort()]).to(y.device)


class _Products:
    """Of clouds moved to the mean 0: all products of two points, from which squared distances are made."""

    def __init__(self, centred: list[np.ndarray]) -> None:
        self.centred = centred
        self.ends = np.cumsum([0, *map(len, centred)])
        self.squares = [np.square(cloud).sum(1) for cloud in centred]
        # of two clouds only what lies between them is asked for
        together = np.concatenate(centred)
        self.products = centred[1] @ centred[0].T if len(centred) == 2 else together @ together.T

    def costs(self, a: int, b: int) -> Float[np.ndarray, "point other"]:
        """|x_i − y_j|² of two clouds, to the last digits of the least where it is far below the largest."""
        rows, columns = (slice(self.ends[k], self.ends[k + 1]) for k in (a, b))
        product = self.products if len(self.centred) == 2 else self.products[rows, columns]
        found = self.squares[a][:, None] + self.squares[b] - 2 * product
        if found.min() >= CANCELLED * found.max():
            return found  # type: ignore[no-any-return]
        from scipy.spatial.distance import cdist

        return cdist(self.centred[a], self.centred[b], "sqeuclidean")  # type: ignore[no-any-return]


def _best(costs: Float[np.ndarray, "point other"]) -> tuple[np.ndarray, ...]:
    """The pairs of the best plan, their shares, and its potentials; `costs` are overwritten.

    The network simplex (POT) errs by rounding of the largest cost, beside which small ones may vanish. So each point's
    least cost is subtracted first, which leaves the order of the plans. Then the plan is checked against the potentials,
    which bound W_2² from below. Where they differ, costs so large that the best plan cannot use them are cut, and a plan is
    sought again: shares are whole multiples of 1/lcm(n, m), so that the best plan uses no pair that costs more than
    lcm(n, m) times what another plan does.
    """
    from ot.lp.emd_wrap import check_result, emd_c

    points, others = costs.shape
    total = math.lcm(points, others)
    # whole numbers, so that no rounding of shares is sent to a far point
    masses = [np.full(count, float(total // count)) for count in costs.shape]
    of_x = costs.min(1)
    costs -= of_x[:, None]
    of_y = costs.min(0)
    costs -= of_y
    most = np.inf
    for _ in range(ROUNDS):
        part = np.minimum(costs, most)
        scale = float(part.max()) or 1.0
        part /= scale
        # `ot.emd` without its checks of the input, which take as long as small plans themselves
        plan, _, _, v, result = emd_c(*masses, part, ITERATIONS, 1)
        v = v - v.mean()
        u = (part - v).min(1)
        most = float(np.vdot(plan, costs))
        rounding = 4 * np.finfo(float).eps * (np.abs(u).max() + np.abs(v).max())
        bound = max(0.0, scale * float(u.mean() + v.mean() - rounding))
        squared = float(of_x.mean() + of_y.mean()) + most / total
        gap = most / total - bound
        if gap <= EXACT * squared:
            break
    if check_result(result) is not None or not gap <= KNOWN * squared:
        expected = "points of more similar scales, so that the best plan is known, or method='sliced'"
        raise InputError("x", Text("points between which no plan is known to be the best"), expected)
    rows, columns = plan.nonzero()
    return rows, columns, plan[rows, columns] / total, of_x + scale * u, of_y + scale * v


def _in_order(points: int, others: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best plan between sorted points on a line: the places of its pairs and their shares, counted in whole parts."""
    total = math.lcm(points, others)
    each, other = total // points, total // others
    ends = np.union1d(np.arange(each, total + 1, each), np.arange(other, total + 1, other))
    parts = np.diff(ends, prepend=0)
    return (ends - parts) // each, (ends - parts) // other, parts / total


def _on_a_line(x: Float[np.ndarray, " point"], y: Float[np.ndarray, " other"]) -> tuple[np.ndarray, ...]:
    """As `_best`, by sorting."""
    order, other_order = np.argsort(x), np.argsort(y)
    rows, columns, shares = _in_order(len(x), len(y))
    rows, columns = order[rows], other_order[columns]
    x, y = x - x.mean(), y - y.mean()
    apart = shares * (x[rows] - y[columns])
    of_x = _potential(x, order, len(x) * np.bincount(rows, apart))
    of_y = _potential(y, other_order, -len(y) * np.bincount(columns, apart))
    return rows, columns, shares, of_x, of_y


def _potential(x: Float[np.ndarray, " point"], order: np.ndarray, away: np.ndarray) -> Float[np.ndarray, " point"]:
    """∫2(x − T(x))dx on the line, T the monotone map and `away` x − T(x)."""
    x, away = x[order], away[order]
    found = np.empty(len(x))
    found[order] = np.r_[0, np.cumsum((away[1:] + away[:-1]) * np.diff(x))]
    return found


def _sliced(x: np.ndarray, y: np.ndarray, projections: int, seed: int) -> float:
    from ot.sliced import get_random_projections

    own = int(generator(seed, DIRECTIONS).integers(1 << 32))
    directions = get_random_projections(x.shape[1], projections, own)
    rows, columns, shares = _in_order(len(x), len(y))
    apart = np.sort(x @ directions, 0)[rows] - np.sort(y @ directions, 0)[columns]
    return float(np.sqrt((shares @ np.square(apart)).mean()))


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
        raise InputError(name, Text(f"shape {(*form.batch, rows.shape[1])}"), "points of shape (n, d), one row per point")
    mean = rows.mean(0).cpu()
    apart = rows.cpu() - mean
    return mean, apart.T @ apart / len(apart)
