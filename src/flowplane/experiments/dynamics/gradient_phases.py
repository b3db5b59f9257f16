"""B-3: gradients pass from drift to diffusion near the start of compression (ST, figure 4)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.analysis.phases import gradient_phases
from flowplane.analysis.plane import information_plane
from flowplane.experiments.claim import Claim
from flowplane.experiments.dynamics.reference import OPTIMIZERS, reference
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.verdicts import near, verdict_of_all, with_ends
from flowplane.information.binned import Binned
from flowplane.tasks import spherical_rule

__all__ = ["run"]

#: The transition is there if nine replicas of ten pass it in every layer, and is not if half of them do not in some layer.
PASSED, NOT_PASSED = 0.9, 0.5
#: "Near": within a factor of two in epochs.
NEAR = 1.0
#: Layers in which fewer of the replicas than this compress after a crossing have no start of compression to compare with.
COMPRESSING = 0.5


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale: the control; `dynamics.reference` has the networks."""

    control_replicas: int
    control_epochs: int


SCALES = {
    "quick": Scale(control_replicas=4, control_epochs=1500),
    "full": Scale(control_replicas=10, control_epochs=4000),
    "tiny": Scale(control_replicas=2, control_epochs=20),
}


def run(context: Context) -> Result:
    """The reference network trained with Adam and with SGD; with Adam on shuffled labels as a control."""
    scale = SCALES[context.scale]
    found: dict[str, xr.Dataset] = {}
    figures: dict[str, Any] = {}
    claims: list[Claim] = []
    for optimizer in OPTIMIZERS:
        rec = reference(context, optimizer)
        phases = gradient_phases(rec, information_plane(rec, Binned.published()), seed=context.seed)
        found[f"phases-{optimizer}"] = phases
        figures[f"gradient-phases-{optimizer}"] = plot.gradient_phases(phases, f"Drift and diffusion ({optimizer})")
        claims += [_crossing(phases, optimizer), _near(phases, optimizer), _together(phases, optimizer)]
    control = context.train(
        "shuffled-labels",
        spherical_rule().shuffled(context.seed),
        replicas=scale.control_replicas,
        epochs=scale.control_epochs,
    )
    found["phases-shuffled-labels"] = gradient_phases(control, seed=context.seed)
    figures["gradient-phases-shuffled-labels"] = plot.gradient_phases(
        found["phases-shuffled-labels"], "Control: shuffled labels (adam)"
    )
    whole = Claim(
        id="B-3",
        role="headline",
        statement="gradients pass from drift to diffusion, within a factor of two of the start of compression, in each "
        "layer that compresses, with Adam and with SGD: shares of these layers",
        measured=tuple(_share(found[f"phases-{optimizer}"]) for optimizer in OPTIMIZERS),
        verdict=verdict_of_all([claim.verdict for claim in claims if claim.role == "part"]),
        units="share of layers",
    )
    shuffled = replace(
        _crossing(found["phases-shuffled-labels"], "adam, shuffled labels"), id="B-3.shuffled", role="control"
    )
    return Result(datasets=found, figures=figures, claims=[whole, *claims, shuffled])


def _crossing(phases: xr.Dataset, optimizer: str) -> Claim:
    crossed = phases["crossed"].values
    verdict = "inconclusive"
    if (crossed >= PASSED).all():
        verdict = "reproduced"
    elif (crossed < NOT_PASSED).any():
        verdict = "contradicted"
    shares = ", ".join(f"{share:.0%}" for share in crossed)
    statement = f"gradients pass from drift to diffusion ({optimizer}): epoch by layer; replicas that do: {shares}"
    found = with_ends(*(phases[f"crossing_{end}"].values for end in ("median", "lower", "upper")))
    return Claim(id=f"B-3.crossing.{optimizer}", role="part", statement=statement, **found, verdict=verdict, units="epochs")


def _compressing(phases: xr.Dataset) -> xr.Dataset:
    """The layers in which enough replicas compress and have crossed."""
    return phases.isel(layer=np.flatnonzero(phases["pairs"].values >= COMPRESSING * phases.sizes["replica"]))


def _share(phases: xr.Dataset) -> float:
    """Of the layers that compress, those in which both happen within a factor of two."""
    part = _compressing(phases)
    return float((abs(part["lag"].values) <= NEAR).mean()) if part.sizes["layer"] else float("nan")


def _near(phases: xr.Dataset, optimizer: str) -> Claim:
    part = _compressing(phases)
    judged = near([part[f"lag{end}"].values for end in ("", "_lower", "_upper")], 0.0, NEAR)
    layers = ", ".join(str(depth) for depth in part["depth"].values)
    statement = (
        f"compression starts when diffusion does ({optimizer}): log2 of start over crossing, layers {layers or '–'}, the "
        "others do not compress"
    )
    return Claim(id=f"B-3.start.{optimizer}", role="part", statement=statement, **judged, units="log2 epochs")


def _together(phases: xr.Dataset, optimizer: str) -> Claim:
    part = _compressing(phases)
    low, high = part["correlation_lower"].values, part["correlation_upper"].values
    verdict = "inconclusive"
    if len(low) and (low > 0).all():
        verdict = "reproduced"
    elif (high < 0).any():
        verdict = "contradicted"
    p_values = ", ".join(f"{p:.2g}" for p in part["p_value"].values)
    layers = ", ".join(str(depth) for depth in part["depth"].values)
    statement = (
        f"replicas that pass to diffusion later compress later ({optimizer}): rank correlation, layers "
        f"{layers or '–'}; p by permutation: {p_values or '–'}"
    )
    found = with_ends(part["correlation"].values, low, high)
    return Claim(
        id=f"B-3.correlation.{optimizer}", role="reported", statement=statement, **found, verdict=verdict, units="1"
    )
