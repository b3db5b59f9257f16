"""Several information planes side by side on the same axes: a result and its controls, or a sweep."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.core.renamed import renamed
from flowplane.errors import InputError, Text
from flowplane.plot.panels import Grid
from flowplane.plot.plane import channel_text, every_replica, in_order, layer_names, means, paths
from flowplane.plot.style import axis_title, color_axis, styled, time_scale

__all__ = ["information_planes"]

#: Pixels across a panel.
PANEL = 340


@renamed
def information_planes(dataset: Mapping[str, xr.Dataset], title: str = "Information planes") -> go.Figure:
    """One panel per plane, on common axes and a common colour scale of epochs: a result beside its controls.

    Arguments:
        dataset: panel titles and Datasets from `fp.information_plane`; one with a single epoch shows that epoch.

    Raises:
        InputError: no plane, another kind of Dataset, other units.
    """
    if isinstance(dataset, xr.Dataset) or not isinstance(dataset, Mapping) or not dataset:
        raise InputError("dataset", Text(type(dataset).__name__), "panel titles and planes, at least one: {title: plane}")
    sorted_planes = [in_order(plane) for plane in dataset.values()]
    grid = Grid.of(len(dataset))
    rows = grid.rows
    figure = make_subplots(
        rows=rows, cols=grid.columns, subplot_titles=list(dataset), horizontal_spacing=0.05, vertical_spacing=0.22 / rows
    )
    last = max((plane["epoch"].values for plane in sorted_planes), key=lambda epochs: int(epochs[-1]))
    right = top = 0.0
    for panel, ordered in enumerate(sorted_planes):
        place = grid.place(panel)
        x, y = ordered["i_xt"].values, ordered["i_ty"].values
        times = time_scale(ordered["epoch"].values)
        mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
        faint = every_replica(ordered, times)
        for trace in (faint, *paths(ordered, mean_x, mean_y, times), means(ordered, mean_x, mean_y, times)):
            figure.add_trace(trace.update(showlegend=False), **place)
        for note in layer_names(ordered, mean_x, mean_y, PANEL):
            figure.add_annotation(**note, **place)
        right, top = max(right, float(np.nanmax(x))), max(top, float(np.nanmax(y)))
        figure.update_yaxes(title=axis_title(ordered["i_ty"]) if place["col"] == 1 else None, **place)
    figure.update_xaxes(title=axis_title(sorted_planes[0]["i_xt"]), range=[-0.04 * right, 1.06 * right])
    figure.update_yaxes(range=[-0.03 * top, 1.12 * top])
    figure.update_layout(coloraxis=color_axis(last, time_scale(last)))
    channels = list(dict.fromkeys(map(channel_text, sorted_planes)))
    described = channels[0] if len(channels) == 1 else "each through its own channel, so bits cannot be compared"
    subtitle = "faint: one replica at one epoch; strong: mean of the replicas; lines: mean path through the layers"
    return styled(
        figure,
        title,
        f"{described} · {subtitle}" if described else subtitle,
        width=150 + (PANEL + 80) * grid.columns,
        height=130 + 400 * rows,
        margin={"l": 75, "r": 30, "t": 120, "b": 70},
    )
