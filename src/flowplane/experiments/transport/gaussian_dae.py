"""A-1 and A-4 where everything is known: denoising autoencoders of a Gaussian (SM, the Gaussian example; docs/papers.md
§A6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.core.streams import EVALUATION, generator
from flowplane.experiments.claim import Claim
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.transport.flows import DISTANCE, depth_label, flows_by_depth, order_of, stacked
from flowplane.experiments.verdicts import exactly
from flowplane.transport import TransportMap, denoising_flow, flow_history
from flowplane.transport.densities import Density, GaussianMixture, Normal

__all__ = ["run"]

TIME = 0.4
DEPTHS = (1, 2, 4, 16, 256, math.inf)
#: docs/papers.md §A6, N(0, 1) at t = 0.4.
VARIANCES = (0.5102, 0.4186, 0.3431, 0.2499, 0.2037, 0.2)
DIMENSIONS = (1, 2, 10)
RANDOM_DEPTHS = (1, 2, 4, 16, math.inf)
#: Times of A-4, as parts of t*.
PARTS = tuple(2.0**-k for k in range(9, 1, -1))
NO_LAYER = "{}: no layer"


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    #: Random ones, in each dimension.
    gaussians: int
    samples: int


SCALES = {
    "quick": Scale(gaussians=20, samples=2000),
    "full": Scale(gaussians=200, samples=20_000),
    "tiny": Scale(gaussians=2, samples=200),
}


def run(context: Context) -> Result:
    """Variances of six depths, random Gaussians in 1, 2 and 10 dimensions, and the order of the shallow map's error."""
    p = Normal(0.0, 1.0)
    flows = flows_by_depth(p, TIME, DEPTHS)
    profiles = {name: flow.profile() for name, flow in flows.items()}
    shown = (1, 4, math.inf)
    histories = {depth_label(d): flow_history(flows[depth_label(d)], extent=(-3.5, 3.5), samples=400) for d in shown}
    measured = tuple(float(profile["variance"][-1]) for profile in profiles.values())
    scale = SCALES[context.scale]
    errors = _shallow_errors(scale.samples, context.seed)
    return Result(
        datasets={"profiles": stacked(profiles, "flow"), "shallow-errors": errors},
        figures={
            "gaussian-dae": plot.flow_history(histories, "Denoising a Gaussian, N(0, 1)"),
            "profiles": plot.flow_profile({depth_label(d): profiles[depth_label(d)] for d in shown}, "N(0, 1) denoised"),
            "depth": plot.depth_curves(_depths(measured), "Deeper autoencoders transport faster: N(0, 1), t = 0.4"),
            "shallow-error": plot.error_orders(errors, "The shallow autoencoder is the continuous flow to first order"),
        },
        claims=[_variance_claim(measured), _random_claim(scale.gaussians, context.seed), *_order_claims(errors)],
    )


def _depths(measured: tuple[float, ...]) -> xr.Dataset:
    about = {"long_name": "variance", "units": "units of x²"}
    return xr.Dataset(
        {"variance": (("density", "layers"), [measured[:-1]], about), "variance_continuous": ("density", [measured[-1]])},
        {"density": ["N(0, 1)"], "layers": list(DEPTHS[:-1])},
        {"subtitle": "dashed: the continuous flow, L = ∞; closed form"},
    )


def _variance_claim(measured: tuple[float, ...]) -> Claim:
    judged = exactly(measured, VARIANCES, 6e-5)
    if not (np.diff(measured) < 0).all():
        judged["verdict"] = "contradicted"
    statement = "deeper is faster: variance of N(0, 1) at t = 0.4 after L = 1, 2, 4, 16, 256 layers and the continuous flow"
    return Claim(id="A-1", role="headline", statement=statement, **judged, units="units of x²")


def _random_claim(count: int, seed: int) -> Claim:
    """The smallest relative fall of tr Cov from one depth to the next over random Gaussians."""
    rng = np.random.default_rng([seed, 1])
    smallest = []
    for d in DIMENSIONS:
        falls = []
        for _ in range(count):
            root = rng.normal(size=(d, d + 2))
            p = Normal(rng.normal(size=d), root @ root.T / d)
            time = float(rng.uniform(0.05, 0.95)) * float(np.linalg.eigvalsh(p.covariance)[0]) / 2
            traces = [_trace(denoising_flow(p, time, layers)) for layers in RANDOM_DEPTHS]
            falls.append(-np.diff(traces) / np.abs(traces[0] - np.trace(p.covariance)))
        smallest.append(float(np.min(falls)))
    statement = (
        f"the same for {count} random Gaussians in 1, 2, 10 dimensions: least fall of tr Cov from one depth to the next, "
        "as a part of what the shallow one takes away"
    )
    return Claim(
        id="A-1.random",
        role="part",
        statement=statement,
        measured=tuple(smallest),
        verdict="reproduced" if min(smallest) > 0 else "contradicted",
        units="1",
    )


def _trace(flow: TransportMap) -> float:
    return float(flow.profile(times=[flow.time])["variance"][0])


def _shallow_errors(samples: int, seed: int) -> xr.Dataset:
    """Root mean square of g_t − φ_t over p_0 at times that halve, and of x − φ_t beside it."""
    series, scales, errors = [], [], []
    for name, p in _densities().items():
        x = p.draw(samples, generator(seed, EVALUATION))
        last = p.smoothing.least_variance / 2
        times = [part * last for part in PARTS]
        ends = {t: denoising_flow(p, t, math.inf).forward(x) for t in times}
        shallow = {t: denoising_flow(p, t, 1).forward(x) for t in times}
        for label, starts in ((name, shallow), (NO_LAYER.format(name), dict.fromkeys(times, x))):
            series.append(label)
            scales.append(PARTS)
            errors.append([float((starts[t] - ends[t]).square().sum(1).mean().sqrt()) for t in times])
    return xr.Dataset(
        {"error": (("series", "step"), errors, DISTANCE), "scale": (("series", "step"), scales, {"long_name": "time t/t*"})},
        {"series": series},
        {"order": 2, "subtitle": "dotted: order 2, what A-4 claims; 'no layer' leaves the points where they are"},
    )


def _densities() -> dict[str, Density]:
    rng = np.random.default_rng(5)
    return {
        "N(0, 1)": Normal(0.0, 1.0),
        "mixture in one dimension": GaussianMixture([0.4, 0.6], [[-1.0], [1.0]], [0.3, 0.5]),
        "mixture in ten dimensions": GaussianMixture([0.5, 0.5], rng.normal(size=(2, 10)), [0.4, 0.6]),
    }


def _order_claims(errors: xr.Dataset) -> list[Claim]:
    found = {
        str(name): order_of(errors["scale"].values[k][:4], errors["error"].values[k][:4])
        for k, name in enumerate(errors["series"].values)
    }
    shallow = [found[name] for name in _densities()]
    nothing = [found[NO_LAYER.format(name)] for name in _densities()]
    return [
        Claim(
            id="A-4",
            role="headline",
            statement="the shallow map follows the flow to first order: its error is of order t^k, k for three densities",
            **exactly(shallow, [2.0] * len(shallow), 0.1),
            units="1",
        ),
        Claim(
            id="A-4.control",
            role="control",
            statement="leaving the points where they are is of order t^k",
            **exactly(nothing, [1.0] * len(nothing), 0.1),
            units="1",
        ),
    ]
