"""Geometry by depth: matrix entropy, curvature and neural collapse of each layer (§D3, §D4, §D7)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.errors import InputError, Text
from flowplane.plot.names import about, layer_texts
from flowplane.plot.panels import Grid
from flowplane.plot.registry import draws
from flowplane.plot.slider import add_slider
from flowplane.plot.style import LEGEND_BELOW, layer_line, styled

__all__ = ["layer_geometry"]

#: Panels: title, and the variables in it with what a legend calls them.
PANELS = {
    "matrix entropy": {"dataset_entropy": "over samples", "prompt_entropy": "over a sample's tokens"},
    "effective rank": {"dataset_rank": "over samples", "prompt_rank": "over a sample's tokens"},
    "curvature": {"curvature": "along tokens"},
    "invariance": {"infonce": "InfoNCE", "dime": "DiME"},
    "directions of invariance": {"lidar": "LiDAR"},
    "logit lens": {"lens_loss": "next token", "unigram_loss": "by frequencies", "lens_entropy": "entropy of the prediction"},
    "neural collapse": {
        "collapse_within": "within classes / between",
        "collapse_cosines": "spread of cosines",
        "collapse_simplex": "distance from a simplex",
    },
}
#: Pixels of a panel, of the legend and of the slider.
PANEL, LEGEND, SLIDER = 215, 50, 65


@draws("layer_geometry")
def layer_geometry(dataset: xr.Dataset, title: str = "How the layers lay out their points") -> go.Figure:
    """Matrix entropy, effective rank, curvature and neural collapse against depth, a panel each, at the last epoch; the
    slider shows others. Bars are 95 % of the mean over samples.

    Arguments:
        dataset: from `fp.layer_geometry`, over (replica, epoch, layer); replicas are averaged.

    Raises:
        InputError: another Dataset, or nothing finite to draw.

    Example:
        >>> import flowplane as fp, torch
        >>> x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
        >>> figure = layer_geometry(fp.layer_geometry(fp.record(torch.nn.Linear(4, 3), x)))
        >>> [note.text for note in figure.layout.annotations]
        ['matrix entropy', 'effective rank']
    """
    if not isinstance(dataset, xr.Dataset) or not any(name in dataset for part in PANELS.values() for name in part):
        raise InputError("dataset", Text(type(dataset).__name__), "what fp.layer_geometry finds")
    ordered = dataset.sortby("epoch")
    panels = {}
    for panel, names in PANELS.items():
        known = {name: text for name, text in names.items() if name in ordered and np.isfinite(ordered[name]).any()}
        if known:
            panels[panel] = known
    if not panels:
        raise InputError("dataset", Text("no finite number"), "at least one to draw")
    epochs, layers = ordered["epoch"].values.tolist(), layer_texts(ordered)
    depths = list(range(1, len(layers) + 1))
    grid, longest = Grid.of(len(panels)), max(map(len, layers))
    room = 55 if longest <= 3 else 45 + 5 * longest
    plot = grid.rows * PANEL + (grid.rows - 1) * (room + 35)
    figure = make_subplots(
        rows=grid.rows,
        cols=grid.columns,
        subplot_titles=list(panels),
        horizontal_spacing=0.1,
        vertical_spacing=(room + 35) / plot,
    )
    figure.update_annotations(font_size=14)
    lines = {text: layer_line(place) for place, text in enumerate(dict.fromkeys(_texts(panels)))}
    named = {text: next(panel for panel in panels if text in panels[panel].values()) for text in lines}

    def curves(k: int) -> list[tuple[go.Scatter, dict[str, int]]]:
        here = ordered.isel(epoch=k).mean("replica")
        found = []
        for place, (panel, names) in enumerate(panels.items()):
            for name, text in names.items():
                value = here[name].values
                trace = go.Scatter(x=depths, y=value, mode="lines+markers", name=text, line=lines[text])
                trace.update(
                    legendgroup=text, customdata=layers, hovertemplate=f"%{{customdata}}: %{{y:.3f}}<extra>{text}</extra>"
                )
                trace.update(showlegend=panel == named[text])
                if f"{name}_lower" in here:
                    low, high = (here[f"{name}_{side}"].values for side in ("lower", "upper"))
                    trace.update(
                        error_y={"symmetric": False, "array": high - value, "arrayminus": value - low, "thickness": 1.2}
                    )
                found.append((trace, grid.place(place)))
        return found

    for trace, place in curves(len(epochs) - 1):
        figure.add_trace(trace, **place)
    figure.update_xaxes(tickvals=depths, ticktext=layers, tickangle=0 if longest <= 3 else -60)
    figure.update_yaxes(rangemode="tozero")
    for number, names in enumerate(panels.values()):
        units = str(ordered[next(iter(names))].attrs["units"])
        figure.update_yaxes(title=units if units != "1" else None, **grid.place(number))
        figure.update_xaxes(title="layer", **grid.place(number))
    if len(epochs) > 1:
        figure.frames = [go.Frame(name=str(epoch), data=[trace for trace, _ in curves(k)]) for k, epoch in enumerate(epochs)]
        labels = {str(epoch): f"{epoch:,}" for epoch in epochs}
        add_slider(figure, labels, "epoch ", y=-(room + LEGEND) / plot, start=0.36, active=len(epochs) - 1)
    margin = {"l": 75, "r": 30, "t": 105, "b": room + LEGEND + SLIDER * (len(epochs) > 1)}
    legend = {**LEGEND_BELOW, "y": -room / plot}
    height = plot + margin["t"] + margin["b"]
    return styled(figure, title, about(dataset), width=900, height=height, margin=margin, legend=legend, showlegend=True)


def _texts(panels: dict[str, dict[str, str]]) -> Iterator[str]:
    for names in panels.values():
        yield from names.values()
