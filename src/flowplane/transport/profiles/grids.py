"""Regular grids in one and two dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.core.points import check_count
from flowplane.core.streams import EXTENT, generator
from flowplane.errors import InputError, Text
from flowplane.transport.maps.base import TransportMap

__all__ = ["AXES", "grid_axes", "grid_points"]

#: Names of the grid's dimensions, the first coordinate of a point first.
AXES = ("x", "y")
#: Where no extent is given the grid reaches this far beyond the particles, as a part of their range.
MARGIN = 0.12


def grid_axes(flow: TransportMap, points: int, extent: Any) -> list[np.ndarray]:
    """One array of `points` coordinates for each dimension.

    Arguments:
        extent: (lower, upper) for every dimension, or one pair each; None holds 2000 particles before and after the flow.

    Raises:
        InputError: more than two dimensions, an invalid extent, fewer than three points.
    """
    if flow.dimension > len(AXES):
        raise InputError("flow", Text(f"{flow.dimension} dimensions"), "one or two, for which there are grids")
    count = check_count("points", points, 3)
    if extent is None:
        particles = flow.known_source().draw(2000, generator(0, EXTENT))
        both = torch.stack([particles, flow.forward(particles)]).flatten(0, 1).double().cpu().numpy()
        lower, upper = both.min(0), both.max(0)
        reach = MARGIN * (upper - lower)
        pairs = np.stack([lower - reach, upper + reach], 1)
    else:
        given = as_tensor("extent", extent).to("cpu", torch.float64)
        require_finite("extent", given)
        pairs = np.atleast_2d(given.numpy())
        pairs = np.repeat(pairs, flow.dimension, axis=0) if len(pairs) == 1 else pairs
        if pairs.shape != (flow.dimension, 2) or (pairs[:, 0] >= pairs[:, 1]).any():
            raise InputError("extent", extent, f"(lower, upper), or {flow.dimension} such pairs")
    return [np.linspace(low, high, count) for low, high in pairs]


def grid_points(axes: list[np.ndarray], flow: TransportMap) -> Tensor:
    """The grid's points as rows, the first coordinate varying slowest."""
    rows = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))
    return torch.from_numpy(rows).to(flow.device, flow.dtype)
