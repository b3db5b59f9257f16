"""How spread points are: entropy and score energy of the Gaussian with their covariance, entropy by neighbours (§A2,
§A5).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.points import as_points, check_count, check_positive
from flowplane.errors import InputError, Text
from flowplane.transport.estimate import Estimate

__all__ = [
    "covariance_spectrum",
    "gaussian_entropy",
    "neighbour_entropy",
    "score_energy",
    "spectral_energy",
    "spectral_entropy",
]

#: Variances below this part of the largest second moment are rounding.
ROUNDING = 1e-12


def covariance_spectrum(x: Any) -> Float[np.ndarray, " feature"]:
    """The eigenvalues of the points' covariance Σ(x − μ)(x − μ)ᵀ/n, the largest first; those that are rounding are 0.

    Arguments:
        x: points (sample, feature).

    Returns:
        One number for each feature, squared units of x.

    Raises:
        InputError: no points, NaN, another shape.

    Example:
        >>> covariance_spectrum([[0.0, 1.0], [2.0, 1.0], [0.0, 1.0], [2.0, 1.0]]).tolist()
        [1.0, 0.0]
    """
    rows = _rows(x)
    n, d = rows.shape
    centred = rows - rows.mean(0)
    # the smaller of the two products has all eigenvalues that are not 0
    product = centred.T @ centred if d <= n else centred @ centred.T
    values = torch.linalg.eigvalsh(product / n).flip(0)[: min(d, n - 1)].cpu().numpy()
    size = float(rows.square().mean(0).max())
    spectrum = np.zeros(d)
    spectrum[: len(values)] = np.where(values > ROUNDING * max(size, float(values.max(initial=0.0))), values, 0.0)
    return spectrum


def gaussian_entropy(x: Any, smoothing: float = 0.0) -> Estimate:
    """The entropy ½ log det(2πe(C + sI)) of the Gaussian with the points' covariance C, smoothed by N(0, sI).

    No density of this covariance has more entropy. Without smoothing the estimate is unbiased for normal points. The
    change under an affine map x ↦ Ax + b is then exactly log|det A|, whatever the points are.

    Arguments:
        x: points (sample, feature).
        smoothing: s, a variance, squared units of x.

    Returns:
        Nats, with the standard error over the points; NaN where C is singular, as for as many features as points, and s is
        0.

    Raises:
        InputError: no points, NaN, another shape, a negative s.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(500, 2))
        >>> a = np.array([[3.0, 1.0], [0.0, 1.0]])
        >>> round(gaussian_entropy(x @ a.T) - gaussian_entropy(x), 6)  # log 3
        1.098612
        >>> float(gaussian_entropy([[0.0, 1.0], [2.0, 1.0]]))
        nan
    """
    rows, added = _rows(x), _smoothing(smoothing)
    value = spectral_entropy(covariance_spectrum(rows), len(rows), added)
    return Estimate(value, _scatter(rows, added, 1) / 2 if value == value else math.nan, _method(rows), "nats")


def score_energy(x: Any, smoothing: float = 0.0) -> Estimate:
    """J = E|∇log p|² = tr (C + sI)⁻¹ of the Gaussian with the points' covariance C, smoothed by N(0, sI) (§A5).

    No density of this covariance has less. It is the rate −dH/dt at which the flow v = ∇log p would take entropy from it.

    Arguments:
        x: points (sample, feature).
        smoothing: s, a variance, squared units of x.

    Returns:
        1 / squared units of x, with the standard error over the points; NaN where C is singular and s is 0.

    Raises:
        InputError: no points, NaN, another shape, a negative s.

    Example:
        >>> float(score_energy([[-2.0], [2.0]])), float(score_energy([[-2.0], [2.0]], smoothing=1.0))
        (0.25, 0.2)
    """
    rows, added = _rows(x), _smoothing(smoothing)
    value = spectral_energy(covariance_spectrum(rows), added)
    error = _scatter(rows, added, 2) if value == value else math.nan
    return Estimate(value, error, _method(rows), "1 / squared units of x")


def neighbour_entropy(x: Any, k: int = 4) -> Estimate:
    """The entropy of a density by the distances to k-th neighbours: ψ(n) − ψ(k) + log c_d + d·mean log ε_i.

    ε_i is the Euclidean distance of point i to its k-th neighbour, c_d the volume of the unit ball. It assumes a density
    that hardly varies within ε, which fails in many dimensions: of 1,000 points evenly in a cube it is 1.3 nats too large
    in 8 dimensions, 3.8 in 16.

    References:
        Kozachenko and Leonenko, *Sample estimate of the entropy of a random vector* (1987).

    Arguments:
        x: points (sample, feature), more than k.
        k: neighbours.

    Returns:
        Nats, with the standard error over the points; NaN where points have k others at the same place, or half of the
        distances or more are equal to another: there is no density then.

    Raises:
        InputError: no points, NaN, another shape, k not below the number of points.

    Example:
        >>> x = np.random.default_rng(0).random((2000, 2))
        >>> abs(neighbour_entropy(x)) < 0.1  # 0 for the unit square
        True
    """
    from scipy.spatial import cKDTree

    points = _rows(x).cpu().numpy()
    n, d = points.shape
    if check_count("k", k) >= n:
        raise InputError("k", k, f"below {n}, the number of points")
    distance = cKDTree(points).query(points, k + 1)[0][:, k]
    method = f"distances to neighbour {k} of {n} points"
    if distance.min() <= 0 or _tied(distance):
        return Estimate(math.nan, math.nan, method, "nats")
    ball = d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1)
    logs = d * np.log(distance)
    value = float(_digamma(n) - _digamma(k) + ball + logs.mean())
    return Estimate(value, float(logs.std()) / n**0.5, method, "nats")


def spectral_entropy(spectrum: Float[np.ndarray, " feature"], samples: int, smoothing: float = 0.0) -> float:
    """`gaussian_entropy` of points with this `covariance_spectrum`."""
    d = len(spectrum)
    if smoothing > 0:
        return 0.5 * float(np.log(2 * math.pi * math.e * (spectrum + smoothing)).sum())
    if d >= samples or spectrum.min() <= 0:
        return math.nan
    # E ln det of n times the sample covariance of normal points, less ln det of their covariance
    wishart = float(_digamma((samples - np.arange(1, d + 1)) / 2).sum()) + d * math.log(2)
    return 0.5 * (d * math.log(2 * math.pi * math.e) + float(np.log(samples * spectrum).sum()) - wishart)


def spectral_energy(spectrum: Float[np.ndarray, " feature"], smoothing: float = 0.0) -> float:
    """`score_energy` of points with this `covariance_spectrum`."""
    smoothed = spectrum + smoothing
    return float((1 / smoothed).sum()) if smoothed.min() > 0 else math.nan


def _rows(x: Any) -> Float[Tensor, "sample feature"]:
    rows, form = as_points("x", x, None)
    if len(form.batch) != 1:
        raise InputError("x", Text(f"shape {(*form.batch, rows.shape[1])}"), "points of shape (sample, feature)")
    return rows


def _method(rows: Tensor) -> str:
    return f"the Gaussian with the covariance of {len(rows)} points"


def _scatter(rows: Float[Tensor, "sample feature"], smoothing: float, power: int) -> float:
    """The standard error of the mean of xᵀ(C + sI)^{−power}x, what each point adds to log det(C + sI) or to tr(C + sI)⁻¹."""
    left, sizes, _ = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
    terms = ((left * sizes).square() / (sizes.square() / len(rows) + smoothing) ** power).sum(1)
    return float(terms.std(correction=0)) / len(rows) ** 0.5


def _smoothing(value: Any) -> float:
    return 0.0 if value == 0 else check_positive("smoothing", value, "a variance, 0 or more")


def _tied(distance: Float[np.ndarray, " sample"]) -> bool:
    """Whether half of the distances, or more, are those of another point: of points on a lattice.

    A pair of mutual neighbours has one distance; so equal distances count from three on.
    """
    ordered = np.sort(distance)
    equal = np.diff(ordered) <= 1e-9 * ordered[1:]
    _, counts = np.unique(np.concatenate([[0], np.cumsum(~equal)]), return_counts=True)
    return bool(counts[counts >= 3].sum() >= len(distance) / 2)


def _digamma(value: Any) -> Any:
    from scipy.special import digamma

    return digamma(value)
