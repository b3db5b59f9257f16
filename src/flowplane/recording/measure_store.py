"""How the results of an online measure are laid out: a group with an array for each variable, and its attributes.

Variables have the dimensions replica, epoch, layer and their own. Coordinates, such as a layer's channel, are those of the
first snapshot. The group's attributes are `variables` and `coordinates`, names in order, and the Dataset's `attributes`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
import zarr

from flowplane.recording.store import array_of, growing, put

__all__ = ["lay_out_measure", "stored_measure"]


def lay_out_measure(group: zarr.Group, found: xr.Dataset, capacity: int, chunk: int) -> None:
    """Make room for a measure's variables, and write what stays as it is.

    Arguments:
        found: of the first snapshot, (layer, …).
        capacity: snapshots to make room for.
        chunk: snapshots in a chunk.
    """
    variables, coordinates = list(map(str, found.data_vars)), list(map(str, found.coords))
    group.attrs.update({"variables": variables, "coordinates": coordinates, "attributes": _plain(found.attrs)})
    for name, variable in found.data_vars.items():
        dims = ("replica", "epoch", *map(str, variable.dims))
        growing(group, str(name), (1, capacity, *variable.shape), (1, chunk, *variable.shape), variable.dtype, dims)
        group[str(name)].attrs.update(_plain(variable.attrs))
    for name, coordinate in found.coords.items():
        put(group, str(name), coordinate.values, tuple(map(str, coordinate.dims)))
        group[str(name)].attrs.update(_plain(coordinate.attrs))


def stored_measure(group: zarr.Group, wanted: Mapping[str, Sequence[int] | np.ndarray]) -> xr.Dataset:
    """What a measure found, (replica, epoch, layer, …), at these positions along these dimensions."""

    def read(name: str) -> xr.Variable:
        array = array_of(group, name)
        values = np.asarray(array[...])
        plain = np.array(values.tolist()) if values.dtype.kind in "TO" else values  # texts
        dims = tuple(map(str, array.metadata.dimension_names or ()))  # type: ignore[union-attr]
        return xr.Variable(dims, plain, _revived(dict(array.attrs))).isel({d: wanted[d] for d in dims if d in wanted})

    about: dict[str, Any] = dict(group.attrs)
    variables, coordinates = ({name: read(name) for name in about[key]} for key in ("variables", "coordinates"))
    return xr.Dataset(variables, coordinates, _revived(about["attributes"]))


def _plain(value: Any) -> Any:
    """Attributes as JSON holds them, which knows no NaN."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return {"float": str(value)} if isinstance(value, float) and not math.isfinite(value) else value


def _revived(value: Any) -> Any:
    """The inverse of `_plain`, but for lists that were arrays or tuples."""
    if isinstance(value, dict):
        return float(value["float"]) if set(value) == {"float"} else {key: _revived(part) for key, part in value.items()}
    return [_revived(part) for part in value] if isinstance(value, list) else value
