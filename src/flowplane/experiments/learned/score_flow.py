"""A learned score makes the continuous flow: against the exact one on the same particles (docs/papers.md §A5)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from torch import Tensor

from flowplane import plot
from flowplane.core.streams import EVALUATION, SAMPLES, generator
from flowplane.core.threads import one_thread
from flowplane.experiments.claim import Claim
from flowplane.experiments.learned.learned_claims import APART
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.transport.flows import entropy_balance
from flowplane.experiments.verdicts import around, at_least_log, at_most, at_most_log
from flowplane.transport import ODEMap, TransportMap, denoising_flow, flow_history, train_denoiser, train_score
from flowplane.transport.densities import Density, GaussianMixture, two_moons

__all__ = ["all_claims", "run"]

#: Variances of the noise that the score is learned for.
VARIANCES = {"mixture": (0.02, 0.5), "two moons": (0.01, 0.5)}
#: Distances and imbalances, relative, that count as following; the same for the fall of the variance.
FOLLOWED, KEPT, TRACE = 0.1, 0.1, 0.05
FLOWS = ("exact", "learned", "one scale")


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    #: For training.
    points: int
    steps: int
    seeds: int
    particles: int
    #: Points of the picture's grid, in each dimension.
    grid: int
    hidden: tuple[int, ...] = (64, 64, 64)
    #: Those at which flows are compared, after 0.
    times: int = 8
    #: Times of the profiles.
    profiled: int = 21


SCALES = {
    "quick": Scale(points=5000, steps=800, seeds=3, particles=800, grid=51),
    "full": Scale(points=20_000, steps=5000, seeds=5, particles=2000, grid=91),
    "tiny": Scale(points=100, steps=20, seeds=2, particles=50, grid=11, hidden=(8,), times=2, profiled=3),
}


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
    scale = SCALES[context.scale]
    seeds = scale.seeds
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
            label: flow.profile(samples=scale.particles, times=_times(flow, scale.profiled), seed=context.seed)
            for label, flow in shown.items()
        }
        histories = {
            label: flow_history(
                flow, samples=300, times=_times(flow, 6), points=scale.grid, extent=[(-2.2, 3.2), (-1.8, 2.3)]
            )
            for label, flow in shown.items()
        }
    measured = _dataset(table, list(densities), seeds)
    return Result(
        datasets={"score-flow": measured, "history-learned": histories["learned"]},
        figures={
            "score-flow": plot.flow_history(histories, "Two moons flow: the exact score and a learned one"),
            "distance": plot.sweep(
                measured.sel(flow=["learned", "one scale"], density="two moons").rename(seed="replica"),
                "distance",
                along="time",
                by="flow",
                title="Two moons: distance from the exact flow",
                log=True,
            ),
            "profiles": plot.flow_profile(profiles, "Two moons: exact and learned flow"),
        },
        claims=all_claims(measured),
    )


def _flows(name: str, p: Density, seed: int, context: Context) -> dict[str, TransportMap]:
    """The exact flow of p * N(0, high·I), the learned one, and one that takes a single denoiser's score at all scales."""
    scale = SCALES[context.scale]
    low, high = VARIANCES[name]
    options: dict[str, Any] = {"steps": scale.steps, "seed": context.seed + seed, "device": context.device}
    points = p.draw(scale.points, generator(context.seed, SAMPLES, seed))
    source = p.smoothed(high)
    learned = train_score(scale.hidden, points, variances=(low, high), **options)
    learned.source = source  # what the particles are drawn from; the score knows the points alone
    flow = learned.flow()
    middle = math.sqrt(low * high)
    single = train_denoiser(scale.hidden, points, noise_covariance=middle, **options).requires_grad_(False)

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
    exact, scale = flows["exact"], SCALES[context.scale]
    times = _times(exact, scale.times + 1)
    seed = context.seed + seed
    x = exact.known_source().draw(scale.particles, generator(seed, EVALUATION))
    known = exact.path(x, times)
    moved = (known[1:] - x).square().sum(2).mean(1).sqrt()
    law = 2 * exact.time * exact.dimension
    found = {}
    for label, flow in flows.items():
        path = flow.path(x, times)
        distance = (path[1:] - known[1:]).square().sum(2).mean(1).sqrt() / moved
        balance = entropy_balance(flow, scale.particles, seed, times)
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
    count = len(rows[0][0][0].distance)
    dims = ("density", "flow", "seed")
    part = {"units": "1"}
    return xr.Dataset(
        {
            "distance": (
                (*dims, "time"),
                [[[m.distance for m in flow] for flow in by] for by in rows],
                part | {"long_name": "RMS distance to the exact flow over the distance that it moves"},
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
                [round((k + 1) / count, 3) for k in range(count)],
                {"long_name": "time, part of the whole", "units": "1"},
            ),
        },
        {"variances": [value for name in densities for value in VARIANCES[name]]},
    )


def all_claims(measured: xr.Dataset) -> list[Claim]:
    """End points, entropy balance, trace law; numbers stand for densities, over seeds."""
    names = ", ".join(map(str, measured["density"].values))
    times = measured.sizes["time"] + 1

    def of(variable: str, flow: str) -> np.ndarray:
        found = measured[variable].sel(flow=flow)
        if "time" in found.dims:
            found = found.isel(time=-1)
        return found.transpose("seed", "density").values

    def limits(limit: float) -> tuple[float, ...]:
        return (limit,) * measured.sizes["density"]

    claims = [
        Claim(
            id="X-learned-flow",
            role="part",
            statement=f"the flow of a learned score ends within {FOLLOWED:.0%} of its path from the exact one, RMS: {names}",
            **at_most_log(of("distance", "learned"), FOLLOWED),
            reference=limits(FOLLOWED),
            units="1",
        ),
        Claim(
            id="X-learned-flow.control",
            role="control",
            statement=f"the score of one scale at all times: its distance over the learned flow's, above {APART:g}: {names}",
            **at_least_log(of("distance", "one scale") / of("distance", "learned"), APART),
            units="1",
        ),
    ]
    for flow, name, role, about in (
        ("learned", "entropy", "part", "on the learned flow entropy falls at the rate −J of its own density"),
        ("exact", "entropy-exact", "control", "the same on the exact flow"),
        ("one scale", "entropy-control", "reported", "the same on the flow of one scale"),
    ):
        claims.append(
            Claim(
                id=f"X-learned-flow.{name}",
                role=role,
                statement=f"{about}: Σ|dH/dt + J|/ΣJ at {times} times, at most {KEPT:g}: {names}",
                **at_most(of("imbalance", flow), KEPT),
                reference=limits(KEPT),
                units="1",
            )
        )
    claims.append(
        Claim(
            id="X-learned-flow.trace",
            role="part",
            statement=f"the trace law on the learned flow: (tr Cov(p_0) − tr Cov(p_t))/2td at its end: {names}",
            **around(of("fall", "learned"), 1.0, TRACE),
            units="1",
        )
    )
    return claims
