"""Icechunk and Zarr behind recordings: one atomic commit a snapshot, one writer at a time.

A recording in a folder is that folder with `writer.lock` and the Icechunk repository `data` in it, and until its first
snapshot is committed an empty file `unfinished`: only what carries that mark, or is overwritten on demand, is ever deleted.
Layout of the repository, format 1. Attributes of the root: `flowplane_format`, `configuration` (JSON). Arrays:

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
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import zarr
from filelock import FileLock, Timeout
from jaxtyping import Float

from flowplane.core.paths import as_path
from flowplane.errors import InputError, Text
from flowplane.tasks import Task

__all__ = ["FORMAT", "METRICS", "STATISTICS", "Snapshot", "Writer", "open_repository"]

FORMAT = 1
METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
STATISTICS = ("gradient_mean", "gradient_std", "weight_norm")
BRANCH = "main"
LOCK, DATA, UNFINISHED = "writer.lock", "data", "unfinished"
NEW_PATH = "a new path; mode='resume' continues the recording there, mode='overwrite' replaces it"
#: Epochs of metrics in a chunk: a commit writes the last chunk anew.
METRICS_CHUNK = 128

icechunk.set_logs_filter("error")  # its note that folders know no concurrent commits: the lock below sees to that


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


def open_repository(path: Any) -> tuple[icechunk.Repository, str]:
    """The repository of an existing recording, and what to call it.

    Raises:
        InputError: there is no recording, creating it was interrupted, or a newer flowplane wrote it.
    """
    wanted = "a recording, such as fp.train(task, path=…) makes"
    if isinstance(path, icechunk.Storage):
        name = str(path)
        try:
            repository = icechunk.Repository.open(path)
        except icechunk.IcechunkError as error:
            raise InputError("path", Text(name), wanted) from error
    else:
        folder = as_path("path", path)
        name = str(folder)
        if _is_empty(folder):
            raise InputError("path", name, f"{wanted}; nothing is there")
        if not _is_repository(folder):
            if _is_unfinished(folder):
                raise InputError("path", name, f"{wanted}; this one was interrupted before its first snapshot")
            raise InputError("path", name, f"{wanted}; this is something else")
        repository = icechunk.Repository.open(_storage(folder))
    written = _format(repository, name)
    if written is None:
        raise InputError("path", name, f"{wanted}; this one holds no committed snapshot")
    if written > FORMAT:
        raise InputError("path", Text(f"{name} in format {written}"), f"format {FORMAT} or older: update flowplane")
    return repository, name


def _storage(folder: Path) -> icechunk.Storage:
    return icechunk.local_filesystem_storage(str(folder / DATA))


def _is_repository(folder: Path) -> bool:
    return (folder / DATA).is_dir() and icechunk.Repository.exists(_storage(folder))


def _is_empty(folder: Path) -> bool:
    """Nothing but a lock, or not even that."""
    return not folder.exists() or (folder.is_dir() and all(entry.name == LOCK for entry in folder.iterdir()))


def _is_unfinished(folder: Path) -> bool:
    return folder.is_dir() and (folder / UNFINISHED).exists()


def _format(repository: icechunk.Repository, name: str) -> int | None:
    """The format of a recording; None where nothing was committed yet. Raises InputError where something is missing."""
    try:
        root = zarr.open_group(repository.readonly_session(BRANCH).store, mode="r")
    except FileNotFoundError as error:
        if _commits(repository) == 0:
            return None
        raise InputError("path", name, "a recording that is whole; files are missing from this one") from error
    except icechunk.IcechunkError as error:
        raise InputError("path", name, "a recording that is whole; this one cannot be read") from error
    written = root.attrs.get("flowplane_format")
    return written if isinstance(written, int) else None


def _commits(repository: icechunk.Repository) -> int:
    """How many commits were made after the repository's creation; −1 where its history cannot be read."""
    try:
        return len(list(repository.ancestry(branch=BRANCH))) - 1
    except icechunk.IcechunkError:
        return -1


