"""X-shallow-optimal: how far from optimal transport is each depth? (docs/papers.md §A7)"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.experiments.claim import Claim
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.transport.flows import depth_label, flows_by_depth
from flowplane.experiments.verdicts import exactly, mean_and_ends, means
from flowplane.transport import TransportMap, brenier_defect, denoising_flow
from flowplane.transport.densities import Density, GaussianMixture, Normal, two_moons

__all__ = ["run"]

PART = 0.9
#: Where the continuous flow is an optimal map.
SIMPLE = ("mixture on the line", "N(0, Σ) in the plane")


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    seeds: int
    samples: int
    #: Infinitely many layers last.
    depths: tuple[float, ...] = (1, 2, 4, 8, math.inf)
    #: Times of the profiles after 0; None for those of the flow itself.
    profiled: int | None = 8


SCALES = {
    "quick": Scale(seeds=3, samples=300),
    "full": Scale(seeds=8, samples=1000, profiled=None),
    "tiny": Scale(seeds=2, samples=60, depths=(1, 2, math.inf), profiled=2),
}


def run(context: Context) -> Result:
    """Optimality, straightness and the Benamou–Brenier gap of each depth, for densities where they differ."""
    scale, densities = SCALES[context.scale], _densities()
    rows = {}
    for name, p in densities.items():
        flows = flows_by_depth(p, PART * p.smoothing.least_variance / 2, scale.depths)
        rows[name] = np.array(
            [[_cost(flow, scale.samples, context.seed + k) for k in range(scale.seeds)] for flow in flows.values()]
        )
    values = np.stack(list(rows.values()))  # density, depth, seed, quantity
    measured = _dataset(values, list(densities), scale.depths)
    crossing = _crossing()
    profiles = {
        depth_label(d): denoising_flow(crossing, PART * crossing.smoothing.least_variance / 2, d).profile(
            samples=scale.samples, times=_times(crossing, scale.profiled), seed=context.seed
        )
        for d in (1, 4, math.inf)
    }
    return Result(
        datasets={"transport-cost": measured},
        figures={
            "transport-cost": plot.depth_curves(measured, "The deeper, the more energy above the optimal", quantity="gap"),
            "brenier-defect": plot.depth_curves(measured, "How far the maps are from gradients", quantity="defect"),
            "straightness": plot.depth_curves(measured, "How straight the paths are", quantity="straightness"),
            "profiles": plot.flow_profile(profiles, "Four narrow Gaussians in the plane, denoised"),
        },
        claims=[*_shallow(values, list(densities)), *_deep(values, list(densities))],
    )


def _densities() -> dict[str, Density]:
    return {
        "mixture on the line": GaussianMixture([0.4, 0.6], [[-1.5], [1.0]], [0.25, 0.35]),
        "N(0, Σ) in the plane": Normal([0.0, 0.0], [[1.0, 0.6], [0.6, 1.5]]),
        "four narrow Gaussians": _crossing(),
        "two moons": two_moons(0.2),
        "mixture in 10 dimensions": _ten_dimensions(),
    }


def _crossing() -> GaussianMixture:
    """Long, narrow components at different angles: score fields that do not commute along the path."""
    angles = np.pi * np.array([0.1, 0.35, 0.6, 0.85])
    turns = np.stack([np.stack([np.cos(angles), -np.sin(angles)], 1), np.stack([np.sin(angles), np.cos(angles)], 1)], 1)
    means = 0.8 * np.stack([np.cos(2.5 * angles), np.sin(2.5 * angles)], 1)
    return GaussianMixture([0.25] * 4, means, turns @ np.diag([0.6, 0.08]) @ turns.transpose(0, 2, 1))


def _ten_dimensions() -> GaussianMixture:
    rng = np.random.default_rng(11)
    roots = rng.normal(size=(3, 10, 12)) / np.sqrt(10)
    return GaussianMixture([0.3, 0.3, 0.4], rng.normal(size=(3, 10)), roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(10))


def _times(p: Density, count: int | None) -> list[float] | None:
    last = PART * p.smoothing.least_variance / 2
    return None if count is None else [last * k / count for k in range(count + 1)]


def _cost(flow: TransportMap, samples: int, seed: int) -> tuple[float, float, float, float]:
    """Optimality, straightness, the Benamou–Brenier gap as a part of W_2², and Brenier's defect."""
    profile = flow.profile(samples=samples, times=[flow.time], seed=seed).isel(time=0)
    squared = float(profile["wasserstein"]) ** 2
    gap = float(profile["benamou_brenier_gap"]) / squared
    return float(profile["optimality"]), float(profile["straightness"]), gap, float(brenier_defect(flow, samples, seed=seed))


