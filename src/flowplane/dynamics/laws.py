"""Which law ties relaxation times to compression: exponential, linear, power or none (§B7, B-6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from flowplane.core.arrays import as_numbers
from flowplane.core.points import check_count, check_seed
from flowplane.errors import InputError, Text

__all__ = ["LAWS", "fit_laws", "law_values", "slope_interval"]

#: ΔS in bits, Δτ in epochs.
LAWS = {
    "exponential": "log2 Δτ = a + b ΔS",
    "linear": "Δτ = a + b ΔS",
    "power": "log2 Δτ = a + b log2 ΔS",
    "constant": "log2 Δτ = a",
}
#: Three numbers are fitted, the residuals' variance among them: with fewer points AICc is not defined.
FEWEST = 5
#: Residuals in log2: rounding leaves no less of a perfect fit.
ROUNDING = 1e-9


def fit_laws(compression: Any, delay: Any) -> xr.Dataset:
    """Least-squares fits of log2 Δτ by four laws in ΔS, weighed against each other by AICc (§B7, B-6).

    All are laws of the median of Δτ, with log-normal errors of one variance: AICc = n ln(RSS/n) + 2k + 2k(k+1)/(n−k−1),
    k counting the variance, compares them. It assumes independent points; `slope_interval` does not. Where Δτ does not
    depend on ΔS at all, one of the three laws that say it does is ahead about once in four.

    See also: Burnham and Anderson (2002), Model Selection and Multimodel Inference, on AICc and Akaike weights.

    Arguments:
        compression: ΔS in bits, any shape. Only ΔS > 0 has a place under every law; other points and NaN are left out.
        delay: Δτ in epochs, of the same shape; above 0 or NaN.

    Returns:
        Dataset (law): `aic` = AICc, `difference` to the least, Akaike `weight`, `sigma` of log2 Δτ, `parameters`
        (law, parameter) = a and b of `formula`; all NaN where fewer than 5 points, or one ΔS only, are left. Attribute
        `points` counts them.

    Raises:
        InputError: shapes differ, or Δτ ≤ 0.

    Example:
        >>> found = fit_laws([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [21.0, 38.0, 85.0, 160.0, 310.0, 650.0])
        >>> str(found.aic.idxmin().values), found.parameters.sel(law="exponential").values.round(2).tolist()
        ('exponential', [3.36, 0.99])
    """
    given, times = _pairs(compression, delay)
    there = _usable(given, times)
    x, y = given[there], np.log2(times[there])
    count = len(LAWS)
    aic, sigma, parameters = np.full(count, np.nan), np.full(count, np.nan), np.full((count, 2), np.nan)
    if len(x) >= FEWEST and np.ptp(x) > 0:
        for k, law in enumerate(LAWS):
            parameters[k] = _FITS[law](x, y)
            away = y - np.log2(law_values(law, parameters[k], x))
            variance = max(float(away @ away) / len(x), ROUNDING**2)
            free = 2 if law == "constant" else 3
            aic[k] = len(x) * np.log(variance) + 2 * free + 2 * free * (free + 1) / (len(x) - free - 1)
            sigma[k] = np.sqrt(variance * len(x) / (len(x) - free + 1))
    ahead = aic - aic.min()
    weight = np.exp(-ahead / 2)
    return xr.Dataset(
        {
            "aic": ("law", aic, {"units": "1", "long_name": "AICc"}),
            "difference": ("law", ahead, {"units": "1", "long_name": "AICc less the least"}),
            "weight": ("law", weight / weight.sum(), {"units": "1", "long_name": "Akaike weight"}),
            "sigma": ("law", sigma, {"units": "log2 epochs", "long_name": "standard deviation of log2 Δτ"}),
            "parameters": (("law", "parameter"), parameters, {"units": "by formula: Δτ in epochs, ΔS in bits"}),
        },
        {"law": list(LAWS), "parameter": ["a", "b"], "formula": ("law", list(LAWS.values()))},
        {"points": int(there.sum())},
    )


def law_values(law: str, parameters: Any, compression: Any) -> np.ndarray:
    """Δτ in epochs by one of `LAWS` with given a and b, at ΔS in bits.

    Example:
        >>> law_values("exponential", [3.0, 1.0], [0.0, 2.0]).tolist()
        [8.0, 32.0]
    """
    (a, b), x = parameters, np.asarray(compression, np.float64)
    if law == "linear":
        return np.asarray(a + b * x)
    if law == "constant":
        return np.full(x.shape, 2.0**a)
    return np.exp2(a + b * (x if law == "exponential" else np.log2(x)))


def slope_interval(compression: Any, delay: Any, *, draws: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """b of the exponential law log2 Δτ = a + bΔS with its 95 % interval over replicas; §B7 says b = 1.

    The layers of one network are not independent: whole replicas are drawn with replacement, and the slope of each draw is
    studentised by its standard error over replicas (bootstrap-t).

    See also: Cameron, Gelbach and Miller (2008), Bootstrap-based improvements for inference with clustered errors.

    Arguments:
        compression, delay: ΔS in bits and Δτ in epochs, (replica, layer), as for `fit_laws`.
        draws: of the bootstrap.

    Returns:
        b, lower and upper end, in log2 epochs per bit; NaN where one ΔS only is left, ends also with fewer than 3 replicas.

    Raises:
        InputError: not of shape (replica, layer), or what `fit_laws` refuses.

    Example:
        >>> steps = np.linspace(1, 5, 5) + np.zeros((8, 1))
        >>> noise = np.random.default_rng(0).normal(scale=0.1, size=steps.shape)
        >>> slope, lower, upper = slope_interval(steps, 8 * 2 ** (steps + noise))
        >>> lower < 1 < upper, round(slope, 2)
        (True, 1.01)
    """
    given, times = _pairs(compression, delay)
    if given.ndim != 2:
        raise InputError("compression", Text(f"shape {given.shape}"), "ΔS over (replica, layer)")
    draws, rng = check_count("draws", draws), np.random.default_rng(check_seed(seed))
    there = _usable(given, times)
    there = there[kept] if (kept := there.any(axis=1)).any() else there[:0]
    given, times = given[kept], times[kept]
    if not there.any() or np.ptp(given[there]) == 0:
        return np.nan, np.nan, np.nan
    x = np.where(there, given - given[there].mean(), 0.0)
    y = np.where(there, np.log2(np.where(there, times, 1.0)), 0.0)
    y = np.where(there, y - y[there].mean(), 0.0)
    sums = np.stack([there.sum(1), x.sum(1), y.sum(1), (x * x).sum(1), (x * y).sum(1)])
    replicas = len(x)
    slope, error = _clustered(sums, np.ones((1, replicas)))
    if replicas < 3:
        return float(slope[0]), np.nan, np.nan
    drawn, errors = _clustered(sums, rng.multinomial(replicas, np.full(replicas, 1 / replicas), size=draws).astype(float))
    # where the fit is perfect to rounding the studentised slope is 0/0
    good = errors > 1e-12 * max(1.0, abs(float(slope[0])))
    low, high = np.quantile((drawn - slope)[good] / errors[good], [0.025, 0.975]) if good.any() else (0.0, 0.0)
    return float(slope[0]), float(slope[0] - high * error[0]), float(slope[0] - low * error[0])


def _clustered(
    sums: Float[np.ndarray, "moment replica"], drawn: Float[np.ndarray, "draw replica"]
) -> tuple[Float[np.ndarray, " draw"], Float[np.ndarray, " draw"]]:
    """Slopes of y on x, and their standard errors over clusters, each replica taken as often as it was drawn."""
    n, sx, sy, sxx, sxy = (drawn @ sums.T).T
    mx, my = sx / n, sy / n
    spread = sxx - n * mx**2
    enough = spread > 1e-12 * sxx
    spread = np.where(enough, spread, np.inf)
    slope = (sxy - n * mx * my) / spread
    count, x, y, xx, xy = sums
    mx, my = mx[:, None], my[:, None]
    scores = xy - mx * y - my * x + count * mx * my - slope[:, None] * (xx - 2 * mx * x + count * mx**2)
    return slope, np.sqrt((drawn * scores**2).sum(axis=1)) / spread


def _pairs(compression: Any, delay: Any) -> tuple[np.ndarray, np.ndarray]:
    given, times = (as_numbers(name, v).astype(np.float64) for name, v in (("compression", compression), ("delay", delay)))
    if given.shape != times.shape:
        raise InputError("delay", Text(f"shape {times.shape}"), f"the shape of compression, {given.shape}")
    if (times <= 0).any():
        wrong = int((times <= 0).sum())
        raise InputError("delay", Text(f"{wrong} value{'s' * (wrong > 1)} of 0 or less"), "epochs above 0, or NaN")
    return given, times


def _usable(compression: np.ndarray, delay: np.ndarray) -> np.ndarray:
    return np.isfinite(compression) & np.isfinite(delay) & (compression > 0)


def _straight(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    slope = float((x - x.mean()) @ (y - y.mean()) / np.square(x - x.mean()).sum())
    return float(y.mean() - slope * x.mean()), slope


def _linear(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """a and b of Δτ = a + bΔS. The unknowns are the logarithms of Δτ at the least and greatest ΔS: where both exist the law
    is positive between."""
    from scipy.optimize import least_squares

    low, high = x.min(), x.max()
    place = (x - low) / (high - low)

    def away(ends: np.ndarray) -> np.ndarray:
        return (
            np.logaddexp2(
                ends[0] + np.log2(1 - place, where=place < 1, out=np.full_like(place, -np.inf)),
                ends[1] + np.log2(place, where=place > 0, out=np.full_like(place, -np.inf)),
            )
            - y
        )

    def slopes(ends: np.ndarray) -> np.ndarray:
        right = np.exp2(ends[1] - ends[0]) * place
        right = right / (1 - place + right)
        return np.stack([1 - right, right], axis=1)

    a, b = _straight(x, y)
    starts = [np.array([a + b * low, a + b * high]), np.full(2, y.mean())]
    fits = [least_squares(away, start, jac=slopes, x_scale="jac") for start in starts]
    left, right = np.exp2(min(fits, key=lambda fit: fit.cost).x)
    slope = (right - left) / (high - low)
    return float(left - slope * low), float(slope)


_FITS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[float, float]]] = {
    "exponential": _straight,
    "linear": _linear,
    "power": lambda x, y: _straight(np.log2(x), y),
    "constant": lambda x, y: (float(y.mean()), np.nan),
}
