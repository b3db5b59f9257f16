"""Numbers of any kind as the real ones that rows are made of, and as they are stored: half and double precision, complex."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from flowplane.core.callers import outside
from flowplane.errors import InputError, Text

__all__ = ["DTYPES", "entries", "numeric", "side_by_side", "stored", "widened"]

#: Of stored activations.
DTYPES = ("float32", "float16", "float64")


def numeric(values: Tensor) -> bool:
    """Whether a tensor holds numbers that can be recorded: floating-point or complex."""
    return values.is_floating_point() or values.is_complex()


def entries(values: Tensor) -> Tensor:
    """The numbers that a tensor holds; of a sparse one, those that it stores."""
    return values if values.layout == torch.strided else values.to_sparse_coo().coalesce().values()


def widened(values: Tensor) -> Tensor:
    """Half precision as float32 (complex: complex64), in which means are taken; what is wider stays.

    Example:
        >>> widened(torch.zeros(2, dtype=torch.bfloat16)).dtype, widened(torch.zeros(2, dtype=torch.float64)).dtype
        (torch.float32, torch.float64)
    """
    if values.is_complex():
        return values if values.dtype in (torch.complex64, torch.complex128) else values.to(torch.complex64)
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def side_by_side(rows: Tensor) -> Tensor:
    """Rows (sample, unit) as real numbers of at least float32: of complex ones the real parts, then the imaginary ones.

    Example:
        >>> side_by_side(torch.tensor([[1 + 2j, 3 - 4j]]))
        tensor([[ 1.,  3.,  2., -4.]])
    """
    wide = widened(rows)
    return torch.cat([wide.real, wide.imag], -1) if wide.is_complex() else wide


def stored(layer: str, rows: np.ndarray, dtype: str) -> np.ndarray:
    """Rows (sample, unit) of a layer in the dtype of the recording; it warns where most rows become equal to others.

    Raises:
        InputError: numbers that float16 does not hold.
    """
    if rows.dtype == dtype:
        return rows
    with np.errstate(over="ignore"):
        kept = rows.astype(dtype)
    if dtype == "float16" and np.isinf(kept).sum() > np.isinf(rows).sum():
        found = Text(f"values up to {np.abs(rows).max():.3g} in layer {layer!r}")
        raise InputError("dtype", found, "'float32' for values above 65504")
    if rows.dtype == np.float64:  # single numbers may round: saturated units do
        before, after = (len(np.unique(each, axis=0)) for each in (rows, kept))
        if 2 * after < before:
            message = (
                f"layer {layer!r} has {before} different rows, of which {dtype} leaves {after}: dtype='float64' keeps them"
            )
            warnings.warn(message, RuntimeWarning, stacklevel=outside())
    return kept
