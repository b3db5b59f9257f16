"""Whether layers compress: whether what they tell apart falls after it had grown, judged sample by sample (§D1)."""

from __future__ import annotations

import math

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowplane.core.results import Z
from flowplane.information.resolution import Resolutions
from flowplane.recording import Recording, computed_once

__all__ = ["LOSS", "compression"]

#: A layer that loses no more of I(X;T) than this from its peak does not compress, bits.
LOSS = 0.1


@computed_once
def compression(rec: Recording, plane: xr.Dataset) -> xr.Dataset:
    """How far I(X;T) falls from its highest value to the last snapshot, by layer and resolution.

    A layer `compresses` where the same bound first rose above what it was at the first snapshot and then fell by more than
    `LOSS`, and the other bound fell as well, each beyond the error of the difference of two epochs, which is paired: the
    same samples are told apart at both.

    Arguments:
        rec: of one replica, the recording of the plane.
        plane: with the dimension `resolution`, from `fp.information_plane`.

    Returns:
        Dataset (layer, resolution): `fall` and `fall_lower`, `fall_upper` in bits, `peak` (epoch), `compresses`.
    """
    ordered = plane.sortby("epoch").isel(replica=0)
    measure = Resolutions(tuple(ordered["resolution"].values.tolist()))
    epochs, layers = ordered["epoch"].values, ordered["layer"].values.tolist()
    shape = (len(layers), len(measure.values))
    fall, error, peak = (np.full(shape, np.nan) for _ in range(3))
    compresses = np.zeros(shape, bool)
    inputs = None if rec.input_points is None else torch.from_numpy(rec.task.inputs).double()
    for row, layer in enumerate(layers):
        values = ordered["i_xt"].sel(layer=layer).transpose("epoch", "resolution").values
        if not np.isfinite(values).all() or len(epochs) < 2:
            continue
        peaks = values.argmax(0)
        stored = rec.activations(layer)
        seen: dict[int, Tensor] = {}
        for place in sorted({0, len(epochs) - 1, *peaks.tolist()}):
            rows = torch.from_numpy(stored.sel(epoch=epochs[place]).values[0])
            seen[place] = measure.pointwise(rows, inputs)
        for column, top in enumerate(peaks.tolist()):
            fell, spread = _difference(seen[top][column], seen[len(epochs) - 1][column])
            rose, doubt = _difference(seen[top][column], seen[0][column])
            fall[row, column], error[row, column], peak[row, column] = fell[0], spread[0], epochs[top]
            surely = bool((fell > Z * spread).all()) and rose[0] > Z * doubt[0]
            compresses[row, column] = surely and fell[0] > LOSS
    dims = ("layer", "resolution")
    bits = {"units": "bits"}
    return xr.Dataset(
        {
            "fall": (dims, fall, bits | {"long_name": "fall of I(X;T) from its peak"}),
            "fall_lower": (dims, fall - Z * error, bits),
            "fall_upper": (dims, fall + Z * error, bits),
            "peak": (dims, peak, {"units": "epochs"}),
            "compresses": (dims, compresses),
        },
        {"layer": layers, "resolution": ordered["resolution"].values},
    )


def _difference(one: Tensor, other: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The difference of both bounds (2, sample), and its standard error."""
    each = one - other
    return each.mean(1).numpy(), (each.std(1, correction=0) / math.sqrt(each.shape[1])).numpy()
