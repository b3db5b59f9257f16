"""What a torch call does to the coordinates of its tensors: it moves them, joins them, reduces them, or sets new units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from flowplane.recorder.tracing.coordinates import NONE, Coordinates, full, joined, padded_steps, reduced, shortened
from flowplane.recorder.tracing.operations import Known, units_last, units_set

__all__ = ["CARRIED", "coordinates_after", "name_of", "tensors_in"]

RESHAPED = {"view", "reshape", "flatten", "unflatten", "ravel", "view_as", "reshape_as"}
#: Calls that only move the numbers of their first argument.
MOVED = {
    *("permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "t", "T", "mT", "adjoint", "H", "mH"),
    *("squeeze", "unsqueeze", "expand", "expand_as", "broadcast_to", "repeat", "repeat_interleave", "tile", "roll"),
    *("flip", "fliplr", "flipud", "rot90", "narrow", "select", "split", "chunk", "tensor_split", "hsplit", "vsplit"),
    *("dsplit", "unbind", "unfold", "diagonal", "as_strided", "index_select", "gather", "take", "take_along_dim"),
    *("masked_select", "getitem", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "split_with_sizes", "iter"),
    *("pack_padded_sequence", "atleast_1d", "atleast_2d", "atleast_3d", "squeeze_copy"),
}
#: Those that leave every number where it is: only their first argument counts.
KEPT = {
    *("to", "type", "float", "half", "double", "bfloat16", "cpu", "cuda", "contiguous", "clone", "detach", "data", "real"),
    *("type_as", "alias", "requires_grad", "dropout", "alpha_dropout", "feature_dropout", "dropout1d", "dropout2d"),
    *("masked_fill", "clamp", "clip", "nan_to_num", "tril", "triu", "softmax", "log_softmax", "normalize", "cumsum"),
    *("cumprod", "logcumsumexp", "group_norm", "instance_norm", "rms_norm", "local_response_norm", "numpy", "imag"),
}
#: All calls that return the numbers of their first argument.
CARRIED = RESHAPED | MOVED | KEPT
#: Of these, calls that take sums along an axis, and the place of it among their arguments.
ALONG = {"softmax": 1, "log_softmax": 1, "cumsum": 1, "cumprod": 1, "logcumsumexp": 1, "normalize": 2}
GATHERED = {"cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack", "row_stack", "block_diag"}
#: The destination's numbers are replaced by those of another tensor.
WRITTEN = {
    "setitem",
    "index_add",
    "index_copy",
    "index_put",
    "scatter",
    "scatter_add",
    "copy",
    "masked_scatter",
    "index_fill",
}
REDUCED = {
    *("sum", "mean", "amax", "amin", "max", "min", "prod", "std", "var", "logsumexp", "norm", "vector_norm", "any", "all"),
    *("argmax", "argmin", "median", "nanmean", "nansum", "count_nonzero", "std_mean", "var_mean", "mode", "aminmax"),
}
SORTED = {"sort", "topk", "argsort", "msort", "kthvalue"}
#: What only takes its shape, or its kind, from its arguments.
FRESH = {
    *("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "randint_like", "new_zeros"),
    *("new_ones", "new_full", "new_empty", "new_tensor", "nonzero", "histc", "bincount", "shape", "size", "dim"),
}


def name_of(function: Any) -> str:
    """The name of what is called, one for all its forms: `+`, `add_`, `torch.add` are "add", `x.T` is "T".

    Example:
        >>> [name_of(each) for each in (torch.Tensor.__iadd__, torch.Tensor.add_, torch.Tensor.T.__get__, torch.relu)]
        ['add', 'add', 'T', 'relu']
    """
    name = getattr(function, "__name__", type(function).__name__)
    if name in ("__get__", "__set__"):
        return str(getattr(function.__self__, "__name__", name))
    if name.startswith("__") and name.endswith("__"):
        name = name.strip("_")
        if name not in ("invert", "iter") and name[0] in "ri" and name[1:] in OPERATORS:
            name = name[1:]
        return OPERATORS.get(name, name)
    return name.strip("_")


OPERATORS = {
    **{name: name for name in ("add", "sub", "mul", "matmul", "pow", "mod", "and", "or", "xor", "getitem", "setitem")},
    "truediv": "div",
    "floordiv": "floor_divide",
    "div": "div",
    "rsub": "sub",
}


def tensors_in(value: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_in(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from tensors_in(part)


def coordinates_after(
    function: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any], outputs: list[Tensor], known: Known
) -> list[Coordinates | None]:
    """Coordinates of each tensor that a call returned, from those of its arguments; None where nothing is known.

    Arguments:
        known: of a tensor as it was before the call.
    """
    operands = [own for own in map(known, tensors_in([*args, kwargs])) if own is not None]
    if not operands or name in FRESH:
        return [None] * len(outputs)
    first = args[0] if args else next(iter(kwargs.values()))
    own = known(first) if isinstance(first, Tensor) else None
    shape = tuple(outputs[0].shape)
    if name in RESHAPED and own is not None:
        return [_applied(lambda values: values.reshape(shape), own)[0]]
    if name in KEPT and own is not None and own.shape == shape:
        return [replace(own, mixed=own.mixed or _along_samples(name, own, args, kwargs))] * len(outputs)
    if name == "glu" and own is not None:
        axis = kwargs.get("dim", args[1] if len(args) > 1 else -1)
        return _applied(lambda values: values.narrow(axis, 0, values.shape[axis] // 2), own)
    if name == "getitem" and own is None:
        return [_looked_up(args[1], shape, known)]
    if name in MOVED and own is not None:
        return _applied(lambda values: _plain(function, name)(values, *args[1:], **kwargs), own, len(outputs))
    if name == "pad_packed_sequence" and own is not None:
        sizes, batch_first, _, total = args[1:5]
        return [padded_steps(lambda values: function(values, sizes, batch_first, NONE, total)[0], own), None]
    if name == "pad" and own is not None:
        return [_padded(function, own, args, kwargs)]
    if name in GATHERED:
        return [_gathered(function, args, kwargs, shape, known)]
    if name in WRITTEN:
        return [_written(function, name, args, kwargs, known)]
    if name in SORTED and own is not None:
        return _sorted(own, args, kwargs, outputs)
    if name in REDUCED and own is not None and not (name in ("max", "min") and len(operands) > 1 and own.shape == shape):
        return [_reduced(own, args, kwargs, tuple(each.shape)) for each in outputs]
    special = units_set(name, args, kwargs, outputs, known)
    if special is not None:
        return special
    return [_same_places(operands, tuple(each.shape)) for each in outputs]


def _plain(function: Any, name: str) -> Any:
    """The function, out of place."""
    own = getattr(function, "__name__", "")
    return getattr(torch.Tensor, name) if own == f"{name}_" and hasattr(torch.Tensor, name) else function


def _applied(function: Callable[[Tensor], Any], own: Coordinates, count: int = 1) -> list[Coordinates | None]:
    """Both coordinates after the same call."""
    sample = list(tensors_in(function(full(own.sample, own.shape))))
    units: list[Tensor] | None = None
    if own.unit is not None:
        units = list(tensors_in(function(full(own.unit, own.shape))))
    found: list[Coordinates | None] = []
    for k in range(count):
        if k >= len(sample) or not sample[k].is_floating_point():
            found.append(None)
            continue
        unit = None if units is None else shortened(units[k])
        found.append(Coordinates(tuple(sample[k].shape), shortened(sample[k]), unit, own.mixed))
    return found


def _along_samples(name: str, own: Coordinates, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether a call that sums along an axis does so along one on which samples vary."""
    if name not in ALONG or own.sample is None:
        return False
    axis = kwargs.get("dim", args[ALONG[name]] if len(args) > ALONG[name] else 1 if name == "normalize" else None)
    axes = axis if isinstance(axis, tuple | list) else [axis]
    return any(isinstance(each, int) and own.sample.shape[each] > 1 for each in axes)


