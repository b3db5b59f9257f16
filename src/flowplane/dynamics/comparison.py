"""Whether weights move as a Wiener process does: their exponent beside those of simulated ones (§B7, B-7)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from flowplane.core.points import check_count, check_seed
from flowplane.dynamics.arguments import Number, Window, as_array
from flowplane.dynamics.diffusion import (
    diffusion_exponent,
    in_window,
    increments,
    mean_squared_displacement,
    unbiased_traces,
    update_spectrum,
)
from flowplane.dynamics.processes import wiener_displacement
from flowplane.errors import InputError, Text

__all__ = ["WienerComparison", "against_wiener"]

#: Values of a simulated path held at once.
BLOCK = 4_000_000


class WienerComparison(NamedTuple):
    """Each replica's exponent; the mean of those that have one; where 95 % of the means lie under the Wiener process; the
    two-sided p-value of the measured one; and the displacement (lag, 3) under it: 2.5 %, 50 % and 97.5 % points of the
    replicas' mean."""

    exponent: np.ndarray
    mean: float
    lower: float
    upper: float
    p_value: float
    displacement: np.ndarray


def against_wiener(
    weights: Any, epochs: Any, origin: Number, *, window: Window = None, draws: int = 500, seed: int = 0
) -> WienerComparison:
    """The replicas' mean exponent beside that of Wiener processes with each replica's covariance, at the same epochs (§B7).

    Every draw simulates all replicas and reads the same mean exponent off them. The covariance is that of the updates,
    drawn towards a multiple of the identity until tr C² has its unbiased value: measured on few increments it has too
    few directions, and exponents under it would scatter too widely.

    Arguments:
        weights: (replica, epoch, parameter), of one layer.
        epochs: (epoch,), increasing.
        origin: one of them.
        window: the least and the greatest lag to fit; None for all.
        draws: simulated ensembles.
        seed: of them.

    Returns:
        A `WienerComparison`, NaN where no replica has an exponent.

    Raises:
        InputError: what `mean_squared_displacement` and `diffusion_exponent` refuse, an invalid count or seed.

    Example:
        >>> line = np.arange(10.0)[:, None] * np.ones(5)
        >>> found = against_wiener(line[None], np.arange(10), 0, draws=99)
        >>> round(found.mean, 6), found.lower < 1 < found.upper
        (2.0, True)
    """
    array = as_array("weights", weights, ("replica", "epoch", "parameter"))
    if array.ndim != 3:
        raise InputError("weights", Text(f"shape {array.shape}"), "(replica, epoch, parameter)")
    draws, rng = check_count("draws", draws), np.random.default_rng(check_seed(seed))
    lags, msd = mean_squared_displacement(array, epochs, origin)
    exponent = diffusion_exponent(msd, lags, window)
    moving = np.isfinite(exponent)
    if not moving.any():
        return WienerComparison(exponent, np.nan, np.nan, np.nan, np.nan, np.full((len(lags), 3), np.nan))
    eigenvalues = update_spectrum(array[moving], epochs, origin).eigenvalues
    spectrum, rest = _likely(eigenvalues, increments(array, epochs, origin).shape[-2], array.shape[2])
    means, paths = [], []
    step = max(1, BLOCK // (spectrum.size + spectrum.shape[0] * len(lags)))
    for first in range(0, draws, step):
        count = min(step, draws - first)
        path = wiener_displacement(spectrum, rest, array.shape[2] - spectrum.shape[1], lags, count, rng)
        means.append(diffusion_exponent(path[..., in_window(lags, window)], lags[in_window(lags, window)]).mean(1))
        paths.append(path.mean(1))
    simulated = np.concatenate(means)
    mean = float(exponent[moving].mean())
    below, above = (1 + (simulated <= mean).sum()) / (1 + draws), (1 + (simulated >= mean).sum()) / (1 + draws)
    low, high = np.quantile(simulated, [0.025, 0.975])
    band = np.quantile(np.concatenate(paths), [0.025, 0.5, 0.975], axis=0).T
    return WienerComparison(exponent, mean, float(low), float(high), float(min(1.0, 2 * min(below, above))), band)


def _likely(
    eigenvalues: Float[np.ndarray, "replica component"], count: int, parameters: int
) -> tuple[Float[np.ndarray, "replica component"], Float[np.ndarray, " replica"]]:
    """Eigenvalues of (1 − α)Ĉ + α (tr Ĉ/p) I, with α such that tr C² is unbiased; and of the directions not seen."""
    total, squares = eigenvalues.sum(1) ** 2, (eigenvalues**2).sum(1)
    isotropic = total / parameters
    excess = squares - isotropic
    wanted = unbiased_traces(eigenvalues, count)[1] - isotropic
    kept = np.sqrt(np.divide(wanted, excess, out=np.ones_like(excess), where=excess > 1e-12 * squares).clip(0.0, 1.0))
    rest = (1 - kept) * eigenvalues.sum(1) / parameters
    return kept[:, None] * eigenvalues + rest[:, None], rest
