"""Flows as pictures: density and particles over time on a line, with the velocity and a time slider in the plane."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
import xarray as xr

from flowplane.errors import InputError, Text
from flowplane.plot.flow_line import in_space_and_time
from flowplane.plot.flow_plane import in_the_plane
from flowplane.plot.registry import draws
from flowplane.plot.style import panels_of

__all__ = ["flow_history"]


@draws("flow_history")
def flow_history(
    dataset: xr.Dataset | Mapping[str, xr.Dataset], title: str = "A density that flows", *, start: str = "last"
) -> go.Figure:
    """The moving density of flows with their particles, one panel per flow.

    In one dimension time runs to the right. In the plane a slider moves through time, and arrows show the velocity.

    Arguments:
        dataset: from `fp.transport.flow_history`, one or {panel title: history}; in the plane all at the same times.
        start: in the plane, the moment that is shown before the slider is touched: "first" or "last".

    Raises:
        InputError: another kind of Dataset, flows in different dimensions, different times.

    Example:
        >>> import flowplane as fp
        >>> flow = fp.denoising_flow(fp.Normal([0.0, 0.0], 1.0), 0.4, layers=1)
        >>> history = fp.transport.flow_history(flow, samples=9, times=[0.0, 0.2, 0.4], points=31)
        >>> len(fp.plot.flow_history(history).frames)
        3
    """
    panels = panels_of(dataset, ("density", "position", "velocity"), "fp.transport.flow_history")
    dimensions = sorted({history.sizes["feature"] for history in panels.values()})
    if len(dimensions) > 1:
        found = " and ".join(map(str, dimensions))
        raise InputError("dataset", Text(f"{found} dimensions"), "flows all on a line, or all in the plane")
    if start not in ("first", "last"):
        raise InputError("start", start, "'first' or 'last'")
    return in_space_and_time(panels, title) if dimensions == [1] else in_the_plane(panels, title, start)
