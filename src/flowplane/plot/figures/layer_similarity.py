"""How alike the layers of a network are, epoch by epoch."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.core.renamed import renamed
from flowplane.errors import InputError, Text
from flowplane.plot.names import escaped, layer_texts
from flowplane.plot.registry import draws
from flowplane.plot.slider import add_slider
from flowplane.plot.style import require_variables, styled

__all__ = ["layer_similarity"]

#: Perceptually uniform, readable by the colour-blind.
SCALE = "Viridis"
#: Layers from which the cells hold no numbers.
NUMBERED = 10
#: Layers from which not every one is named.
NAMED = 24


@draws("layer_transport")
@renamed
def layer_similarity(dataset: xr.Dataset, title: str = "How alike the layers are") -> go.Figure:
    """Linear CKA between all pairs of layers as a heat map, with a slider through the epochs; the mean over replicas.

    Arguments:
        dataset: from `fp.layer_transport`.

    Raises:
        InputError: another kind of Dataset, or nothing finite to draw.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), epochs=2, replicas=1)
        >>> figure = fp.plot.layer_similarity(fp.layer_transport(rec, samples=100))
        >>> figure.data[0].z.shape, len(figure.frames)
        ((2, 2), 3)
    """
    require_variables(dataset, ("cka",), "fp.layer_transport")
    shown = dataset.sortby("epoch").transpose("replica", "epoch", "layer", "other_layer", ...)
    values = shown["cka"].values
    known = np.isfinite(values).any(0)
    if not known.any():
        raise InputError("dataset", Text("no finite cka"), "layers that are not the same for all samples")
    mean = np.divide(np.nansum(values, 0), np.isfinite(values).sum(0), out=np.full(known.shape, np.nan), where=known)
    texts = layer_texts(shown)
    full = [escaped(name) for name in shown["layer"].values]
    count = len(texts)
    epochs = [int(epoch) for epoch in shown["epoch"].values]
    names = np.array([[f"{row} · {column}" for column in full] for row in full])
    figure = go.Figure(_map(mean[-1], names))
    figure.frames = [go.Frame(name=str(epoch), data=[_map(one, names)]) for epoch, one in zip(epochs, mean, strict=True)]
    ticks = list(range(0, count, -(-count // NAMED)))
    longest = max(map(len, texts))
    margin = 60 if longest <= 3 else 45 + 7 * longest
    side = min(max(52 * count, 340), 620)
    below = margin + 85
    axis = {"tickvals": ticks, "ticktext": [texts[k] for k in ticks], "tickfont": {"size": 11}, "constrain": "domain"}
    figure.update_xaxes(**axis, title={"text": "layer", "standoff": 6}, tickangle=0 if longest <= 3 else -60)
    figure.update_yaxes(**axis, title={"text": "layer", "standoff": 6}, autorange="reversed")
    if len(epochs) > 1:
        add_slider(figure, {str(epoch): f"{epoch:,}" for epoch in epochs}, "epoch ", -margin / side, 0.42, len(epochs) - 1)
    about = " · ".join(escaped(shown.attrs[key]) for key in ("network", "activation", "task") if shown.attrs.get(key))
    styled(
        figure,
        title,
        f"{about}<br>linear CKA, unbiased: 1 where two layers are alike up to shift, rotation and scale",
        width=side + margin + 140,
        height=side + 110 + (below if len(epochs) > 1 else margin),
        margin={"l": margin, "r": 100, "t": 110, "b": below if len(epochs) > 1 else margin},
    )
    return figure.update_xaxes(showgrid=False).update_yaxes(showgrid=False)


def _map(values: np.ndarray, names: np.ndarray) -> go.Heatmap:
    numbers = {"texttemplate": "%{z:.2f}", "textfont": {"size": 11}} if len(values) <= NUMBERED else {}
    return go.Heatmap(
        z=values,
        zmin=0,
        zmax=1,
        colorscale=SCALE,
        customdata=names,
        xgap=1,
        ygap=1,
        hovertemplate="%{customdata}<br>CKA %{z:.3f}<extra></extra>",
        colorbar={"title": {"text": "CKA", "side": "top"}, "thickness": 14, "len": 0.9, "outlinewidth": 0},
        **numbers,
    )
