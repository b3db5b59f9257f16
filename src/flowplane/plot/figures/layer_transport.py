"""How each layer moves its data: small multiples against depth, one colour per epoch."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from flowplane.core.results import Flags
from flowplane.errors import InputError, Text
from flowplane.plot.names import escaped, layer_texts
from flowplane.plot.panels import Grid
from flowplane.plot.registry import draws
from flowplane.plot.style import (
    COLORSCALE,
    NARROWEST,
    WRAP,
    color_axis,
    common_units,
    in_units,
    require_variables,
    styled,
    time_scale,
)
from flowplane.plot.thinning import columns

__all__ = ["layer_transport"]


class Panel(NamedTuple):
    """Title, the curves that are drawn there, and whether the axis is logarithmic."""

    title: str
    curves: dict[str, str]
    log: bool = False


#: Dashes of a panel's curves, by their order.
DASHES = ("solid", "dot", "dash")
PANELS = (
    Panel("displacement E|x<sub>l</sub> − x<sub>l−1</sub>|²", {"cost": ""}),
    Panel("W₂ of a step", {"wasserstein": "exact", "wasserstein_sliced": "slices, a lower bound"}),
    Panel("optimality W₂²/displacement", {"optimality": "exact", "optimality_sliced": "slices, a lower bound"}),
    Panel("turning of the paths", {"turning": ""}),
    Panel("change of entropy, smoothed Gaussian", {"entropy_change_smoothed": ""}),
    Panel("change of entropy, equal widths", {"entropy_change": "Gaussian", "entropy_change_neighbours": "neighbours"}),
    Panel("change of volume, equal widths", {"log_det": "log|det|", "log_det_affine": "best affine map"}),
    Panel("score energy, smoothed Gaussian", {"score_energy": ""}, True),
    Panel("participation ratio", {"participation": ""}, True),
    Panel("accuracy of a linear probe", {"probe": ""}),
    Panel("Fisher ratio of classes", {"fisher": ""}, True),
    Panel("W₂ of classes over size", {"distances": ""}, True),
)
#: Pixels.
PANEL_WIDTH, PANEL_HEIGHT, GAP, TOP, LINE = 290, 190, 50, 135, 16
#: Letters in a line of the subtitle.
WRAPPED = 130
#: Layers from which not every one is named on the axis.
NAMED = 12
INPUTS = {"color": "#777", "dash": "dashdot", "width": 1.3}


@draws("layer_transport")
def layer_transport(dataset: xr.Dataset, title: str = "How each layer moves its data") -> go.Figure:
    """Displacement, W_2, optimality, entropy, volume, score energy, dimension and class separation against depth.

    Means over the replicas, one colour per epoch. Dash-dotted: the inputs, where they are points. The subtitle says what
    has no values, and why.

    Arguments:
        dataset: from `fp.layer_transport`.

    Raises:
        InputError: another kind of Dataset, different units in one panel, or nothing finite to draw.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), epochs=2, replicas=1)
        >>> figure = fp.plot.layer_transport(fp.layer_transport(rec, samples=100))
        >>> figure.layout.annotations[0].text, figure.layout.xaxis.tickvals
        ('displacement E|x<sub>l</sub> − x<sub>l−1</sub>|²', (1, 2))
    """
    require_variables(dataset, [name for panel in PANELS for name in panel.curves], "fp.layer_transport")
    shown = dataset.sortby("epoch").transpose("replica", "epoch", "layer", ...)
    epochs = shown["epoch"].values
    times = time_scale(epochs)
    places = (times - times[0]) / max(times[-1] - times[0], 1e-9)
    colors = sample_colorscale(COLORSCALE, places.tolist())
    known = [panel for panel in PANELS if any(np.isfinite(shown[name]).any() for name in panel.curves)]
    if not known:
        raise InputError("dataset", Text("no finite value"), "what fp.layer_transport makes, with something to draw")
    missing = _reasons(shown, [panel for panel in PANELS if panel not in known])
    grid, top = Grid.of(len(known)), TOP + LINE * len(missing)
    texts = layer_texts(shown)
    room = 55 if max(map(len, texts)) <= 3 else 35 + 5 * max(map(len, texts))
    height = top + grid.rows * PANEL_HEIGHT + (grid.rows - 1) * GAP + room
    figure = make_subplots(
        rows=grid.rows,
        cols=grid.columns,
        subplot_titles=[panel.title for panel in known],
        horizontal_spacing=0.085,
        vertical_spacing=GAP / (height - top - room),
    )
    for note in figure.layout.annotations:
        note.update(font={"size": 13})
    for number, panel in enumerate(known):
        place = grid.place(number)
        for trace in _curves(shown, panel, colors):
            figure.add_trace(trace, **place)
        units = in_units(common_units(shown, panel.curves))
        figure.update_yaxes(title={"text": units, "standoff": 4, "font": {"size": 12}}, **place)
        if panel.log:
            _log_axis(figure, np.concatenate([shown[name].values.ravel() for name in panel.curves]), place)
    depth = np.arange(1, len(texts) + 1)
    every = -(-len(texts) // NAMED)
    figure.add_trace(
        go.Scatter(
            x=[None],
            y=[None],
            mode="markers",
            showlegend=False,
            hoverinfo="skip",
            marker={"color": [float(times[0])], "coloraxis": "coloraxis"},
        ),
        row=1,
        col=1,
    )
    figure.update_xaxes(range=[0.6, len(texts) + 0.4], tickvals=depth[::every].tolist(), showticklabels=False)
    for number in filter(grid.lowest, range(len(known))):
        figure.update_xaxes(
            title={"text": "layer", "standoff": 6, "font": {"size": 13}},
            showticklabels=True,
            ticktext=texts[::every],
            tickangle=0 if room == 55 else -60,
            tickfont={"size": 11},
            **grid.place(number),
        )
    figure.update_yaxes(tickfont={"size": 11})
    return styled(
        figure,
        title,
        "<br>".join([_subtitle(shown), *([WRAP.join(missing)] if missing else [])]),
        width=max(130 + grid.columns * PANEL_WIDTH, NARROWEST),
        height=height,
        showlegend=False,
        margin={"l": 70, "r": 75, "t": top, "b": room},
        coloraxis=color_axis(epochs, times),
    )


def _curves(shown: xr.Dataset, panel: Panel, colors: list[str]) -> list[go.Scatter]:
    """One curve per epoch and quantity, and the inputs as a straight line."""
    traces = []
    depth = np.arange(1, shown.sizes["layer"] + 1)
    full = [escaped(name) for name in shown["layer"].values]
    for order, (name, label) in enumerate(panel.curves.items()):
        values = shown[name].values
        values = np.where(np.isfinite(values), values, np.nan)
        known = np.isfinite(values).any(0)
        mean = np.divide(np.nansum(values, 0), np.isfinite(values).sum(0), out=np.full(known.shape, np.nan), where=known)
        if panel.log:
            mean = np.where(mean > 0, mean, np.nan)
        for epoch, row, color in zip(shown["epoch"].values, mean, colors, strict=True):
            if not np.isfinite(row).any():
                continue
            says = f"{label + ', ' if label else ''}epoch {epoch:,}<br>%{{customdata}}: %{{y:.4g}}<extra></extra>"
            traces.append(
                go.Scatter(
                    x=depth,
                    y=row,
                    mode="lines+markers",
                    line={"color": color, "width": 1.5, "dash": DASHES[order]},
                    marker={"size": 4, "symbol": "circle" if order == 0 else "circle-open"},
                    name=label or panel.title,
                    meta=columns(layer=shown["layer"].values, epoch=[epoch]),
                    customdata=full,
                    hovertemplate=says,
                    showlegend=False,
                )
            )
        start = shown.get(f"{name}_input")
        if start is not None and np.isfinite(float(start)) and traces:
            traces.append(
                go.Scatter(
                    x=[0.6, len(depth) + 0.4],
                    y=[float(start)] * 2,
                    mode="lines",
                    line=INPUTS,
                    name="the inputs",
                    meta=columns(layer=[""]),
                    showlegend=False,
                    hovertemplate="the inputs: %{y:.4g}<extra></extra>",
                )
            )
    return traces


def _reasons(shown: xr.Dataset, panels: list[Panel]) -> list[str]:
    """Why some panels are not there, in lines."""
    why: dict[str, list[str]] = {}
    for panel in panels:
        reasons = dict.fromkeys(reason for name in panel.curves for reason in _missing(shown, name))
        if not reasons and any(np.isneginf(shown[name]).any() for name in panel.curves):
            reasons = {"−∞: the derivative is singular": None}
        why.setdefault(" and ".join(reasons) or "no finite value", []).append(panel.title)
    said = "; ".join(f"{', '.join(titles)} ({escaped(reason)})" for reason, titles in why.items())
    return textwrap.wrap(f"not shown: {said}", WRAPPED) if said else []


def _missing(shown: xr.Dataset, name: str) -> Iterator[str]:
    """Why values of a quantity are NaN, in its flags' words: for each value the first that is raised."""
    if f"{name}_flags" not in shown:
        return
    words, unexplained = Flags.of(shown[f"{name}_flags"]), np.isnan(shown[name])
    for flag, raised in Flags.raised(shown[f"{name}_flags"]).items():
        if bool((unexplained & raised).any()):
            yield words[flag].meaning or flag
        unexplained = unexplained & ~raised


