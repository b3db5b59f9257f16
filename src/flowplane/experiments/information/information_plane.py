"""B-1: layers first gain information about the label, then lose information about the input (ST, figures 2 and 3)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.analysis.moving import layer_transport
from flowplane.analysis.phases import gradient_phases
from flowplane.analysis.plane import information_plane
from flowplane.experiments.claim import Claim, agreement, mean_interval, sign
from flowplane.experiments.information.peaks import curves_of, held_out_peaks
from flowplane.experiments.registry import Context, Result
from flowplane.information.binned import Binned
from flowplane.tasks import spherical_rule

__all__ = ["run"]

EPOCHS = 8000
REPLICAS = {"quick": 24, "full": 50}
CONTROL_REPLICAS = {"quick": 4, "full": 10}
#: Layers that compress; the first three keep nearly all of the 12 bits.
DEEP = slice(3, 6)

# docs/papers.md, reference values of part B
START = (12.0, 12.0, 11.5, 9.0, 6.2, 1.6)
PEAK = (9.6, 7.2, 4.0)
END = (12.0, 11.97, 11.53, 8.39, 3.25, 1.43)
LABEL = (0.02, 0.97)
ACCURACY = (0.998, 0.972)


def run(context: Context) -> Result:
    """The reference ensemble read with the published bins, beside untrained networks and shuffled labels."""
    task = spherical_rule()
    rec = context.train("reference", task, replicas=REPLICAS[context.scale], epochs=EPOCHS)
    shuffled = context.train(
        "shuffled-labels", task.shuffled(context.seed), replicas=CONTROL_REPLICAS[context.scale], epochs=EPOCHS
    )
    bins = Binned.published()
    plane, control = information_plane(rec, bins), information_plane(shuffled, bins)
    metrics = rec.metrics.load()
    panels = {"trained": plane, "control: labels shuffled": control, "control: untrained weights": plane.isel(epoch=[0])}
    return Result(
        datasets={
            "plane": plane,
            "plane-shuffled-labels": control,
            "metrics": metrics,
            "gradient-phases": gradient_phases(rec, plane),
            "transport": layer_transport(rec),
        },
        figures={
            "information-plane": plot.information_plane(plane, "Fit first, then compress"),
            "controls": plot.information_planes(panels, "The same networks, and two controls"),
            "training-curves": plot.metrics(metrics, "Training of the reference networks"),
        },
        claims=[
            _headline(plane, context.scale),
            *_against_reference(plane, metrics, context.scale),
            *_controls(control, shuffled.metrics, context.scale),
        ],
    )


def gain_and_loss(plane: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For layers 4–6 of each replica: I(T;Y) gained up to the peak of I(X;T), I(X;T) gained up to it, I(X;T) lost after."""
    i_xt = curves_of(plane, "i_xt")[:, :, DEEP]
    i_ty = curves_of(plane, "i_ty")[:, :, DEEP]
    peaks = held_out_peaks(i_xt)[:, None]
    at_peak = np.take_along_axis(i_xt, peaks, axis=1)[:, 0]
    label = np.take_along_axis(i_ty, peaks, axis=1)[:, 0]
    return label - i_ty[:, 0], at_peak - i_xt[:, 0], at_peak - i_xt[:, -1]


def _headline(plane: xr.Dataset, scale: str) -> Claim:
    fitted, risen, lost = gain_and_loss(plane)
    verdict = sign(np.hstack([fitted, risen, lost]))[-1]
    measured, interval, _ = sign(lost)
    reference = tuple(round(peak - end, 2) for peak, end in zip(PEAK, END[3:], strict=True))
    statement = "fit first, then compress: I(X;T) and I(T;Y) of layers 4–6 rise, then I(X;T) falls; fall from its peak"
    return Claim("B-1", statement, measured, interval, reference, None, verdict, scale, 0.0, "bits")


def _against_reference(plane: xr.Dataset, metrics: xr.Dataset, scale: str) -> list[Claim]:
    i_xt = curves_of(plane, "i_xt")
    i_ty = curves_of(plane, "i_ty")
    deep = i_xt[:, :, DEEP]
    highest = deep.mean(axis=0).argmax(axis=0)
    peaks = np.stack([deep[:, place, k] for k, place in enumerate(highest)], axis=1)
    last = metrics.isel(train_epoch=-1)
    accuracy = np.stack([last["train_accuracy"].values, last["test_accuracy"].values], axis=1).astype(float)
    rows = (
        ("B-1.start", "mean I(X;T) at the start, layers 1–6", i_xt[:, 0], START, 0.3, "bits"),
        ("B-1.peak", "peak of mean I(X;T), layers 4–6", peaks, PEAK, 0.3, "bits"),
        ("B-1.end", "mean I(X;T) at the end, layers 1–6", i_xt[:, -1], END, 0.3, "bits"),
        ("B-1.label", "I(T;Y) of layer 6 at the start and at the end", i_ty[:, [0, -1], -1], LABEL, 0.03, "bits"),
        ("B-1.accuracy", "accuracy at the end, training and test", accuracy, ACCURACY, 0.01, "fraction"),
    )
    claims = []
    for name, statement, values, reference, wanted, units in rows:
        measured, interval, tolerance, verdict = agreement(values, reference, wanted)
        claims.append(Claim(name, statement, measured, interval, reference, tolerance, verdict, scale, 0.0, units))
    return claims


def _controls(control: xr.Dataset, metrics: xr.Dataset, scale: str) -> list[Claim]:
    """What happens when there is nothing to learn: shown, and judged only where the outcome is certain."""
    accuracy = metrics["test_accuracy"].isel(train_epoch=-1).values.astype(float)[:, None]
    mean, interval, error = mean_interval(accuracy)
    # a test accuracy is a mean over 615 samples of which half are right by chance
    chance_error = float(np.hypot(0.5 / np.sqrt(615 * len(accuracy)), np.nan_to_num(error[0])))
    verdict = "reproduced" if abs(mean[0] - 0.5) <= 3 * chance_error else "contradicted"
    pairs = tuple((float(low), float(high)) for low, high in interval)
    statement = "control: with shuffled labels test accuracy stays at chance"
    tolerance = (3 * chance_error,)
    chance = Claim("B-1.control", statement, (float(mean[0]),), pairs, (0.5,), tolerance, verdict, scale, 0.0, "fraction")
    lost = gain_and_loss(control)[2]
    measured, loss_interval, seen = sign(lost)
    statement = "control: fall of I(X;T) from its peak with shuffled labels, layers 4–6 (positive: it compresses too)"
    return [chance, Claim("B-1.shuffled", statement, measured, loss_interval, None, None, seen, scale, 0.0, "bits")]
