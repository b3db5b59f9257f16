"""B-6: the time that a layer takes to compress grows exponentially with by how much it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.analysis.relaxing import relaxation_times
from flowplane.experiments.claim import Claim, mean_interval
from flowplane.experiments.dynamics.optimizers import OPTIMIZERS, verdict_of_all
from flowplane.experiments.information.reference import reference
from flowplane.experiments.registry import Context, Result

__all__ = ["run"]

#: The share of Akaike's weight that makes a law the one.
SURE = 0.9
#: Fewer points than this decide nothing.
ENOUGH = 20
#: §B7: the time is proportional to 2^ΔS, one doubling a bit.
DOUBLINGS = 1.0


def run(context: Context) -> Result:
    """The reference network trained with Adam and with SGD."""
    datasets: dict[str, xr.Dataset] = {}
    figures: dict[str, Any] = {}
    claims: list[Claim] = []
    for optimizer in OPTIMIZERS:
        found = relaxation_times(reference(context, optimizer), seed=context.seed)
        datasets[f"relaxation-{optimizer}"] = found
        figures[f"relaxation-{optimizer}"] = plot.relaxation_times(
            found, f"Relaxation time against compression ({optimizer})"
        )
        claims += [
            _law(found, optimizer, context.scale),
            _rate(found, optimizer, context.scale),
            _costs(found, optimizer, context.scale),
        ]
    deciding = [claim for claim in claims if not claim.statement.startswith("reported")]
    slopes = tuple(float(found["slope"]) for found in datasets.values())
    ends = tuple((float(found["slope_lower"]), float(found["slope_upper"])) for found in datasets.values())
    statement = (
        "relaxation time grows exponentially with the compression, doubling with every bit, with Adam and with SGD: slope "
        "of log2 Δτ over ΔS"
    )
    whole = Claim(
        "B-6",
        statement,
        slopes,
        ends,
        (DOUBLINGS,) * len(slopes),
        None,
        verdict_of_all([claim.verdict for claim in deciding]),
        context.scale,
        0.0,
        "log2 epochs per bit",
    )
    return Result(datasets=datasets, figures=figures, claims=[whole, *claims])


def _points(found: xr.Dataset) -> int:
    return int(found["fitted"].values.sum())


def _law(found: xr.Dataset, optimizer: str, scale: str) -> Claim:
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
    return Claim(f"B-6.law.{optimizer}", statement, tuple(weights.tolist()), None, None, None, verdict, scale, 0.0, "1")


def _rate(found: xr.Dataset, optimizer: str, scale: str) -> Claim:
    low, high = float(found["slope_lower"]), float(found["slope_upper"])
    verdict = "inconclusive"
    if _points(found) >= ENOUGH and np.isfinite(low):
        inside = low <= DOUBLINGS <= high
        verdict = "contradicted" if not inside else "reproduced" if low > 0 else "inconclusive"
    statement = f"one bit of compression doubles the time ({optimizer}): slope of log2 Δτ over ΔS, interval over replicas"
    return Claim(
        f"B-6.rate.{optimizer}",
        statement,
        (float(found["slope"]),),
        ((low, high),),
        (DOUBLINGS,),
        None,
        verdict,
        scale,
        0.0,
        "log2 epochs per bit",
    )


def _costs(found: xr.Dataset, optimizer: str, scale: str) -> Claim:
    """Arithmetic of §B7 at the measured compressions."""
    both = np.stack([found["cost_by_layer"].values, found["cost_at_once"].values], 1)
    mean, interval, _ = mean_interval(both)
    verdict = "reproduced" if interval[0, 1] < interval[1, 0] else "inconclusive"
    statement = (
        f"reported: compressing layer by layer, log2 Σ 2^ΔS, is cheaper than at once, ΣΔS, were the time 2^ΔS ({optimizer})"
    )
    pairs = tuple((float(low), float(high)) for low, high in interval)
    return Claim(f"B-6.layers.{optimizer}", statement, tuple(mean.tolist()), pairs, None, None, verdict, scale, 0.0, "bits")
