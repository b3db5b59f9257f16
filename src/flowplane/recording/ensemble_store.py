"""How an ensemble is laid out in a repository.

Attributes of the root: `flowplane_format`, `configuration` (JSON). Arrays:

| array | dimensions | contents |
|---|---|---|
| `epoch` `step` `seconds` | epoch | completed epochs, optimiser steps, training time so far |
| `replica` `split` | replica; replica, sample | names; whether a sample was trained on |
| `training_labels` | replica, sample | only where labels were sampled |
| `weights` | replica, epoch, parameter | packed as `Network` says |
| `gradients` | replica, epoch, layer, statistic | ‖E g‖, √(tr Cov g), ‖w‖ |
| `metrics/values` | replica, train_epoch, metric | at every epoch |
| `state/values` | replica, slot, parameter | weights and the optimiser's two moments at the last snapshot |
| `task/…` | sample, … | the arrays of the Task |
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from jaxtyping import Float

from flowplane.recording.store import BRANCH, FORMAT, Writer, array_of, growing, put
from flowplane.tasks import Task

__all__ = ["METRICS", "EnsembleWriter", "Snapshot"]

METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
#: Epochs of metrics in a chunk: a commit writes the last chunk anew.
METRICS_CHUNK = 128


@dataclass(frozen=True)
class Snapshot:
    """What one commit adds. `metrics` are of the epochs since the snapshot before; None: not kept."""

    epoch: int
    step: int
    seconds: float
    state: Float[np.ndarray, "replica 3 parameter"]
    metrics: Float[np.ndarray, "replica train_epoch 4"]
    weights: Float[np.ndarray, "replica parameter"] | None = None
    gradients: Float[np.ndarray, "replica layer 3"] | None = None


class EnsembleWriter(Writer):
    """The writer of `fp.train`."""

    def begin(
        self,
        configuration: dict[str, Any],
        task: Task,
        split: np.ndarray,
        labels: np.ndarray | None,
        first: Snapshot,
        layers: int,
    ) -> None:
        """Lay the recording out and commit it together with its first snapshot."""
        replicas, _, parameters = first.state.shape
        session = self.repository.writable_session(BRANCH)
        root = zarr.create_group(session.store)
        root.attrs.update({"flowplane_format": FORMAT, "configuration": json.dumps(configuration)})
        put(root, "replica", np.arange(replicas), ("replica",))
        put(root, "split", split, ("replica", "sample"))
        if labels is not None:
            put(root, "training_labels", labels, ("replica", "sample"))
        for name, kind in (("epoch", "int64"), ("step", "int64"), ("seconds", "float64")):
            growing(root, name, (0,), (4096,), kind, ("epoch",))
        if first.weights is not None:
            shape = (replicas, 0, parameters)
            growing(root, "weights", shape, (replicas, 1, parameters), "float32", ("replica", "epoch", "parameter"))
        if first.gradients is not None:
            named = ("replica", "epoch", "layer", "statistic")
            growing(root, "gradients", (replicas, 0, layers, 3), (replicas, 16, layers, 3), "float32", named)
        metrics = root.create_group("metrics")
        growing(metrics, "train_epoch", (0,), (65536,), "int64", ("train_epoch",))
        dims = ("replica", "train_epoch", "metric")
        growing(metrics, "values", (replicas, 0, 4), (replicas, METRICS_CHUNK, 4), "float32", dims)
        put(root.create_group("state"), "values", first.state, ("replica", "slot", "parameter"))
        group = root.create_group("task")
        group.attrs["name"] = task.name
        put(group, "inputs", task.inputs, ("sample", "feature"))
        put(group, "labels", task.labels, ("sample",))
        put(group, "probability", task.probability, ("sample",))
        if task.conditional is not None:
            put(group, "conditional", task.conditional, ("sample", "class"))
        self._add(root, first)
        self.commit(session, f"epoch {first.epoch}")

    def append(self, snapshot: Snapshot) -> None:
        """Commit one more snapshot: all of it, or nothing."""
        session = self.repository.writable_session(BRANCH)
        root = zarr.open_group(session.store, mode="r+")
        array_of(root, "state/values")[:] = snapshot.state
        self._add(root, snapshot)
        self.commit(session, f"epoch {snapshot.epoch}")

    def extend(self, configuration: dict[str, Any]) -> None:
        """Replace the configuration: a resumed recording may be given more epochs."""
        session = self.repository.writable_session(BRANCH)
        root = zarr.open_group(session.store, mode="r+")
        root.attrs.update({"flowplane_format": FORMAT, "configuration": json.dumps(configuration)})
        self.commit(session, "more epochs")

    @staticmethod
    def _add(root: zarr.Group, snapshot: Snapshot) -> None:
        if snapshot.weights is not None:
            array_of(root, "weights").append(snapshot.weights[:, None], axis=1)
        if snapshot.gradients is not None:
            array_of(root, "gradients").append(snapshot.gradients[:, None], axis=1)
        values = array_of(root, "metrics/values")
        known, new = values.shape[1], snapshot.metrics.shape[1]
        values.append(snapshot.metrics, axis=1)
        array_of(root, "metrics/train_epoch").append(np.arange(known, known + new))
        array_of(root, "epoch").append(np.array([snapshot.epoch]))
        array_of(root, "step").append(np.array([snapshot.step]))
        array_of(root, "seconds").append(np.array([snapshot.seconds]))
