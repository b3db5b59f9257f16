"""A-1 reported and A-3 tested on mixtures in one dimension: does depth still transport faster? (docs/papers.md §A4, §A5)"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.core.results import Z
from flowplane.core.streams import EVALUATION, generator
from flowplane.experiments.claim import Claim
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.transport.flows import (
    DISTANCE,
    balance_claim,
    entropy_balance,
    fall_claim,
    flows_by_depth,
    order_of,
    stacked,
    variance_by_depth,
)
from flowplane.experiments.verdicts import exactly, with_ends
from flowplane.transport import denoising_flow, flow_history
from flowplane.transport.densities import GaussianMixture

__all__ = ["run"]

#: Parts of t* at which depths are compared.
PARTS = (0.5, 0.95)
#: At which compositions are compared with the continuous flow.
LIMIT_PARTS = (1 / 3, 2 / 3)
#: How the density is carried from layer to layer, and what a figure calls it.
CARRIED = {"nodes": "each layer optimal, t = {:.2g} t*", "refit": "mixture fitted anew, t = {:.2g} t*"}


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    samples: int
    depths: tuple[float, ...] = (1, 2, 4, 8, math.inf)
    #: docs/papers.md, claim A-1: variances by depth of the mixture ±1, σ² = 0.04 at t = 1, fifty times t*.
    beyond: Mapping[int, float] = field(default_factory=lambda: {1: 0.561, 2: 0.790, 4: 0.987, 16: 1.000})
    #: At which compositions are compared with the continuous flow: layers that are each optimal amplify rounding to what can
    #: be seen beyond 24 of them.
    limit: Mapping[str, tuple[int, ...]] = field(
        default_factory=lambda: {"nodes": (2, 4, 8, 16, 20, 24), "refit": (2, 4, 8, 16, 32, 64)}
    )


SCALES = {
    "quick": Scale(samples=20_000),
    "full": Scale(samples=200_000),
    "tiny": Scale(
        samples=200, depths=(1, 2, math.inf), beyond={1: 0.561, 2: 0.790}, limit={"nodes": (2, 4, 8), "refit": (2, 4, 8)}
    ),
}


def run(context: Context) -> Result:
    """Variance against depth below and beyond t*, the entropy balance, and how compositions tend to the continuous flow."""
    narrow = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.04)
    broad = GaussianMixture([0.4, 0.6], [[-1.5], [1.0]], [0.25, 0.35])
    last = broad.smoothing.least_variance / 2
    scale = SCALES[context.scale]
    samples = scale.samples
    claims, curves = [], {}
    for part in PARTS:
        for name, p in (("narrow", narrow), ("broad", broad)):
            flows = flows_by_depth(p, part * p.smoothing.least_variance / 2, scale.depths)
            values, errors, squares = variance_by_depth(flows, samples, context.seed)
            known = float(p.covariance[0, 0])
            curves[f"{name}, t = {part:g} t*"] = ((values - known), errors)
            statement = (
                f"fall of the variance from L = 1 to 2, 4, 8 and the continuous flow, {name} mixture at t = {part:g} t*"
            )
            claims.append(fall_claim(f"A-1.{name}-{part:g}", statement, squares))
    claims.append(_beyond(narrow, scale, context.seed))
    shown = flows_by_depth(broad, 0.9 * last, (1, 4, math.inf))
    balance = entropy_balance(denoising_flow(broad, 0.9 * last, math.inf), samples, context.seed)
    limit = _limit(scale, context.seed)
    claims += [
        balance_claim("A-3.mixture", "part", "entropy falls at the rate −J: largest |dH/dt + J| at 21 times", [balance]),
        *_limit_claims(limit),
    ]
    by_depth = _depths(curves, scale.depths)
    profiles = {name: flow.profile(samples=min(samples, 20_000), seed=context.seed) for name, flow in shown.items()}
    return Result(
        datasets={"balance": balance, "limit": limit, "depths": by_depth, "profiles": stacked(profiles, "flow")},
        figures={
            "mixture-dae": plot.flow_history(
                {name: flow_history(flow, extent=(-4.0, 3.5), samples=400) for name, flow in shown.items()},
                "Denoising a mixture: the deeper, the sharper",
            ),
            "profiles": plot.flow_profile(profiles, "A mixture denoised up to 0.9 t*"),
            "depth": plot.depth_curves(by_depth, "Variance lost against depth", quantity="lost"),
            "limit": plot.error_orders(limit, "Compositions and the continuous flow"),
        },
        claims=claims,
    )


def _depths(curves: dict[str, tuple[np.ndarray, np.ndarray]], depths: tuple[float, ...]) -> xr.Dataset:
    """Variance lost, in units of what the continuous flow takes away."""
    changes, errors = [], []
    for change, error in curves.values():
        changes.append(change[:-1] / change[-1])
        errors.append(error[:-1] / -change[-1])
    about = {"long_name": "variance lost", "units": "that of L = ∞"}
    return xr.Dataset(
        {
            "lost": (("density", "layers"), changes, about),
            "lost_error": (("density", "layers"), errors, about),
            "lost_continuous": ("density", [1.0] * len(curves)),
        },
        {"density": list(curves), "layers": list(depths[:-1])},
    )


def _beyond(p: GaussianMixture, scale: Scale, seed: int) -> Claim:
    """Past t* the order of the depths is the other way round."""
    flows = flows_by_depth(p, 1.0, list(scale.beyond))
    values, errors, _ = variance_by_depth(flows, scale.samples, seed)
    tolerance = np.maximum(0.002, 3 * errors)
    reference = tuple(scale.beyond.values())
    verdict = "reproduced" if (np.abs(values - reference) <= tolerance).all() else "contradicted"
    return Claim(
        id="A-1.beyond",
        role="reported",
        statement="beyond t* deeper is slower: variance of the mixture ±1, σ² = 0.04 at t = 1, L = 1, 2, 4, 16",
        **with_ends(values, values - Z * errors, values + Z * errors),
        reference=reference,
        tolerance=tuple(map(float, tolerance)),
        verdict=verdict,
        units="units of x²",
    )


def _limit(scale: Scale, seed: int) -> xr.Dataset:
    """Distance between compositions and the continuous flow, for both ways to carry the density between layers."""
    p = GaussianMixture([0.4, 0.6], [[-1.0], [0.7]], [0.4, 0.3])
    x = p.draw(4000, generator(seed, EVALUATION))
    series, scales, errors = [], [], []
    for part in LIMIT_PARTS:
        time = part * p.smoothing.least_variance / 2
        end = denoising_flow(p, time, math.inf).forward(x)
        for choice, name in CARRIED.items():
            flows = [denoising_flow(p, time, depth, representation=choice) for depth in scale.limit[choice]]
            series.append(name.format(part))
            scales.append(scale.limit[choice])
            errors.append([float((flow.forward(x) - end).square().sum(1).mean().sqrt()) for flow in flows])
    subtitle = "dotted: 1/L. Layers that are each optimal are an explicit Euler method for an ill-posed equation"
    return xr.Dataset(
        {"error": (("series", "step"), errors, DISTANCE), "scale": (("series", "step"), scales, {"long_name": "layers L"})},
        {"series": series},
        {"order": -1, "subtitle": subtitle},
    )


def _limit_claims(limit: xr.Dataset) -> list[Claim]:
    """1/L with the fit; without it the distance stops falling."""

    def curves(choice: str) -> list[tuple[np.ndarray, np.ndarray]]:
        found = [limit.sel(series=CARRIED[choice].format(part)) for part in LIMIT_PARTS]
        return [(each["scale"].values.astype(float), each["error"].values) for each in found]

    fitted = [order_of(layers[-3:], errors[-3:]) for layers, errors in curves("refit")]
    optimal = [float(errors[-1] / errors.min()) for _, errors in curves("nodes")]
    return [
        Claim(
            id="A-1.limit",
            role="part",
            statement="compositions with a mixture fitted anew after each layer tend to the continuous flow like L^k, from "
            "16 to 64 layers at t*/3 and 2t*/3",
            **exactly(fitted, (-1.0,) * 2, 0.15),
            units="1",
        ),
        Claim(
            id="A-1.optimal",
            role="reported",
            statement="layers that are each exactly optimal come nearer and nearer: distance at L = 24 over the least one, "
            "at t*/3 and 2t*/3",
            **exactly(optimal, (1.0,) * 2, 0.05),
            units="1",
        ),
    ]
