"""B-4: do converged layers lie near the information bottleneck's curve and satisfy its equations? (ST, figure 6)"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.analysis.betas import layer_betas
from flowplane.bottleneck.bifurcation import critical_betas
from flowplane.bottleneck.curve import ib_curve
from flowplane.experiments.claim import Claim
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.verdicts import at_most, sign, verdict_of_all
from flowplane.tasks import spherical_rule

__all__ = ["run"]

#: I(X;Y) of the paper's task, in bits.
INFORMATION = 0.99
#: "Near": at most this many bits of I(T;Y) below the curve, and a residual of at most this share of I(X;T).
NEAR, SATISFIED = 0.05, 0.1


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    replicas: int
    epochs: int
    #: At which layers are compared with the curve.
    looked: int = 20
    #: The β of the curve, between which critical points are sought; None for the functions' own.
    betas: tuple[float, ...] | None = None


SCALES = {
    "quick": Scale(replicas=10, epochs=3000),
    "full": Scale(replicas=50, epochs=8000),
    "tiny": Scale(replicas=2, epochs=20, looked=2, betas=(0.99, 1.2, 2.0)),
}


def run(context: Context) -> Result:
    """The reference network on the stochastic rule, at 20 epochs, beside itself untrained."""
    task, scale = spherical_rule(INFORMATION), SCALES[context.scale]
    curve, critical = ib_curve(task, scale.betas), critical_betas(task, scale.betas)
    rec = context.train("soft-rule", task, replicas=scale.replicas, epochs=scale.epochs, labels="sampled")
    betas = layer_betas(rec.thin(scale.looked), curve=curve)
    return Result(
        datasets={"layer-betas": betas, "curve": curve, "critical-points": critical, "metrics": rec.metrics.load()},
        figures={
            "ib-bound": plot.layer_betas(betas, curve, critical=critical),
            "layer-betas": plot.layer_beta_curves(betas, critical),
        },
        claims=claims_of(betas),
    )


def claims_of(betas: xr.Dataset) -> list[Claim]:
    """What the last epoch says, and the first beside it."""
    ordered = betas.transpose("replica", "epoch", "layer")
    last, first = ordered.isel(epoch=-1), ordered.isel(epoch=0)
    below, share = last["distance_vertical"].values, (last["residual"] / last["i_xt"]).values
    near = _at_most(
        "B-4.near", "converged layers lie near the curve: I(T;Y) below it at their I(X;T), layers 1–6", below, NEAR, "bits"
    )
    equations = _at_most(
        "B-4.equations",
        "converged layers satisfy the self-consistent equations: residual at β* as a share of I(X;T), layers 1–6",
        share,
        SATISFIED,
        "share",
    )
    logs = np.log10(last["beta_star"].values)
    inside = (last["edge"].values[:, 1:] == 0).all(0)
    names = ", ".join(f"{k + 1} to {k + 2}" for k in np.flatnonzero(inside))
    depth = Claim(
        id="B-4.depth",
        role="part",
        statement=f"β* falls with depth: fall of log10 β* from layer {names}",
        **sign((logs[:, :-1] - logs[:, 1:])[:, inside]),
        units="decades",
    )
    headline = Claim(
        id="B-4",
        role="headline",
        statement="converged layers lie near the IB curve and satisfy the self-consistent equations: the farthest layer "
        f"below the curve (near: {NEAR} bits), the largest residual as a share of I(X;T) (satisfied: {SATISFIED})",
        measured=(max(near.measured), max(equations.measured)),
        reference=(0.0, 0.0),
        tolerance=(NEAR, SATISFIED),
        verdict=verdict_of_all([near.verdict, equations.verdict]),
        units="bits, share",
    )
    rows = (
        (
            "B-4.merged",
            "reported",
            "what is left of the residual where x with equal p(y|x) are one",
            last["residual_merged"],
        ),
        ("B-4.horizontal", "reported", "I(X;T) beyond the least for the same I(T;Y)", last["distance_horizontal"]),
        ("B-4.untrained", "control", "I(T;Y) below the curve before training", first["distance_vertical"]),
    )
    beside = [
        Claim(id=name, role=role, statement=f"{statement}, layers 1–6", **sign(found.values), units="bits")
        for name, role, statement, found in rows
    ]
    return [headline, near, equations, depth, *beside]


def _at_most(name: str, statement: str, values: np.ndarray, most: float, units: str) -> Claim:
    judged, count = at_most(values, most), values.shape[1]
    held = {"reference": (0.0,) * count, "tolerance": (most,) * count}
    return Claim(id=name, role="part", statement=statement, **judged, **held, units=units)
