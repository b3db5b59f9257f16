"""B-10 on a task people know: ReLU and tanh classifiers of handwritten digits, read by every estimator."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from flowplane import plot
from flowplane.experiments.claim import Claim
from flowplane.experiments.information.readings import (
    ENOUGH_ROWS,
    NOT_SEEN,
    SEEN,
    counted,
    every_reader,
    for_training,
    of_shannon,
    read_by_all,
    readings,
)
from flowplane.experiments.registry import Context, Result
from flowplane.tasks import digits

__all__ = ["run"]

ACTIVATIONS = ("tanh", "relu")
HIDDEN = (32, 16, 8)
LEARNING_RATE = 1e-3
#: Variance of the noise that is the channel: with less, nearly each of the 1797 digits stands alone in the wider layers.
CHANNEL = 0.25


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale, besides `readings.SCALES`."""

    replicas: int
    epochs: int
    snapshots: int


SCALES = {
    "quick": Scale(replicas=2, epochs=400, snapshots=5),
    "full": Scale(replicas=5, epochs=2000, snapshots=10),
    "tiny": Scale(replicas=2, epochs=20, snapshots=3),
}


def run(context: Context) -> Result:
    """64-32-16-8-10 networks, all 1797 digits as the probe."""
    task, scale = digits(), SCALES[context.scale]
    chosen = every_reader(context.scale, CHANNEL)
    tables, rows, metrics = {}, {}, {}
    for activation in ACTIVATIONS:
        rec = context.train(
            activation,
            task,
            hidden=HIDDEN,
            activation=activation,
            replicas=scale.replicas,
            epochs=scale.epochs,
            snapshots=scale.snapshots,
            batch_size=128,
            learning_rate=LEARNING_RATE,
        )
        tables[activation] = read_by_all(rec, chosen, few={"Variational": for_training(rec, context.scale)})
        rows[activation] = readings(tables[activation])
        metrics[activation] = rec.metrics.load()
    together = xr.concat(list(tables.values()), xr.Variable("network", list(tables)), combine_attrs="override")
    verdicts = xr.concat(list(rows.values()), xr.Variable("network", list(rows)))
    return Result(
        datasets={"planes": together, "readings": verdicts},
        figures={
            "digits": plot.estimator_curves(together, "Digits: I(X;T) of each layer, read by every estimator"),
            "digits-labels": plot.estimator_curves(together, "Digits: I(T;Y) of each layer", quantity="i_ty"),
            **{f"training-{name}": plot.metrics(metrics[name], f"Digits, {name}") for name in ACTIVATIONS},
        },
        claims=[_claim(name, rows[name], metrics[name]) for name in ACTIVATIONS],
    )


def _claim(activation: str, rows: xr.Dataset, metrics: xr.Dataset) -> Claim:
    """Whether the estimators that can be believed agree that hidden layers compress, or that they do not."""
    found = counted(of_shannon(rows.isel(layer=slice(0, -1))))
    decided = found[SEEN] + found[NOT_SEEN]
    verdict = "inconclusive"
    if decided >= ENOUGH_ROWS:
        share = found[SEEN] / decided
        verdict = "reproduced" if share >= 0.8 else "contradicted" if share <= 0.2 else "inconclusive"
    accuracy = float(metrics["test_accuracy"].isel(train_epoch=-1).mean())
    statement = (
        f"hidden {activation} layers compress on digits (test accuracy {accuracy:.3f}): layers and estimators: "
        f"{', '.join(found)}"
    )
    return Claim(
        id=f"B-10.digits-{activation}",
        role="part",
        statement=statement,
        measured=tuple(map(float, found.values())),
        verdict=verdict,
        units="rows",
    )
