"""How far weights move after diffusion began, beside a Wiener process."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.errors import InputError, Text
from flowplane.plot.names import about, panel_names
from flowplane.plot.panels import layer_panels, with_logarithmic_axes
from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, faded, require_variables

__all__ = ["weight_diffusion"]

NEEDED = ("msd", "wiener_msd", "exponent_mean", "exponent_lower", "exponent_upper", "origin")
MEASURED, FIT, WIENER = LAYER_COLORS[0], LAYER_COLORS[3], "#555555"


@draws("weight_diffusion")
def weight_diffusion(dataset: xr.Dataset, title: str = "How far the weights move") -> go.Figure:
    """Mean squared displacement against the lag, one panel per layer, with its exponent and the band of a Wiener process.

    Faint: replicas; strong: their mean; grey: where the mean of as many Wiener processes with the measured covariance lies
    in 95 % of the draws. A text gives the mean exponent with its 95 % interval, and the range of the Wiener process's.

    Arguments:
        dataset: from `fp.weight_diffusion`.

    Raises:
        InputError: another kind of Dataset, or nothing above 0 to draw.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=2, epochs=8, snapshots=9)
        >>> weight_diffusion(fp.weight_diffusion(rec, since=2, draws=20)).layout.xaxis.title.text
        'epochs since the origin'
    """
    require_variables(dataset, NEEDED, "fp.weight_diffusion")
    values = dataset["msd"].transpose("replica", "lag_epoch", "layer").values
    if not (values > 0).any():
        raise InputError("dataset", Text("no displacement above 0"), "weights that move, for a logarithmic axis")
    origins = zip(panel_names(dataset), dataset["origin"].values, strict=True)
    figure, grid = layer_panels([f"{name}, since epoch {origin:,.0f}" for name, origin in origins])
    lags = dataset["lag_epoch"].values
    band = dataset["wiener_msd"].transpose("bound", "lag_epoch", "layer").values
    drawn = np.concatenate([values[values > 0], band[band > 0]])
    low, high = np.log10([drawn.min(), drawn.max()])
    legend = int((values > 0).any((0, 1)).argmax())
    for k in range(grid.panels):
        slope = float(dataset["exponent_mean"].values[k])
        for trace in _curves(lags, values[:, :, k], band[:, :, k], slope, first=k == legend):
            figure.add_trace(trace, **grid.place(k))
        axis = "" if k == 0 else str(k + 1)
        figure.add_annotation(
            x=0.03,
            y=0.97,
            xref=f"x{axis} domain",
            yref=f"y{axis} domain",
            xanchor="left",
            yanchor="top",
            align="left",
            showarrow=False,
            text=_exponents(dataset.isel(layer=k)),
            font={"size": 12},
            bgcolor="rgba(255,255,255,0.75)",
        )
    return with_logarithmic_axes(
        figure,
        grid,
        title,
        f"{about(dataset)} · origin: {dataset.attrs.get('since', 'given')} · ranges: 95 %",
        x=lags,
        x_title="epochs since the origin",
        y_range=[low - 0.1, high + 0.35 * (high - low)],  # room for the text above the curves
        y_title="‖Δw‖² [weight²]",
    )


def _curves(lags: np.ndarray, values: np.ndarray, band: np.ndarray, slope: float, first: bool) -> list[go.Scatter]:
    """The band, every replica, their mean, and the power law through it."""
    known = np.isfinite(values).any(0)
    if not known.any():
        return []
    x, measured, wiener = lags[known], values[:, known], band[:, known]
    gap = np.full((len(measured), 1), np.nan)
    name = "Wiener process, 95 %"
    traces = []
    if np.isfinite(wiener).all():
        traces = [
            go.Scatter(
                x=np.concatenate([x, x[::-1]]),
                y=np.concatenate([wiener[2], wiener[0][::-1]]),
                mode="lines",
                line={"width": 0},
                fill="toself",
                fillcolor=faded(WIENER, 0.22),
                hoverinfo="skip",
                name=name,
                legendgroup=name,
                showlegend=first,
            ),
            go.Scatter(
                x=x,
                y=wiener[1],
                mode="lines",
                line={"color": WIENER, "width": 1.3, "dash": "dot"},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=name,
            ),
        ]
    if np.isfinite(slope):
        with np.errstate(divide="ignore"):
            level = np.log(measured.mean(0)) - slope * np.log(x)
        traces.append(
            go.Scatter(
                x=x,
                y=x**slope * np.exp(level[np.isfinite(level)].mean()),
                mode="lines",
                hoverinfo="skip",
                line={"color": FIT, "width": 1.5, "dash": "dash"},
                name="mean exponent, t<sup>α</sup>",
                legendgroup="fit",
                showlegend=first,
            )
        )
    return [
        *traces,
        go.Scatter(
            x=np.tile(np.append(x, np.nan), len(measured)),
            y=np.hstack([measured, gap]).ravel(),
            mode="lines",
            line={"color": faded(MEASURED, 0.25), "width": 1},
            hoverinfo="skip",
            name="one replica",
            showlegend=first,
        ),
        go.Scatter(
            x=x,
            y=measured.mean(0),
            mode="lines+markers",
            line={"color": MEASURED, "width": 2},
            marker={"size": 5},
            name="mean of the replicas",
            legendgroup="mean",
            showlegend=first,
            hovertemplate="after %{x} epochs: %{y:.3g}<extra></extra>",
        ),
    ]


def _exponents(layer: xr.Dataset) -> str:
    mean, *ends = (float(layer[f"exponent_{name}"]) for name in ("mean", "lower", "upper"))
    if not np.isfinite(mean):
        return "no exponent"
    interval = f" ({ends[0]:.2f} to {ends[1]:.2f})" if np.isfinite(ends).all() else ""
    wiener = [float(layer[f"wiener_{name}"]) for name in ("lower", "upper")]
    beside = f"<br>Wiener: {wiener[0]:.2f} to {wiener[1]:.2f}" if np.isfinite(wiener).all() else ""
    return f"t<sup>α</sup>, α = {mean:.2f}{interval}{beside}"
