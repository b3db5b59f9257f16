"""How far replicas are from each other: weights beside the information plane."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.errors import InputError, Text
from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, LEGEND_BELOW, faded, require_units, styled

__all__ = ["replica_spread"]

DISTANCES = {
    "distance_unaligned": ("as they<br>stand", LAYER_COLORS[5]),
    "distance": ("units<br>matched", LAYER_COLORS[0]),
    "distance_random": ("unrelated<br>networks", "#777777"),
}
SPREADS = {"xt": ("I(X;T)", LAYER_COLORS[1]), "ty": ("I(T;Y)", LAYER_COLORS[2])}


@draws("replica_spread")
def replica_spread(dataset: xr.Dataset, title: str = "Replicas: their weights and their place in the plane") -> go.Figure:
    """Left: distances between the weights of pairs of replicas, and between unrelated networks. Right: the standard
    deviation of each layer's I(X;T) and I(T;Y) over the replicas, as a share of H(X) and I(X;Y).

    Arguments:
        dataset: from `fp.replica_spread`.

    Raises:
        InputError: another kind of Dataset, or other units.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=3, epochs=4, snapshots=3)
        >>> replica_spread(fp.replica_spread(rec)).layout.yaxis.title.text
        'distance of weights [norms]'
    """
    require_units(dataset, tuple(DISTANCES), "norms of one network")
    require_units(dataset, ("spread_xt", "spread_ty"), "bits")
    require_units(dataset, ("relative_xt", "relative_ty", "agreement"), "fraction")
    if dataset["spread_xt"].sizes.get("epoch") != 2:
        raise InputError("dataset", Text(f"spread_xt over {dict(dataset['spread_xt'].sizes)}"), "two epochs, (epoch, layer)")
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.16)
    spot = np.random.default_rng(0)
    for name in DISTANCES:
        for trace in _strip(dataset, name, spot):
            figure.add_trace(trace, row=1, col=1)
    figure.add_hline(y=np.sqrt(2), line={"color": "#999", "width": 1.2, "dash": "dash"}, row=1, col=1)
    figure.add_annotation(
        x=0.99,
        xref="x domain",
        xanchor="right",
        y=np.sqrt(2),
        yref="y",
        yanchor="bottom",
        showarrow=False,
        text="√2",
        font={"size": 12, "color": "#777"},
    )
    depths = dataset["depth"].values if "depth" in dataset.coords else np.arange(dataset.sizes["layer"]) + 1
    for trace in _spreads(dataset, depths):
        figure.add_trace(trace, row=1, col=2)
    top = max(float(dataset[name].max()) for name in DISTANCES)
    figure.update_yaxes(title="distance of weights [norms]", range=[0, max(1.12 * top, 1.55)], row=1, col=1)
    figure.update_xaxes(
        tickvals=[0, 1, 2], ticktext=[label for label, _ in DISTANCES.values()], range=[-0.5, 2.5], row=1, col=1
    )
    widest = max(float(dataset[f"relative_{key}"].max()) for key in SPREADS)
    widest = widest if widest > 0 else 0.01
    figure.update_yaxes(
        title="spread [share of H(X), I(X;Y)]", tickformat=".1~%", range=[-0.03 * widest, 1.06 * widest], row=1, col=2
    )
    figure.update_xaxes(title="layer", tickvals=depths, row=1, col=2)
    pairs = dataset.sizes["pair"]
    last = dataset["epoch"].values[-1]
    about = (
        f"{dataset.attrs.get('task', 'task')} · {pairs} pair{'s' if pairs > 1 else ''}, epoch {last:,} · "
        f"same class on {100 * float(dataset['agreement'].mean()):.1f} % of the inputs · bars: means<br>"
        "unrelated networks: units matched · dashed: orthogonal weights · spread: standard deviation over the replicas"
    )
    return styled(
        figure,
        title,
        about,
        width=1180,
        height=560,
        margin={"l": 75, "r": 30, "t": 110, "b": 115},
        showlegend=True,
        legend={**LEGEND_BELOW, "x": 1, "xanchor": "right", "y": -0.21},
    )


def _strip(found: xr.Dataset, name: str, spot: np.random.Generator) -> list[go.Scatter]:
    """One point per pair, spread sideways, and a bar at their mean."""
    values, place = found[name].values, list(DISTANCES).index(name)
    label, color = DISTANCES[name]
    mean = float(values.mean())
    pairs = zip(found["first"].values, found["second"].values, values, strict=True)
    points = go.Scatter(
        x=place + spot.uniform(-0.22, 0.22, len(values)),
        y=values,
        mode="markers",
        showlegend=False,
        name=label.replace("<br>", " "),
        marker={"size": 6, "color": faded(color, 0.55)},
        text=[f"replicas {i} and {j}: {value:.3f}" for i, j, value in pairs],
        hoverinfo="text",
    )
    bar = go.Scatter(
        x=[place - 0.34, place + 0.34],
        y=[mean, mean],
        mode="lines",
        line={"color": color, "width": 2.5},
        showlegend=False,
        text=[f"mean {mean:.3f}"] * 2,
        hoverinfo="text",
    )
    return [points, bar]


def _spreads(found: xr.Dataset, depths: np.ndarray) -> list[go.Scatter]:
    traces = []
    epochs = found["epoch"].values.tolist()
    for key, (label, color) in SPREADS.items():
        for which, epoch in enumerate(epochs):
            part = found.isel(epoch=which)
            traces.append(
                go.Scatter(
                    x=depths,
                    y=part[f"relative_{key}"].values,
                    mode="lines+markers",
                    name=f"{label}, epoch {epoch:,}",
                    line={"color": color, "width": 2 if which else 1.3, "dash": "solid" if which else "dot"},
                    marker={"size": 8, "color": color if which else "white", "line": {"color": color, "width": 1.5}},
                    customdata=part[f"spread_{key}"].values,
                    hovertemplate=f"layer %{{x}}, epoch {epoch:,}<br>{label}: %{{customdata:.3f}} bits<extra></extra>",
                )
            )
    return traces
