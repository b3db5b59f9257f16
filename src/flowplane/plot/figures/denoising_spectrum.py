"""How hard layers are to denoise against the noise, the information below that curve, and de Bruijn's identity (§C1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.core.results import BOUNDS, interval, said
from flowplane.errors import InputError, Text
from flowplane.plot.names import about, layer_titles
from flowplane.plot.panels import Grid
from flowplane.plot.registry import draws
from flowplane.plot.slider import add_slider
from flowplane.plot.style import faded, layer_line, require_units, require_variables, styled

__all__ = ["denoising_spectrum"]

#: What an axis of resolutions says, and places on it.
RESOLUTION = "resolution (noise / total variance)"
DECADES = [10.0**power for power in range(-6, 7)]
#: Bits below which a logarithmic axis does not go.
FEWEST = 0.01


class Panel(NamedTuple):
    """One panel: what it is called, what its vertical axis says and is, and the traces in it of one layer."""

    title: str
    axis: str
    traces: Callable[[xr.Dataset, int], list[go.Scatter]]
    kind: str = "log"


@draws("denoising_spectrum")
def denoising_spectrum(dataset: xr.Dataset, title: str = "How hard each layer is to denoise") -> go.Figure:
    """Against the resolution, the share of a layer's total variance that is noise, one line per layer: the error that the
    best denoiser leaves (solid) and the best linear one (dotted); the information that lies below that curve, with its
    interval and H(X), where it is known, as a dotted line; and, where the densities are known, both sides of de Bruijn's
    identity, ½ J by the denoiser as lines and dh/dt by the densities as circles. The mean of the replicas, at the last
    epoch; the slider shows others.

    Arguments:
        dataset: from `fp.denoising_spectrum`, over (replica, epoch, layer, resolution).

    Raises:
        InputError: another kind of Dataset, other units, or nothing finite.

    Example:
        >>> import flowplane as fp, torch
        >>> rec = fp.record(torch.nn.Linear(4, 3), torch.randn(60, 4, generator=torch.Generator().manual_seed(0)))
        >>> figure = denoising_spectrum(fp.denoising_spectrum(rec, denoiser="linear"))
        >>> [note.text for note in figure.layout.annotations]
        ['error of denoising', 'information below that curve']
    """
    require_variables(dataset, ("mmse", "linear_mmse", "fisher", "entropy_rate"), "fp.denoising_spectrum")
    require_units(dataset, ("information",), "bits")
    ordered = dataset.sortby("epoch").sortby("resolution").transpose("replica", "epoch", "layer", "resolution", ...)
    if not (np.isfinite(ordered["mmse"]) & np.isfinite(ordered["information"])).any():
        raise InputError("dataset", Text("no finite error of denoising"), "at least one to draw")
    panels, layers = _panels(ordered), layer_titles(ordered)
    epochs = ordered["epoch"].values.tolist()
    grid = Grid.of(len(panels))
    figure = make_subplots(
        rows=1, cols=grid.columns, subplot_titles=[panel.title for panel in panels], horizontal_spacing=0.25 / len(panels)
    )

    def curves(k: int) -> list[tuple[go.Scatter, dict[str, int]]]:
        here, found = ordered.isel(epoch=k), []
        for place, name in enumerate(layers):
            for number, panel in enumerate(panels):
                for trace in panel.traces(here.isel(layer=place), place):
                    shown = trace.legendgroup is None
                    trace.update(name=name, legendgroup=name, showlegend=shown and number == 0)
                    found.append((trace, grid.place(number)))
        return found

    for trace, place in curves(len(epochs) - 1):
        figure.add_trace(trace, **place)
    moving = list(range(len(figure.data)))
    ceiling = float(dataset.attrs.get("input_entropy", np.nan))
    if np.isfinite(ceiling) and ceiling > 0:
        figure.add_trace(_ceiling(ceiling, ordered["resolution"].values), **grid.place(1))
    texts = [f"{value:g}" for value in DECADES]
    for number, panel in enumerate(panels):
        decades = {"tickvals": DECADES, "ticktext": texts} if panel.kind == "log" else {"rangemode": "tozero"}
        named = {"text": panel.axis, "font": {"size": 13}, "standoff": 4}
        figure.update_yaxes(title=named, type=panel.kind, **decades, **grid.place(number))
    figure.update_xaxes(title={"text": RESOLUTION, "font": {"size": 13}}, type="log", tickvals=DECADES, ticktext=texts)
    figure.update_xaxes(range=_reach(ordered["resolution"].values))
    bits = np.append(ordered["information"].mean("replica").values, ceiling)
    figure.update_yaxes(range=_reach(bits[bits > FEWEST], 0.12), **grid.place(1))
    if len(epochs) > 1:
        labels = {str(epoch): f"{epoch:,}" for epoch in epochs}
        figure.frames = [
            go.Frame(name=name, traces=moving, data=[trace for trace, _ in curves(k)]) for k, name in enumerate(labels)
        ]
        add_slider(figure, labels, "epoch ", y=-0.44, start=0.36, active=len(epochs) - 1)
    figure.update_annotations(font_size=14)
    return styled(
        figure,
        title,
        f"{_subtitle(ordered, len(panels))} ·<br>{about(dataset)}",
        width=700 + 100 * len(panels),
        height=530 if len(epochs) > 1 else 465,
        margin={"l": 70, "r": 20, "t": 125, "b": 165 if len(epochs) > 1 else 100},
        legend={"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top"},
    )


def _panels(dataset: xr.Dataset) -> list[Panel]:
    """Two, and a third where densities are known."""
    panels = [
        Panel("error of denoising", "share of the total variance", _errors, "linear"),
        Panel("information below that curve", "I(X;T + noise) [bits]", _information),
    ]
    if np.isfinite(dataset["entropy_rate"]).any():
        units = dataset["entropy_rate"].attrs.get("units", "1")
        panels.append(Panel("entropy grows at the rate ½ J", f"dh/dt and ½ J [{units}]", _growth))
    return panels


def _errors(here: xr.Dataset, place: int) -> list[go.Scatter]:
    """By the best denoiser, and by the best linear one."""
    c, line = here["resolution"].values, layer_line(place)
    best, linear = (here[name].mean("replica").values for name in ("mmse", "linear_mmse"))
    dotted = line | {"dash": "dot", "width": 1.6}
    hover = "resolution %{x:g}: %{y:.3f} of the variance"
    return [
        go.Scatter(x=c, y=best, mode="lines", line=line, hovertemplate=hover),
        go.Scatter(x=c, y=linear, mode="lines", line=dotted, hovertemplate=f"{hover}, linear", legendgroup="linear"),
    ]


def _information(here: xr.Dataset, place: int) -> list[go.Scatter]:
    """The band of its interval, and the curve."""
    c, line = here["resolution"].values, layer_line(place)
    value, low, high = _with_ends(here)
    known = np.isfinite(low) & np.isfinite(high) & (high > 0)
    around = np.concatenate([c[known], c[known][::-1]])
    ends = np.concatenate([np.maximum(high[known], FEWEST), np.maximum(low[known], FEWEST)[::-1]])
    band = go.Scatter(x=around, y=ends, mode="lines", line={"width": 0}, fill="toself", hoverinfo="skip")
    band.update(fillcolor=faded(line["color"], 0.22), legendgroup="band")
    value = np.where(value > FEWEST, value, np.nan)
    text = "resolution %{x:g}: %{y:.3g} bits"
    return [band, go.Scatter(x=c, y=value, mode="lines", line=line, hovertemplate=text)]


def _growth(here: xr.Dataset, place: int) -> list[go.Scatter]:
    """Both sides of dh/dt = ½ J: by the error of denoising, and by differences of the densities' entropies."""
    c, line = here["resolution"].values, layer_line(place)
    by_error, by_density = here["fisher"].mean("replica").values / 2, here["entropy_rate"].mean("replica").values
    circle = {"size": 6, "symbol": "circle-open", "color": line["color"], "line": {"width": 1.6}}
    return [
        go.Scatter(x=c, y=by_error, mode="lines", line=line, hovertemplate="resolution %{x:g}: ½ J = %{y:.4g}"),
        go.Scatter(x=c, y=by_density, mode="markers", marker=circle, hovertemplate="resolution %{x:g}: dh/dt = %{y:.4g}"),
    ]


