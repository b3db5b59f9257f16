"""B-1: layers first gain information about the label, then lose information about the input (ST, figures 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.analysis.phases import gradient_phases
from flowplane.analysis.plane import information_plane
from flowplane.analysis.transport.layers import layer_transport
from flowplane.experiments.claim import Claim
from flowplane.experiments.information.readings import at_peak, curves_of
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.verdicts import agreement, means, sign
from flowplane.information.binned import Binned
from flowplane.tasks import spherical_rule

__all__ = ["run"]

#: Layers that compress; the first three keep nearly all of the 12 bits.
DEEP = slice(3, 6)

# docs/papers.md, reference values of part B
START = (12.0, 12.0, 11.5, 9.0, 6.2, 1.6)
PEAK = (9.6, 7.2, 4.0)
END = (12.0, 11.97, 11.53, 8.39, 3.25, 1.43)
LABEL = (0.02, 0.97)
ACCURACY = (0.998, 0.972)


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    replicas: int
    control_replicas: int
    epochs: int = 8000
    #: Samples that are followed through the layers.
    followed: int = 1000


SCALES = {
    "quick": Scale(replicas=24, control_replicas=4),
    "full": Scale(replicas=50, control_replicas=10),
    "tiny": Scale(replicas=3, control_replicas=2, epochs=40, followed=60),
}


def run(context: Context) -> Result:
    """The reference ensemble read with the published bins, beside untrained networks and shuffled labels."""
    task, scale = spherical_rule(), SCALES[context.scale]
    rec = context.train("reference", task, replicas=scale.replicas, epochs=scale.epochs)
    shuffled = context.train(
        "shuffled-labels", task.shuffled(context.seed), replicas=scale.control_replicas, epochs=scale.epochs
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
            "transport": layer_transport(rec.thin(12), samples=scale.followed),
        },
        figures={
            "information-plane": plot.information_plane(plane, "Fit first, then compress"),
            "controls": plot.information_planes(panels, "The same networks, and two controls"),
            "training-curves": plot.metrics(metrics, "Training of the reference networks"),
        },
        claims=[_headline(plane), *_against_reference(plane, metrics), *_controls(control, shuffled.metrics)],
    )


def gain_and_loss(plane: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For layers 4–6 of each replica: I(T;Y) gained up to the peak of I(X;T), I(X;T) gained up to it, I(X;T) lost after."""
    i_xt = curves_of(plane, "i_xt")[:, :, DEEP]
    i_ty = curves_of(plane, "i_ty")[:, :, DEEP]
    highest, label = at_peak(i_xt, i_ty)
    return label - i_ty[:, 0], highest - i_xt[:, 0], highest - i_xt[:, -1]


def _headline(plane: xr.Dataset) -> Claim:
    fitted, risen, lost = gain_and_loss(plane)
    return Claim(
        id="B-1",
        role="headline",
        statement="fit first, then compress: I(X;T) and I(T;Y) of layers 4–6 rise, then I(X;T) falls; fall from its peak",
        **means(lost),
        reference=tuple(round(peak - end, 2) for peak, end in zip(PEAK, END[3:], strict=True)),
        verdict=sign(np.hstack([fitted, risen, lost]))["verdict"],
        units="bits",
    )


def _against_reference(plane: xr.Dataset, metrics: xr.Dataset) -> list[Claim]:
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
    return [
        Claim(id=name, role="part", statement=statement, **agreement(values, reference, wanted), units=units)
        for name, statement, values, reference, wanted, units in rows
    ]


def _controls(control: xr.Dataset, metrics: xr.Dataset) -> list[Claim]:
    """What happens when there is nothing to learn: shown, and judged only where the outcome is certain."""
    accuracy = metrics["test_accuracy"].isel(train_epoch=-1).values.astype(float)[:, None]
    error = float(accuracy.std(ddof=1) / np.sqrt(len(accuracy))) if len(accuracy) > 1 else 0.0
    # a test accuracy is a mean over 615 samples of which half are right by chance
    reach = 3 * float(np.hypot(0.5 / np.sqrt(615 * len(accuracy)), error))
    return [
        Claim(
            id="B-1.control",
            role="control",
            statement="with shuffled labels test accuracy stays at chance",
            **means(accuracy),
            reference=(0.5,),
            tolerance=(reach,),
            verdict="reproduced" if abs(accuracy.mean() - 0.5) <= reach else "contradicted",
            units="fraction",
        ),
        Claim(
            id="B-1.shuffled",
            role="control",
            statement="fall of I(X;T) from its peak with shuffled labels, layers 4–6 (positive: it compresses too)",
            **sign(gain_and_loss(control)[2]),
            units="bits",
        ),
    ]
