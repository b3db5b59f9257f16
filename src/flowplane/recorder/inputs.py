"""Probe inputs and labels as a user has them: tensors, dicts, a DataLoader; classes, targets or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from flowplane.core.arrays import as_numbers, as_tensor, require_finite
from flowplane.errors import InputError, Text

__all__ = ["Labels", "ProbeInputs", "read_inputs", "read_labels"]

#: Keys of a batch that hold labels and are no argument of the model.
LABEL_KEYS = ("labels", "label")
#: Samples read at once from a Dataset.
READ = 256
#: Inputs above this many bytes are not kept with a recording.
KEPT_BYTES = 1 << 28
#: Classes that regression targets are cut into, with equally many samples each.
CLASSES = 10
#: So many whole numbers are classes, also if hardly one repeats.
FEW = 20
#: A label of this number, as in torch and transformers, means that there is none.
IGNORED = -100


@dataclass(frozen=True)
class ProbeInputs:
    """What the model is called with: tensors with the samples first, by position or by name."""

    positional: tuple[Tensor, ...]
    named: dict[str, Tensor]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return (*self.positional, *self.named.values())

    @property
    def count(self) -> int:
        """Samples."""
        return len(self.tensors[0])

    @property
    def mask(self) -> Tensor | None:
        """Which tokens are no padding, (sample, token), where the inputs say so."""
        mask = self.named.get("attention_mask")
        return mask.bool() if mask is not None and mask.ndim == 2 else None

    def batch(
        self, start: int, stop: int, device: torch.device, dtype: torch.dtype
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments of one call; floating-point inputs get the model's own dtype."""

        def ready(values: Tensor) -> Tensor:
            part = values[start:stop].to(device)
            return part.to(dtype) if part.is_floating_point() else part

        return tuple(map(ready, self.positional)), {name: ready(values) for name, values in self.named.items()}

    def rows(self) -> tuple[np.ndarray, bool]:
        """The inputs as rows (sample, feature) for the recording, and whether they are points: one array of real numbers,
        not too large. Otherwise one number a sample, equal for equal inputs."""
        first = self.tensors[0]
        flat = [values.reshape(self.count, -1).cpu() for values in self.tensors]
        if len(flat) == 1 and first.is_floating_point() and 4 * first.numel() <= KEPT_BYTES:
            return flat[0].float().numpy(), True
        code = np.zeros(self.count, np.int64)
        for values in flat:
            own = np.unique(
                values.float().numpy() if values.dtype == torch.bfloat16 else values.numpy(), axis=0, return_inverse=True
            )[1].ravel()
            code = np.unique(np.stack([code, own]), axis=1, return_inverse=True)[1].ravel()
        return code[:, None].astype(np.float32), False


@dataclass(frozen=True)
class Labels:
    """Classes (sample,) numbered from 0, or (sample, token) with −1 for none; targets (sample, target); what they are."""

    classes: np.ndarray | None
    targets: np.ndarray | None
    about: str
    names: list[Any] | None = None


def read_inputs(inputs: Any) -> tuple[ProbeInputs, Any]:
    """The probe inputs, and the labels that came with them (None where none did).

    Raises:
        InputError: no arrays of numbers, arrays of different lengths, fewer than two samples, NaN.
    """
    found = None
    if isinstance(inputs, DataLoader | Dataset):
        loader = inputs if isinstance(inputs, DataLoader) else DataLoader(inputs, READ)  # type: ignore[var-annotated]
        generators = [part for part in (loader.generator, getattr(loader.sampler, "generator", None)) if part is not None]
        states = [part.get_state() for part in generators]
        inputs, found = _together(loader)
        for part, state in zip(generators, states, strict=True):
            part.set_state(state)
    if isinstance(inputs, Mapping):
        named = {str(name): _tensor(f"inputs[{name!r}]", values) for name, values in inputs.items()}
        for key in LABEL_KEYS:
            labels = named.pop(key, None)
            found = labels if found is None else found
        given = ProbeInputs((), named)
    elif isinstance(inputs, tuple | list) and any(isinstance(part, Tensor | np.ndarray) for part in inputs):
        given = ProbeInputs(tuple(_tensor(f"inputs[{k}]", part) for k, part in enumerate(inputs)), {})
    else:
        given = ProbeInputs((_tensor("inputs", inputs),), {})
    if not given.tensors:
        raise InputError("inputs", Text("no arrays"), "a tensor, a dict or tuple of tensors, or a DataLoader")
    lengths = {len(values) for values in given.tensors}
    if len(lengths) > 1:
        raise InputError(
            "inputs", Text(f"arrays of {', '.join(map(str, sorted(lengths)))} samples"), "arrays of equal length"
        )
    if given.count < 2:
        raise InputError("inputs", Text(f"{given.count} sample{'s' if given.count != 1 else ''}"), "two samples or more")
    return given, found


