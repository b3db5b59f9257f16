"""Each input's share of a layer's information, the least and the most of them by name or as pictures (§C1, §C2)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from jaxtyping import Float
from plotly.subplots import make_subplots

from flowplane.errors import InputError, Text
from flowplane.plot.names import about, escaped, panel_names
from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, faded, require_units, styled

__all__ = ["pointwise_information"]


class Part(NamedTuple):
    """What the figure says of one quantity: of its panel, of its axis, and of the samples at both ends."""

    title: str
    bits: str
    least: str
    most: str


#: By variable.
PARTS = {
    "i_xt_each": Part("how far each input stands out", "part of I(X;T) [bits]", "stand out least", "stand out most"),
    "i_ty_each": Part("how sure the layer is of each label", "part of I(T;Y) [bits]", "least certain", "most certain"),
}
#: Samples at either end that are named and pictured.
ENDS = 10
#: Points of a curve; classes that are drawn beside each other.
POINTS, CLASSES = 400, 30


@draws("pointwise_information")
def pointwise_information(
    dataset: xr.Dataset, title: str = "What the layer keeps of each input", *, images: Any = None
) -> go.Figure:
    """Each sample's part of I(X;T), and of I(T;Y) where there are labels, from the least to the most, their mean as a dotted
    line, and by class its quartiles; below them the ten least and ten most as pictures. The mean of the replicas.

    Arguments:
        dataset: from `fp.pointwise_information`.
        images: one picture per sample, (sample, height, width) or (sample, features): features whose number is a square are
            drawn as one. Of tokens, a picture of the sample that each belongs to.

    Raises:
        InputError: another kind of Dataset, nothing finite, or pictures of other samples.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=1, epochs=2, snapshots=2)
        >>> found = fp.pointwise_information(rec, layer="layer1", epoch=2)
        >>> figure = pointwise_information(found, images=rec.task.inputs.reshape(-1, 3, 4))
        >>> figure.layout.annotations[0].text
        'how far each input stands out'
    """
    require_units(dataset, tuple(PARTS), "bits")
    parts = {name: _values(dataset, name) for name in PARTS if np.isfinite(dataset[name]).any()}
    if not parts:
        raise InputError("dataset", Text("no finite part of a sample"), "at least one to draw")
    pictures = None if images is None else _pictures(images, dataset)
    labels = dataset["label"].values if "label" in dataset.coords else None
    classes = [] if labels is None else np.unique(labels).tolist()
    by_class = 1 < len(classes) <= CLASSES
    columns, tiles = len(parts), 0 if pictures is None else 2 * len(parts)
    titles = [PARTS[name].title for name in parts] + ["by class: quartiles, 5 and 95 %"] * (columns * by_class)
    heights = [250.0] + [210.0] * by_class + [86.0] * tiles
    specs: list[list[dict[str, int] | None]] = [[{}] * columns for _ in range(1 + by_class)]
    specs += [[{"colspan": columns}, *[None] * (columns - 1)]] * tiles
    titles += [f"{escaped(end)}: {_whose(name)}" for name in parts for end in PARTS[name][2:]] if tiles else []
    height = sum(heights) + 64.0 * (len(heights) - 1)
    figure = make_subplots(
        rows=len(heights),
        cols=columns,
        specs=specs,
        row_heights=heights,
        subplot_titles=titles,
        horizontal_spacing=0.11,
        vertical_spacing=64.0 / height if len(heights) > 1 else 0.1,
    )
    for column, (name, each) in enumerate(parts.items(), 1):
        axis, color = PARTS[name].bits, LAYER_COLORS[column - 1]
        for trace in _sorted_curve(dataset, each, labels, color):
            figure.add_trace(trace, row=1, col=column)
        figure.update_xaxes(ticksuffix=" %", range=[-2, 102], row=1, col=column)
        for row in range(1, 2 + by_class):
            figure.update_yaxes(title={"text": axis, "standoff": 4}, row=row, col=column)
        if by_class and labels is not None:
            figure.add_trace(_quartiles(each, labels, classes, color), row=2, col=column)
            figure.update_xaxes(type="category", row=2, col=column)
    if pictures is not None:
        row = 2 + by_class
        for each in parts.values():
            for places in _ends(each):
                _add_row(figure, row, pictures[places], [_caption(each, labels, place) for place in places])
                row += 1
    figure.update_annotations(font_size=13)
    styled(
        figure,
        title,
        f"{_where(dataset, 'i_ty_each' in parts)} ·<br>{about(dataset)}",
        width=900,
        height=round(height) + 210,
        margin={"l": 75, "r": 25, "t": 125, "b": 70},
        showlegend=False,
    )
    figure.update_xaxes(title_font_size=13)
    figure.update_yaxes(title_font_size=13)
    for row in range(2 + by_class, 2 + by_class + tiles):
        figure.update_xaxes(showline=False, ticks="", row=row, col=1)
    return figure


def _values(dataset: xr.Dataset, name: str) -> Float[np.ndarray, " sample"]:
    """Mean over the replicas that have one."""
    each = dataset[name]
    return (each.mean("replica") if "replica" in each.dims else each).values


def _ends(each: Float[np.ndarray, " sample"]) -> tuple[np.ndarray, np.ndarray]:
    """Places of the least samples, least first, and of the most, most first."""
    order = np.argsort(each, kind="stable")[: int(np.isfinite(each).sum())]
    return order[:ENDS], order[::-1][:ENDS]


def _sorted_curve(dataset: xr.Dataset, each: np.ndarray, labels: np.ndarray | None, color: str) -> list[go.Scatter]:
    """The curve, its mean, and the ends as points that say which samples they are."""
    order = np.argsort(each, kind="stable")[: int(np.isfinite(each).sum())]
    share = 100.0 * (np.arange(len(order)) + 0.5) / len(order)
    kept = np.unique(np.linspace(0, len(order) - 1, POINTS).round().astype(int))
    mean = float(each[order].mean())
    ends = np.unique(np.concatenate([np.arange(min(ENDS, len(order))), np.arange(max(0, len(order) - ENDS), len(order))]))
    samples = dataset["sample"].values
    said = [
        f"sample {samples[place]}" + ("" if labels is None else f", class {escaped(labels[place])}") for place in order[ends]
    ]
    return [
        go.Scatter(
            x=share[kept],
            y=each[order][kept],
            mode="lines",
            line={"color": color, "width": 2},
            hovertemplate="%{x:.1f} % have at most %{y:.3f} bits<extra></extra>",
        ),
        go.Scatter(
            x=[0, 100],
            y=[mean, mean],
            mode="lines",
            line={"color": "#777", "width": 1.2, "dash": "dot"},
            hovertemplate="mean: %{y:.3f} bits<extra></extra>",
        ),
        go.Scatter(
            x=share[ends],
            y=each[order][ends],
            mode="markers",
            marker={"size": 6, "color": color},
            text=said,
            hovertemplate="%{text}: %{y:.3f} bits<extra></extra>",
        ),
    ]


def _quartiles(each: np.ndarray, labels: np.ndarray, classes: list[Any], color: str) -> go.Box:
    """One box per class, from the lower to the upper quartile, with the 5th and the 95th per cent."""
    known = [each[(labels == one) & np.isfinite(each)] for one in classes]
    places = [place for place, values in enumerate(known) if len(values)]
    low, first, middle, third, high = (
        [float(np.quantile(known[place], share)) for place in places] for share in (0.05, 0.25, 0.5, 0.75, 0.95)
    )
    return go.Box(
        x=[escaped(classes[place]) for place in places],
        lowerfence=low,
        q1=first,
        median=middle,
        q3=third,
        upperfence=high,
        line={"color": color, "width": 1.4},
        fillcolor=faded(color, 0.2),
        hoverinfo="x+y",
    )


def _pictures(images: Any, dataset: xr.Dataset) -> Float[np.ndarray, "row height width"]:
    """A picture for each row of the Dataset. Raises InputError for other shapes or too few of them."""
    wanted = "pictures (sample, height, width) or (sample, features), one for each sample of the recording"
    try:
        given = np.asarray(images.detach().cpu() if hasattr(images, "detach") else images, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError("images", Text(type(images).__name__), wanted) from error
    if given.ndim == 4 and given.shape[1] == 1:
        given = given[:, 0]
    if given.ndim == 2:
        side = round(given.shape[1] ** 0.5)
        given = given.reshape(len(given), side, side) if side * side == given.shape[1] else given[:, None]
    samples = dataset["sample"].values
    if given.ndim != 3 or 0 in given.shape or len(given) <= int(samples.max()):
        raise InputError("images", Text(f"shape {given.shape}"), f"{wanted}: {int(samples.max()) + 1} or more")
    return given[samples]


def _add_row(figure: go.Figure, row: int, pictures: np.ndarray, captions: list[str]) -> None:
    """Pictures beside each other, each in its own scale of greys from white to black, with a caption below."""
    count, height, width = pictures.shape
    gap = max(1, round(width / 8))
    mosaic = np.full((height, ENDS * (width + gap) - gap), np.nan)
    for place, picture in enumerate(pictures):
        low, high = np.nanmin(picture), np.nanmax(picture)
        start = place * (width + gap)
        mosaic[:, start : start + width] = (picture - low) / (high - low) if high > low else 0.0
    middles = [place * (width + gap) + (width - 1) / 2 for place in range(count)]
    figure.add_trace(
        go.Heatmap(z=mosaic, colorscale="Greys", zmin=0, zmax=1, showscale=False, hoverinfo="skip"), row=row, col=1
    )
    square = {"scaleanchor": figure.data[-1].xaxis, "constrain": "domain", "constraintoward": "top"} if height > 1 else {}
    figure.update_yaxes(autorange="reversed", visible=False, **square, row=row, col=1)
    ticks = {"tickvals": middles, "ticktext": captions, "tickfont": {"size": 10}, "tickangle": 0}
    figure.update_xaxes(**ticks, showgrid=False, row=row, col=1)


def _caption(each: np.ndarray, labels: np.ndarray | None, place: int) -> str:
    """Bits, and the class below them."""
    bits = f"{each[place]:.2f}".replace("-", "−")
    return bits if labels is None else f"{bits}<br><b>{escaped(labels[place])}</b>"


def _whose(name: str) -> str:
    return f"{PARTS[name].bits.removeprefix('part of ')} and class"


def _where(dataset: xr.Dataset, labelled: bool) -> str:
    """Layer, epoch, resolution, and what the lines are."""
    own = {name: ("layer", [dataset[name].item()]) for name in ("layer", "depth") if name in dataset.coords}
    parts = panel_names(xr.Dataset(coords=own, attrs=dataset.attrs)) if "layer" in own else []
    parts += [f"epoch {int(dataset['epoch']):,}"] if "epoch" in dataset.coords else []
    parts += [f"resolution {float(dataset['resolution']):g}"] if "resolution" in dataset.coords else []
    parts += ["curves: samples in order, in per cent", "dotted: the mean, the layer's information"]
    return " · ".join([*parts, "below 0: its class less likely than by frequency"] if labelled else parts)
