"""Losses, accuracies and other metrics of several recordings on the same axes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.errors import InputError, Text
from flowplane.plot.figures.metrics import split_name
from flowplane.plot.names import escaped
from flowplane.plot.panels import Grid
from flowplane.plot.style import LAYER_COLORS, epoch_ticks, styled, time_scale

__all__ = ["metrics_compared"]

#: Panels side by side before a new row begins.
COLUMNS = 2
#: How the lines of the parts of the data are drawn, in the order in which they appear.
DASHES = ("solid", "dash", "dot", "dashdot")


def metrics_compared(datasets: Mapping[str, xr.Dataset], title: str = "Training curves") -> go.Figure:
    """The metrics of several recordings against log(epoch), means over replicas: a panel for each quantity, a colour for
    each recording, a kind of line for each part of the data.

    Arguments:
        datasets: `rec.metrics` by the name of the recording.

    Raises:
        InputError: nothing finite to draw.

    Example:
        >>> one = xr.Dataset({"loss": (("replica", "train_epoch"), [[2.0, 1.0]])}, {"train_epoch": [1, 2]})
        >>> [trace.name for trace in metrics_compared({"run A": one, "run B": one / 2}).data]
        ['run A', 'run B']
    """
    curves: dict[str, list[tuple[str, str, xr.DataArray]]] = {}
    for whose, dataset in datasets.items():
        for name in map(str, dataset.data_vars):
            part, quantity = split_name(name)
            mean = dataset[name].where(np.isfinite(dataset[name])).mean("replica").dropna("train_epoch")
            if mean.size:
                curves.setdefault(quantity, []).append((whose, "" if part == quantity else part, mean))
    if not curves:
        raise InputError("datasets", Text("no finite value"), "a metric with something to draw")
    parts = list(dict.fromkeys(part for lines in curves.values() for _, part, _ in lines))
    names = list(datasets)
    last = max(int(mean["train_epoch"].max()) for lines in curves.values() for _, _, mean in lines)
    grid = Grid.of(len(curves), COLUMNS)
    figure = make_subplots(rows=grid.rows, cols=grid.columns, horizontal_spacing=0.12, vertical_spacing=0.2 / grid.rows)
    named: set[str] = set()
    for panel, (quantity, lines) in enumerate(curves.items()):
        for whose, part, mean in lines:
            text = f"{escaped(whose)}, {escaped(part)}" if part else escaped(whose)
            epochs = mean["train_epoch"].values
            line = go.Scatter(
                x=time_scale(epochs),
                y=mean.values,
                mode="lines",
                line={
                    "color": LAYER_COLORS[names.index(whose) % len(LAYER_COLORS)],
                    "dash": DASHES[parts.index(part) % len(DASHES)],
                    "width": 2,
                },
                name=text,
                legendgroup=text,
                showlegend=text not in named,
                customdata=epochs,
                hovertemplate=f"{text}, epoch %{{customdata}}: %{{y:.4f}}<extra></extra>",
            )
            figure.add_trace(line, **grid.place(panel))
            named.add(text)
        figure.update_yaxes(title=escaped(quantity), **grid.place(panel))
        if grid.lowest(panel):
            figure.update_xaxes(title="epoch (logarithmic)", **grid.place(panel))
    places, texts = epoch_ticks(last)
    figure.update_xaxes(tickvals=places, ticktext=texts)
    width, height = (1000 if grid.columns > 1 else 600), 140 + 320 * grid.rows
    return styled(figure, title, "", width=width, height=height, margin={"l": 75, "r": 30, "t": 95, "b": 65})
