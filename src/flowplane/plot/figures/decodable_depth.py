"""Decodable bits and accuracy by depth: what a probe reads of the label in each layer (§D2)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.core.results import said
from flowplane.errors import InputError, Text
from flowplane.plot.names import escaped, layer_titles
from flowplane.plot.registry import draws
from flowplane.plot.slider import add_slider
from flowplane.plot.style import LAYER_COLORS, panels_of, require_units, styled

__all__ = ["decodable_depth"]


@draws("information_plane")
def decodable_depth(
    dataset: xr.Dataset | Mapping[str, xr.Dataset], title: str = "What a probe decodes of the label, by depth"
) -> go.Figure:
    """Decodable bits, max(0, ·), and the probe's accuracy against depth, at the last epoch, bars their intervals, and at the
    first in grey; the slider shows other epochs. Several runs have one colour each, at their own last epochs.

    Arguments:
        dataset: a plane whose I(T;Y) is from `fp.Decodable`, over (replica, epoch, layer), one or {run: plane}.

    Raises:
        InputError: another kind of Dataset or estimator, other units, or nothing finite.

    Example:
        >>> import flowplane as fp, torch
        >>> x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
        >>> rec = fp.record(torch.nn.Linear(4, 3), x, x[:, 0] > 0)
        >>> decodable_depth(fp.information_plane(rec)).layout.yaxis.title.text
        'decodable [bits]'
    """
    planes = {run: _ordered(plane) for run, plane in panels_of(dataset, ("i_ty",), "fp.information_plane").items()}
    panels = ["i_ty", "accuracy"] if all(_has_accuracy(plane) for plane in planes.values()) else ["i_ty"]
    drawn = [f"{panel}{end}" for panel in panels for end in ("", "_lower", "_upper")]
    runs = {run: plane[drawn].mean("replica").assign_attrs(plane.attrs) for run, plane in planes.items()}
    figure = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.07)
    one = next(iter(runs.values())) if len(runs) == 1 else None
    moves = one is not None and one.sizes["epoch"] > 1
    for row, panel in enumerate(panels, 1):
        for number, (run, plane) in enumerate(runs.items()):
            name = "epoch of the slider" if one is not None else f"{escaped(run)}, epoch {plane['epoch'].values[-1]:,}"
            figure.add_trace(_points(plane, panel, -1, LAYER_COLORS[number % len(LAYER_COLORS)], name), row=row, col=1)
        if one is not None and moves:
            first = f"epoch {one['epoch'].values[0]:,}"
            figure.add_trace(_points(one, panel, 0, "#999999", first), row=row, col=1)
    for top in sorted({float(plane.attrs.get("label_information", np.nan)) for plane in runs.values()}):
        if np.isfinite(top) and top > 0:
            note = {"text": f"H(Y) = {top:.4g}", "font": {"size": 12}}
            figure.add_hline(top, line={"color": "#777", "width": 1, "dash": "dot"}, annotation=note, row=1, col=1)
    figure.update_yaxes(title="decodable [bits]", rangemode="tozero", row=1, col=1)
    if len(panels) > 1:
        figure.update_yaxes(title="accuracy", range=[0, 1.04], row=2, col=1)
    figure.update_xaxes(type="category")
    figure.update_xaxes(title="layer", row=len(panels), col=1)
    if one is not None and moves:
        _add_epochs(figure, one, panels)
    subtitle = "a lower bound on I(T;Y), on samples that the probe was not fitted to; bars are its interval"
    margin = {"l": 75, "r": 30, "t": 95, "b": 140 if moves else 80}
    return styled(figure, title, subtitle, width=900, height=320 + 240 * len(panels), margin=margin)


def _ordered(plane: xr.Dataset) -> xr.Dataset:
    """The plane, epochs increasing. Raises InputError where no probe decoded anything."""
    require_units(plane, ("i_ty",), "bits")
    if said(plane, "i_ty", "estimator") != "Decodable" or set(plane["i_ty"].dims) != {"replica", "epoch", "layer"}:
        raise InputError("dataset", Text("I(T;Y) that no probe decoded"), "a plane of a model, or of fp.Decodable()")
    if not np.isfinite(plane["i_ty"]).any():
        raise InputError("dataset", Text("no finite I(T;Y)"), "labels")
    return plane.sortby("epoch").transpose("replica", "epoch", "layer", ...)


def _has_accuracy(plane: xr.Dataset) -> bool:
    return "accuracy" in plane and bool(np.isfinite(plane["accuracy"]).any())


def _points(means: xr.Dataset, panel: str, epoch: int, color: str, name: str) -> go.Scatter:
    """A quantity of all layers at the place of an epoch, of the means over the replicas (epoch, layer)."""
    value, low, high = (means[f"{panel}{end}"].values[epoch] for end in ("", "_lower", "_upper"))
    bars = {"type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low, "thickness": 1.2}
    return go.Scatter(
        x=layer_titles(means),
        y=np.maximum(value, 0.0),
        error_y=bars,
        mode="lines+markers",
        line={"color": color, "width": 2},
        name=name,
        legendgroup=name,
        showlegend=panel == "i_ty",
    )


def _add_epochs(figure: go.Figure, plane: xr.Dataset, panels: list[str]) -> None:
    """The slider, which moves the first trace of each panel."""
    epochs = plane["epoch"].values.tolist()
    figure.frames = [
        go.Frame(
            name=str(epoch),
            traces=[row * 2 for row in range(len(panels))],
            data=[_points(plane, panel, k, LAYER_COLORS[0], "epoch of the slider") for panel in panels],
        )
        for k, epoch in enumerate(epochs)
    ]
    add_slider(figure, {str(epoch): f"{epoch:,}" for epoch in epochs}, "epoch ", y=-0.2, start=0.36, active=len(epochs) - 1)
