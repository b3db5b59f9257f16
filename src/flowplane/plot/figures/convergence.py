"""Does an estimate settle? Against the number of samples, and against the estimator's own parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from flowplane.core.results import long_name, said
from flowplane.errors import InputError, Text
from flowplane.plot.registry import draws
from flowplane.plot.style import COLORSCALE, LAYER_COLORS, axis_title, bar_length, flagged, require_units, styled

__all__ = ["convergence"]

QUANTITIES = ("i_xt", "i_ty")
#: Values that an axis names.
TICKS = 8


@draws("convergence")
def convergence(dataset: xr.Dataset, title: str = "Does the estimate settle?") -> go.Figure:
    """An estimate against the number of samples, and at all the samples against the estimator's own parameter.

    A shaded stretch is a plateau: there the choice of the parameter does not matter.

    Arguments:
        dataset: from `fp.information.convergence`.

    Raises:
        InputError: another kind of Dataset, or nothing finite in it.
    """
    require_units(dataset, QUANTITIES, "bits")
    name = str(dataset.attrs.get("parameter", ""))
    if name not in dataset.dims or "samples" not in dataset.dims:
        raise InputError("dataset", Text(f"dimensions {tuple(dataset.dims)}"), "what fp.information.convergence makes")
    shown = [key for key in QUANTITIES if np.isfinite(dataset[key].values).any()]
    if not shown:
        raise InputError("dataset", Text("no finite value"), "I(X;T) or I(T;Y) of at least one estimate")
    values = dataset[name].values
    numeric = np.issubdtype(values.dtype, np.number)
    logarithmic = numeric and values.min() > 0 and values.max() > 8 * values.min()
    colors = sample_colorscale(COLORSCALE, np.linspace(0, 1, len(values)).tolist())
    figure = make_subplots(rows=2, cols=len(shown), vertical_spacing=0.2, horizontal_spacing=0.12)
    for column, key in enumerate(shown, start=1):
        for k, value in enumerate(values):
            part = dataset[key].isel({name: k})
            figure.add_trace(
                go.Scatter(
                    x=dataset["samples"].values,
                    y=part.mean("draw").values,
                    mode="lines+markers",
                    name=f"{name} = {_number(value)}",
                    legendgroup=str(value),
                    showlegend=column == 1,
                    line={"color": colors[k]},
                    marker={"size": 6},
                    error_y={"array": np.nan_to_num(part.std("draw").values), "width": 3, "thickness": 1},
                ),
                row=1,
                col=column,
            )
        last = dataset.isel(samples=-1, draw=0)
        value, lower, upper = (last[f"{key}{end}"].values for end in ("", "_lower", "_upper"))
        x: Any = values if numeric else [str(part) for part in values]
        fill = ["white" if bad else color for bad, color in zip(flagged(last, key).values, colors, strict=True)]
        reach = {"array": bar_length(upper, value), "arrayminus": bar_length(lower, value), "width": 4}
        figure.add_trace(
            go.Scatter(
                x=x,
                y=value,
                mode="lines+markers",
                showlegend=False,
                line={"color": "#555"},
                marker={"size": 9, "color": fill, "line": {"color": colors, "width": 2}},
                error_y=reach,
            ),
            row=2,
            col=column,
        )
        stretch = dataset[key].attrs.get("plateau")
        if stretch is not None and numeric:
            figure.add_vrect(
                x0=stretch[0], x1=stretch[1], fillcolor=LAYER_COLORS[2], opacity=0.12, line_width=0, row=2, col=column
            )
        figure.update_xaxes(title="samples", **_logarithmic(dataset["samples"].values), row=1, col=column)
        figure.update_xaxes(title=name, **(_logarithmic(values) if logarithmic else {}), row=2, col=column)
        for row in (1, 2):
            figure.update_yaxes(title=axis_title(dataset[key]), rangemode="tozero", row=row, col=column)
    found = [f"{long_name(dataset, key)}: {_plateau(name, dataset[key])}" for key in shown]
    return styled(
        figure,
        title,
        f"{said(dataset, shown[0], 'estimator')} · {' · '.join(found)} · hollow: flagged",
        width=170 + 430 * len(shown),
        height=720,
        margin={"l": 80, "r": 30, "t": 100, "b": 70},
    )


def _logarithmic(values: np.ndarray) -> dict[str, Any]:
    """An axis that names the values themselves, or, where they are many, powers of ten."""
    if len(values) > TICKS:
        return {"type": "log", "dtick": 1}
    return {"type": "log", "tickvals": values.tolist(), "ticktext": [f"{value:,}" for value in values.tolist()]}


def _plateau(name: str, quantity: xr.DataArray) -> str:
    if "plateau" not in quantity.attrs:
        return f"no plateau in {name}"
    first, last = quantity.attrs["plateau"]
    return f"plateau from {name} = {_number(first)} to {_number(last)}"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float | np.number) else str(value)
