"""The bound of the information bottleneck and its critical points, as several figures draw them."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.plot.style import require_variables

__all__ = ["BOUND", "CRITICAL", "MARKS", "bound_line", "critical_points", "require_critical", "stability_lost"]

BOUND, CRITICAL = "#000", "#D55E00"
#: Kinds of critical points: their symbol, and what they are called.
MARKS = {"stability lost": ("diamond", "a cluster loses stability"), "clusters change": ("x-thin", "the optimum changes")}


def require_critical(critical: Any) -> None:
    """Raise InputError unless this is None or what `fp.critical_betas` makes."""
    if critical is not None:
        require_variables(critical, ("kind", "i_xt", "i_ty", "beta"), "fp.critical_betas", "critical")


def bound_line(curve: xr.Dataset, right: float) -> go.Scatter:
    """The curve from the origin, and level to the right end of the figure."""
    ordered = curve.sortby("i_xt")
    top = float(curve.attrs.get("i_xy", ordered["i_ty"].values[-1]))
    return go.Scatter(
        x=np.concatenate([[0.0], ordered["i_xt"].values, [right]]),
        y=np.concatenate([[0.0], ordered["i_ty"].values, [top]]),
        mode="lines",
        line={"color": BOUND, "width": 2.5},
        name="the bound",
        hovertemplate="bound<br>I(X;T) = %{x:.3f} bits<br>I(T;Y) = %{y:.3f} bits<extra></extra>",
    )


def critical_points(critical: xr.Dataset | None) -> list[go.Scatter]:
    """Where the curve's solution changes, one trace per kind; none of None."""
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


def stability_lost(critical: xr.Dataset | None) -> list[float]:
    """The β at which a cluster loses stability."""
    if critical is None:
        return []
    return [float(beta) for beta in critical["beta"].values[critical["kind"].values == "stability lost"]]
