"""What figures of an information plane are made of: points, paths, intervals, and where layers are named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.colors import sample_colorscale

from flowplane.core.results import BOUNDS, Z, long_name, said
from flowplane.errors import InputError, Text
from flowplane.plot.names import escaped, layer_titles
from flowplane.plot.style import COLORSCALE, flagged, require_units
from flowplane.plot.thinning import columns, kept_rows

__all__ = [
    "bound_text",
    "channel_text",
    "every_replica",
    "in_order",
    "intervals",
    "layer_names",
    "means",
    "names_trace",
    "paths",
]

#: Faint points that are drawn at most, so that the page stays light.
FAINT_POINTS = 40_000
#: Pixels that half a letter of a layer's name takes, with some air.
LETTER = 5.0
#: This many layers in one place, or more, are named by the first and the last.
RUN = 6
#: Layers' paths drawn through the mean, evenly over log(epoch).
PATHS = 9


def in_order(plane: Any) -> xr.Dataset:
    """A plane over (replica, epoch, layer), and resolution where I(X;T) has several, epochs increasing.

    Raises:
        InputError: another kind of Dataset, other units, or nothing finite to draw.
    """
    require_units(plane, ("i_xt", "i_ty"), "bits")
    if set(plane["i_xt"].dims) - {"resolution"} != {"replica", "epoch", "layer"}:
        raise InputError("dataset", Text(f"dimensions {plane['i_xt'].dims}"), "(replica, epoch, layer)")
    if not (np.isfinite(plane["i_xt"]) & np.isfinite(plane["i_ty"])).any():
        raise InputError("dataset", Text("no finite point"), "I(X;T) and I(T;Y) of at least one layer")
    return plane.sortby("epoch").transpose("replica", "epoch", "layer", ...)


def every_replica(plane: xr.Dataset, times: np.ndarray) -> go.Scattergl:
    """Faint points: every replica, epoch and layer, the latest on top; of very many, all layers of some replicas at some
    epochs. The layers of one replica at one epoch stay together.

    Arguments:
        times: of the epochs.
    """
    x, y = plane["i_xt"].values, plane["i_ty"].values
    replicas, epochs, layers = x.shape
    known = np.isfinite(x) & np.isfinite(y)
    rows = kept_rows(epochs * replicas, FAINT_POINTS // layers)
    color = np.broadcast_to(times[None, :, None], x.shape)
    across, up, color = (
        np.moveaxis(np.where(known, part, np.nan), 1, 0).reshape(-1, layers)[rows].ravel().astype(np.float32)
        for part in (x, y, color)
    )
    return go.Scattergl(
        x=across,
        y=up,
        mode="markers",
        marker={"color": color, "coloraxis": "coloraxis", "size": 3.5, "opacity": 0.16},
        name="one replica, one epoch",
        hoverinfo="skip",
        meta=columns(layer=plane["layer"].values),
    )


def paths(plane: xr.Dataset, mean_x: np.ndarray, mean_y: np.ndarray, times: np.ndarray) -> list[go.Scatter]:
    """Thin lines through the layers of the mean at a few epochs."""
    chosen = np.unique([np.abs(times - t).argmin() for t in np.linspace(times[0], times[-1], PATHS)])
    span = max(times[-1] - times[0], 1e-9)
    colors = sample_colorscale(COLORSCALE, [(times[k] - times[0]) / span for k in chosen])
    return [
        go.Scatter(
            x=mean_x[k],
            y=mean_y[k],
            mode="lines",
            line={"color": color, "width": 1.2},
            opacity=0.8,
            name="mean path through the layers",
            legendgroup="paths",
            showlegend=bool(k == chosen[len(chosen) // 2]),
            hoverinfo="skip",
            meta=columns(layer=plane["layer"].values, epoch=plane["epoch"].values[[k]]),
        )
        for k, color in zip(chosen, colors, strict=True)
    ]


def means(plane: xr.Dataset, mean_x: np.ndarray, mean_y: np.ndarray, times: np.ndarray) -> go.Scatter:
    """Strong points: the mean over replicas."""
    epochs, layers = mean_x.shape
    names = [escaped(name) for name in plane["layer"].values]
    return go.Scatter(
        x=mean_x.T.ravel(),
        y=mean_y.T.ravel(),
        mode="markers",
        marker={
            "color": np.tile(times, layers),
            "coloraxis": "coloraxis",
            "size": 8,
            "line": {"color": "white", "width": 0.6},
        },
        customdata=np.stack([np.tile(plane["epoch"].values, layers), np.repeat(names, epochs)], axis=1).tolist(),
        hovertemplate="%{customdata[1]}, epoch %{customdata[0]}<br>I(X;T) = %{x:.3f} bits<br>I(T;Y) = %{y:.3f} bits"
        "<extra></extra>",
        name="mean of the replicas",
        meta=columns(layer=np.repeat(plane["layer"].values, epochs)),
    )


def intervals(plane: xr.Dataset, mean_x: np.ndarray, mean_y: np.ndarray) -> go.Scatter | None:
    """The estimator's own intervals at the last epoch, averaged over the replicas without a flag; None without any.

    Of a bound whose sampling error is known it is that: the interval also holds the other bound, often bits away.
    """
    last = plane.isel(epoch=-1)
    bars = {}
    for axis, name in (("error_x", "i_xt"), ("error_y", "i_ty")):
        if f"{name}_error" in plane and np.isfinite(last[f"{name}_error"]).any():
            reach = [Z * last[f"{name}_error"]] * 2
        elif {f"{name}_upper", f"{name}_lower"} <= set(plane):
            reach = [abs(last[f"{name}{end}"] - last[name]) for end in ("_upper", "_lower")]
        else:
            return None
        reach = [part.where(~flagged(last, name)) for part in reach]
        away = [part.where(np.isfinite(part)).mean("replica").values for part in reach]
        if not np.isfinite(away).any():
            return None
        bars[axis] = {
            "array": np.nan_to_num(away[0]),
            "arrayminus": np.nan_to_num(away[1]),
            "thickness": 1.2,
            "width": 3,
            "color": "#555",
        }
    what = "sampling error of the bound" if "i_xt_error" in plane else "interval of the estimate"
    name = f"{100 * float(plane.attrs.get('confidence', 0.95)):.0f} % {what}, last epoch"
    return go.Scatter(
        x=mean_x[-1],
        y=mean_y[-1],
        mode="markers",
        marker={"size": 1, "color": "#555"},
        name=name,
        hoverinfo="skip",
        meta=columns(layer=plane["layer"].values),
        **bars,
    )


def layer_names(plane: xr.Dataset, mean_x: np.ndarray, mean_y: np.ndarray, width: int = 720) -> list[dict[str, Any]]:
    """Each layer's number or name above its last mean point; neighbours that would overlap, in a panel of this many
    pixels, share one text."""
    texts = layer_titles(plane)
    pixels = width / max(float(np.nanmax(mean_x)), 1e-9)
    groups: list[list[int]] = []
    for k in range(len(texts)):
        near = (
            groups
            and abs(np.mean(mean_x[-1, groups[-1]]) - mean_x[-1, k]) * pixels
            < LETTER * (len(", ".join(texts[other] for other in groups[-1])) + len(texts[k]))
            and abs(mean_y[-1, groups[-1][-1]] - mean_y[-1, k]) < 0.05
        )
        if near:
            groups[-1].append(k)
        else:
            groups.append([k])
    notes = []
    for group in groups:
        text = ", ".join(texts[k] for k in group) if len(group) < RUN else f"{texts[group[0]]}–{texts[group[-1]]}"
        notes.append(
            {
                "x": float(np.mean(mean_x[-1, group])),
                "y": float(np.max(mean_y[-1, group])),
                "text": f"<b>{text}</b>",
                "showarrow": False,
                "yshift": 17,
                "font": {"size": 13, "color": "#222"},
                "bgcolor": "rgba(255,255,255,0.75)",
            }
        )
    return notes


def names_trace(notes: list[dict[str, Any]]) -> go.Scatter:
    """The notes of `layer_names` as a trace, which can be hidden with others."""
    return go.Scatter(
        x=[note["x"] for note in notes],
        y=[note["y"] for note in notes],
        text=[note["text"] for note in notes],
        mode="text",
        textposition="top center",
        textfont={"size": 13, "color": "#222"},
        hoverinfo="skip",
        showlegend=False,
    )


def channel_text(plane: xr.Dataset) -> str:
    """What makes the information finite, for both axes."""
    return _told(plane, "channel", {"none": "no noise"})


def bound_text(plane: xr.Dataset) -> str:
    """Which axis shows bounds; nothing where both show estimates.

    Example:
        >>> lower = ("layer", [1.0], {"bound": "lower", "long_name": "I(X;T)"})
        >>> bound_text(xr.Dataset({"i_xt": lower})), bound_text(xr.Dataset({"i_xt": ("layer", [1.0])}))
        ('a lower bound', '')
    """
    return _told(plane, "bound", BOUNDS, silent="estimate")


def _told(plane: xr.Dataset, key: str, words: Mapping[str, str] | None = None, silent: str = "") -> str:
    """What I(X;T) and I(T;Y) say of themselves: once where both say the same, else each after its name."""
    found = {name: said(plane, name, key) for name in ("i_xt", "i_ty") if name in plane}
    known = words or {}
    texts = {
        name: "; ".join(known.get(part, part) for part in text.split("; ")) for name, text in found.items() if text != silent
    }
    if len(set(texts.values())) == 1 and len(texts) == len(found):
        return next(iter(texts.values()))
    return "; ".join(f"{long_name(plane, name)}: {text}" for name, text in texts.items() if text)
