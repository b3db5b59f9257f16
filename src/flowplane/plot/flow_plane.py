"""Flows in the plane: density, velocity field and moving particles, with a time slider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.errors import InputError, Text
from flowplane.plot.arrows import arrow_line
from flowplane.plot.slider import add_slider
from flowplane.plot.style import DENSITY_SCALE, log_density, log_density_axis, styled, time_title

__all__ = ["in_the_plane"]

#: Length of the longest arrow, in distances between arrows.
LONGEST = 1.0
#: Traces that move with the slider: density, arrows, particles.
MOVING = 3
PARTICLE = {"color": "#ffffff", "size": 4, "line": {"color": "#222", "width": 0.8}}


def in_the_plane(panels: Mapping[str, xr.Dataset], title: str, start: str) -> go.Figure:
    """Density, velocity field and particles of flows, one panel per flow; the slider moves through time.

    Raises:
        InputError: different times.
    """
    first = next(iter(panels.values()))
    if any(not np.array_equal(history["time"].values, first["time"].values) for history in panels.values()):
        raise InputError("dataset", Text("histories at different times"), "the same times for every panel")
    clock = time_title(panels.values())
    figure = make_subplots(
        rows=1,
        cols=len(panels),
        subplot_titles=[name for name in panels if name],
        shared_yaxes=True,
        horizontal_spacing=0.03,
    )
    logs = [log_density(history["density"].transpose("time", "y", "x").values) for history in panels.values()]
    shown = 0 if start == "first" else first.sizes["time"] - 1
    for column, (history, log) in enumerate(zip(panels.values(), logs, strict=True), start=1):
        begun = history["position"].isel(time=0)
        origin = go.Scatter(
            x=begun.isel(feature=0).values.astype(np.float32),
            y=begun.isel(feature=1).values.astype(np.float32),
            mode="markers",
            marker={"color": "rgba(255,255,255,0.35)", "size": 2.5},
            name="where particles start",
            hoverinfo="skip",
            showlegend=False,
        )
        for trace in (*_moment(history, log, shown), origin):
            figure.add_trace(trace, row=1, col=column)
    times = first["time"].values
    figure.frames = [
        go.Frame(
            name=f"{t:.4g}",
            traces=[(MOVING + 1) * panel + trace for panel in range(len(panels)) for trace in range(MOVING)],
            data=[part for history, log in zip(panels.values(), logs, strict=True) for part in _moment(history, log, k)],
        )
        for k, t in enumerate(times)
    ]
    box = {
        dim: (min(float(h[dim][0]) for h in panels.values()), max(float(h[dim][-1]) for h in panels.values()))
        for dim in ("x", "y")
    }
    _same_scale(figure, box, len(panels))
    add_slider(
        figure,
        {frame.name: frame.name for frame in figure.frames},
        f"{time_title(panels.values())} = ",
        y=-0.13,
        start=0.3,
        active=shown,
    )
    known = any(np.isfinite(log).any() for log in logs)
    figure.update_layout(coloraxis=log_density_axis(logs, DENSITY_SCALE) | {"showscale": known})
    shown_at = f"{clock}, first shown at t = {times[shown]:.3g}"
    subtitle = (
        f"{'colour: density; ' if known else ''}arrows: velocity; circles: particles; faint: where they start; {shown_at}"
    )
    ratio = (box["y"][1] - box["y"][0]) / (box["x"][1] - box["x"][0])
    width = 430 if len(panels) > 1 else 560
    return styled(
        figure,
        title,
        subtitle,
        width=150 + width * len(panels),
        height=int(min(max(width * ratio, 220), 700)) + 235,
        margin={"l": 65, "r": 30, "t": 115 if len(panels) > 1 else 95, "b": 120},
    )


def _moment(history: xr.Dataset, log: np.ndarray, k: int) -> list[Any]:
    """What the slider moves in one panel."""
    now = history.isel(time=k)
    heat = go.Heatmap(
        x=history["x"].values.astype(np.float32),
        y=history["y"].values.astype(np.float32),
        z=log[k].astype(np.float32),
        coloraxis="coloraxis",
        zsmooth="best",
        name="density",
        hovertemplate="(%{x:.2f}, %{y:.2f})<br>log₁₀ p = %{z:.2f}<extra></extra>",
    )
    particles = go.Scatter(
        x=now["position"].isel(feature=0).values.astype(np.float32),
        y=now["position"].isel(feature=1).values.astype(np.float32),
        mode="markers",
        marker=PARTICLE,
        name="particles",
        hoverinfo="skip",
        showlegend=False,
    )
    return [heat, _arrows(history, k), particles]


def _arrows(history: xr.Dataset, k: int) -> go.Scatter:
    """Arrows where there is density to move, as one broken line; lengths go with √|v|, the longest a little over a cell."""
    velocity = history["velocity"].transpose("time", "feature", "arrow_x", "arrow_y").values
    places = np.stack(np.meshgrid(history["arrow_x"].values, history["arrow_y"].values, indexing="ij"))
    known = np.log10(np.maximum(_density_at(history, k, places), 1e-300))
    # what counts is where there is density: far outside the velocity has no bound
    speed = np.hypot(*velocity[k])
    there = (known > known.max() - 3) & np.isfinite(speed) if np.isfinite(known).any() else np.isfinite(speed)
    longest = LONGEST * float(places[0, 1, 0] - places[0, 0, 0])
    length = np.sqrt(speed / max(float(speed[there].max(initial=0.0)), 1e-300)) * longest
    direction = velocity[k] / np.maximum(speed, 1e-300)
    start, move = (np.stack([part[there] for part in pair], 1) for pair in (places, direction * length))
    return arrow_line(start, move, "rgba(120,220,255,0.9)", 1.2, showlegend=False, name="arrows of velocity")


def _density_at(history: xr.Dataset, k: int, places: np.ndarray) -> np.ndarray:
    """The density at the grid points nearest to the arrows."""
    index = [np.abs(history[dim].values[:, None] - history[f"arrow_{dim}"].values).argmin(0) for dim in ("x", "y")]
    density = history["density"].transpose("time", "x", "y").values[k][np.ix_(*index)]
    return np.where(np.isnan(density), 1.0, density).reshape(places.shape[1:])


def _same_scale(figure: go.Figure, box: Mapping[str, tuple[float, float]], panels: int) -> None:
    """All panels show the box that holds every history; beyond a history's own grid there is nothing."""
    figure.update_layout(plot_bgcolor=DENSITY_SCALE[0])
    figure.update_xaxes(title="x₁", range=list(box["x"]), showgrid=False, constrain="domain")
    figure.update_yaxes(range=list(box["y"]), showgrid=False, constrain="domain")
    figure.update_yaxes(title="x₂", col=1)
    for panel in range(1, panels + 1):
        figure.update_yaxes(scaleanchor=f"x{panel if panel > 1 else ''}", scaleratio=1, row=1, col=panel)