def _looked_up(index: Any, shape: tuple[int, ...], known: Known) -> Coordinates | None:
    """Rows of a table that is the same for all samples: they belong to the samples of their numbers."""
    tables = [each for each in (index if isinstance(index, tuple) else (index,)) if isinstance(each, Tensor)]
    owns = [own for own in map(known, tables) if own is not None]
    if len(owns) != 1 or owns[0].sample is None:
        return None
    sample = owns[0].sample
    if sample.ndim > len(shape) or isinstance(index, tuple):
        return None
    return units_last(Coordinates(shape, sample.reshape(*sample.shape, *(1,) * (len(shape) - sample.ndim))), shape)


def _padded(function: Any, own: Coordinates, args: Sequence[Any], kwargs: dict[str, Any]) -> Coordinates | None:
    widths = args[1] if len(args) > 1 else kwargs["pad"]
    mode = (args[2] if len(args) > 2 else kwargs.get("mode")) or "constant"
    more = {"mode": mode} | ({"value": NONE} if mode == "constant" else {})
    found = _applied(lambda values: function(values.contiguous(), widths, **more), own)[0]
    if found is None or found.unit is None or own.unit is None:
        return found
    # what is put beside places has their units
    same = [axis for axis, length in enumerate(own.unit.shape) if length == 1]
    return replace(found, unit=_filled(found.unit, same))


