"""Where the solution of the information bottleneck changes: its clusters against β."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.errors import InputError, Text
from flowplane.plot.critical import CRITICAL, MARKS
from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, LEGEND_BELOW, require_variables, styled

__all__ = ["critical_betas"]


@draws("critical_betas")
def critical_betas(dataset: xr.Dataset, title: str = "Critical points of the information bottleneck") -> go.Figure:
    """The number of clusters before and after each critical β, one symbol per kind of change.

    Arguments:
        dataset: from `fp.critical_betas`.

    Raises:
        InputError: another kind of Dataset, or no critical point.

    Example:
        >>> import flowplane as fp
        >>> critical_betas(fp.critical_betas([[0.4, 0.1], [0.1, 0.4]])).layout.yaxis.title.text
        'clusters'
    """
    require_variables(dataset, ("kind", "beta", "clusters_before", "clusters_after", "i_xt", "i_ty"), "fp.critical_betas")
    if dataset.sizes["critical"] == 0:
        raise InputError("dataset", Text("no critical point"), "at least one to draw")
    ordered = dataset.sortby("beta")
    betas, before, after = (ordered[name].values for name in ("beta", "clusters_before", "clusters_after"))
    low, high = (float(end) for end in dataset.attrs.get("betas", [betas[0] / 2, 2 * betas[-1]]))
    steps = _of_the_optimum(before, after)
    figure = go.Figure(
        go.Scatter(
            x=np.concatenate([[min(low, betas[0])], np.repeat(betas[steps], 2), [max(high, betas[-1])]]),
            y=np.concatenate([before[:1], np.stack([before, after], 1)[steps].ravel(), after[steps][-1:]]),
            mode="lines",
            line={"color": LAYER_COLORS[0], "width": 2},
            name="clusters of the solution",
            hoverinfo="skip",
        )
    )
    for kind, (symbol, name) in MARKS.items():
        part = ordered.isel(critical=np.flatnonzero(ordered["kind"].values == kind))
        if part.sizes["critical"]:
            figure.add_trace(
                go.Scatter(
                    x=part["beta"].values,
                    y=(part["clusters_before"].values + part["clusters_after"].values) / 2,
                    mode="markers",
                    name=name,
                    customdata=np.stack([part["i_xt"].values, part["i_ty"].values], 1),
                    marker={"symbol": symbol, "size": 11, "color": CRITICAL, "line": {"color": CRITICAL, "width": 2}},
                    hovertemplate=name + " at β = %{x:.5g}<br>I(X;T) = %{customdata[0]:.4f}, "
                    "I(T;Y) = %{customdata[1]:.4f} bits<extra></extra>",
                )
            )
    figure.update_xaxes(title="β", type="log")
    figure.update_yaxes(title="clusters", dtick=1, rangemode="tozero")
    return styled(
        figure,
        title,
        f"{len(betas)} between β = {low:.3g} and {high:.3g}, the first at {betas[0]:.5g}",
        width=850,
        height=500,
        margin={"l": 75, "r": 30, "t": 95, "b": 110},
        legend=LEGEND_BELOW | {"y": -0.2},
        showlegend=True,
    )


def _of_the_optimum(before: np.ndarray, after: np.ndarray) -> list[int]:
    """The points at which the optimum changes; the others lie on a solution that another one had already surpassed.

    Example:
        >>> _of_the_optimum(np.array([1, 2, 2, 3]), np.array([2, 3, 3, 4]))
        [0, 1, 3]
    """
    kept, level = [], before[0]
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        if old >= level:
            kept.append(place)
            level = new
    return kept
