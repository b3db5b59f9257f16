"""What a model keeps between calls, other than weights: noted before it is looked at, and put back."""

from __future__ import annotations

import random
import re
import types
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from flowplane.errors import InputError, Text
from flowplane.recorder.numbers import numeric

__all__ = ["require_initialised", "state_kept", "unkept"]

#: Puts one thing back.
Undo = Callable[[], None]
#: Attributes that torch itself keeps in a module.
OWN = frozenset(nn.Module().__dict__) - {"training"}
HOOKS = tuple(name for name in OWN if "hooks" in name and isinstance(vars(nn.Module())[name], dict))
#: How deep in lists, dicts and tuples state is looked for; in objects not deeper than their attributes.
DEPTH = 4
#: Containers of more entries are put back as they are, without what their entries hold.
ENTRIES = 10_000
#: Tensors and arrays in plain attributes above this many bytes are not copied at each look.
LARGE = 1 << 28
#: Types without state that a call changes.
STATELESS: tuple[type, ...] = (type(None), bool, int, float, complex, str, bytes, type, Enum, re.Pattern)
STATELESS += (types.ModuleType, types.FunctionType, types.MethodType, types.BuiltinFunctionType)
STATELESS += (torch.dtype, torch.device, torch.Size)


def require_initialised(model: nn.Module) -> None:
    """Raise InputError for modules whose weights are made by their first call: looking at them would make them."""
    lazy = [
        name or type(model).__name__
        for name, part in model.named_modules()
        if any(is_lazy(values) for values in (*part._parameters.values(), *part._buffers.values()))
    ]
    if lazy:
        shown = ", ".join(lazy[:5]) + (", …" if len(lazy) > 5 else "")
        found = Text(f"modules whose weights are made by their first call: {shown}")
        raise InputError("model", found, "one that was called once, before the optimiser is made: model(inputs[:2])")


def unkept(model: nn.Module) -> list[str]:
    """Attributes of modules that may change in a call and cannot be put back: iterators, and tensors that are very large."""
    return [
        f"{name}.{attribute}".lstrip(".")
        for name, part in model.named_modules()
        for attribute, value in vars(part).items()
        if attribute not in OWN and (hasattr(value, "__next__") or _too_large(value))
    ]


@contextmanager
def state_kept(model: nn.Module) -> Iterator[None]:
    """Training flags, buffers, hooks, and what modules keep in plain attributes are put back to what they were before:
    tensors, arrays, numbers, random generators, lists, dicts and objects of them. Iterators and what lies outside the
    modules (in globals, closures, open files) cannot be put back.

    Raises:
        InputError: the model made parameters or modules inside.
    """
    parts = list(model.modules())
    before = [(part, _names(part), dict(part._buffers), part.training) for part in parts]
    undo = [_tensor_kept(values) for part in parts for values in part._buffers.values() if values is not None]
    # a model that hooks itself in its first call notes in an attribute that it did
    hooks = [(found, found.copy()) for part in parts for name in HOOKS if (found := vars(part).get(name)) is not None]
    undo.append(_all_of([partial(_entries_back, found, was) for found, was in hooks]))
    seen: dict[int, Any] = {id(part): part for part in parts}
    undo += [_attributes_kept(part, seen, 0) for part in parts if not isinstance(part, torch.jit.ScriptModule)]
    made: list[str] = []
    names = {part: name for name, part in model.named_modules()}
    try:
        yield
    finally:
        with torch.no_grad():
            for part, known, buffers, training in before:
                part.training = training
                new = _names(part) - known
                made += [f"{names[part]}.{name}".lstrip(".") for name in sorted(new)]
                for name in new:
                    delattr(part, name)
                _entries_back(part._buffers, buffers)
            for each in reversed(undo):
                each()
    if made:
        found = Text(f"a model that makes {', '.join(made[:5])} in its first call")
        raise InputError("model", found, "one that was called once, before the optimiser is made: model(inputs[:2])")


def _names(part: nn.Module) -> set[str]:
    return {*part._modules.keys(), *part._parameters.keys()}


def _attributes_kept(owner: Any, seen: dict[int, Any], depth: int) -> Undo:
    """The attributes of a module or another object, but for what torch keeps in modules."""
    entries = vars(owner)
    before = {name: value for name, value in entries.items() if not (isinstance(owner, nn.Module) and name in OWN)}
    undo = [_kept(value, seen, depth) for value in before.values()]
    order = list(entries)

    def back() -> None:
        current = {name for name in entries if not (isinstance(owner, nn.Module) and name in OWN)}
        for name in current - set(before):
            del entries[name]
        for name, value in before.items():
            if name not in entries or entries[name] is not value:
                entries[name] = value
        _entries_back(entries, {name: entries[name] for name in dict.fromkeys([*order, *entries]) if name in entries})
        for each in undo:
            each()

    return back


