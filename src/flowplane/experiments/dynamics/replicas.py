"""B-8: very different networks reach the same optimum of the information plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import chi2

from flowplane import plot
from flowplane.analysis.plane import information_plane
from flowplane.analysis.replicas import replica_spread
from flowplane.core.results import Z
from flowplane.experiments.claim import Claim
from flowplane.experiments.dynamics.reference import OPTIMIZERS, reference
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.verdicts import verdict_of_all, with_ends
from flowplane.information.binned import Binned

__all__ = ["run"]

#: "Very different": as far from each other as this share of the distance of unrelated networks, or more; not so below half.
DIFFERENT, ALIKE = 0.7, 0.5
#: "The same optimum": standard deviations over replicas of at most this share of H(X), of I(X;Y).
SAME = {"xt": 0.1, "ty": 0.05}
LABELS = {"xt": ("I(X;T)", "H(X)"), "ty": ("I(T;Y)", "I(X;Y)")}


def run(context: Context) -> Result:
    """The reference network trained with Adam and with SGD; unrelated networks of the same norms as a control."""
    datasets: dict[str, xr.Dataset] = {}
    figures: dict[str, Any] = {}
    different: list[Claim] = []
    claims: list[Claim] = []
    for optimizer in OPTIMIZERS:
        rec = reference(context, optimizer)
        ends = rec.sel(epoch=[int(rec.epochs.min()), int(rec.epochs.max())])
        found = replica_spread(rec, information_plane(ends, Binned.published()), seed=context.seed)
        datasets[f"spread-{optimizer}"] = found
        figures[f"spread-{optimizer}"] = plot.replica_spread(found, f"Different weights, the same place? ({optimizer})")
        different.append(_different(found, len(rec.replicas), optimizer))
        claims += [different[-1], *(_same(found, name, len(rec.replicas), optimizer) for name in SAME)]
    whole = Claim(
        id="B-8",
        role="headline",
        statement="very different networks reach the same optimum, with Adam and with SGD: their distance as a share of "
        "that of unrelated networks",
        measured=tuple(claim.measured[0] for claim in different),
        verdict=verdict_of_all([claim.verdict for claim in claims]),
        units="1",
    )
    return Result(datasets=datasets, figures=figures, claims=[whole, *claims])


def _different(found: xr.Dataset, replicas: int, optimizer: str) -> Claim:
    """Pairs share networks: the interval is a jackknife over replicas."""
    ratio = _ratio(found)
    first, second = found["first"].values, found["second"].values
    without = np.array(
        [_ratio(found.isel(pair=(first != replica) & (second != replica))) for replica in np.unique([first, second])]
    )
    n = len(without)
    error = np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    low, high = ratio - Z * error, ratio + Z * error
    verdict = "reproduced" if low >= DIFFERENT else "contradicted" if high < ALIKE else "inconclusive"
    agree = float(found["agreement"].mean())
    statement = (
        f"weights of {replicas} networks differ up to permutation and sign of units ({optimizer}): mean distance over that "
        f"of unrelated networks; they put {agree:.1%} of the patterns in the same class"
    )
    return Claim(
        id=f"B-8.weights.{optimizer}",
        role="part",
        statement=statement,
        measured=(ratio,),
        interval=((low, high),),
        reference=(1.0,),
        tolerance=(1 - DIFFERENT,),
        verdict=verdict,
        units="1",
    )


def _ratio(found: xr.Dataset) -> float:
    return float(found["distance"].mean() / found["distance_random"].mean())


def _same(found: xr.Dataset, name: str, replicas: int, optimizer: str) -> Claim:
    """Standard deviations over replicas, with the interval of normal ones."""
    last = found[f"relative_{name}"].isel(epoch=-1).values
    free = replicas - 1
    low, high = (last * np.sqrt(free / chi2.ppf(end, free)) for end in (0.975, 0.025))
    verdict = "inconclusive"
    if (high <= SAME[name]).all():
        verdict = "reproduced"
    elif (low > SAME[name]).any():
        verdict = "contradicted"
    label, whole = LABELS[name]
    before = ", ".join(f"{value:.3f}" for value in found[f"relative_{name}"].isel(epoch=0).values)
    statement = (
        f"they reach the same {label} ({optimizer}): standard deviation over the networks as a share of {whole}, by layer; "
        f"before training {before}"
    )
    return Claim(
        id=f"B-8.{name}.{optimizer}",
        role="part",
        statement=statement,
        **with_ends(last, low, high),
        reference=(0.0,) * len(last),
        tolerance=(SAME[name],) * len(last),
        verdict=verdict,
        units="share",
    )
