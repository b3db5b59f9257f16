"""The information plane as the paper draws it: every layer's path through (I(X;T), I(T;Y)) while the network learns."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.colors import sample_colorscale

from flowplane.errors import InputError, Text
from flowplane.plot.names import escaped, layer_titles, replica_text
from flowplane.plot.slider import add_slider
from flowplane.plot.style import COLORSCALE, epoch_ticks, require_units, styled, time_scale

__all__ = [
    "channel_text",
    "color_axis",
    "every_replica",
    "in_order",
    "information_plane",
    "intervals",
    "layer_names",
    "means",
    "paths",
]

#: More faint points than this are thinned evenly over the replicas, so that the page stays light.
FAINT_POINTS = 40_000
#: Pixels that half a letter of a layer's name takes, with some air.
LETTER = 5.0
#: So many layers in one place are named by the first and the last.
RUN = 6
#: Layers' paths drawn through the mean, evenly over log(epoch).
PATHS = 9


def information_plane(plane: xr.Dataset, title: str = "Information plane") -> go.Figure:
    """I(X;T) against I(T;Y), in bits: a colour an epoch, all replicas faint, their mean strong, lines through the layers.

    Bars at the last epoch are the estimator's own intervals; what the replicas spread over is their points.
    The slider shows one epoch: every replica's points and the mean path through the layers; the button plays it.

    Arguments:
        plane: from `fp.information_plane`, over (replica, epoch, layer).
        title: of the figure; the subtitle names network, task and channel.

    Raises:
        InputError: another kind of Dataset, other units, or nothing finite to draw.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=2, epochs=2, snapshots=2)
        >>> fp.plot.information_plane(fp.information_plane(rec)).layout.xaxis.title.text
        'I(X;T) [bits]'
    """
    ordered = in_order(plane)
    x, y = ordered["i_xt"].values, ordered["i_ty"].values
    finite = np.isfinite(x) & np.isfinite(y)
    epochs = ordered["epoch"].values
    times = time_scale(epochs)
    mean = ordered[["i_xt", "i_ty"]].mean("replica")
    mean_x, mean_y = mean["i_xt"].values, mean["i_ty"].values
    figure = go.Figure()
    figure.add_trace(every_replica(x, y, times, finite))
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
    x_range, y_range = _ranges(plane, x[finite], y[finite])
    figure.update_xaxes(title="I(X;T) [bits]", range=x_range)
    figure.update_yaxes(title="I(T;Y) [bits]", range=y_range)
    figure.update_layout(annotations=annotations, coloraxis=color_axis(epochs, times))
    _ceilings(figure, plane, x_range, y_range)
    hide = {"label": "all epochs", "method": "restyle", "args": [{"visible": False}, [moving, moving + 1]]}
    labels = {str(epoch): f"{epoch:,}" for epoch in epochs.tolist()}
    add_slider(figure, labels, "epoch ", y=-0.11, start=0.36, more=[hide])
    return styled(
        figure,
        title,
        _subtitle(plane),
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


def in_order(plane: xr.Dataset) -> xr.Dataset:
    """A plane over (replica, epoch, layer), epochs increasing.

    Raises:
        InputError: another kind of Dataset, other units, or nothing finite to draw.
    """
    require_units(plane, ("i_xt", "i_ty"), "bits")
    if set(plane["i_xt"].dims) != {"replica", "epoch", "layer"}:
        raise InputError("plane", Text(f"dimensions {plane['i_xt'].dims}"), "(replica, epoch, layer)")
    if not (np.isfinite(plane["i_xt"]) & np.isfinite(plane["i_ty"])).any():
        raise InputError("plane", Text("no finite point"), "I(X;T) and I(T;Y) of at least one layer")
    return plane.sortby("epoch").transpose("replica", "epoch", "layer", ...)


def every_replica(x: np.ndarray, y: np.ndarray, times: np.ndarray, finite: np.ndarray) -> go.Scattergl:
    """Faint points: every replica, epoch and layer; the latest on top."""
    keep = max(1, -(-x.size // FAINT_POINTS))
    order = np.moveaxis(np.arange(x.size).reshape(x.shape)[::keep], 1, 0).ravel()
    order = order[finite.ravel()[order]]
    color = np.broadcast_to(times[None, :, None], x.shape).ravel()[order]
    return go.Scattergl(
        x=x.ravel()[order].astype(np.float32),
        y=y.ravel()[order].astype(np.float32),
        mode="markers",
        marker={"color": color.astype(np.float32), "coloraxis": "coloraxis", "size": 3.5, "opacity": 0.16},
        name="one replica, one epoch",
        hoverinfo="skip",
    )


def paths(mean_x: np.ndarray, mean_y: np.ndarray, times: np.ndarray) -> list[go.Scatter]:
    """Thin lines through the layers of the mean at a few epochs."""
    chosen = np.unique([np.abs(times - t).argmin() for t in np.linspace(times[0], times[-1], PATHS)])
    span = max(times[-1] - times[0], 1e-9)
    colors = sample_colorscale(COLORSCALE, [(times[k] - times[0]) / span for k in chosen])
    return [
        go.Scatter(
            x=mean_x[k],
            y=mean_y[k],
            mode="lines",
            line={"color": color, "width": 1.2},
            opacity=0.8,
            name="mean path through the layers",
            legendgroup="paths",
            showlegend=bool(k == chosen[len(chosen) // 2]),
            hoverinfo="skip",
        )
        for k, color in zip(chosen, colors, strict=True)
    ]


def means(plane: xr.Dataset, mean_x: np.ndarray, mean_y: np.ndarray, times: np.ndarray) -> go.Scatter:
    """Strong points: the mean over replicas."""
    epochs, layers = mean_x.shape
    names = [escaped(name) for name in plane["layer"].values]
    return go.Scatter(
        x=mean_x.T.ravel(),
        y=mean_y.T.ravel(),
        mode="markers",
        marker={
            "color": np.tile(times, layers),
            "coloraxis": "coloraxis",
            "size": 8,
            "line": {"color": "white", "width": 0.6},
        },
        customdata=np.stack([np.tile(plane["epoch"].values, layers), np.repeat(names, epochs)], axis=1).tolist(),
        hovertemplate="%{customdata[1]}, epoch %{customdata[0]}<br>I(X;T) = %{x:.3f} bits<br>I(T;Y) = %{y:.3f} bits"
        "<extra></extra>",
        name="mean of the replicas",
    )


def intervals(plane: xr.Dataset, mean_x: np.ndarray, mean_y: np.ndarray) -> go.Scatter | None:
    """The estimator's own intervals at the last epoch, averaged over the replicas without a flag; None without any."""
    last = plane.isel(epoch=-1)
    bars = {}
    for axis, name in (("error_x", "i_xt"), ("error_y", "i_ty")):
        ends = [f"{name}{end}" for end in ("_upper", "_lower")]
        if not set(ends) <= set(plane):
            return None
        sure = last["flags"] == 0 if "flags" in last else xr.ones_like(last[name], bool)
        reach = [abs(last[end] - last[name]).where(sure) for end in ends]
        away = [part.where(np.isfinite(part)).mean("replica").values for part in reach]
        if not np.isfinite(away).any():
            return None
        bars[axis] = {
            "array": np.nan_to_num(away[0]),
            "arrayminus": np.nan_to_num(away[1]),
            "thickness": 1.2,
            "width": 3,
            "color": "#555",
        }
    name = f"{100 * float(plane.attrs.get('confidence', 0.95)):.0f} % interval of the estimate, last epoch"
    return go.Scatter(
        x=mean_x[-1], y=mean_y[-1], mode="markers", marker={"size": 1, "color": "#555"}, name=name, hoverinfo="skip", **bars
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


def layer_names(plane: xr.Dataset, mean_x: np.ndarray, mean_y: np.ndarray, width: int = 720) -> list[dict[str, Any]]:
    """Each layer's number or name above its last mean point; neighbours that would overlap, in a panel of so many pixels,
    share one text."""
    texts = layer_titles(plane)
    pixels = width / max(float(np.nanmax(mean_x)), 1e-9)
    groups: list[list[int]] = []
    for k in range(len(texts)):
        near = (
            groups
            and abs(np.mean(mean_x[-1, groups[-1]]) - mean_x[-1, k]) * pixels
            < LETTER * (len(", ".join(texts[other] for other in groups[-1])) + len(texts[k]))
            and abs(mean_y[-1, groups[-1][-1]] - mean_y[-1, k]) < 0.05
        )
        if near:
            groups[-1].append(k)
        else:
            groups.append([k])
    notes = []
    for group in groups:
        text = ", ".join(texts[k] for k in group) if len(group) < RUN else f"{texts[group[0]]}–{texts[group[-1]]}"
        notes.append(
            {
                "x": float(np.mean(mean_x[-1, group])),
                "y": float(np.max(mean_y[-1, group])),
                "text": f"<b>{text}</b>",
                "showarrow": False,
                "yshift": 17,
                "font": {"size": 13, "color": "#222"},
                "bgcolor": "rgba(255,255,255,0.75)",
            }
        )
    return notes


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
        name = "I(X;Y)" if str(plane.attrs.get("labels", "")).startswith("soft") else "H(Y)"
        figure.add_shape(type="line", x0=x_range[0], x1=x_range[1], y0=top, y1=top, line=line, layer="below")
        figure.add_annotation(
            x=1.005,
            xref="paper",
            y=top,
            text=f"{name}<br>= {top:.4g}",
            showarrow=False,
            xanchor="left",
            align="left",
            font=font,
        )


def color_axis(epochs: np.ndarray, times: np.ndarray) -> dict[str, Any]:
    """A colour an epoch, evenly over log(epoch)."""
    places, texts = epoch_ticks(int(epochs[-1]))
    bar = {
        "title": {"text": "epoch", "side": "top"},
        "tickvals": places,
        "ticktext": texts,
        "thickness": 14,
        "len": 0.8,
        "y": 0,
        "yanchor": "bottom",
        "x": 1.02,
        "outlinewidth": 0,
    }
    return {
        "colorscale": COLORSCALE,
        "cmin": float(times[0]),
        "cmax": float(max(times[-1], times[0] + 1e-9)),
        "colorbar": bar,
    }


def _subtitle(plane: xr.Dataset) -> str:
    attrs = plane.attrs
    network = f"{attrs['network']} {attrs.get('activation', '')}".strip() if "network" in attrs else ""
    kind = attrs.get("kind", "estimate")
    parts = (
        network,
        str(attrs.get("task", "")),
        replica_text(plane),
        channel_text(plane),
        str(attrs.get("labels", "")),
        str(kind) if kind != "estimate" else "",
    )
    return " · ".join(escaped(part) for part in parts if part)


def channel_text(plane: xr.Dataset) -> str:
    """What makes the information finite, the layers' channels one after another where they differ."""
    channel = str(plane.attrs.get("channel", ""))
    return "; ".join(sorted(set(json.loads(channel).values()))) if channel.startswith("{") else channel
