"""Layers beside the information bottleneck's bound, in the information plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.bottleneck.distance import require_curve_of
from flowplane.errors import InputError, Text
from flowplane.plot.critical import bound_line, critical_points, require_critical
from flowplane.plot.names import about, layer_titles
from flowplane.plot.plane import every_replica, in_order, layer_names, means
from flowplane.plot.registry import draws
from flowplane.plot.style import LEGEND_BELOW, axis_title, color_axis, require_units, require_variables, styled, time_scale

__all__ = ["layer_betas"]

TIED = "dotted: from each layer at the last epoch to the curve at its β*"
#: Layers whose β* a subtitle has room for.
SAID = 8


@draws("layer_betas")
def layer_betas(
    dataset: xr.Dataset,
    curve: xr.Dataset | None = None,
    *,
    critical: xr.Dataset | None = None,
    title: str = "Layers and the information bottleneck's bound",
) -> go.Figure:
    """The information plane with the bound above it: each layer tied to the point of the curve at its β*, at the last epoch.

    See also: `fp.plot.layer_beta_curves`, β* against the epoch.

    Arguments:
        dataset: from `fp.layer_betas`.
        curve: from `fp.ib_curve`, of the same task; None for the layers alone, their β* in the subtitle.
        critical: its critical points, from `fp.critical_betas`; None to leave them out.

    Raises:
        InputError: another kind of Dataset, or other units.

    Example:
        >>> import flowplane as fp
        >>> task = fp.tasks.spherical_rule(information=0.99)
        >>> rec = fp.train(task, hidden=(4,), replicas=2, epochs=2, snapshots=2)
        >>> curve = fp.ib_curve(task, [1.1, 2.0, 10.0])
        >>> layer_betas(fp.layer_betas(rec, curve=curve), curve).layout.yaxis.title.text
        'I(T;Y) [bits]'
    """
    require_units(dataset, ("i_xt", "i_ty"), "bits")
    require_variables(dataset, ("beta_star",), "fp.layer_betas")
    _require_curve(curve, dataset)
    require_critical(critical)
    ordered = in_order(dataset)
    x, y = ordered["i_xt"].values, ordered["i_ty"].values
    times = time_scale(ordered["epoch"].values)
    mean = ordered[["i_xt", "i_ty"]].mean("replica")
    mean_x, mean_y = mean["i_xt"].values, mean["i_ty"].values
    right = 1.03 * float(np.nanmax(x if curve is None else np.append(x, curve["i_xt"])))
    bound = [] if curve is None else [bound_line(curve, right), _ties(ordered, curve, mean_x[-1], mean_y[-1])]
    top = float(np.nanmax(np.concatenate([y.ravel(), *(trace.y for trace in bound)])))
    figure = go.Figure(
        [every_replica(ordered, times), *bound, means(ordered, mean_x, mean_y, times), *critical_points(critical)]
    )
    figure.update_xaxes(title=axis_title(ordered["i_xt"]), range=[-0.02 * right, right])
    figure.update_yaxes(title=axis_title(ordered["i_ty"]), range=[-0.04 * top, 1.09 * top])
    figure.update_layout(
        annotations=layer_names(ordered, mean_x, mean_y), coloraxis=color_axis(ordered["epoch"].values, times)
    )
    return styled(
        figure,
        title,
        f"{_said(ordered) if curve is None else TIED} · {about(ordered)}",
        width=950,
        height=690,
        margin={"l": 75, "r": 30, "t": 95, "b": 125},
        legend=LEGEND_BELOW,
    )


def _require_curve(curve: Any, betas: xr.Dataset) -> None:
    if curve is None:
        return
    require_variables(curve, ("i_xt", "i_ty", "beta"), "fp.ib_curve", "curve")
    require_units(curve, ("i_xt", "i_ty"), "bits")
    if curve["i_xt"].dims != ("beta",) or curve.sizes["beta"] == 0:
        raise InputError("curve", Text(f"dimensions {curve['i_xt'].dims}"), "what fp.ib_curve makes")
    require_curve_of(curve, betas.attrs.get("information"))


def _ties(betas: xr.Dataset, curve: xr.Dataset, x: np.ndarray, y: np.ndarray) -> go.Scatter:
    """From each layer's mean to the curve at the median of its β*; at its end where that is beyond all β."""
    last = betas.isel(epoch=-1)
    star = last["beta_star"].median("replica").values
    ordered = curve.sortby("beta")
    logs = np.log(ordered["beta"].values)
    on_x, on_y = (np.interp(np.log(star), logs, ordered[name].values) for name in ("i_xt", "i_ty"))
    nothing = np.full(len(star), np.nan)
    return go.Scatter(
        x=np.stack([x, on_x, nothing], 1).ravel(),
        y=np.stack([y, on_y, nothing], 1).ravel(),
        mode="lines+markers",
        line={"color": "#666", "width": 1.3, "dash": "dot"},
        marker={"size": 5, "color": "#666"},
        name="β* on the curve",
        customdata=np.repeat(star, 3),
        hovertemplate="β* = %{customdata:.4g}<extra></extra>",
    )


def _said(betas: xr.Dataset) -> str:
    """The β* of the layers at the last epoch, the median of the replicas."""
    star = betas["beta_star"].isel(epoch=-1).median("replica").values
    texts = [f"{value:.3g} in layer {name}" for value, name in zip(star, layer_titles(betas), strict=True)]
    return f"β*: {', '.join(texts[:SAID])}{', …' if len(texts) > SAID else ''}"
