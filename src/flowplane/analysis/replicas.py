"""How far the replicas of a recording are from each other: in their weights, in the plane, in their answers."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int

from flowplane.analysis.reading import own_plane
from flowplane.core import streams
from flowplane.core.network import Network
from flowplane.core.points import check_count, check_seed
from flowplane.core.progress import progress_bar
from flowplane.core.results import stamp
from flowplane.dynamics.alignment import align, centred, weight_distance
from flowplane.errors import InputError, Text
from flowplane.recording import Recording, computed_once, require_recording

__all__ = ["replica_spread"]

#: Pairs that are compared by default.
PAIRS = 200

Layers = list[tuple[np.ndarray, np.ndarray]]


@computed_once
def replica_spread(
    rec: Recording,
    plane: xr.Dataset | None = None,
    *,
    epoch: int | None = None,
    starts: int = 4,
    seed: int = 0,
    pairs: int | None = None,
) -> xr.Dataset:
    """The distance between the weights of replicas up to permutation and sign of hidden units, beside their spread in the
    information plane (B-8).

    Distances are ‖a − b‖ / √((‖a‖² + ‖b‖²)/2), √2 for orthogonal weights. The units of each second network are matched to
    those of the first by `flowplane.dynamics.alignment.align`, which finds similar units even in unrelated networks. The
    control is what it finds there: independent initial weights and, as initial biases are zero, biases of random direction,
    each with the norm that the trained network has in that layer. The mean over classes of the last weights and biases,
    which the softmax does not see, is removed first.

    Arguments:
        rec: of two replicas or more. Distances are those of whole networks; other results show the layers that `rec` does.
        plane: its information plane; as `fp.information_plane` reads it at the two epochs if None.
        epoch: a recorded one; the last if None. It is compared with the first one.
        starts: of each alignment.
        seed: of the control, of random starts and of the choice of pairs.
        pairs: at most this many, drawn at random where there are more; 200 if None.

    Returns:
        Dataset: `distance`, `distance_unaligned`, `distance_random` (pair), each with `_layer` (pair, layer), 1 being the
        norm of one network; `agreement`, the share p(x) of the inputs that the two networks put in the same class (pair);
        `spread_xt` and `spread_ty`, the standard deviation of I(X;T) and I(T;Y) over the replicas in bits, and
        `relative_xt`, `relative_ty`, their shares of H(X) and I(X;Y) (H(Y) for hard labels) (epoch, layer). `first` and
        `second` number the replicas of each pair.

    Raises:
        InputError: not a Recording, one without weights, one replica, an epoch that was not recorded or is the first one,
            or a plane of another recording.

    Example:
        >>> import flowplane as fp
        >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=3, epochs=4, snapshots=3)
        >>> found = fp.replica_spread(rec)
        >>> dict(found.distance_layer.sizes), dict(found.spread_xt.sizes), found.spread_xt.units
        ({'pair': 3, 'layer': 2}, {'epoch': 2, 'layer': 2}, 'bits')
        >>> bool((found.distance <= found.distance_unaligned).all())
        True
    """
    rec = require_recording(rec)
    starts, seed = check_count("starts", starts), check_seed(seed)
    most = PAIRS if pairs is None else check_count("pairs", pairs)
    if len(rec.replicas) < 2:
        raise InputError("rec", Text("one replica"), "a recording that shows two replicas or more")
    start = int(rec.epochs.min())
    shown = rec.sel(epoch=int(rec.epochs.max()) if epoch is None else epoch)
    last = int(shown.epochs[0])
    if last == start or len(shown.epochs) != 1:
        raise InputError("epoch", Text(f"{shown.epochs.tolist()}"), f"one recorded epoch after the first, which is {start}")
    chosen = _pairs(len(rec.replicas), most, seed)
    found = _distances(rec, np.asarray(shown.weights.values)[:, 0], chosen, starts, seed)
    found["agreement"] = ("pair", _agreement(rec, last, chosen), {"units": "fraction", "long_name": "same class"})
    found = found.merge(_spread(rec.sel(epoch=[start, last]), plane), combine_attrs="no_conflicts")
    found.attrs |= {"epoch": last, "starts": starts, "pairs_possible": len(rec.replicas) * (len(rec.replicas) - 1) // 2}
    labels = {name: ("pair", rec.replicas[chosen[:, k]]) for k, name in enumerate(("first", "second"))}
    found = found.assign_coords({**labels, **rec.layer_coordinates()})
    return stamp(found, "replica_spread", seed=seed, **rec.identity)


def _pairs(replicas: int, most: int, seed: int) -> Int[np.ndarray, "pair two"]:
    every = np.array(list(combinations(range(replicas), 2)))
    if len(every) <= most:
        return every
    return every[np.sort(np.random.default_rng(seed).choice(len(every), most, replace=False))]


def _distances(rec: Recording, weights: np.ndarray, pairs: np.ndarray, starts: int, seed: int) -> xr.Dataset:
    """Trained networks as they stand and aligned, and unrelated ones aligned."""
    network = rec.network
    trained = [_layers(network, packed) for packed in weights]
    random = [_unrelated(network, layers, seed, k) for k, layers in enumerate(trained)]
    names = ("distance", "distance_unaligned", "distance_random")
    whole = {name: np.empty(len(pairs)) for name in names}
    layered = {name: np.empty((len(pairs), len(network.layers))) for name in names}
    with progress_bar("matching units", len(pairs)) as advance:
        for place, (i, j) in enumerate(pairs.tolist()):
            for name, nets in (("distance", trained), ("distance_random", random)):
                moved = align(nets[i], nets[j], network.activation, starts=starts, seed=seed)(nets[j])
                whole[name][place], layered[name][place] = weight_distance(nets[i], moved)
            name = "distance_unaligned"
            whole[name][place], layered[name][place] = weight_distance(trained[i], trained[j])
            advance(1)
    shown = [network.index(layer) for layer in rec.layers]
    about = {"units": "norms of one network"}
    parts: dict[str, Any] = {name: ("pair", values, about) for name, values in whole.items()}
    parts |= {f"{name}_layer": (("pair", "layer"), values[:, shown], about) for name, values in layered.items()}
    return xr.Dataset(parts)


def _layers(network: Network, packed: Float[np.ndarray, " parameter"]) -> Layers:
    views = network.unpack(torch.from_numpy(packed.astype(np.float64)))
    return centred([(weight.numpy(), bias.numpy()) for weight, bias in views])


def _unrelated(network: Network, trained: Layers, seed: int, replica: int) -> Layers:
    """Initial weights and random biases, with the trained network's norms in each layer."""
    fresh = _layers(network, network.initial_weights(seed, replica))
    directions = []
    for k, (weight, bias) in enumerate(fresh):
        drawn = streams.generator(seed, replica, streams.DRAWS, k).standard_normal(bias.shape)
        directions.append((weight, drawn))
    return [
        (_of_norm(weight, ours), _of_norm(bias, mine))
        for (weight, bias), (ours, mine) in zip(centred(directions), trained, strict=True)
    ]


