"""A8: layers of different width read as transport in a common space: which measures depend on how they are embedded?"""

from __future__ import annotations

import numpy as np
import xarray as xr

from flowplane import plot
from flowplane.experiments.claim import Claim, mean_interval, with_ends
from flowplane.experiments.registry import Context, Result
from flowplane.recording import Recording
from flowplane.tasks import digits
from flowplane.transport import embedding_influence

__all__ = ["run"]

HIDDEN = (32, 16, 8)
EPOCHS = {"quick": 400, "full": 1000}
REPLICAS = {"quick": 4, "full": 10}
SAMPLES = {"quick": 400, "full": 1000}
DRAWS = {"quick": 3, "full": 5}
LEARNING_RATE = 1e-3
#: Kendall's τ below which the layers stand in another order, and above which they stand in the same.
SAME = 0.99
MEASURES = {"cost": "displacement", "wasserstein": "W₂", "optimality": "optimality", "turning": "turning angle"}


def run(context: Context) -> Result:
    """Digit classifiers 64-32-16-8-10, before and after training, in every embedding."""
    task, scale = digits(), context.scale
    rec = context.train(
        "tanh",
        task,
        hidden=HIDDEN,
        activation="tanh",
        replicas=REPLICAS[scale],
        epochs=EPOCHS[scale],
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
        claims=influence_claims(after, scale),
    )


def _influence(rec: Recording, inputs: np.ndarray, epoch: int, context: Context) -> xr.Dataset:
    """What `embedding_influence` finds for each network."""
    layers = {name: rec.activations(name).isel(epoch=epoch) for name in rec.layers}
    parts = [
        embedding_influence(
            [inputs, *(layer.isel(replica=k).values for layer in layers.values())],
            draws=DRAWS[context.scale],
            samples=SAMPLES[context.scale],
            seed=context.seed,
        )
        for k in range(REPLICAS[context.scale])
    ]
    return xr.concat(parts, "network", combine_attrs="override")


def influence_claims(found: xr.Dataset, scale: str) -> list[Claim]:
    """For which measures the embedding changes the order of the layers; what it cannot change; what alignment gains.

    Arguments:
        found: from `embedding_influence`, over networks as well.
    """
    others = [name for name in found["embedding"].values.tolist() if name != "pad"]
    claims = []
    for measure, text in MEASURES.items():
        order = found["order"].sel(measure=measure, embedding=others).transpose("network", "embedding").values
        mean, interval, _ = mean_interval(order)
        # τ cannot be above 1: where every network has the same order its interval is a point
        changed = bool((interval[:, 1] < SAME).any())
        verdict = "reproduced" if changed else "contradicted" if (interval[:, 0] >= SAME).all() else "inconclusive"
        statement = (
            f"reported: the embedding changes the order of the layers by {text}: Kendall's τ of {', '.join(others)} with pad"
        )
        numbers, ends = with_ends(mean, interval[:, 0], interval[:, 1])
        claims.append(
            Claim(f"A8.embedding-{measure}", statement, numbers, ends, None, None, verdict, scale, 0.0, "Kendall's τ")
        )
    widest = np.array([float(found["range"].sel(measure=name).mean("network").max()) for name in MEASURES])
    measures = ", ".join(MEASURES.values())
    statement = f"reported: largest less smallest value over the embeddings, as a share of their mean: {measures}"
    claims.insert(
        0,
        Claim(
            "A8.embedding",
            statement,
            tuple(map(float, widest)),
            None,
            None,
            None,
            "reproduced" if (widest > 0.1).all() else "inconclusive",
            scale,
            0.0,
            "1",
        ),
    )
    still = float(found["range"].sel(measure="participation").max())
    statement = "control: no isometry changes the participation ratio of a layer: largest range over the embeddings"
    claims.append(
        Claim(
            "A8.isometry",
            statement,
            (still,),
            None,
            (0.0,),
            (1e-6,),
            "reproduced" if still <= 1e-6 else "contradicted",
            scale,
            0.0,
            "1",
        )
    )
    cost = found["cost"].isel(layer=slice(1, None))
    share = (cost.sel(embedding="procrustes") / cost.sel(embedding="pad")).transpose("network", "layer").values
    mean, interval, _ = mean_interval(share)
    numbers, ends = with_ends(mean, interval[:, 0], interval[:, 1])
    statement = "reported: displacement of aligned layers (procrustes) over that of padded ones, each step"
    claims.append(
        Claim(
            "A8.alignment",
            statement,
            numbers,
            ends,
            None,
            None,
            "reproduced" if (interval[:, 1] < 1).all() else "inconclusive",
            scale,
            0.0,
            "1",
        )
    )
    return claims
