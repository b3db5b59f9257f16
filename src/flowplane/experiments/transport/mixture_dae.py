"""A-1 reported and A-3 tested on mixtures in one dimension: does depth still transport faster? (docs/papers.md §A4, §A5)"""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

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
from flowplane.plot import convergence, depth_curves, flow_in_time, flow_profiles
from flowplane.transport import denoising_flow, flow_history
from flowplane.transport.densities import GaussianMixture

__all__ = ["run"]

DEPTHS = (1, 2, 4, 8, math.inf)
SAMPLES = {"quick": 20_000, "full": 200_000}
#: Parts of t* at which depths are compared.
PARTS = (0.5, 0.95)
#: docs/papers.md, claim A-1: the mixture ±1, σ² = 0.04 at t = 1, fifty times t*.
BEYOND = {1: 0.561, 2: 0.790, 4: 0.987, 16: 1.000}
#: Depths at which compositions are compared with the continuous flow: layers that are each optimal amplify rounding to what
#: can be seen beyond 24 of them.
LIMIT_DEPTHS = {"nodes": (2, 4, 8, 16, 20, 24), "refit": (2, 4, 8, 16, 32, 64)}


def run(context: Context) -> Result:
    """Variance against depth below and beyond t*, the entropy balance, and how compositions tend to the continuous flow."""
    narrow = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.04)
    broad = GaussianMixture([0.4, 0.6], [[-1.5], [1.0]], [0.25, 0.35])
    last = broad.smoothing.least_variance / 2
    samples = SAMPLES[context.scale]
    claims, curves = [], {}
    for part in PARTS:
        for name, p in (("narrow", narrow), ("broad", broad)):
            flows = flows_by_depth(p, part * p.smoothing.least_variance / 2, DEPTHS)
            values, errors, squares = variance_by_depth(flows, samples, context.seed)
            known = float(p.covariance[0, 0])
            curves[f"{name}, t = {part:g} t*"] = ((values - known), errors)
            statement = (
                f"reported: fall of the variance from L = 1 to 2, 4, 8 and the continuous flow, "
                f"{name} mixture at t = {part:g} t*"
            )
            claims.append(fall_claim(f"A-1.{name}-{part:g}", statement, squares, context.scale))
    claims.append(_beyond(narrow, context))
    shown = flows_by_depth(broad, 0.9 * last, (1, 4, math.inf))
    balance = entropy_balance(denoising_flow(broad, 0.9 * last, math.inf), samples, context.seed)
    limit = _limit(context)
    claims += [
        balance_claim(
            "A-3.mixture", "entropy falls at the rate −J: largest |dH/dt + J| at 21 times", [balance], context.scale
        ),
        *_limit_claims(limit, context.scale),
    ]
    profiles = {name: flow.profile(samples=min(samples, 20_000), seed=context.seed) for name, flow in shown.items()}
    return Result(
        datasets={"balance": balance, "limit": limit, "depths": _depths(curves), "profiles": stacked(profiles, "flow")},
        figures={
            "mixture-dae": flow_in_time(
                {name: flow_history(flow, extent=(-4.0, 3.5), samples=400) for name, flow in shown.items()},
                "Denoising a mixture: the deeper, the sharper",
            ),
            "profiles": flow_profiles(profiles, "A mixture denoised up to 0.9 t*"),
            "depth": depth_curves(_depths(curves), "Variance lost against depth", "lost"),
            "limit": convergence(limit, "Compositions and the continuous flow"),
        },
        claims=claims,
    )


def _depths(curves: dict[str, tuple[np.ndarray, np.ndarray]]) -> xr.Dataset:
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
        {"density": list(curves), "layers": list(DEPTHS[:-1])},
    )


def _beyond(p: GaussianMixture, context: Context) -> Claim:
    """Past t* the order of the depths is the other way round."""
    flows = flows_by_depth(p, 1.0, list(BEYOND))
    values, errors, _ = variance_by_depth(flows, SAMPLES[context.scale], context.seed)
    tolerance = np.maximum(0.002, 3 * errors)
    reference = tuple(BEYOND.values())
    verdict = "reproduced" if (np.abs(values - reference) <= tolerance).all() else "contradicted"
    intervals = tuple((float(v - 1.96 * e), float(v + 1.96 * e)) for v, e in zip(values, errors, strict=True))
    statement = "reported: beyond t* deeper is slower: variance of the mixture ±1, σ² = 0.04 at t = 1, L = 1, 2, 4, 16"
    return Claim(
        "A-1.beyond",
        statement,
        tuple(map(float, values)),
        intervals,
        reference,
        tuple(map(float, tolerance)),
        verdict,
        context.scale,
        0.0,
        "units of x²",
    )


def _limit(context: Context) -> xr.Dataset:
    """Distance between compositions and the continuous flow, for both ways to carry the density between layers."""
    p = GaussianMixture([0.4, 0.6], [[-1.0], [0.7]], [0.4, 0.3])
    x = p.draw(4000, generator(context.seed, EVALUATION))
    series, scales, errors = [], [], []
    for part in (1 / 3, 2 / 3):
        time = part * p.smoothing.least_variance / 2
        end = denoising_flow(p, time, math.inf).forward(x)
        for choice, name in (("nodes", "each layer optimal"), ("refit", "mixture fitted anew")):
            flows = [denoising_flow(p, time, depth, representation=choice) for depth in LIMIT_DEPTHS[choice]]
            series.append(f"{name}, t = {part:.2g} t*")
            scales.append(LIMIT_DEPTHS[choice])
            errors.append([float((flow.forward(x) - end).square().sum(1).mean().sqrt()) for flow in flows])
    subtitle = "dotted: 1/L. Layers that are each optimal are an explicit Euler method for an ill-posed equation"
    return xr.Dataset(
        {"error": (("series", "step"), errors, DISTANCE), "scale": (("series", "step"), scales, {"long_name": "layers L"})},
        {"series": series},
        {"order": -1, "subtitle": subtitle},
    )


def _limit_claims(limit: xr.Dataset, scale: str) -> list[Claim]:
    """1/L with the fit; without it the distance stops falling."""
    fitted, optimal = [], []
    for k, name in enumerate(map(str, limit["series"].values)):
        layers, errors = limit["scale"].values[k].astype(float), limit["error"].values[k]
        if "fitted" in name:
            fitted.append(order_of(layers[-3:], errors[-3:]))
        else:
            optimal.append(float(errors[-1] / errors.min()))
    right = np.abs(np.add(fitted, 1.0)).max() <= 0.15
    falls = max(optimal) <= 1.05
    claims = (
        (
            "A-1.limit",
            "compositions with a mixture fitted anew after each layer tend to the continuous flow like L^k, from "
            "16 to 64 layers at t*/3 and 2t*/3",
            fitted,
            -1.0,
            0.15,
            right,
        ),
        (
            "A-1.optimal",
            "reported: layers that are each exactly optimal come nearer and nearer: distance at L = 24 over the "
            "least one, at t*/3 and 2t*/3",
            optimal,
            1.0,
            0.05,
            falls,
        ),
    )
    return [
        Claim(
            name,
            statement,
            tuple(measured),
            None,
            (wanted,) * 2,
            (reach,) * 2,
            "reproduced" if held else "contradicted",
            scale,
            0.0,
            "1",
        )
        for name, statement, measured, wanted, reach, held in claims
    ]
