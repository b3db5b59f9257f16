"""A quantity while the network learns, read by several estimators."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.core.renamed import renamed
from flowplane.errors import InputError, Text
from flowplane.plot.names import escaped, layer_titles
from flowplane.plot.registry import draws
from flowplane.plot.style import (
    LAYER_COLORS,
    axis_title,
    bar_length,
    epoch_ticks,
    faded,
    flagged,
    require_units,
    styled,
    time_scale,
)

__all__ = ["estimator_curves"]


@draws("compare_estimators")
@renamed
def estimator_curves(
    dataset: xr.Dataset, title: str = "I(X;T) while the network learns", *, quantity: str = "i_xt"
) -> go.Figure:
    """One panel for each network and estimator: a quantity of each layer over the epochs, in bits.

    Strong lines: the mean over replicas, broken where nothing is given. Faint lines: each replica. Bars at the last epoch:
    the estimator's own 95 % interval, averaged over the replicas. Hollow points: a flag is raised in most replicas.

    Arguments:
        dataset: over (estimator, replica, epoch, layer) and perhaps `network`, from `fp.compare_estimators` of Recordings.
        quantity: "i_xt", "i_ty" or "h_t".

    Raises:
        InputError: another kind of Dataset, other units, or nothing finite to draw.
    """
    require_units(dataset, (quantity,), "bits")
    wanted = {"estimator", "replica", "epoch", "layer"}
    if set(dataset[quantity].dims) - {"network"} != wanted:
        raise InputError(
            "dataset", Text(f"dimensions {dataset[quantity].dims}"), f"{', '.join(sorted(wanted))}, perhaps network"
        )
    table = dataset if "network" in dataset.dims else dataset.expand_dims(network=[""])
    table = table.sortby("epoch").transpose("network", "estimator", "replica", "epoch", "layer")
    known = xr.apply_ufunc(np.isfinite, table[quantity])
    if not known.any():
        raise InputError("dataset", Text("no finite value"), f"{quantity} of at least one layer")
    table, left_out = _with_values(table, known)
    networks, names = ([str(part) for part in table[dim].values] for dim in ("network", "estimator"))
    titles = [" · ".join(filter(None, (network, name))) for name in names for network in networks]
    rows, columns = len(names), len(networks)
    # gaps in pixels, whatever the number of panels
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=titles,
        horizontal_spacing=60 / (60 + 380 * columns),
        vertical_spacing=65 / (220 * rows),
    )
    epochs = table["epoch"].values
    ticks, texts = epoch_ticks(int(epochs[-1]))
    for row in range(1, rows + 1):
        for column in range(1, columns + 1):
            part = table.isel(network=column - 1, estimator=row - 1)
            for trace in _curves(part, quantity, time_scale(epochs), first=row == column == 1):
                figure.add_trace(trace, row=row, col=column)
            values = part[quantity].values[np.isfinite(part[quantity].values)]
            # by the values: an interval may reach far beyond them
            top = max(float(values.max()), 0.01) if len(values) else 1.0
            low = min(float(values.min()), 0.0) if len(values) else 0.0
            label = axis_title(table[quantity]) if column == 1 else None
            figure.update_yaxes(title=label, range=[low - 0.04 * top, 1.2 * top], row=row, col=column)
            figure.update_xaxes(
                tickvals=ticks,
                ticktext=texts,
                range=[-0.06, time_scale(epochs[-1:])[0] * 1.04],
                title="epoch" if row == rows else None,
                row=row,
                col=column,
            )
    figure.update_annotations(font_size=13)
    height = 190 + 220 * rows
    missing = f"; not given, see fp.explain: {escaped(', '.join(left_out))}" if left_out else ""
    return styled(
        figure,
        title,
        "strong: mean of the replicas; faint: each replica; bars: the estimator's own 95 % interval; hollow: flagged;"
        f"<br>every panel has its own scale{missing}",
        width=max(120 + 380 * columns, 760),
        height=height,
        margin={"l": 75, "r": 25, "t": 125, "b": 105},
        legend={"orientation": "h", "x": 0, "y": -55 / (height - 230), "yanchor": "top"},
    )


def _with_values(table: xr.Dataset, known: xr.DataArray) -> tuple[xr.Dataset, list[str]]:
    """Without the networks and estimators of which nothing is known, and the names of these."""
    left_out = []
    for dim in ("network", "estimator"):
        there = known.any([other for other in known.dims if other != dim]).values
        left_out += [str(name) for name in table[dim].values[~there]]
        table, known = table.isel({dim: there}), known.isel({dim: there})
    return table, left_out


def _curves(part: xr.Dataset, quantity: str, times: np.ndarray, first: bool) -> list[go.Scatter]:
    """Each layer's replicas, their mean, and the interval at the last epoch."""
    traces: list[go.Scatter] = []
    layers = [str(layer) for layer in part["layer"].values]
    titles = layer_titles(part)
    for k in range(len(layers)):
        layer = part.isel(layer=k)
        values, color = layer[quantity].values, LAYER_COLORS[k % len(LAYER_COLORS)]
        name = f"layer {titles[k]}"
        faint = {"color": faded(color, 0.25), "width": 1}
        traces += [
            go.Scatter(x=times, y=replica, mode="lines", line=faint, showlegend=False, hoverinfo="skip", legendgroup=name)
            for replica in values
        ]
        finite = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            mean = np.where(finite.any(0), np.nansum(values, axis=0) / np.maximum(finite.sum(0), 1), np.nan)
        reach = [np.zeros(len(times)), np.zeros(len(times))]
        for side, end in enumerate(("_upper", "_lower")):
            last = finite[:, -1]
            away = bar_length(layer[f"{quantity}{end}"].values[last, -1], values[last, -1])
            reach[side][-1] = away.mean() if last.any() else 0.0
        doubtful = flagged(layer, quantity).values.mean(0) > 0.5
        traces.append(
            go.Scatter(
                x=times,
                y=mean,
                mode="lines+markers",
                connectgaps=True,
                name=name,
                legendgroup=name,
                showlegend=first,
                line={"color": color, "width": 2},
                marker={"size": 6, "color": np.where(doubtful, "white", color), "line": {"color": color, "width": 1.3}},
                error_y={"array": reach[0], "arrayminus": reach[1], "thickness": 1.5, "width": 3, "color": color},
            )
        )
    return traces