class Writer:
    """The one process that may add snapshots to a recording. Use as a context manager: leaving it frees the lock.

    Arguments:
        path: a folder, an icechunk Storage, or None for memory.
        mode: "create" refuses what exists, "resume" needs it, "overwrite" replaces it.

    Raises:
        InputError: the path does not fit the mode, cannot be written, or another process writes to it.
    """

    def __init__(self, path: Any, mode: str) -> None:
        self.path = path
        self._lock: FileLock | None = None
        if path is None or isinstance(path, icechunk.Storage):
            storage = icechunk.in_memory_storage() if path is None else path
            self.repository, self.resumed = _open_or_create(storage, mode, str(path))
        else:
            self.path = as_path("path", path)
            self.repository, self.resumed = self._claim(self.path, mode)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._lock is not None:
            self._lock.release()

    def _claim(self, folder: Path, mode: str) -> tuple[icechunk.Repository, bool]:
        """Lock the folder, then open or make the repository in it."""
        empty, name = _is_empty(folder), str(folder)
        if not empty and not _is_repository(folder) and not _is_unfinished(folder):
            raise InputError("path", name, f"a path where nothing is, or a recording to {mode}; this is something else")
        if mode == "resume" and empty:
            raise InputError("path", name, "an existing recording to resume; nothing is there")
        self._lock = _locked(folder)
        try:  # only now can nobody else change what is there
            if _is_repository(folder) and mode != "overwrite":
                repository = icechunk.Repository.open(_storage(folder))
                if _format(repository, name) is not None:
                    if mode == "create":
                        raise InputError("path", name, NEW_PATH)
                    return repository, True
                if not _is_unfinished(folder):
                    raise InputError("path", name, "a recording that is whole; this one holds no committed snapshot")
            (folder / UNFINISHED).touch()
            if (folder / DATA).exists():  # an overwritten recording, or what an interrupted creation left
                shutil.rmtree(folder / DATA)
            return icechunk.Repository.create(_storage(folder)), False
        except BaseException:
            self._lock.release()
            raise

    def begin(self, configuration: dict[str, Any], task: Task, split: np.ndarray, labels: np.ndarray | None,
              first: Snapshot, layers: int) -> None:  # fmt: skip
        """Lay the recording out and commit it together with its first snapshot."""
        replicas, _, parameters = first.state.shape
        session = self.repository.writable_session(BRANCH)
        root = zarr.create_group(session.store)
        root.attrs.update({"flowplane_format": FORMAT, "configuration": json.dumps(configuration)})
        _put(root, "replica", np.arange(replicas), ("replica",))
        _put(root, "split", split, ("replica", "sample"))
        if labels is not None:
            _put(root, "training_labels", labels, ("replica", "sample"))
        for name, kind in (("epoch", "int64"), ("step", "int64"), ("seconds", "float64")):
            _growing(root, name, (0,), (4096,), kind, ("epoch",))
        if first.weights is not None:
            shape = (replicas, 0, parameters)
            _growing(root, "weights", shape, (replicas, 1, parameters), "float32", ("replica", "epoch", "parameter"))
        if first.gradients is not None:
            named = ("replica", "epoch", "layer", "statistic")
            _growing(root, "gradients", (replicas, 0, layers, 3), (replicas, 16, layers, 3), "float32", named)
        metrics = root.create_group("metrics")
        _growing(metrics, "train_epoch", (0,), (65536,), "int64", ("train_epoch",))
        dims = ("replica", "train_epoch", "metric")
        _growing(metrics, "values", (replicas, 0, 4), (replicas, METRICS_CHUNK, 4), "float32", dims)
        _put(root.create_group("state"), "values", first.state, ("replica", "slot", "parameter"))
        group = root.create_group("task")
        group.attrs["name"] = task.name
        _put(group, "inputs", task.inputs, ("sample", "feature"))
        _put(group, "labels", task.labels, ("sample",))
        _put(group, "probability", task.probability, ("sample",))
        if task.conditional is not None:
            _put(group, "conditional", task.conditional, ("sample", "class"))
        self._add(root, first)
        session.commit(f"epoch {first.epoch}")
        if isinstance(self.path, Path):
            (self.path / UNFINISHED).unlink(missing_ok=True)

    def append(self, snapshot: Snapshot) -> None:
        """Commit one more snapshot: all of it, or nothing."""
        session = self.repository.writable_session(BRANCH)
        root = zarr.open_group(session.store, mode="r+")
        _array(root, "state/values")[:] = snapshot.state
        self._add(root, snapshot)
        session.commit(f"epoch {snapshot.epoch}")

    def extend(self, configuration: dict[str, Any]) -> None:
        """Replace the configuration: a resumed recording may be given more epochs."""
        session = self.repository.writable_session(BRANCH)
        zarr.open_group(session.store, mode="r+").attrs["configuration"] = json.dumps(configuration)
        session.commit("more epochs")

    @staticmethod
    def _add(root: zarr.Group, snapshot: Snapshot) -> None:
        if snapshot.weights is not None:
            _array(root, "weights").append(snapshot.weights[:, None], axis=1)
        if snapshot.gradients is not None:
            _array(root, "gradients").append(snapshot.gradients[:, None], axis=1)
        values = _array(root, "metrics/values")
        known, new = values.shape[1], snapshot.metrics.shape[1]
        values.append(snapshot.metrics, axis=1)
        _array(root, "metrics/train_epoch").append(np.arange(known, known + new))
        _array(root, "epoch").append(np.array([snapshot.epoch]))
        _array(root, "step").append(np.array([snapshot.step]))
        _array(root, "seconds").append(np.array([snapshot.seconds]))


def _open_or_create(storage: icechunk.Storage, mode: str, name: str) -> tuple[icechunk.Repository, bool]:
    """A repository on an object store or in memory, where Icechunk itself refuses a second writer."""
    if not icechunk.Repository.exists(storage):
        if mode == "resume":
            raise InputError("path", Text(name), "an existing recording to resume; nothing is there")
        return icechunk.Repository.create(storage), False
    repository = icechunk.Repository.open(storage)
    if _format(repository, name) is None:
        return repository, False
    if mode == "create":
        raise InputError("path", Text(name), NEW_PATH)
    if mode == "overwrite":
        first = list(repository.ancestry(branch=BRANCH))[-1]
        repository.reset_branch(BRANCH, first.id)
        return repository, False
    return repository, True


def _locked(folder: Path) -> FileLock:
    """The writer's lock on a folder, which is made if need be; the system frees it when the process dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise InputError("path", str(folder), "a recording that no other process is writing to") from error
    except OSError as error:
        raise InputError("path", str(folder), f"a folder that can be written ({error.strerror})") from error
    return lock


def _put(group: zarr.Group, name: str, values: np.ndarray, dims: tuple[str, ...]) -> None:
    group.create_array(name, data=np.ascontiguousarray(values), chunks=values.shape, dimension_names=dims)


def _growing(group: zarr.Group, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], kind: str,
             dims: tuple[str, ...]) -> None:  # fmt: skip
    fill = np.nan if kind.startswith("float") else 0
    group.create_array(name, shape=shape, chunks=chunks, dtype=kind, dimension_names=dims, fill_value=fill)


def _array(root: zarr.Group, name: str) -> zarr.Array[Any]:
    array = root[name]
    assert isinstance(array, zarr.Array)
    return array
