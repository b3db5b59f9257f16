"""Inputs that are not points as one number per sample, equal where the inputs are equal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowplane.recorder.inputs.trees import items, selected

__all__ = ["codes"]

#: Bytes of sparse rows that are made dense at once.
BLOCK = 1 << 26


def codes(parts: Iterable[Any], count: int) -> np.ndarray:
    """A number per sample, from 0 in order of appearance; two samples have the same one where all parts are equal.

    Example:
        >>> codes([torch.tensor([[1.0], [2.0], [1.0], [1.0]]), ["a", "a", "a", "b"]], 4).tolist()
        [0, 1, 0, 2]
    """
    seen = [blake2b(digest_size=16) for _ in range(count)]
    for part in parts:
        for each, content in zip(seen, _contents(part, count), strict=True):
            each.update(content)
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(each.digest(), len(numbers)) for each in seen], np.int64)


def _contents(part: Any, count: int) -> Iterable[bytes]:
    if not isinstance(part, Tensor):
        yield from (_bytes(part[k]) for k in range(count))
        return
    width = max(1, part.numel() // count) * 8
    block = count if part.layout == torch.strided else max(1, BLOCK // width)
    for start in range(0, count, block):
        chosen = selected(part, torch.arange(start, min(start + block, count), device="cpu"))
        dense = chosen if part.layout == torch.strided else chosen.to_dense()
        yield from (row.tobytes() for row in _array(dense).reshape(len(dense), -1))


def _array(values: Tensor) -> np.ndarray:
    values = values.detach().cpu()
    if values.is_quantized:
        values = values.dequantize()
    if values.is_complex():
        values = torch.view_as_real(values.resolve_conj())
    if values.is_floating_point():
        # −0 is 0; NumPy has no bfloat16
        values = (values if values.dtype in (torch.float16, torch.float32, torch.float64) else values.float()) + 0.0
    return np.ascontiguousarray(values.numpy())


def _bytes(value: Any) -> bytes:
    """The content of one sample; of an object that does not show it, its address."""
    if isinstance(value, Tensor):
        array = _array(value.to_dense() if value.layout != torch.strided else value)
        return f"{array.dtype}{array.shape}".encode() + array.tobytes()
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        return f"{value.dtype}{value.shape}".encode() + value.tobytes()
    if value is None or isinstance(value, str | bytes | int | float | complex | np.generic):
        return repr(value).encode()
    if isinstance(value, Mapping):
        return b"{" + b",".join(_bytes(name) + b":" + _bytes(part) for name, part in value.items()) + b"}"
    parts = items(value)
    if parts is not None or isinstance(value, Sequence | np.ndarray):
        entries = [part for _, part in parts] if parts is not None else value
        return b"(" + b",".join(map(_bytes, entries)) + b")"
    if callable(getattr(value, "to_dict", None)):
        return _bytes(value.to_dict())
    return str(id(value)).encode()
