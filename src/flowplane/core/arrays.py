"""The public edge of every numeric function: NumPy arrays, torch tensors and DataArrays in, checked tensors out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowplane.errors import InputError, Text, not_finite

__all__ = ["as_numbers", "as_tensor", "batch_dims", "require_finite"]


def as_tensor(name: str, value: Any) -> Tensor:
    """`value` as a tensor: a tensor stays on its device, everything else becomes a CPU tensor, without a copy if possible.

    Raises:
        InputError: `value` is not an array of numbers.
    """
    if isinstance(value, Tensor):
        if value.is_complex():
            raise InputError(name, Text(f"an array of {value.dtype}"), "an array of numbers")
        # a tensor made in inference mode cannot take part in a gradient
        return value.detach().clone() if value.is_inference() else value.detach()
    array = as_numbers(name, value)
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        array = array.astype(np.float64)
    if array.dtype in (np.uint16, np.uint32, np.uint64):
        array = array.astype(np.int64)
    if array.dtype == np.longdouble:
        array = array.astype(np.float64)
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array)


def as_numbers(name: str, value: Any) -> np.ndarray:
    """`value` as a NumPy array of numbers in the machine's byte order. Raises InputError for anything else."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
    if np.ma.is_masked(value):
        raise InputError(name, Text("a masked array"), "an array without missing values: drop those samples first")
    try:
        array = np.asarray(value.values if isinstance(value, xr.DataArray) else value)
    except (ValueError, TypeError) as error:
        raise InputError(name, Text(type(value).__name__), "an array of numbers, all rows equally long") from error
    if array.dtype.kind not in "biuf":
        raise InputError(name, Text(f"an array of {array.dtype}"), "an array of numbers")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def require_finite(name: str, value: Tensor) -> None:
    """Raise InputError if `value` holds NaN or infinity, saying how many."""
    if value.is_floating_point():
        # NaN and infinities survive a sum, so one pass without a temporary settles the usual case
        if bool(torch.isfinite(value.sum(dtype=torch.float64))):
            return
        bad = int((~torch.isfinite(value)).sum())
        if bad:
            raise not_finite(name, bad)


def batch_dims(value: Any, batch: int) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Names and coordinates of the `batch` leading dimensions: a DataArray's own, `batch` or `batch_0, …` otherwise."""
    if isinstance(value, xr.DataArray):
        dims = tuple(str(dim) for dim in value.dims[:batch])
        coords = {
            str(name): coord for name, coord in value.coords.items() if set(coord.dims) <= set(dims) and coord.size < 1 << 20
        }
        return dims, coords
    if batch == 1:
        return ("batch",), {}
    return tuple(f"batch_{axis}" for axis in range(batch)), {}
