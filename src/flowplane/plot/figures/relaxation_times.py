"""Relaxation times of layers against how much each compresses."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.dynamics.laws import law_values
from flowplane.errors import InputError, Text
from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, axis_title, layer_label, require_units, require_variables, styled

__all__ = ["relaxation_times"]

NEEDED = ("fitted", "weight", "parameters", "slope", "slope_lower", "slope_upper")
LINES = {"exponential": "solid", "linear": "dash", "power": "dashdot", "constant": "dot"}


@draws("relaxation_times")
def relaxation_times(dataset: xr.Dataset, title: str = "Relaxation time against compression") -> go.Figure:
    """Δτ (logarithmic) against ΔS, one point per layer of a replica, with the fitted laws; hollow points were not fitted.

    Arguments:
        dataset: from `fp.relaxation_times`.

    Raises:
        InputError: another kind of Dataset, other units, or no layer that relaxed.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4, 3), replicas=3, epochs=60, snapshots=12)
        >>> relaxation_times(fp.relaxation_times(rec)).layout.xaxis.title.text
        'compression ΔS [bits]'
    """
    require_units(dataset, ("delay",), "epochs")
    require_units(dataset, ("compression",), "bits")
    require_variables(dataset, NEEDED, "fp.relaxation_times")
    ordered = dataset.transpose("replica", "layer", "law", "parameter")
    x, y = ordered["compression"].values, ordered["delay"].values
    fitted, there = ordered["fitted"].values, np.isfinite(x) & np.isfinite(y)
    if not there.any():
        raise InputError(
            "dataset", Text("no layer whose I(X;T) fell"), "at least one relaxation time, such as more epochs may give"
        )
    depths = ordered["depth"].values if "depth" in ordered.coords else np.arange(x.shape[1]) + 1
    figure = go.Figure()
    for law, dash in LINES.items():
        trace = _law(ordered.sel(law=law), law, dash, x[fitted & there])
        if trace is not None:
            figure.add_trace(trace)
    for k, depth in enumerate(depths.tolist()):
        if not there[:, k].any():
            continue
        color = LAYER_COLORS[(int(depth) - 1) % len(LAYER_COLORS)]
        name = f"layer {layer_label(int(depth), int(depths.max()))}"
        chosen = there[:, k]
        figure.add_trace(
            go.Scatter(
                x=x[chosen, k],
                y=y[chosen, k],
                mode="markers",
                name=name,
                legendgroup="layers",
                legendgrouptitle={"text": "layers"},
                customdata=ordered["replica"].values[chosen],
                marker={
                    "size": 8,
                    "color": np.where(fitted[chosen, k], color, "white"),
                    "line": {"color": color, "width": 1.3},
                },
                hovertemplate=name + ", replica %{customdata}<br>ΔS = %{x:.3f} bits<br>Δτ = %{y:.4g} epochs<extra></extra>",
            )
        )
    low, high = np.log10([y[there].min(), y[there].max()])
    reach = max(high - low, 0.3)
    figure.update_xaxes(title=axis_title(dataset["compression"]))
    figure.update_yaxes(
        title="relaxation time Δτ [epochs]",
        type="log",
        dtick=1,
        exponentformat="power",
        range=[low - 0.12 * reach, high + 0.12 * reach],
    )
    return styled(
        figure,
        title,
        _about(ordered),
        width=900,
        height=560,
        margin={"l": 85, "r": 30, "t": 95, "b": 70},
        legend={"x": 1.02, "y": 1.0, "xanchor": "left", "font": {"size": 12}, "tracegroupgap": 14},
        showlegend=True,
    )


def _law(part: xr.Dataset, law: str, dash: str, x: np.ndarray) -> go.Scatter | None:
    """One fitted law over the range of the points it was fitted to."""
    weight = float(part["weight"])
    if not np.isfinite(weight):
        return None
    along = np.linspace(x.min(), x.max(), 200)
    return go.Scatter(
        x=along,
        y=law_values(law, part["parameters"].values, along),
        mode="lines",
        legendgroup="laws",
        line={"color": "#444", "width": 1.8, "dash": dash},
        name=f"{law}, {_percent(weight)}",
        legendgrouptitle={"text": "laws, Akaike weight"},
        hoverinfo="name",
    )


def _percent(weight: float) -> str:
    return "below 1 %" if weight < 0.005 else f"{100 * weight:.0f} %"


def _about(found: xr.Dataset) -> str:
    slope, lower, upper = (float(found[name]) for name in ("slope", "slope_lower", "slope_upper"))
    if not np.isfinite(slope):
        said = "too few points for a law"
    elif not np.isfinite(lower):
        said = f"log₂ Δτ = a + bΔS with b = {_number(slope)}; an interval needs three replicas"
    else:
        ends = f"95 % interval {_number(lower)} to {_number(upper)}"
        said = f"log₂ Δτ = a + bΔS with b = {_number(slope)}, {ends}, predicted b = 1"
    replicas = found.sizes["replica"]
    count = f"{replicas} replica{'s' if replicas > 1 else ''}"
    hollow = (np.isfinite(found["delay"].values) & ~found["fitted"].values).any()
    parts = [said, str(found.attrs.get("task", "")), count, "hollow: not fitted" if hollow else ""]
    return " · ".join(part for part in parts if part)


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
