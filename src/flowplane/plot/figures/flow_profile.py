"""A flow in numbers against time, several flows together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from flowplane.core.results import long_name
from flowplane.errors import InputError, Text
from flowplane.plot.panels import Grid
from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, faded, panels_of, require_units, styled, time_title

__all__ = ["flow_profile"]

#: Panel title, axis, units, and what is drawn: variable, sign, dash.
PANELS: tuple[tuple[str, str, str, tuple[tuple[str, int, str], ...]], ...] = (
    ("entropy", "H [nats]", "nats", (("entropy", 1, "solid"),)),
    (
        "dH/dt (line) and −J (dots)",
        "nats per unit of time",
        "nats per unit of time",
        (("entropy_rate", 1, "solid"), ("fisher_information", -1, "dot")),
    ),
    ("variance", "tr Cov [units of x²]", "squared units of x", (("variance", 1, "solid"),)),
    ("distance from the start", "W₂ [units of x]", "units of x", (("wasserstein", 1, "solid"),)),
    ("optimality", "W₂²/E|x<sub>t</sub> − x<sub>0</sub>|²", "1", (("optimality", 1, "solid"),)),
    ("straightness", "E|x<sub>t</sub> − x<sub>0</sub>|²/(t∫E|v|²dt)", "1", (("straightness", 1, "solid"),)),
)
#: Of which 1 is the best.
RATIOS = ("optimality", "straightness")


@draws("flow_profile")
def flow_profile(
    dataset: xr.Dataset | Mapping[str, xr.Dataset], title: str = "What the flow does to its density"
) -> go.Figure:
    """Entropy, its rate beside the Fisher information, variance, W_2, optimality and straightness against time.

    Bands are two standard errors; what no flow has, such as the entropy of bare atoms, gets no panel. On a polygon of layers
    −J differs from dH/dt: only the continuous flow follows ∇log p_t.

    Arguments:
        dataset: from `flow.profile()`, one or {name: profile}.

    Raises:
        InputError: another kind of Dataset, other units, flows in different units of time, no finite value.

    Example:
        >>> import math
        >>> import flowplane as fp
        >>> flow = fp.denoising_flow(fp.Normal(0.0, 1.0), 0.4, layers=math.inf)
        >>> fp.plot.flow_profile(flow.profile()).layout.yaxis.title.text
        'H [nats]'
    """
    needed = tuple(name for panel in PANELS for name, _, _ in panel[3])
    flows = panels_of(dataset, needed, "flow.profile()")
    for profile in flows.values():
        for _, _, units, drawn in PANELS:
            require_units(profile, tuple(name for name, _, _ in drawn), units)
    panels = [
        panel for panel in PANELS if any(np.isfinite(flow[name]).any() for flow in flows.values() for name, *_ in panel[3])
    ]
    if not panels:
        raise InputError("dataset", Text("no finite value"), "a profile with at least one")
    grid = Grid.of(len(panels))
    figure = make_subplots(
        rows=grid.rows,
        cols=grid.columns,
        subplot_titles=[_title(panel[0], flows) for panel in panels],
        horizontal_spacing=0.09,
        vertical_spacing=0.17 if grid.rows > 1 else 0.0,
    )
    for panel, (_, axis, _, drawn) in enumerate(panels):
        place = grid.place(panel)
        for number, (flow, profile) in enumerate(flows.items()):
            color = LAYER_COLORS[number % len(LAYER_COLORS)]
            for name, sign, dash in drawn:
                first = panel == 0 and len(flows) > 1
                # the first one is the widest, so that curves that coincide are all seen
                style = {"color": color, "width": 2 + 1.3 * (len(flows) - 1 - number)}
                for trace in _curve(profile, name, sign, dash, style, flow, first):
                    figure.add_trace(trace, **place)
        figure.update_yaxes(title={"text": axis, "standoff": 8}, **place)
        if grid.lowest(panel):
            figure.update_xaxes(title=time_title(flows.values()), **place)
        if drawn[0][0] in RATIOS:
            figure.update_yaxes(range=_ratio_range(flows, drawn[0][0]), **place)
    samples = {int(profile.attrs.get("samples", 0)) for profile in flows.values()}
    parts = [f"{count:,} particles" if count else "closed form" for count in sorted(samples, reverse=True)]
    return styled(
        figure,
        title,
        f"{' and '.join(parts)}; bands: two standard errors",
        width=1150,
        height=690 if grid.rows > 1 else 430,
        margin={"l": 75, "r": 30, "t": 130 if len(flows) > 1 else 110, "b": 65},
        legend={"orientation": "h", "x": 1.0, "xanchor": "right", "y": 1.08, "yanchor": "bottom"},
    )


def _title(title: str, flows: Mapping[str, xr.Dataset]) -> str:
    """A panel's title, which speaks of dots only where there are any."""
    dots = any(np.isfinite(profile["fisher_information"]).any() for profile in flows.values())
    return title if dots else title.replace(" (line) and −J (dots)", "")


def _curve(
    profile: xr.Dataset, name: str, sign: int, dash: str, style: dict[str, Any], flow: str, legend: bool
) -> list[go.Scatter]:
    times, values = profile["time"].values, sign * profile[name].values
    kept = np.isfinite(values)
    if not kept.any():
        return []
    mode = "markers" if dash == "dot" else "lines"
    curve = go.Scatter(
        x=times[kept],
        y=values[kept],
        mode=mode,
        line=style,
        marker={"color": style["color"], "size": 4 + style["width"]},
        name=flow,
        legendgroup=flow,
        showlegend=legend,
        hovertemplate=f"{flow}<br>t = %{{x:.3g}}<br>{long_name(profile, name)} = %{{y:.4g}}<extra></extra>",
    )
    error = profile.get(f"{name}_error")
    if error is None or mode == "markers" or not (error.values[kept] > 0).any():
        return [curve]
    reach = 2 * error.values[kept]
    band = go.Scatter(
        x=np.concatenate([times[kept], times[kept][::-1]]),
        y=np.concatenate([values[kept] + reach, (values[kept] - reach)[::-1]]),
        mode="lines",
        fill="toself",
        fillcolor=faded(style["color"], 0.18),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        legendgroup=flow,
    )
    return [band, curve]


def _ratio_range(flows: Mapping[str, xr.Dataset], name: str) -> list[float]:
    """A ratio's axis ends just above 1 and shows at least two percent."""
    least = min(float(np.nanmin(profile[name].values, initial=1.0)) for profile in flows.values())
    reach = max(1 - least, 0.02)
    return [1 - 1.1 * reach, 1 + 0.08 * reach]
