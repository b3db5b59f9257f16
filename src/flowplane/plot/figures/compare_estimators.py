"""One layer, read by several estimators: a table as a figure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.core.results import long_name
from flowplane.errors import InputError, Text
from flowplane.plot.names import escaped
from flowplane.plot.registry import draws
from flowplane.plot.style import (
    LAYER_COLORS,
    NARROWEST,
    axis_title,
    bar_length,
    flagged,
    require_units,
    styled,
    why_missing,
    wrapped,
)

__all__ = ["compare_estimators"]

QUANTITIES = ("i_xt", "i_ty")
FLAGGED = "#999"
#: Flags that leave a number out; others may stand beside them.
ABSENT = ("labels_only", "no_labels", "no_inputs", "deterministic", "weighted")


@draws("compare_estimators")
def compare_estimators(dataset: xr.Dataset, title: str = "One layer, read by several estimators") -> go.Figure:
    """I(X;T) and I(T;Y) of each estimator with its 95 % interval; hollow where a flag says that it cannot be believed. The
    subtitle says what has no value, and why.

    See also: `fp.plot.estimator_curves`, the layers of a Recording over its epochs.

    Arguments:
        dataset: over `estimator` alone, from `fp.compare_estimators`; of a Recording, one replica, epoch and layer of it.

    Raises:
        InputError: another kind of Dataset, other units, or nothing finite to draw.

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
    known = {quantity: np.isfinite(table[quantity].values) for quantity in QUANTITIES}
    shown = [quantity for quantity in QUANTITIES if known[quantity].any()]
    if not shown:
        raise InputError("dataset", Text("no finite value"), "I(X;T) or I(T;Y) of at least one estimator")
    lacking = "; ".join(_lacking(table, known))
    below = wrapped(f"not given: {lacking}") if lacking else []
    table = table.isel(estimator=known["i_xt"] | known["i_ty"])
    names = [escaped(name) for name in table["estimator"].values]
    figure = make_subplots(rows=1, cols=len(shown), shared_yaxes=True, horizontal_spacing=0.06)
    for column, quantity in enumerate(shown, start=1):
        for trace in _points(table, quantity, names):
            figure.add_trace(trace.update(showlegend=column == 1), row=1, col=column)
        valid, value, upper = (
            ~flagged(table, quantity).values,
            *(table[f"{quantity}{end}"].values for end in ("", "_upper")),
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
                font={"size": 16, "color": LAYER_COLORS[0] if valid[k] else FLAGGED},
                row=1,
                col=column,
            )
        figure.update_xaxes(title=axis_title(table[quantity]), rangemode="tozero", row=1, col=column)
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    figure.update_yaxes(range=[-0.6, len(names) - 0.4])
    more = 16 * len(below)
    return styled(
        figure,
        title,
        "<br>".join(
            ["bars: 95 % interval, → without upper end · each has a channel of its own: I(X;T) need not agree", *below]
        ),
        width=max(150 + 400 * len(shown), NARROWEST),
        height=170 + 42 * len(names) + more,
        margin={"l": 120, "r": 30, "t": 90 + more, "b": 90},
        legend={"orientation": "h", "x": 1.0, "xanchor": "right", "y": -55 / (42 * len(names) - 10), "yanchor": "top"},
    )


def _points(table: xr.Dataset, quantity: str, names: list[str]) -> Iterator[go.Scatter]:
    """Those without a flag, then those with one."""
    valid = ~flagged(table, quantity).values
    value, lower, upper = (table[f"{quantity}{end}"].values for end in ("", "_lower", "_upper"))
    reach = [bar_length(end, value) for end in (upper, lower)]
    for good, name, color in ((True, "no flag", LAYER_COLORS[0]), (False, "flagged: see fp.explain", FLAGGED)):
        chosen = np.isfinite(value) & (valid == good)
        yield go.Scatter(
            x=value[chosen],
            y=[names[k] for k in np.flatnonzero(chosen)],
            mode="markers",
            name=name,
            legendgroup=name,
            error_x={
                "array": reach[0][chosen],
                "arrayminus": reach[1][chosen],
                "thickness": 1.5,
                "width": 4,
                "color": color,
            },
            marker={"size": 10, "color": color if good else "white", "line": {"color": color, "width": 2}},
        )


def _lacking(table: xr.Dataset, known: dict[str, np.ndarray]) -> Iterator[str]:
    """What has no value, of which estimators, and why."""
    for quantity, there in known.items():
        whose: dict[str, list[str]] = {}
        for k in np.flatnonzero(~there):
            one = table.isel(estimator=[k])
            whose.setdefault(" and ".join(why_missing(one, quantity, ABSENT)), []).append(escaped(one["estimator"].item()))
        for reason, names in whose.items():
            of = f" of {', '.join(names)}" if len(names) < len(there) else ""
            yield f"{long_name(table, quantity)}{of}{f' ({escaped(reason)})' if reason else ''}"
