"""What recordings of earlier formats call otherwise, in today's words.

1: ensembles of `fp.train`. 2: recordings of a model as well. 3: new names of arguments, and an
array for each variable of an online measure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
import zarr

from flowplane.core.older import modern

__all__ = ["FORMAT", "packed_measure", "translated"]

#: What is written now.
FORMAT = 3
#: Arguments that were called otherwise before format 3.
RENAMED = {"ensemble": {"noise": "noise_variance"}, "model": {"total": "epochs"}}
#: Arguments that recordings may be older than, and what was done before there was a choice.
BEFORE: dict[str, dict[str, Any]] = {"ensemble": {"noise_variance": 0.0}, "model": {"deterministic": True}}


def translated(configuration: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a recording, of whatever format, as it is written now.

    Example:
        >>> translated({"seed": 0, "noise": 0.1})
        {'kind': 'ensemble', 'noise_variance': 0.1, 'seed': 0}
    """
    kind = configuration.get("kind", "ensemble")
    names = RENAMED[kind]
    return {"kind": kind} | BEFORE[kind] | {names.get(name, name): value for name, value in configuration.items()}


def packed_measure(group: zarr.Group, replicas: np.ndarray, epochs: np.ndarray, layers: Mapping[str, int]) -> xr.Dataset:
    """What an online measure found, of format 2: all variables of a layer in one row of numbers, described in JSON."""
    packing = json.loads(str(group.attrs["packing"]))
    values = np.asarray(group["values"])[replicas][:, epochs]
    dataset, start = xr.Dataset(), 0
    for each in packing["variables"]:
        size = math.prod(each["shape"])
        part = values[:, :, list(layers.values()), start : start + size].astype(np.dtype(each["kind"]))
        dims = ("replica", "epoch", "layer", *each["dims"])
        dataset[each["name"]] = (dims, part.reshape(*part.shape[:3], *each["shape"]), each["attrs"])
        start += size
    dataset = dataset.assign_coords(layer=list(layers))
    for key, by_layer in packing["attrs"].items():
        chosen = {layer: by_layer[place] for layer, place in layers.items()}
        same = len({str(value) for value in chosen.values()}) == 1
        dataset.attrs[key] = next(iter(chosen.values())) if same else json.dumps(chosen)
    return modern(dataset)
