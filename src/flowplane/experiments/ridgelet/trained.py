"""Do the units of trained networks stand where the ridgelet transform is large? (docs/papers.md §A10)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn

from flowplane import plot
from flowplane.experiments.claim import Claim
from flowplane.experiments.registry import Context
from flowplane.experiments.verdicts import mean_and_ends, means
from flowplane.ridgelet import Spectrum, Units, monte_carlo_transform, transform, units_of

__all__ = ["share_above", "trained_claims", "units_claim"]

WIDTH = 300
POINTS = 400
RATE = 3e-3
#: L2 penalty on the output weights of the second network, as torch's Adam takes it.
DECAY = 1e-2
TITLE = "sin 2πx: the transform, and units"
#: Quantiles of |R| above which |c| is counted.
QUANTILES = (0.5, 0.9)
NETWORKS = ("untrained", "Adam", "Adam with decay")


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    steps: int
    seeds: int


SCALES = {"quick": Scale(steps=1000, seeds=3), "full": Scale(steps=6000, seeds=8), "tiny": Scale(steps=5, seeds=2)}


@dataclass(frozen=True)
class Trained:
    """Units before and after training, and the mean squared error that was reached."""

    before: Units
    after: Units
    loss: float


def target_and_spectra() -> tuple[Tensor, Tensor, Spectrum, Spectrum]:
    """x on [−1, 1], sin 2πx, its transform, and that of another function on the same nodes."""
    x = torch.linspace(-1, 1, POINTS, dtype=torch.float64, device="cpu")
    f = torch.sin(2 * torch.pi * x)
    spectrum = transform(f, x)
    return x, f, spectrum, transform(other_target(x), x, extent=spectrum.extent)


def other_target(x: Tensor) -> Tensor:
    """What the networks were not trained on: a bump left of the middle."""
    return torch.exp(-((x + 0.6) ** 2) / 0.02)


def trained_units(x: Tensor, f: Tensor, extent: tuple[float, float], steps: int, decay: float, seed: int) -> Trained:
    """A tanh network whose units start anywhere within the extent alike, trained by Adam on all points.

    With torch's own start all units lie near the origin, within the large part of nearly every transform: then nothing can
    be concluded.
    """
    rng = torch.Generator().manual_seed(seed)
    network = nn.Sequential(nn.Linear(1, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 1)).double()
    first, last = network[0], network[2]
    assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
    with torch.no_grad():
        for part, reach in ((first.weight, extent[0]), (first.bias, extent[1]), (last.weight, WIDTH**-0.5)):
            part.uniform_(-reach, reach, generator=rng)
        last.bias.zero_()
    before = Units(*(part.clone() for part in units_of(network)))
    groups: list[dict[str, Any]] = [
        {"params": list(first.parameters())},
        {"params": list(last.parameters()), "weight_decay": decay},
    ]
    optimizer = torch.optim.Adam(groups, lr=RATE)
    loss = f.new_zeros(())
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (network(x[:, None])[:, 0] - f).square().mean()
        loss.backward()
        optimizer.step()
    return Trained(before, Units(*(part.clone() for part in units_of(network))), loss.item())


def share_above(
    spectrum: Spectrum, x: Float[Tensor, " sample"], f: Float[Tensor, " sample"], units: Units, quantile: float = 0.5
) -> float:
    """The part of Σ|c| at units whose |R| is above that quantile of |R| over the extent; 1 − quantile for even units."""
    level = float(np.quantile(spectrum.coefficients.abs().numpy(), quantile))
    nodes = (units.hidden, units.offsets, torch.ones_like(units.offsets))
    size = monte_carlo_transform(f, x, units=nodes, pair=spectrum.pair).coefficients.abs().flatten()
    return float(units.sizes[size > level].sum() / units.sizes.sum())


def trained_claims(context: Context) -> tuple[xr.Dataset, dict[str, go.Figure], list[Claim]]:
    """Networks trained with and without a penalty on |c|: the share of |c| where |R| is large."""
    x, f, spectrum, other = target_and_spectra()
    scale = SCALES[context.scale]
    steps, seeds = scale.steps, scale.seeds
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
    return dataset, figures, [units_claim(dataset)]


def units_claim(dataset: xr.Dataset) -> Claim:
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
    more = []
    for first, second in ((kinds[1], kinds[2]), (kinds[1], kinds[3])):
        pairs = [
            share.sel(network=network, function=function, quantile=QUANTILES[-1]) for network, function in (first, second)
        ]
        more.append(mean_and_ends((pairs[0] - pairs[1]).values[:, None])[1][0])
    listed = "Adam, Adam with decay, untrained, Adam with decay on the transform of another function"
    return Claim(
        id="A-8.trained",
        role="reported",
        statement="|c| gathers where |R| is large: its share above the median of |R| (chance 0.5) and in its top tenth "
        f"(chance 0.1), each for {listed}",
        **means(values.T),
        verdict="reproduced" if min(more) > 0 else "inconclusive",
        units="1",
    )
