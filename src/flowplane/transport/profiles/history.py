"""A flow as a picture needs it: the moving density on a grid, particles, the velocity field."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from flowplane.core.points import check_count, check_seed
from flowplane.core.results import stamp
from flowplane.core.streams import HISTORY, generator
from flowplane.transport.maps.base import TransportMap
from flowplane.transport.profiles.grids import AXES, grid_axes, grid_points

__all__ = ["flow_history"]

#: Arrows of the velocity field in each dimension.
ARROWS = 21


def flow_history(
    flow: TransportMap, samples: int = 200, *, times: Any = None, points: int = 121, extent: Any = None, seed: Any = 0
) -> xr.Dataset:
    """What `fp.plot.flow_history` draws.

    Arguments:
        flow: in one or two dimensions, with a source density.
        samples: particles.
        times: increasing, within [0, flow.time]; None is 21 even ones, both ends included.
        points: of the grid in each dimension.
        extent: (lower, upper), or a pair for each dimension; None holds the particles before and after.
        seed: of the particles.

    Returns:
        A Dataset: `position` (time, sample, feature); `density` (time, x) or (time, x, y), NaN for bare atoms; `velocity`
        (time, feature, arrow_x[, arrow_y]), the velocity of the particle that is there.

    Raises:
        InputError: more than two dimensions, a flow without source, bad times or grid.

    Example:
        >>> import flowplane as fp
        >>> history = flow_history(fp.denoising_flow(fp.Normal(0.0, 1.0), 0.4, layers=2), samples=5)
        >>> dict(history.sizes)
        {'time': 21, 'sample': 5, 'feature': 1, 'x': 121, 'arrow_x': 21}
    """
    instants = flow.instants(times)
    source = flow.known_source()
    axes = grid_axes(flow, points, extent)
    arrows = [np.linspace(axis[0], axis[-1], ARROWS) for axis in axes]
    seed = check_seed(seed)
    particles = source.draw(check_count("samples", samples), generator(seed, HISTORY))
    position = flow.path(particles, instants).double().cpu().numpy()
    rows, places = grid_points(axes, flow), grid_points(arrows, flow)
    shape, coarse = (tuple(map(len, each)) for each in (axes, arrows))
    density = np.full((len(instants), *shape), np.nan)
    velocity = np.empty((len(instants), flow.dimension, *coarse))
    for k, t in enumerate(instants.tolist()):
        if source.has_density:
            log_prob = source.smoothing.log_prob(0.0, rows) if t == 0 else flow.at(t).pushed_log_prob(rows)
            density[k] = log_prob.exp().double().cpu().numpy().reshape(shape)
        velocity[k] = flow.current(t, places).double().cpu().numpy().T.reshape(-1, *coarse)
    dims = AXES[: flow.dimension]
    arrow_dims = tuple(f"arrow_{dim}" for dim in dims)
    length = {"units": "units of x"}
    coords, attrs = flow.about()
    coords |= {"time": ("time", instants, {"long_name": "time", "units": flow.time_units})}
    coords |= {dim: (dim, axis, length) for dim, axis in zip(dims + arrow_dims, axes + arrows, strict=True)}
    variables = {
        "position": (("time", "sample", "feature"), position, length | {"long_name": "positions of the particles"}),
        "density": (("time", *dims), density, {"units": "1 per unit of volume", "long_name": "p_t"}),
        "velocity": (("time", "feature", *arrow_dims), velocity, {"units": "units of x per unit of time"}),
    }
    dataset = xr.Dataset(variables, coords, attrs | {"dimension": flow.dimension})
    return stamp(dataset, "flow_history", seed=seed)
