"""Results and recordings of flowplane 0.1, read as they would be made now. To be deleted at 1.0."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from flowplane.core.results import RESULTS, along, quantities, with_flags

__all__ = ["configuration", "load", "measure_name", "modern", "unpacked"]

#: What 0.1 wrote as attributes of the Dataset about all quantities of an estimate.
OF_QUANTITIES = ("channel", "estimator", "parameters", "quantity", "base")
#: Variables by which a Dataset of 0.1 is recognised.
KNOWN_BY = {
    "layer_transport": {"wasserstein_sliced", "optimality_sliced", "affine_fit"},
    "gradient_phases": {"gradient_mean", "crossing", "median_state"},
    "weight_diffusion": {"msd", "wiener_msd"},
    "relaxation_times": {"delay", "compression", "slope"},
    "replica_spread": {"distance", "agreement", "spread_xt"},
    "layer_betas": {"beta_star", "residual"},
    "ib_curve": {"gap", "i_xt", "i_ty"},
    "metrics": {"train_loss", "train_accuracy"},
}
#: Names of estimators' arguments, as they stood in the names of measures that were taken online.
RENAMED_ARGUMENTS = (
    (r"Pairwise\(variance=", "Pairwise(noise_variance="),
    (r"MonteCarlo\(variance=", "MonteCarlo(noise_variance="),
    (r"\bnoise=", "noise_variance="),
    (r"relative='snapshot'", "relative='unit'"),
    (r"relative=True", "relative='recording'"),
)
#: For each of 0.1's flags of a layer_transport, set for a whole layer: the quantities it may leave missing; others: all.
CONCERNS = {
    "no_turn": ("turning",),
    "other_replica": ("wasserstein", "optimality"),
    "no_exact": ("wasserstein", "optimality"),
    "width_changes": ("entropy_change", "entropy_change_neighbours", "log_det", "log_det_affine", "affine_fit"),
    "ties": ("entropy_neighbours", "entropy_change_neighbours"),
    "surface": ("entropy_neighbours", "entropy_change_neighbours"),
    "many_units": ("entropy_neighbours", "entropy_change_neighbours"),
    "no_classes": ("probe", "fisher", "distances"),
    "no_weights": ("log_det",),
    "not_affine": ("log_det_affine",),
}

#: Arguments of `fp.train` and of `fp.Recorder` that had other names.
CONFIGURED = {"ensemble": {"noise": "noise_variance"}, "model": {"total": "epochs"}}
#: Arguments that older recordings lack, and what was done before there was a choice.
BEFORE: dict[str, dict[str, Any]] = {"ensemble": {"noise_variance": 0.0}, "model": {"deterministic": True}}


def configuration(stored: Mapping[str, Any]) -> dict[str, Any]:
    """How a recording was made, in today's words.

    Example:
        >>> configuration({"seed": 0, "noise": 0.1})
        {'kind': 'ensemble', 'noise_variance': 0.1, 'seed': 0}
    """
    kind = stored.get("kind", "ensemble")
    now = {"kind": kind} | BEFORE[kind] | {CONFIGURED[kind].get(name, name): value for name, value in stored.items()}
    return now | ({"measures": list(map(measure_name, now["measures"]))} if "measures" in now else {})


def unpacked(
    packing: Mapping[str, Any],
    rows: Float[np.ndarray, "replica epoch layer number"],
    wanted: Mapping[str, Sequence[int] | np.ndarray],
    layers: Sequence[str],
) -> xr.Dataset:
    """What a measure found online, as it was kept up to format 2: all of a layer's variables in one row of numbers.

    Arguments:
        packing: names, shapes and attributes of the variables, and of the Dataset those of each layer.
        wanted: positions along replica, epoch and layer.
        layers: their names.
    """
    part = rows[wanted["replica"]][:, wanted["epoch"]][:, :, wanted["layer"]]
    dataset, start = xr.Dataset(coords={"layer": list(layers)}), 0
    for each in packing["variables"]:
        size = math.prod(each["shape"])
        values = part[..., start : start + size].astype(np.dtype(each["kind"])).reshape(*part.shape[:3], *each["shape"])
        dataset[each["name"]] = (("replica", "epoch", "layer", *each["dims"]), values, each["attrs"])
        start += size
    for key, by_layer in packing["attrs"].items():
        chosen = {layer: by_layer[place] for layer, place in zip(layers, wanted["layer"], strict=True)}
        same = len(set(map(str, chosen.values()))) == 1
        dataset.attrs[key] = next(iter(chosen.values())) if same else json.dumps(chosen)
    return dataset


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """The Dataset of a NetCDF file that flowplane wrote, this version or 0.1; values are read when they are used.

    Example:
        >>> import tempfile
        >>> from flowplane.core.results import save, stamp
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(stamp(xr.Dataset({"train_loss": 0.5}), "metrics"), f"{folder}/metrics.nc")
        ...     load(f"{folder}/metrics.nc").attrs["result"]
        'metrics'
    """
    return modern(xr.open_dataset(Path(path), engine="h5netcdf"))


def measure_name(name: str) -> str:
    """The repr of a measure as it is now.

    Example:
        >>> measure_name("Pairwise(variance=0.1, bound='upper', relative=True)")
        "Pairwise(noise_variance=0.1, bound='upper', relative='recording')"
    """
    for old, new in RENAMED_ARGUMENTS:
        name = re.sub(old, new, name)
    return name


def modern(dataset: xr.Dataset) -> xr.Dataset:
    """A Dataset with the attributes that it would have now, and `flags`; one of this version gets `flags` only.

    Example:
        >>> old = xr.Dataset({"i_xt": ("layer", [1.0, 2.0]), "flags": ("layer", [1, 0])}, {"layer": ["fc", "head"]})
        >>> old.flags.attrs["flag_meanings"] = "saturated"
        >>> new = modern(old.assign_attrs(kind="upper bound", estimator="Pairwise", channel='{"fc": "noise", "head": ""}'))
        >>> new.i_xt.bound, new.channel.values.tolist(), new.attrs["result"], int(new.i_xt_flags[0])
        ('upper', ['noise', ''], 'estimate', 1)
    """
    if "result" in dataset.attrs:
        return with_flags(dataset)
    names = set(map(str, dataset.data_vars))
    if names & {"i_xt", "i_ty"} and "kind" in dataset.attrs:
        return _estimate(dataset)
    known = next((result for result, own in KNOWN_BY.items() if own <= names), None)
    if known is None:
        return dataset
    found = dataset.assign_attrs(result=known, version="0.1")
    return _reasons(found) if known == "layer_transport" and "flags" in found else found


def _reasons(dataset: xr.Dataset) -> xr.Dataset:
    """With flags for each quantity: those of its layer that may leave it missing, where it is missing."""
    flags = dataset["flags"]
    names = flags.attrs["flag_meanings"].split()
    masks = dict(zip(names, flags.attrs["flag_masks"], strict=True))
    for name in quantities(dataset):
        if dataset[name].dims == flags.dims:
            own = sum(mask for flag, mask in masks.items() if name in CONCERNS.get(flag, (name,)))
            missing = (flags & own).where(dataset[name].isnull(), 0).astype(np.int32)
            dataset[f"{name}_flags"] = missing.assign_attrs(flags.attrs | {"long_name": f"flags of {name}"})
    return with_flags(dataset)


def _estimate(dataset: xr.Dataset) -> xr.Dataset:
    attrs = dict(dataset.attrs)
    bound = str(attrs.pop("kind")).removesuffix(" bound")
    told: dict[str, Any] = {key: attrs.pop(key) for key in OF_QUANTITIES if key in attrs}
    attrs.pop("units", None)
    found = dataset.copy()
    found.attrs = attrs
    for name in quantities(found):
        own = {"bound": "estimate" if name == "i_ty" and told.get("estimator") == "Pairwise" else bound}
        found[name].attrs |= own
    for key, value in told.items():
        parts = _parts(value)
        labels = {str(label) for dim in ("layer", "estimator") if dim in found.coords for label in found[dim].values}
        split = bool(parts) and set(parts) <= labels
        if split:
            found = along(found, key, {label: _text(part) for label, part in parts.items()})
        texts = list(dict.fromkeys(map(_text, parts.values()))) if split else [_text(parts or value)]
        for name in quantities(found):
            found[name].attrs[key] = "; ".join(texts)
    dims = set(map(str, found.dims))
    result = "compare_estimators" if "estimator" in dims else "information_plane" if "epoch" in dims else "estimate"
    assert result in RESULTS
    found.attrs |= {"result": result, "version": "0.1"}
    if "flags" in found:
        flags = found["flags"].astype(np.int32)
        for name in quantities(found):
            found[f"{name}_flags"] = flags.assign_attrs(flags.attrs | {"long_name": f"flags of {name}"})
    return with_flags(found)


def _parts(value: Any) -> dict[str, Any]:
    """What a JSON text holds; nothing where it is not an object."""
    try:
        found = json.loads(value) if isinstance(value, str) else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    value = _parts(value) or value
    return ", ".join(f"{key}={part!r}" for key, part in value.items()) if isinstance(value, Mapping) else str(value)
