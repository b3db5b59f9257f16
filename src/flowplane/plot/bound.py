"""Layers and the information bottleneck's bound: in the plane, and as β* while the network learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.bottleneck.distance import require_curve_of
from flowplane.errors import InputError, Text
from flowplane.plot.plane import color_axis, every_replica, in_order, layer_names, means
from flowplane.plot.style import LAYER_COLORS, epoch_ticks, faded, layer_label, require_units, styled, time_scale

__all__ = ["layer_beta_curves", "layers_and_bound", "slowing_down_curve"]

CURVE, CRITICAL = "#000", "#D55E00"
#: Critical values of β nearer to the last labelled one than this ratio have no label of their own.
APART = 1.03
MARKS = {"stability lost": ("diamond", "a cluster loses stability"), "clusters change": ("x-thin", "the optimum changes")}


def layers_and_bound(
    betas: xr.Dataset,
    curve: xr.Dataset,
    critical: xr.Dataset | None = None,
    title: str = "Layers and the information bottleneck's bound",
) -> go.Figure:
    """The information plane with the bound above it: each layer tied to the point of the curve at its β*, at the last epoch.

    Arguments:
        betas: from `fp.layer_betas`.
        curve: from `fp.ib_curve`, of the same task.
        critical: its critical points, from `fp.critical_betas`; None to leave them out.

    Raises:
        InputError: another kind of Dataset, or other units.

    Example:
        >>> import flowplane as fp
        >>> task = fp.tasks.spherical_rule(information=0.99)
        >>> rec = fp.train(task, hidden=(4,), replicas=2, epochs=2, snapshots=2)
        >>> curve = fp.ib_curve(task, [1.1, 2.0, 10.0])
        >>> layers_and_bound(fp.layer_betas(rec, curve=curve), curve).layout.yaxis.title.text
        'I(T;Y) [bits]'
    """
    _require_betas(betas)
    _require_curve(curve, betas)
    _require_critical(critical)
    ordered = in_order(betas)
    x, y = ordered["i_xt"].values, ordered["i_ty"].values
    times = time_scale(ordered["epoch"].values)
    mean = ordered[["i_xt", "i_ty"]].mean("replica")
    mean_x, mean_y = mean["i_xt"].values, mean["i_ty"].values
    right = max(float(np.nanmax(x)), float(curve["i_xt"].max())) * 1.03
    bound = _bound(curve, right)
    figure = go.Figure()
    figure.add_trace(every_replica(x, y, times, np.isfinite(x) & np.isfinite(y)))
    figure.add_trace(
        go.Scatter(
            x=bound[0],
            y=bound[1],
            mode="lines",
            line={"color": CURVE, "width": 2.5},
            name="the bound",
            hovertemplate="bound<br>I(X;T) = %{x:.3f} bits<br>I(T;Y) = %{y:.3f} bits<extra></extra>",
        )
    )
    figure.add_trace(_ties(ordered, curve, mean_x[-1], mean_y[-1]))
    figure.add_trace(means(ordered, mean_x, mean_y, times))
    for trace in _critical_points(critical):
        figure.add_trace(trace)
    i_xy = float(curve.attrs.get("i_xy", np.nan))
    top = i_xy if np.isfinite(i_xy) else float(curve["i_ty"].max())
    figure.update_xaxes(title="I(X;T) [bits]", range=[-0.02 * right, right])
    figure.update_yaxes(title="I(T;Y) [bits]", range=[-0.04 * top, 1.09 * top])
    figure.update_layout(
        annotations=layer_names(ordered, mean_x, mean_y), coloraxis=color_axis(ordered["epoch"].values, times)
    )
    return styled(
        figure,
        title,
        "dotted: from each layer at the last epoch to the curve at its β* · " + _about(betas),
        width=950,
        height=640,
        margin={"l": 75, "r": 30, "t": 95, "b": 75},
        legend={
            "x": 0.99,
            "y": 0.03,
            "xanchor": "right",
            "yanchor": "bottom",
            "bgcolor": "rgba(255,255,255,0.85)",
            "bordercolor": "#ccc",
            "borderwidth": 1,
            "font": {"size": 12},
        },
    )


def layer_beta_curves(
    betas: xr.Dataset, critical: xr.Dataset | None = None, title: str = "β* of each layer while it learns"
) -> go.Figure:
    """β* against the epoch, a colour a layer: replicas faint, their median strong; lines across at critical points.

    Arguments:
        betas: from `fp.layer_betas`.
        critical: from `fp.critical_betas`; None to leave them out.

    Raises:
        InputError: another kind of Dataset.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(information=0.99), hidden=(4,), replicas=2, epochs=2, snapshots=2)
        >>> layer_beta_curves(fp.layer_betas(rec)).layout.yaxis.title.text
        'β*'
    """
    _require_betas(betas)
    _require_critical(critical)
    ordered = in_order(betas)
    epochs = ordered["epoch"].values
    times = time_scale(epochs)
    values = ordered["beta_star"].values
    depths = ordered["depth"].values if "depth" in ordered.coords else np.arange(values.shape[2]) + 1
    figure = go.Figure()
    for k, depth in enumerate(depths.tolist()):
        color = LAYER_COLORS[k % len(LAYER_COLORS)]
        name = f"layer {layer_label(int(depth), int(depths.max()))}"
        faint = {"color": faded(color, 0.2), "width": 1}
        for replica in values[:, :, k]:
            figure.add_trace(
                go.Scatter(
                    x=times, y=replica, mode="lines", line=faint, showlegend=False, hoverinfo="skip", legendgroup=name
                )
            )
        at_edge = (ordered["edge"].values[:, :, k] == 1).mean(0) > 0.5
        figure.add_trace(
            go.Scatter(
                x=times,
                y=np.median(values[:, :, k], axis=0),
                mode="lines+markers",
                name=name,
                legendgroup=name,
                line={"color": color, "width": 2.2},
                customdata=epochs,
                marker={"size": 7, "color": np.where(at_edge, "white", color), "line": {"color": color, "width": 1.3}},
                hovertemplate=name + ", epoch %{customdata}<br>β* = %{y:.4g}<extra></extra>",
            )
        )
    labelled = 0.0
    for beta in _stability_lost(critical):
        figure.add_hline(y=beta, line={"color": CRITICAL, "width": 1.2, "dash": "dash"})
        if beta > APART * labelled:
            labelled = beta
            figure.add_annotation(
                x=1.0,
                xref="paper",
                xanchor="left",
                y=np.log10(beta),
                text=f"{beta:.4g}",
                showarrow=False,
                xshift=3,
                font={"size": 11, "color": CRITICAL},
            )
    low, high = np.log10([values.min(), values.max()])
    reach = max(high - low, 0.1)
    ticks, texts = epoch_ticks(int(epochs.max()))
    figure.update_xaxes(title="epoch", tickvals=ticks, ticktext=texts)
    figure.update_yaxes(
        title="β*", type="log", dtick=1, exponentformat="power", range=[low - 0.08 * reach, high + 0.08 * reach]
    )
    crossed = "" if critical is None else "dashed: a cluster loses stability · "
    return styled(
        figure,
        title,
        crossed + "hollow: beyond the search, T = X has β* = ∞ · " + _about(betas),
        width=900,
        height=560,
        margin={"l": 80, "r": 30, "t": 95, "b": 70},
        legend={"x": 1.07, "y": 1.0, "xanchor": "left"},
    )


def slowing_down_curve(
    slowness: xr.Dataset, critical: xr.Dataset | None = None, title: str = "Critical slowing down"
) -> go.Figure:
    """Steps of the plain Blahut–Arimoto iteration until it rests, against β: a peak near each critical point.

    Arguments:
        slowness: from `fp.bottleneck.slowing_down`.
        critical: from `fp.critical_betas`; None to leave them out.

    Raises:
        InputError: another kind of Dataset.

    Example:
        >>> import flowplane as fp
        >>> found = fp.bottleneck.slowing_down([[0.4, 0.1], [0.1, 0.4]], [1.5, 2.7, 6.0])
        >>> slowing_down_curve(found).layout.xaxis.title.text
        'β'
    """
    if not isinstance(slowness, xr.Dataset) or not {"steps", "capped"} <= set(slowness):
        found = sorted(map(str, slowness)) if isinstance(slowness, xr.Dataset) else type(slowness).__name__
        raise InputError("slowness", Text(f"{found}"), "what fp.bottleneck.slowing_down makes")
    _require_critical(critical)
    ordered = slowness.sortby("beta")
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
    for beta in _stability_lost(critical):
        if betas[0] <= beta <= betas[-1]:
            figure.add_vline(x=beta, line={"color": CRITICAL, "width": 1.2, "dash": "dash"})
    figure.update_xaxes(title="β", type="log")
    figure.update_yaxes(title="Blahut–Arimoto steps", type="log")
    return styled(
        figure,
        title,
        "dashed: a cluster loses stability · hollow: not at rest after the steps allowed",
        width=900,
        height=480,
        margin={"l": 80, "r": 30, "t": 95, "b": 70},
        showlegend=False,
    )


def _require_betas(betas: Any) -> None:
    require_units(betas, ("i_xt", "i_ty", "residual"), "bits")
    if not {"beta_star", "edge"} <= set(betas):
        raise InputError("betas", Text(f"variables {sorted(map(str, betas.data_vars))}"), "what fp.layer_betas makes")


def _require_curve(curve: Any, betas: xr.Dataset) -> None:
    require_units(curve, ("i_xt", "i_ty"), "bits")
    if curve["i_xt"].dims != ("beta",) or curve.sizes["beta"] == 0:
        raise InputError("curve", Text(f"dimensions {curve['i_xt'].dims}"), "what fp.ib_curve makes")
    require_curve_of(curve, betas.attrs.get("information"))


def _require_critical(critical: Any) -> None:
    if critical is None:
        return
    if (
        not isinstance(critical, xr.Dataset)
        or not {"kind", "i_xt", "i_ty"} <= set(critical)
        or "beta" not in critical.coords
    ):
        found = sorted(map(str, critical)) if isinstance(critical, xr.Dataset) else type(critical).__name__
        raise InputError("critical", Text(f"{found}"), "what fp.critical_betas makes")


def _bound(curve: xr.Dataset, right: float) -> tuple[np.ndarray, np.ndarray]:
    """The curve with the origin, and level to the right end of the figure."""
    ordered = curve.sortby("i_xt")
    top = float(curve.attrs.get("i_xy", ordered["i_ty"].values[-1]))
    return np.concatenate([[0.0], ordered["i_xt"].values, [right]]), np.concatenate([[0.0], ordered["i_ty"].values, [top]])


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


def _critical_points(critical: xr.Dataset | None) -> list[go.Scatter]:
    if critical is None:
        return []
    traces = []
    for kind, (symbol, name) in MARKS.items():
        part = critical.isel(critical=np.flatnonzero(critical["kind"].values == kind))
        if part.sizes["critical"]:
            traces.append(
                go.Scatter(
                    x=part["i_xt"].values,
                    y=part["i_ty"].values,
                    mode="markers",
                    name=name,
                    customdata=part["beta"].values,
                    marker={"symbol": symbol, "size": 11, "color": CRITICAL, "line": {"color": CRITICAL, "width": 2}},
                    hovertemplate=name + " at β = %{customdata:.5g}<extra></extra>",
                )
            )
    return traces


def _stability_lost(critical: xr.Dataset | None) -> list[float]:
    if critical is None:
        return []
    return [float(beta) for beta in critical["beta"].values[critical["kind"].values == "stability lost"]]


def _about(betas: xr.Dataset) -> str:
    replicas = betas.sizes["replica"]
    return f"{betas.attrs.get('task', 'task')} · {replicas} replica{'s' if replicas > 1 else ''}"
