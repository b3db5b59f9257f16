"""β* of each layer while the network learns."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane.core.renamed import renamed
from flowplane.plot.critical import require_critical, stability_lost
from flowplane.plot.names import about, layer_titles
from flowplane.plot.plane import in_order
from flowplane.plot.registry import draws
from flowplane.plot.style import LAYER_COLORS, epoch_ticks, faded, require_variables, styled, time_scale

__all__ = ["layer_beta_curves"]

#: Critical values of β nearer to the last labelled one than this ratio have no label of their own.
APART = 1.03
#: Of lines across: no layer has this colour.
STABLE = "#777"


@draws("layer_betas")
@renamed
def layer_beta_curves(
    dataset: xr.Dataset, critical: xr.Dataset | None = None, *, title: str = "β* of each layer while it learns"
) -> go.Figure:
    """β* against the epoch, one colour per layer: replicas faint, their median strong; lines across at critical points.

    Arguments:
        dataset: from `fp.layer_betas`.
        critical: from `fp.critical_betas`; None to leave them out.

    Raises:
        InputError: another kind of Dataset.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(information=0.99), hidden=(4,), replicas=2, epochs=2, snapshots=2)
        >>> layer_beta_curves(fp.layer_betas(rec)).layout.yaxis.title.text
        'β*'
    """
    require_variables(dataset, ("beta_star", "edge"), "fp.layer_betas")
    require_critical(critical)
    ordered = in_order(dataset)
    epochs = ordered["epoch"].values
    times = time_scale(epochs)
    values = ordered["beta_star"].values
    figure = go.Figure()
    for k, layer in enumerate(layer_titles(ordered)):
        color = LAYER_COLORS[k % len(LAYER_COLORS)]
        name = f"layer {layer}"
        faint = {"color": faded(color, 0.2), "width": 1}
        for replica in values[:, :, k]:
            figure.add_trace(
                go.Scatter(
                    x=times, y=replica, mode="lines", line=faint, showlegend=False, hoverinfo="skip", legendgroup=name
                )
            )
        at_edge = (ordered["edge"].values[:, :, k] == 1).mean(0) > 0.5
        figure.add_trace(
            go.Scatter(
                x=times,
                y=np.median(values[:, :, k], axis=0),
                mode="lines+markers",
                name=name,
                legendgroup=name,
                line={"color": color, "width": 2.2},
                customdata=epochs,
                marker={"size": 7, "color": np.where(at_edge, "white", color), "line": {"color": color, "width": 1.3}},
                hovertemplate=name + ", epoch %{customdata}<br>β* = %{y:.4g}<extra></extra>",
            )
        )
    labelled = 0.0
    for beta in stability_lost(critical):
        figure.add_hline(y=beta, line={"color": STABLE, "width": 1.2, "dash": "dash"})
        if beta > APART * labelled:
            labelled = beta
            figure.add_annotation(
                x=1.0,
                xref="paper",
                xanchor="left",
                y=np.log10(beta),
                text=f"{beta:.4g}",
                showarrow=False,
                xshift=3,
                font={"size": 11, "color": STABLE},
            )
    low, high = np.log10([values.min(), values.max()])
    reach = max(high - low, 0.1)
    ticks, texts = epoch_ticks(int(epochs.max()))
    figure.update_xaxes(title="epoch", tickvals=ticks, ticktext=texts)
    figure.update_yaxes(
        title="β*", type="log", dtick=1, exponentformat="power", range=[low - 0.08 * reach, high + 0.08 * reach]
    )
    crossed = "" if critical is None else "dashed: a cluster loses stability · "
    return styled(
        figure,
        title,
        crossed + "hollow: beyond the search, T = X has β* = ∞ · " + about(ordered),
        width=900,
        height=560,
        margin={"l": 80, "r": 30, "t": 95, "b": 70},
        legend={"x": 1.07, "y": 1.0, "xanchor": "left"},
    )
