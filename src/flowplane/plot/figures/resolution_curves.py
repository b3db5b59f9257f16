"""I(X;T) against resolution: how many inputs each layer tells apart through more or less noise (§D1)."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.errors import InputError, Text
from flowplane.plot.names import about, layer_texts
from flowplane.plot.registry import draws
from flowplane.plot.slider import add_slider
from flowplane.plot.style import axis_title, flagged, layer_line, require_units, styled

__all__ = ["resolution_curves"]


@draws("information_plane")
def resolution_curves(dataset: xr.Dataset, title: str = "What each layer distinguishes, by resolution") -> go.Figure:
    """I(X;T) in bits against the resolution, the share of a layer's total variance that is noise, on a logarithmic axis from
    fine to coarse; one line per layer, the mean of the replicas, at the last epoch; the slider shows others.

    Arguments:
        dataset: from `fp.information_plane` of a model, over (replica, epoch, layer, resolution).

    Raises:
        InputError: another kind of Dataset, one without resolutions, other units, or nothing finite.

    Example:
        >>> import flowplane as fp, torch
        >>> rec = fp.record(torch.nn.Linear(4, 3), torch.randn(50, 4, generator=torch.Generator().manual_seed(0)))
        >>> resolution_curves(fp.information_plane(rec)).layout.xaxis.type
        'log'
    """
    require_units(dataset, ("i_xt",), "bits")
    if "resolution" not in dataset["i_xt"].dims:
        raise InputError("dataset", Text("I(X;T) at one resolution"), "a plane that is read at several")
    ordered = dataset.sortby("epoch").sortby("resolution").transpose("replica", "epoch", "layer", "resolution", ...)
    values = ordered["i_xt"].mean("replica").values
    if not np.isfinite(values).any():
        raise InputError("dataset", Text("no finite I(X;T)"), "at least one to draw")
    resolutions, epochs = ordered["resolution"].values, ordered["epoch"].values.tolist()
    texts, doubtful = layer_texts(ordered), flagged(ordered, "i_xt").mean("replica").values > 0.5
    known = "i_xt_error" in ordered
    error = 1.96 * ordered["i_xt_error"].mean("replica").values if known else np.zeros_like(values)

    def lines(k: int) -> list[go.Scatter]:
        return [
            go.Scatter(
                x=resolutions,
                y=values[k, place],
                mode="lines+markers",
                name=name,
                line=layer_line(place),
                marker={"size": 6, "color": _filled(place, doubtful[k, place]), "line": _edge(place)},
                error_y={"array": error[k, place], "thickness": 1.2, "width": 3},
                hovertemplate="resolution %{x:g}: %{y:.3f} bits",
            )
            for place, name in enumerate(texts)
        ]

    figure = go.Figure(lines(len(epochs) - 1))
    if "input_entropy" in dataset.attrs:
        most = float(dataset.attrs["input_entropy"])
        figure.add_hline(
            most, line={"color": "#777", "width": 1, "dash": "dot"}, annotation={"text": f"H(X) = {most:.4g} bits"}
        )
    figure.update_xaxes(title="resolution (noise / total variance)", type="log", tickvals=resolutions)
    figure.update_yaxes(title=axis_title(dataset["i_xt"]), rangemode="tozero")
    if len(epochs) > 1:
        figure.frames = [go.Frame(name=str(epoch), data=lines(k)) for k, epoch in enumerate(epochs)]
        labels = {str(epoch): f"{epoch:,}" for epoch in epochs}
        add_slider(figure, labels, "epoch ", y=-0.2, start=0.36, active=len(epochs) - 1)
    bars = " · bars: 1.96 sampling errors" if known else ""
    subtitle = f"finer to the left; a higher line distinguishes more inputs{bars} · hollow: flagged ·<br>{about(dataset)}"
    margin = {"l": 75, "r": 30, "t": 115, "b": 140 if len(epochs) > 1 else 70}
    legend = {"title": {"text": "layer"}}
    return styled(figure, title, subtitle, width=900, height=560, margin=margin, legend=legend)


def _edge(place: int) -> dict[str, Any]:
    return {"color": layer_line(place)["color"], "width": 1.3}


def _filled(place: int, doubtful: np.ndarray) -> np.ndarray:
    return np.where(doubtful, "white", layer_line(place)["color"])
