"""A measure broadcast over a recording: block by block of snapshots, all layers from one forward pass."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowplane.core.measure import Calibrated, Measure, NeedsFunction, TakesDeterminism
from flowplane.core.progress import progress_bar
from flowplane.errors import InputError, Text
from flowplane.recording.activations import snapshots_per_block

if TYPE_CHECKING:
    from flowplane.recording.reader import Recording

__all__ = ["measure_recording"]


def measure_recording(rec: Recording, measure: Measure, samples: str, memory_budget: int) -> xr.Dataset:
    """See `Recording.measure`."""
    measure = _informed(rec, measure)
    whole = rec.whole()
    measures = {layer: _calibrated(whole, layer, measure, memory_budget) for layer in rec.layers}
    index = [rec.network.index(layer) for layer in rec.layers]
    task = rec.task
    inputs = torch.tensor(task.inputs)
    groups = _groups(rec, samples)
    total = len(rec.replicas) * len(rec.epochs)
    collected: list[dict[str, np.ndarray]] = [{} for _ in rec.layers]
    templates: list[xr.Dataset | None] = [None] * len(rec.layers)
    with progress_bar(f"measuring {type(measure).__name__}", total) as advance:
        for rows, columns, weights in _blocks(rec, groups, memory_budget):
            chosen = groups[rows[0]]
            arguments = _arguments(task, chosen)
            outputs = rec.network.forward(weights, inputs, max(index) + 1)
            for place, (layer, k) in enumerate(zip(rec.layers, index, strict=True)):
                values = outputs[k] if chosen is None else outputs[k][:, chosen]
                result = measures[layer](values, **arguments)
                templates[place] = result
                for name, variable in result.data_vars.items():
                    target = collected[place].setdefault(
                        str(name), np.empty((len(rec.replicas), len(rec.epochs), *variable.shape[1:]), variable.dtype)
                    )
                    target[rows, columns] = variable.values
            advance(len(weights))
    return _assembled(rec, collected, templates, samples)


def _informed(rec: Recording, measure: Measure) -> Measure:
    """The measure, told whether T is a function of x. Raises InputError for one that needs it to be and where it is not."""
    if not rec.deterministic and isinstance(measure, NeedsFunction) and measure.needs_function:
        wanted = "an estimator that takes inputs as they are (KSG, …): the network of this recording has noise of its own"
        raise InputError("measure", Text(type(measure).__name__), wanted)
    if isinstance(measure, TakesDeterminism) and any(field.name == "deterministic" for field in dataclasses.fields(measure)):
        return dataclasses.replace(measure, deterministic=rec.deterministic)  # type: ignore[return-value]
    return measure


def _calibrated(whole: Recording, layer: str, measure: Measure, memory_budget: int) -> Measure:
    if not isinstance(measure, Calibrated):
        return measure

    def blocks() -> Iterator[Tensor]:
        depth = whole.network.index(layer) + 1
        inputs = torch.tensor(whole.task.inputs)
        for _, _, weights in _blocks(whole, [None] * len(whole.replicas), memory_budget):
            yield whole.network.forward(weights, inputs, depth)[-1]

    return measure.calibrated(whole.network.activation_of(layer), blocks)


def _groups(rec: Recording, samples: str) -> list[np.ndarray | None]:
    """The samples to measure for each replica; None for all."""
    if samples == "all":
        return [None] * len(rec.replicas)
    split = rec.split.values if samples == "train" else ~rec.split.values
    if not split.any():
        raise InputError("samples", samples, "a part that holds samples; train_fraction=1 leaves no test set")
    return [np.flatnonzero(row) for row in split]


def _blocks(
    rec: Recording, groups: list[np.ndarray | None], memory_budget: int
) -> Iterator[tuple[np.ndarray, np.ndarray, Tensor]]:
    """Blocks of snapshots: positions of their replicas and epochs, and their weights (batch, parameter).

    Replicas that are measured on different samples never share a block.
    """
    size = snapshots_per_block(rec.network, len(rec.task), memory_budget)
    replicas, epochs = len(rec.replicas), len(rec.epochs)
    stored = rec.weights
    slab = max(1, (memory_budget // 4) // (4 * replicas * rec.network.parameters))  # epochs of weights read together
    for first in range(0, epochs, slab):
        weights = stored.isel(epoch=slice(first, first + slab)).values
        rows, columns = (grid.ravel() for grid in np.indices(weights.shape[:2]))
        flat = torch.tensor(weights.reshape(-1, weights.shape[-1]))
        alone = weights.shape[1] if any(group is not None for group in groups) else len(flat)
        for start in range(0, len(flat), alone):
            for begin in range(start, start + alone, size):
                stop = min(begin + size, start + alone)
                yield rows[begin:stop], first + columns[begin:stop], flat[begin:stop]


def _arguments(task: Any, chosen: np.ndarray | None) -> dict[str, Any]:
    part = slice(None) if chosen is None else chosen
    weights = None
    if not task.uniform:
        weights = task.probability[part]
        if weights.sum() <= 0:
            raise InputError("samples", Text("samples of probability zero only"), "samples that can occur")
        weights = weights / weights.sum()
    return {
        "labels": task.labels[part],
        "inputs": task.inputs[part],
        "conditional": None if task.conditional is None else task.conditional[part],
        "probability": weights,
    }


def _assembled(
    rec: Recording, collected: list[dict[str, np.ndarray]], templates: list[xr.Dataset | None], samples: str
) -> xr.Dataset:
    template = templates[0]
    assert template is not None
    dataset = xr.Dataset(coords={"replica": rec.replicas, "epoch": rec.epochs, **rec.layer_coordinates()})
    for name, variable in template.data_vars.items():
        values = np.stack([layer[str(name)] for layer in collected], axis=2)
        dims = ("replica", "epoch", "layer", *variable.dims[1:])
        dataset[name] = xr.Variable(dims, values, variable.attrs)
    for coordinate, along_layers in _scalar_coordinates(templates).items():
        if coordinate not in dataset.coords:
            dataset.coords[coordinate] = along_layers
    for key in template.attrs:
        by_layer = {
            layer: part.attrs.get(key) for layer, part in zip(rec.layers, templates, strict=True) if part is not None
        }
        same = all(value == template.attrs[key] for value in by_layer.values())
        dataset.attrs[key] = template.attrs[key] if same else json.dumps(by_layer)
    dataset.attrs["samples"] = samples
    return dataset


def _scalar_coordinates(templates: list[xr.Dataset | None]) -> dict[str, xr.Variable]:
    """What each layer's result has as a scalar coordinate, such as `variance`, along `layer`; NaN where one has none."""
    layers = [{} if part is None else {str(key): c for key, c in part.coords.items() if c.ndim == 0} for part in templates]
    found: dict[str, xr.Variable] = {}
    for name in dict.fromkeys(name for layer in layers for name in layer):
        values = [layer[name].values[()] if name in layer else np.nan for layer in layers]
        attrs = next(layer[name].attrs for layer in layers if name in layer)
        found[name] = xr.Variable("layer", np.array(values), attrs)
    return found
