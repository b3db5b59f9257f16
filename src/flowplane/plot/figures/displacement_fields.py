"""What each layer of a stack does to points, beside compositions: arrows in the plane."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.core.renamed import renamed
from flowplane.errors import InputError, Text
from flowplane.plot.arrows import arrow_line
from flowplane.plot.style import LAYER_COLORS, common_units, in_units, require_variables, styled

__all__ = ["displacement_fields"]

#: Pixels of a panel of arrows, and between two of them.
PANEL, GAP = 330, 40


@renamed
def displacement_fields(dataset: xr.Dataset, title: str = "What layers do") -> go.Figure:
    """Arrows from points to where maps take them, to scale: one column per map, one row per layer.

    Arguments:
        dataset: `position` over (layer, sample, feature) and `displacement` over (panel, layer, sample, feature), in the
            plane, in one unit.

    Raises:
        InputError: another kind of Dataset, another dimension, other units for arrows than for points.

    Example:
        >>> move = (("panel", "layer", "sample", "feature"), np.ones((2, 1, 3, 2)), {"units": "units of x"})
        >>> place = (("layer", "sample", "feature"), np.zeros((1, 3, 2)), {"units": "units of x"})
        >>> fields = xr.Dataset({"position": place, "displacement": move}, {"panel": ["stack", "composition"], "layer": [2]})
        >>> len(displacement_fields(fields).data)
        4
    """
    require_variables(dataset, ("position", "displacement"), "the experiment stacked-dae")
    if dataset.sizes["feature"] != 2:
        raise InputError("dataset", Text(f"{dataset.sizes['feature']} dimensions"), "points in the plane")
    unit = in_units(common_units(dataset, ("position", "displacement")))
    panels, layers = dataset["panel"].values, dataset["layer"].values
    places = dataset["position"].transpose("layer", "sample", "feature").values
    moves = dataset["displacement"].transpose("panel", "layer", "sample", "feature").values
    everything = np.concatenate([places.reshape(-1, 2), (places + moves).reshape(-1, 2)])
    low, high = everything.min(0), everything.max(0)
    edge = 0.05 * (high - low).max()
    shape = float(np.clip((high - low + 2 * edge)[1] / (high - low + 2 * edge)[0], 0.4, 1.6))
    plot = round(PANEL * shape) * len(layers) + GAP * (len(layers) - 1)
    figure = make_subplots(
        rows=len(layers),
        cols=len(panels),
        shared_xaxes=True,
        shared_yaxes=True,
        horizontal_spacing=0.02,
        vertical_spacing=GAP / plot,
        subplot_titles=[f"{panel}, layer {layer}" for layer in layers for panel in panels],
    )
    figure.update_annotations(font_size=14)
    for row, start in enumerate(places):
        for column in range(len(panels)):
            arrows = arrow_line(start, moves[column, row], LAYER_COLORS[column % len(LAYER_COLORS)], 1.3, showlegend=False)
            points = go.Scatter(
                x=start[:, 0],
                y=start[:, 1],
                mode="markers",
                marker={"size": 3.5, "color": "#444"},
                hoverinfo="skip",
                showlegend=False,
            )
            for trace in (arrows, points):
                figure.add_trace(trace, row=row + 1, col=column + 1)
    figure.update_xaxes(range=[low[0] - edge, high[0] + edge], constrain="domain")
    figure.update_yaxes(range=[low[1] - edge, high[1] + edge], scaleanchor="x", constrain="domain", constraintoward="top")
    figure.update_xaxes(title=f"x₁ {unit}", row=len(layers))
    figure.update_yaxes(title=f"x₂ {unit}", col=1)
    return styled(
        figure,
        title,
        "dots: points before the layer · arrows to where it takes them, to scale",
        width=150 + PANEL * len(panels),
        height=plot + 175,
        margin={"l": 80, "r": 50, "t": 110, "b": 65},
    )
