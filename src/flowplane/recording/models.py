"""Recordings of the user's own model: activations are stored, as a `Recorder` saw them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
import xarray as xr
import zarr
from xarray.backends import BackendArray
from xarray.core import indexing

from flowplane.core.measure import Measure
from flowplane.core.older import modern, unpacked
from flowplane.core.results import stamp
from flowplane.errors import InputError, NotRecorded, Text, unknown
from flowplane.recording.measure_store import stored_measure
from flowplane.recording.model_store import MOMENTS
from flowplane.recording.reader import Block, Place, Recording
from flowplane.recording.selection import View
from flowplane.recording.store import array_of
from flowplane.tasks import Task

__all__ = ["ARRAYS", "LENS", "ModelRecording"]

#: What `attrs["source"]` says for a recording that `fp.from_arrays` made.
ARRAYS = "arrays"
#: What `online` calls the logit lens, which a Recorder with `unembed=` adds to its measures.
LENS = "logit lens"


class ModelRecording(Recording):
    """What one model did on its probe inputs: activations, gradient statistics, metrics, online measures."""

    kind = "model"

    @property
    def deterministic(self) -> bool:
        """Whether the layers shown gave the same outputs for the same inputs in eval mode."""
        return all(map(self.deterministic_of, self.layers))

    def deterministic_of(self, layer: str) -> bool:
        # before 0.2 it was one value for the whole model
        return self._about_layer(layer).get("deterministic", self.attrs["deterministic"])  # type: ignore[no-any-return]

    def layer_type_of(self, layer: str) -> str:
        return self._about_layer(layer)["module"]  # type: ignore[no-any-return]

    def adds_to_of(self, layer: str) -> int | None:
        """The place in `all_layers` of the layer to whose numbers this one adds what it computes from them, as blocks of a
        residual stream do; −1 for the inputs, None where no sum was seen."""
        return self._about_layer(layer).get("adds_to")  # type: ignore[no-any-return]

    def reduction_of(self, layer: str) -> str:
        return self._about_layer(layer)["reduce"]  # type: ignore[no-any-return]

    @property
    def architecture(self) -> str:
        count = len(self.all_layers)
        return f"{self.attrs['model']}, {count} layer{'s' if count > 1 else ''}"

    @property
    def activation(self) -> str:
        return ""

    def activation_of(self, layer: str) -> str | None:
        return self._about_layer(layer)["activation"]  # type: ignore[no-any-return]

    def _everything(self) -> View:
        committed = np.flatnonzero(self._root["epoch"].values >= 0)
        return View(self._store, np.arange(self._root.sizes["replica"]), committed, self.all_layers)

    def _about_layer(self, layer: str) -> dict[str, Any]:
        if layer not in self.all_layers:
            raise unknown("layer", layer, self.all_layers)
        return self.attrs["layers"][self.all_layers.index(layer)]  # type: ignore[no-any-return]

    @cached_property
    def all_layers(self) -> tuple[str, ...]:
        return tuple(layer["name"] for layer in self.attrs["layers"])

    @property
    def all_widths(self) -> tuple[int, ...]:
        return tuple(layer["width"] for layer in self.attrs["layers"])

    @cached_property
    def _task_group(self) -> xr.Dataset:
        return xr.open_zarr(self._store, group="task", consolidated=False, chunks=None)

    @cached_property
    def task(self) -> Task:
        """The probe inputs as rows, and their labels. Inputs that were not kept appear as one number per input, equal
        for equal inputs."""
        stored = self._task_group
        labels = stored["labels"].values if "labels" in stored else None
        inputs = stored["inputs"].values
        task = Task(inputs.astype(np.float32), labels, name=stored.attrs["name"])  # type: ignore[arg-type]
        if inputs.dtype == np.float64:  # as a model in double precision saw them: float32 may make them equal
            object.__setattr__(task, "inputs", inputs)
        return task

    @property
    def targets(self) -> np.ndarray | None:
        return self._task_group["targets"].values if "targets" in self._task_group else None

    @property
    def row_samples(self) -> np.ndarray | None:
        return self._task_group["tokens"].values[:, 0] if "tokens" in self._task_group else None

    @property
    def input_points(self) -> np.ndarray | None:
        return self.task.inputs if self._task_group.attrs["points"] else None

    @property
    def split(self) -> xr.DataArray:
        raise InputError("samples", Text("a part of the probe inputs"), "'all': what a model was trained on is not recorded")

    @property
    def epoch_batches(self) -> tuple[int, float]:
        """The median number of mini-batches in the gradient statistics; they are assumed to cover the whole training set."""
        batches = self._moment("batches")
        met = batches[batches > 0]
        if len(met) == 0:
            found = Text("a recording in which no optimiser took a step")
            raise InputError("rec", found, "one of a model that was trained between its snapshots")
        return int(np.median(met)), 1.0

    def _selected(self, name: str) -> xr.DataArray:
        if name not in self._root and self.attrs.get("source") == ARRAYS:
            wanted = "one of fp.Recorder, which watches a model while it is trained"
            raise NotRecorded(name, Text("a recording of arrays, which holds activations alone"), wanted)
        return super()._selected(name)

    @property
    def weights(self) -> xr.DataArray:
        raise InputError("rec", Text(f"a recording of {self.architecture}"), "a recording of fp.train, which keeps weights")

    def _moment(self, name: str) -> np.ndarray:
        return self._selected("moments").values[:, MOMENTS.index(name)]

    @property
    def seconds(self) -> xr.DataArray:
        return xr.DataArray(self._moment("seconds"), dims="epoch", coords={"epoch": self.epochs})

    @property
    def steps(self) -> xr.DataArray:
        """Steps of the optimiser at each snapshot (epoch); NaN where they were not given."""
        steps = self._moment("step")
        return xr.DataArray(np.where(steps < 0, np.nan, steps), dims="epoch", coords={"epoch": self.epochs})

    @property
    def metrics(self) -> xr.Dataset:
        """What was passed to `Recorder.step`, at every epoch (replica, train_epoch); NaN where a name was not given."""
        names: list[str] = list(zarr.open_group(self._store, path="metrics", mode="r").attrs["names"])  # type: ignore[arg-type]
        # without any, early versions left no place for more epochs than snapshots
        unread = [] if names else ["values"]
        stored = xr.open_zarr(self._store, group="metrics", consolidated=False, chunks=None, drop_variables=unread)
        stored = stored.isel(train_epoch=stored["train_epoch"].values >= 0)
        dataset = xr.Dataset({name: stored["values"].isel(metric=k) for k, name in enumerate(names)})
        dataset = dataset.assign_coords(train_epoch=stored["train_epoch"], replica=("replica", self.replicas))
        return stamp(dataset, "metrics", **self.identity)

    def activations(self, layer: str, inputs: Any = None) -> xr.DataArray:
        """One layer's outputs on the probe inputs (replica, epoch, sample, unit), read when they are used: float32, or
        float64 if they were recorded so. Where every token is a row, `sample` and `token` are coordinates.

        Arguments:
            layer: one of `layers`.
            inputs: None; other inputs need weights, which a recording of a model does not hold.

        Raises:
            InputError: an unknown layer, other inputs, or a recording that keeps measures only.
        """
        if layer not in self.layers:
            raise unknown("layer", layer, self.layers)
        if inputs is not None:
            raise InputError(
                "inputs", Text(type(inputs).__name__), "None: a recording of a model holds activations but no weights"
            )
        about = self._about_layer(layer)
        lazy = indexing.LazilyIndexedArray(_Stored(self._activations(layer), self._root.sizes["epoch"], self._name))
        array = xr.DataArray(xr.Variable(("replica", "epoch", "sample", "unit"), lazy)).isel(
            replica=self._view.replicas, epoch=self._view.epochs
        )
        array = array.assign_coords(replica=self.replicas, epoch=self.epochs, layer=layer).rename("activations")
        if "tokens" in self._task_group:  # every token is a row
            tokens = self._task_group["tokens"].values
            array = array.assign_coords(sample=tokens[:, 0], token=("sample", tokens[:, 1]))
        array.attrs |= {"activation": about["activation"] or "", "noise_variance": 0.0, "reduce": about["reduce"]}
        return array

    def views(self, layer: str) -> xr.DataArray:
        """One layer's outputs on the second views of the probe inputs, as `activations`.

        Raises:
            NotRecorded: there are none.
        """
        self._about_layer(layer)
        if not self.attrs.get("views"):
            raise NotRecorded("rec", Text("a recording of one view of each sample"), "one recorded with views=")
        lazy = indexing.LazilyIndexedArray(_Stored(self._activations(layer, "views"), self._root.sizes["epoch"], self._name))
        array = xr.DataArray(xr.Variable(("replica", "epoch", "sample", "unit"), lazy))
        array = array.isel(replica=self._view.replicas, epoch=self._view.epochs)
        return array.assign_coords(replica=self.replicas, epoch=self.epochs, layer=layer).rename("views")

    def _activations(self, layer: str, name: str = "activations") -> zarr.Array[Any]:
        root = zarr.open_group(self._store, mode="r")
        if "layers" not in root:
            wanted = "one recorded with keep=('activations', …)"
            raise NotRecorded("rec", Text(f"a recording that keeps {self._kept()}"), wanted)
        return array_of(root, f"layers/{self.all_layers.index(layer):02d}/{name}")

    def places(
        self, layers: Sequence[str], memory_budget: int, groups: Sequence[np.ndarray | None] | None = None
    ) -> list[Place]:
        """A block holds one layer at some epochs."""
        found = []
        for layer in layers:
            _, epochs, samples, units = self.activations(layer).shape
            # estimators work in float64 and with several arrays of that size
            size = max(1, memory_budget // (8 * 8 * samples * units))
            for first in range(0, epochs, size):
                columns = np.arange(first, min(first + size, epochs))
                found.append(Place(np.zeros_like(columns), columns, (layer,), (first, first + len(columns))))
        return found

    def block(self, place: Place) -> Block:
        (layer,) = place.layers
        values = self.activations(layer).isel(epoch=slice(*place.together)).values[0]
        return place.rows, place.columns, {layer: torch.from_numpy(values)}

    def measure(
        self, measure: Measure, samples: str = "all", *, memory_budget: int = 1 << 30, cluster: Any = None
    ) -> xr.Dataset:
        """As `Recording.measure`; a measure taken online is not computed again."""
        known = self.attrs["measures"]
        if samples == "all" and repr(measure) in known:
            return self._online(known.index(repr(measure)))
        if known and "activations" not in self.attrs["keep"]:
            raise NotRecorded("measure", Text(repr(measure)), f"one taken online: {', '.join(known)}")
        return super().measure(measure, samples, memory_budget=memory_budget, cluster=cluster)

    @property
    def online(self) -> dict[str, xr.Dataset]:
        """What the measures given to the Recorder found, by their representation: Datasets (replica, epoch, layer)."""
        return {name: self._online(k) for k, name in enumerate(self.attrs["measures"])}

    def _online(self, place: int) -> xr.Dataset:
        """What one of the measures found."""
        group = zarr.open_group(self._store, path=f"measures/{place:02d}", mode="r")
        wanted: dict[str, Any] = {"replica": self._view.replicas, "epoch": self._view.epochs, "layer": self._places()}
        if "packing" in group.attrs:  # format 2
            found = unpacked(json.loads(str(group.attrs["packing"])), np.asarray(group["values"]), wanted, self.layers)
        else:
            found = stored_measure(group, wanted)
        found = found.assign_coords(replica=self.replicas, epoch=self.epochs, **self.layer_coordinates())
        return stamp(modern(found), "measure", samples="all", **self.identity)

    @property
    def _name(self) -> str:
        return "in memory" if self.path is None else self.path

    def _kept(self) -> str:
        return ", ".join([*self.attrs["keep"], *self.attrs["measures"]]) or "metrics only"

    def _about(self) -> str:
        samples = len(self._task_group["inputs"])
        seen = "samples" if self.attrs.get("source") == ARRAYS else "probe inputs"
        order = f"; {self.attrs['order']}" if "order" in self.attrs else ""
        return (
            f"{self.architecture}, {samples} {seen}, labels: {self.attrs['labels']}; snapshots: {len(self.epochs)}, "
            f"from epoch {self.epochs.min()} to {self.epochs.max()}{order}"
        )


class _Stored(BackendArray):
    """A layer's activations in a store, read on access, as float32, or as float64 if they are stored so."""

    def __init__(self, array: zarr.Array[Any], epochs: int, name: str) -> None:
        self.array = array
        self.name = name
        self.shape = (array.shape[0], epochs, *array.shape[2:])
        self.dtype = np.dtype(np.float64 if array.dtype == np.float64 else np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        try:
            return np.asarray(self.array.oindex[key]).astype(self.dtype)
        except (OSError, ValueError, RuntimeError) as error:
            if not isinstance(error, OSError) and not type(error).__module__.startswith("icechunk"):
                raise
            raise InputError("path", self.name, "an intact recording; parts of this one cannot be read") from error
