"""Stacks beside compositions: displacement fields, and errors with their controls."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.dynamics.diffusion import mean_interval
from flowplane.errors import InputError, Text
from flowplane.plot.arrows import arrow_line
from flowplane.plot.style import LAYER_COLORS, bar_length, faded, styled

__all__ = ["displacement_fields", "equivalence_errors"]

#: Pixels of a panel of arrows.
PANEL = 330


def displacement_fields(fields: xr.Dataset, title: str = "What layers do") -> go.Figure:
    """Arrows from points to where maps take them, to scale: a column a map, a row a layer.

    Arguments:
        fields: `position` over (layer, sample, feature) and `displacement` over (panel, layer, sample, feature), in the
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
    if not isinstance(fields, xr.Dataset) or not {"position", "displacement"} <= set(fields):
        found = list(fields.data_vars) if isinstance(fields, xr.Dataset) else type(fields).__name__
        raise InputError("fields", Text(f"{found}"), "a Dataset with position and displacement")
    if fields.sizes["feature"] != 2:
        raise InputError("fields", Text(f"{fields.sizes['feature']} dimensions"), "points in the plane")
    units = {fields[name].attrs.get("units") for name in ("position", "displacement")}
    if len(units) > 1:
        raise InputError("fields", Text(f"units {sorted(map(str, units))}"), "arrows in the units of the points")
    panels, layers = fields["panel"].values, fields["layer"].values
    places = fields["position"].transpose("layer", "sample", "feature").values
    moves = fields["displacement"].transpose("panel", "layer", "sample", "feature").values
    figure = make_subplots(
        rows=len(layers),
        cols=len(panels),
        shared_xaxes=True,
        shared_yaxes=True,
        horizontal_spacing=0.02,
        vertical_spacing=0.05,
        column_titles=list(map(str, panels)),
        row_titles=[f"layer {layer}" for layer in layers],
    )
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
    everything = np.concatenate([places.reshape(-1, 2), (places + moves).reshape(-1, 2)])
    low, high = everything.min(0), everything.max(0)
    edge = 0.05 * (high - low).max()
    figure.update_xaxes(range=[low[0] - edge, high[0] + edge], constrain="domain")
    figure.update_yaxes(range=[low[1] - edge, high[1] + edge], scaleanchor="x", constrain="domain")
    unit = units.pop()
    figure.update_xaxes(title=f"x₁ [{unit}]", row=len(layers))
    figure.update_yaxes(title=f"x₂ [{unit}]", col=1)
    shape = float(np.clip((high - low + 2 * edge)[1] / (high - low + 2 * edge)[0], 0.4, 1.6))
    return styled(
        figure,
        title,
        "dots: points before the layer · arrows to where it takes them, to scale",
        width=150 + PANEL * len(panels),
        height=170 + round(PANEL * shape) * len(layers),
        margin={"l": 80, "r": 50, "t": 110, "b": 65},
    )


def equivalence_errors(found: xr.Dataset, title: str = "Stack against composition") -> go.Figure:
    """Relative errors by density and layer, a panel a kind of decoders: the mean over seeds with its 95 % interval, every
    seed faint; controls beside it. Dashed: the limit.

    Arguments:
        found: `error` over (decoders, density, seed, against, layer); `limit` among its attributes.

    Raises:
        InputError: another kind of Dataset.

    Example:
        >>> dims = ("decoders", "density", "seed", "against", "layer")
        >>> error = (dims, np.full((1, 1, 2, 2, 1), 0.1), {"units": "1", "long_name": "error"})
        >>> coords = {"decoders": ["affine"], "density": ["N"], "against": ["composition", "control"], "layer": [2]}
        >>> equivalence_errors(xr.Dataset({"error": error}, coords, {"limit": 0.25})).layout.yaxis.type
        'log'
    """
    dims = ("decoders", "density", "seed", "against", "layer")
    if not isinstance(found, xr.Dataset) or "error" not in found or set(found["error"].dims) != set(dims):
        have = list(found.data_vars) if isinstance(found, xr.Dataset) else type(found).__name__
        raise InputError("found", Text(f"{have}"), f"a Dataset with error over ({', '.join(dims)})")
    values = found["error"].transpose("decoders", "against", "seed", "density", "layer").values
    kinds, against = found["decoders"].values, found["against"].values
    figure = make_subplots(
        rows=1,
        cols=len(kinds),
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=[f"{kind} decoders" for kind in kinds],
    )
    texts = [f"{density}<br>layer {layer}" for density in found["density"].values for layer in found["layer"].values]
    for panel in range(len(kinds)):
        for number, name in enumerate(against):
            places = np.arange(len(texts)) + 0.17 * (number - (len(against) - 1) / 2)
            rows = values[panel, number].reshape(found.sizes["seed"], -1)
            color = LAYER_COLORS[number % len(LAYER_COLORS)]
            for trace in _dots(places, rows, color, str(name), first=panel == 0):
                figure.add_trace(trace, row=1, col=1 + panel)
    if "limit" in found.attrs:
        figure.add_hline(y=found.attrs["limit"], line={"color": "#777", "dash": "dash", "width": 1.3})
    figure.update_xaxes(
        tickvals=list(range(len(texts))), ticktext=texts, range=[-0.6, len(texts) - 0.4], tickfont={"size": 11}
    )
    about = found["error"].attrs
    figure.update_yaxes(type="log", dtick=1, exponentformat="power", minor={"ticks": "outside", "dtick": "D1"})
    figure.update_yaxes(title=about.get("long_name", "error"), row=1, col=1)
    limit = " · dashed: the limit" if "limit" in found.attrs else ""
    return styled(
        figure,
        title,
        f"faint: every seed · strong: their geometric mean with its 95 % interval{limit}",
        width=240 + 520 * len(kinds),
        height=520,
        margin={"l": 85, "r": 30, "t": 110, "b": 75},
        legend={"x": 1.01, "y": 1.0, "xanchor": "left", "title": {"text": "against"}},
    )


def _dots(places: np.ndarray, rows: np.ndarray, color: str, name: str, first: bool) -> list[go.Scatter]:
    with np.errstate(divide="ignore"):
        middle, below, above = (np.exp(part) for part in mean_interval(np.log(rows)))
    return [
        go.Scatter(
            x=np.tile(places, len(rows)),
            y=rows.ravel(),
            mode="markers",
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
            marker={"size": 4, "color": faded(color, 0.35)},
        ),
        go.Scatter(
            x=places,
            y=middle,
            mode="markers",
            name=name,
            legendgroup=name,
            showlegend=first,
            marker={"size": 9, "color": color},
            hovertemplate=f"{name}: %{{y:.3g}}<extra></extra>",
            error_y={
                "type": "data",
                "array": bar_length(above, middle),
                "arrayminus": bar_length(below, middle),
                "thickness": 1.5,
                "width": 4,
            },
        ),
    ]
