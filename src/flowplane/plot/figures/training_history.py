"""The losses of a training, step by step."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.core.results import long_name
from flowplane.errors import InputError, Text
from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, common_units, in_units, require_variables, styled

__all__ = ["training_history"]

LOSSES = ("training_loss", "held_out_loss")


@draws("training_history")
def training_history(dataset: xr.Dataset, title: str = "Training") -> go.Figure:
    """Both losses against the step; upright: the step whose weights were kept.

    Arguments:
        dataset: the `history` of what `fp.transport.train_denoiser`, `train_score` or `stack` trained.

    Raises:
        InputError: another kind of Dataset, losses in different units, or nothing finite to draw.

    Example:
        >>> import flowplane as fp
        >>> points = fp.Normal(0.0, 1.0).sample(200)
        >>> trained = fp.transport.train_denoiser((4,), points, noise_covariance=0.2, steps=20)
        >>> training_history(trained.history).layout.xaxis.title.text
        'step'
    """
    require_variables(dataset, (*LOSSES, "step"), "fp.transport.train_denoiser")
    if not any(np.isfinite(dataset[name].values).any() for name in LOSSES):
        raise InputError("dataset", Text("no finite loss"), "at least one to draw")
    figure = go.Figure(
        [
            go.Scatter(
                x=dataset["step"].values,
                y=dataset[name].values,
                mode="lines+markers",
                name=long_name(dataset, name),
                line={"color": color, "width": 2},
                marker={"size": 5},
                hovertemplate="step %{x:,}: %{y:.5g}<extra></extra>",
            )
            for name, color in zip(LOSSES, (LAYER_COLORS[0], LAYER_COLORS[3]), strict=True)
        ]
    )
    if "best_step" in dataset.attrs:
        figure.add_vline(x=dataset.attrs["best_step"], line={"color": "#777", "width": 1.3, "dash": "dash"})
    figure.update_xaxes(title="step")
    figure.update_yaxes(title=f"loss {in_units(common_units(dataset, LOSSES))}".rstrip())
    kept = dataset.attrs.get("kept")
    return styled(
        figure,
        title,
        f"dashed: the step of {kept}, which were kept" if kept else "",
        width=850,
        height=480,
        margin={"l": 75, "r": 30, "t": 115, "b": 65},
        legend={"orientation": "h", "x": 1.0, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
    )
