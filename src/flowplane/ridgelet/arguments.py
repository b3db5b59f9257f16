"""What the transforms are given: a function at points, weights, extents."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.core.points import as_points, check_positive
from flowplane.errors import InputError, Text
from flowplane.ridgelet.pairs import Pair
from flowplane.ridgelet.quadrature import cell_volumes
from flowplane.ridgelet.spectrum import column

__all__ = ["default_extent", "radius_of", "read_extent", "read_function", "read_pair", "read_weights"]

#: |a| reaches this many times the inverse of f's scale, where f has no frequencies left to miss.
REACH = 10.0
#: Points where |f| times its weight is below this share of the largest are not looked at for the extent.
NEGLIGIBLE = 1e-3


def read_function(values: Any, points: Any) -> tuple[Tensor, Tensor, bool]:
    """f as (sample, channel), x as (sample, feature), and whether f has no axis of channels."""
    places = column(points, None)
    x, form = as_points("points", places, None)
    if len(form.batch) != 1:
        raise InputError("points", Text(f"shape {tuple(as_tensor('points', points).shape)}"), "(n, m), or (n,) for m = 1")
    v = as_tensor("values", values)
    if v.ndim not in (1, 2) or v.shape[0] != len(x) or v.numel() == 0:
        raise InputError(
            "values", Text(f"shape {tuple(v.shape)}"), f"({len(x)},) or ({len(x)}, channels), as many as points"
        )
    require_finite("values", v)
    scalar = v.ndim == 1
    v = v.to(x.device, torch.float64)
    return v.unsqueeze(1) if scalar else v, x, scalar


def read_pair(pair: Any) -> Pair:
    """The pair; None is Pair("tanh"). Raises InputError for anything else, a name included."""
    if pair is None:
        return Pair()
    if not isinstance(pair, Pair):
        hint = f"fp.ridgelet.Pair({pair!r})" if isinstance(pair, str) else "a pair, such as fp.ridgelet.Pair('tanh')"
        raise InputError("pair", pair, hint)
    return pair


def read_weights(weights: Any, x: Tensor) -> Tensor:
    """Weights of ∫dx at points, (sample,); None is `cell_volumes`. Raises InputError for another shape, NaN."""
    if weights is None:
        return cell_volumes(x)
    w = as_tensor("weights", weights)
    if w.shape != (len(x),):
        raise InputError("weights", Text(f"shape {tuple(w.shape)}"), f"({len(x)},), one per point")
    require_finite("weights", w)
    return w.to(x.device, torch.float64)


def read_extent(extent: Any) -> tuple[float, float]:
    """(A, B), both positive. Raises InputError for anything else."""
    if not isinstance(extent, tuple | list) or len(extent) != 2:
        raise InputError("extent", extent, "(A, B): |a| < A, |b| < B")
    return check_positive("extent", extent[0]), check_positive("extent", extent[1])


def default_extent(
    measured: Float[Tensor, "sample channel"], x: Float[Tensor, "sample feature"], pair: Pair
) -> tuple[float, float]:
    """(A, B) for f(x_i)·weight_i at points: see `transform`."""
    mass = measured.norm(dim=1)
    if float(mass.sum()) == 0:
        raise InputError("values", Text("0 everywhere"), "a function that is not 0, or extent=(A, B)")
    mass = mass / mass.sum()
    spread_out = (mass @ (x - mass @ x).square()).mean().sqrt()
    if float(spread_out) == 0:
        raise InputError("points", Text("one point where f is not 0"), "several, or extent=(A, B)")
    largest = REACH / float(spread_out)
    return largest, largest * radius_of(measured, x) + pair.tail(x.shape[1])


def radius_of(measured: Tensor, x: Tensor) -> float:
    """max |x| over where f is not negligible."""
    mass = measured.norm(dim=1)
    return float(torch.where(mass > NEGLIGIBLE * mass.max(), x.norm(dim=1), 0.0).max())
