"""How what a `Recorder` saw of a model is laid out in a repository: format 2.

Attributes of the root: `flowplane_format`, `configuration` (JSON; `kind` is "model"). Arrays:

| array | dimensions | contents |
|---|---|---|
| `epoch` `step` `seconds` | epoch | completed epochs, optimiser steps, training time so far |
| `batches` | epoch | mini-batches in the gradient statistics |
| `replica` | replica | 0 |
| `layers/00/activations` … | replica, epoch, sample, unit | a group a layer, in the order of the configuration |
| `gradients` | replica, epoch, layer, statistic | ‖E g‖, √(tr Cov g), ‖w‖ |
| `metrics/values` | replica, train_epoch, metric | names in the group's attributes, NaN where one was not given |
| `measures/00/values` … | replica, epoch, layer, number | online measures, packed as `Packing` says |
| `task/…` | sample, … | inputs, labels, targets: what there is of them |

Activations and measures may be longer than `epoch`: what lies beyond its end was never committed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Float

from flowplane.recording.store import BRANCH, FORMAT, Writer, array_of, growing, put

__all__ = ["Metrics", "ModelSnapshot", "ModelWriter", "pack", "unpack"]

#: Epochs that the small arrays hold a chunk.
SMALL = 64
#: Arrays grow by at least so many epochs at once, which writes nothing but metadata.
GROWTH = 64


@dataclass
class Metrics:
    """What was logged since the last snapshot: an epoch a row, a name a column."""

    epochs: list[int] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)

    def add(self, epoch: int, row: dict[str, float]) -> None:
        """One epoch's numbers."""
        self.epochs.append(epoch)
        self.rows.append(row)


@dataclass(frozen=True)
class ModelSnapshot:
    """What one commit adds. Activations are None where only measures are kept, gradients where they are not."""

    epoch: int
    step: int
    seconds: float
    batches: int
    activations: Sequence[Float[np.ndarray, "sample unit"]] | None
    gradients: Float[np.ndarray, "layer 3"] | None
    measures: Sequence[Float[np.ndarray, "layer number"]]


class ModelWriter(Writer):
    """The writer of `fp.Recorder` and `fp.from_checkpoints`."""

    def begin(self, configuration: dict[str, Any], task: dict[str, Any], first: ModelSnapshot, metrics: Metrics,
              packings: Sequence[dict[str, Any]], capacity: int, dtype: str) -> None:  # fmt: skip
        """Lay the recording out and commit it together with its first snapshot.

        Arguments:
            task: `name`, `inputs` (sample, feature), `labels`, `targets`, the arrays None where there are none, and
                `points`, whether inputs are points.
            packings: how each measure's numbers are packed.
            capacity: snapshots to make room for; more may follow.
        """
        session = self.repository.writable_session(BRANCH)
        root = zarr.create_group(session.store)
        root.attrs.update({"flowplane_format": FORMAT, "configuration": json.dumps(configuration)})
        put(root, "replica", np.arange(1), ("replica",))
        for name, kind in (("epoch", "int64"), ("step", "int64"), ("seconds", "float64"), ("batches", "int64")):
            growing(root, name, (0,), (4096,), kind, ("epoch",))
        for k, values in enumerate(first.activations or ()):
            shape = (1, capacity, *values.shape)
            growing(root.create_group(f"layers/{k:02d}"), "activations", shape, (1, 1, *values.shape), dtype,
                    ("replica", "epoch", "sample", "unit"))  # fmt: skip
        layers = len(configuration["layers"])
        if first.gradients is not None:
            named = ("replica", "epoch", "layer", "statistic")
            growing(root, "gradients", (1, 0, layers, 3), (1, SMALL, layers, 3), "float64", named)
        for k, (packing, packed) in enumerate(zip(packings, first.measures, strict=True)):
            group = root.create_group(f"measures/{k:02d}")
            group.attrs["packing"] = json.dumps(packing)
            shape = (1, capacity, *packed.shape)
            growing(group, "values", shape, (1, SMALL, *packed.shape), "float64", ("replica", "epoch", "layer", "number"))
        logged = root.create_group("metrics")
        logged.attrs["names"] = []
        growing(logged, "train_epoch", (0,), (4096,), "int64", ("train_epoch",))
        growing(logged, "values", (1, 0, 0), (1, 256, 8), "float64", ("replica", "train_epoch", "metric"))
        group = root.create_group("task")
        group.attrs.update({"name": task["name"], "points": task["points"]})
        for name, dims in (("inputs", ("sample", "feature")), ("labels", ("sample",)), ("targets", ("sample", "target"))):
            if task[name] is not None:
                put(group, name, task[name], dims)
        self._add(root, first, metrics)
        self.commit(session, f"epoch {first.epoch}")

    def append(self, snapshot: ModelSnapshot, metrics: Metrics) -> None:
        """Commit one more snapshot, and what was logged since the last: all of it, or nothing."""
        session = self.repository.writable_session(BRANCH)
        self._add(zarr.open_group(session.store, mode="r+"), snapshot, metrics)
        self.commit(session, f"epoch {snapshot.epoch}")

    def log(self, metrics: Metrics) -> None:
        """Commit what was logged since the last snapshot."""
        session = self.repository.writable_session(BRANCH)
        _log(zarr.open_group(session.store, mode="r+"), metrics)
        self.commit(session, f"metrics to epoch {metrics.epochs[-1]}")

    @staticmethod
    def _add(root: zarr.Group, snapshot: ModelSnapshot, metrics: Metrics) -> None:
        place = array_of(root, "epoch").shape[0]
        for k, values in enumerate(snapshot.activations or ()):
            _set(array_of(root, f"layers/{k:02d}/activations"), place, values)
        if snapshot.gradients is not None:
            array_of(root, "gradients").append(snapshot.gradients[None, None], axis=1)
        for k, packed in enumerate(snapshot.measures):
            _set(array_of(root, f"measures/{k:02d}/values"), place, packed)
        for name in ("epoch", "step", "seconds", "batches"):
            array_of(root, name).append(np.array([getattr(snapshot, name)]))
        _log(root, metrics)


