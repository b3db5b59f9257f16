"""What one layer, or a batch of them, says: each quantity with its interval."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.core.results import BOUNDS, long_name, quantities, said
from flowplane.errors import InputError, Text
from flowplane.plot.names import escaped
from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, axis_title, bar_length, flagged, styled

__all__ = ["estimate"]


@draws("estimate", "mutual_information")
def estimate(dataset: xr.Dataset, title: str = "An estimate of information") -> go.Figure:
    """One panel per quantity: its value with its interval, hollow where a flag says that it cannot be believed; along the
    batch where there is one.

    Arguments:
        dataset: from an estimator on arrays, of one layer or of a batch in one dimension; or from `fp.mutual_information`.

    Raises:
        InputError: another kind of Dataset, a batch in several dimensions, or nothing finite to draw.

    Example:
        >>> import flowplane as fp
        >>> layer = np.random.default_rng(0).normal(size=(100, 2))
        >>> found = fp.Binned(8, range="data")(layer, layer[:, 0] > 0)
        >>> estimate(found).layout.yaxis.title.text
        'I(X;T) [bits]'
    """
    if not isinstance(dataset, xr.Dataset):
        raise InputError("dataset", Text(type(dataset).__name__), "what an estimator makes of arrays")
    names = [name for name in quantities(dataset) if np.isfinite(dataset[name].values).any()]
    if not names:
        raise InputError("dataset", Text("no finite value"), "at least one to draw")
    found = dataset.squeeze()
    dims = found[names[0]].dims
    if len(dims) > 1:
        raise InputError("dataset", Text(f"{names[0]} over {dims}"), "one layer, or a batch in one dimension: select one")
    figure = make_subplots(rows=1, cols=len(names), horizontal_spacing=0.3 / len(names))
    for column, name in enumerate(names, start=1):
        figure.add_trace(_points(found, name), row=1, col=column)
        figure.update_yaxes(title=axis_title(found[name]), rangemode="tozero", row=1, col=column)
        label = {"title": str(dims[0])} if dims else {"tickvals": [0], "ticktext": [_bound(found, name)], "range": [-1, 1]}
        figure.update_xaxes(**label, row=1, col=column)
    told = [said(found, name, "estimator") for name in names]
    told += [f"channel: {said(found, name, 'channel')}" for name in names if said(found, name, "channel")]
    missing = [f"{long_name(dataset, name)} is not given" for name in quantities(dataset) if name not in names]
    parts = dict.fromkeys([*(escaped(text) for text in told if text), *missing, "hollow: flagged, see fp.explain"])
    return styled(
        figure,
        title,
        " · ".join(parts),
        width=120 + 280 * len(names),
        height=430,
        margin={"l": 75, "r": 30, "t": 95, "b": 60},
        showlegend=False,
    )


def _bound(found: xr.Dataset, name: str) -> str:
    bound = said(found, name, "bound")
    return BOUNDS.get(bound, bound)


def _points(found: xr.Dataset, name: str) -> go.Scatter:
    values = np.atleast_1d(found[name].values)
    ends = [np.atleast_1d(found.get(f"{name}_{side}", found[name]).values) for side in ("upper", "lower")]
    color = LAYER_COLORS[0]
    fill = np.where(np.atleast_1d(flagged(found, name).values), "white", color)
    return go.Scatter(
        x=found[found[name].dims[0]].values if found[name].dims else [0],
        y=values,
        mode="markers",
        marker={"size": 10, "color": fill, "line": {"color": color, "width": 2}},
        error_y={"array": bar_length(ends[0], values), "arrayminus": bar_length(ends[1], values), "color": color},
        hovertemplate=f"{long_name(found, name)} = %{{y:.4f}}<extra></extra>",
    )
