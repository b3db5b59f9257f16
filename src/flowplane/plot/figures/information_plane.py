"""The information plane as the paper draws it: every layer's path through (I(X;T), I(T;Y)) while the network learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.core.renamed import renamed
from flowplane.information.resolution import usual_place
from flowplane.plot.names import escaped, replica_text
from flowplane.plot.plane import (
    bound_text,
    channel_text,
    every_replica,
    in_order,
    intervals,
    layer_names,
    means,
    names_trace,
    paths,
)
from flowplane.plot.registry import draws
from flowplane.plot.slider import add_choice, add_slider
from flowplane.plot.style import LEGEND_BELOW, axis_title, color_axis, styled, time_scale
from flowplane.plot.thinning import columns

__all__ = ["information_plane"]


@draws("information_plane", "measure", "noisy_information")
@renamed
def information_plane(dataset: xr.Dataset, title: str = "Information plane") -> go.Figure:
    """I(X;T) against I(T;Y), in bits: one colour per epoch, all replicas faint, their mean strong, lines through the layers.

    Bars at the last epoch are the estimator's own intervals; the replicas' own points show their spread.
    The slider goes from all epochs to each of them: every replica's points and the mean path through the layers. Where
    I(X;T) is read at several resolutions a second slider says at which; 0.1 is shown first.

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
    epochs = ordered["epoch"].values
    times = time_scale(epochs)
    parts, first = _parts(ordered)
    figure = go.Figure()
    shown: list[int] = []  # the part that each trace belongs to
    moving: list[int] = []  # the traces that the slider of epochs moves
    moments: list[list[go.Scatter]] = [[] for _ in ("all", *epochs)]
    for k, part in enumerate(parts):
        traces = _still(part, times)
        x, y = part["i_xt"].values, part["i_ty"].values
        mean_x, mean_y = x.mean(0), y.mean(0)
        about = columns(layer=part["layer"].values)
        if len(parts) > 1:
            traces.append(names_trace(layer_names(part, mean_x, mean_y)))
        moving += [len(shown) + len(traces), len(shown) + len(traces) + 1]
        for step, moment in enumerate(moments[1:]):
            moment.extend(_moment(x[:, step], y[:, step], mean_x[step], mean_y[step], about))
        nothing = x[:, 0, :0], y[:, 0, :0], mean_x[0, :0], mean_y[0, :0], about
        moments[0].extend(_moment(*nothing))
        traces += _moment(*nothing)
        shown += [k] * len(traces)
        figure.add_traces([trace.update(visible=k == first) for trace in traces])
    labels = {"all": "all"} | {str(epoch): f"{epoch:,}" for epoch in epochs.tolist()}
    figure.frames = [go.Frame(name=name, traces=moving, data=moment) for name, moment in zip(labels, moments, strict=True)]
    finite = np.isfinite(ordered["i_xt"]) & np.isfinite(ordered["i_ty"])
    x_range, y_range = _ranges(dataset, ordered["i_xt"].where(finite).values, ordered["i_ty"].where(finite).values)
    figure.update_xaxes(title=axis_title(dataset["i_xt"]), range=x_range)
    figure.update_yaxes(title=axis_title(dataset["i_ty"]), range=y_range)
    figure.update_layout(coloraxis=color_axis(epochs, times))
    if len(parts) == 1:
        mean = parts[0][["i_xt", "i_ty"]].mean("replica")
        figure.update_layout(annotations=layer_names(parts[0], mean["i_xt"].values, mean["i_ty"].values))
    _ceilings(figure, dataset, x_range, y_range)
    add_slider(figure, labels, "epoch: ", y=-0.25, start=0.25)
    if len(parts) > 1:
        steps = {f"{float(part['resolution']):g}": [k == place for k in shown] for place, part in enumerate(parts)}
        add_choice(figure, steps, "resolution ", y=-0.39, start=0.25, active=first)
    return styled(
        figure,
        title,
        _subtitle(dataset),
        width=900,
        height=730 if len(parts) == 1 else 790,
        margin={"l": 75, "r": 30, "t": 95, "b": 180 if len(parts) == 1 else 240},
        legend=LEGEND_BELOW,
    )


def _parts(ordered: xr.Dataset) -> tuple[list[xr.Dataset], int]:
    """The plane at each resolution, and the place of the one that is shown first; itself where it has none."""
    if "resolution" not in ordered.dims:
        return [ordered], 0
    values = ordered["resolution"].values
    return [ordered.isel(resolution=k) for k in range(len(values))], usual_place(values)


def _still(plane: xr.Dataset, times: np.ndarray) -> list[go.Scatter]:
    """What does not move with the epoch."""
    x, y = plane["i_xt"].values, plane["i_ty"].values
    mean_x, mean_y = x.mean(0), y.mean(0)
    bars = intervals(plane, mean_x, mean_y)
    drawn = [every_replica(plane, times), *paths(plane, mean_x, mean_y, times), means(plane, mean_x, mean_y, times)]
    return drawn if bars is None else [*drawn[:-1], bars, drawn[-1]]


def _moment(x: np.ndarray, y: np.ndarray, mean_x: np.ndarray, mean_y: np.ndarray, about: dict[str, Any]) -> list[go.Scatter]:
    """What the slider moves: one epoch's replicas and their mean path."""
    return [
        go.Scatter(
            x=x.ravel().astype(np.float32),
            y=y.ravel().astype(np.float32),
            mode="markers",
            hoverinfo="skip",
            marker={"color": "#222", "size": 5, "opacity": 0.45, "symbol": "circle-open"},
            name="replicas at one epoch",
            meta=about,
            showlegend=False,
        ),
        go.Scatter(
            x=mean_x,
            y=mean_y,
            mode="lines+markers",
            line={"color": "#111", "width": 2.5},
            hoverinfo="skip",
            marker={"color": "white", "size": 12, "line": {"color": "#111", "width": 2.5}},
            name="mean of the replicas at one epoch",
            meta=about,
            showlegend=False,
        ),
    ]


def _ranges(plane: xr.Dataset, x: np.ndarray, y: np.ndarray) -> tuple[list[float], list[float]]:
    """Axes from 0 to a little above the ceilings, or above the data where they are higher."""
    right = max(float(np.nanmax(x)), float(plane.attrs.get("input_entropy", 0.0)))
    top = max(float(np.nanmax(y)), float(plane.attrs.get("label_information", 0.0)))
    left, bottom = (min(0.0, float(np.nanmin(values))) for values in (x, y))
    return [left - 0.025 * right, 1.04 * right], [bottom - 0.03 * top, 1.10 * top]


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