def _filled(unit: Tensor, axes: Iterable[int]) -> Tensor:
    """A unit coordinate that is the same along some axes but for where there is none."""
    for axis in axes:
        most = unit.amax(axis, keepdim=True)
        if bool(((unit == most) | (unit == NONE)).all()):
            unit = most
    return unit


def _gathered(
    function: Any, args: Sequence[Any], kwargs: dict[str, Any], shape: tuple[int, ...], known: Known
) -> Coordinates:
    parts = list(args[0] if args else next(iter(kwargs.values())))
    rest = args[1:], {key: value for key, value in kwargs.items() if key not in ("tensors", "out")}
    owns = [known(part) for part in parts]

    def together(values: list[Tensor]) -> Tensor:
        return function(values, *rest[0], **rest[1])  # type: ignore[no-any-return]

    def of(kind: str) -> list[Tensor]:
        return [full(None if own is None else getattr(own, kind), part.shape) for own, part in zip(owns, parts, strict=True)]

    units = None
    if any(own is not None and own.unit is not None for own in owns):
        units = shortened(_numbered(together, of("unit"), [part.shape for part in parts]))
        known_units = [own.unit for own in owns if own is not None and own.unit is not None]
        if units is not None and units.ndim == known_units[0].ndim and len(known_units) < len(parts):
            same = [axis for axis in range(units.ndim) if all(each.shape[axis] == 1 for each in known_units)]
            units = _filled(units, same)  # a class token has the units of the others
    mixed = any(own is not None and own.mixed for own in owns)
    return Coordinates(shape, shortened(together(of("sample"))), units, mixed)


def _numbered(together: Callable[[list[Tensor]], Tensor], units: list[Tensor], shapes: list[torch.Size]) -> Tensor:
    """Units of several tensors beside each other: where they vary along the axis on which they are put together, other
    tensors' units are other units."""
    moved, start = [], 0.0
    for each, shape in zip(units, shapes, strict=True):
        moved.append(torch.where(each == NONE, NONE, each + start) if each.numel() else each.reshape(shape))
        start += float(each.max()) + 1 if each.numel() else 0.0
    plain, apart = together(units), together(moved)
    own, other = shortened(plain), shortened(apart)
    # tokens or places put together keep their units: numbering them anew would make that axis vary as well
    if own is None or other is None:
        return plain
    return apart if sum(n > 1 for n in other.shape) == sum(n > 1 for n in own.shape) else plain


