"""The reference network, trained with both optimizers: once for all the experiments that look at it."""

from __future__ import annotations

from dataclasses import dataclass

from flowplane.experiments.registry import Context
from flowplane.recording import Recording
from flowplane.tasks import spherical_rule

__all__ = ["OPTIMIZERS", "reference"]

#: Adam, which the published code uses, and SGD, which the paper speaks of: claims are put to both.
OPTIMIZERS = ("adam", "sgd")


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    replicas: int
    epochs: int


SCALES = {
    "quick": Scale(replicas=10, epochs=3000),
    "full": Scale(replicas=50, epochs=8000),
    "tiny": Scale(replicas=3, epochs=200),
}


def reference(context: Context, optimizer: str) -> Recording:
    """12-10-7-5-4-3-2, tanh, 85 % of the patterns, in `recordings` beside the experiments' folders."""
    scale = SCALES[context.scale]
    return context.train_shared(
        f"reference-{optimizer}", spherical_rule(), optimizer=optimizer, replicas=scale.replicas, epochs=scale.epochs
    )
