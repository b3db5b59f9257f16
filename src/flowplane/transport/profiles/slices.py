"""W_2 in one dimension at a time: a lower bound of W_2 and of a map's optimality for many points (§A7)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.core.points import check_count, check_seed
from flowplane.errors import InputError, Text

__all__ = ["sliced_measures"]

#: Bytes of projections that are sorted together.
BLOCK_BYTES = 1 << 26


def sliced_measures(path: Any, slices: int = 128, seed: int = 0) -> xr.Dataset:
    """Lower bounds of each step's W_2 and optimality, from projections onto random lines (§A7).

    With directions θ of random orthonormal bases of R^d, d·mean_θ W_2²(θ·p, θ·q) ≤ W_2²(p, q), and d·mean_θ E(θ·y − θ·x)² =
    E|y − x|². Both are equal, and the sliced optimality is 1, where the map keeps the order of the points on every line: a
    shift, a change of scale. Other optimal maps stay below 1. Where d > slices there is no whole basis, and the bounds hold
    in the mean over the directions.

    Arguments:
        path: points (layer, sample, dimension), two layers or more, as `layer_path` makes them.
        slices: directions, rounded up to whole bases where d ≤ slices.
        seed: of the directions, the same in all layers.

    Returns:
        A Dataset over `layer`, from 0, where an entry belongs to the step from layer l − 1 to l: `wasserstein_sliced`,
        √(d·mean_θ W_2²), units of x, √d times what `wasserstein(…, method="sliced")` estimates; and `optimality_sliced`,
        its square over the cost along the same directions, 1 for the identity. NaN at layer 0.

    Raises:
        InputError: another shape, fewer than two layers or samples, NaN, slices below 1.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 3))
        >>> found = sliced_measures(np.stack([x, x + [1.0, 2.0, 2.0], 2.0 * x]))
        >>> found["wasserstein_sliced"].values[1].round(6), found["optimality_sliced"].values.round(2)
        (np.float64(3.0), array([nan,  1.,  1.]))
    """
    points = as_tensor("path", path)
    if points.ndim != 3 or len(points) < 2 or points.shape[1] < 2 or points.shape[2] < 1:
        found = Text(f"shape {tuple(points.shape)}")
        raise InputError("path", found, "shape (layer, sample, dimension), two layers and two samples or more")
    require_finite("path", points)
    layers, count, dimension = points.shape
    directions = _directions(dimension, check_count("slices", slices), check_seed(seed)).to(points.device)
    used = directions.shape[1]
    best, cost = torch.zeros(2, layers - 1, dtype=torch.float64, device=points.device)
    step = max(1, BLOCK_BYTES // (8 * count * layers))
    for first in range(0, used, step):
        part = directions[:, first : first + step]
        lines = torch.stack([layer.double() @ part for layer in points]).transpose(1, 2).contiguous()
        cost += lines.diff(dim=0).square().sum((1, 2))
        best += lines.sort(dim=2).values.diff(dim=0).square().sum((1, 2))
    share = torch.where(cost > 0, best / cost, 1.0).clamp(max=1.0)
    length = (best * dimension / (used * count)).sqrt()
    values = {"wasserstein_sliced": length, "optimality_sliced": share}
    about = {
        "wasserstein_sliced": {"units": "units of x", "long_name": "√(d·mean W_2² on lines), at most W_2"},
        "optimality_sliced": {"units": "1", "long_name": "sliced W_2² over the cost, at most the optimality"},
    }
    return xr.Dataset(
        {name: ("layer", np.r_[np.nan, each.cpu().numpy()], about[name]) for name, each in values.items()},
        {"layer": np.arange(layers)},
        {"slices": used, "seed": seed},
    )


def _directions(dimension: int, slices: int, seed: int) -> Float[Tensor, "dimension slice"]:
    """Unit vectors, orthogonal within each basis."""
    rng = np.random.default_rng(seed)
    if dimension > slices:
        numbers = torch.from_numpy(rng.standard_normal((dimension, slices)))
        return torch.linalg.qr(numbers).Q
    bases = -(-slices // dimension)
    turns = torch.linalg.qr(torch.from_numpy(rng.standard_normal((bases, dimension, dimension)))).Q
    return turns.transpose(0, 1).reshape(dimension, bases * dimension)
