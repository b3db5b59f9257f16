"""Errors over depth and width, as heat maps."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.core.renamed import renamed
from flowplane.errors import InputError, Text
from flowplane.plot.style import COLORSCALE, require_variables, styled

__all__ = ["error_surface"]


@renamed
def error_surface(dataset: xr.Dataset, title: str = "Error over depth and width") -> go.Figure:
    """Root mean square over draws of `error` over (layers, width), one row of panels per kind of units, one column per case.

    Arguments:
        dataset: `error` over (case, units, draw, layers, width) and `displacement` over case, relative to which errors are
            shown.

    Raises:
        InputError: another kind of Dataset.

    Example:
        >>> dims = ("case", "units", "draw", "layers", "width")
        >>> error = (dims, np.ones((1, 2, 3, 2, 2)), {"long_name": "error"})
        >>> coords = {"case": ["line"], "units": ["shared", "own"], "layers": [1, 2], "width": [10, 100]}
        >>> len(error_surface(xr.Dataset({"error": error, "displacement": ("case", [2.0])}, coords)).data)
        2
    """
    require_variables(dataset, ("error", "displacement"), "the experiment double-limit")
    dims = {"case", "units", "draw", "layers", "width"}
    if set(dataset["error"].dims) != dims:
        raise InputError("dataset", Text(f"error over {dataset['error'].dims}"), f"error over {', '.join(sorted(dims))}")
    relative = (dataset["error"] ** 2).mean("draw") ** 0.5 / dataset["displacement"]
    cases, kinds = dataset["case"].values, dataset["units"].values
    figure = make_subplots(
        rows=len(kinds),
        cols=len(cases),
        shared_xaxes=True,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        vertical_spacing=0.09,
        subplot_titles=[f"{case}: {kind} units" for kind in kinds for case in cases],
    )
    layers, widths = [str(each) for each in dataset["layers"].values], [f"{each:,}" for each in dataset["width"].values]
    for row, kind in enumerate(kinds, 1):
        for column, case in enumerate(cases, 1):
            values = relative.sel(case=case, units=kind).transpose("layers", "width").values
            figure.add_trace(
                go.Heatmap(
                    x=widths,
                    y=layers,
                    z=np.log10(values),
                    coloraxis="coloraxis",
                    text=_shown(values),
                    texttemplate="%{text}",
                    hovertemplate="L = %{y}, N = %{x}<br>%{text} of the displacement<extra></extra>",
                ),
                row=row,
                col=column,
            )
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category")
    figure.update_xaxes(title="units per layer, N", row=len(kinds))
    figure.update_yaxes(title="layers L", col=1)
    low, high = float(np.log10(relative.min())), float(np.log10(relative.max()))
    ticks = [value for value in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30) if low <= np.log10(value) <= high]
    bar = {
        "title": {"text": "error", "side": "top"},
        "thickness": 14,
        "outlinewidth": 0,
        "x": 1.01,
        "tickvals": np.log10(ticks).tolist(),
        "ticktext": [f"{value:g}" for value in ticks],
    }
    figure.update_layout(coloraxis={"colorscale": COLORSCALE, "colorbar": bar})
    subtitle = (
        "root mean square distance to the flow at its end, over particles and draws, relative to the flow's displacement"
    )
    return styled(
        figure,
        title,
        subtitle,
        width=170 + 290 * len(cases),
        height=170 + 250 * len(kinds),
        margin={"l": 70, "r": 30, "t": 110, "b": 65},
    )


def _shown(values: np.ndarray) -> list[list[str]]:
    return [[f"{value:.2g}" for value in row] for row in values]
