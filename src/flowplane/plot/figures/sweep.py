"""A quantity against a swept parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.core.results import interval, long_name, quantities
from flowplane.errors import InputError, Text
from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, axis_title, bar_length, faded, round_ticks, styled

__all__ = ["sweep"]

#: How far curves stand apart so that their points do not hide one another, in steps of the parameter; as a share of one.
ASIDE = 0.12


@draws("sweep")
def sweep(
    dataset: xr.Dataset,
    quantity: str | None = None,
    *,
    along: str | None = None,
    by: str | None = None,
    title: str = "",
    log: bool = False,
) -> go.Figure:
    """A quantity against a parameter of a sweep: every replica faint, the mean of those that have a value strong, with its
    95 % t-interval over replicas; a curve for each value of another parameter.

    Arguments:
        dataset: as `fp.sweep` gives it; `quantity` over (`along`, `by`, replica), NaN where a replica has none.
        quantity: its `units` and `long_name` label the axis; None for the first over replicas and one or two parameters.
        along: the parameter across; its values are set evenly, in their order. None for the quantity's first dimension,
            and `by` is then the second.
        by: a curve for each of its values; None for one curve.
        log: whether the quantity's axis is logarithmic; means are then geometric.

    Raises:
        InputError: another kind of Dataset.

    Example:
        >>> epochs = xr.Variable(("hidden", "replica"), [[90, 110], [40, 50]], {"units": "epochs", "long_name": "to 95 %"})
        >>> found = xr.Dataset({"epochs": epochs}, {"hidden": [1, 2]})
        >>> sweep(found, "epochs", along="hidden", log=True).layout.yaxis.title.text
        'to 95 % [epochs]'
    """
    if not isinstance(dataset, xr.Dataset):
        raise InputError("dataset", Text(type(dataset).__name__), "a Dataset, as fp.sweep makes it")
    quantity = _first(dataset) if quantity is None else quantity
    if along is None and quantity in dataset:
        along, by = [*_parameters(dataset[quantity]), by, by][:2]
    if quantity not in dataset or set(dataset[quantity].dims) != {along, "replica"} | ({by} if by else set()):
        have = f"{list(dataset.data_vars)} over {list(dataset.dims)}"
        raise InputError("dataset", Text(have), f"{quantity} over {', '.join(filter(None, (along, by, 'replica')))}")
    texts = [str(value) for value in dataset[along].values.tolist()]
    figure = go.Figure()
    curves: list[Any] = dataset[by].values.tolist() if by else [None]
    for number, value in enumerate(curves):
        part = dataset[quantity] if by is None else dataset[quantity].sel({by: value})
        values = part.transpose(along, "replica").values.astype(float)
        places = np.arange(len(texts)) + ASIDE * (number - (len(curves) - 1) / 2)
        _curve(figure, places, values, LAYER_COLORS[number % len(LAYER_COLORS)], "" if by is None else str(value), log)
    label = axis_title(dataset[quantity])
    axis = dataset[along].attrs.get("long_name", str(along).replace("_", " "))
    figure.update_xaxes(title=axis, tickvals=list(range(len(texts))), ticktext=texts, range=[-0.5, len(texts) - 0.5])
    figure.update_yaxes(title=label, **round_ticks(dataset[quantity].values.astype(float)) if log else {"type": "linear"})
    return styled(
        figure,
        title or f"{long_name(dataset, quantity)}, by {axis}",
        _about(dataset[quantity].values.astype(float), log),
        width=820,
        height=520,
        margin={"l": 85, "r": 30, "t": 95, "b": 70},
        showlegend=by is not None,
        legend={"x": 1.02, "y": 1.0, "xanchor": "left", "title": {"text": by or ""}},
    )


def _parameters(array: xr.DataArray) -> list[str]:
    return [str(dim) for dim in array.dims if dim != "replica"]


def _first(dataset: xr.Dataset) -> str:
    """The first quantity that can be drawn. Raises InputError where there is none."""
    for name in quantities(dataset):
        array = dataset[name]
        if "replica" in array.dims and len(_parameters(array)) in (1, 2) and array.dtype.kind in "fiu":
            return name
    have = ", ".join(f"{name} over {dataset[name].dims}" for name in quantities(dataset))
    raise InputError("dataset", Text(have or "no quantity"), "one over replica and one or two parameters: select the rest")


def _about(values: np.ndarray, log: bool) -> str:
    """What points and bars are, and that some replicas have no value."""
    lacking = " · without the replicas that have no value" if np.isnan(values).any() else ""
    return f"faint: every replica · strong: their {'geometric ' if log else ''}mean with its 95 % interval{lacking}"


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
    middle, below, above = interval(scaled.T)
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
