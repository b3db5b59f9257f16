"""Arguments as a tree: tuples, dicts and dataclasses, and in them what is sliced with the samples and what is not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Fixed", "items", "leaves", "mapped", "moved", "named", "plain", "selected"]


@dataclass(frozen=True)
class Fixed:
    """What every call gets unchanged: None, a flag, a word, a number, a graph that is not cut."""

    value: Any


def mapped(tree: Any, function: Callable[[Any], Any]) -> Any:
    """The tree with each leaf replaced by a function of it.

    Example:
        >>> mapped({"x": ([1], [2]), "y": 3}, lambda leaf: leaf * 2)
        {'x': ([1, 1], [2, 2]), 'y': 6}
    """
    return named(tree, lambda name, leaf: function(leaf))


def named(tree: Any, function: Callable[[str, Any], Any], name: str = "inputs") -> Any:
    """The tree with each leaf replaced by a function of what it is called and of itself.

    Example:
        >>> named({"x": [1], "y": ([2], None)}, lambda name, leaf: name)
        {'x': "inputs['x']", 'y': ("inputs['y'][0]", "inputs['y'][1]")}
    """
    parts = items(tree)
    if parts is None:
        return function(name, tree)
    made = {place: named(part, function, f"{name}[{place!r}]") for place, part in parts}
    if isinstance(tree, Mapping):
        return _mapping_like(tree, made)
    if isinstance(tree, tuple):
        return type(tree)(*made.values()) if hasattr(tree, "_fields") else tuple(made.values())
    other = copy.copy(tree)
    for place, part in made.items():
        object.__setattr__(other, place, part)
    return other


def _mapping_like(one: Mapping[Any, Any], made: dict[Any, Any]) -> Any:
    """The entries in a mapping of the same type: a model may ask its inputs for attributes."""
    if type(one) is dict:
        return made
    other: Any = copy.copy(one)
    try:
        for name, part in made.items():
            other[name] = part
    except (TypeError, AttributeError, NotImplementedError):  # one that cannot be written to
        return made
    return other


def leaves(tree: Any) -> Iterator[Any]:
    """The leaves of a tree, in order."""
    parts = items(tree)
    if parts is None:
        yield tree
    for _, part in parts or ():
        yield from leaves(part)


def items(tree: Any) -> list[tuple[Any, Any]] | None:
    """Names and parts of what is not a leaf; None for a leaf. A list is a leaf, as its entries are samples, and so is a
    tuple of nothing but numbers and words."""
    if isinstance(tree, Mapping):
        return list(tree.items())
    if isinstance(tree, tuple):
        return None if plain(tree) else list(enumerate(tree))
    if is_dataclass(tree) and not isinstance(tree, type | Fixed):
        return [(each.name, getattr(tree, each.name)) for each in fields(tree)]
    return None


def plain(value: Any) -> bool:
    """Whether it is a number, a word, None or a tuple of such."""
    if isinstance(value, tuple):
        return all(map(plain, value))
    return value is None or isinstance(value, str | bytes | int | float | complex | np.generic)


def selected(leaf: Any, rows: Tensor) -> Any:
    """The samples `rows` of a leaf, in that order."""
    if isinstance(leaf, Fixed):
        return leaf
    if isinstance(leaf, Tensor):
        return _rows_of(leaf, rows.to(leaf.device))
    if isinstance(leaf, list):
        return [leaf[k] for k in rows.tolist()]
    if isinstance(leaf, np.ndarray):
        return leaf[rows.numpy()]
    # what can be sliced, but need not take a list of rows
    first, last = int(rows[0]), int(rows[-1]) + 1
    return leaf[first:last] if torch.equal(rows, torch.arange(first, last, device=rows.device)) else leaf[rows]


def _rows_of(values: Tensor, rows: Tensor) -> Tensor:
    if values.layout == torch.strided:
        first, last = int(rows[0]), int(rows[-1]) + 1
        # a slice of neighbours copies nothing
        return values[first:last] if torch.equal(rows, torch.arange(first, last, device="cpu").to(rows)) else values[rows]
    if values.layout == torch.sparse_coo:
        return values.index_select(0, rows)
    block = values.values().shape[-2:] if values.layout in (torch.sparse_bsr, torch.sparse_bsc) else None
    chosen = values.to_sparse_coo().index_select(0, rows)
    return chosen.to_sparse(layout=values.layout, blocksize=block)


def moved(value: Any, device: torch.device) -> Any:
    """A value on the device: tensors, containers of them, and objects that have `to`, such as graphs."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, list):
        return [moved(part, device) for part in value]
    parts = items(value)
    if parts is not None:
        return mapped(value, lambda leaf: moved(leaf, device))
    if device.type != "cpu" and callable(getattr(value, "to", None)):
        return copy.copy(value).to(device)  # a copy, as some objects move themselves
    return value
