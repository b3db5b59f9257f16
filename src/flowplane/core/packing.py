"""Values as bytes, exactly: numbers, texts, arrays, Datasets and what is made of them; and a name for whatever has one."""

from __future__ import annotations

import json
import sys
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

__all__ = ["Unpackable", "digest", "packed", "unpacked"]

#: Types that JSON holds as they are. Floats: Python writes and reads them to the last bit, NaN and infinities too.
PLAIN = (type(None), bool, int, float, str)
#: Kinds of arrays whose bytes are their values.
KINDS = "biufcUSmM"


class Unpackable(TypeError):
    """Something without a stable identity: a function, an object of a user's class, a generator."""


def packed(value: Any) -> bytes:
    """A value as bytes: its structure as JSON, and the bytes of its arrays behind that.

    Objects of flowplane's own frozen dataclasses, and tensors, can be packed for their `digest`, but not unpacked.

    Raises:
        Unpackable: what the value holds has no stable identity.

    Example:
        >>> unpacked(packed({"i_xt": np.float32(0.1), "layers": ("fc", "head")}))
        {'i_xt': np.float32(0.1), 'layers': ('fc', 'head')}
    """
    buffers: list[bytes] = []
    head = json.dumps(_tree(value, buffers)).encode()
    return b"".join([len(head).to_bytes(8, "little"), head, *buffers])


def unpacked(data: bytes) -> Any:
    """The value that was packed. Raises ValueError, KeyError or TypeError for bytes that are something else."""
    size = int.from_bytes(data[:8], "little")
    return _value(json.loads(data[8 : 8 + size]), data, 8 + size)


def digest(value: Any) -> str:
    """A name of a value that differs wherever the value does, types included; the same in every process.

    Raises:
        Unpackable: what the value holds has no stable identity.

    Example:
        >>> digest((1, "a")) == digest((1, "a")), digest((1, "a")) == digest((1.0, "a"))
        (True, False)
    """
    return blake2b(packed(value), digest_size=16).hexdigest()


def _tree(value: Any, buffers: list[bytes]) -> Any:
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is list:
        return [_tree(part, buffers) for part in value]
    if kind is tuple:
        return {"tuple": [_tree(part, buffers) for part in value]}
    if kind is dict:
        return {"dict": [[_tree(key, buffers), _tree(part, buffers)] for key, part in value.items()]}
    if isinstance(value, np.generic):
        return {"scalar": _array(np.asarray(value), buffers)}
    if kind is np.ndarray:
        return {"array": _array(value, buffers)}
    if kind is Tensor:
        return {"tensor": _array(value.detach().cpu().numpy(), buffers)}
    if kind is xr.Dataset:
        own = [[_variable(name, value[name], buffers) for name in part] for part in (value.data_vars, value.coords)]
        return {"dataset": [*own, _tree(dict(value.attrs), buffers)]}
    if is_dataclass(value) and _is_ours(kind):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"object": [f"{kind.__module__}:{kind.__qualname__}", _tree(parts, buffers)]}
    raise Unpackable(f"{kind.__module__}.{kind.__qualname__}")


def _is_ours(kind: type) -> bool:
    """Whether a class is flowplane's own: its name and the version then determine what it does."""
    return (
        kind.__module__.split(".")[0] == "flowplane" and getattr(sys.modules.get(kind.__module__), kind.__name__, 0) is kind
    )


def _array(array: np.ndarray, buffers: list[bytes]) -> list[Any]:
    if array.dtype.kind not in KINDS:
        raise Unpackable(f"an array of {array.dtype}")
    buffers.append(np.ascontiguousarray(array).tobytes())
    return [array.dtype.str, list(array.shape), sum(map(len, buffers[:-1])), len(buffers[-1])]


def _variable(name: Any, array: xr.DataArray, buffers: list[bytes]) -> list[Any]:
    return [_tree(part, buffers) for part in (name, array.dims, np.asarray(array.values), dict(array.attrs))]


def _value(tree: Any, data: bytes, start: int) -> Any:
    if isinstance(tree, list):
        return [_value(part, data, start) for part in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, parts),) = tree.items()
    if kind in ("array", "scalar"):
        array = _read(parts, data, start)
        return array if kind == "array" else array[()]
    inner = [_value(part, data, start) for part in parts]
    if kind == "tuple":
        return tuple(inner)
    if kind == "dict":
        return dict(inner)
    if kind == "dataset":
        variables, coords = ({name: (dims, *rest) for name, dims, *rest in part} for part in inner[:2])
        return xr.Dataset(variables, coords, inner[2])
    raise ValueError(kind)


def _read(about: list[Any], data: bytes, start: int) -> np.ndarray:
    kind, shape, first, size = about
    part = data[start + first : start + first + size]
    return np.frombuffer(part, np.dtype(kind)).reshape(shape).copy()  # a view of bytes could not be written to
