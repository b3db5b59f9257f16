"""A quantity against a swept parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.dynamics.diffusion import mean_interval
from flowplane.errors import InputError, Text
from flowplane.plot.style import LAYER_COLORS, bar_length, faded, styled

__all__ = ["swept_curves"]

#: How far curves stand apart so that their points do not hide one another, in steps of the parameter; as a share of one.
ASIDE = 0.12


def swept_curves(
    found: xr.Dataset, quantity: str, along: str, by: str | None = None, title: str = "", log: bool = False
) -> go.Figure:
    """A quantity against a parameter of a sweep: every replica faint, the mean of those that have a value strong, with its
    95 % t-interval over replicas; a curve for each value of another parameter.

    Arguments:
        found: as `fp.sweep` gives it; `quantity` over (`along`, `by`, replica), NaN where a replica has none.
        quantity: its `units` and `long_name` label the axis.
        along: the parameter across; its values are set evenly, in their order.
        by: a curve for each of its values; None for one curve.
        log: whether the quantity's axis is logarithmic; means are then geometric.

    Raises:
        InputError: another kind of Dataset.

    Example:
        >>> epochs = xr.Variable(("hidden", "replica"), [[90, 110], [40, 50]], {"units": "epochs", "long_name": "to 95 %"})
        >>> found = xr.Dataset({"epochs": epochs}, {"hidden": [1, 2]})
        >>> swept_curves(found, "epochs", "hidden", log=True).layout.yaxis.title.text
        'to 95 % [epochs]'
    """
    wanted = {along, "replica"} | ({by} if by else set())
    if not isinstance(found, xr.Dataset) or quantity not in found or set(found[quantity].dims) != wanted:
        have = f"{list(found.data_vars)} over {list(found.dims)}" if isinstance(found, xr.Dataset) else type(found).__name__
        raise InputError("found", Text(have), f"a Dataset with {quantity} over {', '.join(sorted(wanted))}")
    texts = [str(value) for value in found[along].values.tolist()]
    figure = go.Figure()
    curves: list[Any] = found[by].values.tolist() if by else [None]
    for number, value in enumerate(curves):
        part = found[quantity] if by is None else found[quantity].sel({by: value})
        values = part.transpose(along, "replica").values.astype(float)
        places = np.arange(len(texts)) + ASIDE * (number - (len(curves) - 1) / 2)
        _curve(figure, places, values, LAYER_COLORS[number % len(LAYER_COLORS)], "" if by is None else str(value), log)
    about = found[quantity].attrs
    label = about.get("long_name", quantity) + (f" [{about['units']}]" if about.get("units", "1") != "1" else "")
    axis = found[along].attrs.get("long_name", along.replace("_", " "))
    figure.update_xaxes(title=axis, tickvals=list(range(len(texts))), ticktext=texts, range=[-0.5, len(texts) - 0.5])
    figure.update_yaxes(title=label, type="log" if log else "linear")
    return styled(
        figure,
        title or label,
        "faint: every replica · strong: their mean with its 95 % interval",
        width=820,
        height=520,
        margin={"l": 85, "r": 30, "t": 95, "b": 70},
        showlegend=by is not None,
        legend={"x": 1.02, "y": 1.0, "xanchor": "left", "title": {"text": by or ""}},
    )


def _curve(figure: go.Figure, places: np.ndarray, values: np.ndarray, color: str, name: str, log: bool) -> None:
    """Points of all replicas, and their means with intervals."""
    scaled = np.log(values) if log else values
    figure.add_trace(
        go.Scatter(
            x=np.repeat(places, values.shape[1]),
            y=values.ravel(),
            mode="markers",
            showlegend=False,
            hoverinfo="skip",
            legendgroup=name,
            marker={"size": 4, "color": faded(color, 0.25)},
        )
    )
    middle, below, above = mean_interval(scaled.T)
    if log:
        middle, below, above = np.exp(middle), np.exp(below), np.exp(above)
    counts = [f"{count} of {values.shape[1]} replicas" for count in np.isfinite(scaled).sum(1)]
    figure.add_trace(
        go.Scatter(
            x=places,
            y=middle,
            mode="lines+markers",
            name=name,
            legendgroup=name,
            line={"color": color, "width": 2.2},
            marker={"size": 8, "color": color},
            customdata=counts,
            error_y={
                "type": "data",
                "array": bar_length(above, middle),
                "arrayminus": bar_length(below, middle),
                "thickness": 1.5,
                "width": 5,
            },
            hovertemplate=f"{name} %{{y:.4g}}<br>%{{customdata}}<extra></extra>",
        )
    )
