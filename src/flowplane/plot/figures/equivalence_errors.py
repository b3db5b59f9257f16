"""Errors of stacks against compositions, with their controls."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.core.renamed import renamed
from flowplane.core.results import interval
from flowplane.errors import InputError, Text
from flowplane.plot.style import LAYER_COLORS, LEGEND_BELOW, axis_title, bar_length, faded, require_variables, styled

__all__ = ["equivalence_errors"]


@renamed
def equivalence_errors(dataset: xr.Dataset, title: str = "Stack against composition") -> go.Figure:
    """Relative errors by density and layer, one panel per kind of decoders: the mean over seeds with its 95 % interval,
    every seed faint; controls beside it. Dashed: the limit.

    Arguments:
        dataset: `error` over (decoders, density, seed, against, layer); `limit` among its attributes.

    Raises:
        InputError: another kind of Dataset.

    Example:
        >>> dims = ("decoders", "density", "seed", "against", "layer")
        >>> error = (dims, np.full((1, 1, 2, 2, 1), 0.1), {"units": "1", "long_name": "error"})
        >>> coords = {"decoders": ["affine"], "density": ["N"], "against": ["composition", "control"], "layer": [2]}
        >>> equivalence_errors(xr.Dataset({"error": error}, coords, {"limit": 0.25})).layout.yaxis.type
        'log'
    """
    dims = ("decoders", "density", "seed", "against", "layer")
    require_variables(dataset, ("error",), "the experiment stacked-dae")
    if set(dataset["error"].dims) != set(dims):
        raise InputError("dataset", Text(f"error over {dataset['error'].dims}"), f"error over ({', '.join(dims)})")
    values = dataset["error"].transpose("decoders", "against", "seed", "density", "layer").values
    kinds, against = dataset["decoders"].values, dataset["against"].values
    figure = make_subplots(
        rows=1,
        cols=len(kinds),
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=[f"{kind} decoders" for kind in kinds],
    )
    densities = [str(density).replace(" ", "<br>") for density in dataset["density"].values]
    texts = [f"{density}<br>layer {layer}" for density in densities for layer in dataset["layer"].values]
    for panel in range(len(kinds)):
        for number, name in enumerate(against):
            places = np.arange(len(texts)) + 0.17 * (number - (len(against) - 1) / 2)
            rows = values[panel, number].reshape(dataset.sizes["seed"], -1)
            color = LAYER_COLORS[number % len(LAYER_COLORS)]
            for trace in _dots(places, rows, color, str(name), first=panel == 0):
                figure.add_trace(trace, row=1, col=1 + panel)
    if "limit" in dataset.attrs:
        figure.add_hline(y=dataset.attrs["limit"], line={"color": "#777", "dash": "dash", "width": 1.3})
    figure.update_xaxes(
        tickvals=list(range(len(texts))), ticktext=texts, range=[-0.6, len(texts) - 0.4], tickangle=0, tickfont={"size": 10}
    )
    figure.update_yaxes(type="log", dtick=1, exponentformat="power", minor={"ticks": "outside", "dtick": "D1"})
    figure.update_yaxes(title=axis_title(dataset["error"]), row=1, col=1)
    limit = " · dashed: the claimed limit" if "limit" in dataset.attrs else ""
    return styled(
        figure,
        title,
        f"faint: every seed · strong: their geometric mean with its 95 % interval{limit}",
        width=115 + 440 * len(kinds),
        height=560,
        margin={"l": 85, "r": 30, "t": 110, "b": 115},
        legend={**LEGEND_BELOW, "y": -0.2, "title": {"text": "against "}},
    )


def _dots(places: np.ndarray, rows: np.ndarray, color: str, name: str, first: bool) -> list[go.Scatter]:
    with np.errstate(divide="ignore"):
        middle, below, above = (np.exp(part) for part in interval(np.log(rows)))
    return [
        go.Scatter(
            x=np.tile(places, len(rows)),
            y=rows.ravel(),
            mode="markers",
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
            marker={"size": 4, "color": faded(color, 0.35)},
        ),
        go.Scatter(
            x=places,
            y=middle,
            mode="markers",
            name=name,
            legendgroup=name,
            showlegend=first,
            marker={"size": 9, "color": color},
            hovertemplate=f"{name}: %{{y:.3g}}<extra></extra>",
            error_y={
                "type": "data",
                "array": bar_length(above, middle),
                "arrayminus": bar_length(below, middle),
                "thickness": 1.5,
                "width": 4,
            },
        ),
    ]
