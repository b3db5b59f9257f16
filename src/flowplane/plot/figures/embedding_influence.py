"""What layers do to points, seen through several embeddings of the layers in one space (§A8)."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.errors import InputError, Text
from flowplane.plot.panels import Grid
from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, axis_title, require_units, require_variables, styled

__all__ = ["embedding_influence"]

#: What is drawn, its units, and its name on the axis.
PANELS = {
    "cost": ("squared units of x", "displacement E|x<sub>l</sub> − x<sub>l−1</sub>|²"),
    "wasserstein": ("units of x", "W₂"),
    "optimality": ("1", "optimality W₂²/E|x<sub>l</sub> − x<sub>l−1</sub>|²"),
    "turning": ("radians", "turning angle"),
}


@draws("embedding_influence")
def embedding_influence(dataset: xr.Dataset, title: str = "Layers in a common space") -> go.Figure:
    """Displacement, W_2, optimality and turning angle of each step between layers, one curve per embedding.

    Arguments:
        dataset: from `fp.transport.embedding_influence`; `network` over it, if it is there, is averaged out.

    Raises:
        InputError: another kind of Dataset, or other units.

    Example:
        >>> import flowplane as fp
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> figure = embedding_influence(fp.transport.embedding_influence([x, x[:, :2], x[:, :1]]))
        >>> [trace.name for trace in figure.data if trace.showlegend]
        ['pad', 'principal', 'procrustes', 'random']
    """
    require_variables(dataset, (*PANELS, "straightness"), "fp.transport.embedding_influence")
    for name, (units, _) in PANELS.items():
        require_units(dataset, (name,), units)
    if not {"embedding", "layer"} <= set(dataset["cost"].dims):
        raise InputError("dataset", Text(f"cost over {dataset['cost'].dims}"), "cost over embedding and layer")
    grid = Grid.of(len(PANELS), 2)
    figure = make_subplots(rows=grid.rows, cols=grid.columns, horizontal_spacing=0.1, vertical_spacing=0.16)
    steps = dataset["layer"].values
    others = [dim for dim in dataset["cost"].dims if dim not in ("embedding", "layer")]
    for number, embedding in enumerate(map(str, dataset["embedding"].values)):
        part = dataset.sel(embedding=embedding)
        color = LAYER_COLORS[number % len(LAYER_COLORS)]
        for panel, name in enumerate(PANELS):
            values = part[name]
            error = values.std(others, ddof=1) if others and values[others[0]].size > 1 else part.get(f"{name}_spread")
            bars = None if error is None else np.nan_to_num(error.mean(others) if set(others) & set(error.dims) else error)
            figure.add_trace(
                go.Scatter(
                    x=steps,
                    y=(values.mean(others) if others else values).values,
                    mode="lines+markers",
                    name=embedding,
                    legendgroup=embedding,
                    showlegend=panel == 0,
                    line={"color": color},
                    marker={"size": 7},
                    error_y=None if bars is None or not (bars > 0).any() else {"array": bars, "thickness": 1.2},
                ),
                **grid.place(panel),
            )
    for panel, (name, (_, label)) in enumerate(PANELS.items()):
        figure.update_xaxes(title="step to layer l", tickvals=steps, **grid.place(panel), range=[0.7, steps.max() + 0.3])
        figure.update_yaxes(
            title=axis_title(dataset[name], label).replace(" [", "<br>["), rangemode="tozero", **grid.place(panel)
        )
        if name == "optimality":
            figure.update_yaxes(range=[0, 1.05], **grid.place(panel))
    means = dataset["straightness"].mean(others) if others else dataset["straightness"]
    paths = ", ".join(f"{name} {float(means.sel(embedding=name)):.2f}" for name in map(str, dataset["embedding"].values))
    return styled(
        figure,
        title,
        f"straightness of the paths: {paths} · bars: standard deviation over networks or random draws",
        width=950,
        height=720,
        margin={"l": 75, "r": 30, "t": 95, "b": 65},
        showlegend=True,
        legend={"x": 1.01, "y": 1.0, "xanchor": "left", "title": {"text": "embedding"}},
    )