def _tensor(name: str, values: Any) -> Tensor:
    tensor = as_tensor(name, values).clone()
    if tensor.ndim == 0:
        raise InputError(name, Text("one number"), "an array with the samples first")
    if tensor.dtype == torch.float64:
        tensor = tensor.float()
    require_finite(name, tensor)
    return tensor


def _together(loader: Iterable[Any]) -> tuple[Any, Any]:
    """All batches of a loader as one: inputs, and labels where batches are pairs (inputs, labels)."""
    batches = list(loader)
    if not batches:
        raise InputError("inputs", Text("a loader without batches"), "a loader with two samples or more")
    first = batches[0]
    if isinstance(first, Mapping):
        return {key: _stacked(str(key), [batch[key] for batch in batches]) for key in first}, None
    if isinstance(first, tuple | list) and len(first) == 2:
        inputs = [batch[0] for batch in batches]
        labels = _stacked("labels", [batch[1] for batch in batches])
        if isinstance(inputs[0], Mapping):
            return {key: _stacked(str(key), [batch[key] for batch in inputs]) for key in inputs[0]}, labels
        return _stacked("inputs", inputs), labels
    if isinstance(first, tuple | list):
        return tuple(_stacked("inputs", [batch[k] for batch in batches]) for k in range(len(first))), None
    return _stacked("inputs", batches), None


def _stacked(name: str, parts: Sequence[Any]) -> Tensor:
    tensors = [torch.as_tensor(part) for part in parts]
    if len({tuple(part.shape[1:]) for part in tensors}) > 1:
        shapes = ", ".join(sorted({str(tuple(part.shape)) for part in tensors}))
        raise InputError(name, Text(f"batches of shapes {shapes}"), "samples of one shape: pad them to one length")
    return torch.cat(tensors)


def read_labels(labels: Any, count: int) -> Labels:
    """Whole numbers, words and one-hot rows are classes; other numbers, and whole ones that hardly repeat, are regression
    targets, which are cut into classes as well.

    Targets of several numbers are cut along their first principal component: what is known of the class of Y is at most
    what is known of Y.

    Raises:
        InputError: another length, NaN, one class only.
    """
    if labels is None:
        return Labels(None, None, "none")
    values = _label_array(labels)
    if values.ndim == 2 and values.shape[1] > 1 and np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all():
        values = values.argmax(1)  # a one-hot row a sample
    if len(values) != count:
        raise InputError("labels", Text(f"shape {values.shape}"), f"{count} labels, one an input")
    if values.dtype.kind == "f":
        require_finite("labels", torch.from_numpy(np.ascontiguousarray(values)))
        whole = values.ndim == 1 and bool((values == np.round(values)).all()) and len(np.unique(values)) <= count // 2
        if not whole:
            return _targets(values.reshape(count, -1).astype(float))
        values = values.astype(np.int64)
    if values.ndim == 2 and 1 in values.shape[1:]:
        values = values[:, 0]
    if values.dtype.kind in "iu" and values.ndim == 1:
        if (values == IGNORED).any():
            found = Text(f"{(values == IGNORED).sum()} of {IGNORED}, which stands for none")
            raise InputError("labels", found, "samples that all have a label: leave those out")
        if len(np.unique(values)) > max(FEW, count // 2):
            return _targets(values.reshape(count, -1).astype(float))
    if values.ndim > 2:
        raise InputError("labels", Text(f"shape {values.shape}"), "(sample,) or, for tokens, (sample, token)")
    known = values != IGNORED if values.dtype.kind in "iu" and values.ndim == 2 else np.ones(values.shape, bool)
    names, codes = np.unique(values[known], return_inverse=True)
    if len(names) < 2:
        raise InputError("labels", Text(f"one class only ({names[0] if len(names) else 'none'})"), "two classes or more")
    classes = np.full(values.shape, -1, np.int64)
    classes[known] = codes.ravel()
    return Labels(classes, None, "classes", names.tolist())


def _label_array(labels: Any) -> np.ndarray:
    plain = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels)
    if plain.dtype.kind == "O" and all(isinstance(each, str) for each in plain.ravel()):
        plain = plain.astype(str)
    if plain.dtype.kind in "US":
        return plain
    values = as_numbers("labels", labels)
    if values.dtype.kind == "b":
        values = values.astype(np.int64)
    if values.ndim == 0:
        raise InputError("labels", Text("one number"), "one label an input")
    return values


def _targets(values: np.ndarray) -> Labels:
    centred = values - values.mean(0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0] if values.shape[1] > 1 else np.ones(1)
    along = centred @ (axis * np.sign(axis[np.abs(axis).argmax()]))
    if np.ptp(along) == 0:
        raise InputError("labels", Text("targets that are all the same"), "targets that differ")
    edges = np.quantile(along, np.linspace(0, 1, CLASSES + 1)[1:-1])
    classes = np.unique(np.searchsorted(edges, along), return_inverse=True)[1].ravel()
    count = int(classes.max()) + 1
    where = "" if values.shape[1] == 1 else ", along their first principal component"
    return Labels(classes, values, f"targets in {count} classes of about equal size{where}")
