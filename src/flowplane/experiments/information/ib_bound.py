"""B-4: do converged layers lie near the information bottleneck's curve and satisfy its equations? (ST, figure 6)"""

from __future__ import annotations

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.analysis.betas import layer_betas
from flowplane.bottleneck.bifurcation import critical_betas
from flowplane.bottleneck.curve import ib_curve
from flowplane.experiments.claim import Claim, at_most, sign
from flowplane.experiments.registry import Context, Result
from flowplane.tasks import spherical_rule

__all__ = ["run"]

#: I(X;Y) of the paper's task, in bits.
INFORMATION = 0.99
EPOCHS = {"quick": 3000, "full": 8000}
REPLICAS = {"quick": 10, "full": 50}
#: "Near": so many bits of I(T;Y) below the curve at most, and a residual of at most this share of I(X;T).
NEAR, SATISFIED = 0.05, 0.1


def run(context: Context) -> Result:
    """The reference network on the stochastic rule, at 20 epochs, beside itself untrained."""
    task, scale = spherical_rule(INFORMATION), context.scale
    curve, critical = ib_curve(task), critical_betas(task)
    rec = context.train("soft-rule", task, replicas=REPLICAS[scale], epochs=EPOCHS[scale], labels="sampled")
    betas = layer_betas(rec, curve=curve)
    return Result(
        datasets={"layer-betas": betas, "curve": curve, "critical-points": critical, "metrics": rec.metrics.load()},
        figures={
            "ib-bound": plot.layer_betas(betas, curve, critical=critical),
            "layer-betas": plot.layer_beta_curves(betas, critical),
        },
        claims=claims_of(betas, scale),
    )


def claims_of(betas: xr.Dataset, scale: str) -> list[Claim]:
    """What the last epoch says, and the first beside it."""
    ordered = betas.transpose("replica", "epoch", "layer")
    last, first = ordered.isel(epoch=-1), ordered.isel(epoch=0)
    below, share = last["distance_vertical"].values, (last["residual"] / last["i_xt"]).values
    near = _at_most(
        "B-4.near",
        "converged layers lie near the curve: I(T;Y) below it at their I(X;T), layers 1–6",
        below,
        NEAR,
        scale,
        "bits",
    )
    equations = _at_most(
        "B-4.equations",
        "converged layers satisfy the self-consistent equations: residual at β* as a share of I(X;T), layers 1–6",
        share,
        SATISFIED,
        scale,
        "share",
    )
    logs = np.log10(last["beta_star"].values)
    falls = logs[:, :-1] - logs[:, 1:]
    inside = (last["edge"].values[:, 1:] == 0).all(0)
    measured, interval, verdict = sign(falls[:, inside])
    names = ", ".join(f"{k + 1} to {k + 2}" for k in np.flatnonzero(inside))
    depth = Claim(
        "B-4.depth",
        f"β* falls with depth: fall of log10 β* from layer {names}",
        measured,
        interval,
        None,
        None,
        verdict,
        scale,
        0.0,
        "decades",
    )
    parts = (near, equations)
    verdicts = {part.verdict for part in parts}
    headline = Claim(
        "B-4",
        "converged layers lie near the IB curve and satisfy the self-consistent equations: the farthest layer below "
        f"the curve (near: {NEAR} bits), the largest residual as a share of I(X;T) (satisfied: {SATISFIED})",
        (max(near.measured), max(equations.measured)),
        None,
        (0.0, 0.0),
        (NEAR, SATISFIED),
        "contradicted" if "contradicted" in verdicts else "inconclusive" if "inconclusive" in verdicts else "reproduced",
        scale,
        0.0,
        "bits, share",
    )
    return [
        headline,
        near,
        equations,
        depth,
        _reported(
            "B-4.merged",
            "reported: what is left of the residual where x with equal p(y|x) are one, layers 1–6",
            last["residual_merged"].values,
            scale,
        ),
        _reported(
            "B-4.horizontal",
            "reported: I(X;T) beyond the least for the same I(T;Y), layers 1–6",
            last["distance_horizontal"].values,
            scale,
        ),
        _reported(
            "B-4.untrained",
            "control: I(T;Y) below the curve before training, layers 1–6",
            first["distance_vertical"].values,
            scale,
        ),
    ]


def _at_most(name: str, statement: str, values: np.ndarray, most: float, scale: str, units: str) -> Claim:
    measured, interval, verdict = at_most(values, most)
    count = len(measured)
    return Claim(name, statement, measured, interval, (0.0,) * count, (most,) * count, verdict, scale, 0.0, units)


def _reported(name: str, statement: str, values: np.ndarray, scale: str) -> Claim:
    measured, interval, verdict = sign(values)
    return Claim(name, statement, measured, interval, None, None, verdict, scale, 0.0, "bits")
