"""Samples on their way through a flow: images as a film, points in the plane in which they end most spread out."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.plot.filmstrip import film_of_images, image_shape
from flowplane.plot.registry import draws
from flowplane.plot.slider import add_slider
from flowplane.plot.style import LAYER_COLORS, require_variables, styled, time_title

__all__ = ["flow_samples"]

#: Samples whose whole path is drawn.
PATHS = 60


@draws("flow_samples")
def flow_samples(dataset: xr.Dataset, title: str = "Samples on their way") -> go.Figure:
    """Samples at one moment, with a slider through time: images side by side, or points in the plane; on a line their paths.

    Points of more than two dimensions are seen along the two principal axes of where they end; lines are their whole paths.

    Arguments:
        dataset: from `fp.transport.flow_samples`.

    Raises:
        InputError: another kind of Dataset.

    Example:
        >>> import flowplane as fp
        >>> flow = fp.denoising_flow(fp.Normal(3 * [0.0], 1.0), 0.4, layers=2)
        >>> figure = flow_samples(fp.transport.flow_samples(flow, 5, times=[0.0, 0.2, 0.4]))
        >>> len(figure.frames), figure.layout.xaxis.title.text
        (3, 'first principal axis [units of x]')
    """
    require_variables(dataset, ("position", "principal"), "fp.transport.flow_samples")
    shape = image_shape(tuple(int(size) for size in np.atleast_1d(dataset.attrs.get("shape", ()))))
    if shape is not None:
        return film_of_images(dataset, shape, title)
    if dataset.sizes["component"] < 2:
        return _on_a_line(dataset, title)
    return _in_a_plane(dataset, title)


def _on_a_line(dataset: xr.Dataset, title: str) -> go.Figure:
    paths = dataset["principal"].isel(component=0, sample=slice(PATHS)).transpose("sample", "time").values
    broken = np.full((len(paths), 1), np.nan)
    figure = go.Figure(
        go.Scatter(
            x=np.hstack([np.tile(dataset["time"].values, (len(paths), 1)), broken]).ravel(),
            y=np.hstack([paths, broken]).ravel(),
            mode="lines",
            line={"color": LAYER_COLORS[0], "width": 0.8},
            hoverinfo="skip",
        )
    )
    figure.update_xaxes(title=time_title([dataset]))
    figure.update_yaxes(title="x [units of x]")
    subtitle = f"paths of {len(paths)} samples"
    return styled(figure, title, subtitle, width=720, height=470, margin={"l": 75, "r": 30, "t": 95, "b": 70})


def _in_a_plane(dataset: xr.Dataset, title: str) -> go.Figure:
    places = dataset["principal"].transpose("time", "sample", "component").values.astype(np.float32)
    times = dataset["time"].values
    paths = places[:, :PATHS].transpose(1, 0, 2)
    lines = np.concatenate([paths, np.full_like(paths[:, :1], np.nan)], 1).reshape(-1, 2)
    still = {"hoverinfo": "skip", "showlegend": False}
    figure = go.Figure(
        [
            go.Scatter(x=lines[:, 0], y=lines[:, 1], mode="lines", line={"color": "#b9c3cf", "width": 0.8}, **still),
            go.Scatter(
                x=places[0, :, 0], y=places[0, :, 1], mode="markers", marker={"color": "#8a94a0", "size": 3}, **still
            ),
            _points(places[-1]),
        ]
    )
    figure.frames = [
        go.Frame(name=f"{t:.4g}", data=[_points(now)], traces=[2]) for t, now in zip(times, places, strict=True)
    ]
    names = {frame.name: frame.name for frame in figure.frames}
    add_slider(figure, names, f"{time_title([dataset])} = ", y=-0.16, start=0.3, active=len(times) - 1)
    low, high = places.min((0, 1)), places.max((0, 1))
    pad = 0.05 * float((high - low).max()) or 0.5
    wide = dataset.sizes["feature"] > 2
    seen = f"; {100 * dataset.attrs['explained']:.0f} % of the variance of their ends lies in this plane" if wide else ""
    styled(
        figure,
        title,
        f"{places.shape[1]:,} samples, first shown at the end; grey: where they start, and the paths of "
        f"{min(PATHS, places.shape[1])}{seen}",
        width=720,
        height=640,
        margin={"l": 75, "r": 30, "t": 95, "b": 125},
    )
    axes = ("first principal axis", "second principal axis") if wide else ("x₁", "x₂")
    figure.update_xaxes(title=f"{axes[0]} [units of x]", range=[low[0] - pad, high[0] + pad], constrain="domain")
    figure.update_yaxes(title=f"{axes[1]} [units of x]", range=[low[1] - pad, high[1] + pad], constrain="domain")
    figure.update_yaxes(scaleanchor="x", scaleratio=1)
    return figure


def _points(places: np.ndarray) -> go.Scatter:
    return go.Scatter(
        x=places[:, 0],
        y=places[:, 1],
        mode="markers",
        marker={"color": LAYER_COLORS[0], "size": 5, "line": {"color": "#ffffff", "width": 0.6}},
        hoverinfo="skip",
        showlegend=False,
    )
