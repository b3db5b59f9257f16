"""One layer, read by several estimators: a table as a figure."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.errors import InputError, Text
from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, axis_title, bar_length, flagged, require_units, styled

__all__ = ["compare_estimators"]

QUANTITIES = ("i_xt", "i_ty")
MISSING = "not given"


@draws("compare_estimators")
def compare_estimators(dataset: xr.Dataset, title: str = "One layer, read by several estimators") -> go.Figure:
    """I(X;T) and I(T;Y) of each estimator with its 95 % interval; hollow where a flag says that it cannot be believed.

    See also: `fp.plot.estimator_curves`, the layers of a Recording over its epochs.

    Arguments:
        dataset: over `estimator` alone, from `fp.compare_estimators`; of a Recording, one replica, epoch and layer of it.

    Raises:
        InputError: another kind of Dataset, or other units.

    Example:
        >>> import numpy as np
        >>> import flowplane as fp
        >>> layer = np.random.default_rng(0).normal(size=(100, 2))
        >>> table = fp.compare_estimators(layer, layer[:, 0] > 0, estimators=[fp.Binned(8), fp.GaussianMI()])
        >>> fp.plot.compare_estimators(table).layout.xaxis.title.text
        'I(X;T) [bits]'
    """
    require_units(dataset, QUANTITIES, "bits")
    table = dataset.squeeze([dim for dim in dataset["i_xt"].dims if dim != "estimator" and dataset.sizes[dim] == 1])
    if table["i_xt"].dims != ("estimator",):
        raise InputError(
            "dataset", Text(f"dimensions {table['i_xt'].dims}"), "(estimator,): select one of each other dimension"
        )
    names = [str(name) for name in table["estimator"].values]
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06)
    for column, quantity in enumerate(QUANTITIES, start=1):
        valid = ~flagged(table, quantity).values
        value, lower, upper = (table[f"{quantity}{end}"].values for end in ("", "_lower", "_upper"))
        for good, name in ((True, "no flag"), (False, "flagged: see fp.explain")):
            chosen = np.isfinite(value) & (valid == good)
            reach = [bar_length(end, value) for end in (upper, lower)]
            figure.add_trace(
                go.Scatter(
                    x=value[chosen],
                    y=[names[k] for k in np.flatnonzero(chosen)],
                    mode="markers",
                    name=name,
                    legendgroup=name,
                    showlegend=column == 1,
                    error_x={
                        "array": reach[0][chosen],
                        "arrayminus": reach[1][chosen],
                        "thickness": 1.5,
                        "width": 4,
                        "color": LAYER_COLORS[0] if good else "#999",
                    },
                    marker={
                        "size": 10,
                        "color": LAYER_COLORS[0] if good else "white",
                        "line": {"color": LAYER_COLORS[0] if good else "#999", "width": 2},
                    },
                ),
                row=1,
                col=column,
            )
        domain = "x domain" if column == 1 else "x2 domain"
        for k in np.flatnonzero(~np.isfinite(value)):
            figure.add_annotation(
                x=0.02,
                xref=domain,
                y=names[k],
                yref="y",
                text=MISSING,
                showarrow=False,
                xanchor="left",
                font={"size": 12, "color": "#777"},
            )
        for k in np.flatnonzero(np.isfinite(value) & np.isposinf(upper)):
            figure.add_annotation(
                x=value[k],
                y=names[k],
                text="⟶",
                showarrow=False,
                xanchor="left",
                xshift=5,
                yshift=1,
                font={"size": 16, "color": LAYER_COLORS[0] if valid[k] else "#999"},
                row=1,
                col=column,
            )
        figure.update_xaxes(title=axis_title(table[quantity]), rangemode="tozero", row=1, col=column)
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    return styled(
        figure,
        title,
        "bars: 95 % interval, → without upper end · each has a channel of its own: I(X;T) need not agree",
        width=950,
        height=170 + 42 * len(names),
        margin={"l": 120, "r": 30, "t": 90, "b": 90},
        legend={"orientation": "h", "x": 1.0, "xanchor": "right", "y": -55 / (42 * len(names) - 10), "yanchor": "top"},
    )
