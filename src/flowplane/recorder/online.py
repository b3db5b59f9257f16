"""Measures taken while training: of each layer, from the rows that the probe saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from flowplane.core.measure import LayerFacts, Measure, check_measure, of_samples, prepared
from flowplane.core.results import joined, without_flags
from flowplane.errors import InputError, Text
from flowplane.recorder.probe import Layer, Probe

__all__ = ["OnlineMeasures", "checked_measures"]


class OnlineMeasures:
    """What each measure finds in all layers of a snapshot.

    Arguments:
        task: `inputs`, `labels`, and `points`, whether inputs are points.

    Raises:
        InputError: a measure whose parameters depend on the whole recording.
    """

    def __init__(self, measures: Sequence[Measure], probe: Probe, task: dict[str, Any]) -> None:
        self._layers = [layer.name for layer in probe.layers]
        self._labels = task["labels"]
        self._targets = task["targets"]
        self._groups = None if task["tokens"] is None else task["tokens"][:, 0]
        self._inputs = task["inputs"] if task["points"] else None
        self._measures = [[_prepared(each, layer) for layer in probe.layers] for each in measures]

    def __call__(self, rows: list[np.ndarray]) -> list[xr.Dataset]:
        """One Dataset per measure, (layer, …)."""
        found = []
        for by_layer in self._measures:
            known = of_samples(by_layer[0], self._labels, self._targets, self._groups)
            pairs = zip(by_layer, rows, strict=True)
            parts = [measure(values[None], **known, inputs=self._inputs) for measure, values in pairs]
            found.append(without_flags(_beside(dict(zip(self._layers, parts, strict=True)))))
        return found


def checked_measures(measures: Any) -> tuple[Measure, ...]:
    """Measures given as one, or as several."""
    found = tuple(measures) if isinstance(measures, Sequence) else (measures,)
    return tuple(check_measure("measures", measure) for measure in found)


def _prepared(measure: Measure, layer: Layer) -> Measure:
    """The measure, with what it needs to know about the layer."""

    def unknowable() -> Any:
        found = Text(f"{measure!r}, whose parameters depend on the whole recording")
        raise InputError("measures", found, "one whose parameters are fixed, such as fp.Binned(30, range=(-1, 1))")

    try:
        return prepared(measure, LayerFacts(layer.activation, layer.deterministic, unknowable))  # type: ignore[no-any-return]
    except InputError as error:
        raise InputError("measures", error.found, error.expected) from error


def _beside(parts: dict[str, xr.Dataset]) -> xr.Dataset:
    """One snapshot's results of all layers, (layer, …); those of each have a leading dimension of length 1."""
    first = next(iter(parts.values()))
    dataset = xr.Dataset(coords={"layer": list(parts)} | {name: own for name, own in first.coords.items() if own.ndim})
    for name, variable in first.data_vars.items():
        values = np.stack([part[name].values[0] for part in parts.values()])
        dataset[name] = (("layer", *variable.dims[1:]), values)
    return joined(dataset, "layer", parts)