def _of_norm(direction: np.ndarray, like: np.ndarray) -> np.ndarray:
    size = np.linalg.norm(direction)
    return direction * (np.linalg.norm(like) / size if size > 0 else 0.0)


def _agreement(rec: Recording, epoch: int, pairs: np.ndarray) -> Float[np.ndarray, " pair"]:
    last = rec.network.layers[-1]
    whole = rec.whole()
    outputs = [whole.sel(replica=replica, epoch=epoch).activations(last).values[0, 0] for replica in rec.replicas.tolist()]
    classes = np.stack([output.argmax(axis=-1) for output in outputs])
    return np.asarray((classes[pairs[:, 0]] == classes[pairs[:, 1]]) @ rec.task.probability)


def _spread(rec: Recording, plane: xr.Dataset | None) -> xr.Dataset:
    points = own_plane(rec, plane, ("i_xt", "i_ty"))
    found = xr.Dataset(attrs=points.attrs)
    for name, ceiling, label in (("xt", rec.task.input_entropy, "I(X;T)"), ("ty", rec.task.information, "I(T;Y)")):
        spread = points[f"i_{name}"].astype(np.float64).std("replica", ddof=1, skipna=False)
        found[f"spread_{name}"] = spread.assign_attrs(units="bits", long_name=f"standard deviation of {label}")
        relative = (spread / ceiling).assign_attrs(units="fraction", long_name=f"spread of {label}, share of its range")
        found[f"relative_{name}"] = relative
    return found
