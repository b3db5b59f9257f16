"""A learned score makes the continuous flow: against the exact one on the same particles (docs/papers.md §A5)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from torch import Tensor

from flowplane.core.streams import EVALUATION, SAMPLES, generator
from flowplane.core.threads import one_thread
from flowplane.experiments.claim import Claim, at_most, near, sign
from flowplane.experiments.learned.learned_claims import APART, geometric_at_most
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.transport.flows import entropy_balance
from flowplane.plot import flow_field, flow_profiles, swept_curves
from flowplane.transport import ODEMap, TransportMap, denoising_flow, flow_history, train_denoiser, train_score
from flowplane.transport.densities import Density, GaussianMixture, two_moons

__all__ = ["all_claims", "run"]

POINTS = {"quick": 5000, "full": 20_000}
STEPS = {"quick": 800, "full": 5000}
SEEDS = {"quick": 3, "full": 5}
PARTICLES = {"quick": 800, "full": 2000}
#: Of the picture's grid.
GRID = {"quick": 51, "full": 91}
HIDDEN = (64, 64, 64)
#: Variances of the noise that the score is learned for.
VARIANCES = {"mixture": (0.02, 0.5), "two moons": (0.01, 0.5)}
#: Times at which flows are compared, after 0.
TIMES = 8
#: Times of the profiles.
PROFILED = 21
#: Distances and imbalances, relative, that count as following; the same for the fall of the variance.
FOLLOWED, KEPT, TRACE = 0.1, 0.1, 0.05
FLOWS = ("exact", "learned", "one scale")


class Measured(NamedTuple):
    """A flow of one density and one seed."""

    #: Root mean square distance to the exact flow, at each time, over how far that one has moved.
    distance: np.ndarray
    #: Σ|dH/dt + J|/ΣJ over the times.
    imbalance: float
    #: tr Cov(p_0) − tr Cov(p_T) over 2Td, the particles' own scatter taken out by the exact flow.
    fall: float


def run(context: Context) -> Result:
    """End points, entropy balance and variance of learned flows; the exact flow and a denoiser of one scale beside them."""
    densities: dict[str, Density] = {
        "mixture": GaussianMixture([0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], [0.05, 0.1]),
        "two moons": two_moons(0.1),
    }
    seeds = SEEDS[context.scale]
    table: dict[tuple[str, str, int], Measured] = {}
    shown: dict[str, TransportMap] = {}
    with one_thread():
        for name, p in densities.items():
            for seed in range(seeds):
                flows = _flows(name, p, seed, context)
                if name == "two moons" and seed == 0:
                    shown = {label: flows[label] for label in ("exact", "learned")}
                for label, found in _compared(flows, context, seed).items():
                    table[name, label, seed] = found
        profiles = {
            label: flow.profile(samples=PARTICLES[context.scale], times=_times(flow, PROFILED), seed=context.seed)
            for label, flow in shown.items()
        }
        histories = {
            label: flow_history(
                flow, samples=300, times=_times(flow, 6), points=GRID[context.scale], extent=[(-2.2, 3.2), (-1.8, 2.3)]
            )
            for label, flow in shown.items()
        }
    measured = _dataset(table, list(densities), seeds)
    return Result(
        datasets={"score-flow": measured, "history-learned": histories["learned"]},
        figures={
            "score-flow": flow_field(histories, "Two moons flow: the exact score and a learned one"),
            "distance": swept_curves(
                measured.sel(flow=["learned", "one scale"], density="two moons").rename(seed="replica"),
                "distance",
                "time",
                "flow",
                "Two moons: distance from the exact flow",
                log=True,
            ),
            "profiles": flow_profiles(profiles, "Two moons: exact and learned flow"),
        },
        claims=all_claims(measured, context.scale),
    )


def _flows(name: str, p: Density, seed: int, context: Context) -> dict[str, TransportMap]:
    """The exact flow of p * N(0, high·I), the learned one, and one that takes a single denoiser's score at all scales."""
    low, high = VARIANCES[name]
    options: dict[str, Any] = {"steps": STEPS[context.scale], "seed": context.seed + seed, "device": context.device}
    points = p.draw(POINTS[context.scale], generator(context.seed, SAMPLES, seed))
    source = p.smoothed(high)
    learned = train_score(HIDDEN, points, variances=(low, high), **options)
    learned.source = source  # what the particles are drawn from; the score knows the points alone
    flow = learned.flow()
    middle = math.sqrt(low * high)
    single = train_denoiser(HIDDEN, points, noise_covariance=middle, **options).requires_grad_(False)

    def velocity(t: float, x: Tensor) -> Tensor:
        found: Tensor = single(x)
        return (found - x) / middle

    return {
        "exact": denoising_flow(source, flow.time, math.inf),
        "learned": flow,
        "one scale": ODEMap(
            velocity, p.dimension, time=flow.time, source=source, rtol=flow.rtol, atol=flow.atol, time_units=flow.time_units
        ),
    }


