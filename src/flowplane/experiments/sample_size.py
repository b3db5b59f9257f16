"""B-2: trained on few samples, the last layers lose information about the label while they compress (ST, figure 4)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from flowplane.analysis.plane import information_plane
from flowplane.experiments.claim import Claim, agreement, sign
from flowplane.experiments.phases import curves_of, held_out_peaks
from flowplane.experiments.registry import Context, Result
from flowplane.information.binned import Binned
from flowplane.plot import information_planes
from flowplane.tasks import spherical_rule

__all__ = ["run"]

EPOCHS = 4000
FRACTIONS = (0.05, 0.45, 0.85)
REPLICAS = {"quick": 10, "full": 50}
CONTROL_REPLICAS = {"quick": 4, "full": 10}

# PAPERS.md, reference values of part B: 5 % training, 4000 epochs, layer 6
PEAK, END, PEAK_EPOCH, TEST_ACCURACY = 0.59, 0.47, 500, 0.86


def run(context: Context) -> Result:
    """The same networks trained on 5 %, 45 % and 85 % of the patterns, and on 5 % with shuffled labels."""
    task = spherical_rule()
    bins = Binned.published()
    planes, accuracies = [], []
    for fraction in FRACTIONS:
        rec = context.train(f"train-{round(100 * fraction):02d}", task, replicas=REPLICAS[context.scale], epochs=EPOCHS,
                            train_fraction=fraction)  # fmt: skip
        planes.append(information_plane(rec, bins))
        accuracies.append(rec.metrics["test_accuracy"].isel(train_epoch=-1).values.astype(float))
    shuffled = context.train(
        "train-05-shuffled-labels",
        task.shuffled(context.seed),
        replicas=CONTROL_REPLICAS[context.scale],
        epochs=EPOCHS,
        train_fraction=FRACTIONS[0],
    )
    control = information_plane(shuffled, bins)
    together = xr.concat(
        planes, xr.DataArray(list(FRACTIONS), dims="train_fraction", name="train_fraction"), combine_attrs="override"
    )
    panels = {f"{fraction:.0%} for training": plane for fraction, plane in zip(FRACTIONS, planes, strict=True)}
    panels |= {
        f"control: {FRACTIONS[0]:.0%}, labels shuffled": control,
        "control: untrained weights": planes[0].isel(epoch=[0]),
    }
    return Result(
        datasets={"planes": together, "plane-shuffled-labels": control},
        figures={"training-size": information_planes(panels, "Few samples: over-compression loses I(T;Y)")},
        claims=_claims(planes, accuracies[0], control, context.scale),
    )


def label_loss(plane: xr.Dataset) -> np.ndarray:
    """I(T;Y) of the last layer that each replica loses between the peak and the end, (replica, 1), in bits."""
    i_ty = curves_of(plane, "i_ty")[:, :, -1:]
    peaks = held_out_peaks(i_ty)[:, None]
    return np.asarray(np.take_along_axis(i_ty, peaks, axis=1)[:, 0] - i_ty[:, -1])


def _claims(planes: list[xr.Dataset], accuracy: np.ndarray, control: xr.Dataset, scale: str) -> list[Claim]:
    few = planes[0]
    losses = [label_loss(plane) for plane in planes]
    # the claim: few samples lose I(T;Y), and lose more of it than many do
    verdict = sign(np.hstack([losses[0], losses[0] - losses[2]]))[-1]
    measured, interval, _ = sign(np.hstack(losses))
    claims = [
        Claim("B-2", "few samples lose I(T;Y) of layer 6 from its peak; loss at 5 %, 45 %, 85 %", measured, interval,
              None, None, verdict, scale, 0.0, "bits")
    ]  # fmt: skip
    curve = curves_of(few, "i_ty")[:, :, -1]
    peak = int(curve.mean(axis=0).argmax())
    rows = (
        ("B-2.peak", "I(T;Y) of layer 6 at its peak, 5 % training", curve[:, [peak]], PEAK, 0.03, "bits"),
        ("B-2.end", "I(T;Y) of layer 6 at the end, 5 % training", curve[:, [-1]], END, 0.03, "bits"),
        ("B-2.accuracy", "test accuracy at the end, 5 % training", accuracy[:, None], TEST_ACCURACY, 0.01, "fraction"),
    )
    for name, statement, values, reference, wanted, units in rows:
        mean, pairs, tolerance, judged = agreement(values, (reference,), wanted)
        claims.append(Claim(name, statement, mean, pairs, (reference,), tolerance, judged, scale, 0.0, units))
    claims.append(_when(few, curve, peak, scale))
    mean, pairs, judged = sign(label_loss(control))
    statement = "control: the same loss with shuffled labels, 5 % training (the label information is memory only)"
    claims.append(Claim("B-2.shuffled", statement, mean, pairs, None, None, judged, scale, 0.0, "bits"))
    return claims


def _when(few: xr.Dataset, curve: np.ndarray, peak: int, scale: str) -> Claim:
    """The epoch of the peak, with the range over which leave-one-out means place it; within a factor of two it agrees."""
    epochs = few["epoch"].values.astype(float)
    places = epochs[held_out_peaks(curve[:, :, None])[:, 0]]
    found = float(epochs[peak])
    verdict = "reproduced" if PEAK_EPOCH / 2 <= found <= PEAK_EPOCH * 2 else "contradicted"
    if places.max() > 2 * places.min():
        verdict = "inconclusive"
    around = ((float(places.min()), float(places.max())),)
    statement = "epoch at which I(T;Y) of layer 6 peaks, 5 % training"
    reference = (float(PEAK_EPOCH),)
    return Claim("B-2.epoch", statement, (found,), around, reference, reference, verdict, scale, 0.0, "epochs")
