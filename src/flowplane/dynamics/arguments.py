"""What the functions of this lens are called with, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.errors import InputError, Text

__all__ = ["Number", "Window", "as_array", "as_epochs", "origin_place"]

Number = float | int
#: The least and the greatest lag of a fit; None for all.
Window = tuple[Number, Number] | None


def as_array(name: str, value: Any, dims: tuple[str, ...], *, gaps: bool = False) -> np.ndarray:
    """`value` in float64 with these trailing dimensions, none of them empty; NaN only where `gaps` are allowed.

    Raises:
        InputError: no numbers, too few dimensions, an empty one, NaN or infinity.
    """
    tensor = as_tensor(name, value).to("cpu", torch.float64)
    if tensor.ndim < len(dims) or tensor.numel() == 0:
        raise InputError(name, Text(f"shape {tuple(tensor.shape)}"), f"an array (…, {', '.join(dims)})")
    if not gaps:
        require_finite(name, tensor)
    return tensor.numpy()


def as_epochs(epochs: Any, count: int, name: str = "epochs") -> np.ndarray:
    """`count` epochs in float64, from 0 on and increasing. Raises InputError otherwise."""
    array = as_array(name, epochs, ("epoch",))
    if array.shape != (count,):
        raise InputError(name, Text(f"shape {array.shape}"), f"shape ({count},), one epoch per value")
    if array[0] < 0 or (np.diff(array) <= 0).any():
        raise InputError(name, Text(f"{array.tolist()}"), f"{name} from 0 on that increase")
    return array


def origin_place(origin: Any, epochs: np.ndarray) -> int:
    """Where the origin stands among the epochs. Raises InputError for an epoch that is not there."""
    number = isinstance(origin, int | float | np.number) and not isinstance(origin, bool)
    if not number or origin not in epochs:
        raise InputError("origin", origin, f"one of the epochs, {epochs[0]:g} … {epochs[-1]:g}")
    return int(np.searchsorted(epochs, origin))
