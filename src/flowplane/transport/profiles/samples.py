"""Samples on their way through a flow of any dimension."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from flowplane.core.points import check_count, check_seed
from flowplane.core.results import stamp
from flowplane.core.streams import HISTORY, generator
from flowplane.transport.maps.base import TransportMap

__all__ = ["flow_samples"]


def flow_samples(flow: TransportMap, samples: int = 200, *, times: Any = None, seed: Any = 0) -> xr.Dataset:
    """What `fp.plot.flow_samples` draws: a few points of the source, and where the flow has taken them.

    Arguments:
        flow: with a source density, in any number of dimensions.
        samples: how many points.
        times: increasing, within [0, flow.time]; None is 21 even ones, both ends included.
        seed: of the points, which are those of `flow_history`.

    Returns:
        A Dataset: `position` (time, sample, feature), and `principal` (time, sample, component), the same about the mean of
        the ends along the two directions in which these ends spread most; up to two dimensions the positions themselves.
        The attribute `explained` is the share of the ends' variance that lies in the plane, and `shape` that of one point.

    Raises:
        InputError: a flow without source, samples below 2, bad times.

    Example:
        >>> import flowplane as fp
        >>> found = flow_samples(fp.denoising_flow(fp.Normal(3 * [0.0], 1.0), 0.4, layers=2), 5, times=[0.0, 0.4])
        >>> dict(found.sizes), found.attrs["shape"]
        ({'time': 2, 'sample': 5, 'feature': 3, 'component': 2}, [3])
    """
    count, seed = check_count("samples", samples, 2), check_seed(seed)
    instants = flow.instants(times)
    points = flow.known_source().draw(count, generator(seed, HISTORY)).to(flow.device, flow.dtype)
    position = flow.path(points, instants).double().cpu().numpy()
    principal, explained = _principal(position)
    coords, attrs = flow.about()
    coords |= {"time": ("time", instants, {"long_name": "time", "units": flow.time_units})}
    length = {"units": "units of x"}
    variables = {
        "position": (("time", "sample", "feature"), position, length | {"long_name": "positions of the samples"}),
        "principal": (("time", "sample", "component"), principal, length | {"long_name": "positions in the ends' plane"}),
    }
    attrs |= {"shape": list(getattr(flow, "shape", (flow.dimension,))), "explained": explained}
    return stamp(xr.Dataset(variables, coords, attrs), "flow_samples", seed=seed)


def _principal(position: np.ndarray) -> tuple[np.ndarray, float]:
    """Coordinates in the plane in which the ends spread most, and the share of their variance that it holds."""
    if position.shape[2] <= 2:
        return position, 1.0
    mean = position[-1].mean(0)
    _, lengths, axes = np.linalg.svd(position[-1] - mean, full_matrices=False)
    total = float(np.square(lengths).sum())
    return (position - mean) @ axes[:2].T, float(np.square(lengths[:2]).sum()) / total if total > 0 else 1.0
