"""Random walks at any times, drawn from their exact laws: what diffusing weights are compared with (§B7)."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from flowplane.core.points import as_matrix, check_count, check_positive, check_seed
from flowplane.dynamics.arguments import Number, as_array, as_epochs

__all__ = ["ornstein_uhlenbeck", "wiener", "wiener_displacement"]


def wiener(times: Any, covariance: Any = 1.0, dimension: int = 1, *, draws: int = 1, seed: int = 0) -> np.ndarray:
    """A Wiener process: independent increments N(0, C·Δt), from 0 at the first time (§B7).

    Arguments:
        times: (time,), increasing, from 0 on.
        covariance: C per unit of time, a variance or a (dimension, dimension) matrix, positive definite.
        dimension: of the process.
        draws: independent ones.
        seed: of all of them.

    Returns:
        (draw, time, dimension), in the square root of C's units.

    Raises:
        InputError: times that do not increase, an invalid covariance, count or seed.

    Example:
        >>> path = wiener([0.0, 1.0, 100.0], draws=4)
        >>> path.shape, path[:, 0].ravel().tolist()
        ((4, 3, 1), [0.0, 0.0, 0.0, 0.0])
    """
    given, root, rng = _checked(times, covariance, dimension, seed)
    steps = np.diff(given)[:, None] ** 0.5 * _normal(rng, draws, len(given) - 1, root)
    return np.concatenate([np.zeros_like(steps, shape=(draws, 1, len(root))), steps.cumsum(1)], axis=1)


def ornstein_uhlenbeck(
    times: Any, rate: Number, covariance: Any = 1.0, dimension: int = 1, *, draws: int = 1, seed: int = 0
) -> np.ndarray:
    """An Ornstein–Uhlenbeck process, dx = −θ x dt + dW with dW ~ N(0, C dt), in equilibrium from the first time on (§B7).

    Exact at any times: x(t + Δ) = e^{−θΔ} x(t) + N(0, C (1 − e^{−2θΔ})/2θ). Its mean squared displacement is
    tr C (1 − e^{−θt})/θ: that of the Wiener process for t ≪ 1/θ, constant for t ≫ 1/θ.

    Arguments:
        times: (time,), increasing, from 0 on.
        rate: θ, one over a unit of time.
        covariance: C per unit of time, a variance or a (dimension, dimension) matrix, positive definite.
        dimension: of the process.
        draws: independent ones.
        seed: of all of them.

    Returns:
        (draw, time, dimension), in the square root of C's units.

    Raises:
        InputError: times that do not increase, a rate that is not above 0, an invalid covariance, count or seed.

    Example:
        >>> ornstein_uhlenbeck([0.0, 1.0, 100.0], rate=0.1, dimension=2, draws=4).shape
        (4, 3, 2)
    """
    given, root, rng = _checked(times, covariance, dimension, seed)
    rate = check_positive("rate", rate)
    kept = np.exp(-rate * np.diff(given))
    spread = np.sqrt(np.append(1.0, -np.expm1(-2 * rate * np.diff(given))) / (2 * rate))
    path = spread[:, None] * _normal(rng, draws, len(given), root)
    for step, share in enumerate(kept, start=1):
        path[:, step] += share * path[:, step - 1]
    return path


def wiener_displacement(
    spectrum: Float[np.ndarray, "replica component"],
    rest: Float[np.ndarray, " replica"],
    others: int,
    lags: Float[np.ndarray, " lag"],
    draws: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "draw replica lag"]:
    """‖W(t)‖² of a Wiener process with these eigenvalues, and `others` more of variance `rest` each.

    Only the eigenvalues matter, and equal ones together make a squared Bessel process, whose steps are noncentral χ²: the
    many directions that no increment has seen cost as much as one.
    """
    steps = np.diff(lags, prepend=0.0)
    result = np.empty((draws, len(spectrum), len(lags)))
    place = np.zeros((draws, *spectrum.shape))
    bulk = np.zeros((draws, len(spectrum)))
    for k, step in enumerate(steps):
        place += np.sqrt(step) * rng.standard_normal(place.shape)
        if others:
            bulk = step * rng.noncentral_chisquare(others, bulk / step)
        result[:, :, k] = np.einsum("drc,rc->dr", place**2, spectrum) + rest * bulk
    return result


def _checked(
    times: Any, covariance: Any, dimension: int, seed: int
) -> tuple[np.ndarray, Float[np.ndarray, "feature feature"], np.random.Generator]:
    """Times, the Cholesky factor of the covariance, a generator."""
    given = as_array("times", times, ("time",))
    matrix = as_matrix("covariance", covariance, check_count("dimension", dimension))
    rng = np.random.default_rng(check_seed(seed))
    return as_epochs(given, len(given), "times"), np.linalg.cholesky(matrix.numpy()), rng


def _normal(rng: np.random.Generator, draws: int, times: int, root: np.ndarray) -> Float[np.ndarray, "draw time feature"]:
    return rng.standard_normal((check_count("draws", draws), times, len(root))) @ root.T
