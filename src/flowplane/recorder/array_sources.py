"""The layers of a mapping, a list or an opened file: their names, their order, and each one's array when it is asked for."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flowplane.core.callers import outside
from flowplane.errors import InputError, Text
from flowplane.recorder.array_layers import ArrayLayer, array_layer, shape_of

__all__ = ["WANTED", "array_layers", "is_file"]

WANTED = "{layer: array}, a list of arrays such as hidden_states, or an opened .npz or .safetensors file"
ALPHABETICAL = (
    "the layers come in alphabetical order ({}, …), not in the order of their numbers; a dict keeps the order given"
)


def array_layers(source: Any, places: Sequence[int] | None, prefix: str = "") -> Iterator[ArrayLayer]:
    """The layers in their order; of a file each is read when it is asked for, and none is kept here.

    Arguments:
        places: as of `array_layer`.
        prefix: of the names, within a dict within a dict.

    Raises:
        InputError: not a mapping, list or file of arrays, or one that cannot be read.
    """
    for key, read in _entries(source):
        name = f"{prefix}{key}"
        found = _tried(f"activations[{name!r}]", source, read)
        if isinstance(found, Mapping) and len(found):
            yield from array_layers(found, places, f"{name}.")
            continue
        layer = array_layer(name, found, places)
        del found
        yield layer
        del layer  # not to be held while the next one is read


def is_file(source: Any) -> bool:
    """Whether reading a layer may take long: true unless the source itself holds the arrays."""
    return not isinstance(source, dict | list | tuple)


def _tried(title: str, source: Any, read: Callable[[], Any]) -> Any:
    """What is read from a mapping or a file. Raises InputError where it cannot be."""
    try:
        return read()
    except Exception as error:  # each library has its own kind for a file that is closed or damaged
        reason = (str(error) or repr(error)).splitlines()[0]
        found = Text(f"a {type(source).__name__} that cannot be read ({reason})")
        raise InputError(title, found, "an opened file that is whole") from error


def _entries(source: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Names, and what reads each one's array."""
    if hasattr(source, "keys") and hasattr(source, "get_tensor"):  # of safetensors, which keeps no order
        names = _tried("activations", source, lambda: sorted(source.keys(), key=_by_number))
        read = getattr(source, "get_slice", source.get_tensor)
        yield from ((name, lambda name=name: read(name)) for name in names)
    elif isinstance(source, Mapping):
        keys = _tried("activations", source, lambda: list(source.keys()))
        _warn_of_order([str(key) for key in keys])
        yield from ((str(key), lambda key=key: source[key]) for key in keys)
    elif isinstance(source, tuple) and hasattr(source, "_fields"):
        yield from ((name, lambda name=name: getattr(source, name)) for name in source._fields)
    elif isinstance(source, tuple | list) and all(len(shape_of(each)) > 1 for each in source):
        yield from ((str(k), lambda k=k: source[k]) for k in range(len(source)))
    else:
        kind = type(source).__name__
        listed = isinstance(source, tuple | list)
        raise InputError(
            "activations", Text(f"a {kind} with items other than arrays (sample, unit)" if listed else kind), WANTED
        )


def _by_number(name: str) -> list[tuple[int, str]]:
    """For sorting: numbers in a name count as numbers, h.2 before h.10.

    Example:
        >>> sorted(["h.10", "h.2", "head"], key=_by_number)
        ['h.2', 'h.10', 'head']
    """
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _warn_of_order(names: list[str]) -> None:
    """jax.jit and HDF5 sort names alphabetically, which puts the layers of a network out of order."""
    if names == sorted(names) and names != sorted(names, key=_by_number):
        wrong = next(k for k, name in enumerate(sorted(names, key=_by_number)) if name != names[k])
        listed = ", ".join(names[max(0, wrong - 1) : wrong + 2])
        warnings.warn(ALPHABETICAL.format(listed), RuntimeWarning, stacklevel=outside())
