"""Estimators side by side: a table as a figure, curves over training, and what an estimate depends on."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from flowplane.errors import InputError, Text
from flowplane.plot.names import layer_titles
from flowplane.plot.style import COLORSCALE, LAYER_COLORS, bar_length, epoch_ticks, faded, require_units, styled, time_scale

__all__ = ["estimator_convergence", "estimator_curves", "estimators"]

QUANTITIES = {"i_xt": "I(X;T)", "i_ty": "I(T;Y)"}
MISSING = "not given"


def estimators(table: xr.Dataset, title: str = "One layer, read by several estimators") -> go.Figure:
    """I(X;T) and I(T;Y) of each estimator with its 95 % interval; hollow where a flag says that it cannot be believed.

    Arguments:
        table: over `estimator` alone, from `fp.compare_estimators`; of a Recording, one replica, epoch and layer of it.

    Raises:
        InputError: another kind of Dataset, or other units.

    Example:
        >>> import numpy as np
        >>> import flowplane as fp
        >>> layer = np.random.default_rng(0).normal(size=(100, 2))
        >>> table = fp.compare_estimators(layer, layer[:, 0] > 0, estimators=[fp.Binned(8), fp.GaussianMI()])
        >>> fp.plot.estimators(table).layout.xaxis.title.text
        'I(X;T) [bits]'
    """
    require_units(table, tuple(QUANTITIES), "bits")
    table = table.squeeze([dim for dim in table["i_xt"].dims if dim != "estimator" and table.sizes[dim] == 1])
    if table["i_xt"].dims != ("estimator",):
        raise InputError(
            "table", Text(f"dimensions {table['i_xt'].dims}"), "(estimator,): select one of each other dimension"
        )
    names = [str(name) for name in table["estimator"].values]
    valid = table["flags"].values == 0
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06)
    for column, (quantity, label) in enumerate(QUANTITIES.items(), start=1):
        value, lower, upper = (table[f"{quantity}{end}"].values for end in ("", "_lower", "_upper"))
        for good, name in ((True, "no flag"), (False, "flagged: see fp.explain")):
            chosen = np.isfinite(value) & (valid == good)
            reach = [bar_length(end, value) for end in (upper, lower)]
            figure.add_trace(
                go.Scatter(
                    x=value[chosen],
                    y=[names[k] for k in np.flatnonzero(chosen)],
                    mode="markers",
                    name=name,
                    legendgroup=name,
                    showlegend=column == 1,
                    error_x={
                        "array": reach[0][chosen],
                        "arrayminus": reach[1][chosen],
                        "thickness": 1.5,
                        "width": 4,
                        "color": LAYER_COLORS[0] if good else "#999",
                    },
                    marker={
                        "size": 10,
                        "color": LAYER_COLORS[0] if good else "white",
                        "line": {"color": LAYER_COLORS[0] if good else "#999", "width": 2},
                    },
                ),
                row=1,
                col=column,
            )
        domain = "x domain" if column == 1 else "x2 domain"
        for k in np.flatnonzero(~np.isfinite(value)):
            figure.add_annotation(
                x=0.02,
                xref=domain,
                y=names[k],
                yref="y",
                text=MISSING,
                showarrow=False,
                xanchor="left",
                font={"size": 12, "color": "#777"},
            )
        for k in np.flatnonzero(np.isfinite(value) & np.isposinf(upper)):
            figure.add_annotation(
                x=value[k],
                y=names[k],
                text="⟶",
                showarrow=False,
                xanchor="left",
                xshift=5,
                yshift=1,
                font={"size": 16, "color": LAYER_COLORS[0] if valid[k] else "#999"},
                row=1,
                col=column,
            )
        figure.update_xaxes(title=f"{label} [bits]", rangemode="tozero", row=1, col=column)
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    return styled(
        figure,
        title,
        "bars: 95 % interval, → without upper end · each has a channel of its own: I(X;T) need not agree",
        width=950,
        height=170 + 42 * len(names),
        margin={"l": 120, "r": 30, "t": 90, "b": 90},
        legend={"orientation": "h", "x": 1.0, "xanchor": "right", "y": -0.28, "yanchor": "top"},
    )


def estimator_curves(table: xr.Dataset, title: str = "I(X;T) while the network learns", quantity: str = "i_xt") -> go.Figure:
    """One panel for each network and estimator: a quantity of each layer over the epochs, in bits.

    Strong lines: the mean over replicas, broken where nothing is given. Faint lines: each replica. Bars at the last epoch:
    the estimator's own 95 % interval, averaged over the replicas. Hollow points: a flag is raised in most replicas.

    Arguments:
        table: over (estimator, replica, epoch, layer) and perhaps `network`, from `fp.compare_estimators` of Recordings.
        quantity: "i_xt", "i_ty" or "h_t".

    Raises:
        InputError: another kind of Dataset, or other units.
    """
    require_units(table, (quantity,), "bits")
    wanted = {"estimator", "replica", "epoch", "layer"}
    if set(table[quantity].dims) - {"network"} != wanted:
        raise InputError(
            "table", Text(f"dimensions {table[quantity].dims}"), f"{', '.join(sorted(wanted))}, perhaps network"
        )
    if "network" not in table.dims:
        table = table.expand_dims(network=[""])
    table = table.sortby("epoch").transpose("network", "estimator", "replica", "epoch", "layer")
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
            if not len(values):
                place = (row - 1) * columns + column
                axis = "" if place == 1 else str(place)
                figure.add_annotation(
                    x=0.5,
                    y=0.5,
                    xref=f"x{axis} domain",
                    yref=f"y{axis} domain",
                    showarrow=False,
                    text=f"{MISSING}: see fp.explain",
                    font={"color": "#777"},
                )
            # by the values: an interval may reach far beyond them
            top = max(float(values.max()), 0.01) if len(values) else 1.0
            low = min(float(values.min()), 0.0) if len(values) else 0.0
            label = f"{_label(quantity)} [bits]" if column == 1 else None
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
    return styled(
        figure,
        title,
        "strong: mean of the replicas; faint: each replica; bars: the estimator's own 95 % interval; hollow: "
        "flagged<br>every panel has its own scale",
        width=max(120 + 380 * columns, 760),
        height=height,
        margin={"l": 75, "r": 25, "t": 125, "b": 105},
        legend={"orientation": "h", "x": 0, "y": -55 / (height - 230), "yanchor": "top"},
    )


def _label(quantity: str) -> str:
    return QUANTITIES.get(quantity, "H(T)")


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
        flagged = (layer["flags"].values != 0).mean(0) > 0.5
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
                marker={"size": 6, "color": np.where(flagged, "white", color), "line": {"color": color, "width": 1.3}},
                error_y={"array": reach[0], "arrayminus": reach[1], "thickness": 1.5, "width": 3, "color": color},
            )
        )
    return traces


def estimator_convergence(curve: xr.Dataset, title: str = "Does the estimate settle?") -> go.Figure:
    """An estimate against the number of samples, and at all the samples against the estimator's own parameter.

    A shaded stretch is a plateau: there the choice of the parameter does not matter.

    Arguments:
        curve: from `fp.information.convergence`.

    Raises:
        InputError: another kind of Dataset, or nothing finite in it.
    """
    require_units(curve, tuple(QUANTITIES), "bits")
    name = str(curve.attrs.get("parameter", ""))
    if name not in curve.dims or "samples" not in curve.dims:
        raise InputError("curve", Text(f"dimensions {tuple(curve.dims)}"), "what fp.information.convergence makes")
    shown = {key: label for key, label in QUANTITIES.items() if np.isfinite(curve[key].values).any()}
    if not shown:
        raise InputError("curve", Text("no finite value"), "I(X;T) or I(T;Y) of at least one estimate")
    values = curve[name].values
    numeric = np.issubdtype(values.dtype, np.number)
    logarithmic = numeric and values.min() > 0 and values.max() > 8 * values.min()
    colors = sample_colorscale(COLORSCALE, np.linspace(0, 1, len(values)).tolist())
    plateaus = json.loads(str(curve.attrs.get("plateau", "{}")))
    figure = make_subplots(rows=2, cols=len(shown), vertical_spacing=0.2, horizontal_spacing=0.12)
    for column, (key, label) in enumerate(shown.items(), start=1):
        for k, value in enumerate(values):
            part = curve[key].isel({name: k})
            figure.add_trace(
                go.Scatter(
                    x=curve["samples"].values,
                    y=part.mean("draw").values,
                    mode="lines+markers",
                    name=f"{name} = {_number(value)}",
                    legendgroup=str(value),
                    showlegend=column == 1,
                    line={"color": colors[k]},
                    marker={"size": 6},
                    error_y={"array": np.nan_to_num(part.std("draw").values), "width": 3, "thickness": 1},
                ),
                row=1,
                col=column,
            )
        last = curve.isel(samples=-1, draw=0)
        value, lower, upper = (last[f"{key}{end}"].values for end in ("", "_lower", "_upper"))
        flagged = last["flags"].values != 0
        x: Any = values if numeric else [str(part) for part in values]
        fill = ["white" if bad else color for bad, color in zip(flagged, colors, strict=True)]
        reach = {"array": bar_length(upper, value), "arrayminus": bar_length(lower, value), "width": 4}
        figure.add_trace(
            go.Scatter(
                x=x,
                y=value,
                mode="lines+markers",
                showlegend=False,
                line={"color": "#555"},
                marker={"size": 9, "color": fill, "line": {"color": colors, "width": 2}},
                error_y=reach,
            ),
            row=2,
            col=column,
        )
        stretch = plateaus.get(key)
        if stretch and numeric:
            figure.add_vrect(
                x0=stretch[0], x1=stretch[1], fillcolor=LAYER_COLORS[2], opacity=0.12, line_width=0, row=2, col=column
            )
        figure.update_xaxes(title="samples", type="log", dtick="D2" if len(curve["samples"]) < 9 else 1, row=1, col=column)
        figure.update_xaxes(title=name, type="log" if logarithmic else None, row=2, col=column)
        for row in (1, 2):
            figure.update_yaxes(title=f"{label} [bits]", rangemode="tozero", row=row, col=column)
    found = [f"{shown[key]}: {_said(name, plateaus.get(key))}" for key in shown]
    return styled(
        figure,
        title,
        f"{curve.attrs.get('estimator', '')} · {' · '.join(found)} · hollow: flagged",
        width=170 + 430 * len(shown),
        height=720,
        margin={"l": 80, "r": 30, "t": 100, "b": 70},
    )


def _said(name: str, stretch: list[Any] | None) -> str:
    if not stretch:
        return f"no plateau in {name}"
    return f"plateau from {name} = {_number(stretch[0])} to {_number(stretch[1])}"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float | np.number) else str(value)
