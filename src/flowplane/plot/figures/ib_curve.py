"""The information bottleneck's bound: how much of Y can be kept at how much of X."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.errors import InputError, Text
from flowplane.plot.critical import BOUND, critical_points, require_critical
from flowplane.plot.registry import draws
from flowplane.plot.style import COLORSCALE, LEGEND_BELOW, axis_title, require_units, styled

__all__ = ["ib_curve"]


@draws("ib_curve", "gaussian_ib", "deterministic_ib")
def ib_curve(
    dataset: xr.Dataset, critical: xr.Dataset | None = None, *, title: str = "The information bottleneck's bound"
) -> go.Figure:
    """I(T;Y) against I(X;T) of the solutions, one colour per β; critical points on it.

    Arguments:
        dataset: from `fp.ib_curve`, `fp.gaussian_ib` or `fp.bottleneck.deterministic_ib`.
        critical: from `fp.critical_betas`, of the same joint distribution; None to leave them out.

    Raises:
        InputError: another kind of Dataset, other units, or nothing finite to draw.

    Example:
        >>> import flowplane as fp
        >>> joint = [[0.4, 0.1], [0.1, 0.4]]
        >>> ib_curve(fp.ib_curve(joint, [1.5, 3.0, 5.0]), fp.critical_betas(joint)).layout.xaxis.title.text
        'I(X;T) [bits]'
    """
    require_units(dataset, ("i_xt", "i_ty"), "bits")
    require_critical(critical)
    if dataset["i_xt"].dims != ("beta",):
        raise InputError("dataset", Text(f"i_xt over {dataset['i_xt'].dims}"), "i_xt over beta, as fp.ib_curve makes it")
    known = np.isfinite(dataset["i_xt"].values) & np.isfinite(dataset["i_ty"].values)
    if not known.any():
        raise InputError("dataset", Text("no finite point"), "at least one to draw")
    shown = dataset.isel(beta=np.flatnonzero(known)).sortby("beta")
    right, top = 1.06 * float(shown["i_xt"].max()), float(shown["i_ty"].max())
    logs = np.log10(shown["beta"].values)
    powers = np.unique([logs[0], *np.arange(np.ceil(logs[0]), np.floor(logs[-1]) + 1), logs[-1]])
    points = go.Scatter(
        x=shown["i_xt"].values,
        y=shown["i_ty"].values,
        mode="markers",
        name="solutions",
        customdata=shown["beta"].values,
        marker={
            "size": 8,
            "color": logs,
            "colorscale": COLORSCALE,
            "line": {"color": "white", "width": 0.6},
            "colorbar": {
                "title": {"text": "β", "side": "top"},
                "thickness": 14,
                "len": 0.8,
                "outlinewidth": 0,
                "tickvals": powers.tolist(),
                "ticktext": [f"{10**power:.3g}" for power in powers],
            },
        },
        hovertemplate="β = %{customdata:.4g}<br>%{x:.4f} and %{y:.4f} bits<extra></extra>",
    )
    bound = go.Scatter(
        x=np.append(0.0, np.sort(shown["i_xt"].values)),
        y=np.append(0.0, np.sort(shown["i_ty"].values)),
        mode="lines",
        line={"color": BOUND, "width": 2},
        name="the bound",
        hoverinfo="skip",
    )
    figure = go.Figure([bound, points, *critical_points(critical)])
    end = dataset.attrs.get("i_xy", dataset.attrs.get("information"))
    if end is not None and np.isfinite(end):
        top = max(top, float(end))
        figure.add_hline(y=float(end), line={"color": "#777", "width": 1, "dash": "dot"})
    figure.update_xaxes(title=axis_title(shown["i_xt"]), range=[-0.02 * right, right])
    figure.update_yaxes(title=axis_title(shown["i_ty"]), range=[-0.04 * top, 1.09 * top])
    return styled(
        figure,
        title,
        f"{shown.sizes['beta']} solutions, straight lines between them" + (" · dotted: I(X;Y)" if end is not None else ""),
        width=850,
        height=600,
        margin={"l": 75, "r": 30, "t": 95, "b": 110},
        legend=LEGEND_BELOW,
    )
