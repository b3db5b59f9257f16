"""What flows spend: transport, coupling, bending and pace as parts of the energy."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
import xarray as xr

from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, flagged, panels_of, require_units, styled

__all__ = ["budget"]

#: Pixels above and below the bars: the title; the axis and the legend.
ABOVE, BELOW = 106, 105
#: Term, and what it is for.
TERMS = {
    "transport": "transport: W₂²",
    "coupling": "coupling: E|Δ|² − W₂²",
    "bending": "bending: E ℓ² − E|Δ|²",
    "pace": "pace: E∫(|u| − ℓ)² ds",
}
#: What they are made of.
SYMBOLS = "of each point u is the velocity, Δ the way from start to end, ℓ the length of its path"


@draws("budget")
def budget(dataset: xr.Dataset | Mapping[str, xr.Dataset], title: str = "What the flow spends its energy on") -> go.Figure:
    """One bar per flow: what transport must cost, and what coupling, bending and pace waste, in per cent of the energy.

    Arguments:
        dataset: from `flow.budget()`, one or {name: budget}.

    Raises:
        InputError: another kind of Dataset, other units.

    Example:
        >>> import flowplane as fp
        >>> flow = fp.denoising_flow(fp.Normal(0.0, 1.0), 0.4, layers=1)
        >>> [round(bar.x[0], 6) for bar in fp.plot.budget(flow.budget()).data]
        [100.0, 0.0, 0.0, 0.0]
    """
    flows = panels_of(dataset, ("energy", *TERMS), "flow.budget()")
    figure = go.Figure()
    for spent in flows.values():
        require_units(spent, ("energy", *TERMS), "squared units of x")
    few = {flow: bool(flagged(spent, "coupling")) for flow, spent in flows.items()}
    sign = "" if "" in flows else "*"
    labels = [f"{flow}{sign if starred else ''} " for flow, starred in few.items()]
    for term, name, color in zip(TERMS, TERMS.values(), (*LAYER_COLORS[:1], *LAYER_COLORS[1:4]), strict=True):
        totals = [max(float(spent["energy"]), 1e-300) for spent in flows.values()]
        pairs = [(float(spent[term]), float(spent[f"{term}_error"])) for spent in flows.values()]
        figure.add_bar(
            x=[100 * abs(value) / total if value > 0 else 0.0 for (value, _), total in zip(pairs, totals, strict=True)],
            y=labels,
            orientation="h",
            name=name,
            marker={"color": color, "line": {"color": "white", "width": 1}},
            customdata=pairs,
            hovertemplate=f"{name}<br>%{{x:.1f}} %: %{{customdata[0]:.4g}} ± %{{customdata[1]:.2g}}<extra></extra>",
        )
    energies = ", ".join(f"{float(spent['energy']):.4g}" for spent in flows.values())
    few_said = f"; {sign and sign + ' '}too few particles to pair starts with ends: coupling is a lower bound"
    star = few_said if any(few.values()) else ""
    bars = 90 + 46 * len(flows)
    figure.update_layout(barmode="stack", bargap=0.35)
    figure.update_xaxes(title="per cent of the energy", range=[0, 101])
    figure.update_yaxes(autorange="reversed")
    return styled(
        figure,
        title,
        f"energy E∫|u|² ds = {energies} squared units of x{star}<br>{SYMBOLS}",
        width=900,
        height=ABOVE + bars + BELOW,
        margin={"l": 30 + 8 * max(map(len, flows)), "r": 30, "t": ABOVE, "b": BELOW},
        legend={"orientation": "h", "x": 0.0, "y": -65 / bars, "yanchor": "top", "traceorder": "normal"},
    )
