"""How each layer of a recording moves its data, epoch by epoch: the transport lens on a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr

from flowplane.analysis.transport.dataset import transport_dataset
from flowplane.analysis.transport.keeping import Followed, apart, together
from flowplane.analysis.transport.samples import FEWEST, compacted, drawn_samples
from flowplane.analysis.transport.snapshot import Dense, Settings, Snapshot
from flowplane.core.executors import Executor, Threads, executor_of
from flowplane.core.points import check_count, check_positive, check_seed
from flowplane.core.progress import progress_bar
from flowplane.core.renamed import renamed
from flowplane.core.results import stamp
from flowplane.core.schedule import even_places
from flowplane.errors import unknown
from flowplane.recording import Block, Recording, by_snapshot, require_recording
from flowplane.transport.layers.embedding import EMBEDDINGS
from flowplane.transport.layers.entropies import covariance_spectrum

__all__ = ["layer_transport"]


@renamed
def layer_transport(
    rec: Recording,
    *,
    embedding: str = "pad",
    samples: int = 1000,
    exact: int = 1000,
    exact_snapshots: int | None = None,
    slices: int = 128,
    smoothing: float | None = None,
    replica: Any = None,
    seed: int = 0,
    memory_budget: int = 1 << 30,
    cluster: Any = None,
) -> xr.Dataset:
    """How each layer moves its data: how far, how well, what becomes of volumes and of classes (§A1, §A5, §A7, §A8).

    A step goes from a layer to the next that the recording shows; the first starts at the inputs where these are points.
    Layers of different width are embedded in one space (§A8); `cost`, W_2, optimality, `turning` and `straightness` depend
    on how, the rest does not. All layers and epochs are measured on the same samples, of equal weight. With few points in
    many dimensions the exact optimality says little: each point's own image is the nearest, so it is near 1.

    Entropies are estimates of two kinds. `entropy` is that of the Gaussian with the layer's covariance C: no density of this
    covariance has more. `entropy_neighbours` is that of Kozachenko and Leonenko (k = 4), for 8 units or fewer. Both are NaN
    where they mean nothing, and so is a change between layers of different width. `entropy_change_smoothed` is always
    there: the change of ½ log det(2πe(C + sI)) in the common space; it depends on s. J = tr (C + sI)⁻¹ is the
    least score energy E|∇log p|² of a density with the covariance C + sI, in the layer's own dimension.

    Arguments:
        rec: a recording; select its layers by `rec.sel`, a few of its snapshots by `rec.thin(12)`: each takes its time.
        embedding: "pad", "principal", "procrustes" or "random", as in `flowplane.transport.layer_path`.
        samples: at most this many, drawn by the seed, without regard to p(x); fewer where memory asks for it.
        exact: of these, at most, for exact W_2 and optimality, in the first replica only; 0 for none.
        exact_snapshots: how many snapshots, even in log(1 + epoch), the first and the last among them, have exact W_2 and
            optimality; the others are NaN, flag `other_epoch`. None for all.
        slices: directions of the sliced bounds, as in `flowplane.transport.sliced_measures`.
        smoothing: s, in squared units of x; None is 1 % of the variance of a unit, the median over layers and snapshots.
        replica: as in `rec.sel`; None is the first one: each takes as long again, but for the exact plans.
        seed: of samples, plans, slices and of the embedding "random".
        memory_budget: bytes that the points of one snapshot may take.
        cluster: None for this process; or workers, as for `fp.sweep`: they read the recording where it lies.

    Returns:
        Dataset. Over (replica, epoch, layer): `cost`, `wasserstein`, `optimality` and their lower bounds
        `wasserstein_sliced`, `optimality_sliced`; `turning` in radians; `participation`; `entropy`, `entropy_neighbours`,
        `entropy_change` (of the Gaussian), `entropy_change_neighbours`, `entropy_change_smoothed` in nats; `score_energy`;
        `probe`, the accuracy of a linear probe on the half of the samples that it did not learn from; `fisher`;
        `distances`, the mean W_2 of two classes over their size, as in `flowplane.transport.class_distances`; `log_det`,
        E log|det ∂x_l/∂x_{l−1}| in nats from the weights of an ensemble, for layers as wide as the one before, −∞ where it
        is singular at a sample; `log_det_affine`, that of the best affine map, only where that explains 90 % of the
        variance, and `affine_fit`, the share that it explains; of each its `_flags`, why values are missing or, as
        `low_dimensional` says, mean little, and `flags`. Over (replica, epoch): `straightness`, E|x_L − x_0| over the
        mean length of the paths. Over (replica, epoch, layer, other_layer): `cka`, linear, by the unbiased estimate of HSIC.
        Of the inputs, where they are points: `participation_input`, `probe_input`, `fisher_input`, `distances_input`.
        `…_error` is the standard error of what is taken over points or directions: of `cost`, `turning`, `straightness`,
        of W_2, optimality and their bounds, and of `distances`.

    Raises:
        InputError: not a Recording, fewer than 16 samples in all or in memory, an unknown embedding, a replica that was
            not recorded, or an argument that is not a valid number.

    Example:
        >>> import flowplane as fp
        >>> from flowplane.core.results import Flags
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4, 4), replicas=2, epochs=4, snapshots=3)
        >>> found = fp.layer_transport(rec, samples=200)
        >>> dict(found.cost.sizes), found.cost.units
        ({'replica': 1, 'epoch': 3, 'layer': 3}, 'squared units of x')
        >>> bool((found.optimality_sliced <= found.optimality + 1e-9).all()), Flags.names(found.entropy_change_flags)
        (True, ('width_changes',))
    """
    rec = require_recording(rec)
    if embedding not in EMBEDDINGS:
        raise unknown("embedding", embedding, EMBEDDINGS)
    seed, samples = check_seed(seed), check_count("samples", samples, FEWEST)
    exact = check_count("exact", exact, 2) if exact != 0 else 0
    variance = None if smoothing is None else check_positive("smoothing", smoothing)
    rec = rec.sel(replica=rec.replicas[:1] if replica is None else replica)
    chosen = drawn_samples(rec, samples, embedding, seed, check_count("memory_budget", memory_budget))
    settings = _settings(rec, chosen, embedding, exact, check_count("slices", slices), seed)
    planned = np.ones(len(rec.epochs), bool)
    if exact_snapshots is not None:
        planned[:] = np.isin(
            np.arange(len(planned)), even_places(rec.epochs, check_count("exact_snapshots", exact_snapshots, 2))
        )
    snapshots = np.empty((len(rec.replicas), len(planned)), object)
    with (
        progress_bar("following points through layers", snapshots.size) as advance,
        executor_of(cluster, Threads()) as executor,
    ):
        for r, replica in enumerate(rec.shown.replicas):
            plans = np.where(planned, 0 if r else exact, 0)
            for points in np.unique(plans):
                places = np.flatnonzero(plans == points)
                own = rec.at(np.array([replica]), rec.shown.epochs[places])
                follow = _Follow(chosen, settings, int(points), bool(r))
                snapshots[r, places] = _followed(own, follow, executor, advance)
    return stamp(
        transport_dataset(rec, snapshots, settings, variance),
        "layer_transport",
        seed=seed,
        samples=len(chosen),
        samples_asked=samples,
        exact_samples=min(exact, len(chosen)),
        exact_snapshots=int(planned.sum()) if exact else 0,
        snapshots_recorded=len(rec.whole().epochs),
        **rec.identity,
    )


@dataclass(frozen=True)
class _Follow:
    """What is asked of snapshots of one replica, as `Snapshot` takes it."""

    chosen: np.ndarray
    settings: Settings
    exact: int
    other: bool

    def __call__(self, rec: Recording, epoch: int) -> Snapshot:
        layers = [_points(rec, layer, 0, epoch, self.chosen) for layer in rec.layers]
        return Snapshot(layers, _dense(rec, 0, epoch, self.settings), self.settings, self.exact, self.other)

    @property
    def told(self) -> tuple[Any, ...]:
        """What the numbers depend on besides the recording."""
        asked, settings = len(self.chosen), self.settings
        plans = min(settings.exact, asked), min(self.exact, asked), self.other
        return self.chosen, settings.embedding, *plans, settings.slices, settings.seed


def _followed(rec: Recording, follow: _Follow, executor: Executor, advance: Callable[[float], None]) -> list[Followed]:
    """The snapshots of one replica."""

    def compute(part: Recording, names: Sequence[str]) -> dict[str, Block]:
        found = []
        for snapshot in executor.map(partial(follow, part), range(len(part.epochs))):
            found.append(snapshot)
            advance(1)
        return {names[0]: together(found)}

    return apart(by_snapshot(rec, {"all": ("layer_transport", rec.layers, follow.told)}, compute)["all"])


def _settings(rec: Recording, chosen: np.ndarray, embedding: str, exact: int, slices: int, seed: int) -> Settings:
    start = None if rec.input_points is None else np.asarray(rec.input_points)[chosen]
    none = rec.task.labels is None or rec.targets is not None  # numbers cut into classes are not classes
    labels = None if none else np.asarray(rec.task.labels)[chosen]
    return Settings(
        embedding,
        exact,
        slices,
        seed,
        start=start,
        path_start=None if start is None else compacted(start, max(rec.layer_coordinates()["width"][1])),
        start_spectrum=None if start is None else covariance_spectrum(start),
        labels=None if labels is None or len(np.unique(labels)) < 2 else labels,
        # a model's layers may be reduced, and then they are not functions of each other
        functions=rec.kind == "ensemble" and rec.deterministic,
    )


def _points(rec: Recording, layer: str, replica: int, epoch: int, chosen: np.ndarray) -> np.ndarray:
    return np.asarray(rec.activations(layer).isel(replica=replica, epoch=epoch).values[chosen])


def _dense(rec: Recording, replica: int, epoch: int, settings: Settings) -> list[Dense | None]:
    """Weights of the layers whose step is theirs alone: the layer before is shown, or the inputs are."""
    if rec.kind != "ensemble":
        return [None] * len(rec.layers)
    network = rec.network
    packed = torch.tensor(np.asarray(rec.weights.isel(replica=replica, epoch=epoch).values)[None], device="cpu")
    matrices = [(weight[0].numpy(), bias[0].numpy()) for weight, bias in network.unpack(packed)]
    places = [network.index(layer) for layer in rec.layers]
    known: list[Dense | None] = []
    for place, before in zip(places, [-1, *places[:-1]], strict=True):
        alone = place == before + 1 and (before >= 0 or settings.start is not None)
        known.append((*matrices[place], network.activation_of(network.layers[place])) if alone else None)
    return known
