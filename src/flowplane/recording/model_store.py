"""How the recording of a model by a `Recorder` is laid out in a repository.

Attributes of the root: `flowplane_format`, `configuration` (JSON; `kind` is "model"). Arrays:

| array | dimensions | contents |
|---|---|---|
| `epoch` | epoch | completed epochs; −1 where nothing was committed yet |
| `moments` | epoch, moment | optimiser steps, training time so far, mini-batches in the gradient statistics |
| `replica` | replica | 0 |
| `layers/00/activations` … | replica, epoch, sample, unit | a group per layer, in the order of the configuration |
| `gradients` | replica, epoch, layer, statistic | ‖E g‖, √(tr Cov g), ‖w‖ |
| `metrics/values` | replica, train_epoch, metric | names in the group's attributes, NaN where one was not given |
| `measures/00/…` … | replica, epoch, layer, … | online measures, see `measure_store` |
| `task/…` | sample, … | inputs, labels, targets, tokens (sample and place of each row): what there is of them |

There is room for more epochs than there are, in all arrays alike; `metrics/train_epoch` is −1 there as well.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Float
from zarr.core.array import AsyncArray
from zarr.core.sync import sync
from zarr.storage import StorePath

from flowplane.errors import InputError, Text
from flowplane.recording.measure_store import lay_out_measure
from flowplane.recording.store import BRANCH, FORMAT, Writer, array_of, growing, put

__all__ = ["MOMENTS", "Metrics", "ModelSnapshot", "ModelWriter"]

MOMENTS = ("step", "seconds", "batches")
#: Arrays of a task and their dimensions.
ROWS = {
    "inputs": ("sample", "feature"),
    "labels": ("sample",),
    "targets": ("sample", "target"),
    "tokens": ("sample", "place"),
}
#: Epochs per chunk of the small arrays.
SMALL = 64
#: Arrays grow by at least this many epochs at once, which writes nothing but metadata.
GROWTH = 64


@dataclass
class Metrics:
    """What was logged since the last snapshot: a row per epoch, a column per name."""

    epochs: list[int] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)

    def add(self, epoch: int, row: dict[str, float]) -> None:
        """One epoch's numbers."""
        self.epochs.append(epoch)
        self.rows.append(row)

    def __add__(self, other: Metrics) -> Metrics:
        return Metrics(self.epochs + other.epochs, self.rows + other.rows)


@dataclass(frozen=True)
class ModelSnapshot:
    """What one commit adds. Activations are None where only measures are kept, gradients where they are not."""

    epoch: int
    step: int
    seconds: float
    batches: int
    activations: Sequence[Float[np.ndarray, "sample unit"]] | None
    gradients: Float[np.ndarray, "layer 3"] | None
    measures: Sequence[xr.Dataset]
    #: Activations of second views of the samples, where there are any.
    views: Sequence[Float[np.ndarray, "sample unit"]] | None = None


