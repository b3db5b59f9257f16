"""An error over depth and width, and the exponents that describe it (§A11)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from flowplane.core.streams import BOOTSTRAP, generator

__all__ = ["EXPONENTS", "scaling_errors", "scaling_law"]

EXPONENTS = ("p", "q", "r")
#: Resamples of the draws, for intervals.
RESAMPLES = 400
#: Places that five numbers can be fitted to.
FEWEST = 6


def scaling_errors(
    errors: np.ndarray,
    apart: np.ndarray,
    times: Sequence[float],
    kinds: Sequence[str],
    depths: Sequence[int],
    widths: Sequence[int],
    displacement: float,
    field_error: float,
) -> xr.Dataset:
    """Measured errors as a Dataset over (units, draw, layers, width): `error` to the flow, `sampling_error` to layers of
    infinite width, `time_error` of those."""
    dims = ("units", "draw", "layers", "width")
    length = {"units": "units of x"}
    return xr.Dataset(
        {
            "error": (dims, errors, {"long_name": "RMS distance to the flow", **length}),
            "sampling_error": (dims, apart, {"long_name": "RMS distance to layers of infinite width", **length}),
            "time_error": ("layers", list(times), {"long_name": "RMS distance of Euler's polygon to the flow", **length}),
            "displacement": ((), displacement, {"long_name": "RMS displacement of the flow", **length}),
            "field_error": ((), field_error, {"long_name": "relative RMS error of the quadrature", "units": "1"}),
        },
        {"units": list(kinds), "layers": list(depths), "width": list(widths)},
    )


def scaling_law(measured: xr.Dataset, seed: int) -> xr.Dataset:
    """p, q, r of error² = (α L^−p)² + (β N^−q L^−r)² by least squares on log error, 95 % intervals by resampled draws.

    Places where the error is as large as the flow's displacement are left out: there networks are not yet an approximation.
    NaN where fewer than six are left.

    Example:
        >>> L, N = np.array([2, 4, 8, 16, 32]), np.array([100, 1000, 10000])
        >>> error = np.sqrt((0.5 / L[:, None]) ** 2 + (3.0 / np.sqrt(N)) ** 2)[None, None]
        >>> whole = scaling_errors(error, error, 0.5 / L, ["shared"], L, N, 9.0, 0.0)
        >>> scaling_law(whole.sel(units="shared"), 0).exponent.values.round(3) + 0.0
        array([1. , 0.5, 0. ])
    """
    squares = np.square(measured["error"].transpose("draw", "layers", "width").values)
    depth, width = np.meshgrid(np.log(measured["layers"].values), np.log(measured["width"].values), indexing="ij")
    kept = np.sqrt(squares.mean(0)) < float(measured["displacement"])
    if kept.sum() < FEWEST:
        unknown = np.full(len(EXPONENTS), np.nan)
        return _as_dataset(unknown, unknown, unknown, int(kept.sum()), float("nan"))
    # the steps in time are known without a draw: they fix α and p beside the surface
    steps = np.log(measured["layers"].values), np.log(measured["time_error"].values)
    start = _fit(squares.mean(0), depth, width, kept, steps, None)
    rng = generator(seed, BOOTSTRAP)
    count = len(squares)
    again = [
        _fit(squares[rng.integers(count, size=count)].mean(0), depth, width, kept, steps, start)[2:]
        for _ in range(RESAMPLES if count > 1 else 1)
    ]
    lower, upper = np.percentile(again, [2.5, 97.5], axis=0)
    misfit = float(np.sqrt(np.mean(np.square(_residuals(start, squares.mean(0), depth, width, kept)))))
    return _as_dataset(start[2:], lower, upper, int(kept.sum()), misfit)


def _as_dataset(values: np.ndarray, lower: np.ndarray, upper: np.ndarray, places: int, misfit: float) -> xr.Dataset:
    about = {"units": "1"}
    return xr.Dataset(
        {
            "exponent": ("name", values, about),
            "lower": ("name", lower, about),
            "upper": ("name", upper, about),
            "places": ((), places, {"units": "1", "long_name": "places of the surface that were fitted"}),
        },
        {"name": list(EXPONENTS)},
        {"misfit": misfit},
    )


def _fit(
    squares: np.ndarray,
    depth: np.ndarray,
    width: np.ndarray,
    kept: np.ndarray,
    steps: tuple[np.ndarray, np.ndarray],
    start: np.ndarray | None,
) -> np.ndarray:
    """log α, log β, p, q, r."""
    from scipy.optimize import least_squares

    if start is None:
        slope, level = np.polyfit(*steps, 1)
        last = np.log(squares[kept]).mean() / 2 + 0.5 * width[kept].mean()
        start = np.array([level, last, -slope, 0.5, 0.2])

    def residuals(values: np.ndarray) -> np.ndarray:
        return np.concatenate([_residuals(values, squares, depth, width, kept), values[0] - values[2] * steps[0] - steps[1]])

    return np.asarray(least_squares(residuals, start).x)


def _residuals(
    values: np.ndarray, squares: np.ndarray, depth: np.ndarray, width: np.ndarray, kept: np.ndarray
) -> np.ndarray:
    """log error of the surface minus that which was measured."""
    alpha, beta, p, q, r = values
    expected = np.logaddexp(2 * (alpha - p * depth), 2 * (beta - q * width - r * depth)) / 2
    return np.asarray((expected - np.log(squares) / 2)[kept])
