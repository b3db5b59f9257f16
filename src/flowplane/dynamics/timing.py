"""Whether two things happen to a layer at the same time: the start of diffusion and that of compression (§B5, B-3)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from flowplane.core.points import check_count, check_positive, check_seed
from flowplane.dynamics.arguments import Number, as_array, as_epochs
from flowplane.errors import InputError, Text

__all__ = ["Coincidence", "coincidence", "compression_start"]

#: Two-sided 95 % of a normal distribution.
NORMAL = 1.959963984540054
#: Fewer replicas than this say nothing about a rank correlation.
FEWEST = 4


class Coincidence(NamedTuple):
    """For each layer: how many replicas have both epochs; Spearman's correlation of their logarithms with its 95 % interval
    and the two-sided p-value of no dependence; the median of log2(second/first) with its 95 % interval. NaN: too few."""

    pairs: np.ndarray
    correlation: np.ndarray
    correlation_lower: np.ndarray
    correlation_upper: np.ndarray
    p_value: np.ndarray
    lag: np.ndarray
    lag_lower: np.ndarray
    lag_upper: np.ndarray


def compression_start(i_xt: Any, epochs: Any, threshold: Number = 0.1) -> np.ndarray:
    """The epoch at which I(X;T) is greatest, from where on the layer compresses; the last one where several are (B-3).

    Arguments:
        i_xt: (…, epoch, layer), bits.
        epochs: (epoch,), increasing.
        threshold: bits; a layer that loses no more from its peak to the last epoch does not compress.

    Returns:
        (…, layer), epochs; NaN for a layer that does not compress, or where I(X;T) is not known throughout.

    Raises:
        InputError: no numbers, other shapes, epochs that do not increase, a threshold that is not above 0.

    Example:
        >>> compression_start([[1.0, 3.0], [2.0, 3.0], [1.5, 2.95]], [0, 10, 100]).tolist()
        [10.0, nan]
    """
    curves = as_array("i_xt", i_xt, ("epoch", "layer"), gaps=True)
    times = as_epochs(epochs, curves.shape[-2])
    threshold = check_positive("threshold", threshold)
    last_peak = curves.shape[-2] - 1 - curves[..., ::-1, :].argmax(-2)
    lost = curves.max(-2) - curves[..., -1, :]
    return np.where(np.isfinite(curves).all(-2) & (lost > threshold), times[last_peak], np.nan)


def coincidence(first: Any, second: Any, *, draws: int = 10_000, seed: int = 0) -> Coincidence:
    """Over replicas, whether a layer that enters diffusion early compresses early, and how far apart the two are (B-3).

    Spearman's ρ with the interval of Fisher's z, tanh(artanh ρ ± 1.96 √((1 + ρ²/2)/(n − 3))) (Bonett and Wright 2000), where
    |ρ| = 1 is pulled in by half a step of ρ; its p-value by permuting the replicas; the median of log2(second/first) with a
    bootstrap interval of percentiles.

    Arguments:
        first, second: (replica, layer), epochs above 0. A replica where either is NaN, or 0, of which there is no logarithm,
            is left out of that layer.
        draws: permutations, and draws of the bootstrap.
        seed: of both.

    Returns:
        A `Coincidence` of arrays (layer,); the correlation is NaN below four pairs or where all epochs are equal.

    Raises:
        InputError: no numbers, other shapes, negative epochs, an invalid count or seed.

    Example:
        >>> crossing = np.array([[10.0], [20.0], [30.0], [40.0], [50.0]])
        >>> found = coincidence(crossing, 2 * crossing)
        >>> found.correlation.tolist(), found.lag.tolist(), found.pairs.tolist()
        ([1.0], [1.0], [5])
    """
    before, after = (
        as_array(name, value, ("replica", "layer"), gaps=True) for name, value in (("first", first), ("second", second))
    )
    for name, array in (("first", before), ("second", after)):
        if array.ndim != 2 or array.shape != before.shape:
            raise InputError(name, Text(f"shape {array.shape}"), "(replica, layer), both alike")
        if (array < 0).any() or np.isinf(array).any():
            raise InputError(name, Text("negative or infinite values"), "epochs above 0, or NaN for none")
    draws, seed = check_count("draws", draws), check_seed(seed)
    columns = []
    for layer, (x, y) in enumerate(zip(before.T, after.T, strict=True)):
        both = (x > 0) & (y > 0)
        rng = np.random.default_rng([seed, layer])
        columns.append((both.sum(), *_ranked(x[both], y[both], draws, rng), *_lag(x[both], y[both], draws, rng)))
    return Coincidence(*(np.array(part) for part in zip(*columns, strict=True)))


def _ranked(
    x: Float[np.ndarray, " replica"], y: Float[np.ndarray, " replica"], draws: int, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Spearman's ρ, its interval, and its p-value."""
    from scipy.stats import rankdata

    n = len(x)
    ranks = [rankdata(values) - (n + 1) / 2 for values in (x, y)]
    norm = np.sqrt(np.prod([rank @ rank for rank in ranks]))
    if n < FEWEST or norm == 0:
        return np.nan, np.nan, np.nan, np.nan
    rho = float(np.clip(ranks[0] @ ranks[1] / norm, -1, 1))
    inner = np.clip(rho, *(np.array([-1, 1]) * (1 - 6 / (n**3 - n))))
    reach = NORMAL * np.sqrt((1 + inner**2 / 2) / (n - 3))
    permuted = rng.permuted(np.tile(ranks[1], (draws, 1)), axis=1) @ ranks[0] / norm
    p_value = (1 + (np.abs(permuted) >= abs(rho) - 1e-12).sum()) / (1 + draws)
    low, high = np.tanh(np.arctanh(inner) + np.array([-reach, reach]))
    return rho, float(min(low, rho)), float(max(high, rho)), float(p_value)


def _lag(
    x: Float[np.ndarray, " replica"], y: Float[np.ndarray, " replica"], draws: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Median of log2(y/x) and its interval."""
    if len(x) == 0:
        return np.nan, np.nan, np.nan
    logs = np.log2(y / x)
    if len(x) < 2:
        return float(logs[0]), np.nan, np.nan
    medians = np.median(logs[rng.integers(len(logs), size=(draws, len(logs)))], axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(np.median(logs)), float(low), float(high)
