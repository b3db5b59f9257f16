"""Measures of points on their way through layers, and how far they depend on the embedding of the layers (§A7, §A8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.core.points import check_count, check_seed
from flowplane.core.results import quantities, stamp
from flowplane.core.streams import DIRECTIONS, SUBSETS, generator
from flowplane.errors import InputError, Text, unknown
from flowplane.transport.layers.embedding import EMBEDDINGS, layer_path
from flowplane.transport.profiles.optimal import Pairs

__all__ = ["MEASURES", "Path", "embedding_influence", "followed", "path_measures"]

#: Points between which W_2 is taken.
PAIRED = 1000

#: Name, units and long name of each measure of a step.
MEASURES = {
    "cost": ("squared units of x", "E|x_l − x_{l−1}|²"),
    "wasserstein": ("units of x", "W_2(p_{l−1}, p_l)"),
    "optimality": ("1", "W_2²/E|x_l − x_{l−1}|²; 1 is optimal"),
    "turning": ("radians", "angle between a step and the one before"),
    "participation": ("dimensions", "(tr C)²/tr C², C the covariance"),
}


def path_measures(path: Any, samples: int = PAIRED, *, seed: Any = 0) -> xr.Dataset:
    """What layers do to points: how far they move them, how well, and how straight the path is (§A7, §A8).

    Arguments:
        path: points (layer, sample, dimension), as `layer_path` makes them; two layers or more.
        samples: points, at most, between which W_2 is taken, exactly; the optimality is that of the same points. 0 leaves
            both out: they take most of the time.
        seed: of these points, where there are more.

    Returns:
        A Dataset over `layer`, from 0, where an entry belongs to the step from layer l − 1 to l: `cost`, E|x_l − x_{l−1}|²;
        `wasserstein`; `optimality`, W_2²/cost; `turning`, the mean angle between a point's step and its step before,
        radians, over the points that moved in both, NaN where none did. All are NaN at layer 0, `turning` at layer 1 too.
        `participation` is the participation ratio (tr C)²/tr C² of the layer's covariance C: between 1 and the dimension,
        NaN where all points are the same. `straightness`, of whole paths: E|x_L − x_0| over the mean length of the paths, 1
        where all are straight, NaN where nothing moved. `…_error` is the standard error of each over the points, of W_2 and
        the optimality over those between which it is taken.

    Raises:
        InputError: another shape, fewer than two layers or samples, NaN.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 2))
        >>> found = path_measures(np.stack([x, x + [1.0, 0.0], x + [1.0, 2.0]]))
        >>> found["cost"].values[1:].round(6), found["wasserstein"].values[1:].round(6), found["turning"].values[2].round(4)
        (array([1., 4.]), array([1., 2.]), np.float64(1.5708))
        >>> round(float(found["straightness"]), 4)  # √5 over 1 + 2
        0.7454
    """
    seed = check_seed(seed)
    found = followed(path, samples, seed=seed)
    columns = found.columns | {"participation": np.array([_participation(layer.double()) for layer in found.points])}
    measured: dict[str, tuple[Any, np.ndarray, str, str]] = {
        name: ("layer", columns[name], units, long_name) for name, (units, long_name) in MEASURES.items()
    }
    title = "E|x_L − x_0| over the mean length of the paths; 1 is straight"
    measured["straightness"] = ((), np.array(found.straightness), "1", title)
    variables: dict[str, Any] = {}
    for name, (dims, pair, units, long_name) in measured.items():
        variables[name] = (dims, pair[..., 0], {"units": units, "long_name": long_name})
        variables[f"{name}_error"] = (dims, pair[..., 1], {"units": units, "long_name": f"standard error of {name}"})
    attrs = {"samples": found.points.shape[1], "wasserstein_samples": found.paired}
    coords = {"layer": np.arange(len(found.points))}
    return stamp(xr.Dataset(variables, coords, attrs), "path_measures", seed=seed)


class Path(NamedTuple):
    """Points (layer, sample, dimension) and what is measured of their steps: value and standard error, one row per layer."""

    points: torch.Tensor
    columns: dict[str, np.ndarray]
    straightness: tuple[float, float]
    #: Points between which W_2 is taken.
    paired: int


def followed(path: Any, samples: int = PAIRED, *, seed: Any = 0) -> Path:
    """`path_measures` but for the participation ratio, which belongs to layers and not to steps."""
    points = as_tensor("path", path)
    if points.ndim != 3 or len(points) < 2 or points.shape[1] < 2 or points.shape[2] < 1:
        found = Text(f"shape {tuple(points.shape)}")
        raise InputError("path", found, "shape (layer, sample, dimension), two layers and two samples or more")
    require_finite("path", points)
    layers, count = points.shape[:2]
    # value and standard error
    columns = {name: np.full((layers, 2), np.nan) for name in MEASURES if name != "participation"}
    most = min(check_count("samples", samples, 2) if samples != 0 else 0, count)
    rng = generator(check_seed(seed), SUBSETS)
    chosen = np.arange(count) if most == count else np.sort(rng.choice(count, most, replace=False))
    places = torch.from_numpy(chosen).to(points.device)
    travelled, before = torch.zeros(count, dtype=torch.float64, device=points.device), None
    # one step at a time: of wide layers all steps together take more memory than the path itself
    for l in range(1, layers):
        step = points[l].double() - points[l - 1].double()
        length = step.norm(dim=1)
        travelled += length
        columns["cost"][l] = _mean(length.square())
        if most:
            pairs = Pairs.of(*(layer[places].double().cpu().numpy() for layer in (points[l - 1], points[l])))
            columns["optimality"][l] = pairs.optimality, pairs.optimality.standard_error
            columns["wasserstein"][l] = pairs.wasserstein, pairs.wasserstein.standard_error
        direction = step / torch.where(length > 0, length, torch.nan).unsqueeze(1)
        if before is not None:
            columns["turning"][l] = _turning(before, direction)
        before = direction
    straight = _ratio((points[-1].double() - points[0].double()).norm(dim=1), travelled)
    return Path(points, columns, straight, most)


def embedding_influence(
    layers: Sequence[Any], embeddings: Sequence[str] = EMBEDDINGS, *, draws: int = 5, samples: int = PAIRED, seed: Any = 0
) -> xr.Dataset:
    """How much the measures of a path depend on how its layers are embedded in one space (§A8).

    Arguments:
        layers: one array (sample, width) per layer, as `layer_path` takes them.
        embeddings: some of "pad", "principal", "procrustes", "random"; the first is what the others are compared with.
        draws: random orthogonal maps of "random".
        samples, seed: as in `path_measures`; the seed also of the random maps.

    Returns:
        A Dataset over `embedding` and `layer` with the variables of `path_measures`, for "random" the mean over the draws,
        and `…_spread`, the standard deviation over the draws (0 for the others; NaN for one draw). `range` over (measure,
        layer): the largest less the smallest value over the embeddings, as a share of their mean. `order` over (measure,
        embedding): Kendall's τ between the order of the layers under this embedding and under the first: 1 where it is the
        same, NaN where there are fewer than two layers to put in order, or no order.

    Raises:
        InputError: what `layer_path` and `path_measures` refuse; no embedding, an unknown one, one twice; draws below 1.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 3))
        >>> found = embedding_influence([x, 2 * x[:, [1, 0, 2]], x[:, :2]], draws=2)
        >>> found["cost"].sel(layer=1).round(2).values  # the second layer is the first, turned and twice as large
        array([11.7 ,  3.1 ,  3.11, 15.81])
    """
    if isinstance(embeddings, str) or not isinstance(embeddings, Sequence):
        raise InputError("embeddings", embeddings, f"a list, some of {', '.join(EMBEDDINGS)}")
    names = list(embeddings)
    for name in names:
        if name not in EMBEDDINGS:
            raise unknown("embeddings", name, EMBEDDINGS)
    if not names or len(set(names)) < len(names):
        raise InputError("embeddings", names, f"some of {', '.join(EMBEDDINGS)}, each once")
    draws, seed = check_count("draws", draws), check_seed(seed)
    rows = []
    for name in names:
        count = draws if name == "random" else 1
        turns = [generator(seed, DIRECTIONS, draw) for draw in range(count)]
        each = [path_measures(layer_path(layers, name, seed=turn), samples, seed=seed) for turn in turns]
        together = xr.concat(each, "draw", combine_attrs="override")
        spread = together.std("draw", ddof=1 if count > 1 else 0)
        if name == "random" and count == 1:
            spread = spread * np.nan
        mean = together.mean("draw", keep_attrs=True)
        rows.append(mean.merge({f"{key}_spread": spread[key].assign_attrs(mean[key].attrs) for key in quantities(mean)}))
    found = xr.concat(rows, xr.Variable("embedding", names), combine_attrs="override")
    measures = list(MEASURES)
    values = np.stack([found[name].values for name in measures])  # measure, embedding, layer
    with np.errstate(divide="ignore", invalid="ignore"):
        width = (values.max(1) - values.min(1)) / values.mean(1)
    shares = {"units": "1", "long_name": "largest less smallest value over the embeddings, over their mean"}
    found["range"] = (("measure", "layer"), width, shares)
    orders = np.array([[_order(part[0], other) for other in part] for part in values])
    found["order"] = (("measure", "embedding"), orders, {"units": "1", "long_name": f"Kendall's τ with {names[0]}"})
    return stamp(found.assign_coords(measure=measures), "embedding_influence", seed=seed, draws=draws)


def _mean(values: torch.Tensor) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(values.mean()), float(values.std(correction=0)) / len(values) ** 0.5


def _ratio(above: torch.Tensor, below: torch.Tensor) -> tuple[float, float]:
    """A ratio of two means and its standard error; NaN over 0."""
    whole = float(below.mean())
    if not whole > 0:
        return float("nan"), float("nan")
    ratio = float(above.mean()) / whole
    return ratio, _mean(above - ratio * below)[1] / whole


def _participation(points: torch.Tensor) -> tuple[float, float]:
    """(tr C)²/tr C² and its standard error."""
    centred = points - points[0]
    centred = centred - centred.mean(0)
    # the smaller of the two products has the same eigenvalues, but for zeros
    wide = centred.shape[1] > len(centred)
    product = centred @ centred.T if wide else centred.T @ centred
    size = float(product.square().sum())
    if not size > 0:
        return float("nan"), float("nan")
    trace, n = float(torch.trace(product)), len(centred)
    # what each point x adds to tr C and, twice, to tr C²: |x|² and xᵀCx
    own = centred.square().sum(1)
    among = product.square().sum(1) if wide else ((centred @ product) * centred).sum(1)
    adds = 2 * trace / size * n * (own - trace / n) - 2 * trace**2 / size**2 * (n * among - size)
    return trace**2 / size, _mean(adds)[1]


def _turning(before: torch.Tensor, direction: torch.Tensor) -> tuple[float, float]:
    """The mean angle between two unit vectors per point, over the points that have both, and its standard error."""
    # stable near 0 and π, where the arc cosine of a product loses half of its digits
    angles = 2 * torch.atan2((direction - before).norm(dim=1), (direction + before).norm(dim=1))
    known = torch.isfinite(angles)
    return _mean(angles[known]) if known.any() else (float("nan"), float("nan"))


def _order(one: np.ndarray, other: np.ndarray) -> float:
    """Kendall's τ-b over the layers where both are known; steps that are equal but for rounding are tied."""
    from scipy.stats import kendalltau

    known = np.isfinite(one) & np.isfinite(other)
    if known.sum() < 2:
        return float("nan")
    ranks = [np.round(values[known] / max(np.abs(values[known]).max(), 1e-300), 9) for values in (one, other)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return float("nan")
    return float(kendalltau(*ranks).statistic)
