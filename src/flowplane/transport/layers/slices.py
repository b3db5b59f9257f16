"""W_2 in one dimension at a time: a lower bound of W_2 and of a map's optimality for many points (§A7)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.core.points import check_count, check_seed
from flowplane.core.results import stamp
from flowplane.core.streams import DIRECTIONS, generator
from flowplane.errors import InputError, Text

__all__ = ["Slices", "sliced", "sliced_measures"]

#: Bytes of projections that are sorted together.
BLOCK_BYTES = 1 << 26


def sliced_measures(path: Any, slices: int = 128, *, seed: Any = 0) -> xr.Dataset:
    """Lower bounds of each step's W_2 and optimality, from projections onto random lines (§A7).

    With directions θ of random orthonormal bases of R^d, d·mean_θ W_2²(θ·p, θ·q) ≤ W_2²(p, q), and d·mean_θ E(θ·y − θ·x)² =
    E|y − x|². Both are equal, and the sliced optimality is 1, where the map keeps the order of the points on every line: a
    shift, a change of scale. Other optimal maps stay below 1. Where d > slices there is no whole basis, and the bounds hold
    on average over the directions.

    Arguments:
        path: points (layer, sample, dimension), two layers or more, as `layer_path` makes them.
        slices: directions, rounded up to whole bases where d ≤ slices.
        seed: of the directions, the same in all layers.

    Returns:
        A Dataset over `layer`, from 0, where an entry belongs to the step from layer l − 1 to l: `wasserstein_sliced`,
        √(d·mean_θ W_2²), units of x, √d times what `wasserstein(…, method="sliced")` estimates; and `optimality_sliced`,
        its square over the cost along the same directions, 1 for the identity. NaN at layer 0. `…_error` is the standard
        error that the directions leave, from the scatter of whole bases where there are two or more; NaN for a single one.

    Raises:
        InputError: another shape, fewer than two layers or samples, NaN, slices below 1.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 3))
        >>> found = sliced_measures(np.stack([x, x + [1.0, 2.0, 2.0], 2.0 * x]))
        >>> found["wasserstein_sliced"].values[1].round(6), found["optimality_sliced"].values.round(2)
        (np.float64(3.0), array([nan,  1.,  1.]))
    """
    seed = check_seed(seed)
    found = sliced(path, slices, seed=seed)
    about = {
        "wasserstein_sliced": ("units of x", "√(d·mean W_2² on lines), at most W_2"),
        "optimality_sliced": ("1", "sliced W_2² over the cost, at most the optimality"),
    }
    variables = {}
    for name, column in found.columns.items():
        units, long_name = about[name]
        variables[name] = ("layer", column[:, 0], {"units": units, "long_name": long_name})
        attrs = {"units": units, "long_name": f"standard error of {name}, over the directions"}
        variables[f"{name}_error"] = ("layer", column[:, 1], attrs)
    coords = {"layer": np.arange(len(found.columns["wasserstein_sliced"]))}
    return stamp(xr.Dataset(variables, coords, {"slices": found.used}), "sliced_measures", seed=seed)


class Slices(NamedTuple):
    """`sliced_measures` as numbers: value and standard error, one row per layer; and how many directions there were."""

    columns: dict[str, np.ndarray]
    used: int


def sliced(path: Any, slices: int = 128, *, seed: Any = 0) -> Slices:
    """The numbers of `sliced_measures`."""
    points = as_tensor("path", path)
    if points.ndim != 3 or len(points) < 2 or points.shape[1] < 2 or points.shape[2] < 1:
        found = Text(f"shape {tuple(points.shape)}")
        raise InputError("path", found, "shape (layer, sample, dimension), two layers and two samples or more")
    require_finite("path", points)
    layers, count, dimension = points.shape
    directions = _directions(dimension, check_count("slices", slices), generator(check_seed(seed), DIRECTIONS)).to(
        points.device
    )
    used = directions.shape[1]
    best, cost = torch.zeros(2, layers - 1, used, dtype=torch.float64, device=points.device)
    step = max(1, BLOCK_BYTES // (8 * count * layers))
    for first in range(0, used, step):
        some = slice(first, first + step)
        lines = torch.stack([layer.double() @ directions[:, some] for layer in points]).transpose(1, 2).contiguous()
        cost[:, some] = lines.diff(dim=0).square().mean(2)
        best[:, some] = _in_order(lines).diff(dim=0).square().mean(2)
    square, total = best.mean(1), cost.mean(1)
    share = torch.where(total > 0, square / total, 1.0).clamp(max=1.0)
    length = (square * dimension).sqrt()
    of_share, of_square = (_error(each, dimension) for each in (best - share.unsqueeze(1) * cost, best * dimension))
    values = {
        "wasserstein_sliced": (length, of_square / (2 * length).clamp_min(1e-300)),
        "optimality_sliced": (share, torch.where(total > 0, of_share / total, 0.0)),
    }
    columns = {
        name: np.concatenate([[[np.nan, np.nan]], torch.stack(pair, 1).cpu().numpy()]) for name, pair in values.items()
    }
    return Slices(columns, used)


def _in_order(lines: Float[Tensor, "*batch sample"]) -> Float[Tensor, "*batch sample"]:
    """Sorted; on a processor by NumPy, which sorts numbers alone several times as fast as with their places."""
    if lines.device.type != "cpu":
        return lines.sort(dim=-1).values
    return torch.from_numpy(np.sort(lines.numpy(), -1))


def _error(terms: Float[Tensor, "step slice"], dimension: int) -> Float[Tensor, " step"]:
    """The standard error of a mean over the directions; those of one basis are not independent draws."""
    used = terms.shape[1]
    if used < dimension:
        return terms.std(1) * ((1 - used / dimension) / used) ** 0.5
    bases = terms.reshape(len(terms), -1, dimension).mean(2)
    return bases.std(1) / bases.shape[1] ** 0.5 if bases.shape[1] > 1 else torch.full_like(bases[:, 0], torch.nan)


def _directions(dimension: int, slices: int, rng: np.random.Generator) -> Float[Tensor, "dimension slice"]:
    """Unit vectors, orthogonal within each basis."""
    if dimension > slices:
        numbers = torch.from_numpy(rng.standard_normal((dimension, slices)))
        return torch.linalg.qr(numbers).Q
    bases = -(-slices // dimension)
    turns = torch.linalg.qr(torch.from_numpy(rng.standard_normal((bases, dimension, dimension)))).Q
    return turns.transpose(0, 1).reshape(dimension, bases * dimension)
