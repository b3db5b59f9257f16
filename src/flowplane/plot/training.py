"""Training curves."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.errors import InputError, Text
from flowplane.plot.style import LAYER_COLORS, epoch_ticks, styled, time_scale

__all__ = ["training_curves"]

#: Points along each curve; more epochs than this are thinned evenly in log(epoch).
POINTS = 300
PARTS = (("train", LAYER_COLORS[0]), ("test", LAYER_COLORS[3]))
QUANTITIES = (("loss", "cross-entropy [nats]"), ("accuracy", "accuracy [fraction right]"))


def training_curves(metrics: xr.Dataset, title: str = "Training curves") -> go.Figure:
    """Loss and accuracy against log(epoch), training and test: every replica faint, the mean strong.

    Arguments:
        metrics: `rec.metrics`, over (replica, train_epoch).

    Raises:
        InputError: another kind of Dataset.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=2, epochs=2, snapshots=2)
        >>> fp.plot.training_curves(rec.metrics).layout.yaxis.title.text
        'cross-entropy [nats]'
    """
    if not isinstance(metrics, xr.Dataset):
        raise InputError("metrics", Text(type(metrics).__name__), "rec.metrics of a Recording")
    if "train_loss" not in metrics or set(metrics["train_loss"].dims) != {"replica", "train_epoch"}:
        raise InputError(
            "metrics", Text(f"{list(metrics.data_vars)} over {list(metrics.dims)}"), "rec.metrics of a Recording"
        )
    epochs = metrics["train_epoch"].values
    times = time_scale(epochs)
    places = np.unique(np.searchsorted(times, np.linspace(times[0], times[-1], POINTS)).clip(0, len(times) - 1))
    thinned = metrics.isel(train_epoch=places).transpose("replica", "train_epoch")
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.12)
    for column, (quantity, label) in enumerate(QUANTITIES, start=1):
        for part, color in PARTS:
            values = thinned[f"{part}_{quantity}"].values
            if np.isnan(values).all():
                continue
            _curves(figure, column, times[places], values, epochs[places], part, color)
        figure.update_yaxes(title=label, row=1, col=column)
    figure.update_yaxes(rangemode="tozero", row=1, col=1)
    tick_places, texts = epoch_ticks(int(epochs[-1]))
    figure.update_xaxes(title="epoch (logarithmic)", tickvals=tick_places, ticktext=texts)
    replicas = metrics.sizes["replica"]
    subtitle = f"{replicas} replica{'s, each faint; their mean strong' if replicas > 1 else ''}"
    legend = {"orientation": "h", "x": 1.0, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
    return styled(
        figure, title, subtitle, width=1000, height=460, margin={"l": 75, "r": 30, "t": 95, "b": 65}, legend=legend
    )


def _curves(figure: go.Figure, column: int, times: np.ndarray, values: np.ndarray, epochs: np.ndarray, part: str,
            color: str) -> None:  # fmt: skip
    """All replicas as one faint line with gaps, and the mean."""
    gap = np.full((len(values), 1), np.nan)
    figure.add_trace(
        go.Scatter(x=np.tile(np.append(times, np.nan), len(values)).astype(np.float32),
                   y=np.hstack([values, gap]).ravel().astype(np.float32), mode="lines",
                   line={"color": color, "width": 0.8}, opacity=0.18, hoverinfo="skip", showlegend=False),
        row=1, col=column,
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(x=times, y=values.mean(axis=0), mode="lines", line={"color": color, "width": 2.5}, name=part,
                   legendgroup=part, showlegend=column == 1, customdata=epochs,
                   hovertemplate=f"{part}, epoch %{{customdata}}: %{{y:.4f}}<extra></extra>"),
        row=1, col=column,
    )  # fmt: skip
