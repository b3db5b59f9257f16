"""What points spend on their path through a residual stream, in words (§E2)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from flowplane.core.results import Flags
from flowplane.reporting.flow_numbers import share, with_error
from flowplane.reporting.markup import called, count, listed, number

__all__ = ["stream_words"]

SPENT = {
    "transport": "is what transport from the first states to the last must cost",
    "coupling": "is wasted on coupling",
    "bending": "on bending",
    "pace": "on steps of unequal length",
}
FEW = (
    "the points lie too far apart for the best pairing of first states with last ones to be seen: what transport must cost "
    "is less than that, what coupling wastes more; their sum, bending and pace are not affected."
)


def stream_words(found: xr.Dataset) -> list[str]:
    """What the path through the blocks costs at the last epoch and at the first, and which blocks spend most of it."""
    ordered = found.sortby("epoch")
    ordered = ordered.isel(epoch=np.isfinite(ordered["energy"].mean("replica").values))
    if ordered.sizes["epoch"] == 0:
        return ["Activations are NaN or infinite, so nothing is said of the residual stream."]
    steps, start = ordered.sizes["layer"], str(found.attrs["start"])
    first, last = (ordered.isel(epoch=k).mean("replica") for k in (0, -1))
    told = [
        f"A residual stream, each block adding to the one before: from {start if start == 'the inputs' else called(start)} "
        f"through {count(steps, 'block')}, on straight lines and in equal times."
    ]
    energy = with_error(float(last["energy"]), float(last["energy_error"]), "squared units of x")
    told.append(f"At epoch {int(ordered['epoch'][-1]):,} the path costs {energy}: {_shares(last)}.")
    if ordered.sizes["epoch"] > 1:
        before = number(float(first["energy"]), "squared units of x")
        told.append(f"At epoch {int(ordered['epoch'][0]):,} it cost {before}: {_shares(first)}.")
    told += _blocks(last)
    ends = ordered["coupling_flags"].isel(epoch=sorted({0, ordered.sizes["epoch"] - 1}))
    few = [f"{int(epoch):,}" for epoch in ends["epoch"] if Flags.names(ends.sel(epoch=epoch))]
    if few:
        told.append(f"At epoch {listed(few)} {FEW}")
    return [*told, f"Followed: {found.attrs['rows']}; ± is one standard error over the samples."]


def _shares(spent: xr.Dataset) -> str:
    return listed([f"{share(spent, term)} {what}" for term, what in SPENT.items()])


def _blocks(spent: xr.Dataset) -> list[str]:
    """Which blocks spend and bend most."""
    whole = float(spent["energy"])
    if spent.sizes["layer"] < 2 or whole <= 0:
        return []
    names = [called(str(name)) for name in spent["layer"].values]
    energy, bending = (spent[name].values for name in ("layer_energy", "layer_bending"))
    most, bent = int(energy.argmax()), int(bending.argmax())
    told = f"Of the blocks {names[most]} spends most, {100 * energy[most] / whole:.0f} % of the energy"
    if len(names) > 2 and bending[bent] > 0.01 * whole:  # two have half of it each
        told += f"; {'it' if bent == most else names[bent]} has most of the bending, {100 * bending[bent] / whole:.0f} %"
    return [f"{told}."]