def _set(array: zarr.Array[Any], place: int, values: np.ndarray) -> None:
    """One snapshot's values; the array is made longer where it is full."""
    if place >= array.shape[1]:
        array.resize((1, max(place + GROWTH, place + place // 2), *array.shape[2:]))
    array[0, place] = values


def _log(root: zarr.Group, metrics: Metrics) -> None:
    if not metrics.epochs:
        return
    group = root["metrics"]
    assert isinstance(group, zarr.Group)
    known: list[str] = list(group.attrs["names"])  # type: ignore[arg-type]
    names = list(dict.fromkeys([*known, *(name for row in metrics.rows for name in row)]))
    array, count = array_of(group, "values"), len(metrics.epochs)
    start = array.shape[1]
    array.resize((1, start + count, len(names)))
    if names:
        array[0, start:] = np.array([[row.get(name, np.nan) for name in names] for row in metrics.rows]).reshape(count, -1)
    if names != known:
        group.attrs["names"] = names
    array_of(group, "train_epoch").append(np.array(metrics.epochs))


def pack(layers: Sequence[xr.Dataset]) -> tuple[dict[str, Any], Float[np.ndarray, "layer number"]]:
    """One snapshot's results, a Dataset a layer with a leading dimension of length 1, as rows of numbers, and what `unpack`
    needs to read them."""
    first = layers[0]
    variables = [
        {"name": str(name), "dims": list(map(str, variable.dims[1:])), "shape": list(variable.shape[1:]),
         "kind": variable.dtype.str, "attrs": _plain(variable.attrs)}
        for name, variable in first.data_vars.items()
    ]  # fmt: skip
    rows = [
        np.concatenate([np.ravel(part[str(each["name"])].values).astype(float) for each in variables]) for part in layers
    ]
    keys = first.attrs.keys()
    attrs = {str(key): [_plain(part.attrs).get(key) for part in layers] for key in keys}
    return {"variables": variables, "attrs": attrs}, np.stack(rows)


def unpack(packing: dict[str, Any], values: Float[np.ndarray, "replica epoch layer number"], layers: Sequence[str],
           places: Sequence[int]) -> xr.Dataset:  # fmt: skip
    """The inverse of `pack` for all snapshots: a Dataset (replica, epoch, layer), of the layers at these places."""
    dataset, start = xr.Dataset(), 0
    for each in packing["variables"]:
        size = int(np.prod(each["shape"]))
        part = values[:, :, list(places), start : start + size].astype(np.dtype(each["kind"]))
        dims = ("replica", "epoch", "layer", *each["dims"])
        dataset[each["name"]] = (dims, part.reshape(*part.shape[:3], *each["shape"]), each["attrs"])
        start += size
    for key, by_layer in packing["attrs"].items():
        chosen = [by_layer[place] for place in places]
        same = all(value == chosen[0] for value in chosen)
        dataset.attrs[key] = chosen[0] if same else json.dumps(dict(zip(layers, chosen, strict=True)))
    return dataset


def _plain(attrs: dict[Any, Any]) -> dict[str, Any]:
    """Attributes as JSON holds them."""
    return {str(key): value.tolist() if hasattr(value, "tolist") else value for key, value in attrs.items()}
