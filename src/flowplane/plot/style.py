"""What all figures share: the look, the time scale, names of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.colors import sample_colorscale

from flowplane.errors import InputError, Text

__all__ = ["COLORSCALE", "LAYER_COLORS", "epoch_ticks", "layer_label", "require_units", "styled", "time_scale"]

#: Plasma, perceptually uniform and readable by the colour-blind, without its palest end.
COLORSCALE = sample_colorscale("Plasma", [0.86 * step / 20 for step in range(21)])
#: Okabe and Ito's palette, readable by the colour-blind.
LAYER_COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#8C6D31")
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