def _dataset(values: np.ndarray, names: list[str], depths: tuple[float, ...]) -> xr.Dataset:
    """Means over seeds, one curve per density; the continuous flow beside them."""
    quantities = {
        "lost": (1 - values[..., 0], "1 − optimality"),
        "straightness": (values[..., 1], "straightness"),
        "defect": (values[..., 3], "Brenier's defect E‖A‖²/E‖J‖²"),
        "gap": (values[..., 2], "Benamou–Brenier gap over W₂²"),
    }
    variables: dict[str, Any] = {}
    for name, (each, long_name) in quantities.items():
        about = {"long_name": long_name, "units": "1"}
        error = each.std(2, ddof=1) / np.sqrt(each.shape[2])
        variables[name] = (("density", "layers"), each[:, :-1].mean(2), about)
        variables[f"{name}_error"] = (("density", "layers"), error[:, :-1], about)
        variables[f"{name}_continuous"] = ("density", each[:, -1].mean(1), about)
    return xr.Dataset(variables, {"density": names, "layers": list(depths[:-1])})


def _shallow(values: np.ndarray, names: list[str]) -> list[Claim]:
    """The shallow autoencoder is optimal if its noise is isotropic, and need not be otherwise."""
    lost = (1 - values[:, 0, :, 0]).max(1)
    p = Normal([0.0, 0.0], [[1.0, 0.6], [0.6, 1.5]])
    noise = [[1.0, -0.8], [-0.8, 1.0]]
    flow = denoising_flow(p, 0.1, 1, noise_covariance=noise)
    part = 1 - float(flow.profile(times=[flow.time])["optimality"][0])
    return [
        Claim(
            id="X-shallow-optimal",
            role="part",
            statement=f"the isotropic shallow autoencoder is optimal: 1 − optimality for {', '.join(names)}",
            **exactly(lost, (0.0,) * len(lost), 1e-6),
            units="1",
        ),
        Claim(
            id="X-shallow-optimal.anisotropic",
            role="control",
            statement="1 − optimality of a shallow autoencoder with anisotropic noise, N(0, Σ) in the plane",
            measured=(part,),
            verdict="reproduced" if part > 1e-3 else "contradicted",
            units="1",
        ),
    ]


def _deep(values: np.ndarray, names: list[str]) -> list[Claim]:
    """What the continuous flow loses: as a map between particles, as a map near each point, as a path."""
    listed = f"of the continuous flow at {PART:g} t*: {', '.join(names)}"
    lost, defect, gap = 1 - values[:, -1, :, 0], values[:, -1, :, 3], values[:, -1, :, 2]
    # on a line and for a Gaussian the Jacobians along the path commute, so that their product is symmetric
    simple = np.array([name in SIMPLE for name in names])
    skew = (defect[simple] < 1e-12).all() and (mean_and_ends(defect.T)[1][~simple] > 0).all()
    rows = (
        ("", "no plan between the particles beats it: 1 − optimality", lost, (lost < 1e-6).all()),
        (".defect", "yet it is a gradient only where Jacobians commute: Brenier's defect", defect, skew),
        (".path", "its paths cost more than W₂²: Benamou–Brenier gap over W₂²", gap, (mean_and_ends(gap.T)[1] > 0).all()),
    )
    return [
        Claim(
            id=f"X-continuous-optimal{name}",
            role="reported",
            statement=f"{statement} {listed}",
            **means(each.T),
            verdict="reproduced" if held else "inconclusive",
            units="1",
        )
        for name, statement, each, held in rows
    ]
