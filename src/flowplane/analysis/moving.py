"""How each layer of a recording moves its data, epoch by epoch: the transport lens on a network."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
import xarray as xr

from flowplane.analysis.moved import FLAGS, QUANTITIES, missing
from flowplane.analysis.snapshots import (
    AFFINE_FIT,
    AFFINE_SAMPLES,
    CLASS_SAMPLES,
    CLASSES,
    NEIGHBOUR_UNITS,
    NEIGHBOURS,
    Dense,
    Settings,
    Snapshot,
    levels,
)  # fmt: skip
from flowplane.core.points import check_count, check_positive, check_seed
from flowplane.core.progress import progress_bar
from flowplane.errors import InputError, Text, unknown
from flowplane.recording import Recording, require_recording
from flowplane.transport.entropies import covariance_spectrum, spectral_energy, spectral_entropy
from flowplane.transport.widths import EMBEDDINGS

__all__ = ["layer_transport"]

DIMS = ("replica", "epoch", "layer")
#: Snapshots that are looked at where nothing is said.
SNAPSHOTS = 12
#: Of the variance of a unit, the median over all layers and snapshots: the variance that smooths where nothing is said.
SMOOTHING = 0.01
#: Copies of the points in the common space that are held at one time, in bytes a number.
COPIES = 24
FEWEST = 16


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
    """How each layer moves its data: how far, how well, what becomes of volumes and of classes (A1, A5, A7, A8).

    A step goes from a layer to the next that the recording shows; the first starts at the inputs where these are points.
    Layers of different width are embedded in one space (A8); `cost`, W_2, optimality, `turning` and `straightness` depend
    on how, the rest does not. All layers and epochs are seen at the same samples, each of the same weight.

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
        variance, and `affine_fit`, the share that it explains; `flags`, why values are missing, also in words in
        their attribute `missing`. Over (replica, epoch): `straightness` E|x_L − x_0| over the mean length of the paths.
        Over (replica, epoch, layer, other): `cka`, linear, by the unbiased estimate of HSIC. Of the inputs, where they
        are points: `participation_input`, `probe_input`, `fisher_input`, `distances_input`.

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
    rec = rec.sel(
        replica=rec.replicas[:1] if replica is None else replica, epoch=_thinned(rec.epochs) if epochs is None else epochs
    )
    chosen = _chosen(rec, samples, seed, check_count("memory_budget", memory_budget))
    settings = _settings(rec, chosen, embedding, exact, check_count("slices", slices), seed)
    shape = (len(rec.replicas), len(rec.epochs), len(rec.layers))
    snapshots = np.empty(shape[:2], object)
    with progress_bar("following points through layers", shape[0] * shape[1]) as advance:
        for r, e in np.ndindex(shape[:2]):
            layers = [_points(rec, layer, r, e, chosen) for layer in rec.layers]
            snapshots[r, e] = Snapshot(layers, _dense(rec, r, e, settings), settings, 0 if r else exact)
            advance(1)
    found = _assembled(rec, snapshots, settings, variance)
    found.attrs |= {
        "samples": len(chosen), "samples_asked": samples, "snapshots_recorded": recorded, "task": rec.task.name,
    }  # fmt: skip
    return found


def _thinned(epochs: np.ndarray) -> list[int]:
    """At most `SNAPSHOTS` of the recorded epochs, those next to even places in log(epoch + 1), both ends in."""
    ordered = np.sort(epochs)
    if len(ordered) <= SNAPSHOTS:
        return [int(epoch) for epoch in ordered]
    logs = np.log1p(ordered.astype(float))
    places = np.linspace(logs[0], logs[-1], SNAPSHOTS)
    return [int(epoch) for epoch in ordered[np.unique(np.abs(logs - places[:, None]).argmin(1))]]


def _chosen(rec: Recording, samples: int, seed: int, memory_budget: int) -> np.ndarray:
    """The samples that are followed: what is asked for, what there is, and what fits into memory. In the order drawn, so
    that the halves of the probe are random."""
    count = len(rec.task)
    widths = [int(width) for width in rec.layer_coordinates()["width"][1]]
    start = _inputs(rec)
    widths += [] if start is None else [start.shape[1]]
    fitting = memory_budget // (COPIES * len(widths) * max(widths))
    if min(count, fitting) < FEWEST:
        found = Text(f"{count} samples" if count < FEWEST else f"{memory_budget} bytes, enough for {fitting} samples")
        raise InputError("rec" if count < FEWEST else "memory_budget", found, f"{FEWEST} samples or more")
    return np.random.default_rng(seed).permutation(count)[: min(samples, fitting)]


def _inputs(rec: Recording) -> np.ndarray | None:
    return getattr(rec, "input_points", rec.task.inputs)


