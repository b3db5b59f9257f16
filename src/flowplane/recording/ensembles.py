"""Recordings of ensembles: weights are stored, activations are recomputed from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
import xarray as xr
from xarray.core import indexing

from flowplane.core.arrays import as_numbers
from flowplane.core.network import Network
from flowplane.core.points import check_count
from flowplane.core.results import stamp
from flowplane.core.schedule import epoch_batches
from flowplane.errors import InputError, Text, unknown
from flowplane.recording.activations import NetworkActivations, snapshots_per_block
from flowplane.recording.ensemble_store import METRICS
from flowplane.recording.reader import Block, Place, Recording
from flowplane.tasks import Task

__all__ = ["EnsembleRecording"]

_UNITS = {"loss": "nats", "accuracy": "fraction"}


class EnsembleRecording(Recording):
    """What `fp.train` did: weights, gradient statistics and metrics of all replicas, snapshot by snapshot."""

    kind = "ensemble"

    @cached_property
    def network(self) -> Network:
        """The networks' shape, and the variance of their own noise."""
        return Network(tuple(self.attrs["sizes"]), self.attrs["activation"], self.attrs["noise_variance"])

    @property
    def deterministic(self) -> bool:
        return self.network.noise_variance == 0

    def deterministic_of(self, layer: str) -> bool:
        return self.deterministic

    def layer_type_of(self, layer: str) -> str:
        return "dense"

    def reduction_of(self, layer: str) -> str:
        return "as it is"

    @property
    def architecture(self) -> str:
        return "-".join(map(str, self.network.sizes))

    @property
    def activation(self) -> str:
        return self.network.activation

    def activation_of(self, layer: str) -> str | None:
        return self.network.activation_of(layer)

    @property
    def all_layers(self) -> tuple[str, ...]:
        return self.network.layers

    @property
    def all_widths(self) -> tuple[int, ...]:
        return self.network.widths

    @cached_property
    def task(self) -> Task:
        """The task that the networks were trained on."""
        stored = xr.open_zarr(self._store, group="task", consolidated=False, chunks=None)
        conditional = stored["conditional"].values if "conditional" in stored else None
        arrays = (stored["inputs"].values, stored["labels"].values, stored["probability"].values)
        return Task(*arrays, conditional=conditional, name=stored.attrs["name"])

    @property
    def input_points(self) -> np.ndarray | None:
        return self.task.inputs

    @property
    def epoch_batches(self) -> tuple[int, float]:
        samples = int(self.split.isel(replica=0).sum())
        batches = epoch_batches(samples, self.attrs["batch_size"], self.attrs["drop_last"])
        return len(batches), sum(batch.stop - batch.start for batch in batches) / samples

    def _kept(self) -> str:
        return ", ".join(self.attrs["keep"]) or "metrics only"

    def _about(self) -> str:
        attrs = self.attrs
        return (
            f"{self.architecture} {attrs['activation']}, task {self.task.name!r}; replicas: {len(self.replicas)}, "
            f"snapshots: {len(self.epochs)}, from epoch {self.epochs.min()} to {self.epochs.max()} of {attrs['epochs']}"
        )

    # -- what was stored ----------------------------------------------------------------------------------------------

    @property
    def weights(self) -> xr.DataArray:
        """Packed parameters (replica, epoch, parameter), float32; `network.unpack` separates the layers."""
        return self._selected("weights")

    @property
    def metrics(self) -> xr.Dataset:
        """Loss (mean cross-entropy, nats) and accuracy at every epoch (replica, train_epoch), evaluated after it over
        the whole training and test set; test metrics are NaN where nothing was left out of training."""
        stored = xr.open_zarr(self._store, group="metrics", consolidated=False, chunks=None)
        values = stored["values"].isel(replica=self._view.replicas)
        dataset = xr.Dataset({name: values.isel(metric=k) for k, name in enumerate(METRICS)})
        for name in METRICS:
            dataset[name].attrs["units"] = _UNITS[name.split("_")[1]]
        dataset = dataset.assign_coords(train_epoch=stored["train_epoch"], replica=("replica", self.replicas))
        return stamp(dataset, "metrics", **self.identity)

    @property
    def split(self) -> xr.DataArray:
        """Whether each sample was trained on (replica, sample)."""
        return self._selected("split")

    @property
    def training_labels(self) -> xr.DataArray:
        """The labels that each replica was trained and tested on (replica, sample): the task's, or sampled from its rule."""
        if "training_labels" in self._root:
            return self._selected("training_labels")
        labels = np.broadcast_to(self.task.labels, (len(self.replicas), len(self.task)))
        return xr.DataArray(labels, dims=("replica", "sample"), coords={"replica": self.replicas})

    def state(self) -> np.ndarray:
        """Weights and the optimiser's two moments at the last snapshot (replica, 3, parameter): what resuming needs."""
        stored = xr.open_zarr(self._store, group="state", consolidated=False, chunks=None)
        return np.asarray(stored["values"].values)

    def activations(self, layer: str, inputs: Any = None, *, draw: int = 0) -> xr.DataArray:
        """One layer's outputs (replica, epoch, sample, unit), computed when they are read.

        For networks with noise they are one draw of T given x, the same noise for all replicas and epochs, independent
        between layers and samples; its variance is `attrs["noise_variance"]`.

        Arguments:
            layer: one of `layers`.
            inputs: what to feed instead of the task's inputs, (sample, feature).
            draw: number of the draw, for networks with noise. Measures and metrics see draw 0.

        Raises:
            InputError: an unknown layer, inputs of the wrong width, NaN, an invalid `draw`, or a recording without weights.
        """
        if layer not in self.layers:
            raise unknown("layer", layer, self.layers)
        fed = self.task.inputs if inputs is None else as_numbers("inputs", inputs).astype(np.float32)
        if fed.ndim != 2 or fed.shape[1] != self.network.sizes[0] or len(fed) == 0:
            raise InputError("inputs", Text(f"shape {fed.shape}"), f"shape (samples, {self.network.sizes[0]})")
        if not np.isfinite(fed).all():
            raise InputError("inputs", Text("NaN or infinite values"), "finite numbers")
        network = replace(self.network, noise_seed=check_count("draw", draw, 0))
        lazy = indexing.LazilyIndexedArray(NetworkActivations(network, layer, self.weights, fed))
        array = xr.DataArray(
            xr.Variable(("replica", "epoch", "sample", "unit"), lazy),
            coords={"replica": self.replicas, "epoch": self.epochs, "layer": layer},
            name="activations",
        )
        array.attrs |= {"activation": self.network.activation_of(layer), "noise_variance": self.network.noise_variance}
        return array

    def places(
        self, layers: Sequence[str], memory_budget: int, groups: Sequence[np.ndarray | None] | None = None
    ) -> list[Place]:
        """All layers of a block come from one forward pass. Replicas measured on different samples never share a block."""
        parted = groups is not None and any(group is not None for group in groups)
        size = snapshots_per_block(self.network, len(self.task), memory_budget)
        replicas, epochs = len(self.replicas), len(self.epochs)
        slab = max(1, (memory_budget // 4) // (4 * replicas * self.network.parameters))  # epochs of weights read together
        found = []
        for first in range(0, epochs, slab):
            stop = min(first + slab, epochs)
            rows, columns = (grid.ravel() for grid in np.indices((replicas, stop - first)))
            alone = stop - first if parted else len(rows)
            for start in range(0, len(rows), alone):
                for begin in range(start, start + alone, size):
                    part = slice(begin, min(begin + size, start + alone))
                    found.append(Place(rows[part], first + columns[part], tuple(layers), (first, stop)))
        return found

    def block(self, place: Place) -> Block:
        index = {layer: self.network.index(layer) for layer in place.layers}
        chosen = self._weights_at(place.together)[place.rows, place.columns - place.together[0]]
        inputs = torch.tensor(self.task.inputs, device="cpu")
        outputs = self.network.forward(torch.tensor(chosen, device="cpu"), inputs, max(index.values()) + 1)
        return place.rows, place.columns, {layer: outputs[k] for layer, k in index.items()}

    def _weights_at(self, together: tuple[int, int]) -> np.ndarray:
        """The weights of several blocks, kept for the next of these blocks."""
        known = self._last_read
        if known is None or known[0] != together:
            known = self._last_read = together, self.weights.isel(epoch=slice(*together)).values
        return known[1]

    _last_read: tuple[tuple[int, int], np.ndarray] | None = None
