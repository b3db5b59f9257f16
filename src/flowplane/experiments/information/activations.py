"""B-10, by bins alone: which activations compress, trained with Adam and with SGD."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import xarray as xr

from flowplane import plot
from flowplane.analysis.comparison import compare_estimators
from flowplane.cluster import train_or_resume
from flowplane.experiments.claim import Claim
from flowplane.experiments.dynamics.reference import OPTIMIZERS
from flowplane.experiments.information.readings import INVALID, NOT_SEEN, SEEN, readings
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.verdicts import verdict_of_all, with_ends
from flowplane.information.binned import Binned
from flowplane.tasks import spherical_rule

__all__ = ["run"]

#: Units whose outputs are bounded on both sides, so that they can saturate twice.
SATURATING = ("tanh", "sigmoid")
#: Where bins lie: between the bounds of the activation, or of all outputs over training where it has none; equally full
#: ones; or between the bounds of the outputs at each epoch, in which a layer that only grows fills no more bins.
BINS = {"equal": Binned(30), "quantiles": Binned(30, range="quantiles"), "snapshot": Binned(30, range="snapshot")}
#: Networks with less of the test set right have learned next to nothing (half is chance), and decide nothing.
LEARNED = 0.7
#: All the inputs there are: the plug-in estimate is exact for them, whatever their number.
WAIVED = dict.fromkeys(BINS, ("too_few_samples",))


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    activations: tuple[str, ...]
    replicas: int
    snapshots: int
    epochs: int = 8000


SCALES = {
    "quick": Scale(activations=("tanh", "relu", "linear"), replicas=8, snapshots=30),
    "full": Scale(activations=("tanh", "sigmoid", "relu", "linear"), replicas=50, snapshots=60),
    "tiny": Scale(activations=("tanh", "relu"), replicas=3, snapshots=4, epochs=40),
}


def run(context: Context) -> Result:
    """The reference network with four activations, two optimisers and three kinds of bins."""
    scale = SCALES[context.scale]
    study = partial(
        binned_planes,
        replicas=scale.replicas,
        epochs=scale.epochs,
        snapshots=scale.snapshots,
        device=context.device,
        seed=context.seed,
    )
    found = context.sweep("activations", study, {"optimizer": list(OPTIMIZERS), "activation": list(scale.activations)})
    parts = [
        [readings(found.sel(optimizer=optimizer, activation=activation), WAIVED) for activation in scale.activations]
        for optimizer in OPTIMIZERS
    ]
    rows = xr.concat([xr.concat(part, found["activation"]) for part in parts], found["optimizer"])
    figures = {
        f"activations-{optimizer}": plot.information_planes(
            {
                f"{activation}, {bins} bins": found.sel(optimizer=optimizer, activation=activation, estimator=bins)
                for bins in BINS
                for activation in scale.activations
            },
            f"Which activations compress? ({optimizer})",
        )
        for optimizer in OPTIMIZERS
    }
    return Result(datasets={"planes": found, "readings": rows}, figures=figures, claims=_claims(rows, found))


def binned_planes(
    path: Path, optimizer: str, activation: str, *, replicas: int, epochs: int, snapshots: int, device: str, seed: int
) -> xr.Dataset:
    """The information planes of one ensemble over `estimator`, a kind of bins each."""
    rec = train_or_resume(
        spherical_rule(),
        path,
        optimizer=optimizer,
        activation=activation,
        replicas=replicas,
        epochs=epochs,
        snapshots=snapshots,
        keep=("weights",),
        device=device,
        seed=seed,
    )
    together = compare_estimators(rec, estimators=BINS)
    together["test_accuracy"] = rec.metrics["test_accuracy"].isel(train_epoch=-1, drop=True)
    return together


def _claims(rows: xr.Dataset, found: xr.Dataset) -> list[Claim]:
    parts = [
        _of_last_hidden(rows, found, optimizer, activation)
        for optimizer in OPTIMIZERS
        for activation in rows["activation"].values.tolist()
    ]
    whole = Claim(
        id="B-10.binned",
        role="part",
        statement="by bins: tanh and sigmoid compress in the last hidden layer, ReLU and linear units do not, with Adam and "
        "with SGD; falls of I(X;T) from its peak, equal bins",
        measured=tuple(claim.measured[0] for claim in parts),
        interval=tuple(claim.interval[0] for claim in parts if claim.interval),
        verdict=verdict_of_all([claim.verdict for claim in parts]),
        units="bits",
    )
    return [whole, *parts]


def _of_last_hidden(rows: xr.Dataset, planes: xr.Dataset, optimizer: str, activation: str) -> Claim:
    """Whether the last hidden layer compresses where it should, or not where it should not, whatever the bins."""
    part = rows.sel(optimizer=optimizer, activation=activation).isel(layer=-2)
    expected, other = (SEEN, NOT_SEEN) if activation in SATURATING else (NOT_SEEN, SEEN)
    read = [str(reading) for reading in part["reading"].values if reading != INVALID]
    accuracy = float(planes["test_accuracy"].sel(optimizer=optimizer, activation=activation).mean())
    verdict = "inconclusive"
    if accuracy >= LEARNED and read and set(read) == {expected}:
        verdict = "reproduced"
    elif accuracy >= LEARNED and other in read and expected not in read:
        verdict = "contradicted"
    will = "compresses" if activation in SATURATING else "does not compress"
    statement = (
        f"the last hidden layer of {activation} networks ({optimizer}) {will}: fall of I(X;T), {', '.join(BINS)} bins "
        f"({', '.join(map(str, part['reading'].values))}); test accuracy {accuracy:.3f}"
    )
    found = with_ends(*(part[name].values for name in ("fall", "fall_lower", "fall_upper")))
    return Claim(
        id=f"B-10.binned.{activation}.{optimizer}", role="part", statement=statement, **found, verdict=verdict, units="bits"
    )