def _log_axis(figure: go.Figure, values: np.ndarray, place: dict[str, Any]) -> None:
    """A logarithmic axis with a few round numbers: powers of ten, or 1, 2 and 5 of each where the range is short."""
    shown = values[np.isfinite(values) & (values > 0)]
    if len(shown) == 0:
        return
    low, high = float(np.log10(shown.min())), float(np.log10(shown.max()))
    steps = (1,) if high - low > 2 else (1, 2, 5)
    powers = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    ticks = [float(f"{step}e{power}") for power in powers for step in steps]
    figure.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,.10g}" for tick in ticks], **place)


def _subtitle(shown: xr.Dataset) -> str:
    attrs = shown.attrs
    replicas = shown.sizes["replica"]
    parts = (
        attrs.get("network", ""),
        attrs.get("activation", ""),
        attrs.get("task", ""),
        f"{replicas} replicas" if replicas > 1 else "",
        f"{attrs['samples']:,} samples" if "samples" in attrs else "",
        f"embedding: {attrs['embedding']}" if "embedding" in attrs else "",
        f"smoothing s = {attrs['smoothing']:.3g}" if "smoothing" in attrs else "",
    )
    first = " · ".join(escaped(part) for part in parts if part)
    return f"{first}<br>dotted: by slices (a lower bound), by neighbours, of the best affine map · dash-dotted: the inputs"
