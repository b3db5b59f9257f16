"""B-9: do layers settle near the critical points of the information bottleneck's curve?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from scipy.special import expit

from flowplane import plot
from flowplane.analysis.betas import layer_betas
from flowplane.bottleneck.bifurcation import critical_betas
from flowplane.bottleneck.curve import ib_curve
from flowplane.bottleneck.slowness import slowing_down
from flowplane.experiments.claim import Claim
from flowplane.experiments.registry import Context, Result
from flowplane.tasks import Task, spherical_rule, spherical_strength

__all__ = ["placement_test", "run"]

#: The paper's task, whose curve has two critical points, and the rule of γ = 10, whose curve has eight.
SHARP, GAMMA = 0.99, 10.0
PLACEMENTS = 10_000
#: Closer than chance below the first p-value; no closer than points at random from the second on.
CLOSER, NO_CLOSER = 0.05, 0.5


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    replicas: int
    epochs: int
    #: Values of β at which Blahut–Arimoto's steps are counted, up to that many of them.
    counted: int
    most: int = 20_000
    #: At which layers are compared with the curve.
    looked: int = 20
    #: The β of the curve, between which critical points are sought; None for the functions' own.
    betas: tuple[float, ...] | None = None


SCALES = {
    "quick": Scale(replicas=10, epochs=3000, counted=60),
    "full": Scale(replicas=50, epochs=8000, counted=150),
    "tiny": Scale(replicas=2, epochs=20, counted=4, most=200, looked=2, betas=(0.99, 1.2, 2.0)),
}


def run(context: Context) -> Result:
    """The reference network on two stochastic rules; its layers' β* against the curves' critical points."""
    scale = SCALES[context.scale]
    datasets: dict[str, xr.Dataset] = {}
    figures: dict[str, Any] = {}
    claims: list[Claim] = []
    for name, suffix, role, task in (
        ("sharp", "", "headline", spherical_rule(SHARP)),
        ("gamma-10", ".gamma-10", "part", _soft_rule(GAMMA)),
    ):
        curve, critical = ib_curve(task, scale.betas), critical_betas(task, scale.betas)
        rec = context.train(f"{name}-rule", task, replicas=scale.replicas, epochs=scale.epochs, labels="sampled")
        betas = layer_betas(rec.thin(scale.looked), curve=curve)
        span = np.geomspace(0.99, 1.5 * float(critical["beta"].max()), scale.counted)
        slowness = slowing_down(task, np.union1d(span, critical["beta"].values), most=scale.most)
        datasets |= {
            f"layer-betas-{name}": betas,
            f"curve-{name}": curve,
            f"critical-points-{name}": critical,
            f"slowing-down-{name}": slowness,
        }
        figures |= {
            f"critical-points-{name}": plot.layer_beta_curves(betas, critical, title=f"β* of each layer, {task.name}"),
            f"bound-{name}": plot.layer_betas(betas, curve, critical=critical),
            f"slowing-down-{name}": plot.critical_slowing_down(
                slowness, critical, title=f"Critical slowing down, {task.name}"
            ),
        }
        claims.append(_claim(betas, curve, critical, f"B-9{suffix}", role, task.name, context.seed))
    return Result(datasets=datasets, figures=figures, claims=claims)


def _soft_rule(gamma: float) -> Task:
    """p(y=1|x) = sigmoid(γ(f − θ)) of the reference task."""
    task = spherical_rule()
    strength = spherical_strength(task.inputs)
    distance = strength - strength.mean()
    rule = np.stack([expit(-gamma * distance), expit(gamma * distance)], axis=1)
    return Task(task.inputs, task.labels, conditional=rule, name=f"spherical rule, γ = {gamma:g}")


def placement_test(
    layers: Float[np.ndarray, " layer"], critical: Float[np.ndarray, " critical"], low: float, high: float, seed: int = 0
) -> tuple[float, Float[np.ndarray, " placement"], float]:
    """Mean distance of the layers from the nearest critical point, the same with points placed at random, and the p-value.

    As many points as there are critical ones are placed uniformly between `low` and `high`, 10,000 times; p is the share of
    placements that are as near or nearer, the true one counted among them.

    Example:
        >>> near, chance, p = placement_test(np.array([1.0, 4.1]), np.array([1.0, 4.0]), 0.0, 10.0)
        >>> round(near, 2), p < 0.01
        (0.05, True)
    """
    rng = np.random.default_rng(seed)
    placed = rng.uniform(low, high, size=(PLACEMENTS, len(critical)))
    distance = _nearest(layers, critical[None])[0]
    chance = _nearest(layers, placed)
    return float(distance), chance, float((1 + (chance <= distance).sum()) / (1 + PLACEMENTS))


def _nearest(layers: np.ndarray, points: Float[np.ndarray, "placement critical"]) -> Float[np.ndarray, " placement"]:
    """Mean distance to the nearest point."""
    distance = np.full((len(points), len(layers)), np.inf)
    for column in points.T:
        distance = np.minimum(distance, np.abs(layers - column[:, None]))
    return distance.mean(1)


def _claim(betas: xr.Dataset, curve: xr.Dataset, critical: xr.Dataset, name: str, role: str, task: str, seed: int) -> Claim:
    """By log β and by the place on the curve, I(X;T): the verdict must not hang on which, for between two critical points
    I(X;T) may hardly change while β grows tenfold."""
    last = betas.isel(epoch=-1)
    inside = last["edge"].values.ravel() == 0
    star = last["beta_star"].values.ravel()[inside]
    points = critical["beta"].values[critical["kind"].values == "stability lost"]
    ordered = curve.sortby("beta")
    logs, i_xt = np.log10(ordered["beta"].values), ordered["i_xt"].values

    def on_curve(beta: np.ndarray) -> np.ndarray:
        return np.interp(np.log10(beta), logs, i_xt)

    by_beta = placement_test(np.log10(star), np.log10(points), 0.0, float(logs[-1]), seed)
    by_place = placement_test(on_curve(star), on_curve(points), 0.0, float(i_xt[-1]), seed)
    least, most = sorted([by_beta[2], by_place[2]])
    verdict = "reproduced" if most < CLOSER else "contradicted" if least >= NO_CLOSER else "inconclusive"
    statement = (
        f"layers settle near the critical points, {task}: mean distance of β* from the nearest of {len(points)} and the "
        "share of random placements of these that are as near, by log10 β and by I(X;T) along the curve (random: "
        f"{by_beta[1].mean():.3g} decades, {by_place[1].mean():.3g} bits; {int((~inside).sum())} of {inside.size} layers "
        "with β* = ∞ left out)"
    )
    measured = (by_beta[0], by_beta[2], by_place[0], by_place[2])
    return Claim(id=name, role=role, statement=statement, measured=measured, verdict=verdict, units="decades, p, bits, p")