def _settings(rec: Recording, chosen: np.ndarray, embedding: str, exact: int, slices: int, seed: int) -> Settings:
    start = _inputs(rec)
    labels = None if rec.task.labels is None else np.asarray(rec.task.labels)[chosen]
    return Settings(
        embedding, exact, slices, seed,
        start=None if start is None else np.asarray(start)[chosen],
        labels=None if labels is None or len(np.unique(labels)) < 2 else labels,
        functions=_is_ensemble(rec) and rec.deterministic,
    )  # fmt: skip


def _is_ensemble(rec: Recording) -> bool:
    return getattr(rec, "kind", "ensemble") == "ensemble"


def _points(rec: Recording, layer: str, replica: int, epoch: int, chosen: np.ndarray) -> np.ndarray:
    return np.asarray(rec.activations(layer).isel(replica=replica, epoch=epoch).values[chosen])


def _dense(rec: Recording, replica: int, epoch: int, settings: Settings) -> list[Dense | None]:
    """Weights of the layers whose step is theirs alone: the layer before is shown, or the inputs are."""
    if not _is_ensemble(rec):
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


def _assembled(rec: Recording, snapshots: np.ndarray, settings: Settings, variance: float | None) -> xr.Dataset:
    shape = (*snapshots.shape, len(rec.layers))
    every = list(snapshots.ravel())
    columns = {name: np.stack([one.columns[name] for one in every]).reshape(shape) for name in QUANTITIES}
    flags = np.stack([one.flags for one in every]).reshape(shape)
    spectra = [one.spectra for one in every]
    if variance is None:
        units = np.median([spectrum.mean() for one in spectra for spectrum in one])
        variance = SMOOTHING * float(units) if units > 0 else SMOOTHING
    start = None if settings.start is None else covariance_spectrum(settings.start)
    columns["score_energy"] = np.array([[spectral_energy(s, variance) for s in one] for one in spectra]).reshape(shape)
    columns["entropy_change_smoothed"] = np.array([_changes(one, start, variance) for one in spectra]).reshape(shape)
    parts: dict[str, Any] = {}
    for name, about in QUANTITIES.items():
        why = missing(name, columns[name], flags)
        attrs = {"units": about.units, "long_name": about.long_name} | ({"missing": why} if why else {})
        parts[name] = (DIMS, columns[name], attrs)
    straight = np.array([one.straightness for one in every]).reshape(shape[:2])
    parts["straightness"] = (
        DIMS[:2],
        straight,
        {"units": "1", "long_name": "E|x_L − x_0| over the mean length of the paths"},
    )
    alike = np.stack([one.cka for one in every]).reshape(*shape, shape[-1])
    parts["cka"] = ((*DIMS, "other"), alike, {"units": "1", "long_name": "linear CKA, unbiased HSIC"})
    parts["flags"] = (DIMS, flags, _flag_attrs())
    if settings.start is not None and start is not None:
        for name, value in levels(settings.start, start, settings).items():
            parts[f"{name}_input"] = ((), value, {"units": QUANTITIES[name].units, "long_name": f"{name} of the inputs"})
    coords = {"replica": rec.replicas, "epoch": rec.epochs, **rec.layer_coordinates(), "other": list(rec.layers)}
    return xr.Dataset(parts, coords, _about(rec, settings, variance))


def _changes(spectra: list[np.ndarray], start: np.ndarray | None, variance: float) -> np.ndarray:
    """Of the smoothed Gaussian's entropy, in the space of the widest layer."""
    clouds = spectra if start is None else [start, *spectra]
    widest = max(map(len, clouds))
    levels = [spectral_entropy(np.pad(cloud, (0, widest - len(cloud))), 0, variance) for cloud in clouds]
    return np.diff(levels, prepend=np.nan) if start is None else np.diff(levels)


def _flag_attrs() -> dict[str, Any]:
    masks = np.array([1 << bit for bit in range(len(FLAGS))], np.int32)
    return {"long_name": "why values are missing", "flag_masks": masks, "flag_meanings": " ".join(FLAGS)}


def _about(rec: Recording, settings: Settings, variance: float) -> dict[str, Any]:
    start = "the inputs" if settings.start is not None else "the first layer: the inputs are no points"
    return {
        "embedding": settings.embedding,
        "start": start,
        "exact_samples": settings.exact,
        "slices": settings.slices,
        "seed": settings.seed,
        "smoothing": variance,
        "parameters": json.dumps(
            {"neighbours": NEIGHBOURS, "neighbour_units": NEIGHBOUR_UNITS, "affine_samples_per_unit": AFFINE_SAMPLES,
             "affine_least_fit": AFFINE_FIT, "class_samples": CLASS_SAMPLES, "classes": CLASSES, "probe": "half and half",
             "cka": "linear, unbiased"}
        ),
        "network": getattr(rec, "architecture", None) or "-".join(map(str, rec.network.sizes)),
        "activation": rec.activation if hasattr(rec, "activation") else rec.network.activation,
    }  # fmt: skip
