"""The plane of a recording that an analysis was given, or the published one where it was given none."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from flowplane.analysis.plane import information_plane
from flowplane.errors import InputError, Text
from flowplane.information.binned import Binned
from flowplane.recording import Recording

__all__ = ["DIMS", "own_plane"]

#: Of a plane, and of what is made of it.
DIMS = ("replica", "epoch", "layer")
#: Attributes of a plane that also hold of what is made of it.
ABOUT = ("task", "network", "activation", "channel", "estimator", "parameters", "samples")


def own_plane(rec: Recording, plane: Any, names: tuple[str, ...]) -> xr.Dataset:
    """The plane at the replicas, epochs and layers that `rec` shows, in its order, over (replica, epoch, layer); of its
    attributes those that say what was measured and how.

    Arguments:
        plane: from `fp.information_plane` of this recording or of more of it; None for `fp.Binned.published()`.
        names: the variables that are needed, in bits.

    Raises:
        InputError: no such Dataset, other dimensions or units, or replicas, epochs or layers missing in it.
    """
    if plane is None:
        plane = information_plane(rec, Binned.published())
    if not isinstance(plane, xr.Dataset) or not set(names) <= set(plane):
        found = sorted(map(str, plane)) if isinstance(plane, xr.Dataset) else type(plane).__name__
        raise InputError("plane", Text(f"{found}"), f"what fp.information_plane makes, with {', '.join(names)}")
    for name in names:
        if set(plane[name].dims) != set(DIMS):
            raise InputError("plane", Text(f"{name} over {plane[name].dims}"), f"{name} over {DIMS}")
        if plane[name].attrs.get("units") != "bits":
            raise InputError("plane", Text(f"{name} in {plane[name].attrs.get('units')!r}"), f"{name} in bits")
    own = {"task": rec.task.name, "activation": rec.activation, "network": rec.architecture}
    for key, value in own.items():
        if plane.attrs.get(key, value) != value:
            raise InputError("plane", Text(f"that of {key} {plane.attrs[key]!r}"), f"one of this recording, {key} {value!r}")
    chosen = {}
    for dim, mine in (("replica", rec.replicas.tolist()), ("epoch", rec.epochs.tolist()), ("layer", list(rec.layers))):
        theirs = plane[dim].values.tolist() if dim in plane.coords else []
        places = {label: place for place, label in enumerate(theirs)}
        missing = [label for label in mine if label not in places]
        if missing:
            raise InputError(
                "plane", Text(f"{dim}s without {missing[0]}"), f"a plane of this recording, with all {dim}s of it"
            )
        chosen[dim] = np.array([places[label] for label in mine])
    picked = plane[list(names)].transpose(*DIMS).isel(chosen)
    picked.attrs = {key: plane.attrs[key] for key in ABOUT if key in plane.attrs}
    return picked
