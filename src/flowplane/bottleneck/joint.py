"""Joint distributions of x and y: checked, and with states merged that say the same about y."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.errors import InputError, Text
from flowplane.tasks import Task

__all__ = ["Merged", "States", "check_betas", "checked_joint", "conditional_of", "information", "merged"]

#: Rows whose log p(y|x) agree to this are one state.
RESOLUTION = 1e-9


class Merged(NamedTuple):
    """The distinct p(y|x), and which one each x has."""

    mass: Float[Tensor, " state"]
    conditional: Float[Tensor, "state y"]
    state: Int[Tensor, " x"]


def checked_joint(joint: Any) -> Float[Tensor, "x y"]:
    """p(x, y) in float64 on the CPU, summing to 1.

    Arguments:
        joint: rows x, columns y: a NumPy array, tensor or DataArray; or a Task, whose joint is taken.

    Raises:
        InputError: NaN, infinity, a negative entry, the wrong shape, a sum other than 1 (beyond 1e-6), a row of zeros, or
            fewer than two columns that are not zero.

    Example:
        >>> checked_joint([[0.5, 0.0], [0.25, 0.25]]).sum(0).tolist()
        [0.75, 0.25]
    """
    given = as_tensor("joint", joint.joint if isinstance(joint, Task) else joint).to("cpu", torch.float64)
    if given.ndim != 2 or 0 in given.shape:
        raise InputError("joint", Text(f"shape {tuple(given.shape)}"), "p(x, y) of shape (x, y), neither of them 0")
    require_finite("joint", given)
    if bool((given < 0).any()):
        raise InputError("joint", Text(f"{int((given < 0).sum())} negative entries"), "probabilities, none below 0")
    total = float(given.sum())
    if not abs(total - 1.0) <= 1e-6:
        raise InputError("joint", Text(f"entries that sum to {total:.9g}"), "probabilities that sum to 1")
    empty = (given.sum(1) == 0).nonzero().ravel().tolist()
    if empty:
        raise InputError("joint", Text(f"{len(empty)} rows of zeros, the first row {empty[0]}"), "no x of probability 0")
    if int((given.sum(0) > 0).sum()) < 2:
        raise InputError("joint", Text("one class only"), "two columns or more that are not zero")
    return given / total


def conditional_of(joint: Float[Tensor, "x y"]) -> Float[Tensor, "x y"]:
    """p(y|x) of a checked joint."""
    return joint / joint.sum(1, keepdim=True)


def merged(joint: Float[Tensor, "x y"]) -> Merged:
    """The states of a checked joint: all x with equal p(y|x) merged, which changes neither the curve nor its slope (§B6).

    log p(y|x) is compared, to 1e-9, so that saturated rules such as 1 − 1e-20 and 1 − 1e-30 stay apart.

    Example:
        >>> found = merged(checked_joint([[0.2, 0.2], [0.1, 0.3], [0.1, 0.1]]))
        >>> found.mass.round(decimals=9).tolist(), found.state.tolist()
        ([0.4, 0.6], [1, 0, 1])
    """
    p = joint.sum(1)
    key = torch.round(conditional_of(joint).log() / RESOLUTION) + 0.0
    distinct, state = torch.unique(key, dim=0, return_inverse=True)
    mass = p.new_zeros(len(distinct)).index_add_(0, state, p)
    together = joint.new_zeros(len(distinct), joint.shape[1]).index_add_(0, state, joint)
    return Merged(mass, conditional_of(together), state)


class States(NamedTuple):
    """The states of a joint, columns of zeros left out."""

    merged: Merged
    columns: Int[Tensor, " y"]
    deterministic: bool

    @classmethod
    def of(cls, joint: Float[Tensor, "x y"], merge: bool = True) -> States:
        """Merged, or one state for each x. Deterministic: y is a function of x."""
        columns = (joint.sum(0) > 0).nonzero().ravel()
        joint = joint[:, columns]
        found = (
            merged(joint)
            if merge
            else Merged(joint.sum(1), conditional_of(joint), torch.arange(len(joint), device=joint.device))
        )
        return cls(found, columns, bool(((found.conditional > 0).sum(1) == 1).all()))


def check_betas(betas: Any) -> Float[np.ndarray, " beta"]:
    """Values of β as a vector, in the order given. Raises InputError unless all are finite and above 0; one at least."""
    given = np.atleast_1d(as_tensor("betas", betas).to("cpu", torch.float64).numpy())
    if given.ndim != 1 or len(given) == 0:
        raise InputError("betas", Text(f"shape {given.shape}"), "one value of β or a vector of them")
    if not (np.isfinite(given).all() and (given > 0).all()):
        found = given[~(np.isfinite(given) & (given > 0))]
        raise InputError("betas", Text(f"values such as {found[0]:g}"), "finite numbers above 0")
    return given


def information(mass: Float[Tensor, " x"], conditional: Float[Tensor, "x y"]) -> float:
    """I(X;Y) in bits, of p(x) and p(y|x)."""
    marginal = mass @ conditional
    ratio = torch.where(conditional > 0, conditional / marginal.clamp(min=torch.finfo(torch.float64).tiny), 1.0)
    return float((mass[:, None] * conditional * ratio.log()).sum()) / math.log(2.0)
