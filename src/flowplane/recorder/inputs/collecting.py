"""Samples that come one by one or in batches, put together: a DataLoader, a Dataset, a list of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from flowplane.errors import InputError, Text
from flowplane.recorder.inputs.trees import items

__all__ = ["collected", "is_array"]

#: Samples read at once from a Dataset.
READ = 256
PADDED = "samples of one shape: pad them to one length, or pass a list of them on as it is with forward="


def is_array(value: Any) -> bool:
    """Whether it is an array of at least one axis, of numbers: a tensor, or what NumPy makes one of."""
    if isinstance(value, Tensor):
        return value.ndim > 0
    if isinstance(value, np.generic | str | bytes) or not hasattr(value, "__array__"):
        return False
    return np.ndim(value) > 0 and np.asarray(value).dtype.kind in "biufc"


def collected(inputs: Any, as_given: bool) -> tuple[Any, Any]:
    """All samples as one: tensors with the samples first, and the labels that came with them (None where none did).

    Arguments:
        as_given: keep a list of samples as a list, as `forward=` takes it.

    Raises:
        InputError: samples of different shapes, or of a kind that cannot be put together.
    """
    if isinstance(inputs, DataLoader):
        return _read(inputs)
    if isinstance(inputs, Dataset):
        return _dataset(inputs, as_given)
    if not isinstance(inputs, list) or as_given or not inputs:
        return inputs, None
    if all(is_array(each) or isinstance(each, Tensor) for each in inputs):
        return _stack(inputs), None
    if all(_structured(each) for each in inputs):
        return _dataset(inputs, as_given)
    if any(is_array(each) for each in inputs):
        return tuple(inputs), None  # arguments: tensors beside flags
    if not all(isinstance(each, str | bytes | int | float | complex | list | tuple | np.generic) for each in inputs):
        kinds = ", ".join(sorted({type(each).__name__ for each in inputs}))
        raise InputError("inputs", Text(f"a list of {kinds}"), "a list of tensors, or forward=, which is given slices of it")
    return inputs, None


def _structured(sample: Any) -> bool:
    """Whether a sample is a dict, or a tuple that has arrays or words in it, as a Dataset gives them."""
    if isinstance(sample, Mapping):
        return True
    return isinstance(sample, tuple) and any(is_array(part) or isinstance(part, Tensor | str | Mapping) for part in sample)


def _tensor(values: Any) -> Tensor:
    """A tensor stays where it is, whatever the default device is."""
    return values if isinstance(values, Tensor) else torch.as_tensor(values, device="cpu")


def _stack(samples: Sequence[Any]) -> Tensor:
    tensors = [_tensor(each) for each in samples]
    shapes = sorted({tuple(each.shape) for each in tensors})
    if len(shapes) > 1:
        shown = ", ".join(map(str, shapes[:4])) + (", …" if len(shapes) > 4 else "")
        raise InputError("inputs", Text(f"a list of samples of shapes {shown}"), f"{PADDED}; several arguments are a tuple")
    if len(tensors) == 1:
        raise InputError("inputs", Text("a list of 1 sample"), "two samples or more; arguments are a tuple, or one tensor")
    return torch.stack(tensors)


def _dataset(samples: Any, as_given: bool) -> tuple[Any, Any]:
    loader = DataLoader(samples, READ)  # type: ignore[var-annotated]
    try:
        return _read(loader)
    except (TypeError, RuntimeError) as error:
        if as_given:  # what cannot be stacked (graphs, sequences of unlike length) is handed on
            return [samples[k] for k in range(len(samples))], None
        found = Text(f"samples that cannot be put together: {str(error).splitlines()[0]}")
        raise InputError("inputs", found, PADDED) from error


def _read(loader: DataLoader) -> tuple[Any, Any]:  # type: ignore[type-arg]
    """All batches of a loader, whose own generators are put back."""
    generators = [part for part in (loader.generator, getattr(loader.sampler, "generator", None)) if part is not None]
    states = [part.get_state() for part in generators]
    try:
        return _together(loader)
    finally:
        for part, state in zip(generators, states, strict=True):
            part.set_state(state)


def _together(loader: Iterable[Any]) -> tuple[Any, Any]:
    """Inputs, and labels where batches are pairs (inputs, labels)."""
    batches = list(loader)
    if not batches:
        raise InputError("inputs", Text("a loader without batches"), "a loader with two samples or more")
    first = batches[0]
    if isinstance(first, tuple | list) and len(first) == 2 and not isinstance(first[0], str):
        return _joined("inputs", [batch[0] for batch in batches]), _joined("labels", [batch[1] for batch in batches])
    if isinstance(first, tuple | list) and not isinstance(first[0], str):
        return tuple(_joined("inputs", [batch[k] for batch in batches]) for k in range(len(first))), None
    return _joined("inputs", batches), None


def _joined(name: str, parts: Sequence[Any]) -> Any:
    """The parts of all batches as one: tensors end to end, lists of words too; what is neither stays if all agree."""
    first = parts[0]
    if isinstance(first, Mapping):
        return {key: _joined(str(key), [part[key] for part in parts]) for key in first}
    if isinstance(first, list | tuple) and first and all(isinstance(each, str | bytes) for each in first):
        return [each for part in parts for each in part]
    if isinstance(first, tuple | list) and any(is_array(each) or isinstance(each, Mapping) for each in first):
        return tuple(_joined(name, [part[k] for part in parts]) for k in range(len(first)))
    if first is None or isinstance(first, str | bool):
        return _agreed(name, parts)
    try:
        tensors = [_tensor(part) for part in parts]
    except (TypeError, ValueError, RuntimeError) as error:
        wanted = "batches of tensors, or a list of the samples and forward=, which is given slices of it"
        raise InputError(name, Text(f"batches of {items_named(first)}"), wanted) from error
    return _ended(name, tensors)


def _agreed(name: str, parts: Sequence[Any]) -> Any:
    if any(part != parts[0] for part in parts):
        raise InputError(name, Text("another value in each batch"), "one value, or a tensor with the samples first")
    return parts[0]


def _ended(name: str, tensors: Sequence[Tensor]) -> Tensor:
    if len({tuple(part.shape[1:]) for part in tensors}) > 1:
        shapes = ", ".join(sorted({str(tuple(part.shape)) for part in tensors}))
        raise InputError(name, Text(f"batches of shapes {shapes}"), PADDED)
    return torch.cat(list(tensors))


def items_named(value: Any) -> str:
    """The type of a value, and what is in it."""
    parts = items(value)
    inside: Callable[[Any], str] = lambda part: type(part).__name__  # noqa: E731
    return type(value).__name__ if not parts else f"{type(value).__name__} of {', '.join(inside(p) for _, p in parts)}"
