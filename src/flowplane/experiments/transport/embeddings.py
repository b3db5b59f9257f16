"""X-embedding: layers of different width read as transport in a common space: which measures depend on that (§A8)?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.experiments.claim import Claim
from flowplane.experiments.registry import Context, Result
from flowplane.experiments.verdicts import exactly, mean_and_ends, means
from flowplane.recording import Recording
from flowplane.tasks import digits
from flowplane.transport import embedding_influence

__all__ = ["run"]

HIDDEN = (32, 16, 8)
LEARNING_RATE = 1e-3
#: Kendall's τ below which the layers stand in another order, and above which they stand in the same.
SAME = 0.99
MEASURES = {"cost": "displacement", "wasserstein": "W₂", "optimality": "optimality", "turning": "turning angle"}


@dataclass(frozen=True)
class Scale:
    """What differs from scale to scale."""

    replicas: int
    epochs: int
    samples: int
    #: Random turns.
    draws: int


SCALES = {
    "quick": Scale(replicas=4, epochs=400, samples=400, draws=3),
    "full": Scale(replicas=10, epochs=1000, samples=1000, draws=5),
    "tiny": Scale(replicas=2, epochs=20, samples=50, draws=3),
}


def run(context: Context) -> Result:
    """Digit classifiers 64-32-16-8-10, before and after training, in every embedding."""
    task, scale = digits(), SCALES[context.scale]
    rec = context.train(
        "tanh",
        task,
        hidden=HIDDEN,
        activation="tanh",
        replicas=scale.replicas,
        epochs=scale.epochs,
        snapshots=2,
        batch_size=128,
        learning_rate=LEARNING_RATE,
    )
    before, after = (_influence(rec, task.inputs, epoch, context) for epoch in (0, -1))
    together = xr.concat([before, after], xr.Variable("epoch", rec.epochs[[0, -1]]), combine_attrs="override")
    return Result(
        datasets={"embeddings": together},
        figures={
            "embeddings": plot.embedding_influence(after, "Layers of trained digit classifiers in a common space"),
            "embeddings-untrained": plot.embedding_influence(
                before, "Layers of untrained digit classifiers in a common space"
            ),
        },
        claims=influence_claims(after),
    )


def _influence(rec: Recording, inputs: np.ndarray, epoch: int, context: Context) -> xr.Dataset:
    """What `embedding_influence` finds for each network."""
    scale = SCALES[context.scale]
    layers = {name: rec.activations(name).isel(epoch=epoch) for name in rec.layers}
    parts = [
        embedding_influence(
            [inputs, *(layer.isel(replica=k).values for layer in layers.values())],
            draws=scale.draws,
            samples=scale.samples,
            seed=context.seed,
        )
        for k in range(scale.replicas)
    ]
    return xr.concat(parts, "network", combine_attrs="override")


def influence_claims(found: xr.Dataset) -> list[Claim]:
    """For which measures the embedding changes the order of the layers; what it cannot change; what alignment gains.

    Arguments:
        found: from `embedding_influence`, over networks as well.
    """
    widest = [float(found["range"].sel(measure=name).mean("network").max()) for name in MEASURES]
    cost = found["cost"].isel(layer=slice(1, None))
    share = (cost.sel(embedding="procrustes") / cost.sel(embedding="pad")).transpose("network", "layer").values
    return [
        Claim(
            id="X-embedding",
            role="reported",
            statement="largest less smallest value over the embeddings, as a share of their mean: "
            + ", ".join(MEASURES.values()),
            measured=tuple(widest),
            verdict="reproduced" if min(widest) > 0.1 else "inconclusive",
            units="1",
        ),
        *(_order_claim(found, measure) for measure in MEASURES),
        Claim(
            id="X-embedding.isometry",
            role="control",
            statement="no isometry changes the participation ratio of a layer: largest range over the embeddings",
            **exactly([float(found["range"].sel(measure="participation").max())], [0.0], 1e-6),
            units="1",
        ),
        Claim(
            id="X-embedding.alignment",
            role="reported",
            statement="displacement of aligned layers (procrustes) over that of padded ones, each step",
            **means(share),
            verdict="reproduced" if (mean_and_ends(share)[2] < 1).all() else "inconclusive",
            units="1",
        ),
    ]


def _order_claim(found: xr.Dataset, measure: str) -> Claim:
    """Whether layers stand in another order by a measure than with zero padding."""
    others = [name for name in found["embedding"].values.tolist() if name != "pad"]
    order = found["order"].sel(measure=measure, embedding=others).transpose("network", "embedding").values
    # τ cannot be above 1: where every network has the same order its interval is a point
    _, lower, upper = mean_and_ends(order)
    changed = bool((upper < SAME).any())
    return Claim(
        id=f"X-embedding.{measure}",
        role="reported",
        statement=f"the embedding changes the order of the layers by {MEASURES[measure]}: Kendall's τ of "
        f"{', '.join(others)} with pad",
        **means(order),
        verdict="reproduced" if changed else "contradicted" if (lower >= SAME).all() else "inconclusive",
        units="Kendall's τ",
    )
