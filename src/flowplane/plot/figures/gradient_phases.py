"""Drift and diffusion of each layer's gradients while the network learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.errors import InputError, Text
from flowplane.plot.names import about, panel_names
from flowplane.plot.panels import layer_panels, with_logarithmic_axes
from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, faded, require_variables

__all__ = ["gradient_phases"]

CURVES = (
    ("gradient_mean", "drift ‖E g‖/‖w‖", LAYER_COLORS[0]),
    ("gradient_std", "diffusion √(tr Cov g)/‖w‖", LAYER_COLORS[3]),
)
CROSSINGS = ("crossing_median", "crossing_lower", "crossing_upper", "median_state")
CROSSING, SHADE, START = "#222", "rgba(60,60,60,0.16)", LAYER_COLORS[2]
#: Percentiles of the replicas that the band holds.
BAND = (10, 90)


@draws("gradient_phases")
def gradient_phases(dataset: xr.Dataset, title: str = "Drift and diffusion of the gradients") -> go.Figure:
    """Mean and standard deviation of the gradients against the epoch, one panel per layer, and where they cross
    (signal-to-noise ratio 1).

    Lines: medians of the replicas, with the band of their middle 80 %. Upright: the crossing of the median ratio, shaded its
    95 % interval; dashed where compression starts, the median of the replicas that do, if at
    least half of them do and `fp.gradient_phases` was given a plane.

    Arguments:
        dataset: from `fp.gradient_phases`.

    Raises:
        InputError: another kind of Dataset, or nothing finite to draw.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=2, epochs=4, snapshots=4)
        >>> fp.plot.gradient_phases(fp.gradient_phases(rec)).layout.xaxis.title.text
        'epoch'
    """
    require_variables(dataset, (*(name for name, _, _ in CURVES), *CROSSINGS), "fp.gradient_phases")
    shown = dataset.isel(epoch=np.flatnonzero(dataset["epoch"].values > 0)).transpose("replica", "epoch", "layer", ...)
    epochs = shown["epoch"].values
    curves = {name: shown[name].values for name, _, _ in CURVES}
    finite = np.concatenate([values[np.isfinite(values) & (values > 0)] for values in curves.values()])
    if len(finite) == 0:
        raise InputError("dataset", Text("no finite gradient above 0"), "at least one to draw on a logarithmic axis")
    figure, grid = layer_panels([f"{name}{_state(shown, k)}" for k, name in enumerate(panel_names(shown))])
    low, high = np.log10([np.percentile(finite, 0.5), finite.max()])
    y_range = [low - 0.05 * (high - low), high + 0.05 * (high - low)]
    legend = int(np.isfinite(curves["gradient_std"]).any((0, 1)).argmax())
    for k in range(grid.panels):
        place = grid.place(k)
        for name, label, color in CURVES:
            for trace in _curve(epochs, curves[name][:, :, k], 10 ** y_range[0], label, color, first=k == legend):
                figure.add_trace(trace, **place)
        for trace in _marks(shown.isel(layer=k), (10 ** y_range[0], 10 ** y_range[1]), epochs):
            figure.add_trace(trace, **place)
    _legend(figure, "compression_start" in shown)
    return with_logarithmic_axes(
        figure,
        grid,
        title,
        f"{about(shown)} · lines: medians of the replicas, bands: their middle 80 %",
        x=epochs,
        x_title="epoch",
        y_range=y_range,
        y_title="per weight [nats/weight²]",
    )


def _state(found: xr.Dataset, layer: int) -> str:
    state = str(found["median_state"].values[layer])
    said = {"crossed": f"crosses at {found['crossing_median'].values[layer]:,.0f}", "never": "drift to the end"}
    return f": {said.get(state, state)}"


def _curve(epochs: np.ndarray, values: np.ndarray, floor: float, name: str, color: str, first: bool) -> list[go.Scatter]:
    """Band, down to the floor of the axis where it reaches 0, and median, broken where that is 0."""
    known = np.isfinite(values).any(0)
    if not known.any():
        return []
    x = epochs[known]
    low, middle, high = np.nanpercentile(values[:, known], [BAND[0], 50, BAND[1]], axis=0)
    low, high, middle = np.maximum(low, floor), np.maximum(high, floor), np.where(middle > 0, middle, np.nan)
    return [
        go.Scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([high, low[::-1]]),
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=faded(color, 0.2),
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
        ),
        go.Scatter(
            x=x,
            y=middle,
            mode="lines",
            line={"color": color, "width": 2},
            name=name,
            legendgroup=name,
            showlegend=first,
            hovertemplate="epoch %{x}: %{y:.3g}<extra>" + name + "</extra>",
        ),
    ]


def _marks(layer: xr.Dataset, ends: tuple[float, float], epochs: np.ndarray) -> list[go.Scatter]:
    """The crossing with its interval, open to the side where that is not known, and the start of compression."""
    traces = []
    at, lower, upper = (float(layer[f"crossing_{name}"]) for name in ("median", "lower", "upper"))
    several = layer.sizes["replica"] > 1
    if np.isfinite(at):
        if several:
            left = lower if np.isfinite(lower) else float(epochs[0])
            right = upper if np.isfinite(upper) else float(epochs[-1])
            traces.append(
                go.Scatter(
                    x=[left, right, right, left],
                    y=[ends[0], ends[0], ends[1], ends[1]],
                    fill="toself",
                    mode="lines",
                    line={"width": 0},
                    fillcolor=SHADE,
                    hoverinfo="skip",
                    showlegend=False,
                )
            )
        traces.append(_upright(at, ends, {"color": CROSSING, "width": 1.6}, "crossing"))
    if "compression_start" in layer:
        starts = layer["compression_start"].values
        starts = starts[starts > 0]
        if 2 * len(starts) >= layer.sizes["replica"]:
            line = {"color": START, "width": 2, "dash": "dash"}
            traces.append(_upright(float(np.median(starts)), ends, line, f"compression starts, {len(starts)} replicas"))
    return traces


def _upright(x: float, ends: tuple[float, float], line: dict[str, Any], name: str) -> go.Scatter:
    return go.Scatter(
        x=[x, x],
        y=list(ends),
        mode="lines",
        line=line,
        showlegend=False,
        name=name,
        hovertemplate=f"{name}: epoch {x:.4g}<extra></extra>",
    )


def _legend(figure: go.Figure, compression: bool) -> None:
    """Entries for the uprights, whichever panels have them."""
    entries: list[tuple[str, dict[str, Any]]] = [
        ("crossing", {"mode": "lines", "line": {"color": CROSSING, "width": 1.6}}),
        ("its 95 % interval", {"mode": "markers", "marker": {"symbol": "square", "size": 14, "color": SHADE}}),
    ]
    if compression:
        entries.append(("compression starts", {"mode": "lines", "line": {"color": START, "width": 2, "dash": "dash"}}))
    for name, look in entries:
        figure.add_trace(go.Scatter(x=[None], y=[None], name=name, **look))