def _kept(value: Any, seen: dict[int, Any], depth: int) -> Undo:
    """How the content of a value is put back into it; the value itself is whatever it was."""
    if isinstance(value, STATELESS) or id(value) in seen or depth > DEPTH:
        return _nothing
    seen[id(value)] = value
    if isinstance(value, Tensor):
        return _nothing if isinstance(value, nn.Parameter) or _too_large(value) else _tensor_kept(value)
    if isinstance(value, np.ndarray):
        return _nothing if _too_large(value) else partial(_array_back, value, value.copy())
    if isinstance(value, torch.Generator):
        return partial(_generator_back, value, value.get_state())
    if isinstance(value, np.random.Generator):
        return partial(setattr, value.bit_generator, "state", value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return partial(value.set_state, value.get_state())
    if isinstance(value, random.Random):
        return partial(value.setstate, value.getstate())
    if isinstance(value, list | dict | set | deque | bytearray):
        return _container_kept(value, seen, depth)
    if isinstance(value, tuple):
        return _all_of([_kept(part, seen, depth + 1) for part in value])
    if isinstance(value, nn.Module):  # in a plain list: not one of the model's modules
        return _all_of([_container_kept(value._buffers, seen, depth), _attributes_kept(value, seen, DEPTH)])
    if hasattr(value, "__dict__"):
        return _attributes_kept(value, seen, DEPTH)
    return _nothing


def _too_large(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not isinstance(value, nn.Parameter) and value.layout == torch.strided and value.nbytes > LARGE
    return isinstance(value, np.memmap) or (isinstance(value, np.ndarray) and value.nbytes > LARGE)


def _nothing() -> None:
    """Nothing to be put back."""


def _all_of(parts: list[Undo]) -> Undo:
    kept = [part for part in parts if part is not _nothing]

    def back() -> None:
        for part in kept:
            part()

    return back if kept else _nothing


def _generator_back(generator: torch.Generator, state: Tensor) -> None:
    generator.set_state(state)


def _container_kept(value: Any, seen: dict[int, Any], depth: int) -> Undo:
    copied = value.copy()
    parts = copied.values() if isinstance(copied, dict) else copied
    few = len(copied) <= ENTRIES and not isinstance(value, bytearray)
    inside = _all_of([_kept(part, seen, depth + 1) for part in parts]) if few else _nothing

    def back() -> None:
        if isinstance(value, dict):
            _entries_back(value, copied)
        elif isinstance(value, list | bytearray):
            if len(value) != len(copied) or any(one is not other for one, other in zip(value, copied, strict=True)):
                value[:] = copied
        elif isinstance(value, deque):
            value.clear()
            value.extend(copied)
        else:
            value.clear()
            value.update(copied)
        inside()

    return back


def _entries_back(entries: Any, before: dict[Any, Any]) -> None:
    """A dict gets back the entries and the order that it had."""
    if list(entries.keys()) == list(before.keys()):
        for name, value in before.items():
            if entries[name] is not value:
                entries[name] = value
        return
    for name in list(entries.keys()):
        del entries[name]
    for name, value in before.items():
        entries[name] = value


def _array_back(value: np.ndarray, copied: np.ndarray) -> None:
    if value.flags.writeable and (value.dtype == object or value.tobytes() != copied.tobytes()):
        value[...] = copied


def _tensor_kept(value: Tensor) -> Undo:
    if is_lazy(value) or value.is_meta:
        return _nothing
    try:
        copied = value.detach().clone()
    except (RuntimeError, NotImplementedError):
        return _nothing

    def back() -> None:
        with torch.no_grad():
            if not _same(value, copied):
                # a detached sparse tensor would take the numbers for itself
                _written(value if value.layout == torch.sparse_coo else value.detach(), copied)

    return back


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of one kind hold the same numbers; NaN is NaN."""
    if one.shape != other.shape or one.layout != other.layout or one.dtype != other.dtype:
        return False
    if one.layout != torch.strided:
        parts = [_parts_of(each) for each in (one, other)]
        return all(a.shape == b.shape and _same(a, b) for a, b in zip(*parts, strict=True))
    if torch.equal(one, other):
        return True
    numbers = not one.is_quantized and numeric(one)
    return bool(numbers and torch.allclose(one, other, 0.0, 0.0, equal_nan=True))


def _parts_of(values: Tensor) -> list[Tensor]:
    """The dense tensors that a sparse one is made of."""
    if values.layout == torch.sparse_coo:
        return [values._indices(), values._values()]
    if values.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [values.crow_indices(), values.col_indices(), values.values()]
    return [values.ccol_indices(), values.row_indices(), values.values()]


def _written(values: Tensor, copied: Tensor) -> None:
    if values.layout == torch.strided or values.layout == torch.sparse_coo:
        if values.shape != copied.shape:
            values.resize_(copied.shape)
        values.copy_(copied)
        return
    for part, other in zip(_parts_of(values), _parts_of(copied), strict=True):
        part.copy_(other)
