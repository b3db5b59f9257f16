"""How far features keep classes apart, in moments and in distances: the Fisher ratio and W_2 between classes (A-5)."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core.arrays import as_numbers, as_tensor, batch_dims, require_finite
from flowplane.core.points import Form, check_count, check_seed
from flowplane.core.results import stamp
from flowplane.core.streams import SUBSETS, generator
from flowplane.errors import InputError, Text
from flowplane.transport.profiles.optimal import exact_plans

__all__ = ["as_classes", "as_features", "class_distances", "fisher_ratio", "given_back", "mean_class_distance"]


def fisher_ratio(x: Any, labels: Any) -> Any:
    """tr S_between / tr S_within, the variance of the classes' means over the variance within classes (A-5).

    S_between = Σ_c (n_c/n)(μ_c − μ)(μ_c − μ)ᵀ and S_within = Σ_c (n_c/n) Cov_c add up to the covariance. The ratio is the
    same after a shift, a rotation or a change of scale; features that are constant add nothing. Classes that have each
    shrunk to a point of their own have the ratio ∞, features that are all constant have none: NaN.

    Arguments:
        x: features, (*batch, sample, unit).
        labels: classes, (sample,), whole numbers.

    Returns:
        One number for each batch member, without unit: a float where there is no batch dimension, otherwise in the kind of
            x.

    Raises:
        InputError: NaN, no samples, one class only, or another number of labels than of samples.

    Example:
        >>> fisher_ratio([[0.0], [2.0], [10.0], [12.0]], [0, 0, 1, 1])
        25.0
        >>> fisher_ratio([[0.0], [0.0], [1.0], [1.0]], [0, 0, 1, 1]), fisher_ratio(np.ones((4, 1)), [0, 0, 1, 1])
        (inf, nan)
    """
    values, form = as_features("x", x)
    classes, _ = as_classes("labels", labels, values.shape[-2])
    # squares of very large or small numbers are beyond what float64 holds; by a power of two nothing is rounded
    power = torch.frexp(values.abs().amax((-2, -1), keepdim=True)).exponent.double()
    scaled = values * 2.0 ** (-power)
    between, within = _scatters(scaled, classes.to(values.device))
    return given_back(between / within, form)


def class_distances(x: Any, labels: Any, *, samples: int = 200, seed: Any = 0) -> xr.Dataset:
    """W_2 between the points of every two classes, exact, and how it compares with the size of the classes (§A7, A-5).

    The ratio is the mean of W_2 over pairs of classes, divided by the root mean square distance between two points of one
    class, √(2 tr S_within). It is the same after a shift, a rotation or a change of scale. In many dimensions W_2 between
    few points is too large: clouds of one and the same class are apart as well, so compare equal numbers of points only.

    Arguments:
        x: features, (*batch, sample, unit).
        labels: classes, (sample,), whole numbers.
        samples: points of a class, at most, between which the distance is taken; the same ones in every batch member.
        seed: of the points that are taken where a class has more.

    Returns:
        A Dataset: `wasserstein` (*batch, class, other), units of x, symmetric; `within` (*batch), √(2 tr S_within) over all
        samples, units of x; `ratio` (*batch), without unit, ∞ where every class is a single place and NaN where all points
        are the same. `wasserstein_error` and `ratio_error` are standard errors over the points that are taken.

    Raises:
        InputError: NaN, no samples, one class only, another number of labels than of samples, samples below 1.

    Example:
        >>> found = class_distances([[0.0], [2.0], [10.0], [12.0]], [0, 0, 1, 1])
        >>> float(found["wasserstein"][0, 1]), float(found["within"].round(3)), float(found["ratio"].round(3))
        (10.0, 1.414, 7.071)
    """
    seed = check_seed(seed)
    found = _between(x, labels, samples, seed)
    batch, names = found.batch, found.names
    dims, coords = batch_dims(x, len(batch))
    length, wide = {"units": "units of x"}, (*batch, len(names), len(names))
    between, title = (*dims, "class", "other"), "mean W_2 over rms distance within classes"
    dataset = xr.Dataset(
        {
            "wasserstein": (between, found.distances.reshape(wide), length | {"long_name": "W_2 of two classes"}),
            "wasserstein_error": (
                between,
                found.errors.reshape(wide),
                length | {"long_name": "standard error of wasserstein"},
            ),
            "within": (dims, found.size.reshape(batch), length | {"long_name": "rms distance within classes"}),
            "ratio": (dims, found.ratio.reshape(batch), {"units": "1", "long_name": title}),
            "ratio_error": (dims, found.ratio_error.reshape(batch), {"units": "1", "long_name": "standard error of ratio"}),
        },
        coords | {"class": names, "other": names},
        {"samples": check_count("samples", samples)},
    )
    return stamp(dataset, "class_distances", seed=seed)


def mean_class_distance(x: Any, labels: Any, *, samples: int = 200, seed: Any = 0) -> tuple[float, float]:
    """`ratio` of `class_distances` and its standard error, of one layer (sample, unit)."""
    found = _between(x, labels, samples, seed)
    return float(found.ratio[0]), float(found.ratio_error[0])


class _Between(NamedTuple):
    """What `class_distances` finds, batch members in a row, and the shape of the batch and the classes' names."""

    distances: np.ndarray
    errors: np.ndarray
    size: np.ndarray
    ratio: np.ndarray
    ratio_error: np.ndarray
    batch: tuple[int, ...]
    names: np.ndarray


