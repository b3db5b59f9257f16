"""What points spend on their path through layers of one width: the whole by epoch, and layer by layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.errors import InputError, Text
from flowplane.plot.figures.budget import SYMBOLS, TERMS
from flowplane.plot.names import about, layer_texts
from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, flagged, require_units, require_variables, styled

__all__ = ["layer_budget"]

#: Each layer's parts, and their colours: bending and pace have those of the whole's.
PARTS = {"layer_progress": "straight on: E δ·Δ", "layer_bending": TERMS["bending"], "layer_pace": TERMS["pace"]}
COLORS = dict(zip((*TERMS, "layer_progress"), (*LAYER_COLORS[:4], LAYER_COLORS[5]), strict=True))


@draws("layer_budget")
def layer_budget(dataset: xr.Dataset, title: str = "What the path through the layers is spent on") -> go.Figure:
    """One bar per epoch: what transport must cost, and what coupling, bending and pace waste, in per cent of the energy.
    Then a bar a layer, at the first epoch and the last: its progress along the straight line, its bending and its pace, in
    per cent of the energy of all layers; below 0 what takes points back, and what is slower than the path as a whole.

    Arguments:
        dataset: from `fp.layer_budget`; replicas are averaged.

    Raises:
        InputError: another kind of Dataset, other units, or nothing finite to draw.

    Example:
        >>> import flowplane as fp
        >>> x = np.random.default_rng(0).normal(size=(100, 2))
        >>> spent = fp.layer_budget(fp.from_arrays({"h.0": x, "h.1": x + [3.0, 0.0], "h.2": x + [3.0, 4.0]}))
        >>> [round(float(bar.y[0]), 3) for bar in layer_budget(spent).data[:4]]
        [50.0, 0.0, 48.0, 2.0]
    """
    names = ("energy", *TERMS, "layer_energy", *PARTS)
    require_variables(dataset, names, "fp.layer_budget")
    require_units(dataset, names, "squared units of x")
    shown = dataset.sortby("epoch")
    finite = np.isfinite(shown["energy"].mean("replica").values)
    if not finite.any():
        raise InputError("dataset", Text("no finite number"), "at least one to draw")
    few = flagged(shown, "coupling").any("replica").values & finite
    shown, few = shown.isel(epoch=finite), few[finite]
    epochs = shown["epoch"].values
    ends = sorted({0, len(epochs) - 1})
    figure = make_subplots(
        cols=1 + len(ends),
        column_widths=[1.2, *[1.0] * len(ends)],
        shared_yaxes=False,
        horizontal_spacing=0.1,
        subplot_titles=["all layers, by epoch", *(f"layer by layer, epoch {epochs[k]:,}" for k in ends)],
    )
    labels = [f"{epoch:,}{'*' if starred else ''}" for epoch, starred in zip(epochs, few, strict=True)]
    for bar in _bars(shown, TERMS, labels, shown["energy"]):
        figure.add_trace(bar, row=1, col=1)
    for column, k in enumerate(ends, 2):
        here = shown.isel(epoch=k)
        for bar in _bars(here, PARTS, layer_texts(shown), here["energy"]):
            bar.update(showlegend=bar.legendgroup == "layer_progress" and column == 2)
            figure.add_trace(bar, row=1, col=column)
        figure.update_xaxes(title="layer", row=1, col=column)
        figure.update_yaxes(title="per cent of the energy", row=1, col=column)
    energies = ", ".join(f"{float(shown['energy'].isel(epoch=k).mean()):.4g} at epoch {epochs[k]:,}" for k in ends)
    star = "; * too few points to pair starts with ends: coupling is a lower bound" if few.any() else ""
    figure.update_xaxes(type="category")
    figure.update_xaxes(title="epoch", row=1, col=1)
    figure.update_yaxes(title="per cent of the energy", range=[0, 101], row=1, col=1)
    figure.update_annotations(font_size=14)
    if len(ends) > 1:
        figure.update_yaxes(matches="y2", row=1, col=3)
    figure.update_layout(barmode="relative", bargap=0.25)
    return styled(
        figure,
        title,
        f"{about(dataset)}<br>energy E∫|u|² ds = {energies} [squared units of x]{star}<br>{SYMBOLS}, δ a layer's part of Δ",
        width=560 + 300 * len(ends),
        height=496,
        margin={"l": 70, "r": 30, "t": 146, "b": 125},
        legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": -0.26, "yanchor": "top", "traceorder": "normal"},
    )


def _bars(shown: xr.Dataset, names: dict[str, str], labels: list[str], energy: xr.DataArray) -> Iterator[go.Bar]:
    """Means over replicas, in per cent of the energy."""
    whole = energy.mean("replica").clip(min=1e-300)
    for name, text in names.items():
        value, error = (shown[each].mean("replica") for each in (name, f"{name}_error"))
        yield go.Bar(
            x=labels,
            y=(100 * value / whole).values,
            name=text,
            legendgroup=name,
            marker={
                "color": COLORS[name if name in COLORS else name.removeprefix("layer_")],
                "line": {"color": "white", "width": 1},
            },
            customdata=np.stack([value, error], -1),
            hovertemplate=f"%{{x}}: {text}<br>%{{y:.1f}} %: %{{customdata[0]:.4g}} ± %{{customdata[1]:.2g}}<extra></extra>",
        )
