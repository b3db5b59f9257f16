"""A measure broadcast over a recording: block by block of snapshots, all layers from one forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowplane.core.executors import Executor, Serial, executor_of
from flowplane.core.measure import LayerFacts, Measure, of_samples, prepared
from flowplane.core.progress import progress_bar
from flowplane.core.results import joined, stamp
from flowplane.errors import InputError, Text
from flowplane.tasks import Task

if TYPE_CHECKING:
    from flowplane.recording.reader import Place, Recording

__all__ = ["measure_recording"]


def measure_recording(rec: Recording, measure: Measure, samples: str, memory_budget: int, cluster: Any) -> xr.Dataset:
    """See `Recording.measure`."""
    groups = _groups(rec, samples)
    total = len(rec.replicas) * len(rec.epochs)
    collected: dict[str, dict[str, np.ndarray]] = {layer: {} for layer in rec.layers}
    templates: dict[str, xr.Dataset] = {}
    with progress_bar(f"measuring {type(measure).__name__}", total) as advance, executor_of(cluster) as executor:
        settled = executor.map(partial(_settled, rec.whole(), measure, memory_budget), rec.layers)
        measures = dict(zip(rec.layers, settled, strict=True))
        places = _parts(rec, memory_budget, groups, executor)
        results = executor.map(partial(_measured_at, rec, measure, measures, groups), places)
        for place, found in zip(places, results, strict=True):
            for layer, result in found.items():
                templates[layer] = result
                for name, variable in result.data_vars.items():
                    target = collected[layer].setdefault(
                        str(name), np.empty((len(rec.replicas), len(rec.epochs), *variable.shape[1:]), variable.dtype)
                    )
                    target[place.rows, place.columns] = variable.values
            advance(len(place.rows) * len(place.layers) / len(rec.layers))
    return _assembled(rec, collected, templates, samples)


def _parts(rec: Recording, memory_budget: int, groups: list[np.ndarray | None], executor: Executor) -> list[Place]:
    """What is measured at one time: elsewhere layer by layer, so that there is work for many. Snapshots stay together as
    they are here: how many there are in a block may decide about the last bit."""
    places = rec.places(rec.layers, memory_budget, groups)
    if isinstance(executor, Serial):
        return places
    return [place._replace(layers=(layer,)) for place in places for layer in place.layers]


def _measured_at(
    rec: Recording, measure: Measure, settled: dict[str, Measure], groups: list[np.ndarray | None], place: Place
) -> dict[str, xr.Dataset]:
    """The results of one block, layer by layer."""
    rows, columns, outputs = rec.block(place)
    chosen = groups[rows[0]]
    arguments = _arguments(rec, rec.task, chosen, measure)
    found = {}
    for layer, whole in outputs.items():
        values = whole if chosen is None else whole[:, chosen]
        found[layer] = _measured(settled[layer], values, arguments, layer, rec.epochs[columns])
    return found


def _settled(whole: Recording, measure: Measure, memory_budget: int, layer: str) -> Measure:
    """The measure, with what belongs to a layer over the whole recording settled."""
    return prepared(measure, _facts(whole, layer, memory_budget))  # type: ignore[no-any-return]


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
