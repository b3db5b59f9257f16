"""What all figures share: what they ask of a Dataset, the look, the time scale, names of layers."""

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
    "COLUMNS",
    "DENSITY_SCALE",
    "LAYER_COLORS",
    "LEGEND_BELOW",
    "NARROWEST",
    "WRAP",
    "axis_title",
    "bar_length",
    "color_axis",
    "common_units",
    "epoch_ticks",
    "faded",
    "flagged",
    "in_units",
    "layer_label",
    "layer_line",
    "log_density",
    "log_density_axis",
    "panels_of",
    "require_units",
    "require_variables",
    "styled",
    "time_scale",
    "time_title",
]

#: Plasma, perceptually uniform and readable by the colour-blind, without its palest end.
COLORSCALE = sample_colorscale("Plasma", [0.86 * step / 20 for step in range(21)])
#: Okabe and Ito's palette, readable by the colour-blind.
LAYER_COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#8C6D31")
DASHES = ("solid", "dash", "dot", "dashdot")
#: Densities: dark where there is nothing, so that white lines and circles show.
DENSITY_SCALE = sample_colorscale("Inferno", [0.92 * step / 20 for step in range(21)])
#: Powers of ten of a density that a colour scale holds.
DECADES = 4.0
#: Panels side by side before a new row begins.
COLUMNS = 3
#: Pixels across that a subtitle and a legend need.
NARROWEST = 770
#: Plotly breaks a line here as at `<br>`; a page, which wraps lines itself, runs on.
WRAP = "<br >"
#: A legend below the title of the horizontal axis.
LEGEND_BELOW = {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.13, "yanchor": "top", "font": {"size": 12}}
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


def require_variables(dataset: Any, names: Iterable[str], maker: str, argument: str = "dataset") -> None:
    """Raise InputError unless a Dataset has these variables, saying what makes one."""
    if not isinstance(dataset, xr.Dataset):
        raise InputError(argument, Text(type(dataset).__name__), f"what {maker} makes")
    missing = [name for name in names if name not in dataset.variables]
    if missing:
        found = f"a Dataset without {', '.join(missing)}, with {', '.join(map(str, dataset.data_vars)) or 'nothing'}"
        raise InputError(argument, Text(found), f"what {maker} makes")


def require_units(dataset: Any, names: Iterable[str], units: str) -> None:
    """Raise InputError unless the variables are there and in these units, so that no axis mixes bits and nats."""
    if not isinstance(dataset, xr.Dataset):
        raise InputError("dataset", Text(type(dataset).__name__), f"a Dataset with {', '.join(names)}")
    for name in names:
        if name not in dataset:
            raise InputError("dataset", Text(f"variables {sorted(map(str, dataset.data_vars))}"), f"a Dataset with {name}")
        found = dataset[name].attrs.get("units")
        if found != units:
            raise InputError(name, Text(f"units {found!r}"), f"{units}: an axis holds one unit only")


def common_units(dataset: xr.Dataset, names: Iterable[str]) -> str:
    """The units that variables share, to stand on one axis. Raises InputError where they differ.

    Example:
        >>> common_units(xr.Dataset({"a": ((), 1.0, {"units": "bits"}), "b": ((), 1.0, {"units": "bits"})}), ["a", "b"])
        'bits'
    """
    found = {name: str(dataset[name].attrs.get("units", "1")) for name in names}
    if len(set(found.values())) > 1:
        each = ", ".join(f"{name} in {units}" for name, units in found.items())
        raise InputError("dataset", Text(each), "the same units: an axis holds one unit only")
    return next(iter(found.values()))


def panels_of(given: Any, names: Iterable[str], maker: str) -> dict[str, xr.Dataset]:
    """One Dataset, or several by title, each with the variables that a figure needs. Raises InputError otherwise."""
    if isinstance(given, xr.Dataset):
        given = {"": given}
    if not isinstance(given, Mapping) or not given:
        raise InputError("dataset", Text(type(given).__name__), f"what {maker} makes, or {{title: such a Dataset}}")
    for part in given.values():
        require_variables(part, names, maker)
    return {str(title): part for title, part in given.items()}


def flagged(dataset: xr.Dataset, quantity: str) -> xr.DataArray:
    """Where a flag of a quantity is raised; nowhere where it has none."""
    flags = dataset.get(f"{quantity}_flags")
    return xr.zeros_like(dataset[quantity], bool) if flags is None else flags != 0


def layer_line(place: int) -> dict[str, Any]:
    """The line of the layer at a place: colours first, then dashes."""
    dash = DASHES[place // len(LAYER_COLORS) % len(DASHES)]
    return {"color": LAYER_COLORS[place % len(LAYER_COLORS)], "width": 2, "dash": dash}


def axis_title(array: xr.DataArray, name: str = "") -> str:
    """What an axis says of a variable: its long name, or another, and its units.

    Example:
        >>> axis_title(xr.DataArray(0.0, attrs={"long_name": "I(X;T)", "units": "bits"}))
        'I(X;T) [bits]'
    """
    text = name or str(array.attrs.get("long_name", array.name))
    return f"{text} {in_units(str(array.attrs.get('units', '1')))}".rstrip()


def in_units(units: str) -> str:
    """Units as an axis writes them; nothing for a number without.

    Example:
        >>> in_units("bits"), in_units("1")
        ('[bits]', '')
    """
    return "" if units in ("1", "") else f"[{units}]"


def time_title(flows: Iterable[xr.Dataset]) -> str:
    """What the axis of time says. Raises InputError where the times of several flows are of different units."""
    times = [flow["time"] for flow in flows]
    units = {str(time.attrs.get("units", "1")) for time in times}
    if len(units) > 1:
        raise InputError("dataset", Text(f"times in {' and in '.join(sorted(units))}"), "one unit of time for all flows")
    return axis_title(times[0], "time t")


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


def color_axis(epochs: np.ndarray, times: np.ndarray) -> dict[str, Any]:
    """One colour per epoch, evenly over log(epoch)."""
    places, texts = epoch_ticks(int(epochs[-1]))
    bar = {
        "title": {"text": "epoch", "side": "top"},
        "tickvals": places,
        "ticktext": texts,
        "thickness": 14,
        "len": 0.8,
        "y": 0,
        "yanchor": "bottom",
        "x": 1.02,
        "outlinewidth": 0,
    }
    return {
        "colorscale": COLORSCALE,
        "cmin": float(times[0]),
        "cmax": float(max(times[-1], times[0] + 1e-9)),
        "colorbar": bar,
    }


def faded(color: str, opacity: float) -> str:
    """A hexadecimal colour as rgba.

    Example:
        >>> faded("#0072B2", 0.2)
        'rgba(0,114,178,0.2)'
    """
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


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