class ModelWriter(Writer):
    """The writer of `fp.Recorder` and `fp.from_checkpoints`."""

    #: The metadata read for each array: opening one again takes as long as writing megabytes.
    _metadata: dict[str, Any]
    #: Rows of metrics, and snapshots, so far.
    _logged: int
    _snapshots: int
    #: Names of the metrics so far.
    _known: list[str]

    @classmethod
    def at(cls, path: Any, mode: str) -> Self:
        """The writer of a path. Raises InputError where `Writer` does, and where the path cannot be written to."""
        try:
            return cls(path, mode)
        except OSError as error:
            raise InputError("path", str(path), f"a folder that can be written ({error.strerror})") from error

    def begin(
        self,
        configuration: dict[str, Any],
        task: dict[str, Any],
        first: ModelSnapshot,
        metrics: Metrics,
        capacity: int,
        dtype: str,
    ) -> None:
        """Lay the recording out and commit it together with its first snapshot.

        Arguments:
            task: `name`, `inputs` (sample, feature), `labels`, `targets`, `tokens`, the arrays None where there are none,
                and `points`, whether inputs are points.
            capacity: snapshots to make room for; more may follow.
        """
        session = self.repository.writable_session(BRANCH)
        root = self._lay_out(session.store, configuration, task, capacity)
        for k, values in enumerate(first.activations or ()):
            group = root.create_group(f"layers/{k:02d}")
            self._lay_out_layer(group, "activations", capacity, values.shape, len(values), dtype)
            if first.views:
                self._lay_out_layer(group, "views", capacity, first.views[k].shape, len(values), dtype)
        layers = len(configuration["layers"])
        if first.gradients is not None:
            named = ("replica", "epoch", "layer", "statistic")
            growing(root, "gradients", (1, capacity, layers, 3), (1, SMALL, layers, 3), "float64", named)
        for k, found in enumerate(first.measures):
            lay_out_measure(root.create_group(f"measures/{k:02d}"), found, capacity, SMALL)
        self._add(session.store, first)
        self._log(session.store, metrics)
        self.commit(session, f"epoch {first.epoch}")
        self._committed(metrics, snapshots=1)

    def _lay_out(self, store: Any, configuration: dict[str, Any], task: dict[str, Any], capacity: int) -> zarr.Group:
        """All but layers, gradients and measures."""
        root = zarr.create_group(store)
        root.attrs.update({"flowplane_format": FORMAT, "configuration": json.dumps(configuration)})
        put(root, "replica", np.arange(1), ("replica",))
        growing(root, "epoch", (capacity,), (4096,), "int64", ("epoch",), fill_value=-1)
        growing(root, "moments", (capacity, len(MOMENTS)), (SMALL, len(MOMENTS)), "float64", ("epoch", "moment"))
        logged = root.create_group("metrics")
        logged.attrs["names"] = []
        growing(logged, "train_epoch", (capacity,), (4096,), "int64", ("train_epoch",), fill_value=-1)
        growing(logged, "values", (1, capacity, 0), (1, 256, 8), "float64", ("replica", "train_epoch", "metric"))
        group = root.create_group("task")
        group.attrs.update({"name": task["name"], "points": task["points"]})
        for name, dims in ROWS.items():
            if task.get(name) is not None:
                put(group, name, task[name], dims)
        self._metadata, self._logged, self._snapshots, self._known = {}, 0, 0, []
        return root

    def _lay_out_layer(
        self, group: zarr.Group, name: str, capacity: int, shape: tuple[int, ...], rows: int, dtype: str
    ) -> None:
        """A layer's array of `capacity` snapshots (sample, unit), with `rows` rows per chunk."""
        # not compressed: that takes longer than all the rest, for a third of the bytes
        growing(
            group,
            name,
            (1, capacity, *shape),
            (1, 1, rows, *shape[1:]),
            dtype,
            ("replica", "epoch", "sample", "unit"),
            fill_value=0.0,
            compressors=None,
        )

    def resume(self) -> None:
        """Find out how far the recording has come, to go on from there.

        Raises:
            InputError: online measures of an earlier format.
        """
        root = zarr.open_group(self.repository.readonly_session(BRANCH).store, mode="r")
        written = int(str(root.attrs["flowplane_format"]))
        if written < FORMAT and "measures" in root:
            found = Text(f"{self.path}, online measures in format {written}")
            raise InputError("path", found, f"format {FORMAT}; older measures are read, but not added to")
        self._metadata = {}
        self._snapshots = int((np.asarray(array_of(root, "epoch")[:]) >= 0).sum())
        self._logged = int((np.asarray(array_of(root, "metrics/train_epoch")[:]) >= 0).sum())
        self._known = _names_in(root)

    def append(self, snapshot: ModelSnapshot, metrics: Metrics) -> None:
        """Commit one more snapshot, and what was logged since the last: all of it, or nothing."""
        session = self.repository.writable_session(BRANCH)
        with self._forgetting():
            self._add(session.store, snapshot)
            self._log(session.store, metrics)
            self.commit(session, f"epoch {snapshot.epoch}")
        self._committed(metrics, snapshots=1)

    def log(self, metrics: Metrics) -> None:
        """Commit what was logged since the last snapshot."""
        session = self.repository.writable_session(BRANCH)
        with self._forgetting():
            self._log(session.store, metrics)
            self.commit(session, f"metrics to epoch {metrics.epochs[-1]}")
        self._committed(metrics, snapshots=0)

    def _committed(self, metrics: Metrics, snapshots: int) -> None:
        self._snapshots += snapshots
        self._logged += len(metrics.epochs)

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """Metadata that a failed session changed is read again."""
        try:
            yield
        except BaseException:
            self._metadata = {}
            self._known = _names_in(zarr.open_group(self.repository.readonly_session(BRANCH).store, mode="r"))
            raise

    def _add(self, store: Any, snapshot: ModelSnapshot) -> None:
        place = self._snapshots
        parts: list[tuple[str, int, np.ndarray]] = [
            (f"layers/{k:02d}/activations", 1, values) for k, values in enumerate(snapshot.activations or ())
        ]
        parts += [(f"layers/{k:02d}/views", 1, values) for k, values in enumerate(snapshot.views or ())]
        if snapshot.gradients is not None:
            parts.append(("gradients", 1, snapshot.gradients))
        for k, found in enumerate(snapshot.measures):
            parts += [(f"measures/{k:02d}/{name}", 1, variable.values) for name, variable in found.data_vars.items()]
        parts.append(("moments", 0, np.array([getattr(snapshot, name) for name in MOMENTS])))
        parts.append(("epoch", 0, np.array(snapshot.epoch)))
        arrays = [self._room(store, path, axis, place).async_array for path, axis, _ in parts]

        async def together() -> None:
            """Arrays written one by one would each wait for the other thread."""
            selections = [(0, place) if axis else (place,) for _, axis, _ in parts]
            written = zip(arrays, selections, parts, strict=True)
            await asyncio.gather(*(array.setitem(where, values) for array, where, (_, _, values) in written))

        sync(together())

    def _log(self, store: Any, metrics: Metrics) -> None:
        if not metrics.epochs:
            return
        first, last = self._logged, self._logged + len(metrics.epochs) - 1
        self._room(store, "metrics/train_epoch", 0, last)[first : last + 1] = np.array(metrics.epochs)
        names = self._names(store, metrics)
        values = self._room(store, "metrics/values", 1, last)  # also without names: both have a place for each epoch
        if names:
            values[0, first : last + 1] = np.array([[row.get(name, np.nan) for name in names] for row in metrics.rows])

    def _names(self, store: Any, metrics: Metrics) -> list[str]:
        """Names of all metrics so far; where one is new, there is room for it."""
        names = list(dict.fromkeys([*self._known, *(name for row in metrics.rows for name in row)]))
        if names != self._known:
            array = self._array(store, "metrics/values")
            array.resize((1, array.shape[1], len(names)))
            self._metadata["metrics/values"] = array.metadata
            zarr.open_group(store, path="metrics", mode="r+").attrs["names"] = names
            self._known = names
        return names

    def _array(self, store: Any, path: str) -> zarr.Array[Any]:
        if path not in self._metadata:
            found = array_of(zarr.open_group(store, mode="r+"), path)
            self._metadata[path] = found.metadata
        # empty chunks are written: looking for them takes longer
        return zarr.Array(AsyncArray(self._metadata[path], StorePath(store, path), {"write_empty_chunks": True}))

    def _room(self, store: Any, path: str, axis: int, place: int) -> zarr.Array[Any]:
        """The array, made longer along the axis if the place lies beyond its end."""
        array = self._array(store, path)
        if place >= array.shape[axis]:
            longer = max(place + GROWTH, place + place // 2)
            array.resize((*array.shape[:axis], longer, *array.shape[axis + 1 :]))
            self._metadata[path] = array.metadata
        return array


def _names_in(root: zarr.Group) -> list[str]:
    """Names of the metrics of a recording."""
    group = root["metrics"]
    assert isinstance(group, zarr.Group)
    return list(group.attrs["names"])  # type: ignore[arg-type]
