"""B-2: trained on few samples, the last layers lose information about the label while they compress (ST, figure 4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

from flowplane import plot
from flowplane.analysis.plane import information_plane
from flowplane.cluster import train_or_resume
from flowplane.experiments.claim import Claim
from flowplane.experiments.dynamics.reference import OPTIMIZERS
from flowplane.experiments.information.readings import at_peak, curves_of, held_out_peaks
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.verdicts import agreement, means, sign
from flowplane.information.binned import Binned
from flowplane.tasks import spherical_rule

__all__ = ["run"]

FEW, SOME, MANY = 0.05, 0.45, 0.85

# docs/papers.md, reference values of part B: 5 % training, 4000 epochs, layer 6, Adam
PEAK, END, PEAK_EPOCH, TEST_ACCURACY = 0.59, 0.47, 500, 0.86


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    replicas: int
    control_replicas: int
    fractions: tuple[float, ...] = (FEW, SOME, MANY)
    epochs: int = 4000


SCALES = {
    "quick": Scale(replicas=10, control_replicas=4),
    "full": Scale(replicas=50, control_replicas=10, fractions=(FEW, 0.15, 0.25, 0.35, SOME, 0.55, 0.65, 0.75, MANY)),
    "tiny": Scale(replicas=3, control_replicas=2, epochs=40),
}


def run(context: Context) -> Result:
    """The same networks trained on 5 % to 85 % of the patterns, with Adam and SGD; with Adam on 5 % with shuffled labels."""
    scale, task = SCALES[context.scale], spherical_rule()
    study = partial(trained_on, replicas=scale.replicas, epochs=scale.epochs, device=context.device, seed=context.seed)
    found = context.sweep("sizes", study, {"optimizer": list(OPTIMIZERS), "train_fraction": list(scale.fractions)})
    losses = np.stack(
        [
            [label_loss(found.sel(optimizer=optimizer, train_fraction=fraction))[:, 0] for fraction in scale.fractions]
            for optimizer in OPTIMIZERS
        ]
    )
    about = {"units": "bits", "long_name": "I(T;Y) of the softmax lost after its peak"}
    found["label_loss"] = (("optimizer", "train_fraction", "replica"), losses, about)
    shuffled = context.train(
        "train-05-shuffled-labels",
        task.shuffled(context.seed),
        replicas=scale.control_replicas,
        epochs=scale.epochs,
        train_fraction=FEW,
    )
    control = information_plane(shuffled, Binned.published())
    adam = found.sel(optimizer="adam")
    panels = {f"{fraction:.0%} for training": adam.sel(train_fraction=fraction) for fraction in (FEW, SOME, MANY)}
    panels |= {
        f"control: {FEW:.0%}, labels shuffled": control,
        "control: untrained weights": panels[f"{FEW:.0%} for training"].isel(epoch=[0]),
    }
    return Result(
        datasets={"planes": found, "plane-shuffled-labels": control},
        figures={
            "training-size": plot.information_planes(panels, "Few samples: over-compression loses I(T;Y)"),
            "label-loss": plot.sweep(
                found, "label_loss", along="train_fraction", by="optimizer", title="What few samples cost"
            ),
        },
        claims=_claims(found, control),
    )


def trained_on(
    path: Path, optimizer: str, train_fraction: float, *, replicas: int, epochs: int, device: str, seed: int
) -> xr.Dataset:
    """The information plane of an ensemble, and each network's test accuracy at the end."""
    rec = train_or_resume(
        spherical_rule(),
        path,
        optimizer=optimizer,
        train_fraction=train_fraction,
        replicas=replicas,
        epochs=epochs,
        keep=("weights",),
        device=device,
        seed=seed,
    )
    plane = information_plane(rec, Binned.published())[["i_xt", "i_ty", "flags"]]
    plane["test_accuracy"] = rec.metrics["test_accuracy"].isel(train_epoch=-1, drop=True)
    return plane


