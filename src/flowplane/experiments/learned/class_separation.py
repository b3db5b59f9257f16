"""Features by depth: data with classes, what denoising makes of them, and how far it keeps the classes apart (A-5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from flowplane.core.progress import progress_bar
from flowplane.core.streams import EVALUATION, SAMPLES, generator
from flowplane.information.ksg import KSG
from flowplane.information.schema import FLAGS
from flowplane.information.variational import Variational
from flowplane.tasks import digits
from flowplane.transport import class_distances, denoising_flow, fisher_ratio, linear_probe, neighbour_accuracy
from flowplane.transport.densities import Empirical, GaussianMixture, two_moons

__all__ = ["MAPS", "MEASURES", "Data", "Split", "depth_number", "digit_data", "measured", "moon_data", "nearest_points"]

MEASURES = {
    "probe": ("1", "accuracy of a linear probe on held-out points"),
    "neighbours": ("1", "accuracy of 5 nearest neighbours on held-out points"),
    "fisher": ("1", "Fisher ratio of held-out points"),
    "distances": ("1", "mean W₂ between classes over the rms distance within, held-out points"),
    "information": ("bits", "I(T;Y) of held-out points"),
    "information_valid": ("1", "whether the estimate of I(T;Y) has no flag"),
    "moved": ("squared units of x", "E|g(x) − x|² of the training points"),
}
#: The flow; features shrunk isotropically to the same variance; the flow's features with labels dealt out anew.
MAPS = ("flow", "shrunk", "shuffled")
#: Points of a class between which W_2 is taken.
PAIRED = 100
#: Pixels, of size 1, that vary less are constant.
ROUNDING = 1e-9
#: Points from which I(X;Y) of a density is measured.
TRUTH_SAMPLES = 200_000

Array = np.ndarray
Depth = float


class Split(NamedTuple):
    """Training and held-out points with their classes."""

    train: Array
    train_labels: Array
    test: Array
    test_labels: Array


@dataclass(frozen=True)
class Data:
    """A data set that is denoised with noise of total variance `time`, whatever the depth.

    `features` takes points of a split through a number of layers, which may be infinite; `estimate` gives I(T;Y) of
    held-out features in bits and whether it is without a flag."""

    name: str
    time: float
    depths: tuple[Depth, ...]
    splits: tuple[Split, ...]
    features: Callable[[Split, Depth], tuple[Array, Array]]
    estimate: Callable[[Array, Array], tuple[float, bool]]
    #: I(X;Y) in bits where it is known.
    truth: float = float("nan")
    #: Whether the points are atoms, for which infinitely many layers are not a flow.
    bare: bool = False
    #: What one split is.
    drawn: str = "draws"


def depth_number(depth: Depth) -> float:
    """A depth on an axis: infinitely many layers are ∞, the raw data 0."""
    return float(depth)


def measured(sets: Sequence[Data], seed: int) -> xr.Dataset:
    """`MEASURES` of every data set, map, split and depth, NaN where a set has no such depth; 0 is the raw data."""
    depths = sorted({depth_number(depth) for data in sets for depth in (0, *data.depths)})
    most = max(len(data.splits) for data in sets)
    shape = (len(sets), len(MAPS), most, len(depths))
    values = {name: np.full(shape, np.nan) for name in MEASURES}
    places = [(k, s, depth) for k, data in enumerate(sets) for s in range(len(data.splits)) for depth in (0, *data.depths)]
    with progress_bar("features by depth", len(places)) as advance:
        for k, s, depth in places:
            data, split = sets[k], sets[k].splits[s]
            for place, (train, test, labels) in enumerate(_versions(data, split, depth, seed + s)):
                row = _measure(train, labels[0], test, labels[1], seed + s)
                row["moved"] = float(np.square(train - split.train).sum(1).mean())
                if MAPS[place] != "shrunk":  # a change of scale leaves I(T;Y) as it is
                    row["information"], row["information_valid"] = data.estimate(test, labels[1])
                for name, value in row.items():
                    values[name][k, place, s, depths.index(depth_number(depth))] = value
            advance(1)
    dims = ("data", "map", "split", "depth")
    variables: dict[str, Any] = {
        name: (dims, values[name], {"units": units, "long_name": text}) for name, (units, text) in MEASURES.items()
    }
    variables["truth"] = ("data", [data.truth for data in sets], {"units": "bits", "long_name": "I(X;Y)"})
    variables["time"] = ("data", [data.time for data in sets], {"units": "variance of noise", "long_name": "total t"})
    chance = [np.bincount(data.splits[0].test_labels).max() / len(data.splits[0].test_labels) for data in sets]
    variables["chance"] = ("data", chance, {"units": "1", "long_name": "share of the commonest class"})
    bare = ("data", [data.bare for data in sets])
    drawn = ("data", [data.drawn for data in sets])
    coords = {"data": [data.name for data in sets], "map": list(MAPS), "depth": depths, "bare": bare, "drawn": drawn}
    return xr.Dataset(variables, coords)


def _versions(data: Data, split: Split, depth: Depth, seed: int) -> Iterator[tuple[Array, Array, tuple[Array, Array]]]:
    """Training and held-out features and their labels, for each of `MAPS`."""
    labels = (split.train_labels, split.test_labels)
    train, test = (split.train, split.test) if depth == 0 else data.features(split, depth)
    yield train, test, labels
    middle = split.train.mean(0)
    factor = np.sqrt(train.var(0).sum() / split.train.var(0).sum())
    yield middle + factor * (split.train - middle), middle + factor * (split.test - middle), labels
    rng = np.random.default_rng([seed, 17])
    yield train, test, (rng.permutation(labels[0]), rng.permutation(labels[1]))


def _measure(train: Array, train_labels: Array, test: Array, test_labels: Array, seed: int) -> dict[str, float]:
    return {
        "probe": linear_probe(train, train_labels, test=test, test_labels=test_labels),
        "neighbours": neighbour_accuracy(train, train_labels, test=test, test_labels=test_labels),
        "fisher": fisher_ratio(test, test_labels),
        "distances": float(class_distances(test, test_labels, samples=PAIRED, seed=seed)["ratio"]),
    }


def digit_data(time: float, bandwidth: float | None, depths: tuple[Depth, ...], splits: int, seed: int) -> Data:
    """Handwritten digits, 64 grey values in [0, 1]; each split denoises with one half of them and holds the other out.

    Arguments:
        bandwidth: of the density around the training points; None leaves them bare. The limit of bare points is
            `nearest_points`: the first of many layers has so little noise that it takes every point to a training point.
    """
    task = digits()
    pixels, labels = task.inputs.astype(float), task.labels
    halves = []
    for s in range(splits):
        order = np.random.default_rng([seed, s, 5]).permutation(len(task))
        known, held = np.array_split(order, 2)
        halves.append(Split(pixels[known], labels[known], pixels[held], labels[held]))

    def features(split: Split, depth: Depth) -> tuple[Array, Array]:
        if depth == math.inf and bandwidth is None:
            return split.train, nearest_points(split.train, split.test)
        flow = denoising_flow(Empirical(split.train, bandwidth), time, depth)
        return flow(split.train), flow(split.test)

    name = f"digits, {'bare points' if bandwidth is None else f'kernel of variance {bandwidth:g}'}, t = {time:g}"
    return Data(
        name,
        time,
        depths,
        tuple(halves),
        features,
        _classifier(seed),
        bare=bandwidth is None,
        drawn="random halves of the same digits",
    )


def nearest_points(known: Array, points: Array) -> Array:
    """For each point the nearest of the known ones.

    Example:
        >>> nearest_points(np.array([[0.0], [1.0]]), np.array([[0.2], [5.0]]))
        array([[0.],
               [1.]])
    """
    from scipy.spatial import cKDTree

    return known[cKDTree(known).query(points)[1]]


def moon_data(noise: float, part: float, depths: tuple[Depth, ...], splits: int, sizes: tuple[int, int], seed: int) -> Data:
    """Two moons as a density, denoised up to a part of t*; each split draws training and held-out points.

    Arguments:
        sizes: training and held-out points.
    """
    density = two_moons(noise)
    time = part * density.smoothing.least_variance / 2
    moons = _moons(density)
    drawn = []
    for s in range(splits):
        rng = generator(seed, SAMPLES, s)
        labels = rng.integers(0, 2, sum(sizes))
        both = np.stack([moon.sample(sum(sizes), rng) for moon in moons])
        points = both[labels, np.arange(sum(sizes))]
        drawn.append(Split(points[: sizes[0]], labels[: sizes[0]], points[sizes[0] :], labels[sizes[0] :]))

    @cache
    def flow(depth: Depth) -> Any:
        return denoising_flow(density, time, depth)

    def features(split: Split, depth: Depth) -> tuple[Array, Array]:
        return flow(depth)(split.train), flow(depth)(split.test)

    name = f"two moons, noise {noise:g}, t = {part:g} t*"
    return Data(name, time, depths, tuple(drawn), features, _neighbours(seed), _truth(moons, seed))


def _moons(density: GaussianMixture) -> tuple[GaussianMixture, GaussianMixture]:
    """Each moon by itself: the nodes of the first come first."""
    count = len(density.means) // 2
    weights, variance = np.full(count, 1 / count), density.smoothing.least_variance
    first, second = (GaussianMixture(weights, half, variance) for half in np.split(density.means, 2))
    return first, second


def _truth(moons: tuple[GaussianMixture, GaussianMixture], seed: int) -> float:
    """I(X;Y) = 1 − E H(Y|x) in bits, the mean over points of both moons."""
    from scipy.special import entr, expit

    x = np.concatenate([moon.sample(TRUTH_SAMPLES // 2, generator(seed, EVALUATION, k)) for k, moon in enumerate(moons)])
    share = expit(moons[1].log_prob(x) - moons[0].log_prob(x))
    return 1.0 - float((entr(share) + entr(1 - share)).mean() / np.log(2))


def _classifier(seed: int) -> Callable[[Array, Array], tuple[float, bool]]:
    """The classifier's lower bound: in 61 dimensions neighbours and kernels of 900 points are flagged (`too_few_samples`,
    `saturated`). Pixels that are constant, but for rounding, say nothing and are left out."""

    def estimate(features: Array, labels: Array) -> tuple[float, bool]:
        found = Variational("classifier")(features[:, np.ptp(features, axis=0) > ROUNDING], labels, seed=seed)
        return float(found["i_ty"]), _unflagged(found, "ill_conditioned")  # which this estimator says of H(T)

    return estimate


def _neighbours(seed: int) -> Callable[[Array, Array], tuple[float, bool]]:
    """KSG, which suits two dimensions."""

    def estimate(features: Array, labels: Array) -> tuple[float, bool]:
        found = KSG()(features, labels, seed=seed)
        return float(found["i_ty"]), _unflagged(found, "no_inputs")  # which speaks of I(X;T)

    return estimate


def _unflagged(found: xr.Dataset, beside: str) -> bool:
    """No flag, but for one that speaks of another quantity."""
    return int(found["flags"]) & ~FLAGS.bits(beside) == 0