def _between(x: Any, labels: Any, samples: int, seed: Any) -> _Between:
    values, _ = as_features("x", x)
    classes, names = as_classes("labels", labels, values.shape[-2])
    samples, rng = check_count("samples", samples), generator(check_seed(seed), SUBSETS)
    rows = [np.flatnonzero(classes.numpy() == k) for k in range(len(names))]
    rows = [row if len(row) <= samples else np.sort(rng.choice(row, samples, replace=False)) for row in rows]
    batch = values.shape[:-2]
    clouds = values.reshape(-1, *values.shape[-2:]).cpu().numpy()
    found = [_distances([cloud[row] for row in rows]) for cloud in clouds]
    distances, errors = (np.stack([part[k] for part in found]) for k in range(2))
    _, within = _scatters(values, classes.to(values.device))
    size = (2 * within).sqrt().cpu().numpy().reshape(-1)
    pairs = len(names) * (len(names) - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = distances.sum((1, 2)) / pairs / size
        ratio_error = 2 * np.array([part[2] for part in found]) / pairs / size
    return _Between(distances, errors, size, ratio, ratio_error, tuple(batch), names)


def _distances(clouds: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, float]:
    """W_2 between every two clouds, its standard error, and that of the sum over the pairs, each taken once."""
    distances, errors = np.zeros((2, len(clouds), len(clouds)))
    added = [np.zeros(len(cloud)) for cloud in clouds]
    for a, b, plan in exact_plans(clouds):
        distance = plan.squared**0.5
        distances[a, b] = distances[b, a] = distance
        slope = 1 / (2 * distance) if distance > 0 else 0.0
        errors[a, b] = errors[b, a] = slope * plan.error
        added[a] += slope * plan.of_x
        added[b] += slope * plan.of_y
    return distances, errors, float(np.sqrt(sum(part.var() / len(part) for part in added)))


def as_features(name: str, value: Any) -> tuple[Float[Tensor, "*batch sample unit"], Form]:
    """Features in float64, and the form of an answer with one number for each batch member.

    Raises:
        InputError: no numbers, fewer than two dimensions, an empty one, NaN.
    """
    tensor = as_tensor(name, value)
    if tensor.ndim < 2 or 0 in tensor.shape:
        raise InputError(name, Text(f"shape {tuple(tensor.shape)}"), "shape (…, samples, units), none of them 0")
    require_finite(name, tensor)
    return tensor.double(), dataclasses.replace(Form.of(value), batch=tuple(tensor.shape[:-2]))


def as_classes(name: str, labels: Any, samples: int) -> tuple[Int[Tensor, " sample"], np.ndarray]:
    """Each sample's class as a number from 0 without gaps, and the classes' own names.

    Raises:
        InputError: another number of labels, labels that are not whole numbers, one class only.
    """
    array = as_numbers(name, labels)
    if array.shape != (samples,):
        raise InputError(name, Text(f"shape {array.shape}"), f"shape ({samples},), one label per sample")
    if array.dtype.kind == "f" and not (array == np.floor(array)).all():
        raise InputError(name, Text("values that are not whole numbers"), "class numbers")
    names, place = np.unique(array.astype(np.int64), return_inverse=True)
    if len(names) < 2:
        raise InputError(name, Text(f"one class only ({names[0]})"), "two classes or more")
    return torch.from_numpy(place.reshape(-1)), names


def given_back(numbers: Float[Tensor, "*batch"], form: Form) -> Any:
    """One number for each batch member in the caller's kind; a float where there is no batch."""
    return form.values(numbers.reshape(-1)) if form.batch else float(numbers)


def _scatters(
    x: Float[Tensor, "*batch sample unit"], classes: Int[Tensor, " sample"]
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """tr S_between and tr S_within. Every class is seen from one of its own points, so that equal points are exactly so."""
    members = torch.nn.functional.one_hot(classes).to(x)
    counts = members.sum(0)
    first = members.argmax(0)
    anchors = x[..., first, :] - x[..., :1, :]
    apart = x - x[..., first, :][..., classes, :]
    offsets = (members / counts).T @ apart
    within = (apart - offsets[..., classes, :]).square().sum((-1, -2)) / len(classes)
    means = anchors + offsets
    share = (counts / len(classes)).unsqueeze(-1)
    # seen from the first class: exactly 0 where all means are the same
    means = means - means[..., :1, :]
    between = (share * (means - (share * means).sum(-2, keepdim=True)).square()).sum((-1, -2))
    return between, within
