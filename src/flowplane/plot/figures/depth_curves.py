"""What depth does: variance, or any other quantity, against the number of layers."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.core.renamed import renamed
from flowplane.errors import InputError, Text
from flowplane.plot.style import LAYER_COLORS, axis_title, require_variables, styled

__all__ = ["depth_curves"]


@renamed
def depth_curves(dataset: xr.Dataset, title: str = "Variance against depth", *, quantity: str = "variance") -> go.Figure:
    """A quantity at the end of the flow against the number of layers, one curve per density; dashed: the continuous limit.

    Arguments:
        dataset: `quantity` over (density, layers), and where they are known `{quantity}_error`, the standard error, and
            `{quantity}_continuous` over density.

    Raises:
        InputError: another kind of Dataset.

    Example:
        >>> variance = (("density", "layers"), [[0.51, 0.42]], {"units": "1", "long_name": "variance"})
        >>> depths = xr.Dataset({"variance": variance}, {"density": ["N(0, 1)"], "layers": [1, 2]})
        >>> depth_curves(depths).data[0].name
        'N(0, 1)'
    """
    require_variables(dataset, (quantity,), "an experiment on depth")
    if set(dataset[quantity].dims) != {"density", "layers"}:
        raise InputError("dataset", Text(f"{quantity} over {dataset[quantity].dims}"), f"{quantity} over (density, layers)")
    layers = dataset["layers"].values
    figure = go.Figure()
    for number, density in enumerate(dataset["density"].values):
        color = LAYER_COLORS[number % len(LAYER_COLORS)]
        part = dataset.sel(density=density)
        error = part.get(f"{quantity}_error")
        figure.add_trace(
            go.Scatter(
                x=layers,
                y=part[quantity].values,
                mode="lines+markers",
                line={"color": color},
                marker={"size": 8},
                name=str(density),
                error_y=None
                if error is None or not (error.values > 0).any()
                else {"array": 2 * error.values, "thickness": 1.2},
            )
        )
        limit = part.get(f"{quantity}_continuous")
        if limit is not None and np.isfinite(float(limit)):
            ends = [layers.min() / 1.2, layers.max() * 1.2]
            figure.add_trace(
                go.Scatter(
                    x=ends,
                    y=[float(limit)] * 2,
                    mode="lines",
                    line={"color": color, "dash": "dash", "width": 1.3},
                    showlegend=False,
                    hovertemplate=f"{density}, continuous: {float(limit):.4g}<extra></extra>",
                )
            )
    figure.update_xaxes(
        type="log",
        title="layers L",
        tickvals=layers,
        ticktext=[str(count) for count in layers],
        range=np.log10([layers.min() / 1.2, layers.max() * 1.2]).tolist(),
    )
    figure.update_yaxes(title=axis_title(dataset[quantity]))
    subtitle = str(dataset.attrs.get("subtitle", "dashed: the continuous flow, L = ∞; bars: two standard errors"))
    return styled(
        figure,
        title,
        subtitle,
        width=760,
        height=500,
        margin={"l": 80, "r": 30, "t": 95, "b": 65},
        showlegend=True,
        legend={"x": 1.02, "y": 1.0, "xanchor": "left"},
    )
