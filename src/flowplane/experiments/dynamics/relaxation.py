"""B-6: the time that a layer takes to compress grows exponentially with how much it compresses."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.analysis.plane import information_plane
from flowplane.analysis.relaxation import relaxation_times
from flowplane.experiments.claim import Claim
from flowplane.experiments.dynamics.reference import OPTIMIZERS, reference
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.verdicts import Measured, means, verdict_of_all, with_ends
from flowplane.information.binned import Binned

__all__ = ["run"]

#: The Akaike weight at which a law is taken to be the right one.
SURE = 0.9
#: Fewer points than this decide nothing.
ENOUGH = 20
#: §B7: the time is proportional to 2^ΔS, one doubling per bit.
DOUBLINGS = 1.0


def run(context: Context) -> Result:
    """The reference network trained with Adam and with SGD."""
    datasets: dict[str, xr.Dataset] = {}
    figures: dict[str, Any] = {}
    claims: list[Claim] = []
    for optimizer in OPTIMIZERS:
        rec = reference(context, optimizer)
        found = relaxation_times(rec, information_plane(rec, Binned.published()), seed=context.seed)
        datasets[f"relaxation-{optimizer}"] = found
        figures[f"relaxation-{optimizer}"] = plot.relaxation_times(
            found, f"Relaxation time against compression ({optimizer})"
        )
        claims += [_law(found, optimizer), _rate(found, optimizer), _costs(found, optimizer)]
    whole = Claim(
        id="B-6",
        role="headline",
        statement="relaxation time grows exponentially with the compression, doubling with every bit, with Adam and with "
        "SGD: slope of log2 Δτ over ΔS",
        **_slopes(*datasets.values()),
        reference=(DOUBLINGS,) * len(datasets),
        verdict=verdict_of_all([claim.verdict for claim in claims if claim.role == "part"]),
        units="log2 epochs per bit",
    )
    return Result(datasets=datasets, figures=figures, claims=[whole, *claims])


def _slopes(*found: xr.Dataset) -> Measured:
    slopes, lower, upper = ([float(each[name]) for each in found] for name in ("slope", "slope_lower", "slope_upper"))
    return with_ends(slopes, lower, upper)


def _points(found: xr.Dataset) -> int:
    return int(found["fitted"].values.sum())


def _law(found: xr.Dataset, optimizer: str) -> Claim:
    """Which law fits best; the exponential one must also rise."""
    weights = found["weight"].values
    exponential = float(found["weight"].sel(law="exponential"))
    rises = float(found["slope_lower"]) > 0
    verdict = "inconclusive"
    if _points(found) >= ENOUGH and np.isfinite(weights).all():
        if exponential >= SURE and rises:
            verdict = "reproduced"
        elif exponential <= 1 - SURE or float(found["slope_upper"]) < 0:
            verdict = "contradicted"
    statement = (
        f"of the laws {', '.join(map(str, found['law'].values))} the exponential one fits {_points(found)} points of layers "
        f"and replicas best ({optimizer}): Akaike weights"
    )
    return Claim(
        id=f"B-6.law.{optimizer}",
        role="part",
        statement=statement,
        measured=tuple(weights.tolist()),
        verdict=verdict,
        units="1",
    )


def _rate(found: xr.Dataset, optimizer: str) -> Claim:
    low, high = float(found["slope_lower"]), float(found["slope_upper"])
    verdict = "inconclusive"
    if _points(found) >= ENOUGH and np.isfinite(low):
        inside = low <= DOUBLINGS <= high
        verdict = "contradicted" if not inside else "reproduced" if low > 0 else "inconclusive"
    return Claim(
        id=f"B-6.rate.{optimizer}",
        role="part",
        statement=f"one bit of compression doubles the time ({optimizer}): slope of log2 Δτ over ΔS, interval over replicas",
        **_slopes(found),
        reference=(DOUBLINGS,),
        verdict=verdict,
        units="log2 epochs per bit",
    )


def _costs(found: xr.Dataset, optimizer: str) -> Claim:
    """Arithmetic of §B7 at the measured compressions."""
    both = means(np.stack([found["cost_by_layer"].values, found["cost_at_once"].values], 1))
    by_layer, at_once = both["interval"] or ()
    return Claim(
        id=f"B-6.layers.{optimizer}",
        role="reported",
        statement=f"compressing layer by layer, log2 Σ 2^ΔS, is cheaper than at once, ΣΔS, were the time 2^ΔS ({optimizer})",
        **both,
        verdict="reproduced" if by_layer[1] < at_once[0] else "inconclusive",
        units="bits",
    )
