"""Reading a recording: snapshots, metrics, activations, and measures over all of them."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import icechunk
import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Int
from torch import Tensor

from flowplane.core.frames import left_out_table, wide_frame
from flowplane.core.measure import Measure, check_measure
from flowplane.core.modes import in_own_modes
from flowplane.core.network import Network
from flowplane.core.older import configuration
from flowplane.core.paths import from_here
from flowplane.core.points import check_count
from flowplane.core.results import stamp
from flowplane.core.schedule import even_places
from flowplane.errors import InputError, NotRecorded, Text, unknown
from flowplane.recording.copying import IN_MEMORY, Copied, InMemory, Kept
from flowplane.recording.html import recording_html
from flowplane.recording.selection import View, positions
from flowplane.recording.store import BRANCH, STATISTICS
from flowplane.tasks import Task

__all__ = ["Block", "Place", "Recording", "require_recording"]

SAMPLES = ("all", "train", "test")
#: Positions of the replicas and epochs of a block of snapshots, and layers' activations (batch, sample, unit).
Block = tuple[np.ndarray, np.ndarray, dict[str, Tensor]]


class Place(NamedTuple):
    """Which snapshots a block holds, and of which layers."""

    #: Positions of their replicas and epochs (batch,).
    rows: np.ndarray
    columns: np.ndarray
    layers: tuple[str, ...]
    #: The first epoch, and the last + 1, of those read together: its own, and those of its neighbours.
    together: tuple[int, int]


def require_recording(rec: Any) -> Recording:
    """The recording. Raises InputError for anything else."""
    if not isinstance(rec, Recording):
        raise InputError(
            "rec", Text(type(rec).__name__), "a Recording, such as fp.train, fp.open or recorder.recording gives"
        )
    return rec


class Recording(Copied, ABC):
    """What a network, or an ensemble of replicas, did, snapshot by snapshot.

    Made by `fp.train`, `fp.Recorder`, `fp.from_checkpoints`, `fp.from_arrays` and `fp.open`. `sel` gives a view on part
    of it; the stored arrays are read when they are used. Copies and pickles of it are recordings as well.
    """

    #: "ensemble" of `fp.train`, or "model": the user's own.
    kind: ClassVar[str]

    def __init__(self, repository: icechunk.Repository, name: str | None, view: View | None = None) -> None:
        self._repository = repository
        self.path = name
        stored = repository.readonly_session(BRANCH).store if view is None else view.store
        kept = name is None or name.startswith(IN_MEMORY)
        self._store = InMemory(stored, repository) if view is None and kept else Kept(stored) if view is None else stored
        self._view = view or self._everything()

    # -- what it is ---------------------------------------------------------------------------------------------------

    @cached_property
    def _root(self) -> xr.Dataset:
        return xr.open_zarr(self._store, consolidated=False, chunks=None)  # type: ignore[no-any-return]

    @cached_property
    def attrs(self) -> dict[str, Any]:
        """How the recording was made: of an ensemble the arguments of `fp.train`, the engine, versions; of a model `model`,
        `parameters`, `layers` (module, shape, reduce, …), `labels`, versions, …"""
        return configuration(json.loads(self._root.attrs["configuration"]))

    @property
    def network(self) -> Network:
        """The networks of an ensemble. Raises InputError for any other recording."""
        raise InputError(
            "rec", Text(f"a recording of {self.architecture}"), "a recording of fp.train, which knows its weights"
        )

    @property
    @abstractmethod
    def deterministic(self) -> bool:
        """Whether every layer shown is a function of the inputs: the networks have no noise of their own."""

    @abstractmethod
    def deterministic_of(self, layer: str) -> bool:
        """Whether a layer is a function of the inputs."""

    @abstractmethod
    def layer_type_of(self, layer: str) -> str:
        """The class of the module that a layer is, or the name of the function."""

    @abstractmethod
    def reduction_of(self, layer: str) -> str:
        """How a layer's outputs became rows, in words."""

    @property
    def left_out(self) -> pd.DataFrame:
        """What ran but was not recorded, a row per module or function: `name`, `kind` ("module" or "function"), `calls`,
        `shape` (of a sample), `why`. In an ensemble every layer is recorded.

        Example:
            >>> import flowplane as fp, torch
            >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Dropout(), torch.nn.ReLU())
            >>> fp.record(model, torch.randn(50, 2)).left_out[["name", "calls", "why"]].values.tolist()
            [['1', 1, 'returns its input unchanged'], ['output', 1, 'the same tensor as 2']]
        """
        return left_out_table(self.attrs.get("left_out", ()))

    @property
    @abstractmethod
    def architecture(self) -> str:
        """What figures call the network: the widths of an ensemble, the class of a model."""

    @property
    def identity(self) -> dict[str, Any]:
        """What a result says about where it comes from: `task`, `network`, `activation`."""
        return {"task": self.task.name, "network": self.architecture, "activation": self.activation}

    @property
    @abstractmethod
    def activation(self) -> str:
        """The hidden layers' activation function; empty where there is no one answer."""

    @abstractmethod
    def activation_of(self, layer: str) -> str | None:
        """The function that a layer ends in: tanh, relu, sigmoid, softmax, linear; None where it is not known."""

    @property
    @abstractmethod
    def all_layers(self) -> tuple[str, ...]:
        """Names of all layers that were recorded, whatever `sel` has kept."""

    @property
    @abstractmethod
    def all_widths(self) -> tuple[int, ...]:
        """Units of `all_layers`."""

    @property
    @abstractmethod
    def task(self) -> Task:
        """What the networks were given: inputs, labels, p(x)."""

    @property
    @abstractmethod
    def input_points(self) -> np.ndarray | None:
        """The inputs as points (sample, feature); None if not points (tokens, several arrays) or not kept."""

    @property
    def targets(self) -> np.ndarray | None:
        """The regression targets (sample, target); None where labels were classes or absent."""
        return None

    @property
    def row_samples(self) -> np.ndarray | None:
        """The sample that each row is of, where every token is a row; None elsewhere."""
        return None

    @property
    @abstractmethod
    def split(self) -> xr.DataArray:
        """Whether each sample was trained on (replica, sample)."""

    @property
    @abstractmethod
    def epoch_batches(self) -> tuple[int, float]:
        """Mini-batches per epoch, and the share of the training set that they hold together."""

    @property
    @abstractmethod
    def metrics(self) -> xr.Dataset:
        """Numbers per training epoch (replica, train_epoch)."""

    @property
    @abstractmethod
    def weights(self) -> xr.DataArray:
        """Packed parameters (replica, epoch, parameter). Raises InputError where they were not kept."""

    @abstractmethod
    def activations(self, layer: str) -> xr.DataArray:
        """One layer's outputs (replica, epoch, sample, unit), read when they are used."""

    def blocks(self, layers: Sequence[str], memory_budget: int) -> Iterator[Block]:
        """The activations of all snapshots, block by block, within the budget of bytes; a block may lack layers."""
        return map(self.block, self.places(layers, memory_budget))

    @abstractmethod
    def places(
        self, layers: Sequence[str], memory_budget: int, groups: Sequence[np.ndarray | None] | None = None
    ) -> list[Place]:
        """Where the blocks are, in the order in which they are best read; nothing is read yet.

        Arguments:
            groups: where given, the samples that each replica will be measured on; None for all.
        """

    @abstractmethod
    def block(self, place: Place) -> Block:
        """The activations at a place."""

    @abstractmethod
    def _kept(self) -> str:
        """What the snapshots hold."""

    @abstractmethod
    def _about(self) -> str:
        """The repr, without its frame."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in the order in which they compute."""
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
        return f"<flowplane.Recording {'in memory' if self.path is None else from_here(self.path)}: {self._about()}>"

    def _repr_html_(self) -> str:
        return recording_html(self)

    def to_dataframe(self) -> pd.DataFrame:
        """The metrics, a row for each replica and epoch of training.

        Example:
            >>> import flowplane as fp
            >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=2, epochs=2, snapshots=2)
            >>> rec.to_dataframe().columns.tolist()
            ['replica', 'train_epoch', 'train_loss', 'train_accuracy', 'test_loss', 'test_accuracy']
        """
        return wide_frame(self.metrics)

    # -- what was stored ----------------------------------------------------------------------------------------------

    def _selected(self, name: str) -> xr.DataArray:
        if name not in self._root:
            raise NotRecorded(name, Text(f"a recording that keeps {self._kept()}"), f"one trained with keep=({name!r}, …)")
        chosen = {"replica": self._view.replicas, "epoch": self._view.epochs}
        array = self._root[name]
        return array.isel({dim: index for dim, index in chosen.items() if dim in array.dims})

    @property
    def gradients(self) -> xr.Dataset:
        """Over the mini-batches of the epoch that led to each snapshot (§B5), (replica, epoch, layer): the norm of the
        mean gradient, the square root of the trace of its covariance (unbiased; NaN for one batch per epoch and at epoch
        0), and the norm of the layer's weights and biases."""
        stored = self._selected("gradients")
        layers = self._places()
        parts = {name: stored.isel(statistic=k, layer=layers) for k, name in enumerate(STATISTICS)}
        dataset = xr.Dataset(parts).assign_coords(self.layer_coordinates())
        for name in ("gradient_mean", "gradient_std"):
            dataset[name].attrs["units"] = "nats per unit of weight"
        dataset["weight_norm"].attrs["units"] = "units of weight"
        return stamp(dataset, "gradients", **self.identity)

    @property
    def seconds(self) -> xr.DataArray:
        """Training time up to each snapshot (epoch), in seconds, summed over resumed runs; commits not counted."""
        return self._selected("seconds")

    def _places(self) -> list[int]:
        """Places of the layers among all that were recorded."""
        return [self.all_layers.index(layer) for layer in self.layers]

    def layer_coordinates(self) -> dict[str, Any]:
        """Name, depth (from 1), width, type, reduction and determinism of each layer."""
        index = self._places()
        return {
            "layer": ("layer", list(self.layers)),
            "depth": ("layer", [k + 1 for k in index]),
            "width": ("layer", [self.all_widths[k] for k in index]),
            "layer_type": ("layer", [self.layer_type_of(layer) for layer in self.layers]),
            "reduction": ("layer", [self.reduction_of(layer) for layer in self.layers]),
            "deterministic": ("layer", [self.deterministic_of(layer) for layer in self.layers]),
        }

    # -- views and measures -------------------------------------------------------------------------------------------

    def sel(self, *, replica: Any = None, epoch: Any = None, layer: Any = None) -> Recording:
        """A view on some replicas, epochs or layers: a label, a list of labels, or a slice of labels (both ends included).

        Dimensions are kept, even where one label is left.

        Raises:
            InputError: a replica, epoch or layer that was not recorded.

        Example:
            >>> import flowplane as fp
            >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=3, epochs=2, snapshots=3)
            >>> part = rec.sel(replica=[2, 0], epoch=slice(1, None), layer="layer1")
            >>> part.replicas.tolist(), part.epochs.tolist(), part.layers
            ([2, 0], [1, 2], ('layer1',))
        """
        return self._part(
            replicas=self._view.replicas[positions("replica", replica, self.replicas.tolist())],
            epochs=self._view.epochs[positions("epoch", epoch, self.epochs.tolist())],
            layers=tuple(np.array(self.layers)[positions("layer", layer, list(self.layers))].tolist()),
        )

    def thin(self, snapshots: int) -> Recording:
        """A view on at most this many snapshots: those nearest to even places in log(1 + epoch), the first and the last
        included, exactly `snapshots` of them if that many exist.

        Arguments:
            snapshots: how many, two or more.

        Raises:
            InputError: fewer than two, or not a whole number.

        Example:
            >>> import flowplane as fp
            >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=1, epochs=20, snapshots=21)
            >>> rec.thin(5).epochs.tolist(), len(rec.thin(100).epochs)
            ([0, 1, 4, 9, 20], 21)
        """
        return self._part(epochs=self._view.epochs[even_places(self.epochs, check_count("snapshots", snapshots, 2))])

    @in_own_modes
    def measure(
        self, measure: Measure, samples: str = "all", *, memory_budget: int = 1 << 30, cluster: Any = None
    ) -> xr.Dataset:
        """A measure of every layer at every snapshot of every replica: a Dataset (replica, epoch, layer).

        Arguments:
            measure: an estimator such as `fp.Binned(30)`, or any callable with the same arguments.
            samples: over "all" samples, or each replica's own "train" or "test" part.
            memory_budget: bytes that the recomputed activations and what is derived from them may take.
            cluster: None for this process; or workers, as for `fp.sweep`: they read the recording where it lies.

        Raises:
            InputError: not a measure, unknown samples, no samples in that part, a measure that assumes T is a function of x
                where the networks have noise of their own, or what the measure refuses.

        Example:
            >>> import flowplane as fp
            >>> rec = fp.train(fp.tasks.spherical_rule(), hidden=(4,), replicas=2, epochs=2, snapshots=3)
            >>> found = rec.measure(fp.Binned(30), samples="train")
            >>> dict(found.i_xt.sizes), found.i_xt.units
            ({'replica': 2, 'epoch': 3, 'layer': 2}, 'bits')
        """
        from flowplane.recording.measuring import measure_recording

        check_measure("measure", measure)
        if samples not in SAMPLES:
            raise unknown("samples", samples, SAMPLES)
        return measure_recording(self, measure, samples, memory_budget, cluster)

    # -- which snapshots these are ------------------------------------------------------------------------------------

    @property
    def shown(self) -> View:
        """Which part of what was recorded this is."""
        return self._view

    @property
    def commit(self) -> str:
        """The commit that is read: it differs wherever anything else is stored."""
        return self._store.commit  # type: ignore[no-any-return]

    def snapshots_at(self, epochs: Sequence[int]) -> list[str]:
        """Names of the snapshots at these places of all epochs, the same when others are added: the commit that added each,
        and its place."""
        added = self._store.added(self._repository)
        numbers = self._root["epoch"].values
        return [f"{added.get(f'epoch {numbers[place]}', self.commit)}:{place}" for place in epochs]

    def at(self, replicas: Int[np.ndarray, " replica"], epochs: Int[np.ndarray, " epoch"]) -> Recording:
        """A view on what stands at these places among all replicas and epochs."""
        return self._part(replicas=replicas, epochs=epochs)

    def _part(self, **chosen: Any) -> Recording:
        return type(self)(self._repository, self.path, replace(self._view, **chosen))

    def whole(self) -> Recording:
        """The same recording without any selection."""
        return type(self)(self._repository, self.path, self._everything())

    def _everything(self) -> View:
        sizes = self._root.sizes
        return View(self._store, np.arange(sizes["replica"]), np.arange(sizes["epoch"]), self.all_layers)
