"""Space and time of flows in one dimension: the density as colour, particles as lines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.plot.style import DENSITY_SCALE, log_density, log_density_axis, styled, time_title

__all__ = ["in_space_and_time"]

#: Particles drawn as lines, evenly over where they start.
LINES = 25


def in_space_and_time(panels: Mapping[str, xr.Dataset], title: str) -> go.Figure:
    """The moving density of flows, one panel per flow, with the paths of particles; all on one colour scale."""
    figure = make_subplots(
        rows=1,
        cols=len(panels),
        subplot_titles=[name for name in panels if name],
        shared_yaxes=True,
        horizontal_spacing=0.04 if len(panels) < 4 else 0.025,
    )
    logs = {name: log_density(history["density"].transpose("x", "time").values) for name, history in panels.items()}
    for column, (name, history) in enumerate(panels.items(), start=1):
        times = history["time"].values
        heat = go.Heatmap(
            x=times,
            y=history["x"].values,
            z=logs[name].astype(np.float32),
            coloraxis="coloraxis",
            zsmooth="best",
            hovertemplate="t = %{x:.3g}<br>x = %{y:.3f}<br>log₁₀ p = %{z:.2f}<extra></extra>",
        )
        figure.add_trace(heat, row=1, col=column)
        paths = history["position"].isel(feature=0).transpose("time", "sample").values
        order = np.argsort(paths[0])
        chosen = order[np.unique(np.linspace(0, len(order) - 1, min(LINES, len(order))).round().astype(int))]
        broken = np.full((len(chosen), 1), np.nan)
        lines = go.Scatter(
            x=np.hstack([np.tile(times, (len(chosen), 1)), broken]).ravel(),
            y=np.hstack([paths[:, chosen].T, broken]).ravel(),
            mode="lines",
            line={"color": "rgba(255,255,255,0.75)", "width": 1},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_trace(lines, row=1, col=column)
        figure.update_xaxes(title=time_title([history]), range=[times[0], times[-1]], row=1, col=column)
    first = next(iter(panels.values()))
    figure.update_yaxes(range=[float(first["x"][0]), float(first["x"][-1])], showgrid=False)
    figure.update_yaxes(title="x", col=1)
    figure.update_xaxes(showgrid=False)
    figure.update_layout(coloraxis=log_density_axis(list(logs.values()), DENSITY_SCALE))
    return styled(
        figure,
        title,
        "colour: density at each time; lines: paths of particles",
        width=190 + 330 * len(panels) if len(panels) > 1 else 640,
        height=470,
        margin={"l": 70, "r": 30, "t": 115 if len(panels) > 1 else 95, "b": 70},
    )
