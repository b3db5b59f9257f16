"""A measure broadcast over a recording: block by block of snapshots, all layers from one forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowplane.core.measure import LayerFacts, Measure, of_samples, prepared
from flowplane.core.progress import progress_bar
from flowplane.core.results import joined, stamp
from flowplane.errors import InputError, Text
from flowplane.tasks import Task

if TYPE_CHECKING:
    from flowplane.recording.reader import Recording

__all__ = ["measure_recording"]


def measure_recording(rec: Recording, measure: Measure, samples: str, memory_budget: int) -> xr.Dataset:
    """See `Recording.measure`."""
    whole = rec.whole()
    measures = {layer: prepared(measure, _facts(whole, layer, memory_budget)) for layer in rec.layers}
    task = rec.task
    groups = _groups(rec, samples)
    total = len(rec.replicas) * len(rec.epochs)
    collected: dict[str, dict[str, np.ndarray]] = {layer: {} for layer in rec.layers}
    templates: dict[str, xr.Dataset] = {}
    with progress_bar(f"measuring {type(measure).__name__}", total) as advance:
        for rows, columns, outputs in rec.blocks(rec.layers, memory_budget, groups):
            chosen = groups[rows[0]]
            arguments = _arguments(rec, task, chosen, measure)
            for layer, whole_layer in outputs.items():
                values = whole_layer if chosen is None else whole_layer[:, chosen]
                result = templates[layer] = _measured(measures[layer], values, arguments, layer, rec.epochs[columns])
                for name, variable in result.data_vars.items():
                    target = collected[layer].setdefault(
                        str(name), np.empty((len(rec.replicas), len(rec.epochs), *variable.shape[1:]), variable.dtype)
                    )
                    target[rows, columns] = variable.values
            advance(len(rows) * len(outputs) / len(rec.layers))
    return _assembled(rec, collected, templates, samples)


def _measured(measure: Measure, values: Tensor, arguments: dict[str, Any], layer: str, epochs: np.ndarray) -> xr.Dataset:
    """One block's results. Raises InputError naming layer and epochs where activations are not finite."""
    try:
        return measure(values, **arguments)
    except InputError as error:
        if error.argument != "activations" or bool(torch.isfinite(values).all()):
            raise
        bad = epochs[~torch.isfinite(values).all(-1).all(-1).numpy()]
        wanted = f"finite numbers; rec.sel(epoch=slice(None, {bad.min() - 1})) leaves what came before"
        raise InputError(
            "activations", Text(f"NaN or infinite values in layer {layer!r} at epoch {bad.min()}"), wanted
        ) from error


def _facts(whole: Recording, layer: str, memory_budget: int) -> LayerFacts:
    """What a recording knows of a layer."""

    def blocks() -> Iterator[Tensor]:
        """Snapshots at which training had diverged tell nothing of the layer's range."""
        found = False
        for _, _, outputs in whole.blocks([layer], memory_budget):
            for values in outputs.values():
                finite = torch.isfinite(values).all(-1).all(-1)
                if finite.any():
                    found = True
                    yield values if finite.all() else values[finite]
        if not found:
            raise InputError(
                "activations", Text(f"NaN or infinite values in layer {layer!r} at every epoch"), "finite numbers"
            )

    return LayerFacts(whole.activation_of(layer), whole.deterministic_of(layer), blocks)


def _groups(rec: Recording, samples: str) -> list[np.ndarray | None]:
    """The samples to measure for each replica; None for all."""
    if samples == "all":
        return [None] * len(rec.replicas)
    split = rec.split.values if samples == "train" else ~rec.split.values
    if not split.any():
        raise InputError("samples", samples, "a part that holds samples; train_fraction=1 leaves no test set")
    return [np.flatnonzero(row) for row in split]


def _arguments(rec: Recording, task: Task, chosen: np.ndarray | None, measure: Measure) -> dict[str, Any]:
    part = slice(None) if chosen is None else chosen
    weights = None
    if rec.kind == "ensemble":  # the task lists all inputs that there are
        weights = task.probability[part]
        if weights.sum() <= 0:
            raise InputError("samples", Text("samples of probability zero only"), "samples that can occur")
        weights = weights / weights.sum()
    given = (None if each is None else each[part] for each in (task.labels, rec.targets, rec.row_samples))
    return of_samples(measure, *given) | {
        "inputs": None if rec.input_points is None else task.inputs[part],
        "conditional": None if task.conditional is None else task.conditional[part],
        "probability": weights,
    }


def _assembled(
    rec: Recording, collected: dict[str, dict[str, np.ndarray]], templates: dict[str, xr.Dataset], samples: str
) -> xr.Dataset:
    template = templates[rec.layers[0]]
    dataset = xr.Dataset(coords={"replica": rec.replicas, "epoch": rec.epochs, **rec.layer_coordinates()})
    for name, variable in template.data_vars.items():
        values = np.stack([collected[layer][str(name)] for layer in rec.layers], axis=2)
        dataset[name] = xr.Variable(("replica", "epoch", "layer", *variable.dims[1:]), values, variable.attrs)
    dataset = dataset.assign_coords(
        {name: own for name, own in template.coords.items() if set(own.dims) & set(dataset.dims)}
    )
    dataset = joined(dataset, "layer", {layer: templates[layer] for layer in rec.layers})
    return stamp(dataset, "measure", samples=samples, **rec.identity)
