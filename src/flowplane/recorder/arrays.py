"""A recording from activations that exist already, whatever made them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from torch import nn

from flowplane.core.points import check_count
from flowplane.core.progress import progress_bar
from flowplane.errors import InputError, Text
from flowplane.recorder.array_layers import ArrayLayer, no_path
from flowplane.recorder.array_sources import WANTED, array_layers, is_file
from flowplane.recorder.inputs import read_inputs, read_labels
from flowplane.recorder.looking import side_effect_free
from flowplane.recorder.reported import LATEST
from flowplane.recording import ARRAYS, ArrayWriter, ModelRecording, versions

__all__ = ["from_arrays"]

#: Of a recording whose inputs were not given.
NO_INPUTS = "not given: each sample counts as an input of its own"


def from_arrays(
    activations: Any, labels: Any = None, *, inputs: Any = None, epochs: Sequence[int] | None = None, path: Any = None
) -> ModelRecording:
    """A Recording of activations that exist already: from JAX, from a library's `hidden_states`, from files.

    All that needs activations, inputs and labels works on it: `fp.information_plane`, `fp.layer_transport`, `fp.report`.
    What needs gradients, weights or the model raises and says so. Layers are assumed to be functions of the inputs, as in
    a network in eval mode are. Activations are stored as float32, NaN is kept, and axes after the sample are flattened, as
    `rec.attrs["layers"]` says; complex numbers are two units each.

    Arguments:
        activations: the layers in the order in which they compute. `{layer: array}`, each array (sample, *unit) or, with
            `epochs`, (epoch, sample, *unit) or a list of one array per epoch; within dicts within dicts, names are joined by
            dots. A list or tuple of arrays, called "0", "1", …. Or an opened file: `np.load("all.npz")`, HDF5, or
            `safetensors.safe_open(…)`, which keeps no order, so that h.2 comes before h.10. Arrays are NumPy's, also
            memory-mapped, those of torch and JAX, or whatever has `__array__` or `__dlpack__`. Files are read a layer at a
            time; memory-mapped arrays, those of HDF5 and of safetensors a block of rows at a time.
        labels, inputs: as of `fp.Recorder`. Without inputs each sample counts as an input of its own.
        epochs: the epoch of each snapshot, in any order; None: one snapshot, called epoch 0.
        path: a new folder, an icechunk Storage, or None for memory. With a path memory stays bounded.

    Raises:
        InputError: a path in place of what is in it, no layers, not an array of numbers, arrays of different numbers of
            samples or epochs, fewer than two samples, labels or inputs that do not fit. Nothing is written then.

    Example:
        >>> import flowplane as fp
        >>> x = np.random.default_rng(0).normal(size=(40, 3))
        >>> rec = fp.from_arrays({"conv": x.reshape(40, 3, 1), "head": np.tanh(x[:, :2])}, x[:, 0] > 0, inputs=x)
        >>> rec
        <flowplane.Recording in memory: arrays, 2 layers, 40 samples, labels: classes; snapshots: 1, from epoch 0 to 0>
        >>> [layer["reduce"] for layer in rec.attrs["layers"]]
        ['flattened', 'as it is']
    """
    no_path("activations", activations)
    numbers = _checked_epochs(epochs)
    order = np.argsort(numbers)
    layers = _checked(array_layers(activations, None if epochs is None else order.tolist()))
    if not is_file(activations):
        layers = iter(list(layers))  # everything is checked before anything is written
    held = [layer for layer in [next(layers, None)] if layer is not None]
    if not held:
        raise InputError("activations", Text("no layers"), WANTED)
    task, about = _task(held[0].samples, labels, inputs)
    configuration = about | {"snapshots": len(numbers), "epochs": None}
    writer = _writer(path)
    try:
        with progress_bar("reading arrays", _count(activations)) as advance:
            writer.write(configuration, task, np.array(numbers)[order], _after(held, layers), advance)
    except BaseException:
        writer.abandon()
        raise
    writer.__exit__()
    return ModelRecording(writer.repository, None if path is None else str(writer.path))


def _count(activations: Any) -> int:
    return len(activations.keys() if is_file(activations) else activations)


def _after(held: list[ArrayLayer], layers: Iterator[ArrayLayer]) -> Iterator[ArrayLayer]:
    """The first layer, which is then let go, and the others."""
    yield held.pop()
    yield from layers


def _writer(path: Any) -> ArrayWriter:
    try:
        return ArrayWriter.at(path, "create")
    except InputError as error:
        raise InputError("path", error.found, "a new path") if "mode=" in error.expected else error from None


def _checked_epochs(epochs: Any) -> list[int]:
    if epochs is None:
        return [0]
    given = epochs.tolist() if hasattr(epochs, "tolist") else epochs
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise InputError("epochs", epochs, "a list of epochs, one per snapshot")
    numbers = [check_count(f"epochs[{k}]", each, 0) for k, each in enumerate(given)]
    if not numbers or len(set(numbers)) < len(numbers) or max(numbers) > LATEST:
        wanted = f"different whole numbers up to {LATEST}, one per snapshot"
        raise InputError("epochs", numbers, wanted)
    return numbers


def _checked(layers: Iterator[ArrayLayer]) -> Iterator[ArrayLayer]:
    """The layers, as long as they have equal numbers of samples and names of their own."""
    first = samples = None
    names = set()
    for layer in layers:
        title = f"activations[{layer.name!r}]"
        if first is None or samples is None:
            first, samples = layer.name, layer.samples
            if samples < 2:
                found = Text(f"{samples} sample{'s' if samples != 1 else ''}")
                raise InputError(title, found, "two samples or more, along the first axis (after that of epochs)")
        if layer.samples != samples:
            raise InputError(title, Text(f"{layer.samples} samples"), f"{samples}, as in {first!r}")
        if layer.name in names:
            raise InputError("activations", Text(f"two layers called {layer.name!r}"), "a name of its own for each")
        names.add(layer.name)
        yield layer
        del layer


def _task(samples: int, labels: Any, inputs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The task that the recording keeps, and what its configuration says."""
    found, points = None, False
    rows = np.arange(samples, dtype=np.float32)[:, None]
    if inputs is not None:
        with side_effect_free(nn.Module()):  # a DataLoader may shuffle
            given, found = read_inputs(inputs)
        if given.count != samples:
            raise InputError("inputs", Text(f"{given.count} samples"), f"{samples}, as activations have")
        rows, points = given.rows()
    known = read_labels(found if labels is None else labels, samples)
    if known.classes is not None and known.classes.ndim > 1:
        raise InputError("labels", Text(f"shape {known.classes.shape}"), f"shape ({samples},)")
    task = {"name": "samples", "inputs": rows, "points": points, "labels": known.classes, "targets": known.targets}
    about = {
        "kind": ModelRecording.kind,
        "model": "arrays",
        "source": ARRAYS,
        "samples": samples,
        "labels": known.about,
        "deterministic": True,
        "classes": known.names,
        "keep": ["activations"],
        "measures": [],
        "reduce": "flatten",
        "dtype": "float32",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
    }
    return task, about | ({"inputs": NO_INPUTS} if inputs is None else {})