def _with_ends(here: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean information with the 95 % interval over replicas, or of one with that of the estimate."""
    if here.sizes["replica"] > 1:
        return interval(here["information"].values)
    value, low, high = (here[f"information{end}"].values[0] for end in ("", "_lower", "_upper"))
    return value, low, high


def _ceiling(bits: float, resolutions: np.ndarray) -> go.Scatter:
    """H(X), which no layer of these inputs can hold more than."""
    line = {"color": "#777", "width": 1.5, "dash": "dot"}
    name = f"H(X) = {bits:.4g} bits"
    trace = go.Scatter(x=[resolutions[0], resolutions[-1]], y=[bits, bits], mode="lines", line=line, name=name)
    return trace.update(hovertemplate=f"{name}, the entropy of these inputs<extra></extra>")


def _reach(values: np.ndarray, beyond: float = 0.08) -> list[float]:
    """Ends of a logarithmic axis that shows all values, and a little more."""
    known = np.log10(values[np.isfinite(values) & (values > 0)])
    return [float(known.min()) - beyond, float(known.max()) + beyond] if len(known) else [-1.0, 1.0]


def _subtitle(dataset: xr.Dataset, panels: int) -> str:
    """How to read it."""
    bound = said(dataset, "information", "bound")
    kind = f" ({BOUNDS[bound]})" if bound in BOUNDS else ""
    parts = ["dotted: the best linear denoiser", f"I = ½ ∫ error/noise² from the resolution upwards{kind}"]
    parts += ["lines ½ J by the denoiser, circles dh/dt by the densities"] if panels > 2 else []
    return " · ".join(parts)
