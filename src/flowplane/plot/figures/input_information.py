"""I(X;T) against the epoch: what remains of the plane where there are no labels."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.errors import InputError, Text
from flowplane.information.resolution import shown
from flowplane.plot.names import escaped
from flowplane.plot.registry import draws
from flowplane.plot.style import axis_title, epoch_ticks, layer_line, require_units, styled, time_scale

__all__ = ["input_information"]


@draws("information_plane", "measure")
def input_information(dataset: xr.Dataset, title: str = "What each layer knows of its input") -> go.Figure:
    """I(X;T) against log(epoch), one line per layer, the mean of the replicas.

    Arguments:
        dataset: from `fp.information_plane` or `rec.measure` of an estimator, over (replica, epoch, layer); of several
            resolutions 0.1 is drawn.

    Raises:
        InputError: another kind of Dataset, other units, or no finite I(X;T).
    """
    require_units(dataset, ("i_xt",), "bits")
    dataset = shown(dataset)
    if set(dataset["i_xt"].dims) != {"replica", "epoch", "layer"}:
        raise InputError("dataset", Text(f"dimensions {dataset['i_xt'].dims}"), "(replica, epoch, layer)")
    ordered = dataset.sortby("epoch").transpose("replica", "epoch", "layer", ...)
    values = ordered["i_xt"].values
    if not np.isfinite(values).any():
        raise InputError("dataset", Text("no finite I(X;T)"), "at least one to draw")
    epochs = ordered["epoch"].values
    figure = go.Figure()
    for k, name in enumerate(ordered["layer"].values):
        if not np.isfinite(values[:, :, k]).any():
            continue
        known = np.isfinite(values[:, :, k]).any(axis=0)
        hover = f"epoch %{{customdata}}: %{{y:.3f}} bits<extra>{escaped(name)}</extra>"
        figure.add_trace(
            go.Scatter(
                x=time_scale(epochs[known]),
                y=np.nanmean(values[:, known, k], axis=0),
                mode="lines+markers",
                name=escaped(name),
                line=layer_line(k),
                marker={"size": 5},
                customdata=epochs[known],
                hovertemplate=hover,
            )
        )
    places, texts = epoch_ticks(int(epochs[-1]))
    figure.update_xaxes(title="epoch (logarithmic)", tickvals=places, ticktext=texts)
    figure.update_yaxes(title=axis_title(dataset["i_xt"]), rangemode="tozero")
    subtitle = f"{ordered.sizes['replica']} replicas, their mean" if ordered.sizes["replica"] > 1 else "no labels were given"
    return styled(figure, title, subtitle, width=900, height=520, margin={"l": 75, "r": 30, "t": 95, "b": 65})
