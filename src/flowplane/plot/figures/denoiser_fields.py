"""Two denoisers in the plane: where each moves the points, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.core.renamed import renamed
from flowplane.errors import InputError, Text
from flowplane.plot.arrows import arrow_line
from flowplane.plot.style import DENSITY_SCALE, LAYER_COLORS, log_density, log_density_axis, panels_of, styled

__all__ = ["denoiser_fields"]

OPTIMAL, LEARNED = "rgba(255,255,255,0.85)", LAYER_COLORS[5]
#: Arrows stand where the density is above this part of its maximum.
LEAST = 1e-2
#: The longest arrow, in distances between arrows.
LONGEST = 1.6
ERROR_SCALE = "Blues"
#: Share of the distances that the colours tell apart.
SHOWN = 0.98
#: Height of a row of panels, and what stands around them, in pixels.
ROW, AROUND = 330, 190


@renamed
def denoiser_fields(
    dataset: xr.Dataset | Mapping[str, xr.Dataset], title: str = "Learned and optimal denoisers"
) -> go.Figure:
    """Left the density of the noisy points with both displacements, right how far the two are apart; one row per density.

    Wide white arrows are the optimal displacement, thin blue ones the learned; where blue lies on white they agree.

    Arguments:
        dataset: `density` (x, y), `optimal` and `learned` (x, y, feature) and the attribute `displacement`, the root mean
            square of the optimal one over the density; one, or {row title: such a Dataset}.

    Raises:
        InputError: another kind of Dataset, another dimension.

    Example:
        >>> axis = np.linspace(-1, 1, 5)
        >>> move = (("x", "y", "feature"), np.full((5, 5, 2), 0.1))
        >>> variables = {"density": (("x", "y"), np.ones((5, 5))), "optimal": move, "learned": move}
        >>> fields = xr.Dataset(variables, {"x": axis, "y": axis}, {"displacement": 0.14})
        >>> len(denoiser_fields(fields).data)
        4
    """
    rows = panels_of(dataset, ("density", "optimal", "learned"), "the experiment learned-dae")
    for field in rows.values():
        if field.sizes["feature"] != 2 or "displacement" not in field.attrs:
            found = Text(f"{field.sizes['feature']} dimensions and the attributes {sorted(field.attrs)}")
            raise InputError("dataset", found, "two dimensions and the attribute displacement")
    parts = ("displacements", "their distance")
    titles = [f"{name}{': ' if name else ''}{part}" for name in rows for part in parts]
    height = AROUND + ROW * len(rows)
    figure = make_subplots(
        rows=len(rows), cols=2, subplot_titles=titles, horizontal_spacing=0.17, vertical_spacing=80 / height
    )
    logs = [log_density(field["density"].transpose("y", "x").values) for field in rows.values()]
    gaps = [_gap(field) for field in rows.values()]
    for row, (field, log, gap) in enumerate(zip(rows.values(), logs, gaps, strict=True), start=1):
        x, y = (field[dim].values.astype(np.float32) for dim in ("x", "y"))
        figure.add_trace(
            go.Heatmap(x=x, y=y, z=log.astype(np.float32), coloraxis="coloraxis", zsmooth="best", hoverinfo="skip"),
            row=row,
            col=1,
        )
        for name, color, width in (("optimal", OPTIMAL, 3.5), ("learned", LEARNED, 1.4)):
            figure.add_trace(_arrows(field, name, color, width, legend=row == 1), row=row, col=1)
        hover = "(%{x:.2f}, %{y:.2f})<br>%{z:.3f}<extra></extra>"
        figure.add_trace(
            go.Heatmap(x=x, y=y, z=gap.T.astype(np.float32), coloraxis="coloraxis2", hovertemplate=hover), row=row, col=2
        )
        for column in (1, 2):
            _framed(figure, row, column, x, y, last=row == len(rows))
    density = log_density_axis(logs, DENSITY_SCALE)
    density["colorbar"] |= {"x": 0.425, "len": 0.9}
    highest = max(float(np.nanquantile(gap, SHOWN)) for gap in gaps)
    distance = {
        "colorscale": ERROR_SCALE,
        "cmin": 0.0,
        "cmax": highest,
        "colorbar": {
            "title": {"text": "|g − g*|", "side": "top"},
            "thickness": 14,
            "len": 0.9,
            "outlinewidth": 0,
            "x": 1.01,
        },
    }
    figure.update_layout(coloraxis=density, coloraxis2=distance, plot_bgcolor="white")
    subtitle = (
        "distance in units of the root mean square displacement, where the density is above 1 % of its maximum; the darkest "
        "2 % look alike"
    )
    return styled(
        figure,
        title,
        subtitle,
        width=1050,
        height=height,
        margin={"l": 65, "r": 30, "t": 125, "b": 65},
        legend={
            "orientation": "h",
            "x": 1.06,
            "xanchor": "right",
            "y": 1 + 45 / (height - AROUND),
            "yanchor": "bottom",
            "bgcolor": "#555",
            "font": {"color": "#fff"},
        },
    )


def _framed(figure: go.Figure, row: int, column: int, x: np.ndarray, y: np.ndarray, last: bool) -> None:
    """Both axes at one scale, from end to end of the grid."""
    number = 2 * row - 2 + column
    ends = [[float(axis[0]), float(axis[-1])] for axis in (x, y)]
    figure.update_xaxes(title="x₁" if last else None, range=ends[0], showgrid=False, constrain="domain", row=row, col=column)
    figure.update_yaxes(
        title="x₂",
        range=ends[1],
        scaleanchor=f"x{number if number > 1 else ''}",
        showgrid=False,
        constrain="domain",
        row=row,
        col=column,
    )


def _gap(field: xr.Dataset) -> np.ndarray:
    """|g − g*| over the displacement, (x, y); NaN where there is next to nothing to denoise."""
    apart = (field["learned"] - field["optimal"]).transpose("x", "y", "feature").values
    density = field["density"].transpose("x", "y").values
    distance = np.linalg.norm(apart, axis=2) / float(field.attrs["displacement"])
    return np.where(density >= LEAST * density.max(), distance, np.nan)


def _arrows(field: xr.Dataset, name: str, color: str, width: float, legend: bool) -> go.Scatter:
    """Arrows on every few points of the grid, both kinds at one scale, as one broken line."""
    step = max(1, field.sizes["x"] // 24)
    coarse = field.isel(x=slice(step // 2, None, step), y=slice(step // 2, None, step))
    density = coarse["density"].transpose("x", "y").values
    there = density >= LEAST * float(field["density"].max())
    optimal = coarse["optimal"].transpose("x", "y", "feature").values
    longest = np.linalg.norm(optimal, axis=2)[there].max(initial=1e-30)
    apart = float(coarse["x"][1] - coarse["x"][0])
    move = coarse[name].transpose("x", "y", "feature").values[there] * (LONGEST * apart / longest)
    places = np.meshgrid(coarse["x"].values, coarse["y"].values, indexing="ij")
    start = np.stack([part[there] for part in places], 1)
    return arrow_line(start, move, color, width, name=name, legendgroup=name, showlegend=legend)