def label_loss(plane: xr.Dataset) -> np.ndarray:
    """I(T;Y) of the last layer that each replica loses between the peak and the end, (replica, 1), in bits."""
    i_ty = curves_of(plane, "i_ty")[:, :, -1:]
    return np.asarray(at_peak(i_ty)[0] - i_ty[:, -1])


def _claims(found: xr.Dataset, control: xr.Dataset) -> list[Claim]:
    few = found.sel(optimizer="adam", train_fraction=FEW)
    claims = [
        _loses("B-2", "headline", found.sel(optimizer="adam"), "Adam"),
        _loses("B-2.sgd", "part", found.sel(optimizer="sgd"), "SGD"),
    ]
    curve = curves_of(few, "i_ty")[:, :, -1]
    peak = int(curve.mean(axis=0).argmax())
    accuracy = few["test_accuracy"].values.astype(float)
    rows = (
        ("B-2.peak", "I(T;Y) of layer 6 at its peak, 5 % training", curve[:, [peak]], PEAK, 0.03, "bits"),
        ("B-2.end", "I(T;Y) of layer 6 at the end, 5 % training", curve[:, [-1]], END, 0.03, "bits"),
        ("B-2.accuracy", "test accuracy at the end, 5 % training", accuracy[:, None], TEST_ACCURACY, 0.01, "fraction"),
    )
    claims += [
        Claim(id=name, role="part", statement=statement, **agreement(values, (reference,), wanted), units=units)
        for name, statement, values, reference, wanted, units in rows
    ]
    claims.append(_when(few, curve, peak))
    claims += [_falls_with_size(found.sel(optimizer=optimizer), optimizer) for optimizer in OPTIMIZERS]
    claims.append(
        Claim(
            id="B-2.shuffled",
            role="control",
            statement="the same loss with shuffled labels, 5 % training (the label information is memory only)",
            **sign(label_loss(control)),
            units="bits",
        )
    )
    return claims


def _loses(name: str, role: str, found: xr.Dataset, optimizer: str) -> Claim:
    """Few samples lose I(T;Y), and lose more of it than many do."""
    losses = found["label_loss"].sel(train_fraction=[FEW, SOME, MANY]).transpose("replica", "train_fraction").values
    return Claim(
        id=name,
        role=role,
        statement=f"few samples lose I(T;Y) of layer 6 from its peak; loss at 5 %, 45 %, 85 % ({optimizer})",
        **means(losses),
        verdict=sign(np.stack([losses[:, 0], losses[:, 0] - losses[:, 2]], 1))["verdict"],
        units="bits",
    )


def _falls_with_size(found: xr.Dataset, optimizer: str) -> Claim:
    """Over all training sizes, replica by replica."""
    fractions = found["train_fraction"].values
    losses = found["label_loss"].transpose("replica", "train_fraction").values
    ranks = np.array([[-spearmanr(fractions, row)[0] if np.ptp(row) > 0 else 0.0] for row in losses])
    statement = (
        f"the more samples the less is lost ({optimizer}): rank correlation of the loss with the share of samples left out, "
        f"{len(fractions)} sizes from {fractions.min():.0%} to {fractions.max():.0%}"
    )
    return Claim(id=f"B-2.size.{optimizer}", role="part", statement=statement, **sign(ranks), units="1")


def _when(few: xr.Dataset, curve: np.ndarray, peak: int) -> Claim:
    """The epoch of the peak, with the range over which leave-one-out means place it; within a factor of two it agrees."""
    epochs = few["epoch"].values.astype(float)
    places = epochs[held_out_peaks(curve[:, :, None])[:, 0]]
    found = float(epochs[peak])
    verdict = "reproduced" if PEAK_EPOCH / 2 <= found <= PEAK_EPOCH * 2 else "contradicted"
    if places.max() > 2 * places.min():
        verdict = "inconclusive"
    return Claim(
        id="B-2.epoch",
        role="part",
        statement="epoch at which I(T;Y) of layer 6 peaks, 5 % training",
        measured=(found,),
        interval=((float(places.min()), float(places.max())),),
        reference=(float(PEAK_EPOCH),),
        tolerance=(float(PEAK_EPOCH),),
        verdict=verdict,
        units="epochs",
    )
