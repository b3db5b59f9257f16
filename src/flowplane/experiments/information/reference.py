"""The reference ensemble, which several experiments look at: trained once for all of them."""

from __future__ import annotations

from flowplane.experiments.registry import Context
from flowplane.recording import Recording
from flowplane.tasks import spherical_rule

__all__ = ["reference"]

REPLICAS = {"quick": 10, "full": 50}
EPOCHS = {"quick": 3000, "full": 8000}


def reference(context: Context, optimizer: str) -> Recording:
    """12-10-7-5-4-3-2, tanh, 85 % of the patterns, in `recordings` beside the experiments' folders."""
    scale = context.scale
    return context.train_shared(
        f"reference-{optimizer}", spherical_rule(), optimizer=optimizer, replicas=REPLICAS[scale], epochs=EPOCHS[scale]
    )
