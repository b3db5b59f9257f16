"""How depth keeps classes apart: what probes find, how far apart classes are, what is known of them."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.core.renamed import renamed
from flowplane.core.results import interval
from flowplane.errors import InputError, Text
from flowplane.plot.names import escaped
from flowplane.plot.style import LAYER_COLORS, LEGEND_BELOW, bar_length, require_units, styled

__all__ = ["separation_curves"]

#: Title and units of each panel, and what is drawn there.
PANELS = (
    ("accuracy, held out", "1", {"probe": "linear probe", "neighbours": "5 nearest neighbours"}),
    ("distance / size of classes", "1", {"fisher": "Fisher ratio", "distances": "W₂ of classes / rms within"}),
    ("I(T;Y) [bits]", "bits", {"information": "I(T;Y)"}),
)
#: Pixels of a panel, and between two rows.
PANEL, GAP = 200, 62
COLORS = dict(zip(("probe", "neighbours", "information", "fisher", "distances"), LAYER_COLORS, strict=False))


@renamed
def separation_curves(dataset: xr.Dataset, title: str = "Classes by depth, at equal noise in all") -> go.Figure:
    """Both lenses side by side: accuracies, ratios of distances and I(T;Y) against the number of layers, one row per data
    set.

    Arguments:
        dataset: `probe`, `neighbours`, `fisher`, `distances` (units 1) and `information` (bits) over (data, split, depth).
            The depth 0 is the raw data, drawn as a dotted line, and ∞ the continuous flow. `information_valid`, where it is
            there, says which values have no flag; others are hollow. `truth` over data is I(X;Y).

    Raises:
        InputError: another kind of Dataset, other units, other dimensions.

    Example:
        >>> shape, rng = ("data", "split", "depth"), np.random.default_rng(0)
        >>> units = dict.fromkeys(("probe", "neighbours", "fisher", "distances"), "1") | {"information": "bits"}
        >>> columns = {name: (shape, rng.random((1, 3, 4)), {"units": unit}) for name, unit in units.items()}
        >>> figure = separation_curves(xr.Dataset(columns, {"data": ["moons"], "depth": [0, 1, 2, np.inf]}))
        >>> figure.layout.xaxis.ticktext
        ('1', '2', '∞')
    """
    for _, units, quantities in PANELS:
        require_units(dataset, tuple(quantities), units)
    if set(dataset["probe"].dims) != {"data", "split", "depth"}:
        raise InputError("dataset", Text(f"probe over {dataset['probe'].dims}"), "probe over data, split and depth")
    names = [str(name) for name in dataset["data"].values]
    titles = [escaped(name) for name in names for _ in PANELS]
    plot = PANEL * len(names) + GAP * (len(names) - 1)
    figure = make_subplots(
        rows=len(names), cols=3, horizontal_spacing=0.085, vertical_spacing=GAP / plot, subplot_titles=titles
    )
    figure.update_annotations(font_size=13)
    depths = dataset["depth"].values.astype(float)
    finite = depths[np.isfinite(depths) & (depths > 0)]
    places = np.where(np.isinf(depths), 3 * finite.max(), depths)
    shown = depths > 0
    for row, name in enumerate(names, 1):
        part = dataset.sel(data=name).transpose("split", "depth", ...)
        for column, (label, _, quantities) in enumerate(PANELS, 1):
            for quantity, text in quantities.items():
                color = COLORS[quantity]
                for trace in _curve(part, quantity, text, color, places, shown, row == 1):
                    figure.add_trace(trace, row=row, col=column)
            if column == 3 and "truth" in part and np.isfinite(part["truth"]):
                figure.add_trace(_across(places[shown], float(part["truth"]), "#777", "dash", "I(X;Y)"), row=row, col=3)
            last = row == len(names)
            figure.update_xaxes(
                type="log",
                title="layers L" if last else None,
                tickvals=places[shown].tolist(),
                ticktext=["∞" if np.isinf(depth) else f"{depth:g}" for depth in depths[shown]],
                range=np.log10([places[shown].min() / 1.3, places[shown].max() * 1.3]).tolist(),
                row=row,
                col=column,
            )
            figure.update_yaxes(title={"text": label, "standoff": 4, "font": {"size": 13}}, row=row, col=column)
    subtitle = dataset.attrs.get("subtitle", "dotted: the raw data, t = 0 · dashed: I(X;Y) · hollow: flagged")
    return styled(
        figure,
        title,
        f"{subtitle}<br>bars: 95 % of the difference from L = 1 on the same splits",
        width=1100,
        height=plot + 255,
        margin={"l": 70, "r": 30, "t": 145, "b": 110},
        showlegend=True,
        legend={**LEGEND_BELOW, "y": -65 / plot},
    )


def _curve(
    part: xr.Dataset, quantity: str, text: str, color: str, places: np.ndarray, shown: np.ndarray, legend: bool
) -> list[go.Scatter]:
    """Means over splits, the 95 % interval of what is not common to all depths, and the raw data as a dotted line."""
    values = part[quantity].values
    mean = values.mean(0)
    depths = part["depth"].values
    apart = values - values[:, depths == 1.0] if 1.0 in depths else values
    middle, _, above = interval(apart)
    reach = bar_length(above, middle)
    flagged = quantity == "information" and "information_valid" in part
    valid = (part["information_valid"].values != 0).all(axis=0) if flagged else np.ones(len(places), bool)
    known = shown & np.isfinite(mean)
    traces = [
        go.Scatter(
            x=places[known],
            y=mean[known],
            mode="lines+markers",
            name=text,
            legendgroup=text,
            showlegend=legend,
            line={"color": color},
            error_y={"array": reach[known], "thickness": 1.2},
            marker={
                "size": 8,
                "color": [color if good else "white" for good in valid[known]],
                "line": {"color": color, "width": 1.5},
            },
        )
    ]
    if (~shown).any() and known.any() and np.isfinite(mean[~shown][0]):
        traces.append(_across(places[known], mean[~shown][0], color, "dot", f"{text}, raw"))
    return traces


def _across(places: np.ndarray, value: float, color: str, dash: str, text: str) -> go.Scatter:
    """A level line."""
    return go.Scatter(
        x=[places.min() / 1.25, places.max() * 1.25],
        y=[value] * 2,
        mode="lines",
        line={"color": color, "dash": dash, "width": 1.4},
        showlegend=False,
        hovertemplate=f"{text}: %{{y:.4g}}<extra></extra>",
    )
