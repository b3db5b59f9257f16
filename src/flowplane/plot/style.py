"""What all figures share: the look, the time scale, names of layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.colors import sample_colorscale

from flowplane.errors import InputError, Text

__all__ = [
    "COLORSCALE",
    "DENSITY_SCALE",
    "LAYER_COLORS",
    "bar_length",
    "epoch_ticks",
    "faded",
    "layer_label",
    "log_density",
    "log_density_axis",
    "panels_of",
    "require_units",
    "styled",
    "time_scale",
    "time_title",
]

#: Plasma, perceptually uniform and readable by the colour-blind, without its palest end.
COLORSCALE = sample_colorscale("Plasma", [0.86 * step / 20 for step in range(21)])
#: Okabe and Ito's palette, readable by the colour-blind.
LAYER_COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#8C6D31")
#: Densities: dark where there is nothing, so that white lines and circles show.
DENSITY_SCALE = sample_colorscale("Inferno", [0.92 * step / 20 for step in range(21)])
#: Powers of ten of a density that a colour scale holds.
DECADES = 4.0
FONT = "Helvetica, Arial, sans-serif"


def time_scale(epochs: np.ndarray) -> np.ndarray:
    """log10(epoch + 1): a logarithmic time that has a place for the initialisation."""
    return np.log10(np.asarray(epochs, dtype=float) + 1.0)


def epoch_ticks(last: int) -> tuple[list[float], list[str]]:
    """Places and texts for a `time_scale` axis or colour bar: 0, the powers of ten, and the last epoch."""
    ticks = [0, *(10**k for k in range(12) if 10**k * 1.6 < last), last]
    return time_scale(np.array(ticks)).tolist(), [f"{tick:,}" for tick in ticks]


def layer_label(depth: int, count: int) -> str:
    """What a figure calls a layer."""
    return f"{depth} (softmax)" if depth == count else str(depth)


def require_units(dataset: xr.Dataset, names: tuple[str, ...], units: str) -> None:
    """Raise InputError unless the variables are there and in these units, so that no axis mixes bits and nats."""
    if not isinstance(dataset, xr.Dataset):
        raise InputError("dataset", Text(type(dataset).__name__), f"a Dataset with {', '.join(names)}")
    for name in names:
        if name not in dataset:
            raise InputError("dataset", Text(f"variables {sorted(map(str, dataset.data_vars))}"), f"a Dataset with {name}")
        found = dataset[name].attrs.get("units")
        if found != units:
            raise InputError(name, Text(f"units {found!r}"), f"{units}: an axis holds one unit only")


def panels_of(
    argument: str, given: xr.Dataset | Mapping[str, xr.Dataset], names: tuple[str, ...], maker: str
) -> dict[str, xr.Dataset]:
    """One Dataset, or several by title, each with the variables that a figure needs. Raises InputError otherwise."""
    panels: dict[Any, Any] = {"": given} if isinstance(given, xr.Dataset) else {}
    if not panels and isinstance(given, Mapping):
        panels = dict(given)
    right = panels and all(isinstance(part, xr.Dataset) and set(names) <= set(part) for part in panels.values())
    if not right:
        found = Text(f"{type(given).__name__} of {[type(part).__name__ for part in panels.values()]}")
        raise InputError(argument, found, f"what {maker} makes, or {{title: such a Dataset}}")
    return {str(title): part for title, part in panels.items()}


def log_density(density: np.ndarray) -> np.ndarray:
    """log10 of a density, NaN where it is unknown."""
    with np.errstate(divide="ignore"):
        return np.maximum(np.log10(density), -300.0)


def log_density_axis(logs: list[np.ndarray], scale: list[str]) -> dict[str, Any]:
    """One colour axis for all panels: four decades below the highest density."""
    highest = max((float(np.nanmax(log)) for log in logs if np.isfinite(log).any()), default=0.0)
    lowest = highest - DECADES
    ticks = np.arange(np.ceil(lowest), np.floor(highest) + 1)
    bar = {
        "title": {"text": "density", "side": "top"},
        "thickness": 14,
        "len": 0.85,
        "outlinewidth": 0,
        "x": 1.01,
        "tickvals": ticks.tolist(),
        "ticktext": [f"10<sup>{int(tick)}</sup>" for tick in ticks],
    }
    return {"colorscale": scale, "cmin": lowest, "cmax": highest, "colorbar": bar}


def faded(color: str, opacity: float) -> str:
    """A hexadecimal colour as rgba.

    Example:
        >>> faded("#0072B2", 0.2)
        'rgba(0,114,178,0.2)'
    """
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def time_title(flows: Iterable[xr.Dataset]) -> str:
    """An axis of time with the units that the flows' own times have. Raises InputError where they differ.

    Example:
        >>> time_title([xr.Dataset(coords={"time": ("time", [0.0], {"units": "s"})})])
        'time t [s]'
    """
    found = sorted({str(flow["time"].attrs.get("units", "1")) for flow in flows})
    if len(found) > 1:
        raise InputError("time", Text(f"units {' and '.join(map(repr, found))}"), "one unit: an axis holds one only")
    return "time t" if found == ["1"] else f"time t [{found[0]}]"


def bar_length(end: np.ndarray, value: np.ndarray) -> np.ndarray:
    """From a value to one end of its interval; 0 where there is none, or an infinite one, as above a lower bound."""
    with np.errstate(invalid="ignore"):
        away = np.abs(end - value)
    return np.where(np.isfinite(away), away, 0.0)


def styled(figure: go.Figure, title: str, subtitle: str, **layout: Any) -> go.Figure:
    """The common look."""
    axis = {
        "showline": True,
        "linecolor": "#333",
        "mirror": True,
        "ticks": "outside",
        "gridcolor": "#e6e6e6",
        "zeroline": False,
    }
    figure.update_layout(
        template="plotly_white",
        font={"family": FONT, "size": 14, "color": "#222"},
        title={
            "text": title,
            "subtitle": {"text": subtitle, "font": {"size": 12, "color": "#555"}},
            "x": 0.02,
            "xanchor": "left",
        },
        **layout,
    )
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure
