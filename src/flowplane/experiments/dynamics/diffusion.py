"""B-7: after the transition the weights diffuse like a Wiener process."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.analysis.diffusion import weight_diffusion
from flowplane.experiments.claim import Claim, near, with_ends
from flowplane.experiments.dynamics.optimizers import OPTIMIZERS, verdict_of_all
from flowplane.experiments.information.reference import reference
from flowplane.experiments.registry import Context, Result
from flowplane.recording import Recording

__all__ = ["run"]

#: A Wiener process has the exponent 1; so near it counts as one.
WITHIN = 0.1
#: The drift phase, which is no diffusion: the first epochs.
DRIFT = 20
#: Simulated ensembles.
DRAWS = {"quick": 200, "full": 1000}


def run(context: Context) -> Result:
    """The reference network trained with Adam and with SGD, after each layer's crossing; the first epochs as a control."""
    scale = context.scale
    datasets: dict[str, xr.Dataset] = {}
    figures: dict[str, Any] = {}
    claims: list[Claim] = []
    for optimizer in OPTIMIZERS:
        rec = reference(context, optimizer)
        found = weight_diffusion(rec, draws=DRAWS[scale], seed=context.seed)
        datasets[f"diffusion-{optimizer}"] = found
        figures[f"diffusion-{optimizer}"] = plot.weight_diffusion(found, f"How far weights move ({optimizer})")
        claims += [
            _exponent(found, optimizer, scale),
            _independent(found, optimizer, scale),
            _control(rec, optimizer, scale),
        ]
    deciding = [claim for claim in claims if not claim.id.startswith("B-7.drift")]
    measured = tuple(float(np.nanmean(claim.measured)) for claim in deciding)
    statement = (
        "after the transition the weights diffuse like a Wiener process, with Adam and with SGD: mean over layers of the "
        "exponent of the mean squared displacement, 1, and of the correlation of successive moves, 0"
    )
    whole = Claim(
        "B-7",
        statement,
        measured,
        None,
        (1.0, 0.0) * len(OPTIMIZERS),
        (WITHIN,) * len(measured),
        verdict_of_all([claim.verdict for claim in deciding]),
        scale,
        0.0,
        "1",
    )
    return Result(datasets=datasets, figures=figures, claims=[whole, *claims])


def _exponent(found: xr.Dataset, optimizer: str, scale: str) -> Claim:
    low, high = found["exponent_lower"].values, found["exponent_upper"].values
    verdict = near(low, high, 1.0, WITHIN)
    origins = ", ".join(f"{origin:.0f}" for origin in found["origin"].values)
    expected = ", ".join(
        f"{a:.2f}–{b:.2f}" for a, b in zip(found["wiener_lower"].values, found["wiener_upper"].values, strict=True)
    )
    statement = (
        f"exponent of the mean squared displacement by layer, from epochs {origins} on ({optimizer}); a Wiener process of "
        f"the updates' covariance, read at the same epochs, has {expected}"
    )
    layers = found.sizes["layer"]
    numbers = with_ends(found["exponent_mean"].values, low, high)
    return Claim(
        f"B-7.exponent.{optimizer}", statement, *numbers, (1.0,) * layers, (WITHIN,) * layers, verdict, scale, 0.0, "1"
    )


def _independent(found: xr.Dataset, optimizer: str, scale: str) -> Claim:
    low, high = found["autocorrelation_lower"].values, found["autocorrelation_upper"].values
    verdict = near(low, high, 0.0, WITHIN)
    statement = f"successive moves are independent ({optimizer}): their correlation, by layer"
    layers = found.sizes["layer"]
    numbers = with_ends(found["autocorrelation"].values, low, high)
    return Claim(
        f"B-7.memory.{optimizer}", statement, *numbers, (0.0,) * layers, (WITHIN,) * layers, verdict, scale, 0.0, "1"
    )


def _control(rec: Recording, optimizer: str, scale: str) -> Claim:
    """Drift is told from diffusion: its exponent is near 2."""
    early = weight_diffusion(rec.sel(epoch=slice(0, DRIFT)), since=0, draws=50)
    low, high = early["exponent_lower"].values, early["exponent_upper"].values
    verdict = "reproduced" if (low > 1 + WITHIN).all() else "contradicted" if (high < 1 + WITHIN).any() else "inconclusive"
    statement = f"control: the first {DRIFT} epochs are drift, no diffusion ({optimizer}): exponent by layer, above 1"
    numbers = with_ends(early["exponent_mean"].values, low, high)
    return Claim(f"B-7.drift.{optimizer}", statement, *numbers, None, None, verdict, scale, 0.0, "1")
