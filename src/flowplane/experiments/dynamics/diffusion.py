"""B-7: after the transition the weights diffuse like a Wiener process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.analysis.diffusion import weight_diffusion
from flowplane.experiments.claim import Claim
from flowplane.experiments.dynamics.reference import OPTIMIZERS, reference
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.verdicts import near, verdict_of_all, with_ends
from flowplane.recording import Recording

__all__ = ["run"]

#: A Wiener process has the exponent 1; this near it counts as one.
WITHIN = 0.1
#: The drift phase, which is not diffusion: the first epochs.
DRIFT = 20


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale, besides the networks."""

    #: Simulated ensembles.
    draws: int


SCALES = {"quick": Scale(draws=200), "full": Scale(draws=1000), "tiny": Scale(draws=20)}


def run(context: Context) -> Result:
    """The reference network trained with Adam and with SGD, after each layer's crossing; the first epochs as a control."""
    datasets: dict[str, xr.Dataset] = {}
    figures: dict[str, Any] = {}
    claims: list[Claim] = []
    for optimizer in OPTIMIZERS:
        rec = reference(context, optimizer)
        found = weight_diffusion(rec, draws=SCALES[context.scale].draws, seed=context.seed)
        datasets[f"diffusion-{optimizer}"] = found
        figures[f"diffusion-{optimizer}"] = plot.weight_diffusion(found, f"How far weights move ({optimizer})")
        claims += [_exponent(found, optimizer), _independent(found, optimizer), _control(rec, optimizer)]
    deciding = [claim for claim in claims if claim.role == "part"]
    whole = Claim(
        id="B-7",
        role="headline",
        statement="after the transition the weights diffuse like a Wiener process, with Adam and with SGD: mean over layers "
        "of the exponent of the mean squared displacement, 1, and of the correlation of successive moves, 0",
        measured=tuple(float(np.nanmean(claim.measured)) for claim in deciding),
        reference=(1.0, 0.0) * len(OPTIMIZERS),
        tolerance=(WITHIN,) * len(deciding),
        verdict=verdict_of_all([claim.verdict for claim in deciding]),
        units="1",
    )
    return Result(datasets=datasets, figures=figures, claims=[whole, *claims])


def _exponent(found: xr.Dataset, optimizer: str) -> Claim:
    origins = ", ".join(f"{origin:.0f}" for origin in found["origin"].values)
    expected = ", ".join(
        f"{a:.2f}–{b:.2f}" for a, b in zip(found["wiener_lower"].values, found["wiener_upper"].values, strict=True)
    )
    statement = (
        f"exponent of the mean squared displacement by layer, from epochs {origins} on ({optimizer}); a Wiener process of "
        f"the updates' covariance, read at the same epochs, has {expected}"
    )
    ends = [found[f"exponent_{end}"].values for end in ("mean", "lower", "upper")]
    judged = near(ends, 1.0, WITHIN)
    return Claim(id=f"B-7.exponent.{optimizer}", role="part", statement=statement, **judged, units="1")


def _independent(found: xr.Dataset, optimizer: str) -> Claim:
    statement = f"successive moves are independent ({optimizer}): their correlation, by layer"
    ends = [found[f"autocorrelation{end}"].values for end in ("", "_lower", "_upper")]
    judged = near(ends, 0.0, WITHIN)
    return Claim(id=f"B-7.memory.{optimizer}", role="part", statement=statement, **judged, units="1")


def _control(rec: Recording, optimizer: str) -> Claim:
    """Drift is distinguished from diffusion: its exponent is near 2."""
    early = weight_diffusion(rec.sel(epoch=slice(0, DRIFT)), since=0, draws=50)
    low, high = early["exponent_lower"].values, early["exponent_upper"].values
    verdict = "reproduced" if (low > 1 + WITHIN).all() else "contradicted" if (high < 1 + WITHIN).any() else "inconclusive"
    statement = f"the first {DRIFT} epochs are drift, not diffusion ({optimizer}): exponent by layer, above 1"
    numbers = with_ends(early["exponent_mean"].values, low, high)
    return Claim(id=f"B-7.drift.{optimizer}", role="control", statement=statement, **numbers, verdict=verdict, units="1")
