"""What was measured while training: losses, accuracies and what else was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.errors import InputError, Text
from flowplane.plot.names import escaped
from flowplane.plot.panels import Grid
from flowplane.plot.registry import draws
from flowplane.plot.style import DASHES, LAYER_COLORS, epoch_ticks, styled, time_scale

__all__ = ["metrics", "split_name"]

#: Points along each curve; more epochs than this are thinned evenly in log(epoch).
POINTS = 300
#: What stands before a metric's name where there is one for each part of the data, and the part's colour.
PARTS = {
    "train": LAYER_COLORS[0],
    "test": LAYER_COLORS[3],
    "val": LAYER_COLORS[2],
    "valid": LAYER_COLORS[2],
    "validation": LAYER_COLORS[2],
    "eval": LAYER_COLORS[4],
}
#: What an axis says of the metrics that `fp.train` keeps.
NAMES = {("loss", "nats"): "cross-entropy [nats]", ("accuracy", "fraction"): "accuracy [fraction right]"}
#: Panels side by side before a new row begins.
COLUMNS = 2


@draws("metrics")
def metrics(dataset: xr.Dataset | Mapping[str, xr.Dataset], title: str = "Training curves") -> go.Figure:
    """Every metric against log(epoch), a panel each: every replica faint, the mean strong.

    Names such as train_loss and test_loss (or val_loss, train/loss) share a panel. Epochs at which a metric was not given
    are bridged. Several runs have one colour each, and parts of the data differ in their dashes.

    Arguments:
        dataset: `rec.metrics`, over (replica, train_epoch), one or {run: metrics}.

    Raises:
        InputError: another kind of Dataset, or nothing finite to draw.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=2, epochs=2, snapshots=2)
        >>> fp.plot.metrics(rec.metrics).layout.yaxis.title.text
        'cross-entropy [nats]'
    """
    runs = {"": dataset} if isinstance(dataset, xr.Dataset) else dataset
    if not isinstance(runs, Mapping) or not runs or not all(isinstance(run, xr.Dataset) for run in runs.values()):
        raise InputError("dataset", Text(type(dataset).__name__), "rec.metrics of a Recording, or {run: metrics}")
    panels: dict[str, list[tuple[str, str, str]]] = {}
    for run, found in runs.items():
        for name in _known(found):
            part, quantity = split_name(name)
            panels.setdefault(quantity, []).append((run, name, part))
    if not panels:
        raise InputError("dataset", Text("no finite value"), "a metric with something to draw")
    last = max(int(found["train_epoch"].values[-1]) for run, found in runs.items() if _known(found))
    grid = Grid.of(len(panels), COLUMNS)
    figure = make_subplots(rows=grid.rows, cols=grid.columns, horizontal_spacing=0.12, vertical_spacing=0.2 / grid.rows)
    shown: set[str] = set()
    parts = list(dict.fromkeys(part for quantity, members in panels.items() for _, _, part in members if part != quantity))
    for panel, (quantity, members) in enumerate(panels.items()):
        place = grid.place(panel)
        for run, name, part in members:
            line = {"color": PARTS.get(part, LAYER_COLORS[0])}
            label = escaped(part)
            if len(runs) > 1:
                color = LAYER_COLORS[list(runs).index(run) % len(LAYER_COLORS)]
                line = {"color": color, "dash": DASHES[0 if part == quantity else parts.index(part) % len(DASHES)]}
                label = escaped(run if part == quantity else f"{run}, {part}")
            _curves(figure, place, runs[run][name], line, label, label not in shown)
            shown.add(label)
        run, name, _ = members[0]
        figure.update_yaxes(title=_label(quantity, runs[run][name]), **place)
    if next(iter(panels)) == "loss" and all(float(runs[run][name].min()) >= 0 for run, name, _ in panels["loss"]):
        figure.update_yaxes(rangemode="tozero", row=1, col=1)
    tick_places, texts = epoch_ticks(last)
    figure.update_xaxes(tickvals=tick_places, ticktext=texts)
    for panel in range(len(panels)):
        if grid.lowest(panel):
            figure.update_xaxes(title="epoch (logarithmic)", **grid.place(panel))
    replicas = max(run.sizes["replica"] for run in runs.values())
    who = f"{replicas} replicas, each" if len(runs) == 1 else "each replica"
    subtitle = f"{who} faint; their mean strong" if replicas > 1 else ""
    legend = {"orientation": "h", "x": 1.0, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
    width, height = (1000 if grid.columns > 1 else 600), 140 + 320 * grid.rows
    return styled(
        figure, title, subtitle, width=width, height=height, margin={"l": 75, "r": 30, "t": 95, "b": 65}, legend=legend
    )


def _known(run: xr.Dataset) -> list[str]:
    """The metrics that have a value somewhere. Raises InputError where none is over replicas and epochs."""
    names = [str(name) for name in run.data_vars if set(run[name].dims) == {"replica", "train_epoch"}]
    if not names:
        found = Text(f"{list(run.data_vars)} over {list(run.dims)}")
        raise InputError("dataset", found, "rec.metrics of a Recording, at least one metric over (replica, train_epoch)")
    return [name for name in names if np.isfinite(run[name].values).any()]


def split_name(name: str) -> tuple[str, str]:
    """The part of the data and the quantity that a metric's name tells; a name without a part is its own.

    Example:
        >>> split_name("train_loss"), split_name("val/accuracy"), split_name("perplexity")
        (('train', 'loss'), ('val', 'accuracy'), ('perplexity', 'perplexity'))
    """
    for part in PARTS:
        for mark in "_/-":
            if name.startswith(part + mark) and len(name) > len(part) + 1:
                return part, name[len(part) + 1 :]
    return name, name


def _label(quantity: str, metric: xr.DataArray) -> str:
    units = str(metric.attrs.get("units", ""))
    return NAMES.get((quantity, units), escaped(f"{quantity} [{units}]" if units else quantity))


def _places(times: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Positions of the epochs to draw: those with a value, thinned evenly in log(epoch)."""
    given = np.flatnonzero(known.any(axis=0))
    wanted = np.linspace(times[given[0]], times[given[-1]], POINTS)
    return given[np.unique(np.searchsorted(times[given], wanted).clip(0, len(given) - 1))]


def _curves(
    figure: go.Figure, place: dict[str, int], metric: xr.DataArray, line: dict[str, Any], label: str, named: bool
) -> None:
    """All replicas as one faint line with gaps, and the mean of those that have a value."""
    every = metric.transpose("replica", "train_epoch")
    kept = _places(time_scale(metric["train_epoch"].values), np.isfinite(every.values))
    values, epochs = every.values[:, kept], metric["train_epoch"].values[kept]
    times = time_scale(epochs)
    gap = np.full((len(values), 1), np.nan)
    figure.add_trace(
        go.Scatter(
            x=np.tile(np.append(times, np.nan), len(values)).astype(np.float32),
            y=np.hstack([values, gap]).ravel().astype(np.float32),
            mode="lines",
            line={**line, "width": 0.8},
            opacity=0.18,
            hoverinfo="skip",
            showlegend=False,
        ),
        **place,
    )
    figure.add_trace(
        go.Scatter(
            x=times,
            y=np.nanmean(values, axis=0),
            mode="lines",
            line={**line, "width": 2.5},
            name=label,
            legendgroup=label,
            showlegend=named,
            customdata=epochs,
            hovertemplate=f"{label}, epoch %{{customdata}}: %{{y:.4f}}<extra></extra>",
        ),
        **place,
    )
