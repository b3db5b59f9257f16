"""Denoising in the plane: two moons, a swiss roll and rings flow onto their curves (A-1 reported, A-3; docs/papers.md
§A5).
"""

from __future__ import annotations

import math

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
from flowplane.plot import flow_field, flow_profiles
from flowplane.transport import flow_history
from flowplane.transport.densities import rings, swiss_roll, two_moons

__all__ = ["run"]

NOISE = 0.2
#: Part of t* = NOISE²/2 up to which the data are denoised.
PART = 0.75
DEPTHS = (1, 2, 4, math.inf)
SAMPLES = {"quick": 4000, "full": 20_000}
BALANCE_SAMPLES = {"quick": 4000, "full": 40_000}
#: Of the pictures' grids, in each dimension.
POINTS = {"quick": 71, "full": 101}
MARGIN = 0.7


def run(context: Context) -> Result:
    """Particles, densities and velocity fields along three curves; variance by depth; entropy balances."""
    time = PART * NOISE**2 / 2
    densities = {"two moons": two_moons(NOISE), "swiss roll": swiss_roll(NOISE), "rings": rings(NOISE)}
    flows = {name: flows_by_depth(p, time, DEPTHS) for name, p in densities.items()}
    claims, histories, balances = [], {}, {}
    for name, by_depth in flows.items():
        *_, squares = variance_by_depth(by_depth, SAMPLES[context.scale], context.seed)
        statement = f"reported: fall of tr Cov from L = 1 to 2, 4 and the continuous flow, {name} at t = {PART:g} t*"
        claims.append(fall_claim(f"A-1.{name.replace(' ', '-')}", statement, squares, context.scale))
        continuous = by_depth[depth_label(math.inf)]
        balances[name] = entropy_balance(continuous, BALANCE_SAMPLES[context.scale], context.seed)
        for depth in (1, math.inf):
            histories[name, depth] = flow_history(
                by_depth[depth_label(depth)],
                samples=400,
                points=POINTS[context.scale],
                extent=_extent(densities[name].means),
                seed=context.seed,
            )
    statement = "entropy falls at the rate −J: largest |dH/dt + J| at 21 times, two moons, swiss roll, rings"
    claims.append(balance_claim("A-3.planar", statement, list(balances.values()), context.scale))
    moons = {depth_label(d): flows["two moons"][depth_label(d)] for d in (1, 4, math.inf)}
    profiles = {name: flow.profile(samples=2000, times=_times(time), seed=context.seed) for name, flow in moons.items()}
    return Result(
        datasets={
            "balance": stacked(balances, "density"),
            "profiles": stacked(profiles, "flow"),
            "history-two-moons": histories["two moons", math.inf],
        },
        figures={
            "planar-dae": flow_field(
                {depth_label(d): histories["two moons", d] for d in (1, math.inf)}, "Two moons flow onto their curves"
            ),
            "swiss-roll-and-rings": flow_field(
                {name: histories[name, math.inf] for name in ("swiss roll", "rings")},
                "The continuous flow of two other curves",
            ),
            "profiles": flow_profiles(profiles, "Two moons denoised"),
        },
        claims=claims,
    )


def _times(last: float) -> list[float]:
    return [last * k / 10 for k in range(11)]


def _extent(means: object) -> list[tuple[float, float]]:
    import numpy as np

    nodes = np.asarray(means)
    return [(float(low) - MARGIN, float(high) + MARGIN) for low, high in zip(nodes.min(0), nodes.max(0), strict=True)]
