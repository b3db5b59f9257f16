"""The Dataset that `fp.layer_transport` returns, made of its snapshots."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from flowplane.analysis.transport.quantities import ERRORS, FLAGS, LEVELS, QUANTITIES
from flowplane.analysis.transport.snapshot import (
    AFFINE_FIT,
    AFFINE_SAMPLES,
    CLASS_SAMPLES,
    CLASSES,
    NEIGHBOUR_UNITS,
    NEIGHBOURS,
    Settings,
    levels,
)
from flowplane.information.schema import parameters_text
from flowplane.recording import Recording
from flowplane.transport.layers.entropies import spectral_energy, spectral_entropy

__all__ = ["transport_dataset"]

DIMS = ("replica", "epoch", "layer")
#: The default smoothing variance, as a share of a unit's variance, the median over all layers and snapshots.
SMOOTHING = 0.01


#: What was settled beforehand.
PARAMETERS = {
    "neighbours": NEIGHBOURS,
    "neighbour_units": NEIGHBOUR_UNITS,
    "affine_samples_per_unit": AFFINE_SAMPLES,
    "affine_least_fit": AFFINE_FIT,
    "class_samples": CLASS_SAMPLES,
    "classes": CLASSES,
    "probe": "half and half",
    "cka": "linear, unbiased",
}


def transport_dataset(rec: Recording, snapshots: np.ndarray, settings: Settings, variance: float | None) -> xr.Dataset:
    """All snapshots (replica, epoch) as one Dataset, with what needs them all: the variance that smooths."""
    shape = (*snapshots.shape, len(rec.layers))
    every = list(snapshots.ravel())
    columns = {name: np.stack([one.columns[name] for one in every]).reshape(shape) for name in every[0].columns}
    spectra = [one.spectra for one in every]
    if variance is None:
        sizes = [spectrum.mean() for one in spectra for spectrum in one]
        known = [size for size in sizes if size > 0]
        variance = SMOOTHING * float(np.median(known)) if known else SMOOTHING
    start = settings.start_spectrum
    columns["score_energy"] = np.array([[spectral_energy(s, variance) for s in one] for one in spectra]).reshape(shape)
    columns["entropy_change_smoothed"] = np.array([_changes(one, start, variance) for one in spectra]).reshape(shape)
    parts: dict[str, Any] = {}
    for name, about in QUANTITIES.items():
        parts[name] = (DIMS, columns[name], {"units": about.units, "long_name": about.long_name})
        flags = np.stack([one.flags[name] for one in every]).reshape(shape)
        parts[f"{name}_flags"] = (DIMS, flags, FLAGS.attrs(about.long_name))
    for name in ERRORS:
        about_error = {"units": QUANTITIES[name].units, "long_name": f"standard error of {name}"}
        parts[f"{name}_error"] = (DIMS, columns[f"{name}_error"], about_error)
    straight = np.array([one.straightness for one in every]).reshape(*shape[:2], 2)
    about_paths = {"units": "1", "long_name": "E|x_L − x_0| over the mean length of the paths"}
    parts["straightness"] = (DIMS[:2], straight[..., 0], about_paths)
    parts["straightness_error"] = (DIMS[:2], straight[..., 1], {"units": "1", "long_name": "standard error of straightness"})
    alike = np.stack([one.cka for one in every]).reshape(*shape, shape[-1])
    parts["cka"] = ((*DIMS, "other_layer"), alike, {"units": "1", "long_name": "linear CKA, unbiased HSIC"})
    if settings.start is not None and start is not None:
        found = levels(settings.start, start, settings)
        for name in LEVELS:
            units = {"units": QUANTITIES[name].units}
            parts[f"{name}_input"] = ((), found[name], units | {"long_name": f"{name} of the inputs"})
            if f"{name}_error" in found:
                error = units | {"long_name": f"standard error of {name} of the inputs"}
                parts[f"{name}_input_error"] = ((), found[f"{name}_error"], error)
    coords = {"replica": rec.replicas, "epoch": rec.epochs, **rec.layer_coordinates(), "other_layer": list(rec.layers)}
    return xr.Dataset(parts, coords, _about(rec, settings, variance))


def _changes(spectra: list[np.ndarray], start: np.ndarray | None, variance: float) -> np.ndarray:
    """Changes of the smoothed Gaussian's entropy, in the space of the widest layer."""
    clouds = spectra if start is None else [start, *spectra]
    widest = max(map(len, clouds))
    entropies = [spectral_entropy(np.pad(cloud, (0, widest - len(cloud))), 0, variance) for cloud in clouds]
    return np.diff(entropies, prepend=np.nan) if start is None else np.diff(entropies)


def _about(rec: Recording, settings: Settings, variance: float) -> dict[str, Any]:
    start = "the inputs" if settings.start is not None else "the first layer: the inputs are not points"
    return {
        "embedding": settings.embedding,
        "start": start,
        "exact_samples": settings.exact,
        "slices": settings.slices,
        "smoothing": variance,
        "parameters": parameters_text(PARAMETERS),
        "labels": "classes" if rec.kind == "ensemble" else rec.attrs["labels"],
    }
