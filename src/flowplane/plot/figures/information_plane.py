"""The information plane as the paper draws it: every layer's path through (I(X;T), I(T;Y)) while the network learns."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.core.renamed import renamed
from flowplane.plot.names import escaped, replica_text
from flowplane.plot.plane import bound_text, channel_text, every_replica, in_order, intervals, layer_names, means, paths
from flowplane.plot.registry import draws
from flowplane.plot.slider import add_slider
from flowplane.plot.style import axis_title, color_axis, styled, time_scale

__all__ = ["information_plane"]


@draws("information_plane", "measure", "noisy_information")
@renamed
def information_plane(dataset: xr.Dataset, title: str = "Information plane") -> go.Figure:
    """I(X;T) against I(T;Y), in bits: a colour an epoch, all replicas faint, their mean strong, lines through the layers.

    Bars at the last epoch are the estimator's own intervals; what the replicas spread over is their points.
    The slider shows one epoch: every replica's points and the mean path through the layers; the button plays it.

    Arguments:
        dataset: from `fp.information_plane` or `rec.measure` of an estimator, over (replica, epoch, layer).
        title: of the figure; the subtitle names network, task and channel.

    Raises:
        InputError: another kind of Dataset, other units, or nothing finite to draw.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=2, epochs=2, snapshots=2)
        >>> fp.plot.information_plane(fp.information_plane(rec)).layout.xaxis.title.text
        'I(X;T) [bits]'
    """
    ordered = in_order(dataset)
    x, y = ordered["i_xt"].values, ordered["i_ty"].values
    finite = np.isfinite(x) & np.isfinite(y)
    epochs = ordered["epoch"].values
    times = time_scale(epochs)
    mean = ordered[["i_xt", "i_ty"]].mean("replica")
    mean_x, mean_y = mean["i_xt"].values, mean["i_ty"].values
    figure = go.Figure()
    figure.add_trace(every_replica(x, y, times))
    for trace in paths(mean_x, mean_y, times):
        figure.add_trace(trace)
    bars = intervals(ordered, mean_x, mean_y)
    if bars is not None:
        figure.add_trace(bars)
    figure.add_trace(means(ordered, mean_x, mean_y, times))
    moving = len(figure.data)
    for trace in _moment(x[:, 0], y[:, 0], mean_x[0], mean_y[0]):
        figure.add_trace(trace.update(visible=False))
    annotations = layer_names(ordered, mean_x, mean_y)
    figure.frames = [
        go.Frame(
            name=str(epoch),
            traces=[moving, moving + 1],
            data=[t.update(visible=True) for t in _moment(x[:, k], y[:, k], mean_x[k], mean_y[k])],
        )
        for k, epoch in enumerate(epochs.tolist())
    ]
    x_range, y_range = _ranges(dataset, x[finite], y[finite])
    figure.update_xaxes(title=axis_title(dataset["i_xt"]), range=x_range)
    figure.update_yaxes(title=axis_title(dataset["i_ty"]), range=y_range)
    figure.update_layout(annotations=annotations, coloraxis=color_axis(epochs, times))
    _ceilings(figure, dataset, x_range, y_range)
    hide = {"label": "all epochs", "method": "restyle", "args": [{"visible": False}, [moving, moving + 1]]}
    labels = {str(epoch): f"{epoch:,}" for epoch in epochs.tolist()}
    add_slider(figure, labels, "epoch ", y=-0.11, start=0.36, more=[hide])
    return styled(
        figure,
        title,
        _subtitle(dataset),
        width=900,
        height=680,
        margin={"l": 75, "r": 30, "t": 95, "b": 130},
        legend={
            "x": 0.99,
            "y": 0.02,
            "xanchor": "right",
            "yanchor": "bottom",
            "bgcolor": "rgba(255,255,255,0.8)",
            "bordercolor": "#ccc",
            "borderwidth": 1,
            "font": {"size": 12},
        },
    )


def _moment(x: np.ndarray, y: np.ndarray, mean_x: np.ndarray, mean_y: np.ndarray) -> list[go.Scatter]:
    """What the slider moves: one epoch's replicas and their mean path."""
    return [
        go.Scatter(
            x=x.ravel().astype(np.float32),
            y=y.ravel().astype(np.float32),
            mode="markers",
            hoverinfo="skip",
            marker={"color": "#222", "size": 5, "opacity": 0.45, "symbol": "circle-open"},
            showlegend=False,
        ),
        go.Scatter(
            x=mean_x,
            y=mean_y,
            mode="lines+markers",
            line={"color": "#111", "width": 2.5},
            hoverinfo="skip",
            marker={"color": "white", "size": 12, "line": {"color": "#111", "width": 2.5}},
            showlegend=False,
        ),
    ]


def _ranges(plane: xr.Dataset, x: np.ndarray, y: np.ndarray) -> tuple[list[float], list[float]]:
    """Axes from 0 to a little above the ceilings, or above the data where they are higher."""
    right = max(float(x.max()), float(plane.attrs.get("input_entropy", 0.0)))
    top = max(float(y.max()), float(plane.attrs.get("label_information", 0.0)))
    return [min(0.0, float(x.min())) - 0.025 * right, 1.04 * right], [min(0.0, float(y.min())) - 0.03 * top, 1.10 * top]


def _ceilings(figure: go.Figure, plane: xr.Dataset, x_range: list[float], y_range: list[float]) -> None:
    """Dotted lines at H(X) and at I(X;Y), named outside the frame, where no point can be."""
    line = {"color": "#777", "width": 1, "dash": "dot"}
    font = {"size": 12, "color": "#555"}
    right, top = plane.attrs.get("input_entropy"), plane.attrs.get("label_information")
    if right is not None:
        figure.add_shape(type="line", x0=right, x1=right, y0=y_range[0], y1=y_range[1], line=line, layer="below")
        figure.add_annotation(
            x=right, y=1, yref="paper", text=f"H(X) = {right:.4g}", showarrow=False, yanchor="bottom", font=font
        )
    if top is not None:
        figure.add_shape(type="line", x0=x_range[0], x1=x_range[1], y0=top, y1=top, line=line, layer="below")
        figure.add_annotation(
            x=1.005,
            xref="paper",
            y=top,
            text=f"I(X;Y)<br>= {top:.4g}",
            showarrow=False,
            xanchor="left",
            align="left",
            font=font,
        )


def _subtitle(plane: xr.Dataset) -> str:
    attrs = plane.attrs
    network = f"{attrs['network']} {attrs.get('activation', '')}".strip() if "network" in attrs else ""
    parts = (
        network,
        str(attrs.get("task", "")),
        replica_text(plane),
        channel_text(plane),
        str(attrs.get("labels", "")),
        bound_text(plane),
    )
    return " · ".join(escaped(part) for part in parts if part)