def _written(function: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any], known: Known) -> Coordinates | None:
    target = args[0]
    own = known(target) or Coordinates(tuple(target.shape))
    place = {"index_add": 3, "index_copy": 3, "scatter": 3, "scatter_add": 3, "setitem": 2, "copy": 1, "index_put": 2}.get(
        name
    )
    value = kwargs.get(
        "source", kwargs.get("src", kwargs.get("values", args[place] if place and len(args) > place else None))
    )
    theirs = known(value) if isinstance(value, Tensor) else None
    source = theirs or Coordinates(tuple(value.shape) if isinstance(value, Tensor) else ())
    mixed = own.mixed or source.mixed

    def put(kind: str) -> Tensor:
        into, other = full(getattr(own, kind), own.shape).clone(), full(getattr(source, kind), source.shape).clone()
        if name == "setitem":
            into[args[1]] = other if isinstance(value, Tensor) else NONE
        elif name == "copy":
            into.copy_(other)
        elif name in ("index_add", "index_copy"):
            into.index_copy_(args[1], args[2], other)
        elif name == "index_put":
            into.index_put_(tuple(args[1]), other)
        elif isinstance(value, Tensor):
            into.scatter_(args[1], args[2], other[tuple(map(slice, args[2].shape))])
        return into

    if name in ("masked_scatter", "index_fill"):
        return own
    sample = put("sample")
    if name in ("index_add", "scatter_add") and own.sample is not None:  # added to what is there
        before = full(own.sample, own.shape)
        mixed |= bool(((before != sample) & (before != NONE) & (sample != NONE)).any())
        sample = torch.where(sample == NONE, before, sample)
    has_units = own.unit is not None or source.unit is not None
    return Coordinates(own.shape, shortened(sample), shortened(put("unit")) if has_units else None, mixed)


def _sorted(
    own: Coordinates, args: Sequence[Any], kwargs: dict[str, Any], outputs: list[Tensor]
) -> list[Coordinates | None]:
    indices = next((each for each in reversed(outputs) if each.dtype == torch.int64), None)
    named = kwargs.get("dim", next((each for each in args[1:] if isinstance(each, int) and not isinstance(each, bool)), -1))
    axis = (
        -1 if len(outputs) == 2 and len(args) > 1 and "dim" not in kwargs and outputs[0].shape != own.shape else int(named)
    )
    if indices is None or indices.ndim != len(own.shape):
        return [None] * len(outputs)
    moved = _applied(lambda values: values.gather(axis, indices), own)[0]
    return [moved] * len(outputs)


def _reduced(own: Coordinates, args: Sequence[Any], kwargs: dict[str, Any], shape: tuple[int, ...]) -> Coordinates:
    axes = kwargs.get("dim", kwargs.get("axis", next((each for each in args[1:] if _axes(each)), None)))
    if axes is None or (isinstance(axes, tuple | list) and not axes):
        axes = range(len(own.shape))
    axes = [axes] if isinstance(axes, int) else list(axes)
    return reduced(own, axes, shape, keep=len(shape) == len(own.shape))


def _axes(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole or (isinstance(value, tuple | list) and all(isinstance(each, int) for each in value))


def _same_places(operands: list[Coordinates], shape: tuple[int, ...]) -> Coordinates | None:
    """For a call without a rule of its own: number by number where shapes broadcast, else axes of equal length."""
    try:
        broadcast = tuple(torch.broadcast_shapes(*(own.shape for own in operands)))
    except RuntimeError:
        broadcast = ()
    if broadcast == shape or (broadcast and len(broadcast) <= len(shape) and _fits(broadcast, shape)):
        return joined(shape, operands)
    largest = max(operands, key=lambda own: torch.Size(own.shape).numel())
    if len(largest.shape) != len(shape):
        return None
    changed = [axis for axis, (was, now) in enumerate(zip(largest.shape, shape, strict=True)) if was != now]
    return reduced(largest, changed, shape)


def _fits(small: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return all(one in (1, other) for one, other in zip(small[::-1], shape[::-1], strict=False))
