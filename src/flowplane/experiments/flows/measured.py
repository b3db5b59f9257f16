"""Flows of one target under the same measures: trained three ways, the papers' own, and both by other clocks (§E2, §E3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from torch import Tensor

from flowplane.core.results import without_flags
from flowplane.core.streams import EVALUATION, generator
from flowplane.core.threads import one_thread
from flowplane.experiments.registry import Context
from flowplane.tasks import digits
from flowplane.transport import ODEMap, TransportMap, denoising_flow, rectify, sliced_measures, train_velocity
from flowplane.transport.densities import Density, Empirical, GaussianMixture, Normal, two_moons

__all__ = ["CASES", "CLOCKED", "DAE", "FLOWS", "TRAINED", "Scale", "measured", "narrow", "reclocked", "shares"]

#: Variance of the noise that every source has: N(0, I) of the trained flows, and what the denoising flow takes away.
NOISE = 1.0
#: Variance of the kernel about each digit, whose pixels have variance 1 on average.
KERNEL = 0.1
TRAINED = ("independent", "optimal", "rectified")
#: The denoising flow by its own time, and with the standard deviation of the noise falling evenly.
DAE = ("DAE", "DAE, even")
#: The control of rectification and that of the clock.
LONGER, CLOCKED = "longer", "late"
FLOWS = (*TRAINED, *DAE, LONGER, CLOCKED)


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    #: Of training; a rectified flow is trained for as many again.
    steps: int
    #: Pairs that rectification trains on.
    pairs: int
    seeds: int
    #: For the budget and the ends; the steps take half of them.
    particles: int
    #: Part of a network's usual width.
    width: float = 1.0
    #: Of steps, between which the least is sought.
    numbers: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Case(NamedTuple):
    """A target, and the widths of the networks that learn to reach it."""

    density: Callable[[], Density]
    hidden: tuple[int, ...]


def _eight_gaussians() -> GaussianMixture:
    angles = np.arange(8) * np.pi / 4
    return GaussianMixture(np.full(8, 1 / 8), 2 * np.stack([np.cos(angles), np.sin(angles)], 1), [0.04] * 8)


def _digits() -> Empirical:
    """Centred, all by one scale."""
    pixels = digits().inputs
    away = pixels - pixels.mean(0)
    return Empirical(away / math.sqrt(away.var(0).mean()), kernel_covariance=KERNEL)


CASES = {
    "moons": Case(partial(two_moons, 0.1), (64, 64, 64)),
    "Gaussians": Case(_eight_gaussians, (64, 64, 64)),
    "digits": Case(_digits, (128, 128, 128)),
}


def measured(context: Context, scale: Scale) -> xr.Dataset:
    """`study` of every case and seed, shared by the experiments that read it."""
    fixed = asdict(scale) | {"first": context.seed, "device": context.device}
    seeds = fixed.pop("seeds")
    return context.sweep_shared("flows", partial(study, **fixed), {"case": list(CASES), "seed": list(range(seeds))})


def study(
    path: Path,
    case: str,
    seed: int,
    *,
    steps: int,
    pairs: int,
    particles: int,
    width: float,
    numbers: tuple[int, ...],
    first: int,
    device: str,
) -> xr.Dataset:
    """Budget, steps and ends of all flows of a target, over `flow`."""
    target = CASES[case].density()
    options: dict[str, Any] = {"steps": steps, "seed": first + seed, "device": device}
    hidden = tuple(max(2, round(width * units)) for units in CASES[case].hidden)
    with one_thread():
        flows = all_flows(target, hidden, pairs, options)
        rows = [_measures(flow, target, particles, numbers, first + seed) for flow in flows.values()]
    return xr.concat(rows, xr.Variable("flow", list(flows)), combine_attrs="drop_conflicts")


def all_flows(target: Density, hidden: tuple[int, ...], pairs: int, options: dict[str, Any]) -> dict[str, TransportMap]:
    """The flows of `FLOWS`, all from noise to the target."""
    source = Normal(np.zeros(target.dimension), NOISE * np.eye(target.dimension))
    independent = train_velocity(hidden, source, target, **options)
    rectified = rectify(independent, samples=pairs, **options)
    # from p * N(0, hI), backward heat is at p after t = h/2
    papers = denoising_flow(target.smoothed(NOISE), NOISE / 2, math.inf)
    flows = {
        "independent": independent,
        "optimal": train_velocity(hidden, source, target, coupling="optimal", **options),
        "rectified": rectified,
        "DAE": papers,
        # σ = √h (1 − s)
        "DAE, even": reclocked(papers, lambda s: (1 - (1 - s) ** 2, 2 * (1 - s))),
        LONGER: train_velocity(independent, source, target, **options),
        CLOCKED: reclocked(rectified, lambda s: (s**2, 2 * s)),
    }
    return {name: flows[name] for name in FLOWS}


def reclocked(flow: TransportMap, clock: Callable[[float], tuple[float, float]]) -> ODEMap:
    """The same paths by another clock: s in [0, 1] to the part of the flow's time that is over by then, and its rate.

    Example:
        >>> still = ODEMap(lambda t, x: x * 0 + 1, 1, time=2.0)
        >>> reclocked(still, lambda s: (s**2, 2 * s)).trajectory([[0.0]], [0.0, 0.5, 1.0]).round(6).ravel()
        array([0. , 0.5, 2. ])
    """

    def velocity(s: float, x: Tensor) -> Tensor:
        part, rate = clock(min(s, 1.0))
        return flow.time * rate * flow.field(flow.time * part, x)

    return ODEMap(velocity, flow.dimension, time=1.0, source=flow.source, rtol=1e-6, atol=1e-7)


def _measures(flow: TransportMap, target: Density, particles: int, numbers: tuple[int, ...], seed: int) -> xr.Dataset:
    spent = flow.budget(samples=particles, seed=seed)
    taken = flow.steps(samples=max(2, particles // 2), numbers=numbers, seed=seed)
    found = without_flags(spent).assign(without_flags(taken).drop_dims("tolerance").variables)
    found["moved"] = ((), taken.attrs["moved"], {"units": "units of x", "long_name": "√E|Δ|²"})
    x = flow.known_source().draw(particles, generator(seed, EVALUATION)).to(flow.device, flow.dtype)
    starts, ends = (cloud.double().cpu().numpy() for cloud in (x, flow.forward(x)))
    return found.assign(_arrival(starts, ends, target, seed))


def _arrival(starts: np.ndarray, ends: np.ndarray, target: Density, seed: int) -> dict[str, Any]:
    """How near the target a flow's ends are. W_2² of two clouds is too large by their scatter, that between two clouds of
    the target, which is subtracted on both sides."""
    one, other = (target.draw(len(ends), generator(seed, EVALUATION, k)).double().cpu().numpy() for k in (1, 2))
    scatter, left, whole = (
        float(sliced_measures(np.stack([one, cloud]), seed=seed)["wasserstein_sliced"][1]) ** 2
        for cloud in (other, ends, starts)
    )
    about = "sliced W_2² between ends and target over that between starts and target"
    wide = "tr Cov of the ends over that of the target"
    return {
        "ends": ((), (left - scatter) / (whole - scatter), {"units": "1", "long_name": about}),
        "spread": ((), ends.var(0).sum() / np.trace(np.atleast_2d(target.covariance)), {"units": "1", "long_name": wide}),
    }


def shares(found: xr.Dataset) -> xr.Dataset:
    """Bending and pace over E|Δ|², what paths of the same ends must cost, and all waste over W_2²; Euler's least steps."""
    cost = found["transport"] + found["coupling"]
    parts = {
        "bending": (found["bending"] / cost, "bending over E|Δ|²"),
        "straightness": ((found["bending"] + found["pace"]) / cost, "bending and pace over E|Δ|²"),
        "waste": (found["energy"] / found["transport"] - 1, "energy over W_2², less 1"),
        "pace": (found["pace"] / cost, "pace over E|Δ|²"),
    }
    told = {name: values.assign_attrs(units="1", long_name=text) for name, (values, text) in parts.items()}
    least = found["least_steps"].sel(solver="euler", drop=True)
    # where the largest number is too small: at least twice as many, last in rank
    told["steps"] = least.fillna(2.0 * float(found["steps"].max())).assign_attrs(
        units="steps", long_name="steps of Euler within 1 % of √E|Δ|²"
    )
    return xr.Dataset(told, attrs=found.attrs)


def narrow(figure: go.Figure, subtitle: str, **margin: int) -> go.Figure:
    """A figure of all flows as wide as its page, down to a telephone's; its legend below."""
    figure.update_layout(autosize=True, width=None, font_size=12, margin={"l": 60, "r": 10, "t": 80, "b": 130} | margin)
    figure.update_layout(legend={"orientation": "h", "x": 0.0, "xanchor": "left", "y": -0.28, "yanchor": "top", "title": {}})
    figure.update_layout(title={"font_size": 15, "subtitle": {"text": subtitle, "font_size": 11}})
    return figure
