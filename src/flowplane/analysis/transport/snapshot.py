"""The transport lens on one snapshot of a network: the same samples in all layers in, a number per layer out."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from flowplane.analysis.transport.quantities import CHANGES, ERRORS, FLAGS, QUANTITIES, STEPS
from flowplane.transport.layers.embedding import layer_path
from flowplane.transport.layers.entropies import covariance_spectrum, neighbour_entropy, spectral_entropy
from flowplane.transport.layers.paths import followed
from flowplane.transport.layers.probes import linear_probe
from flowplane.transport.layers.separation import fisher_ratio, mean_class_distance
from flowplane.transport.layers.similarity import cka_matrix
from flowplane.transport.layers.slices import sliced
from flowplane.transport.layers.volumes import affine_log_det, dense_log_det

__all__ = [
    "AFFINE_FIT",
    "AFFINE_SAMPLES",
    "CLASSES",
    "CLASS_SAMPLES",
    "NEIGHBOURS",
    "NEIGHBOUR_UNITS",
    "Settings",
    "Snapshot",
    "levels",
]

#: Units up to which neighbours give an entropy, and which neighbour. Of 1,000 points in 8 dimensions it is right for a round
#: normal density, 1.3 nats too large for a cube and 1.4 for a normal of scales 1 to 20; in 16, 0.7, 3.8 and 5.4 too large.
NEIGHBOUR_UNITS, NEIGHBOURS = 8, 4
#: The best affine map needs this many samples per unit, and its volume counts if it explains this share of the variance.
AFFINE_SAMPLES, AFFINE_FIT = 4, 0.9
#: Points of a class between which W_2 is taken, and the commonest classes that are compared.
CLASS_SAMPLES, CLASSES = 50, 20

#: What the best affine map says.
AFFINE = ("log_det_affine", "affine_fit")

Points = Float[np.ndarray, "sample _"]
Spectrum = Float[np.ndarray, " unit"]
#: A layer's weight, bias and activation.
Dense = tuple[np.ndarray, np.ndarray, str]


@dataclass(frozen=True)
class Settings:
    """What all snapshots of a recording have in common."""

    embedding: str
    exact: int
    slices: int
    seed: int
    #: the inputs, where they are points; and as they stand in the common space
    start: Points | None
    path_start: Points | None
    start_spectrum: Spectrum | None
    #: classes of the samples
    labels: Int[np.ndarray, " sample"] | None
    #: whether each layer is a function of the one before, without noise
    functions: bool


class _Entropy(NamedTuple):
    """Two estimates in nats, the dimension, and why there are none."""

    gaussian: float
    neighbours: float
    units: int
    flags: tuple[str, ...]


class Snapshot:
    """All quantities of one snapshot: `columns` by layer, `cka`, `straightness` with its error, `flags`, `spectra`.

    Arguments:
        layers: one array (sample, unit) per layer.
        dense: a layer's weight, bias and activation, where its step starts at the layer before and they are known.
        settings: of all snapshots.
        exact: points of the exact plans; 0 for none.
        other: whether it is of another replica than the first.
    """

    def __init__(
        self, layers: list[Points], dense: list[Dense | None], settings: Settings, exact: int, other: bool = False
    ) -> None:
        self.settings, self.exact = settings, exact
        #: Why there are no exact plans, where there are none.
        self.without = "no_exact" if not settings.exact else "other_replica" if other else "other_epoch"
        names = (*QUANTITIES, *(f"{name}_error" for name in ERRORS))
        self.columns = {name: np.full(len(layers), np.nan) for name in names}
        self.flags = {name: np.zeros(len(layers), np.int32) for name in QUANTITIES}
        self.straightness = math.nan, math.nan
        if not all(np.isfinite(layer).all() for layer in layers):
            self._raise(slice(None), "not_finite")
            self.cka = np.full((len(layers), len(layers)), np.nan)
            self.spectra = [np.full(layer.shape[1], np.nan) for layer in layers]
            return
        self.cka = cka_matrix(layers)
        self.spectra = [covariance_spectrum(layer) for layer in layers]
        self._paths(layers)
        self._entropies(layers)
        for l, (origin, layer) in enumerate(zip([settings.start, *layers[:-1]], layers, strict=True)):
            self._volumes(l, origin, layer, dense[l])
            for name, value in levels(layer, self.spectra[l], settings).items():
                self.columns[name][l] = value
                if math.isnan(value) and name in QUANTITIES:
                    self._raise(l, "no_variance" if self.spectra[l].max() <= 0 else "no_classes", of=[name])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"settings": None}  # with the inputs, which the caller that gathers snapshots has

    def _raise(self, layers: int | slice, *flags: str, of: Collection[str] = tuple(QUANTITIES)) -> None:
        """Flags of some quantities at a layer, or several: for each quantity those that may concern it."""
        for quantity in of:
            own = ("not_finite", *QUANTITIES[quantity].reasons)
            self.flags[quantity][layers] |= FLAGS.bits(*(flag for flag in dict.fromkeys(flags) if flag in own))

    def _paths(self, layers: list[Points]) -> None:
        """What belongs to steps in the common space."""
        settings = self.settings
        shift = 0 if settings.start is None else 1
        if not shift:
            self._raise(0, "no_start")
        self._raise(slice(2 - shift), "no_turn")
        clouds = layers if settings.path_start is None else [settings.path_start, *layers]
        if not self.exact:
            self._raise(slice(None), self.without, of=STEPS)
        if len(clouds) < 2:
            return
        path = layer_path(clouds, settings.embedding, seed=settings.seed)
        steps = followed(path, self.exact, seed=settings.seed)
        found = steps.columns | sliced(path, settings.slices, seed=settings.seed).columns
        for name in STEPS:
            self.columns[name][:], self.columns[f"{name}_error"][:] = found[name][shift:].T
        self.straightness = steps.straightness

    def _entropies(self, layers: list[Points]) -> None:
        """What each layer has in its own dimension, and how a step changes it where the dimension stays."""
        start, spectrum = self.settings.start, self.settings.start_spectrum
        before = None if start is None else self._entropy(start, spectrum, math.inf)
        narrowest = math.inf if before is None else before.units
        for l, layer in enumerate(layers):
            own = self._entropy(layer, self.spectra[l], narrowest)
            self.columns["entropy"][l], self.columns["entropy_neighbours"][l] = own.gaussian, own.neighbours
            self._raise(l, *own.flags, of=("entropy", "entropy_neighbours"))
            if before is not None and before.units == own.units:
                self.columns["entropy_change"][l] = own.gaussian - before.gaussian
                self.columns["entropy_change_neighbours"][l] = own.neighbours - before.neighbours
                self._raise(l, *own.flags, *before.flags, of=CHANGES)
            elif before is not None:
                self._raise(l, "width_changes")
            before, narrowest = own, min(narrowest, own.units)

    def _entropy(self, points: Points, spectrum: Any, narrowest: float) -> _Entropy:
        n, d = points.shape
        gaussian = spectral_entropy(spectrum, n)
        reasons = ["too_few_samples"] if d >= n else ["singular"] * math.isnan(gaussian)
        reasons += ["many_units"] * (d > NEIGHBOUR_UNITS)
        reasons += ["low_dimensional"] * (self.settings.functions and d > narrowest)
        if reasons or n <= NEIGHBOURS:
            return _Entropy(gaussian, math.nan, d, tuple(reasons))
        near = neighbour_entropy(points, NEIGHBOURS)
        return _Entropy(gaussian, near, d, ("ties",) if math.isnan(near) else ())

    def _volumes(self, l: int, origin: Points | None, layer: Points, dense: Dense | None) -> None:
        if origin is None or origin.shape[1] != layer.shape[1]:
            return
        n, d = layer.shape
        if dense is None:
            self._raise(l, "no_weights")
        else:
            weight, bias, activation = dense
            found = dense_log_det(origin.astype(np.float64), weight, bias=bias, activation=activation)
            self.columns["log_det"][l] = np.mean(found)
        if n < AFFINE_SAMPLES * d:
            self._raise(l, "too_few_samples", of=AFFINE)
            return
        volume, fit = affine_log_det(origin, layer)
        self.columns["affine_fit"][l] = fit
        if math.isnan(fit):
            self._raise(l, "singular", of=AFFINE)
        elif fit >= AFFINE_FIT:
            self.columns["log_det_affine"][l] = volume
        else:
            self._raise(l, "not_affine")


def levels(layer: Points, spectrum: Spectrum, settings: Settings) -> dict[str, float]:
    """What a layer has by itself: the participation ratio, and how far it keeps classes apart; NaN without classes.

    The probe learns from the first half of the samples and is asked about the second.
    """
    size = float(np.square(spectrum).sum())
    found = dict.fromkeys(("probe", "fisher", "distances", "distances_error"), math.nan)
    found["participation"] = float(spectrum.sum()) ** 2 / size if size > 0 else math.nan
    labels = settings.labels
    if labels is None:
        return found
    half = len(labels) // 2
    if len(np.unique(labels[:half])) > 1:
        found["probe"] = linear_probe(layer[:half], labels[:half], test=layer[half:], test_labels=labels[half:])
    found["fisher"] = fisher_ratio(layer, labels)
    names, counts = np.unique(labels, return_counts=True)
    common = np.isin(labels, names[np.argsort(-counts, kind="stable")[:CLASSES]])
    apart = mean_class_distance(layer[common], labels[common], samples=CLASS_SAMPLES, seed=settings.seed)
    return found | dict(zip(("distances", "distances_error"), apart, strict=True))
