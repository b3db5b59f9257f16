"""Errors against a scale, on logarithmic axes: of what order do they fall?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.plot.style import LAYER_COLORS, axis_title, require_variables, styled

__all__ = ["error_orders"]

#: Symbols, so that series that coincide can be told apart without colour.
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")


def error_orders(dataset: xr.Dataset, title: str = "Convergence") -> go.Figure:
    """`error` over (series, scale), both axes logarithmic, with a dotted line of the order that is claimed.

    Arguments:
        dataset: `error` over (series, step) and `scale` of the same shape or over step; attributes `order` (the slope that
            is claimed; may be negative), `subtitle`, and `long_name` and `units` on both variables.

    Raises:
        InputError: another kind of Dataset.

    Example:
        >>> error = (("series", "step"), [[0.01, 0.04]], {"long_name": "error"})
        >>> scale = ("step", [0.1, 0.2], {"long_name": "t"})
        >>> errors = xr.Dataset({"error": error, "scale": scale}, {"series": ["shallow"]}, {"order": 2})
        >>> error_orders(errors).data[-1].name
        'order 2'
    """
    require_variables(dataset, ("error", "scale"), "an experiment that compares errors over (series, step)")
    scales = dataset["scale"].astype(float).broadcast_like(dataset["error"]).transpose("series", "step").values
    values = dataset["error"].transpose("series", "step").values
    figure = go.Figure()
    for number, name in enumerate(dataset["series"].values):
        kept = np.isfinite(values[number]) & (values[number] > 0)
        color = LAYER_COLORS[number % len(LAYER_COLORS)]
        figure.add_trace(
            go.Scatter(
                x=scales[number][kept],
                y=values[number][kept],
                mode="lines+markers",
                name=str(name),
                line={"color": color},
                marker={"size": 8, "symbol": SYMBOLS[number % len(SYMBOLS)]},
            )
        )
    order = dataset.attrs.get("order")
    if order is not None:
        ends = np.array([np.nanmin(scales), np.nanmax(scales)])
        positive = np.where(values > 0, values, np.nan)
        anchor = np.exp(np.nanmean(np.log(positive / scales**order)))
        figure.add_trace(
            go.Scatter(
                x=ends,
                y=0.5 * anchor * ends**order,
                mode="lines",
                name=f"order {order:g}",
                hoverinfo="skip",
                line={"color": "#555", "dash": "dot", "width": 1.5},
            )
        )
    for axis, name in ((figure.update_xaxes, "scale"), (figure.update_yaxes, "error")):
        axis(type="log", title=axis_title(dataset[name]))
    ticks = _ticks(float(np.nanmin(scales)), float(np.nanmax(scales)))
    figure.update_xaxes(tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    figure.update_yaxes(exponentformat="power", dtick=1)
    return styled(
        figure,
        title,
        str(dataset.attrs.get("subtitle", "")),
        width=760,
        height=520,
        margin={"l": 85, "r": 30, "t": 95, "b": 65},
        legend={"x": 1.02, "y": 1.0, "xanchor": "left"},
    )


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two numbers, or the powers alone where those would be too many."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    steps = (1, 2, 5) if np.log10(high / low) < 2.5 else (1,)
    return [step * 10.0**power for power in powers for step in steps if 0.95 * low <= step * 10.0**power <= 1.05 * high]