def _compared(flows: dict[str, TransportMap], context: Context, seed: int) -> dict[str, Measured]:
    """All flows on the same particles."""
    exact = flows["exact"]
    times = _times(exact, TIMES + 1)
    seed = context.seed + seed
    x = exact.known_source().draw(PARTICLES[context.scale], generator(seed, EVALUATION))
    known = exact.path(x, times)
    moved = (known[1:] - x).square().sum(2).mean(1).sqrt()
    law = 2 * exact.time * exact.dimension
    found = {}
    for label, flow in flows.items():
        path = flow.path(x, times)
        distance = (path[1:] - known[1:]).square().sum(2).mean(1).sqrt() / moved
        balance = entropy_balance(flow, PARTICLES[context.scale], seed, times)
        imbalance = float(np.abs(balance["gap"]).sum() / balance["fisher_information"].sum())
        fall = 1 + (_spread(known[-1]) - _spread(path[-1])) / law
        found[label] = Measured(distance.cpu().numpy(), imbalance, fall)
    return found


def _spread(points: Tensor) -> float:
    return float((points - points.mean(0)).square().sum(1).mean())


def _times(flow: TransportMap, count: int) -> np.ndarray:
    return np.linspace(0.0, flow.time, count)


def _dataset(table: dict[tuple[str, str, int], Measured], densities: list[str], seeds: int) -> xr.Dataset:
    rows = [[[table[name, flow, seed] for seed in range(seeds)] for flow in FLOWS] for name in densities]
    dims = ("density", "flow", "seed")
    part = {"units": "1"}
    return xr.Dataset(
        {
            "distance": (
                (*dims, "time"),
                [[[m.distance for m in flow] for flow in by] for by in rows],
                part | {"long_name": "RMS distance to the exact flow over its way"},
            ),
            "imbalance": (
                dims,
                [[[m.imbalance for m in flow] for flow in by] for by in rows],
                part | {"long_name": "Σ|dH/dt + J|/ΣJ over the times"},
            ),
            "fall": (
                dims,
                [[[m.fall for m in flow] for flow in by] for by in rows],
                part | {"long_name": "fall of tr Cov over 2td"},
            ),
        },
        {
            "density": densities,
            "flow": list(FLOWS),
            "seed": range(seeds),
            "time": (
                "time",
                [round((k + 1) / TIMES, 3) for k in range(TIMES)],
                {"long_name": "time, part of the whole", "units": "1"},
            ),
        },
        {"variances": [value for name in densities for value in VARIANCES[name]]},
    )


def all_claims(measured: xr.Dataset, scale: str) -> list[Claim]:
    """End points, entropy balance, trace law; numbers stand for densities, over seeds."""
    names = ", ".join(map(str, measured["density"].values))

    def of(variable: str, flow: str) -> np.ndarray:
        found = measured[variable].sel(flow=flow)
        if "time" in found.dims:
            found = found.isel(time=-1)
        return found.transpose("seed", "density").values

    claims = []
    ends, pairs, verdict = geometric_at_most(of("distance", "learned"), FOLLOWED)
    statement = f"the flow of a learned score ends within {FOLLOWED:.0%} of its way from the exact one, RMS: {names}"
    claims.append(Claim("A5.learned", statement, ends, pairs, (FOLLOWED,) * len(ends), None, verdict, scale, 0.0, "1"))
    ratios = np.log10(of("distance", "one scale") / of("distance", "learned") / APART)
    mean, interval, verdict = sign(ratios)
    statement = (
        f"control: the score of one scale at all times: its distance over the learned flow's, above {APART:g}: {names}"
    )
    claims.append(
        Claim(
            "A5.learned-control",
            statement,
            tuple(APART * 10**m for m in mean),
            tuple((APART * 10**a, APART * 10**b) for a, b in interval),
            None,
            None,
            verdict,
            scale,
            0.0,
            "1",
        )
    )
    for flow, name, about in (
        ("learned", "A5.learned-entropy", "on the learned flow entropy falls at the rate −J of its own density"),
        ("exact", "A5.learned-entropy-exact", "control: the same on the exact flow"),
        ("one scale", "A5.learned-entropy-control", "reported: the same on the flow of one scale"),
    ):
        ends, pairs, verdict = at_most(of("imbalance", flow), KEPT)
        statement = f"{about}: Σ|dH/dt + J|/ΣJ at {TIMES + 1} times, at most {KEPT:g}: {names}"
        claims.append(Claim(name, statement, ends, pairs, (KEPT,) * len(ends), None, verdict, scale, 0.0, "1"))
    falls = of("fall", "learned")
    mean, interval, _ = sign(falls)
    lower, upper = np.array(interval).T
    verdict = near(lower, upper, 1.0, TRACE) if np.isfinite(lower).all() else "inconclusive"
    statement = f"the trace law on the learned flow: (tr Cov(p_0) − tr Cov(p_t))/2td at its end: {names}"
    claims.append(
        Claim(
            "A5.learned-trace", statement, mean, interval, (1.0,) * len(mean), (TRACE,) * len(mean), verdict, scale, 0.0, "1"
        )
    )
    return claims
