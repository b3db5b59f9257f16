"""Vectors of float32 in Numba: `load` takes LANES numbers of a row, and `+ − · /` and the functions here act on them all.

A loop that LLVM vectorises by itself goes to memory between one loop and the next; a value of type `Lanes` stays in
registers through a whole expression. With AVX-512 it is four registers wide, so that four independent operations hide each
other's latency; with the sixteen registers of older processors it is two. A number that meets a vector is spread over it.

For functions under `kernel` only. Numba's cache does not see a change of this file: touch the kernels' file after it.

Example:
    >>> import numpy as np
    >>> from flowplane.core.compiled import kernel
    >>> @kernel()
    ... def squares(rows):
    ...     for s in range(0, rows.shape[1], LANES):
    ...         x = load(rows, 0, s)
    ...         store(rows, 0, s, x * x)
    >>> rows = np.full((1, 2 * LANES), 3, np.float32)
    >>> squares(rows)
    >>> float(rows.min()), float(rows.max())
    (9.0, 9.0)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_cast, models, register_model

__all__ = [
    "LANES",
    "bit",
    "equal",
    "exponent",
    "floor",
    "lane_sum",
    "load",
    "maximum",
    "minimum",
    "power_of_two",
    "spread",
    "store",
    "where_positive",
]


def _lanes() -> int:
    """Four registers of AVX-512, otherwise two, of the processor that Numba compiles for."""
    chosen = numba.config.CPU_FEATURES  # type: ignore[attr-defined]
    features = llvmlite.binding.get_host_cpu_features().flatten() if chosen is None else chosen
    known = features.split(",")
    return 64 if "+avx512f" in known else 16 if "+avx" in known else 8


LANES = _lanes()
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTEGERS = ir.VectorType(ir.IntType(32), LANES)
#: LLVM may contract a·b + c and ignore the sign of zero.
_LOOSE = ("contract", "nsz")


class Lanes(types.Type):  # type: ignore[misc]
    """LANES numbers of float32."""

    def __init__(self) -> None:
        super().__init__(name=f"Lanes({LANES})")


_lanes_type = Lanes()


@register_model(Lanes)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


def _integers(number: int) -> ir.Constant:
    return ir.Constant(_INTEGERS, [number] * LANES)


def _floats(number: float) -> ir.Constant:
    return ir.Constant(_FLOATS, [number] * LANES)


def _spread(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    empty = ir.Constant(_FLOATS, ir.Undefined)
    single = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(single, empty, _integers(0))


@lower_cast(types.Float, Lanes)  # type: ignore[untyped-decorator]
@lower_cast(types.Integer, Lanes)  # type: ignore[untyped-decorator]
def _number_to_lanes(context: Any, builder: ir.IRBuilder, source: Any, target: Any, value: ir.Value) -> ir.Value:
    return _spread(builder, context.cast(builder, value, source, types.float32))


def _is_operand(kind: Any) -> bool:
    return isinstance(kind, Lanes | types.Float | types.Integer)


def _operator(function: Callable[..., Any], instruction: str) -> None:
    @infer_global(function)
    class _Typed(AbstractTemplate):  # type: ignore[misc]
        def generic(self, arguments: Sequence[Any], keywords: Any) -> Any:
            if _lanes_type in arguments and all(map(_is_operand, arguments)):
                return signature(_lanes_type, _lanes_type, _lanes_type)
            return None

    @lower_builtin(function, Lanes, Lanes)  # type: ignore[untyped-decorator]
    def _lowered(context: Any, builder: ir.IRBuilder, kinds: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        return getattr(builder, instruction)(*arguments, flags=_LOOSE)


for _operation, _instruction in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
    _operator(getattr(operator, _operation), _instruction)
    _operator(getattr(operator, f"i{_operation}"), _instruction)


def _pointer(context: Any, builder: ir.IRBuilder, kind: Any, array: ir.Value, place: Sequence[ir.Value]) -> ir.Value:
    """A pointer to the numbers from array[row, start] on; a row is contiguous."""
    parts = context.make_array(kind)(context, builder, array)
    row, start = place
    offset = builder.mul(row, builder.extract_value(parts.strides, 0))
    begin = builder.gep(builder.bitcast(parts.data, ir.IntType(8).as_pointer()), [offset])
    return builder.bitcast(builder.gep(builder.bitcast(begin, parts.data.type), [start]), _FLOATS.as_pointer())


@intrinsic  # type: ignore[untyped-decorator]
def load(typing: Any, array: Any, row: Any, start: Any) -> Any:
    """array[row, start : start + LANES], of float32, without a check of bounds."""

    def generate(context: Any, builder: ir.IRBuilder, kinds: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        pointer = _pointer(context, builder, kinds.args[0], arguments[0], arguments[1:])
        return builder.load(pointer, align=4)

    return _lanes_type(array, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(typing: Any, array: Any, row: Any, start: Any, value: Any) -> Any:
    """array[row, start : start + LANES] ← value."""

    def generate(context: Any, builder: ir.IRBuilder, kinds: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        pointer = _pointer(context, builder, kinds.args[0], arguments[0], arguments[1:3])
        builder.store(arguments[3], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, _lanes_type), generate


@intrinsic  # type: ignore[untyped-decorator]
def spread(typing: Any, array: Any, index: Any) -> Any:
    """array[index] in every lane, of a contiguous float32 array."""

    def generate(context: Any, builder: ir.IRBuilder, kinds: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        parts = context.make_array(kinds.args[0])(context, builder, arguments[0])
        return _spread(builder, builder.load(builder.gep(parts.data, [arguments[1]])))

    return _lanes_type(array, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def bit(typing: Any, words: Any, start: Any, place: Any, low: Any, high: Any) -> Any:
    """`high` where bit `place` of words[start : start + LANES] (32-bit integers) is set, `low` elsewhere."""

    def generate(context: Any, builder: ir.IRBuilder, kinds: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        parts = context.make_array(kinds.args[0])(context, builder, arguments[0])
        pointer = builder.bitcast(builder.gep(parts.data, [arguments[1]]), _INTEGERS.as_pointer())
        mask = builder.shl(ir.Constant(ir.IntType(32), 1), builder.trunc(arguments[2], ir.IntType(32)))
        empty = ir.Constant(_INTEGERS, ir.Undefined)
        single = builder.insert_element(empty, mask, ir.Constant(ir.IntType(32), 0))
        chosen = builder.and_(builder.load(pointer, align=4), builder.shuffle_vector(single, empty, _integers(0)))
        return builder.select(builder.icmp_unsigned("!=", chosen, _integers(0)), arguments[4], arguments[3])

    return _lanes_type(words, types.int64, types.int64, _lanes_type, _lanes_type), generate


def _chosen(comparison: str) -> Callable[..., ir.Value]:
    def generate(context: Any, builder: ir.IRBuilder, kinds: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        x, bound = arguments
        return builder.select(builder.fcmp_ordered(comparison, bound, x), bound, x)

    return generate


@intrinsic  # type: ignore[untyped-decorator]
def minimum(typing: Any, x: Any, bound: Any) -> Any:
    """The lesser of two; x where one is NaN."""
    return _lanes_type(_lanes_type, _lanes_type), _chosen("<")


@intrinsic  # type: ignore[untyped-decorator]
def maximum(typing: Any, x: Any, bound: Any) -> Any:
    """The greater of two; x where one is NaN."""
    return _lanes_type(_lanes_type, _lanes_type), _chosen(">")


@intrinsic  # type: ignore[untyped-decorator]
def equal(typing: Any, x: Any, y: Any) -> Any:
    """1 where x = y, else 0."""

    def generate(context: Any, builder: ir.IRBuilder, kinds: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        return builder.select(builder.fcmp_ordered("==", *arguments), _floats(1.0), _floats(0.0))

    return _lanes_type(_lanes_type, _lanes_type), generate


@intrinsic  # type: ignore[untyped-decorator]
def where_positive(typing: Any, x: Any, y: Any) -> Any:
    """y where x > 0, else 0."""

    def generate(context: Any, builder: ir.IRBuilder, kinds: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        return builder.select(builder.fcmp_ordered(">", arguments[0], _floats(0.0)), arguments[1], _floats(0.0))

    return _lanes_type(_lanes_type, _lanes_type), generate


@intrinsic  # type: ignore[untyped-decorator]
def floor(typing: Any, x: Any) -> Any:
    """The greatest integer not above x."""

    def generate(context: Any, builder: ir.IRBuilder, kinds: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        kind = ir.FunctionType(_FLOATS, [_FLOATS])
        return builder.call(builder.module.declare_intrinsic(f"llvm.floor.v{LANES}f32", fnty=kind), arguments)

    return _lanes_type(_lanes_type), generate


@intrinsic  # type: ignore[untyped-decorator]
def power_of_two(typing: Any, n: Any) -> Any:
    """2ⁿ for integers n from -126 to 127."""

    def generate(context: Any, builder: ir.IRBuilder, kinds: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        exponents = builder.add(builder.fptosi(arguments[0], _INTEGERS), _integers(127))
        return builder.bitcast(builder.shl(exponents, _integers(23)), _FLOATS)

    return _lanes_type(_lanes_type), generate


@intrinsic  # type: ignore[untyped-decorator]
def exponent(typing: Any, x: Any) -> Any:
    """n of x = 2ⁿ·m with 1 ≤ m < 2, for a positive normal x."""

    def generate(context: Any, builder: ir.IRBuilder, kinds: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        exponents = builder.lshr(builder.bitcast(arguments[0], _INTEGERS), _integers(23))
        return builder.sitofp(builder.sub(exponents, _integers(127)), _FLOATS)

    return _lanes_type(_lanes_type), generate


@intrinsic  # type: ignore[untyped-decorator]
def lane_sum(typing: Any, x: Any) -> Any:
    """Sum over the lanes, by halves."""

    def generate(context: Any, builder: ir.IRBuilder, kinds: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        value, width = arguments[0], LANES
        while width > 1:
            width //= 2
            empty, places = ir.Constant(value.type, ir.Undefined), ir.VectorType(ir.IntType(32), width)
            low, high = (
                builder.shuffle_vector(value, empty, ir.Constant(places, list(range(first, first + width))))
                for first in (0, width)
            )
            value = builder.fadd(low, high, flags=_LOOSE)
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return types.float32(_lanes_type), generate
