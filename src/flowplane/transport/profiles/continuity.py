"""Does a flow solve its equation? Residuals of the continuity and the backward heat equation on a grid (§A1, §A5)."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from flowplane.core.points import as_times
from flowplane.core.results import stamp
from flowplane.errors import InputError
from flowplane.transport.maps.base import TransportMap
from flowplane.transport.profiles.grids import AXES, grid_axes, grid_points

__all__ = ["continuity_residual"]


def continuity_residual(
    flow: TransportMap, t: float, *, points: int = 101, extent: Any = None, step: float | None = None
) -> xr.Dataset:
    """∂_t p + ∇·(pv) and ∂_t p + Δp at time t on a regular grid in one or two dimensions, by central differences.

    Where the flow has a covariance D of its noise, ∇·(D∇p) stands for Δp.

    The scheme is of second order: with the default time step, which is proportional to the spacing, the residual of an
    equation that the flow solves falls by four when the spacing is halved. p is `flow.at(t).log_prob`, so for a map or an
    ODE the push-forward itself; v the velocity of the particle that is there.

    Arguments:
        flow: with a source density.
        t: inside (0, flow.time), far enough from both ends for the time step.
        points: of the grid in each dimension.
        extent: (lower, upper), or a pair for each dimension; None holds the particles.
        step: of time; None is flow.time/(2·points).

    Returns:
        A Dataset over the inner points of the grid: `density`, `time_derivative`, `continuity` and `backward_heat` (the two
        residuals). The attributes `continuity_norm` and `backward_heat_norm` are ∫|residual| divided by
        ∫|∂_t p|; `spacing` and `step` are what they say.

    Raises:
        InputError: more than two dimensions, t at an end, a bad grid.

    Example:
        >>> import math
        >>> import flowplane as fp
        >>> flow = fp.denoising_flow(fp.Normal(0.0, 1.0), 0.4, layers=math.inf)
        >>> norms = [continuity_residual(flow, 0.2, points=points).attrs["continuity_norm"] for points in (51, 101)]
        >>> bool(3.5 < norms[0] / norms[1] < 4.5)
        True
    """
    axes = grid_axes(flow, points, extent)
    delta = flow.time / (2 * points) if step is None else float(step)
    instants = np.array([t - delta, t, t + delta], dtype=float)
    if not delta > 0 or instants[0] <= 0 or instants[-1] > flow.time:
        raise InputError("t", t, f"a time with room for a step of {delta:.3g} on both sides inside (0, {flow.time:g})")
    as_times(instants, flow.time)
    rows = grid_points(axes, flow)
    shape = tuple(len(axis) for axis in axes)
    before, now, after = (
        flow.at(float(instant)).pushed_log_prob(rows).exp().double().cpu().numpy().reshape(shape) for instant in instants
    )
    velocity = flow.current(float(t), rows).double().cpu().numpy().reshape(*shape, -1)
    rate = _inner((after - before) / (2 * delta))
    spacings = [float(axis[1] - axis[0]) for axis in axes]
    flux = sum(_slope(now * velocity[..., k], k, h) for k, h in enumerate(spacings))
    laplacian = _diffused(now, spacings, np.eye(len(axes)) if flow.metric is None else flow.metric.cpu().numpy())
    dims = AXES[: len(axes)]
    total = float(np.abs(rate).sum())
    fields = {"density": _inner(now), "time_derivative": rate, "continuity": rate + flux, "backward_heat": rate + laplacian}
    coords, attrs = flow.about()
    attrs |= {f"{name}_norm": float(np.nansum(np.abs(fields[name]))) / total for name in ("continuity", "backward_heat")}
    attrs |= {"spacing": max(spacings), "step": delta, "time": float(t)}
    coords |= {dim: (dim, axis[1:-1], {"units": "units of x"}) for dim, axis in zip(dims, axes, strict=True)}
    rates = {"units": "1 per unit of volume and time"}
    units = dict.fromkeys(fields, rates) | {"density": {"units": "1 per unit of volume"}}
    dataset = xr.Dataset({name: (dims, values, units[name]) for name, values in fields.items()}, coords, attrs)
    return stamp(dataset, "continuity_residual")


def _inner(values: np.ndarray) -> np.ndarray:
    return values[(slice(1, -1),) * values.ndim]


def _slope(values: np.ndarray, axis: int, spacing: float) -> np.ndarray:
    """Central first difference at the inner points."""
    return _inner((np.roll(values, -1, axis) - np.roll(values, 1, axis)) / (2 * spacing))


def _diffused(values: np.ndarray, spacings: list[float], metric: np.ndarray) -> np.ndarray:
    """∇·(D∇p) at the inner points, by central second differences."""
    total = sum(metric[k, k] * _curvature(values, k, h) for k, h in enumerate(spacings))
    if len(spacings) == 2 and metric[0, 1] != 0:
        across = (np.roll(values, -1, 1) - np.roll(values, 1, 1)) / (2 * spacings[1])
        total = total + 2 * metric[0, 1] * _slope(across, 0, spacings[0])
    return total


def _curvature(values: np.ndarray, axis: int, spacing: float) -> np.ndarray:
    """Central second difference at the inner points."""
    return _inner((np.roll(values, -1, axis) - 2 * values + np.roll(values, 1, axis)) / spacing**2)
