"""How many steps flows need: the error of their ends against evaluations of the velocity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, axis_title, panels_of, require_units, styled

__all__ = ["steps"]

SOLVERS = {"euler": ("Euler", "solid", "circle"), "heun": ("Heun", "dash", "square")}
NEEDED = ("distance", "evaluations", "adaptive_distance", "adaptive_evaluations")


@draws("steps")
def steps(
    dataset: xr.Dataset | Mapping[str, xr.Dataset], title: str = "How many evaluations of the velocity are enough"
) -> go.Figure:
    """The error of Euler's and Heun's steps and of an adaptive solver, one colour per flow; dotted: the error asked for.

    Arguments:
        dataset: from `flow.steps()`, one or {name: steps}.

    Raises:
        InputError: another kind of Dataset, other units.

    Example:
        >>> import math
        >>> import flowplane as fp
        >>> flow = fp.denoising_flow(fp.Normal(0.0, 1.0), 0.4, layers=math.inf)
        >>> fp.plot.steps(flow.steps(samples=10, numbers=(1, 2))).layout.xaxis.title.text
        'evaluations of the velocity'
    """
    flows = panels_of(dataset, NEEDED, "flow.steps()")
    figure = go.Figure()
    for number, (flow, found) in enumerate(flows.items()):
        require_units(found, ("distance", "adaptive_distance"), "units of x")
        color = LAYER_COLORS[number % len(LAYER_COLORS)]
        curves = {
            name: (found["evaluations"].sel(solver=solver), found["distance"].sel(solver=solver), dash, symbol)
            for solver, (name, dash, symbol) in SOLVERS.items()
        }
        curves["adaptive"] = (found["adaptive_evaluations"], found["adaptive_distance"], "dashdot", "diamond")
        for name, (calls, distance, dash, symbol) in curves.items():
            values = np.where(distance.values > 0, distance.values, np.nan)  # a logarithm has no 0
            label = f"{flow}, {name}" if flow else name
            figure.add_scatter(
                x=calls.values,
                y=values,
                mode="lines+markers",
                name=label,
                line={"color": color, "dash": dash, "width": 2},
                marker={"symbol": symbol, "size": 7},
                hovertemplate=f"{label}<br>%{{x}} evaluations: %{{y:.3g}}<extra></extra>",
            )
        figure.add_hline(y=found.attrs["within"], line={"color": color, "dash": "dot", "width": 1})
    figure.update_xaxes(type="log", dtick=1, title="evaluations of the velocity")
    error = axis_title(next(iter(flows.values()))["distance"], "error √(E|x<sub>N</sub> − x|²)")
    figure.update_yaxes(type="log", dtick=1, title=error, exponentformat="power")
    asked = ";<br>".join(
        f"{'by ' if flow else ''}{flow}{' ' if flow else ''}with {_least(found)}" for flow, found in flows.items()
    )
    more = 16 * len(flows) if len(flows) > 1 else 0  # a line of the subtitle for each flow
    return styled(
        figure,
        title,
        f"dotted: the error asked for, reached {'<br>' if len(flows) > 1 else ''}{asked}",
        width=900,
        height=520 + more,
        margin={"l": 85, "r": 30, "t": 120 + more, "b": 65},
        legend={"x": 1.02, "y": 1.0, "xanchor": "left"},
    )


def _least(found: xr.Dataset) -> str:
    parts, most = [], int(found["steps"].max())
    for solver, (name, _, _) in SOLVERS.items():
        least = float(found["least_steps"].sel(solver=solver))
        parts.append(f"{int(least)} steps of {name}" if np.isfinite(least) else f"more than {most} steps of {name}")
    return ", ".join(parts)
