"""Reading a recording: snapshots, metrics, activations, and measures over all of them."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import icechunk
import numpy as np
import pandas as pd
import xarray as xr
from xarray.core import indexing

from flowplane.core.arrays import as_numbers
from flowplane.core.measure import Measure
from flowplane.core.network import Network
from flowplane.core.points import check_count
from flowplane.errors import InputError, Text, unknown
from flowplane.recording.activations import NetworkActivations
from flowplane.recording.store import BRANCH, METRICS, STATISTICS, open_repository
from flowplane.tasks import Task

__all__ = ["Recording", "open_recording", "require_recording"]

SAMPLES = ("all", "train", "test")
#: Arguments of `fp.train` that recordings may be older than, and what was done before there was a choice.
_BEFORE = {"noise": 0.0}
_UNITS = {"loss": "nats", "accuracy": "fraction"}


def open_recording(path: Any) -> Recording:
    """Open a recording as it was at its last committed snapshot.

    Arguments:
        path: a folder, or an icechunk Storage.

    Raises:
        InputError: there is no recording, or a newer flowplane wrote it.

    Example:
        >>> open_recording("nowhere.fp")
        Traceback (most recent call last):
        ...
        flowplane.errors.InputError: path: found 'nowhere.fp', expected a recording, ...
    """
    repository, name = open_repository(path)
    return Recording(repository, name)


def require_recording(rec: Any) -> Recording:
    """The recording. Raises InputError for anything else."""
    if not isinstance(rec, Recording):
        raise InputError("rec", Text(type(rec).__name__), "a Recording, from fp.train or fp.open")
    return rec


class Recording:
    """What an ensemble of networks did: weights, gradient statistics and metrics, snapshot by snapshot.

    Made by `fp.train` and `fp.open`. `sel` gives a view on part of it; the stored arrays are read when they are used.
    """

    def __init__(self, repository: icechunk.Repository, name: str | None, view: _View | None = None) -> None:
        self._repository = repository
        self.path = name
        self._store = repository.readonly_session(BRANCH).store if view is None else view.store
        self._view = view or self._everything()

    # -- what it is ---------------------------------------------------------------------------------------------------

    @cached_property
    def _root(self) -> xr.Dataset:
        return xr.open_zarr(self._store, consolidated=False, chunks=None)  # type: ignore[no-any-return]

    @cached_property
    def attrs(self) -> dict[str, Any]:
        """How the ensemble was trained: the arguments of `fp.train`, the engine, versions."""
        return _BEFORE | json.loads(self._root.attrs["configuration"])

    @cached_property
    def network(self) -> Network:
        """The networks' shape, and the variance of their own noise."""
        return Network(tuple(self.attrs["sizes"]), self.attrs["activation"], self.attrs["noise"])

    @property
    def deterministic(self) -> bool:
        """Whether every layer is a function of the inputs: the networks have no noise of their own."""
        return self.network.noise == 0

    @cached_property
    def task(self) -> Task:
        """The task that the networks were trained on."""
        stored = xr.open_zarr(self._store, group="task", consolidated=False, chunks=None)
        conditional = stored["conditional"].values if "conditional" in stored else None
        arrays = (stored["inputs"].values, stored["labels"].values, stored["probability"].values)
        return Task(*arrays, conditional=conditional, name=stored.attrs["name"])

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, from the first hidden one to the softmax."""
        return self._view.layers

    @property
    def epochs(self) -> np.ndarray:
        """Completed epochs at each snapshot; 0 is the initialisation."""
        return np.asarray(self._root["epoch"].values[self._view.epochs])

    @property
    def replicas(self) -> np.ndarray:
        """Numbers of the replicas."""
        return np.asarray(self._root["replica"].values[self._view.replicas])

    def __repr__(self) -> str:
        attrs = self.attrs
        where = "in memory" if self.path is None else self.path
        return (
            f"<flowplane.Recording {where}: {'-'.join(map(str, attrs['sizes']))} {attrs['activation']}, task "
            f"{self.task.name!r}; replicas: {len(self.replicas)}, snapshots: {len(self.epochs)}, from epoch "
            f"{self.epochs.min()} to {self.epochs.max()} of {attrs['epochs']}>"
        )

    # -- what was stored ----------------------------------------------------------------------------------------------

    def _selected(self, name: str) -> xr.DataArray:
        if name not in self._root:
            kept = Text(f"a recording that keeps {', '.join(self.attrs['keep']) or 'metrics only'}")
            raise InputError(name, kept, f"one trained with keep=({name!r}, …)")
        chosen = {"replica": self._view.replicas, "epoch": self._view.epochs}
        array = self._root[name]
        return array.isel({dim: index for dim, index in chosen.items() if dim in array.dims})

    @property
    def weights(self) -> xr.DataArray:
        """Packed parameters (replica, epoch, parameter), float32; `network.unpack` tells the layers apart."""
        return self._selected("weights")

    @property
    def gradients(self) -> xr.Dataset:
        """Over the mini-batches of the epoch that led to each snapshot (B5), (replica, epoch, layer): the norm of the
        mean gradient, the square root of the trace of its covariance (unbiased; NaN for one batch an epoch and at epoch
        0), and the norm of the layer's weights and biases."""
        stored = self._selected("gradients")
        layers = [self.network.index(layer) for layer in self.layers]
        parts = {name: stored.isel(statistic=k, layer=layers) for k, name in enumerate(STATISTICS)}
        dataset = xr.Dataset(parts).assign_coords(self.layer_coordinates())
        for name in ("gradient_mean", "gradient_std"):
            dataset[name].attrs["units"] = "nats per unit of weight"
        return dataset

    @property
    def metrics(self) -> xr.Dataset:
        """Loss (mean cross-entropy, nats) and accuracy at every epoch (replica, train_epoch), evaluated after it over
        the whole training and test set; test metrics are NaN where nothing was left out of training."""
        stored = xr.open_zarr(self._store, group="metrics", consolidated=False, chunks=None)
        values = stored["values"].isel(replica=self._view.replicas)
        dataset = xr.Dataset({name: values.isel(metric=k) for k, name in enumerate(METRICS)})
        for name in METRICS:
            dataset[name].attrs["units"] = _UNITS[name.split("_")[1]]
        return dataset.assign_coords(train_epoch=stored["train_epoch"], replica=("replica", self.replicas))

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

    @property
    def seconds(self) -> xr.DataArray:
        """Training time up to each snapshot (epoch), in seconds, summed over resumed runs; commits not counted."""
        return self._selected("seconds")

    def state(self) -> np.ndarray:
        """Weights and the optimiser's two moments at the last snapshot (replica, 3, parameter): what resuming needs."""
        stored = xr.open_zarr(self._store, group="state", consolidated=False, chunks=None)
        return np.asarray(stored["values"].values)

    def layer_coordinates(self) -> dict[str, Any]:
        """Name, depth (from 1) and width of each layer."""
        index = [self.network.index(layer) for layer in self.layers]
        return {
            "layer": ("layer", list(self.layers)),
            "depth": ("layer", [k + 1 for k in index]),
            "width": ("layer", [self.network.widths[k] for k in index]),
        }

    def activations(self, layer: str, inputs: Any = None, *, draw: int = 0) -> xr.DataArray:
        """One layer's outputs (replica, epoch, sample, unit), computed when they are read.

        Of networks with noise they are one draw of T given x, the same noise for all replicas and epochs, independent
        between layers and samples; its variance is `attrs["noise"]`.

        Arguments:
            layer: one of `layers`.
            inputs: what to feed instead of the task's inputs, (sample, feature).
            draw: number of the draw, for networks with noise. Measures and metrics see draw 0.

        Raises:
            InputError: an unknown layer, inputs of another width, NaN, no number of a draw, or a recording without weights.
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
        array.attrs |= {"activation": self.network.activation_of(layer), "noise": self.network.noise}
        return array

    # -- views and measures -------------------------------------------------------------------------------------------

    def sel(self, *, replica: Any = None, epoch: Any = None, layer: Any = None) -> Recording:
        """A view on some replicas, epochs or layers: a label, a list of labels, or a slice of labels (both ends in).

        Dimensions are kept, also where one label is left.

        Raises:
            InputError: a replica, epoch or layer that was not recorded.
        """
        view = _View(
            self._view.store,
            self._view.replicas[_positions("replica", replica, self.replicas.tolist())],
            self._view.epochs[_positions("epoch", epoch, self.epochs.tolist())],
            tuple(np.array(self.layers)[_positions("layer", layer, list(self.layers))].tolist()),
        )
        return Recording(self._repository, self.path, view)

    def measure(self, measure: Measure, samples: str = "all", *, memory_budget: int = 1 << 30) -> xr.Dataset:
        """A measure of every layer at every snapshot of every replica: a Dataset (replica, epoch, layer).

        Arguments:
            measure: an estimator such as `fp.Binned(30)`, or any callable with the same arguments.
            samples: over "all" samples, or each replica's own "train" or "test" part.
            memory_budget: bytes that the recomputed activations and what is derived from them may take.

        Raises:
            InputError: not a measure, unknown samples, no samples in that part, a measure that takes T for a function of x
                where the networks have noise of their own, or what the measure refuses.
        """
        from flowplane.recording.measuring import measure_recording

        if not callable(measure) or isinstance(measure, type):
            raise InputError("measure", measure, "an estimator such as fp.Binned(30)")
        if samples not in SAMPLES:
            raise unknown("samples", samples, SAMPLES)
        return measure_recording(self, measure, samples, memory_budget)

    def whole(self) -> Recording:
        """The same recording without any selection."""
        return Recording(self._repository, self.path, self._everything())

    def _everything(self) -> _View:
        sizes = self._root.sizes
        return _View(self._store, np.arange(sizes["replica"]), np.arange(sizes["epoch"]), self.network.layers)


class _View:
    """Which part of a store a Recording shows, as positions, all read from one committed snapshot."""

    def __init__(self, store: Any, replicas: np.ndarray, epochs: np.ndarray, layers: tuple[str, ...]) -> None:
        self.store = store
        self.replicas = replicas
        self.epochs = epochs
        self.layers = layers


def _positions(name: str, wanted: Any, available: Sequence[Any]) -> np.ndarray:
    """Positions of the wanted labels among the available ones."""
    if wanted is None:
        return np.arange(len(available))
    if isinstance(wanted, slice):
        try:
            places = np.arange(len(available))[pd.Index(available).slice_indexer(wanted.start, wanted.stop, wanted.step)]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(name, wanted, f"a slice within {available[0]} … {available[-1]}") from error
    else:
        plain = wanted.values if isinstance(wanted, xr.DataArray) else wanted
        plain = plain.tolist() if hasattr(plain, "tolist") else plain
        labels = list(plain) if isinstance(plain, Iterable) and not isinstance(plain, str) else [plain]
        lookup = {label: place for place, label in enumerate(available)}
        for label in labels:
            if not isinstance(label, Hashable) or isinstance(label, bool) or label not in lookup:
                raise _not_recorded(name, label, available)
        places = np.array([lookup[label] for label in labels], dtype=np.int64)
    if len(places) == 0:
        raise InputError(name, wanted, f"a selection that leaves something of {available[0]} … {available[-1]}")
    return places


def _not_recorded(name: str, label: Any, available: Sequence[Any]) -> InputError:
    if name == "layer":
        return unknown(name, label, available)
    if isinstance(label, int | float) and not isinstance(label, bool) and np.isfinite(label):
        near = sorted(sorted(available, key=lambda value: abs(value - label))[:2])
        return InputError(name, label, f"a recorded {name}; nearest: {', '.join(map(str, near))}")
    return InputError(name, label, f"a recorded {name}, {available[0]} … {available[-1]}")
