"""Denoising in the plane: two moons, a swiss roll and rings flow onto their curves (A-1 reported, A-3; docs/papers.md
§A5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from flowplane import plot
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.transport.flows import (
    balance_claim,
    depth_label,
    entropy_balance,
    fall_claim,
    flows_by_depth,
    stacked,
    variance_by_depth,
)
from flowplane.transport import flow_history
from flowplane.transport.densities import rings, swiss_roll, two_moons

__all__ = ["run"]

NOISE = 0.2
#: Part of t* = NOISE²/2 up to which the data are denoised.
PART = 0.75
MARGIN = 0.7


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    samples: int
    balance_samples: int
    #: Of the pictures' grids, in each dimension.
    points: int
    profile_samples: int = 2000
    #: Infinitely many layers last; the profiles show the first, the last finite one and these.
    depths: tuple[float, ...] = (1, 2, 4, math.inf)


SCALES = {
    "quick": Scale(samples=4000, balance_samples=4000, points=71),
    "full": Scale(samples=20_000, balance_samples=40_000, points=101),
    "tiny": Scale(samples=200, balance_samples=200, points=21, profile_samples=60, depths=(1, 2, math.inf)),
}


def run(context: Context) -> Result:
    """Particles, densities and velocity fields along three curves; variance by depth; entropy balances."""
    scale, time = SCALES[context.scale], PART * NOISE**2 / 2
    densities = {"two moons": two_moons(NOISE), "swiss roll": swiss_roll(NOISE), "rings": rings(NOISE)}
    flows = {name: flows_by_depth(p, time, scale.depths) for name, p in densities.items()}
    claims, histories, balances = [], {}, {}
    for name, by_depth in flows.items():
        *_, squares = variance_by_depth(by_depth, scale.samples, context.seed)
        statement = f"fall of tr Cov from L = 1 to 2, 4 and the continuous flow, {name} at t = {PART:g} t*"
        claims.append(fall_claim(f"A-1.{name.replace(' ', '-')}", statement, squares))
        continuous = by_depth[depth_label(math.inf)]
        balances[name] = entropy_balance(continuous, scale.balance_samples, context.seed)
        for depth in (1, math.inf):
            histories[name, depth] = flow_history(
                by_depth[depth_label(depth)],
                samples=400,
                points=scale.points,
                extent=_extent(densities[name].means),
                seed=context.seed,
            )
    statement = "entropy falls at the rate −J: largest |dH/dt + J| at 21 times, two moons, swiss roll, rings"
    claims.append(balance_claim("A-3.planar", "part", statement, list(balances.values())))
    moons = {depth_label(d): flows["two moons"][depth_label(d)] for d in (1, scale.depths[-2], math.inf)}
    profiles = {
        name: flow.profile(samples=scale.profile_samples, times=_times(time), seed=context.seed)
        for name, flow in moons.items()
    }
    return Result(
        datasets={
            "balance": stacked(balances, "density"),
            "profiles": stacked(profiles, "flow"),
            "history-two-moons": histories["two moons", math.inf],
        },
        figures={
            "planar-dae": plot.flow_history(
                {depth_label(d): histories["two moons", d] for d in (1, math.inf)}, "Two moons flow onto their curves"
            ),
            "swiss-roll-and-rings": plot.flow_history(
                {name: histories[name, math.inf] for name in ("swiss roll", "rings")}, "The flow of two other curves"
            ),
            "profiles": plot.flow_profile(profiles, "Two moons denoised"),
        },
        claims=claims,
    )


def _times(last: float) -> list[float]:
    return [last * k / 10 for k in range(11)]


def _extent(means: object) -> list[tuple[float, float]]:
    import numpy as np

    nodes = np.asarray(means)
    return [(float(low) - MARGIN, float(high) + MARGIN) for low, high in zip(nodes.min(0), nodes.max(0), strict=True)]
