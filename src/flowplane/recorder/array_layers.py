"""One layer's activations as the user has them, in memory or in a file, read a block of rows at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from flowplane.core.arrays import as_numbers
from flowplane.errors import InputError, Text

__all__ = ["ArrayLayer", "array_layer", "no_path", "shape_of"]

WANTED = "an array of numbers, (sample, *unit)"
WANTED_EPOCHS = "an array of numbers, (epoch, sample, *unit)"


@dataclass(frozen=True)
class ArrayLayer:
    """A layer whose activations exist already.

    Arguments:
        name: of the layer.
        values: what is cut along its first axes: (sample, *unit), or with `places` (epoch, sample, *unit).
        places: of the epochs in `values`, in the order in which they are recorded; None where `values` has no such axis.
        shape: (sample, *unit).
        complex: whether each number is two units, its real and its imaginary part.
    """

    name: str
    values: Any
    places: tuple[int, ...] | None
    shape: tuple[int, ...]
    complex: bool

    @property
    def samples(self) -> int:
        """Rows."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """Units."""
        return math.prod(self.shape[1:]) * (2 if self.complex else 1)

    def described(self) -> dict[str, Any]:
        """As the recording's configuration holds it."""
        rule = "flattened" if len(self.shape) > 2 else "as it is"
        return {
            "name": self.name,
            "module": "array",
            "shape": list(self.shape[1:]),
            "reduce": f"{rule}, real and imaginary parts" if self.complex else rule,
            "width": self.width,
            "activation": None,
        }

    def read(self, place: int, rows: slice) -> Float[np.ndarray, "row unit"]:
        """Some rows at one of the epochs, as float32.

        Raises:
            InputError: what cannot be read, or does not fit into float32.
        """
        block = _cut(self.name, self.values, None if self.places is None else self.places[place], rows)
        if self.complex:
            block = np.ascontiguousarray(block, np.result_type(block, np.complex64))
            block = block.view(block.real.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            cast = block.astype(np.float32)
        if block.dtype.itemsize > 4 and np.isinf(cast).sum() > np.isinf(block).sum():
            largest = float(np.abs(block[np.isfinite(block)]).max())
            raise InputError(_title(self.name), Text(f"values up to {largest:.3g}"), "numbers that float32 can hold")
        return cast.reshape(rows.stop - rows.start, self.width)


def array_layer(name: str, values: Any, places: Sequence[int] | None) -> ArrayLayer:
    """The layer of an array; what is in a file is not read yet.

    Arguments:
        places: of the epochs in the array's first axis, or of a list of arrays; None where there is one snapshot.

    Raises:
        InputError: not an array of numbers, too few axes, no units, or the wrong number of epochs.
    """
    no_path(_title(name), values)
    wanted = WANTED if places is None else WANTED_EPOCHS
    whole = _whole(name, values, places is not None)
    shape = (len(whole), *shape_of(whole[0])) if isinstance(whole, list) else shape_of(whole)
    if places is not None:
        if len(shape) < 2 or shape[0] != len(places):
            found = f"{shape[0]} epochs" if len(shape) > 1 else f"shape {shape}"
            raise InputError(_title(name), Text(found), f"{len(places)}, as epochs= has, in {wanted}")
        shape = shape[1:]
    if not shape:
        raise InputError(_title(name), Text("one number"), wanted)
    if 0 in shape[1:]:
        raise InputError(_title(name), Text(f"shape {shape}"), "one unit or more")
    nothing = _cut(name, whole, None if places is None else 0, slice(0, 0))
    kept = None if places is None else tuple(places)
    return ArrayLayer(name, whole, kept, shape, nothing.dtype.kind == "c")


def no_path(title: str, values: Any) -> None:
    """Raise InputError for a path: files are opened by the user, who knows what is in them."""
    if isinstance(values, str | bytes | os.PathLike):
        wanted = "the opened file: np.load(path, mmap_mode='r'), np.load(\"all.npz\"), safetensors.safe_open(…)"
        raise InputError(title, Text(f"a path, {os.fsdecode(values)}"), wanted)


def _title(name: str) -> str:
    return f"activations[{name!r}]"


def _whole(name: str, values: Any, epochs: bool) -> Any:
    """What can be cut into rows: the array itself, lists joined into one, or a list of one array per epoch."""
    if isinstance(values, list | tuple):
        return _listed(name, values, epochs)
    if isinstance(values, Tensor):
        if values.is_nested:
            raise InputError(_title(name), Text("a nested tensor"), "one with equally many units in every sample: pad it")
        return values.detach() if values.layout is torch.strided else values.detach().to_dense()
    if isinstance(values, Mapping):
        raise InputError(_title(name), Text(type(values).__name__), WANTED_EPOCHS if epochs else WANTED)
    if shape_of(values) and hasattr(values, "__getitem__"):
        return values
    if hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
        return from_dlpack(values)
    return as_numbers(_title(name), values)


def _listed(name: str, values: Sequence[Any], epochs: bool) -> Any:
    """A list of numbers or of rows is an array. A list of arrays may be epochs; batches cannot be told from layers."""
    shapes = [shape_of(each) for each in values]
    if not values or not all(shapes):
        return as_numbers(_title(name), list(values))
    if epochs:
        unlike = next((k for k, shape in enumerate(shapes) if shape != shapes[0]), None)
        if unlike is not None:
            raise InputError(f"{_title(name)}[{unlike}]", Text(f"shape {shapes[unlike]}"), f"{shapes[0]}, as the first")
        return [_whole(name, each, False) for each in values]
    if len(values) == 1:  # flax keeps what a module returned in a tuple of one
        return _whole(name, values[0], False)
    if len(shapes[0]) > 1:
        wanted = "one array: join batches (np.concatenate, torch.cat); pass a list of layers (hidden_states) by itself"
        raise InputError(_title(name), Text(f"a list of {len(values)} arrays"), wanted)
    return as_numbers(_title(name), [_numbers(name, each) for each in values])


def shape_of(values: Any) -> tuple[int, ...]:
    """The shape of anything that states one, also in a file; () for anything else."""
    if hasattr(values, "shape") or hasattr(values, "get_shape"):
        return tuple(map(int, values.shape if hasattr(values, "shape") else values.get_shape()))
    return ()


def _cut(name: str, values: Any, epoch: int | None, rows: slice) -> np.ndarray:
    """Some rows as they are stored. Raises InputError for what cannot be read or holds no numbers."""
    try:
        if isinstance(values, list):
            return _numbers(name, values[epoch or 0][rows])
        return _numbers(name, values[rows] if epoch is None else values[epoch, rows])
    except (InputError, MemoryError):
        raise
    except Exception as error:  # each library has its own kind for what it cannot read
        reason = (str(error) or repr(error)).splitlines()[0]
        raise InputError(_title(name), Text(f"{type(values).__name__} that cannot be read ({reason})"), WANTED) from error


def _numbers(name: str, block: Any) -> np.ndarray:
    """Real or complex numbers, on the CPU."""
    if np.ma.is_masked(block):
        raise InputError(_title(name), Text("a masked array"), "an array without missing values: drop those samples first")
    if not isinstance(block, Tensor) and hasattr(block, "__dlpack__"):
        try:
            block = np.asarray(block)
        except (TypeError, BufferError):  # on a GPU, where NumPy would copy in silence
            block = from_dlpack(block)
    if isinstance(block, Tensor):
        block = block.detach().resolve_conj().resolve_neg().cpu()
        # NumPy has no small floats of torch
        block = (block.float() if block.is_floating_point() and block.element_size() < 4 else block).numpy()
    array = np.asarray(block)
    if array.dtype.kind == "V" and array.dtype.type is not np.void:  # bfloat16 of ml_dtypes, as JAX has it
        array = array.astype(np.float32)
    if array.dtype.kind not in "biufc":
        raise InputError(_title(name), Text(f"an array of {array.dtype}"), "an array of numbers")
    return array
