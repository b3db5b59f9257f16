"""Do the units of trained networks stand where the ridgelet transform is large? (docs/papers.md §A10)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from flowplane.ridgelet import Spectrum, Units, monte_carlo_transform, transform, units_of

__all__ = ["Trained", "other_target", "share_above", "target_and_spectra", "trained_units"]

WIDTH = 300
POINTS = 400
RATE = 3e-3
#: L2 penalty on the output weights of the second network, as torch's Adam takes it.
DECAY = 1e-2


@dataclass(frozen=True)
class Trained:
    """Units before and after training, and the mean squared error that was reached."""

    before: Units
    after: Units
    loss: float


def target_and_spectra() -> tuple[Tensor, Tensor, Spectrum, Spectrum]:
    """x on [−1, 1], sin 2πx, its transform, and that of another function on the same nodes."""
    x = torch.linspace(-1, 1, POINTS, dtype=torch.float64)
    f = torch.sin(2 * torch.pi * x)
    spectrum = transform(f, x)
    return x, f, spectrum, transform(other_target(x), x, extent=spectrum.extent)


def other_target(x: Tensor) -> Tensor:
    """What the networks were not trained on: a bump left of the middle."""
    return torch.exp(-((x + 0.6) ** 2) / 0.02)


def trained_units(x: Tensor, f: Tensor, extent: tuple[float, float], steps: int, decay: float, seed: int) -> Trained:
    """A tanh network whose units start anywhere within the extent alike, trained by Adam on all points.

    With torch's own start all units lie near the origin, within the large part of nearly every transform: then nothing can
    be told.
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
