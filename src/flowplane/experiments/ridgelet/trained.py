"""Where the units of trained networks stand on the ridgelet spectrum: figures and the claim (docs/papers.md §A10)."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from flowplane import plot
from flowplane.experiments.claim import Claim, mean_interval, with_ends
from flowplane.experiments.registry import Context
from flowplane.experiments.ridgelet.units import (
    DECAY,
    WIDTH,
    Trained,
    other_target,
    share_above,
    target_and_spectra,
    trained_units,
)

__all__ = ["trained_claims", "units_claim"]

STEPS = {"quick": 1000, "full": 6000}
SEEDS = {"quick": 3, "full": 8}
TITLE = "sin 2πx: the transform, and units"
#: Quantiles of |R| above which |c| is counted.
QUANTILES = (0.5, 0.9)
NETWORKS = ("untrained", "Adam", "Adam with decay")


def trained_claims(context: Context) -> tuple[xr.Dataset, dict[str, go.Figure], list[Claim]]:
    """Networks trained with and without a penalty on |c|: the share of |c| where |R| is large."""
    x, f, spectrum, other = target_and_spectra()
    steps, seeds = STEPS[context.scale], SEEDS[context.scale]
    functions = ((spectrum, f), (other, other_target(x)))
    shares = np.empty((len(NETWORKS), 2, len(QUANTILES), seeds))
    losses = np.full((len(NETWORKS), seeds), np.nan)
    shown: dict[str, Trained] = {}
    for k in range(seeds):
        for number, decay in enumerate((0.0, DECAY), start=1):
            found = trained_units(x, f, spectrum.extent, steps, decay, context.seed + k)
            losses[number, k] = found.loss
            shown.setdefault(NETWORKS[number], found)
            for place, units in ((0, found.before), (number, found.after)):
                shares[place, :, :, k] = [
                    [share_above(part, x, values, units, quantile) for quantile in QUANTILES] for part, values in functions
                ]
    about = {"long_name": "share of Σ|c| where |R| is above its quantile", "units": "1"}
    dataset = xr.Dataset(
        {
            "share": (("network", "function", "quantile", "seed"), shares, about),
            "loss": (("network", "seed"), losses, {"long_name": "mean squared error", "units": "f²"}),
        },
        {"network": list(NETWORKS), "function": ["its own", "another"], "quantile": list(QUANTILES)},
        {"steps": steps, "units": WIDTH},
    )
    drawn, settled = spectrum.to_dataset(), shown[NETWORKS[2]]
    figures = {
        "spectrum": plot.ridgelet_spectrum(drawn, settled.after, title=f"{TITLE} trained by Adam with decay"),
        "spectrum-untrained": plot.ridgelet_spectrum(drawn, settled.before, title=f"{TITLE} before training"),
    }
    return dataset, figures, [units_claim(dataset, context.scale)]


def units_claim(dataset: xr.Dataset, scale: str) -> Claim:
    """Trained units against untrained ones, chance, and the transform of another function."""
    share = dataset["share"]
    kinds = [("Adam", "its own"), ("Adam with decay", "its own"), ("untrained", "its own"), ("Adam with decay", "another")]
    values = np.concatenate(
        [
            np.stack(
                [share.sel(network=network, function=function, quantile=quantile).values for network, function in kinds]
            )
            for quantile in QUANTILES
        ]
    )
    mean, interval, _ = mean_interval(values.T)
    measured, ends = with_ends(mean, interval[:, 0], interval[:, 1])
    more = []
    for first, second in ((kinds[1], kinds[2]), (kinds[1], kinds[3])):
        pairs = [
            share.sel(network=network, function=function, quantile=QUANTILES[-1]) for network, function in (first, second)
        ]
        more.append(mean_interval((pairs[0] - pairs[1]).values[:, None])[1][0, 0])
    verdict = "reproduced" if min(more) > 0 else "inconclusive"
    listed = "Adam, Adam with decay, untrained, Adam with decay on the transform of another function"
    statement = (
        f"reported: |c| gathers where |R| is large: its share above the median of |R| (chance 0.5) and in its top tenth "
        f"(chance 0.1), each for {listed}"
    )
    return Claim("A-8.trained", statement, measured, ends, None, None, verdict, scale, 0.0, "1")
