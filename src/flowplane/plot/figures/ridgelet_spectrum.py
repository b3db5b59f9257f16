"""Ridgelet coefficients over (a, b), with the units of trained networks on top."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.core.arrays import as_numbers
from flowplane.core.points import check_count
from flowplane.core.renamed import renamed
from flowplane.errors import InputError, Text
from flowplane.plot.registry import draws
from flowplane.plot.style import COLORSCALE, require_variables, styled

__all__ = ["ridgelet_spectrum"]

#: Area of the largest dot, and the share of dots' sizes above which they are drawn alike.
LARGEST, CLIP = 22.0, 0.99
#: Share of the largest |R| that can still be seen.
FAINTEST = 0.005


@draws("ridgelet_spectrum")
@renamed
def ridgelet_spectrum(
    dataset: xr.Dataset,
    units: tuple[Any, Any, Any] | None = None,
    *,
    direction: int | None = None,
    channel: int | None = None,
    window: tuple[float, float] | None = None,
    title: str = "",
) -> go.Figure:
    """R[f;ρ](a, b) as a heat map, and hidden units as dots at their (a, b) of area ∝ |c| (§A10).

    For m = 1, or one direction: R with its sign. For m > 1: its root mean square over directions against |a| and b; where f
    has several channels and none is chosen: the norm over channels.

    Arguments:
        dataset: `to_dataset()` of what `fp.ridgelet.transform` makes.
        units: (a, b, |c|) of a network, from `fp.ridgelet.units_of`; for m > 1 they stand at (|a|, b), and go with all
            directions only.
        direction: the one whose plane is drawn, for m > 1.
        channel: of f.
        window: (A, B), what is shown; None for where |R| is above 0.5 % of its largest. Units beyond are counted in the
            subtitle.

    Raises:
        InputError: another Dataset, nodes that were drawn, a direction or channel that is not there, units of another kind.

    Example:
        >>> import flowplane as fp
        >>> x = np.linspace(-6, 6, 200)
        >>> found = fp.ridgelet.transform(np.exp(-(x**2) / 2), x, grid=(20, 30))
        >>> ridgelet_spectrum(found.to_dataset()).layout.xaxis.title.text
        'a [1/x]'
    """
    require_variables(dataset, ("coefficient",), "to_dataset() of a spectrum of fp.ridgelet.transform")
    if "radius" not in dataset.dims:
        raise InputError("dataset", Text("nodes that were drawn"), "a grid, from fp.ridgelet.transform")
    m = dataset.sizes["feature"]
    if direction is not None and units is not None and m > 1:
        raise InputError(
            "units", Text(f"units, and direction {direction}"), "units over all directions, or one without them"
        )
    values, what, signed = _reduced(dataset, direction, channel, m)
    limit = float(np.abs(values).max()) or 1.0
    folded = m > 1 and direction is None
    across, down = values["radius"].values, values["offset"].values
    figure = go.Figure(
        go.Heatmap(
            x=across,
            y=down,
            z=values.transpose("offset", "radius").values.astype(np.float32),
            zsmooth="best",
            coloraxis="coloraxis",
            hovertemplate="a = %{x:.3g}, b = %{y:.3g}<br>%{z:.3g}<extra></extra>",
        )
    )
    shown = _seen(values, limit) if window is None else _window(window)
    about = [f"activation ρ: {dataset.attrs['activation']} · order k = {dataset.attrs['order']} · input dimension m = {m}"]
    if units is not None:
        dots, inside, count = _dots(units, m, shown)
        figure.add_trace(dots)
        about.append(f"dots: {count} units, area ∝ |c|" + (f", {count - inside} beyond the edges" if inside < count else ""))
    label = "|a| [1/x]" if folded else "a [1/x]" if m == 1 else "r of a = r u [1/x]"
    figure.update_xaxes(title=label, range=[0.0 if folded else -shown[0], shown[0]], showgrid=False)
    figure.update_yaxes(title="b", range=[-shown[1], shown[1]], showgrid=False)
    return styled(
        figure,
        title or "The ridgelet transform",
        " · ".join(about),
        width=760,
        height=560,
        margin={"l": 75, "r": 30, "t": 95, "b": 65},
        showlegend=False,
        coloraxis={
            "colorscale": "RdBu_r" if signed else COLORSCALE,
            "cmin": -limit if signed else 0.0,
            "cmax": limit,
            "colorbar": {"title": {"text": what, "side": "top"}, "thickness": 14, "outlinewidth": 0},
        },
    )


def _reduced(spectrum: xr.Dataset, direction: int | None, channel: int | None, m: int) -> tuple[xr.DataArray, str, bool]:
    """What is drawn over (radius, offset), its name, and whether it has a sign."""
    found, units = spectrum["coefficient"], f"[{spectrum['coefficient'].attrs.get('units', '1')}]"
    for name, given in (("direction", direction), ("channel", channel)):
        if given is not None and check_count(name, given, 0) >= found.sizes[name]:
            raise InputError(name, given, f"0 to {found.sizes[name] - 1}")
    if channel is None and found.sizes["channel"] == 1:
        channel = 0
    one = 0 if m == 1 else direction
    if channel is not None:
        found = found.isel(channel=channel)
    if one is not None:
        found = found.isel(direction=one)
        if channel is not None:
            return found, f"R[f;ρ](a, b)<br>{units}", True
        return (found**2).sum("channel") ** 0.5, f"‖R[f;ρ](a, b)‖<br>over channels<br>{units}", False
    squares = found**2 if channel is not None else (found**2).sum("channel")
    mean = squares.weighted(spectrum["direction_weight"]).mean("direction") ** 0.5
    return mean.sel(radius=mean["radius"] > 0), f"R[f;ρ], rms<br>over directions<br>{units}", False


def _seen(values: xr.DataArray, limit: float) -> tuple[float, float]:
    """How far from the origin there is something to see."""
    there = abs(values) > FAINTEST * limit
    ends = []
    for axis, other in (("radius", "offset"), ("offset", "radius")):
        places = np.abs(values[axis].values)
        ends.append(1.1 * float(places[there.any(other).values].max(initial=0.0)) or float(places.max()))
    return min(ends[0], float(values["radius"].max())), min(ends[1], float(values["offset"].max()))


def _window(window: Any) -> tuple[float, float]:
    numbers = as_numbers("window", window).astype(float)
    if numbers.shape != (2,) or not (numbers > 0).all():
        raise InputError("window", window, "(A, B), both above 0")
    return float(numbers[0]), float(numbers[1])


def _dots(units: Any, m: int, shown: tuple[float, float]) -> tuple[go.Scatter, int, int]:
    if not isinstance(units, tuple) or len(units) != 3:
        raise InputError("units", Text(type(units).__name__), "(a, b, |c|), from fp.ridgelet.units_of")
    a, b, sizes = (as_numbers("units", part).astype(float) for part in units)
    if a.ndim == 1:
        a = a[:, None]
    if a.ndim != 2 or a.shape[1] != m or b.shape != a.shape[:1] or sizes.shape != b.shape or len(b) == 0:
        found = Text(f"shapes {a.shape}, {b.shape}, {sizes.shape}")
        raise InputError("units", found, f"a (unit, {m}), b (unit,), |c| (unit,)")
    place = a[:, 0] if m == 1 else np.linalg.norm(a, axis=1)
    size = np.abs(sizes)
    top = float(np.quantile(size, CLIP)) or 1.0
    inside = int(((np.abs(place) <= shown[0]) & (np.abs(b) <= shown[1])).sum())
    dots = go.Scatter(
        x=place,
        y=b,
        mode="markers",
        customdata=size,
        hovertemplate="a = %{x:.3g}, b = %{y:.3g}, |c| = %{customdata:.3g}<extra></extra>",
        marker={
            "size": LARGEST * np.sqrt(np.minimum(size / top, 1.0)),
            "color": "rgba(20,20,20,0.45)",
            "line": {"color": "#ffffff", "width": 0.8},
            "sizemin": 1.5,
        },
    )
    return dots, inside, len(b)
