"""B-5: with more hidden layers fewer epochs lead to the same generalisation (ST, figure 5)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float

from flowplane import plot
from flowplane.analysis.plane import information_plane
from flowplane.cluster import train_or_resume
from flowplane.experiments.claim import Claim
from flowplane.experiments.dynamics.reference import OPTIMIZERS
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.verdicts import UNKNOWN, Judged, at_most, verdict_of_all
from flowplane.information.binned import Binned
from flowplane.tasks import spherical_rule

__all__ = ["run"]

#: ST, figure 5: the first hidden layer has twelve units, each further one two fewer.
WIDTHS = (12, 10, 8, 6, 4, 2)
#: One hidden layer with as many weights as six have: what more weights alone do.
WIDE = (31,)
SNAPSHOTS = 60
#: The same generalisation: this share of the test set right, this many bits of the label in the softmax.
ACCURACY, INFORMATION = 0.95, 0.8
#: A slope is one of the networks that got there; fewer of them than this say nothing of the others.
ARRIVED = 0.8
QUANTITIES = {"epochs_to_accuracy": "accuracy", "epochs_to_information": "information"}
PER_LAYER = "log2(epochs) per layer"


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    depths: tuple[int, ...]
    replicas: int
    epochs: int


SCALES = {
    "quick": Scale(depths=(1, 3, 5), replicas=6, epochs=3000),
    "full": Scale(depths=(1, 2, 3, 4, 5, 6), replicas=50, epochs=8000),
    "tiny": Scale(depths=(1, 2), replicas=3, epochs=40),
}


def run(context: Context) -> Result:
    """One to six hidden layers, trained with Adam and with SGD, and one wide layer as a control."""
    scale = SCALES[context.scale]
    study = partial(learning, replicas=scale.replicas, epochs=scale.epochs, device=context.device, seed=context.seed)
    depths = [WIDTHS[:depth] for depth in scale.depths]
    found = context.sweep("depths", study, {"optimizer": list(OPTIMIZERS), "hidden": depths})
    wide = context.sweep("wide", study, {"optimizer": list(OPTIMIZERS), "hidden": [WIDE]})
    found = found.assign_coords(hidden=("hidden", list(scale.depths), {"long_name": "hidden layers"}))
    figures = {
        quantity: plot.sweep(
            found, quantity, along="hidden", by="optimizer", title="Depth and the speed of learning", log=True
        )
        for quantity in QUANTITIES
    }
    figures["planes"] = plot.information_planes(_planes(found), "Networks of different depth (Adam)")
    return Result(datasets={"depths": found, "wide": wide}, figures=figures, claims=_claims(found, wide))


def learning(
    path: Path, optimizer: str, hidden: tuple[int, ...], *, replicas: int, epochs: int, device: str, seed: int
) -> xr.Dataset:
    """The information plane of an ensemble, and when each network first generalises that well; NaN where it never does."""
    rec = train_or_resume(
        spherical_rule(),
        path,
        hidden=hidden,
        optimizer=optimizer,
        replicas=replicas,
        epochs=epochs,
        snapshots=SNAPSHOTS,
        keep=("weights",),
        device=device,
        seed=seed,
    )
    plane = information_plane(rec, Binned.published())
    accuracy = rec.metrics["test_accuracy"]
    label = plane["i_ty"].isel(layer=-1).transpose("replica", "epoch").values
    times = {
        "epochs_to_accuracy": first_reached(accuracy["train_epoch"].values, accuracy.values, ACCURACY),
        "epochs_to_information": first_reached(plane["epoch"].values, label, INFORMATION),
    }
    shown = {
        "epochs_to_accuracy": f"epochs to a test accuracy of {ACCURACY}",
        "epochs_to_information": f"epochs to I(T;Y) = {INFORMATION} bit in the softmax",
    }
    for name, values in times.items():
        plane[name] = ("replica", values, {"units": "epochs", "long_name": shown[name]})
    plane["test_accuracy"] = accuracy.isel(train_epoch=-1, drop=True)
    return plane.drop_vars("width")


def first_reached(
    epochs: np.ndarray, curves: Float[np.ndarray, "replica epoch"], level: float
) -> Float[np.ndarray, " replica"]:
    """When each curve first reaches a level, between snapshots on a line over log(epoch + 1); NaN where it never does.

    Example:
        >>> first_reached(np.array([0, 1, 3]), np.array([[0.0, 0.5, 1.0], [0.0, 0.1, 0.2]]), 0.5).tolist()
        [1.0, nan]
    """
    above = curves >= level
    place = above.argmax(axis=1)
    rows = np.arange(len(curves))
    before = np.maximum(place - 1, 0)
    low, high = curves[rows, before], curves[rows, place]
    share = np.where(high > low, (level - low) / np.where(high > low, high - low, 1.0), 1.0)
    times = np.log1p(np.asarray(epochs, float))
    reached = np.expm1(times[before] + share * (times[place] - times[before]))
    return np.where(above.any(axis=1), reached, np.nan)


def _planes(found: xr.Dataset) -> dict[str, xr.Dataset]:
    panels = {}
    for depth in found["hidden"].values.tolist():
        plane = found.sel(optimizer="adam", hidden=depth).isel(layer=slice(depth + 1))
        panels[f"{depth} hidden layer{'s' if depth > 1 else ''}"] = plane.assign_coords(
            depth=("layer", np.arange(depth + 1) + 1)
        )
    return panels


def slopes(times: Float[np.ndarray, "depth replica"], depths: np.ndarray) -> Float[np.ndarray, " replica"]:
    """log2 of the time against depth, by least squares, of each replica that arrived at every depth.

    Example:
        >>> slopes(np.array([[80.0, 80.0], [40.0, np.nan], [20.0, 5.0]]), np.array([1, 2, 3])).tolist()
        [-1.0]
    """
    logs = np.log2(times)
    usable = logs[:, np.isfinite(logs).all(axis=0)]
    centred = depths - depths.mean()
    return centred @ usable / (centred @ centred)


def _claims(found: xr.Dataset, wide: xr.Dataset) -> list[Claim]:
    depths = found["hidden"].values.astype(float)
    every: list[Claim] = []
    for optimizer in OPTIMIZERS:
        for quantity, name in QUANTITIES.items():
            times = found[quantity].sel(optimizer=optimizer).transpose("hidden", "replica").values
            arrived = np.isfinite(times).mean(axis=1)
            slope = slopes(times, depths)
            statement = (
                f"each further hidden layer shortens the time to the same {name} ({optimizer}): change of log2(epochs) per "
                f"layer; networks that get there at {', '.join(f'{d:.0f}' for d in depths)} layers: "
                f"{', '.join(f'{share:.0%}' for share in arrived)}"
            )
            judged: Judged = at_most(slope[:, None], 0.0) if len(slope) > 1 else UNKNOWN
            if arrived.min() < ARRIVED and judged["verdict"] == "reproduced":
                judged = {**judged, "verdict": "inconclusive"}  # those that did not get there would have been the slow ones
            every.append(
                Claim(
                    id=f"B-5.{name}.{optimizer}",
                    role="part",
                    statement=statement,
                    reference=(0.0,),
                    units=PER_LAYER,
                    **judged,
                )
            )
    whole = Claim(
        id="B-5",
        role="headline",
        statement="more hidden layers: fewer epochs to the same generalisation, by accuracy and by I(T;Y), with Adam and "
        "with SGD: change of log2(epochs) per layer",
        measured=tuple(claim.measured[0] for claim in every),
        reference=(0.0,) * len(every),
        verdict=verdict_of_all([claim.verdict for claim in every]),
        units=PER_LAYER,
    )
    return [whole, *every, *(_control(found, wide, optimizer) for optimizer in OPTIMIZERS)]


def _control(found: xr.Dataset, wide: xr.Dataset, optimizer: str) -> Claim:
    """More weights without more layers."""
    narrow = found["epochs_to_accuracy"].sel(optimizer=optimizer, hidden=1).values
    broad = wide["epochs_to_accuracy"].sel(optimizer=optimizer).isel(hidden=0).values
    gain = np.log2(broad / narrow)
    gain = gain[np.isfinite(gain)]
    statement = (
        f"one hidden layer of {WIDE[0]} units, as many weights as six layers have, against one of {WIDTHS[0]} "
        f"({optimizer}): change of log2(epochs) to the same accuracy"
    )
    judged = at_most(gain[:, None], 0.0) if len(gain) > 1 else UNKNOWN
    return Claim(id=f"B-5.width.{optimizer}", role="control", statement=statement, units="log2(epochs)", **judged)
