"""Peaks in curves over epochs, without the bias of looking for them in the same data."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

__all__ = ["curves_of", "held_out_peaks"]


def curves_of(plane: xr.Dataset, name: str) -> Float[np.ndarray, "replica epoch layer"]:
    """One variable of a plane, replica by replica, epoch by epoch, layer by layer."""
    return plane[name].transpose("replica", "epoch", "layer").values


def held_out_peaks(curves: Float[np.ndarray, "replica epoch quantity"]) -> Int[np.ndarray, "replica quantity"]:
    """For each replica where the mean curve of all the *others* peaks.

    A replica's own value there is not biased upwards by having chosen the place, as it would be at its own maximum.

    Example:
        >>> curves = np.array([[0.0, 1.0, 0.5], [0.0, 0.9, 0.4], [0.1, 1.1, 0.6]])[:, :, None]
        >>> held_out_peaks(curves)[:, 0].tolist()
        [1, 1, 1]
    """
    if len(curves) < 2:
        return curves.argmax(axis=1)
    others = curves.sum(axis=0) - curves
    return others.argmax(axis=1)
