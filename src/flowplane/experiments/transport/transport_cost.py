"""How far from optimal transport is each depth? (docs/papers.md §A7)"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from flowplane.experiments.claim import Claim, mean_interval
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.transport.flows import depth_label, flows_by_depth
from flowplane.plot import depth_curves, flow_profiles
from flowplane.transport import TransportMap, brenier_defect, denoising_flow
from flowplane.transport.densities import Density, GaussianMixture, Normal, two_moons

__all__ = ["run"]

DEPTHS = (1, 2, 4, 8, math.inf)
SEEDS = {"quick": 3, "full": 8}
SAMPLES = {"quick": 300, "full": 1000}
PART = 0.9
#: Where the continuous flow is an optimal map.
SIMPLE = ("mixture on the line", "N(0, Σ) in the plane")


def run(context: Context) -> Result:
    """Optimality, straightness and the Benamou–Brenier gap of each depth, for densities where they differ."""
    densities = _densities()
    rows = {}
    for name, p in densities.items():
        flows = flows_by_depth(p, PART * p.smoothing.least_variance / 2, DEPTHS)
        rows[name] = np.array(
            [
                [_cost(flow, SAMPLES[context.scale], context.seed + k) for k in range(SEEDS[context.scale])]
                for flow in flows.values()
            ]
        )
    values = np.stack(list(rows.values()))  # density, depth, seed, quantity
    measured = _dataset(values, list(densities))
    crossing = _crossing()
    profiles = {
        depth_label(d): denoising_flow(crossing, PART * crossing.smoothing.least_variance / 2, d).profile(
            samples=SAMPLES[context.scale], times=None if context.scale == "full" else _times(crossing), seed=context.seed
        )
        for d in (1, 4, math.inf)
    }
    return Result(
        datasets={"transport-cost": measured},
        figures={
            "transport-cost": depth_curves(measured, "The deeper, the more energy above the optimal", "gap"),
            "brenier-defect": depth_curves(measured, "How far the maps are from gradients", "defect"),
            "straightness": depth_curves(measured, "How straight the paths are", "straightness"),
            "profiles": flow_profiles(profiles, "Four narrow Gaussians in the plane, denoised"),
        },
        claims=[*_shallow(values, list(densities), context), *_deep(values, list(densities), context)],
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
    """Long, narrow components at different angles: score fields that do not commute along the way."""
    angles = np.pi * np.array([0.1, 0.35, 0.6, 0.85])
    turns = np.stack([np.stack([np.cos(angles), -np.sin(angles)], 1), np.stack([np.sin(angles), np.cos(angles)], 1)], 1)
    means = 0.8 * np.stack([np.cos(2.5 * angles), np.sin(2.5 * angles)], 1)
    return GaussianMixture([0.25] * 4, means, turns @ np.diag([0.6, 0.08]) @ turns.transpose(0, 2, 1))


def _ten_dimensions() -> GaussianMixture:
    rng = np.random.default_rng(11)
    roots = rng.normal(size=(3, 10, 12)) / np.sqrt(10)
    return GaussianMixture([0.3, 0.3, 0.4], rng.normal(size=(3, 10)), roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(10))


def _times(p: Density) -> list[float]:
    last = PART * p.smoothing.least_variance / 2
    return [last * k / 8 for k in range(9)]


def _cost(flow: TransportMap, samples: int, seed: int) -> tuple[float, float, float, float]:
    """Optimality, straightness, the Benamou–Brenier gap as a part of W_2², and Brenier's defect."""
    profile = flow.profile(samples=samples, times=[flow.time], seed=seed).isel(time=0)
    squared = float(profile["wasserstein"]) ** 2
    gap = float(profile["benamou_brenier_gap"]) / squared
    return float(profile["optimality"]), float(profile["straightness"]), gap, float(brenier_defect(flow, samples, seed=seed))


def _dataset(values: np.ndarray, names: list[str]) -> xr.Dataset:
    """Means over seeds, a curve a density; the continuous flow beside them."""
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
    return xr.Dataset(variables, {"density": names, "layers": list(DEPTHS[:-1])})


def _shallow(values: np.ndarray, names: list[str], context: Context) -> list[Claim]:
    """The shallow autoencoder is optimal if its noise is isotropic, and need not be otherwise."""
    lost = tuple(float(value) for value in (1 - values[:, 0, :, 0]).max(1))
    verdict = "reproduced" if max(lost) < 1e-6 else "contradicted"
    optimal = Claim(
        "A7.shallow",
        f"the isotropic shallow autoencoder is optimal: 1 − optimality for {', '.join(names)}",
        lost,
        None,
        (0.0,) * len(lost),
        (1e-6,) * len(lost),
        verdict,
        context.scale,
        0.0,
        "1",
    )
    p = Normal([0.0, 0.0], [[1.0, 0.6], [0.6, 1.5]])
    noise = [[1.0, -0.8], [-0.8, 1.0]]
    flow = denoising_flow(p, 0.1, 1, noise_covariance=noise)
    part = 1 - float(flow.profile(times=[flow.time])["optimality"][0])
    seen = "reproduced" if part > 1e-3 else "contradicted"
    statement = "control: 1 − optimality of a shallow autoencoder with anisotropic noise, N(0, Σ) in the plane"
    return [optimal, Claim("A7.anisotropic", statement, (part,), None, None, None, seen, context.scale, 0.0, "1")]


def _deep(values: np.ndarray, names: list[str], context: Context) -> list[Claim]:
    """What the continuous flow loses: as a map between particles, as a map near each point, as a path."""
    listed = f"of the continuous flow at {PART:g} t*: {', '.join(names)}"
    lost, defect, gap = 1 - values[:, -1, :, 0], values[:, -1, :, 3], values[:, -1, :, 2]
    # on a line and for a Gaussian the Jacobians along the way commute, so that their product is symmetric
    simple = np.array([name in SIMPLE for name in names])
    ends, low = _intervals(defect)
    skew = bool((defect[simple] < 1e-12).all() and (low[~simple] > 0).all())
    gaps, gap_low = _intervals(gap)
    rows = (
        (
            "A7.continuous",
            "no plan between the particles beats it: 1 − optimality",
            lost,
            _intervals(lost)[0],
            bool((lost < 1e-6).all()),
        ),
        ("A7.defect", "yet it is a gradient only where Jacobians commute: Brenier's defect", defect, ends, skew),
        ("A7.path", "its paths cost more than W₂²: Benamou–Brenier gap over W₂²", gap, gaps, bool((gap_low > 0).all())),
    )
    return [
        Claim(
            name,
            f"reported: {statement} {listed}",
            tuple(map(float, each.mean(1))),
            intervals,
            None,
            None,
            "reproduced" if held else "inconclusive",
            context.scale,
            0.0,
            "1",
        )
        for name, statement, each, intervals, held in rows
    ]


def _intervals(each: np.ndarray) -> tuple[tuple[tuple[float, float], ...], np.ndarray]:
    """95 % intervals over seeds, and their lower ends."""
    _, interval, _ = mean_interval(each.T)
    return tuple((float(low), float(high)) for low, high in interval), interval[:, 0]
