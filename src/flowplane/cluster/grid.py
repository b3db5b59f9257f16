"""The grid of a sweep: names, values, and what each task is called."""

from __future__ import annotations

import hashlib
import json
import keyword
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from flowplane.errors import InputError, Text

__all__ = ["RESERVED", "Grid", "Value", "task_name"]

Value = str | bool | int | float | None | tuple["Value", ...]

#: What the gathered Dataset holds for every task; `path` is what a study is given.
RESERVED = ("path", "status", "recording")
_VALUE = "strings, finite numbers, True, False, None, or tuples of them"
#: The most characters of a folder's name that parameters take.
_READABLE = 80


@dataclass(frozen=True)
class Grid:
    """Values of each parameter, in the caller's order; a task is one of their combinations.

    Example:
        >>> grid = Grid.checked({"seed": [0, 1], "hidden": [(4,), (10, 7)]})
        >>> grid.shape, grid.tasks()[1], grid.labels("hidden").tolist()
        ((2, 2), {'seed': 0, 'hidden': (10, 7)}, ['4', '10-7'])
    """

    values: dict[str, tuple[Value, ...]]

    @classmethod
    def checked(cls, grid: Any) -> Grid:
        """The grid that a caller wrote. Raises InputError for invalid names or values."""
        if not isinstance(grid, Mapping) or not grid:
            raise InputError("grid", grid, "a dict of parameters, each with a list of its values")
        values = {}
        for name, given in grid.items():
            if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name in RESERVED:
                raise InputError("grid", name, f"names of parameters, none of them {', '.join(RESERVED)}")
            if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
                raise InputError(f"grid[{name!r}]", given, "a list of values")
            values[name] = tuple(_plain(name, value) for value in given)
            if not values[name]:
                raise InputError(f"grid[{name!r}]", Text("no values"), "one value or more")
        found = cls(values)
        for name in values:
            if len(set(found.labels(name).tolist())) < len(values[name]):
                raise InputError(f"grid[{name!r}]", list(values[name]), "values that differ")
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each parameter has."""
        return tuple(len(values) for values in self.values.values())

    def tasks(self) -> list[dict[str, Value]]:
        """The parameters of every task, the last parameter changing fastest."""
        return [dict(zip(self.values, chosen, strict=True)) for chosen in product(*self.values.values())]

    def labels(self, name: str) -> np.ndarray:
        """A parameter's values as a coordinate: numbers where all are numbers, otherwise their text."""
        values = self.values[name]
        booleans = [isinstance(value, bool) for value in values]
        if all(booleans):
            return np.array(values)
        if not any(booleans) and all(isinstance(value, int | float) for value in values):
            numbers = np.array(values)
            if numbers.dtype.kind in "if":
                return numbers
        return np.array([_text(value) for value in values])

    def joined(self, other: Grid) -> Grid:
        """The values of both, these first."""
        known = {name: {_identity(value) for value in values} for name, values in self.values.items()}
        return Grid(
            {
                name: values + tuple(value for value in other.values[name] if _identity(value) not in known[name])
                for name, values in self.values.items()
            }
        )


def task_name(parameters: Mapping[str, Value]) -> str:
    """The folder of a task: its parameters, as far as a name can hold them, and eight digits that are its own.

    Equal numbers are one task, whether they are written 1 or 1.0.

    Example:
        >>> task_name({"seed": 1, "optimizer": "adam"}), task_name({"optimizer": "adam", "seed": 1.0})
        ('optimizer=adam,seed=1-5ce1152a', 'optimizer=adam,seed=1-5ce1152a')
    """
    same = {name: _canonical(parameters[name]) for name in sorted(parameters)}
    exact = json.dumps([[name, _identity(value)] for name, value in same.items()])
    readable = ",".join(f"{name}={_text(value)}" for name, value in same.items())
    readable = re.sub(r"[^A-Za-z0-9.,=+_-]", "_", readable)[:_READABLE]
    return f"{readable}-{hashlib.sha256(exact.encode()).hexdigest()[:8]}"


def _plain(name: str, value: Any) -> Value:
    """A value that JSON can hold, as Python's own type."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list | tuple):
        return tuple(_plain(name, part) for part in value)
    if value is not None and not isinstance(value, str | bool | int | float):
        raise InputError(f"grid[{name!r}]", value, _VALUE)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"grid[{name!r}]", value, _VALUE)
    return value


def _canonical(value: Value) -> Value:
    """The same text for equal numbers."""
    if isinstance(value, tuple):
        return tuple(map(_canonical, value))
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _identity(value: Value) -> str:
    return json.dumps(_canonical(value))


def _text(value: Value) -> str:
    return "-".join(map(_text, value)) if isinstance(value, tuple) else str(value)
