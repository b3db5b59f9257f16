"""How slowly the solution of the information bottleneck is found near its critical points."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.plot.critical import CRITICAL, require_critical, stability_lost
from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, require_variables, styled

__all__ = ["critical_slowing_down"]


@draws("critical_slowing_down")
def critical_slowing_down(
    dataset: xr.Dataset, critical: xr.Dataset | None = None, *, title: str = "Critical slowing down"
) -> go.Figure:
    """Steps of the plain Blahut–Arimoto iteration until it converges, against β: a peak near each critical point.

    Arguments:
        dataset: from `fp.bottleneck.slowing_down`.
        critical: from `fp.critical_betas`; None to leave them out.

    Raises:
        InputError: another kind of Dataset.

    Example:
        >>> import flowplane as fp
        >>> found = fp.bottleneck.slowing_down([[0.4, 0.1], [0.1, 0.4]], [1.5, 2.7, 6.0])
        >>> critical_slowing_down(found).layout.xaxis.title.text
        'β'
    """
    require_variables(dataset, ("steps", "capped"), "fp.bottleneck.slowing_down")
    require_critical(critical)
    ordered = dataset.sortby("beta")
    betas, capped = ordered["beta"].values, ordered["capped"].values
    color = LAYER_COLORS[0]
    figure = go.Figure(
        go.Scatter(
            x=betas,
            y=ordered["steps"].values,
            mode="lines+markers",
            line={"color": color, "width": 1.5},
            marker={"size": 5, "color": np.where(capped, "white", color), "line": {"color": color, "width": 1.2}},
            hovertemplate="β = %{x:.5g}<br>%{y} steps<extra></extra>",
        )
    )
    for beta in stability_lost(critical):
        if betas[0] <= beta <= betas[-1]:
            figure.add_vline(x=beta, line={"color": CRITICAL, "width": 1.2, "dash": "dash"})
    figure.update_xaxes(title="β", type="log")
    figure.update_yaxes(title="Blahut–Arimoto steps", type="log")
    return styled(
        figure,
        title,
        "dashed: a cluster loses stability · hollow: not converged within the steps allowed",
        width=900,
        height=480,
        margin={"l": 80, "r": 30, "t": 95, "b": 70},
        showlegend=False,
    )
