"""From what a user has to `ProbeInputs`: which arguments have samples in them, how many, in which precision."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flowplane.core.arrays import as_tensor, require_finite
from flowplane.core.points import check_count
from flowplane.errors import InputError, Text
from flowplane.recorder.inputs.arguments import ProbeInputs
from flowplane.recorder.inputs.collecting import collected, is_array
from flowplane.recorder.inputs.padding import explicit_mask, found_mask, is_mask, parameters_of
from flowplane.recorder.inputs.precision import as_the_model_takes, model_precision
from flowplane.recorder.inputs.trees import Fixed, items, leaves, mapped, named, plain
from flowplane.recorder.numbers import entries, numeric

__all__ = ["read_inputs"]

#: Keys of a batch that hold labels.
LABEL_KEYS = ("labels", "label")
#: What an encoder-decoder makes of its labels where it is not given them.
DECODER_INPUTS = ("decoder_input_ids", "decoder_inputs_embeds")
CALLED = "a tensor, a dict or tuple of tensors, a DataLoader, or a list of samples"
WHOLE = "batch=None for what belongs to no sample (a graph's edges), or a forward= that supplies it"


def read_inputs(
    inputs: Any,
    model: nn.Module | None = None,
    labels: Any = None,
    *,
    mask: Any = None,
    forward: Callable[[nn.Module, Any], Any] | None = None,
    batch: int | str | None = "auto",
) -> tuple[ProbeInputs, Any]:
    """The probe inputs, and the labels: those given, or those that came with the inputs (None where none did).

    Raises:
        InputError: no arrays, arrays of different lengths, fewer than two samples, NaN, a precision that makes samples
            equal, or an invalid mask, batch or `forward`.
    """
    if forward is not None and not callable(forward):
        raise InputError("forward", forward, "a callable (model, batch), or None")
    if batch is not None and batch != "auto":
        batch = check_count("batch", batch, 1)
    inputs, found = collected(inputs, forward is not None)
    taken: tuple[str, ...] = ()
    if isinstance(inputs, Mapping):
        inputs, own, taken = _without_labels(inputs, model, forward, labels is not None)
        found = own if found is None else found
    labels = found if labels is None else labels
    tree = _arguments(inputs, forward is not None)
    if batch is None:
        count = _count_of_whole(tree, labels)
        tree = mapped(tree, lambda leaf: _handed_whole(leaf, count))
    else:
        count = _count(tree)
        tree = named(tree, lambda name, leaf: _with_samples(name, leaf, count))
    if count < 2:
        wanted = "two samples or more; a tuple holds arguments, a list samples"
        raise InputError("inputs", Text(f"{count} sample{'s' if count != 1 else ''}"), wanted)
    if forward is None and model is not None:
        precision = model_precision(model)
        tree = named(tree, lambda name, leaf: _cast(name, leaf, precision))
    tokens = found_mask(tree, model if forward is None else None) if mask is None else explicit_mask(mask, count)
    if tokens is not None and len(tokens) != count:
        tokens = None
    return ProbeInputs(tree, count, tokens, forward, batch, taken), labels


def _without_labels(
    inputs: Mapping[Any, Any], model: nn.Module | None, forward: Any, others: bool
) -> tuple[Mapping[Any, Any], Any, tuple[str, ...]]:
    """The inputs, their labels, and the names that were taken out of them: what the model's forward needs stays, and what
    it takes where other labels are given."""
    known = parameters_of(model)
    anything = any(each.kind is each.VAR_KEYWORD for each in known.values())
    found, taken = None, []
    kept: Any = copy.copy(inputs) if forward is not None else dict(inputs)
    for key in LABEL_KEYS:
        if key not in inputs:
            continue
        values = inputs[key]
        required = key in known and known[key].default is inspect.Parameter.empty
        required |= others and (anything or key in known)
        decoded = key in known and any(name in known for name in DECODER_INPUTS)
        if forward is None and (required or (decoded and not any(inputs.get(name) is not None for name in DECODER_INPUTS))):
            # targets of a decoder, one column per token, are not labels of samples
            values = None if decoded and is_array(values) and np.ndim(values) > 1 else values
        elif forward is None:
            del kept[key]
            taken.append(key)
        found = values if found is None else found
    return kept, found, tuple(taken)


def _arguments(inputs: Any, as_given: bool) -> Any:
    """A tree of tensors, of what may be samples one by one, and of what is neither."""
    if isinstance(inputs, str | bytes) or inputs is None or (plain(inputs) and not isinstance(inputs, tuple)):
        raise InputError("inputs", inputs, CALLED)
    leaf = partial(_leaf, as_given=as_given)
    if isinstance(inputs, list) and (as_given or (inputs and not _numbers(inputs))):
        return inputs
    if isinstance(inputs, tuple) and not _numbers(inputs):
        return tuple(named(part, leaf, f"inputs[{k}]") for k, part in enumerate(inputs))
    if items(inputs) is not None:
        return named(inputs, leaf)
    # an object that is called with forward=, or as it is, is cut where it has a length
    return inputs if not is_array(inputs) and not isinstance(inputs, list | tuple) else _tensor("inputs", inputs)


def _numbers(value: Any) -> bool:
    """Whether it is a sequence of numbers, or of such sequences: an array that is written out."""
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(map(_numbers, value))
    return isinstance(value, int | float | complex | np.number) and not isinstance(value, bool)


def _leaf(name: str, value: Any, as_given: bool) -> Any:
    if is_array(value) or (
        isinstance(value, list) and _numbers(value) and isinstance(value[0], list | tuple) and not as_given
    ):
        return _tensor(name, value)
    if isinstance(value, np.ndarray) and value.ndim:
        return list(value)  # words
    return value if isinstance(value, list | tuple) else Fixed(value)


def _tensor(name: str, values: Any) -> Tensor:
    if isinstance(values, Tensor) and values.is_meta:
        raise InputError(name, Text("a tensor on the meta device"), "one that holds numbers")
    if isinstance(values, Tensor) and values.is_nested:
        raise InputError(name, Text("a nested tensor"), "a padded one, torch.nested.to_padded_tensor, and its mask")
    if isinstance(values, Tensor) and values.is_complex():
        tensor = values.detach()
    elif isinstance(values, np.ndarray) and values.dtype.kind == "c":
        tensor = torch.from_numpy(np.array(values))
    else:
        tensor = as_tensor(name, values)
    tensor = tensor.clone()
    if tensor.is_sparse:
        tensor = tensor.coalesce()
    numbers = entries(tensor)
    if not is_mask(name):
        require_finite(name, torch.view_as_real(numbers.resolve_conj()) if numbers.is_complex() else numbers)
    return tensor


def _length(leaf: Any) -> int | None:
    """Samples in a leaf, if it has any."""
    if isinstance(leaf, Tensor):
        return len(leaf) if leaf.layout == torch.strided else leaf.shape[0]
    try:
        return None if isinstance(leaf, Fixed) else len(leaf)
    except TypeError:
        return None


def _count(tree: Any) -> int:
    """The number of samples that all arrays agree on; without arrays, that of the lists."""
    found = list(leaves(tree))
    sized = [leaf for leaf in found if isinstance(leaf, Tensor)] or [leaf for leaf in found if _length(leaf) is not None]
    lengths = {_length(leaf) for leaf in sized}
    if len(lengths) > 1:
        shown = ", ".join(map(str, sorted(filter(None, lengths))))
        raise InputError("inputs", Text(f"arrays of {shown} samples"), f"arrays of equal length; {WHOLE}")
    if not lengths:
        raise InputError("inputs", Text("no arrays"), CALLED)
    return lengths.pop() or 0


def _count_of_whole(tree: Any, labels: Any) -> int:
    """Where inputs are passed on whole, labels say how many samples there are, otherwise the first array of real numbers."""
    if labels is not None and (length := _length(labels)) is not None:
        return length
    arrays = [leaf for leaf in leaves(tree) if isinstance(leaf, Tensor)]
    real = [leaf for leaf in arrays if numeric(leaf)] or arrays or [leaf for leaf in leaves(tree) if _length(leaf)]
    if not real:
        wanted = "labels, one per sample: inputs that are passed on whole do not say how many samples there are"
        raise InputError("inputs", Text("no arrays"), wanted)
    return _length(real[0]) or 0


def _with_samples(name: str, leaf: Any, count: int) -> Any:
    """A leaf that is cut with the samples, or `Fixed`."""
    if isinstance(leaf, Fixed | Tensor):
        return leaf
    if isinstance(leaf, list | tuple) and len(leaf) == count and _numbers(leaf):
        return _tensor(name, leaf)
    if isinstance(leaf, tuple) or (isinstance(leaf, list) and len(leaf) != count and all(map(plain, leaf))):
        return Fixed(leaf)
    if _length(leaf) != count or not hasattr(leaf, "__getitem__"):
        shown = f"{type(leaf).__name__} of length {_length(leaf)}"
        raise InputError(name, Text(shown), f"{count} samples; {WHOLE}")
    return leaf


def _handed_whole(leaf: Any, count: int) -> Any:
    return leaf if isinstance(leaf, Fixed | Tensor | list) and _length(leaf) in (count, None) else Fixed(leaf)


def _cast(name: str, leaf: Any, precision: torch.dtype | None) -> Any:
    if isinstance(leaf, Fixed):
        return Fixed(_cast(name, leaf.value, precision)) if is_array(leaf.value) else leaf
    return as_the_model_takes(name, leaf, precision) if isinstance(leaf, Tensor) else leaf
