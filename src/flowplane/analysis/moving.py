"""How each layer of a recording moves its data, epoch by epoch: the transport lens on a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr

from flowplane.analysis.followed import FEWEST, compacted, drawn_samples, thinned
from flowplane.analysis.gathered import transport_dataset
from flowplane.analysis.snapshots import Dense, Settings, Snapshot
from flowplane.core.points import check_count, check_positive, check_seed
from flowplane.core.progress import progress_bar
from flowplane.errors import unknown
from flowplane.recording import Recording, require_recording
from flowplane.transport.layers.embedding import EMBEDDINGS
from flowplane.transport.layers.entropies import covariance_spectrum

__all__ = ["layer_transport"]

#: Snapshots that are looked at where nothing is said.
SNAPSHOTS = 12


def layer_transport(
    rec: Recording,
    *,
    embedding: str = "pad",
    samples: int = 1000,
    exact: int = 1000,
    slices: int = 128,
    smoothing: float | None = None,
    replica: Any = None,
    epochs: Any = None,
    seed: int = 0,
    memory_budget: int = 1 << 30,
) -> xr.Dataset:
    """How each layer moves its data: how far, how well, what becomes of volumes and of classes (§A1, §A5, §A7, §A8).

    A step goes from a layer to the next that the recording shows; the first starts at the inputs where these are points.
    Layers of different width are embedded in one space (§A8); `cost`, W_2, optimality, `turning` and `straightness` depend
    on how, the rest does not. All layers and epochs are seen at the same samples, each of the same weight. Of few points in
    many dimensions the exact optimality says little: each point's own image is the nearest, and it is near 1.

    Entropies are estimates of two kinds. `entropy` is that of the Gaussian with the layer's covariance C: no density of this
    covariance has more. `entropy_neighbours` is that of Kozachenko and Leonenko (k = 4), for 8 units or fewer. Both are NaN
    where they mean nothing, and so is a change between layers of different width. `entropy_change_smoothed` is always
    there: the change of ½ log det(2πe(C + sI)) in the common space; it depends on s. J = tr (C + sI)⁻¹ is the
    least score energy E|∇log p|² of a density with the covariance C + sI, in the layer's own dimension.

    Arguments:
        rec: a recording; select its layers by `rec.sel`.
        embedding: "pad", "principal", "procrustes" or "random", as in `flowplane.transport.layer_path`.
        samples: at most so many, drawn by the seed, without regard to p(x); fewer where memory asks for it.
        exact: of these, at most, for exact W_2 and optimality, in the first replica only; 0 for none.
        slices: directions of the sliced bounds, as in `flowplane.transport.sliced_measures`.
        smoothing: s, in squared units of x; None is 1 % of the variance of a unit, the median over layers and snapshots.
        replica: as in `rec.sel`; None is the first one: each takes as long again, but for the exact plans.
        epochs: as in `rec.sel`; None is at most 12 snapshots, evenly over log(epoch), both ends in; slice(None) is all.
        seed: of samples, plans, slices and of the embedding "random".
        memory_budget: bytes that the points of one snapshot may take.

    Returns:
        Dataset. Over (replica, epoch, layer): `cost`, `wasserstein`, `optimality` and their lower bounds
        `wasserstein_sliced`, `optimality_sliced`; `turning` in radians; `participation`; `entropy`, `entropy_neighbours`,
        `entropy_change` (of the Gaussian), `entropy_change_neighbours`, `entropy_change_smoothed` in nats; `score_energy`;
        `probe`, the accuracy of a linear probe on the half of the samples that it did not learn from; `fisher`;
        `distances`, the mean W_2 of two classes over their size, as in `flowplane.transport.class_distances`; `log_det`,
        E log|det ∂x_l/∂x_{l−1}| in nats from the weights of an ensemble, for layers as wide as the one before, −∞ where it
        is singular at a sample; `log_det_affine`, that of the best affine map, only where that explains 90 % of the
        variance, and `affine_fit`, the share that it explains; `flags`, why values are missing or, as `surface` says, mean
        little; in words in each variable's attribute `missing`. Over (replica, epoch): `straightness`, E|x_L − x_0| over the
        mean length of the paths. Over (replica, epoch, layer, other): `cka`, linear, by the unbiased estimate of HSIC. Of
        the inputs, where they are points: `participation_input`, `probe_input`, `fisher_input`, `distances_input`.

    Raises:
        InputError: not a Recording, fewer than 16 samples in all or in memory, an unknown embedding, a replica or epoch that
            was not recorded, or no number where one is asked for.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4, 4), replicas=2, epochs=4, snapshots=3)
        >>> found = fp.layer_transport(rec, samples=200)
        >>> dict(found.cost.sizes), found.cost.units
        ({'replica': 1, 'epoch': 3, 'layer': 3}, 'squared units of x')
        >>> bool((found.optimality_sliced <= found.optimality + 1e-9).all()), found.entropy_change.missing
        (True, 'the step changes the dimension: volumes do not compare')
    """
    rec = require_recording(rec)
    if embedding not in EMBEDDINGS:
        raise unknown("embedding", embedding, EMBEDDINGS)
    seed, samples = check_seed(seed), check_count("samples", samples, FEWEST)
    exact = check_count("exact", exact, 2) if exact != 0 else 0
    variance = None if smoothing is None else check_positive("smoothing", smoothing)
    recorded = len(rec.epochs)
    shown = thinned(rec.epochs, SNAPSHOTS) if epochs is None else epochs
    rec = rec.sel(replica=rec.replicas[:1] if replica is None else replica, epoch=shown)
    chosen = drawn_samples(rec, samples, embedding, seed, check_count("memory_budget", memory_budget))
    settings = _settings(rec, chosen, embedding, exact, check_count("slices", slices), seed)
    shape = (len(rec.replicas), len(rec.epochs), len(rec.layers))
    snapshots = np.empty(shape[:2], object)
    with progress_bar("following points through layers", shape[0] * shape[1]) as advance:
        for r, e in np.ndindex(shape[:2]):
            layers = [_points(rec, layer, r, e, chosen) for layer in rec.layers]
            snapshots[r, e] = Snapshot(layers, _dense(rec, r, e, settings), settings, 0 if r else exact)
            advance(1)
    found = transport_dataset(rec, snapshots, settings, variance)
    found.attrs |= {
        "samples": len(chosen),
        "samples_asked": samples,
        "exact_samples": min(exact, len(chosen)),
        "snapshots_recorded": recorded,
        "task": rec.task.name,
    }
    return found


def _settings(rec: Recording, chosen: np.ndarray, embedding: str, exact: int, slices: int, seed: int) -> Settings:
    start = None if rec.input_points is None else np.asarray(rec.input_points)[chosen]
    labels = None if rec.task.labels is None else np.asarray(rec.task.labels)[chosen]
    return Settings(
        embedding,
        exact,
        slices,
        seed,
        start=start,
        path_start=None if start is None else compacted(start, max(rec.layer_coordinates()["width"][1])),
        start_spectrum=None if start is None else covariance_spectrum(start),
        labels=None if labels is None or len(np.unique(labels)) < 2 else labels,
        # a model's layers may be reduced, and then they are no functions of each other
        functions=rec.kind == "ensemble" and rec.deterministic,
    )


def _points(rec: Recording, layer: str, replica: int, epoch: int, chosen: np.ndarray) -> np.ndarray:
    return np.asarray(rec.activations(layer).isel(replica=replica, epoch=epoch).values[chosen])


def _dense(rec: Recording, replica: int, epoch: int, settings: Settings) -> list[Dense | None]:
    """Weights of the layers whose step is theirs alone: the layer before is shown, or the inputs are."""
    if rec.kind != "ensemble":
        return [None] * len(rec.layers)
    network = rec.network
    packed = torch.tensor(np.asarray(rec.weights.isel(replica=replica, epoch=epoch).values)[None])
    matrices = [(weight[0].numpy(), bias[0].numpy()) for weight, bias in network.unpack(packed)]
    places = [network.index(layer) for layer in rec.layers]
    known: list[Dense | None] = []
    for place, before in zip(places, [-1, *places[:-1]], strict=True):
        alone = place == before + 1 and (before >= 0 or settings.start is not None)
        known.append((*matrices[place], network.activation_of(network.layers[place])) if alone else None)
    return known
