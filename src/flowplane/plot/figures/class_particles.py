"""Particles in the plane by class, after more and more layers."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.core.renamed import renamed
from flowplane.errors import InputError, Text
from flowplane.plot.panels import Grid
from flowplane.plot.style import LAYER_COLORS, require_variables, styled

__all__ = ["class_particles"]

CLASS_COLORS = (LAYER_COLORS[0], LAYER_COLORS[3], LAYER_COLORS[2], LAYER_COLORS[4])


@renamed
def class_particles(dataset: xr.Dataset, title: str = "Two moons by depth") -> go.Figure:
    """Particles in the plane, coloured by class, one panel per depth, all on the same axes.

    Arguments:
        dataset: `position` over (panel, sample, feature), two features, with the coordinates `panel`, the titles, and
            `label` over sample, the classes.

    Raises:
        InputError: another kind of Dataset, other dimensions, more than two features, no labels.

    Example:
        >>> points = np.random.default_rng(0).normal(size=(2, 10, 2))
        >>> coords = {"panel": ["raw", "L = 1"], "label": ("sample", np.arange(10) % 2)}
        >>> len(class_particles(xr.Dataset({"position": (("panel", "sample", "feature"), points)}, coords)).data)
        4
    """
    require_variables(dataset, ("position", "label"), "the experiment deep-features")
    particles = dataset["position"]
    if particles.dims != ("panel", "sample", "feature") or particles.sizes["feature"] != 2:
        found = Text(f"position over {dict(particles.sizes)}")
        raise InputError("dataset", found, "position over (panel, sample, feature), two features")
    names = [str(name) for name in dataset["panel"].values]
    grid = Grid.of(len(names))
    rows = grid.rows
    figure = make_subplots(
        rows=rows, cols=grid.columns, subplot_titles=names, horizontal_spacing=0.03, vertical_spacing=0.16 / rows
    )
    labels = dataset["label"].values
    for panel, points in enumerate(particles.values):
        for number, label in enumerate(np.unique(labels)):
            chosen = points[labels == label]
            figure.add_trace(
                go.Scattergl(
                    x=chosen[:, 0],
                    y=chosen[:, 1],
                    mode="markers",
                    name=f"class {label}",
                    showlegend=panel == 0,
                    marker={"size": 4, "color": CLASS_COLORS[number % len(CLASS_COLORS)], "opacity": 0.55},
                ),
                **grid.place(panel),
            )
    low, high = particles.values.min((0, 1)), particles.values.max((0, 1))
    pad = 0.05 * (high - low).max()
    figure.update_xaxes(range=[low[0] - pad, high[0] + pad])
    figure.update_yaxes(range=[low[1] - pad, high[1] + pad])
    for panel in range(len(names)):
        place = grid.place(panel)
        figure.update_xaxes(title="x₁" if place["row"] == rows else None, showticklabels=place["row"] == rows, **place)
        figure.update_yaxes(title="x₂" if place["col"] == 1 else None, showticklabels=place["col"] == 1, **place)
    width = 400
    shape = float((high - low + 2 * pad)[1] / (high - low + 2 * pad)[0])
    return styled(
        figure,
        title,
        str(dataset.attrs.get("subtitle", "the same particles in every panel")),
        width=120 + width * grid.columns + 60,
        height=int(150 + rows * (width * shape + 50)),
        margin={"l": 70, "r": 30, "t": 110, "b": 60},
        showlegend=True,
        legend={"x": 1.01, "y": 1.0, "xanchor": "left"},
    )
